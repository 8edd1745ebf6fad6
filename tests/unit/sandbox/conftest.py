"""Instances of BRM without HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from brm_instance import Brm


@pytest.fixture
def brm() -> Iterator[Brm]:
    brm = Brm()
    yield brm
    brm.instance.close()


@pytest.fixture
def make_brm() -> Iterator[Any]:
    made: list[Brm] = []

    def make(*args: Any, **kwargs: Any) -> Brm:
        made.append(Brm(*args, **kwargs))
        return made[-1]

    yield make
    for each in made:
        each.instance.close()

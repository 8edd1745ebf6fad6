"""Page sizes and page tokens of list RPCs."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Final

import orjson

from libs.errors import O2CError, Reason

DEFAULT_SIZE: Final = 50
LARGEST_SIZE: Final = 500
FROM_THE_START: Final = 2**62
"""A position above all others, for lists that begin with the newest."""


def page_size(asked: int, usual: int = DEFAULT_SIZE, largest: int = LARGEST_SIZE) -> int:
    """How many rows to answer with: ``usual`` when none are asked for (0), never more than ``largest``.

    Raises RANGE_INVALID for fewer than none.
    """
    if asked < 0:
        raise O2CError.of(Reason.RANGE_INVALID, "a page size is not negative", field="page_size")
    return min(asked or usual, largest)


def to_token(position: Sequence[int | str], selection: Any) -> str:
    """Where the next page of a list with this selection (anything JSON can hold) begins."""
    return base64.urlsafe_b64encode(orjson.dumps([position, selection])).decode()


def from_token(token: str, start: Sequence[int | str], selection: Any) -> list[Any]:
    """Where the page begins: ``start`` without a token. Raises PAGE_TOKEN_INVALID, also for a token of another selection."""
    if not token:
        return list(start)
    try:
        position, selected = orjson.loads(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError, TypeError):
        position, selected = None, None
    fits = isinstance(position, list) and [type(part) for part in position] == [type(part) for part in start]
    if not fits or selected != orjson.loads(orjson.dumps(selection)):
        message = "the page token was not made by this list, or for another selection"
        raise O2CError.of(Reason.PAGE_TOKEN_INVALID, message, field="page_token")
    return list(position)

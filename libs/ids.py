"""Ids the suite makes itself."""

from __future__ import annotations

import itertools
import os
import uuid

_prefix = os.urandom(6).hex()
_numbers = itertools.count(1)


def new_id() -> str:
    """A random id: a UUID version 4 in lower case, 36 characters."""
    return str(uuid.uuid4())


def new_request_id() -> str:
    """An id for correlating log lines: unique across processes, ten times cheaper than :func:`new_id`, and not secret."""
    return f"{_prefix}-{next(_numbers):x}"


def _renew() -> None:
    global _prefix
    _prefix = os.urandom(6).hex()


os.register_at_fork(after_in_child=_renew)

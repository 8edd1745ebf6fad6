"""Page sizes and tokens of ListOrders."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import orjson

from libs.errors import O2CError, Reason

DEFAULT_SIZE = 50
LARGEST_SIZE = 500
FROM_THE_START = 2**62
"""An intake sequence above all others."""


def page_size(asked: int) -> int:
    """How many rows to answer with."""
    return min(asked, LARGEST_SIZE) if asked > 0 else DEFAULT_SIZE


def to_token(sequence: int, states: Sequence[str]) -> str:
    """Where the next page of a list with this filter begins."""
    return base64.urlsafe_b64encode(orjson.dumps([sequence, sorted(states)])).decode()


def from_token(token: str, states: Sequence[str]) -> int:
    """Intake sequence below which the page begins. Raises PAGE_TOKEN_INVALID, also for a token of another filter."""
    if not token:
        return FROM_THE_START
    try:
        sequence, filtered = orjson.loads(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError, TypeError):
        sequence, filtered = None, None
    if not isinstance(sequence, int) or filtered != sorted(states):
        message = "the page token was not made by this list, or for other states"
        raise O2CError.of(Reason.PAGE_TOKEN_INVALID, message, field="page_token")
    return sequence

"""Texts from outside, as far as BRM and the cross-references can hold them: what is unfit is refused before any call."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from libs.errors import Reason, Violation

LONGEST_TEXT: Final = 255
"""Bytes that a text field of BRM holds."""
LONGEST_ID: Final = 240
"""Bytes of an id. Cross-references take 256 characters, BRM's names 255 bytes with a word in front of the id."""
_UNSENDABLE: Final = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")
"""Characters that no web service carries, and controls that no CRM means."""


def is_sendable(text: str) -> bool:
    """Whether a text field of BRM holds it."""
    if len(text) * 4 <= LONGEST_TEXT and text.isprintable():  # nearly every text; the rest needs a closer look
        return True
    return len(text.encode()) <= LONGEST_TEXT and not _UNSENDABLE.search(text)


def unfit_text(field: str, what: str = "", **metadata: str) -> Violation:
    """RANGE_INVALID of a text that BRM does not hold. ``what`` names it, by default its field does."""
    message = f"{what or field} has control characters, or more than {LONGEST_TEXT} bytes"
    return Violation(Reason.RANGE_INVALID, message, field, {**metadata, "field": field})


def unfit_ids(named: Iterable[tuple[str, str, str]], *, trimmed: bool = False) -> Iterator[Violation]:
    """XREF_VALUE_INVALID of ids that nothing can be kept under: (id, path of what it is a field of, its name there, or
    its own path and nothing).

    An empty one is none. ``trimmed`` tells that blanks around them are taken off before they are used.
    """
    ids = list(named)
    values = [value for value, _, _ in ids]
    together = "".join(values)
    if together.isascii() and together.isprintable() and max(map(len, values), default=0) <= LONGEST_ID:
        return  # nearly always, and told by a glance at all of them
    for value, path, name in ids:
        if len(value.encode()) > LONGEST_ID or not (value.strip() if trimmed else value).isprintable():
            field = f"{path}.{name}" if name else path
            message = f"{field} has signs that cannot be printed, or more than {LONGEST_ID} bytes"
            yield Violation(Reason.XREF_VALUE_INVALID, message, field, {"field": field})

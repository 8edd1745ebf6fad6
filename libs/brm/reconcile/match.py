"""Does what BRM stores show what a call asked for?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from libs.brm.flist import Flist
from libs.brm.poid import Poid
from libs.brm.text import SENSITIVE

_TAIL: Final = 4


def contains(stored: Any, wanted: Any) -> bool:
    """Every value of ``wanted`` is in ``stored``, field by field; sensitive fields, which may be masked, are not compared."""
    if isinstance(wanted, Mapping):
        if not wanted:
            return True
        if not isinstance(stored, Mapping):
            return False
        return all(name in SENSITIVE or contains(stored.get(name), value) for name, value in wanted.items())
    return same(stored, wanted)


def same(stored: Any, wanted: Any) -> bool:
    """Equal as BRM sees it: POIDs without revision, numbers by value, times to the second; absent texts and times are empty."""
    if isinstance(wanted, datetime):
        if wanted.timestamp() == 0:
            return stored is None
        return isinstance(stored, datetime) and int(stored.timestamp()) == int(wanted.timestamp())
    if isinstance(stored, Poid):
        wanted = Poid.parse(wanted, stored.db) if isinstance(wanted, str) else wanted
        return isinstance(wanted, Poid) and stored.refers_to(wanted)
    if isinstance(wanted, Decimal | int) and isinstance(stored, Decimal | int):
        return Decimal(stored) == Decimal(wanted)
    return bool(("" if stored is None else stored) == ("" if wanted is None else wanted))


def same_tail(stored: Any, wanted: Any) -> bool:
    """The last digits of two numbers agree, as far as the stored one is not masked."""
    stored, wanted = str(stored or ""), str(wanted or "")
    tail = stored[-_TAIL:]
    return not tail.isdigit() or tail == wanted[-_TAIL:]


def newest(found: Iterable[Flist]) -> Flist | None:
    """The object with the highest id."""
    return max(found, key=lambda each: each["POID"].id, default=None)


def as_poid(value: Any, db: str) -> Poid:
    """A POID given as such or as text."""
    return value if isinstance(value, Poid) else Poid.parse(str(value), db)

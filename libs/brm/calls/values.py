"""What the constructors take and how it becomes flist values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Protocol

from libs.brm.flist import Flist
from libs.brm.poid import DEFAULT_DB, Poid

PROGRAM_NAME: Final = "o2c"
NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""A time that never comes: pass it as an end to make something endless again."""


class Symbol(Protocol):
    """Something an earlier step will create (:class:`libs.plan.model.Ref`), standing where its POID or text will stand."""

    @property
    def name(self) -> str: ...


PoidLike = Poid | str | Symbol
"""A POID, its text form, or a symbol for it."""
Text = str | Symbol
"""A text or a symbol for it."""
Scalar = Poid | str | int | Decimal | datetime | Symbol


def poid(value: PoidLike) -> Poid | Symbol:
    """A text as :class:`Poid`; POIDs and symbols as they are. Raises :class:`libs.brm.poid.PoidError`."""
    return Poid.parse(value) if isinstance(value, str) else value


def new(type_: str, db: str = DEFAULT_DB) -> Poid:
    """The type-only POID of an object to create."""
    return Poid.new(type_, db)


def given(**fields: Any) -> Flist:
    """An flist of the fields that have a value: ``None`` and empty text mean absent."""
    return {name: value for name, value in fields.items() if value is not None and value != ""}


def given_poid(**fields: PoidLike | None) -> Flist:
    """Like :func:`given`, for POIDs."""
    return {name: poid(value) for name, value in fields.items() if value is not None and value != ""}


def audit(program_name: str, descr: str = "", at: datetime | None = None) -> Flist:
    """Who did it, why, and the effective time (``END_T``; the server's present when ``None``)."""
    return {"PROGRAM_NAME": program_name, **given(DESCR=descr, END_T=at)}


def program_name(*parts: str, name: str = PROGRAM_NAME) -> str:
    """Who calls, and for what (order, line): joined by ``:``, cut to the 60 bytes BRM stores."""
    text = ":".join((name, *(part for part in parts if part)))
    return text.encode()[:60].decode(errors="ignore")


def merged(*flists: Mapping[str, Any]) -> Flist:
    """One flist from several, later fields last."""
    flist: Flist = {}
    for each in flists:
        flist.update(each)
    return flist

"""Portal object ids: the names BRM gives its objects.

Text form ``0.0.0.1 /account 1234 0``: database number, storable class, id, revision.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Final

DEFAULT_DB: Final = "0.0.0.1"
NEW: Final = -1
"""The id of an object that does not exist yet (``/account -1``)."""


class PoidError(ValueError):
    """A text that is no POID."""


@dataclass(frozen=True, slots=True)
class Poid:
    """One object id. Two POIDs are equal when database, class and id agree; the revision never counts."""

    db: str
    type: str
    id: int
    rev: int = field(default=0, compare=False)

    @classmethod
    def parse(cls, text: str, default_db: str = DEFAULT_DB) -> Poid:
        """Read ``[db] /class id [rev]``, blanks ignored; raises :class:`PoidError`."""
        tokens = text.split()
        if tokens and tokens[0].startswith("/"):
            tokens.insert(0, default_db)
        if not 3 <= len(tokens) <= 4 or not tokens[1].startswith("/"):
            raise PoidError(f"not a POID: {text!r}")
        try:
            return cls(tokens[0], tokens[1], int(tokens[2]), int(tokens[3]) if len(tokens) == 4 else 0)
        except ValueError as error:
            raise PoidError(f"not a POID: {text!r}") from error

    @classmethod
    @cache
    def new(cls, type_: str, db: str = DEFAULT_DB) -> Poid:
        """The type-only POID that asks BRM to create an object of this class."""
        return cls(db, type_, NEW)

    @property
    def is_new(self) -> bool:
        return self.id == NEW

    def refers_to(self, other: Poid) -> bool:
        """Same object, allowing a base class to name an object of a subclass (``/service 1`` and ``/service/voip 1``)."""
        if (self.db, self.id) != (other.db, other.id):
            return False
        short, long = sorted((self.type, other.type), key=len)
        return long == short or long.startswith(short + "/")

    def __str__(self) -> str:
        return f"{self.db} {self.type} {self.id} {self.rev}"

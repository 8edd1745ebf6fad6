"""Registering and running invariants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.codes import ItemStatus
from sandbox.errors import BrmFault, ErrorClass
from sandbox.settings import SandboxSettings
from sandbox.store.keys import family
from sandbox.store.sqlite import Tx


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken invariant."""

    id: str
    poid: Poid
    message: str
    error: str = ""
    """Error BRM reports for it; empty for an internal assertion, which only a defect can break."""
    field: str = ""

    def to_json(self) -> dict[str, str]:
        return {"invariant": self.id, "poid": str(self.poid), "message": self.message}


@dataclass(frozen=True, slots=True)
class Scope:
    """What a check may look at."""

    tx: Tx
    settings: SandboxSettings = field(default_factory=SandboxSettings)

    def is_created(self, flist: Flist) -> bool:
        """Whether this transaction made the object; rules about creating things apply only then."""
        return self.tx.original(flist["POID"].id) is None


Check = Callable[[Scope, Flist], Iterator[tuple[str, str, str]]]
"""Yields (message, error, field) for each breach by one object."""
_CHECKS: Final[dict[str, list[tuple[str, Check]]]] = {}


def invariant(id_: str, *families: str) -> Callable[[Check], Check]:
    """Register a check for objects of some classes."""

    def register(check: Check) -> Check:
        for name in families:
            _CHECKS.setdefault(name, []).append((id_, check))
        return check

    return register


def _violations(scope: Scope, flists: Iterable[Flist]) -> Iterator[Violation]:
    for flist in flists:
        for id_, check in _CHECKS.get(family(flist["POID"].type), ()):
            try:
                for message, error, field_name in check(scope, flist):
                    yield Violation(id_, flist["POID"], message, error, field_name)
            except BrmFault as fault:
                yield Violation(id_, flist["POID"], fault.descr, fault.name, fault.field)


def check_touched(tx: Tx, settings: SandboxSettings) -> None:
    """Check what a transaction wrote and what depends on it; the first broken invariant is raised as BRM's error."""
    objects = {flist["POID"].id: flist for flist in tx.touched}
    for flist in tx.touched:
        for dependent in _dependents(tx, flist):
            objects.setdefault(dependent["POID"].id, dependent)
    found = sorted(_violations(Scope(tx, settings), objects.values()), key=lambda violation: violation.id)
    if not found:
        return
    first = found[0]
    if first.error:
        raise BrmFault(first.error, first.field, f"{first.id}: {first.message}")
    raise BrmFault("STORAGE", "", f"{first.id}: {first.message}", error_class=ErrorClass.SYSTEM_DETERMINATE, location="DM")


def _dependents(tx: Tx, flist: Flist) -> Iterator[Flist]:
    """Objects whose invariants a change of ``flist`` can break."""
    poid: Poid = flist["POID"]
    match family(poid.type):
        case "/item":
            yield tx.get(flist["BAL_GRP_OBJ"])
            for name in ("BILL_OBJ", "AR_BILL_OBJ"):
                if flist.get(name) is not None:
                    yield tx.get(flist[name])
        case "/bill" if flist.get("PARENT") is not None and flist["STATUS"] != ItemStatus.PENDING:
            yield tx.get(flist["PARENT"])
        case "/billinfo":
            yield tx.get(flist["ACCOUNT_OBJ"])
            yield from tx.by_key("/billinfo.PARENT_BILLINFO_OBJ", poid)
        case "/balance_group":
            yield tx.get(flist["BILLINFO_OBJ"])
        case "/account" | "/service" if _status_changed(tx, flist):
            key = "ACCOUNT_OBJ" if poid.type == "/account" else "SERVICE_OBJ"
            yield from tx.by_key(f"/purchased_product.{key}", poid)
            yield from tx.by_key(f"/purchased_discount.{key}", poid)


def _status_changed(tx: Tx, flist: Flist) -> bool:
    original = tx.original(flist["POID"].id)
    return original is not None and original["STATUS"] != flist["STATUS"]


def check_all(tx: Tx, settings: SandboxSettings) -> list[Violation]:
    """Every broken invariant of the whole store."""
    found = list(_violations(Scope(tx, settings), tx.of_class("")))
    return sorted(found, key=lambda violation: (violation.id, violation.poid.id))


def check_databases(flist: Flist, db: str) -> None:
    """INV-28: every POID of a call belongs to this instance; raises WRONG_DATABASE (or POID_DB_IS_ZERO) at its field."""
    if (found := foreign_poid(flist, db)) is None:
        return
    name, poid = found
    if poid.db == "0.0.0.0":
        raise BrmFault("POID_DB_IS_ZERO", name, f"{poid} names no database", location="CM")
    raise BrmFault("WRONG_DATABASE", name, f"{poid} is not of database {db}", location="CM")


def foreign_poid(flist: Flist, db: str, name: str = "") -> tuple[str, Poid] | None:
    """The first POID of another database inside a value, with the field that holds it."""
    for key, value in flist.items():
        kind = type(value)
        if kind is Poid:
            if value.db != db:
                return _field(key, name), value
        elif (kind is dict or kind is Array) and (found := foreign_poid(value, db, _field(key, name))) is not None:
            return found
    return None


def _field(key: object, name: str) -> str:
    """A field name, or for an element of an array the array's."""
    return key if isinstance(key, str) and key not in ("*", "assign") else name


def poids_in(value: Any, name: str = "") -> Iterator[tuple[str, Poid]]:
    """All POIDs inside a value, each with the field that holds it."""
    if isinstance(value, Poid):
        yield name, value
    elif isinstance(value, dict):
        for key, element in value.items():
            yield from poids_in(element, _field(key, name))

"""Deferred status changes (``/schedule``): kept until their time, checked again when it comes (rule 37)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.cycles import catch_up
from sandbox.billing.status import set_status
from sandbox.billing.units import units_of
from sandbox.codes import State
from sandbox.store.pack import copied
from sandbox.store.sqlite import Tx

PENDING: Final = 0
DONE: Final = 1
VOID: Final = 2
"""Overtaken: the object had the status already, or was closed or gone."""


def defer(tx: Tx, target: Flist, statuses: Array, when: datetime, program: str) -> Flist:
    """Note a status change for later."""
    account = target["POID"] if target["POID"].type == "/account" else target["ACCOUNT_OBJ"]
    service = target["POID"] if target["POID"].type.startswith("/service") else None
    return tx.create(
        "/schedule",
        {
            "ACCOUNT_OBJ": account,
            "SERVICE_OBJ": service,
            "OBJECT": target["POID"],
            "STATUS": PENDING,
            "EFFECTIVE_T": when,
            "STATUSES": copied(statuses),
            "PROGRAM_NAME": program,
            "DESCR": "Deferred status change",
        },
    )


def execute_schedule(tx: Tx, poid: Poid, *, allow_reopen: bool = False) -> int:
    """Carry out a deferred change; how many events that made. What no longer makes sense is marked void."""
    schedule = tx.edit(poid)
    target, account = tx.find(schedule["OBJECT"]), tx.get(schedule["ACCOUNT_OBJ"])
    schedule["STATUS"] = VOID
    if target is None or State.CLOSED in (target["STATUS"], account["STATUS"]):
        return 0
    for unit in units_of(tx, account["POID"]):
        catch_up(tx, unit["POID"])
    events: list[Flist] = []
    for given in schedule["STATUSES"].values():
        flags = given.get("STATUS_FLAGS") or 0
        current = tx.get(target["POID"])
        events += set_status(tx, current, given["STATUS"], flags, schedule["PROGRAM_NAME"], allow_reopen=allow_reopen)
    if events:
        schedule["STATUS"] = DONE
    return len(events)

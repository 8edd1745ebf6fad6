"""Changes asked for in advance (``/schedule``): kept until their time, checked again when it comes (rule 37 of section 6).

A schedule keeps one call about one object. The job ``deferred`` makes the call through the same opcode function as everybody,
at the schedule's own time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.units import units_of
from sandbox.codes import OfferStatus, State
from sandbox.opcodes.registry import REGISTRY, Context, effective_time, program_of
from sandbox.settings import SandboxSettings
from sandbox.store.pack import copied
from sandbox.store.sqlite import Tx

PENDING: Final = 0
DONE: Final = 1
VOID: Final = 2
"""Overtaken: the object had the state already, or it or its account was closed, cancelled or gone."""
FAILED: Final = 3
"""Refused when its time came; DESCR says why."""
_OVER: Final = frozenset({State.CLOSED, OfferStatus.CANCELLED})


def future(tx: Tx, flist: Flist) -> datetime | None:
    """The effective time of a call when that is yet to come."""
    when = effective_time(tx, flist)
    return when if when > tx.now else None


def defer(tx: Tx, opcode: str, target: Flist, call: Flist, when: datetime) -> Flist:
    """Keep a call about one object for later; the ``/schedule``. The same call asked for again is the one that waits."""
    service = target["POID"] if target["POID"].type.startswith("/service") else target.get("SERVICE_OBJ")
    kept = copied({name: value for name, value in call.items() if name not in ("START_T", "END_T")})
    for waiting in tx.by_key("/schedule.OBJECT", target["POID"]):
        if (waiting["STATUS"], waiting["EFFECTIVE_T"], waiting["ACTION_NAME"], waiting["_call"]) == (
            PENDING,
            when,
            opcode,
            kept,
        ):
            return waiting
    return tx.create(
        "/schedule",
        {
            "ACCOUNT_OBJ": target.get("ACCOUNT_OBJ") or target["POID"],
            "SERVICE_OBJ": service,
            "OBJECT": target["POID"],
            "STATUS": PENDING,
            "EFFECTIVE_T": when,
            "ACTION_NAME": opcode,
            "STATUSES": kept.get("STATUSES"),
            "PROGRAM_NAME": program_of(call),
            "DESCR": call.get("DESCR"),
            "_call": kept,
        },
    )


def defer_each(
    tx: Tx, opcode: str, flist: Flist, array: str, targets: Mapping[int | str, Flist], when: datetime
) -> list[Flist]:
    """Keep a call about several objects, the elements of ``array``, as one schedule each."""
    rest = {name: value for name, value in flist.items() if name != array}
    return [
        defer(tx, opcode, target, {**rest, array: Array({element: flist[array][element]})}, when)
        for element, target in targets.items()
    ]


def deferred(poid: Poid, schedules: list[Flist]) -> Flist:
    """The answer to a call that waits: its schedules."""
    return {"POID": poid, "RESULTS": Array.of(*({"POID": each["POID"], "DESCR": "deferred"} for each in schedules))}


def due_schedules(tx: Tx) -> list[Flist]:
    """Schedules whose time has come, the oldest first."""
    due = [each for each in tx.of_class("/schedule") if each["STATUS"] == PENDING and each["EFFECTIVE_T"] <= tx.now]
    return sorted(due, key=lambda each: (each["EFFECTIVE_T"], each["POID"].id))


def time_of(tx: Tx, schedule: Flist) -> datetime:
    """When a due schedule is carried out: at its own time, or now where billing has got beyond it already."""
    when: datetime = schedule["EFFECTIVE_T"]
    target = tx.find(schedule["OBJECT"])
    accounts = [(target or schedule).get("ACCOUNT_OBJ") or schedule["ACCOUNT_OBJ"], schedule["_call"].get("TO_OBJ")]
    units = (unit for account in accounts if account is not None for unit in units_of(tx, account))
    return tx.now if any(unit["ACTG_LAST_T"] > when for unit in units) else when


def execute_schedule(tx: Tx, poid: Poid, settings: SandboxSettings) -> int:
    """Make the call a schedule keeps; how many events that made. One that has become pointless is marked void."""
    schedule = tx.edit(poid)
    schedule["STATUS"] = VOID
    target = tx.find(schedule["OBJECT"])
    if target is None or target["STATUS"] in _OVER:
        return 0
    if tx.get(target.get("ACCOUNT_OBJ") or target["POID"])["STATUS"] == State.CLOSED:
        return 0
    call = {**copied(schedule["_call"]), "END_T": tx.now}
    answer = REGISTRY[schedule["ACTION_NAME"]](Context(tx, settings=settings), call)
    events = len(answer.get("RESULTS") or ())
    if events:
        tx.edit(poid)["STATUS"] = DONE
    return events


def fail(tx: Tx, poid: Poid, why: str) -> None:
    """Mark a schedule that was refused."""
    tx.edit(poid).update(STATUS=FAILED, DESCR=why[:255])

"""SET_STATUS of accounts, bill units and services, now or later (4.1, 5.6)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.cycles import catch_up
from sandbox.billing.status import set_status
from sandbox.billing.units import units_of
from sandbox.codes import State
from sandbox.errors import BrmFault
from sandbox.opcodes.registry import Context, opcode, program_of, required, required_array, results
from sandbox.opcodes.schedules import PENDING, VOID, defer, deferred, future
from sandbox.store.sqlite import Tx

SET_STATUS: Final = "PCM_OP_CUST_SET_STATUS"


@opcode(SET_STATUS)
def cust_set_status(ctx: Context, flist: Flist) -> Flist:
    """Set the status of the object named by POID; the present status again is a success without an event.

    With END_T in the future the change waits in a ``/schedule`` until the job ``deferred`` finds its time come, and so does the
    closing that CLOSE_WHEN_T announces.
    """
    tx, program = ctx.tx, program_of(flist)
    target = tx.get(required(flist, "POID"), error="NOT_FOUND")
    if not target["POID"].type.startswith(("/account", "/billinfo", "/service")):
        raise BrmFault("BAD_POID_TYPE", "POID", f"{target['POID']} has no status to set")
    statuses = required_array(flist, "STATUSES")
    for given in statuses.values():
        required(given, "STATUS_FLAGS")
    if (when := future(tx, flist)) is not None:
        return defer_status(tx, target, flist, when)
    for unit in units_of(tx, target["ACCOUNT_OBJ"] if "ACCOUNT_OBJ" in target else target["POID"]):
        catch_up(tx, unit["POID"])
    return with_results({"POID": target["POID"]}, *apply_statuses(ctx, target["POID"], statuses, program))


def defer_status(tx: Tx, target: Flist, flist: Flist, when: datetime) -> Flist:
    """Keep a status change for later; a status that does not exist is refused at once: BAD_VALUE @STATUS."""
    for given in required_array(flist, "STATUSES").values():
        if required(given, "STATUS") not in tuple(State):
            raise BrmFault("BAD_VALUE", "STATUS", f"{given['STATUS']} is no status")
    return deferred(target["POID"], [defer(tx, SET_STATUS, target, flist, when)])


def apply_statuses(ctx: Context, target: Poid, statuses: Array, program: str) -> tuple[list[Flist], list[Flist]]:
    """Set statuses one after the other; the events, and the schedules of closings announced by CLOSE_WHEN_T."""
    tx = ctx.tx
    events: list[Flist] = []
    schedules: list[Flist] = []
    for given in statuses.values():
        status, flags, closes = required(given, "STATUS"), given.get("STATUS_FLAGS") or 0, given.get("CLOSE_WHEN_T")
        waits = closes is not None and closes > tx.now
        if not (waits and status == State.CLOSED):
            events += set_status(tx, tx.get(target), status, flags, program, allow_reopen=ctx.settings.allow_reopen)
        if "CLOSE_WHEN_T" in given:
            _withdraw_closing(tx, target, closes)
        if waits and tx.get(target)["STATUS"] != State.CLOSED:
            schedules.append(_announce_closing(tx, target, closes, flags, program))
    return events, schedules


def _withdraw_closing(tx: Tx, target: Poid, closes: datetime | None) -> None:
    """Another time of closing (or none) takes the place of the one announced before."""
    for waiting in tx.by_key("/schedule.OBJECT", target):
        if waiting["STATUS"] == PENDING and waiting.get("_closes") and waiting["EFFECTIVE_T"] != closes:
            tx.edit(waiting["POID"])["STATUS"] = VOID
            if tx.get(target)["STATUS"] != State.CLOSED:
                tx.edit(target).pop("CLOSE_WHEN_T", None)


def _announce_closing(tx: Tx, target: Poid, closes: datetime, flags: int, program: str) -> Flist:
    call = {"POID": target, "PROGRAM_NAME": program, "STATUSES": Array.of({"STATUS": int(State.CLOSED), "STATUS_FLAGS": flags})}
    schedule = defer(tx, SET_STATUS, tx.get(target), call, closes)
    if tx.get(target).get("CLOSE_WHEN_T") != closes:
        tx.edit(schedule["POID"])["_closes"] = 1
        tx.edit(target)["CLOSE_WHEN_T"] = closes
    return schedule


def with_results(answer: Flist, events: list[Flist], schedules: list[Flist]) -> Flist:
    """An answer with the events and schedules of a write as its RESULTS."""
    rows = list(results(events).values())
    if schedules:
        rows += deferred(answer["POID"], schedules)["RESULTS"].values()
    return {**answer, "RESULTS": Array.of(*rows)} if rows else answer

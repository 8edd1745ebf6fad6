"""SET_STATUS of accounts, bill units and services (4.1, 5.6)."""

from __future__ import annotations

from libs.brm.flist import Array, Flist
from sandbox.billing.cycles import catch_up
from sandbox.billing.schedules import defer
from sandbox.billing.status import set_status
from sandbox.billing.units import units_of
from sandbox.errors import BrmFault
from sandbox.opcodes.registry import Context, done, effective_time, opcode, program_of, required, required_array


@opcode("PCM_OP_CUST_SET_STATUS")
def cust_set_status(ctx: Context, flist: Flist) -> Flist:
    """Set the status of the object named by POID; the present status again is a success without an event.

    With END_T in the future the change waits in a ``/schedule`` until the job ``deferred`` finds its time come.
    """
    tx, program = ctx.tx, program_of(flist)
    target = tx.get(required(flist, "POID"), error="NOT_FOUND")
    if not target["POID"].type.startswith(("/account", "/billinfo", "/service")):
        raise BrmFault("BAD_POID_TYPE", "POID", f"{target['POID']} has no status to set")
    if (when := effective_time(tx, flist)) > tx.now:
        schedule = defer(tx, target, required_array(flist, "STATUSES"), when, program)
        return {"POID": target["POID"], "RESULTS": Array.of({"POID": schedule["POID"], "DESCR": "deferred"})}
    account = target["ACCOUNT_OBJ"] if "ACCOUNT_OBJ" in target else target["POID"]
    for unit in units_of(tx, account):
        catch_up(tx, unit["POID"])
    events: list[Flist] = []
    for given in required_array(flist, "STATUSES").values():
        current = tx.get(target["POID"])
        flags = required(given, "STATUS_FLAGS")
        events += set_status(tx, current, required(given, "STATUS"), flags, program, allow_reopen=ctx.settings.allow_reopen)
    return done(target["POID"], events)

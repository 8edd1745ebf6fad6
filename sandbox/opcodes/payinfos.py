"""Changing and deleting payment records and bill units (4.1)."""

from __future__ import annotations

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.ledger import Occurrence, record
from sandbox.billing.units import children_of, default_unit, groups_of_unit, units_of
from sandbox.errors import BrmFault
from sandbox.opcodes.links import payinfo_fields
from sandbox.opcodes.registry import Context, done, opcode, program_of, required, required_array
from sandbox.store.sqlite import Tx


def _payinfo(tx: Tx, poid: Poid, field: str = "POID") -> Flist:
    payinfo = tx.get(poid, field, "NOT_FOUND")
    if not payinfo["POID"].type.startswith("/payinfo"):
        raise BrmFault("BAD_POID_TYPE", field, f"{payinfo['POID']} is no payment record")
    return payinfo


@opcode("PCM_OP_CUST_SET_PAYINFO")
def set_payinfo(ctx: Context, flist: Flist) -> Flist:
    """Change payment records of an account, or the one named by POID; what is not given stays."""
    tx, program = ctx.tx, program_of(flist)
    target = required(flist, "POID")
    if target.type.startswith("/payinfo"):
        given = Array.of({**flist, **next(iter((flist.get("PAYINFO") or {}).values()), {}), "POID": target})
        account = _payinfo(tx, target)["ACCOUNT_OBJ"]
    else:
        account = tx.get(target)["POID"]
        given = required_array(flist, "PAYINFO")
    changed, events = Array(), []
    for element, fields in given.items():
        stored = _payinfo(tx, required(fields, "POID"), "PAYINFO")
        if stored["ACCOUNT_OBJ"] != account:
            raise BrmFault("NOT_FOUND", "PAYINFO", f"{stored['POID']} belongs to another account")
        wanted = payinfo_fields(stored["POID"].type, fields, stored)
        if any(stored.get(name) != value for name, value in wanted.items()):
            tx.edit(stored["POID"]).update(wanted)
            what = Occurrence("/event/customer/payinfo", "Changed payment record", tx.now, tx.now, program)
            events.append(record(tx, account, None, what))
        changed[element] = {"POID": stored["POID"]}
    return {**done(target, events), "PAYINFO": changed}


@opcode("PCM_OP_CUST_DELETE_PAYINFO")
def delete_payinfo(ctx: Context, flist: Flist) -> Flist:
    """Delete a payment record no bill unit uses (INV-23); BAD_VALUE while one does, NOT_FOUND when it is gone."""
    tx, program = ctx.tx, program_of(flist)
    payinfo = _payinfo(tx, required(flist, "POID"))
    if users := tx.by_key("/billinfo.PAYINFO_OBJ", payinfo["POID"]):
        raise BrmFault("BAD_VALUE", "POID", f"{payinfo['POID']} is used by {users[0]['POID']}")
    tx.delete(payinfo["POID"])
    what = Occurrence("/event/customer/payinfo", "Deleted payment record", tx.now, tx.now, program)
    return done(payinfo["POID"], [record(tx, payinfo["ACCOUNT_OBJ"], None, what)])


@opcode("PCM_OP_CUST_POL_PRE_DELETE_PAYINFO")
def pre_delete_payinfo(ctx: Context, flist: Flist) -> Flist:
    """Whether DELETE_PAYINFO would do it: RESULT 1, or 0 with the reason."""
    payinfo = _payinfo(ctx.tx, required(flist, "POID"))
    users = ctx.tx.by_key("/billinfo.PAYINFO_OBJ", payinfo["POID"])
    why = f"used by {users[0]['POID']}" if users else "success"
    return {"POID": payinfo["POID"], "RESULT": int(not users), "DESCR": why}


@opcode("PCM_OP_CUST_DELETE_BILLINFO")
def delete_billinfo(ctx: Context, flist: Flist) -> Flist:
    """Delete a bill unit that never billed anything and is not its account's default.

    Its own empty balance group goes with it. BAD_VALUE @POID while there is another group, a charge, a bill or a child, or
    while it is in a collections group.
    """
    tx, program = ctx.tx, program_of(flist)
    unit = tx.get(required(flist, "POID"), error="NOT_FOUND")
    if unit["POID"].type != "/billinfo":
        raise BrmFault("BAD_POID_TYPE", "POID", f"{unit['POID']} is no bill unit")
    account = tx.get(unit["ACCOUNT_OBJ"])
    groups = groups_of_unit(tx, unit["POID"])
    if len(units_of(tx, account["POID"])) == 1 or default_unit(tx, account)["POID"] == unit["POID"]:
        raise BrmFault("BAD_VALUE", "POID", "the account's default bill unit stays")
    if unit.get("LAST_BILL_OBJ") is not None or tx.by_key("/item.BILLINFO_OBJ", unit["POID"]):
        raise BrmFault("BAD_VALUE", "POID", "the bill unit has charges")
    grouped = [each for key in ("BILLINFO_OBJ", "member_unit") for each in tx.by_key(f"/group.{key}", unit["POID"])]
    if children_of(tx, unit["POID"]) or grouped:
        raise BrmFault("BAD_VALUE", "POID", "other bill units depend on it")
    if len(groups) > 1 or any(tx.by_key("/service.BAL_GRP_OBJ", group["POID"]) for group in groups):
        raise BrmFault("BAD_VALUE", "POID", "the bill unit has balance groups in use")
    for poid in (*(group["POID"] for group in groups), unit["BILL_OBJ"], unit["POID"]):
        tx.delete(poid)
    what = Occurrence("/event/customer/billinfo", f"Deleted bill unit {unit['BILLINFO_ID']}", tx.now, tx.now, program)
    return done(unit["POID"], [record(tx, account["POID"], None, what)])

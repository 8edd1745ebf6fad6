"""Bill units, payment records and balance groups of existing accounts (4.1)."""

from __future__ import annotations

from typing import Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.ledger import Occurrence, record
from sandbox.billing.units import (
    FREQUENCIES,
    ancestors,
    check_unique_id,
    create_group,
    default_unit,
    is_nonpaying,
    payer_of,
    repoint_receivables,
)
from sandbox.codes import PAYINFO_CLASS, PayType, State
from sandbox.errors import BrmFault
from sandbox.opcodes.links import Links, create_payinfo
from sandbox.opcodes.registry import (
    Context,
    account_of,
    done,
    effective_time,
    opcode,
    program_of,
    required,
    required_array,
    results,
)
from sandbox.store.sqlite import Tx

_UNIT_FIELDS: Final = ("BILLINFO_ID", "BUSINESS_PROFILE_OBJ", "ACTG_TYPE")


def _open_account(tx: Tx, flist: Flist, name: str = "ACCOUNT_OBJ") -> Flist:
    account = account_of(tx, flist, name)
    if account["STATUS"] == State.CLOSED:
        raise BrmFault("BAD_VALUE", "STATUS", "the account is closed")
    return account


def _event(tx: Tx, account: Poid, part: str, descr: str, program: str) -> Flist:
    return record(tx, account, None, Occurrence(f"/event/customer/{part}", descr, tx.now, tx.now, program))


@opcode("PCM_OP_CUST_CREATE_BILLINFO")
def create_billinfo(ctx: Context, flist: Flist) -> Flist:
    """A further bill unit; it gets a default balance group unless one comes along. DUPLICATE @BILLINFO_ID in its account."""
    tx, program = ctx.tx, program_of(flist)
    account = _open_account(tx, flist)
    links = Links(tx, account, effective_time(tx, flist))
    links.add_payinfos(flist)
    only: Flist = {**flist, "BILLINFO": Array.of({name: value for name, value in flist.items() if name != "BAL_INFO"})}
    links.add_units(only)
    unit = tx.get(links.units[0])
    links.add_groups({"BAL_INFO": flist["BAL_INFO"]} if flist.get("BAL_INFO") else {})
    links.add_default_groups(only)
    answer = done(unit["POID"], [_event(tx, account["POID"], "billinfo", f"Bill unit {unit['BILLINFO_ID']}", program)])
    answer |= {"BILLINFO_ID": unit["BILLINFO_ID"], "ACTG_CYCLE_DOM": unit["ACTG_CYCLE_DOM"]}
    if links.payinfos:
        answer["PAYINFO"] = Array({element: {"POID": poid} for element, poid in links.payinfos.items()})
    group = tx.get(tx.get(unit["POID"])["BAL_GRP_OBJ"])
    answer["BAL_INFO"] = Array.of({"POID": group["POID"], "NAME": group["NAME"]})
    return answer


@opcode("PCM_OP_CUST_SET_BILLINFO")
def set_billinfo(ctx: Context, flist: Flist) -> Flist:
    """Change bill units of an account: payment, cycle, payer. Repeating it changes nothing more."""
    tx, program = ctx.tx, program_of(flist)
    account = account_of(tx, flist)
    links = Links(tx, account, effective_time(tx, flist))
    changed = Array()
    for element, given in required_array(flist, "BILLINFO").items():
        unit = change_unit(tx, links, given)
        changed[element] = {"POID": unit["POID"]}
    events = [_event(tx, account["POID"], "billinfo", "Changed bill unit", program)]
    return {"POID": account["POID"], "BILLINFO": changed, "RESULTS": results(events)}


def change_unit(tx: Tx, links: Links, given: Flist) -> Flist:
    """Set the given fields of one bill unit and whatever follows from a change of payer."""
    unit = tx.edit(tx.get(required(given, "POID"), "BILLINFO")["POID"])
    if unit["ACCOUNT_OBJ"] != links.account["POID"]:
        raise BrmFault("BAD_VALUE", "BILLINFO", f"{unit['POID']} belongs to another account")
    for name in _UNIT_FIELDS:
        if given.get(name) is not None:
            unit[name] = given[name]
    if "BILLINFO_ID" in given:
        check_unique_id(tx, unit)
    if given.get("CURRENCY") not in (None, unit["CURRENCY"]):
        raise BrmFault("CURRENCY_MISMATCH", "CURRENCY", "the currency of a bill unit is its account's")
    _change_payment(tx, links, unit, given)
    _change_cycle(tx, unit, given)
    return unit


def _change_payment(tx: Tx, links: Links, unit: Flist, given: Flist) -> None:
    """Pay type, payment record and parent move together; receivables follow the payer (INV-05, rule 16, rule 17)."""
    pay_type = given.get("PAY_TYPE")
    if pay_type is None:
        pay_type = PayType.NONPAYING if given.get("PARENT_BILLINFO_OBJ") else unit["PAY_TYPE"]
    was = (unit["PAY_TYPE"], unit.get("PARENT_BILLINFO_OBJ"))
    payinfo = links.payinfo_of(given) if given.get("PAYINFO") or given.get("PAYINFO_OBJ") else None
    if payinfo is not None:
        unit["PAYINFO_OBJ"] = payinfo
    unit["PAY_TYPE"] = int(pay_type)
    if pay_type == PayType.NONPAYING:
        if given.get("PARENT_BILLINFO_OBJ") is not None:
            unit["PARENT_BILLINFO_OBJ"] = tx.get(given["PARENT_BILLINFO_OBJ"], "PARENT_BILLINFO_OBJ")["POID"]
        for pending in ("_future_months", "ACTG_FUTURE_DOM"):
            unit.pop(pending, None)
    else:
        unit.pop("PARENT_BILLINFO_OBJ", None)
        if unit.get("PAYINFO_OBJ") is None:
            unit["PAYINFO_OBJ"] = _existing_payinfo(tx, unit, pay_type)
    if (unit["PAY_TYPE"], unit.get("PARENT_BILLINFO_OBJ")) != was:
        list(ancestors(tx, unit))
        repoint_receivables(tx, unit)
    named = given.get("AR_BILLINFO_OBJ")
    if named is not None and named != payer_of(tx, unit)["POID"]:
        raise BrmFault("BAD_VALUE", "AR_BILLINFO_OBJ", "not the nearest paying bill unit above")


def _existing_payinfo(tx: Tx, unit: Flist, pay_type: int) -> Poid:
    """Rule 16: becoming paying without naming a payment record takes a fitting one of the account, else fails."""
    wanted = next((class_ for known, class_ in PAYINFO_CLASS.items() if known == pay_type), None)
    for payinfo in tx.by_key("/payinfo.ACCOUNT_OBJ", unit["ACCOUNT_OBJ"]):
        if wanted is None or payinfo["POID"].type == wanted:
            found: Poid = payinfo["POID"]
            return found
    raise BrmFault("BAD_VALUE", "PAYINFO_OBJ", "a paying bill unit needs a payment record")


def _change_cycle(tx: Tx, unit: Flist, given: Flist) -> None:
    """Frequency and day change with the next cycle (rule 18); only the paying unit of a hierarchy decides them."""
    months, cycle_day = given.get("BILL_WHEN"), given.get("ACTG_FUTURE_DOM")
    payer = payer_of(tx, unit)
    if months is not None:
        if months not in FREQUENCIES:
            raise BrmFault("BAD_VALUE", "BILL_WHEN", f"{months} months is no billing frequency")
        if is_nonpaying(unit) and months != payer.get("_future_months", payer["BILL_WHEN"]):
            raise BrmFault("BAD_VALUE", "BILL_WHEN", "a nonpaying bill unit has its payer's frequency")
        if not is_nonpaying(unit):
            unit["_future_months"] = months
    if cycle_day is not None:
        if not 1 <= cycle_day <= 31:
            raise BrmFault("BAD_VALUE", "ACTG_FUTURE_DOM", f"{cycle_day} is no day of a month")
        if is_nonpaying(unit) and cycle_day != payer.get("ACTG_FUTURE_DOM", payer["ACTG_CYCLE_DOM"]):
            raise BrmFault("BAD_VALUE", "ACTG_CYCLE_DOM", "a nonpaying bill unit has its payer's cycle day")
        if not is_nonpaying(unit):
            unit["ACTG_FUTURE_DOM"] = cycle_day


@opcode("PCM_OP_CUST_CREATE_PAYINFO")
def create_payment_record(ctx: Context, flist: Flist) -> Flist:
    """A payment record without effect until a bill unit names it."""
    tx, program = ctx.tx, program_of(flist)
    account = _open_account(tx, flist)
    required(flist, "POID")
    payinfo = create_payinfo(tx, account, flist)
    return done(payinfo["POID"], [_event(tx, account["POID"], "payinfo", "Payment record", program)])


@opcode("PCM_OP_CUST_CREATE_BAL_GRP")
def create_balance_group(ctx: Context, flist: Flist) -> Flist:
    """A balance group on a bill unit of the account, the default one unless named."""
    tx, program = ctx.tx, program_of(flist)
    account = _open_account(tx, flist)
    named = flist.get("BILLINFO_OBJ")
    unit = tx.get(named, "BILLINFO_OBJ") if named is not None else default_unit(tx, account)
    group = create_group(tx, account, unit, flist.get("NAME"), flist)
    return done(group["POID"], [_event(tx, account["POID"], "balance_group", f"Balance group {group['NAME']}", program)])

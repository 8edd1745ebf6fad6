"""Balances, balance groups with their services, validity and limits (4.5, 4.7)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from libs.brm.flist import Array, Flist
from sandbox.billing.ledger import Occurrence, is_valid, record, total_at
from sandbox.billing.limits import set_limits, set_rules
from sandbox.billing.units import groups_of_unit, units_of
from sandbox.errors import BrmFault
from sandbox.money import ZERO
from sandbox.opcodes.registry import Context, account_of, done, elements, opcode, program_of, required, required_array
from sandbox.store.pack import copied
from sandbox.store.sqlite import Tx

_WITH_PARTS: Final = 1
"""Flag of BAL_GET_BALANCES: show sub-balances."""
_ANY_VALIDITY: Final = 2
"""Flag of BAL_GET_BALANCES: show sub-balances that do not count at the time asked about too."""
DEFAULT_GROUP: Final = 1
"""Flag of a balance group that is its bill unit's default."""


@opcode("PCM_OP_BAL_GET_BALANCES")
def get_balances(ctx: Context, flist: Flist) -> Flist:
    """Balances of one group as of END_T (else now): what counts then, with limits; BALANCES filters resources."""
    tx = ctx.tx
    group = _group(tx, flist)
    moment = flist.get("END_T") or flist.get("START_T") or tx.now
    flags = flist.get("FLAGS") or 0
    wanted = set(flist.get("BALANCES") or {"*": None})
    shown = Array()
    limits, rules = group.get("LIMIT") or {}, group.get("RULES") or {}
    balances = group.get("BALANCES") or {}
    for resource in sorted({*balances, *limits, *rules}, key=int):
        if "*" in wanted or resource in wanted:
            balance = balances.get(resource) or {"SUB_BALANCES": Array(), "RESERVED_AMOUNT": ZERO}
            shown[resource] = {
                "CURRENT_BAL": total_at(balance["SUB_BALANCES"], moment),
                "RESERVED_AMOUNT": balance["RESERVED_AMOUNT"],
                **(limits.get(resource) or {}),
                **(rules.get(resource) or {}),
                **_parts(balance["SUB_BALANCES"], moment, flags),
            }
    return {"POID": flist["POID"], "BAL_GRP_OBJ": group["POID"], **({"BALANCES": shown} if shown else {})}


def _parts(sub_balances: Array, moment: datetime, flags: int) -> Flist:
    if not flags & (_WITH_PARTS | _ANY_VALIDITY):
        return {}
    kept = {
        element: {**each, "AMOUNT": each["CURRENT_BAL"]}
        for element, each in sub_balances.items()
        if flags & _ANY_VALIDITY or is_valid(each, moment)
    }
    return {"SUB_BALANCES": Array(kept)} if kept else {}


def _group(tx: Tx, flist: Flist) -> Flist:
    """The group a call names: itself, its service's or bill unit's, else the account's default one."""
    account = account_of(tx, flist)
    poid = flist.get("BAL_GRP_OBJ")
    for name in ("SERVICE_OBJ", "BILLINFO_OBJ"):
        if poid is None and flist.get(name) is not None:
            poid = tx.get(flist[name], name)["BAL_GRP_OBJ"]
    group = tx.get(poid or account["BAL_GRP_OBJ"], "BAL_GRP_OBJ")
    if group["ACCOUNT_OBJ"] != account["POID"]:
        raise BrmFault("BAD_VALUE", "BAL_GRP_OBJ", f"{group['POID']} belongs to another account")
    return group


def _with_services(tx: Tx, units: Iterable[Flist], flist: Flist) -> Flist:
    rows = []
    for unit in units:
        for group in groups_of_unit(tx, unit["POID"]):
            row: Flist = {"BAL_GRP_OBJ": group["POID"], "BILLINFO_OBJ": unit["POID"], "NAME": group["NAME"]}
            row["FLAGS"] = DEFAULT_GROUP if unit["BAL_GRP_OBJ"] == group["POID"] else 0
            services = tx.by_key("/service.BAL_GRP_OBJ", group["POID"])
            if services:
                row["SERVICES"] = Array.of(
                    *({"SERVICE_OBJ": each["POID"], "LOGIN": each["LOGIN"], "STATUS": each["STATUS"]} for each in services)
                )
            rows.append(row)
    limit = flist.get("THRESHOLD") or len(rows)
    return {"POID": flist["POID"], "BAL_INFO": Array.of(*rows[:limit])}


@opcode("PCM_OP_BAL_POL_GET_BAL_GRP_AND_SVC")
@opcode("PCM_OP_BAL_GET_BAL_GRP_AND_SVC")
def get_bal_grp_and_svc(ctx: Context, flist: Flist) -> Flist:
    """Balance groups of a bill unit (POID, or an account's BILLINFO_OBJ) with their services."""
    named = flist.get("BILLINFO_OBJ") if required(flist, "POID").type == "/account" else flist["POID"]
    unit = ctx.tx.get(required({"BILLINFO_OBJ": named}, "BILLINFO_OBJ"), "BILLINFO_OBJ")
    if unit["POID"].type != "/billinfo":
        raise BrmFault("BAD_POID_TYPE", "POID", f"{unit['POID']} is no bill unit")
    return _with_services(ctx.tx, [unit], flist)


@opcode("PCM_OP_BAL_GET_ACCT_BAL_GRP_AND_SVC")
def get_acct_bal_grp_and_svc(ctx: Context, flist: Flist) -> Flist:
    """Balance groups of all bill units of an account, or of BILLINFO_OBJ, with their services."""
    units = units_of(ctx.tx, account_of(ctx.tx, flist)["POID"])
    named = flist.get("BILLINFO_OBJ")
    return _with_services(ctx.tx, [unit for unit in units if named in (None, unit["POID"])], flist)


@opcode("PCM_OP_BAL_CHANGE_VALIDITY")
def change_validity(ctx: Context, flist: Flist) -> Flist:
    """Set from when and until when sub-balances count; a field that is not given stays."""
    tx, program = ctx.tx, program_of(flist)
    account = account_of(tx, flist)
    for given in required_array(flist, "SUB_BALANCES").values():
        group = tx.edit(tx.get(required(given, "BAL_GRP_OBJ"), "BAL_GRP_OBJ")["POID"])
        if group["ACCOUNT_OBJ"] != account["POID"]:
            raise BrmFault("BAD_VALUE", "BAL_GRP_OBJ", f"{group['POID']} belongs to another account")
        balance = (group.get("BALANCES") or {}).get(required(given, "RESOURCE_ID"))
        part = balance["SUB_BALANCES"].get(required(given, "ELEMENT_ID")) if balance else None
        if balance is None or part is None:
            raise BrmFault("NOT_FOUND", "ELEMENT_ID", f"{group['POID']} has no such sub-balance")
        part.update({name: given[name] for name in ("VALID_FROM", "VALID_TO") if given.get(name) is not None})
        if part.get("VALID_FROM") and part.get("VALID_TO") and part["VALID_FROM"] >= part["VALID_TO"]:
            raise BrmFault("BAD_VALUE", "VALID_TO", "validity ends before it begins")
        balance["EFFECTIVE_T"] = tx.now
        balance["CURRENT_BAL"] = total_at(balance["SUB_BALANCES"], tx.now)
    what = Occurrence("/event/billing/sub_balance/validity", "Changed validity", tx.now, tx.now, program)
    event = record(tx, account["POID"], None, what)
    return {**done(event["POID"], [event]), "DESCR": "success"}


@opcode("PCM_OP_BILL_SET_LIMIT_AND_CR")
def set_limit_and_cr(ctx: Context, flist: Flist) -> Flist:
    """Set credit limits and consumption rules by resource on a balance group; the same again changes nothing."""
    tx, program = ctx.tx, program_of(flist)
    stored = _group(tx, flist)
    wanted = copied(stored)
    set_limits(wanted, elements(flist, "LIMIT"))
    set_rules(wanted, elements(flist, "RULES"))
    changes = {name: wanted[name] for name in ("LIMIT", "RULES") if wanted.get(name) != stored.get(name)}
    if not changes:
        return {"POID": stored["POID"]}
    group = tx.edit(stored["POID"])
    group.update(changes)
    what = Occurrence("/event/billing/limit", "Changed limits", tx.now, tx.now, program)
    event = record(tx, group["ACCOUNT_OBJ"], None, what)
    return done(group["POID"], [event])

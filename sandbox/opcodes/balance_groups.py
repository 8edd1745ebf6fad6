"""Attaching, changing and deleting balance groups (4.1)."""

from __future__ import annotations

from libs.brm.flist import Flist
from libs.brm.poid import Poid
from sandbox.billing.ledger import Occurrence, record
from sandbox.billing.limits import set_limits
from sandbox.billing.offers import offers_of
from sandbox.codes import OfferStatus
from sandbox.errors import BrmFault
from sandbox.opcodes.registry import Context, done, elements, opcode, program_of, required
from sandbox.store.pack import copied
from sandbox.store.sqlite import Tx


def move_service(tx: Tx, service: Flist, group: Flist) -> None:
    """A service and its live offers charge another group of the same account from now on; old balances stay behind."""
    tx.edit(service["POID"])["BAL_GRP_OBJ"] = group["POID"]
    for offer in offers_of(tx, service):
        if offer["STATUS"] != OfferStatus.CANCELLED:
            tx.edit(offer["POID"]).update(BAL_GRP_OBJ=group["POID"], BILLINFO_OBJ=group["BILLINFO_OBJ"])


def _group(tx: Tx, poid: Poid) -> Flist:
    group = tx.get(poid, error="NOT_FOUND")
    if group["POID"].type != "/balance_group":
        raise BrmFault("BAD_POID_TYPE", "POID", f"{group['POID']} is no balance group")
    return group


def _event(tx: Tx, group: Flist, what: str, program: str) -> list[Flist]:
    occurrence = Occurrence("/event/customer/balance_group", f"{what} {group['NAME']}", tx.now, tx.now, program)
    return [record(tx, group["ACCOUNT_OBJ"], None, occurrence)]


@opcode("PCM_OP_CUST_SET_BAL_GRP")
def set_bal_grp(ctx: Context, flist: Flist) -> Flist:
    """Attach a group to a bill unit or to services of its account, or rename it; repeating it changes nothing."""
    tx, program = ctx.tx, program_of(flist)
    group = _group(tx, required(flist, "POID"))
    changed = _rename(tx, group, flist)
    if (unit := flist.get("BILLINFO_OBJ")) is not None and unit != group["BILLINFO_OBJ"]:
        _attach(tx, group, tx.get(unit, "BILLINFO_OBJ"))
        changed = True
    for given in elements(flist, "SERVICES").values():
        service = tx.get(required(given, "SERVICE_OBJ"), "SERVICE_OBJ", "NOT_FOUND")
        if service["ACCOUNT_OBJ"] != group["ACCOUNT_OBJ"]:
            raise BrmFault("BAD_VALUE", "SERVICE_OBJ", f"{service['POID']} belongs to another account")
        if service["BAL_GRP_OBJ"] != group["POID"]:
            move_service(tx, service, tx.get(group["POID"]))
            changed = True
    return done(group["POID"], _event(tx, tx.get(group["POID"]), "Changed", program) if changed else [])


def _rename(tx: Tx, group: Flist, given: Flist) -> bool:
    wanted: Flist = {name: given[name] for name in ("NAME", "EFFECTIVE_T") if given.get(name) is not None}
    wanted["LIMIT"] = copied(group.get("LIMIT"))
    set_limits(wanted, elements(given, "LIMIT"))
    changes = {name: value for name, value in wanted.items() if group.get(name) != value}
    if changes:
        tx.edit(group["POID"]).update(changes)
    return bool(changes)


def _attach(tx: Tx, group: Flist, unit: Flist) -> None:
    """Bill a group by another unit of the account; what is pending stays with the unit that collected it."""
    if unit["ACCOUNT_OBJ"] != group["ACCOUNT_OBJ"]:
        raise BrmFault("BAD_VALUE", "BILLINFO_OBJ", f"{unit['POID']} belongs to another account")
    if tx.get(group["BILLINFO_OBJ"])["BAL_GRP_OBJ"] == group["POID"]:
        raise BrmFault("BAD_VALUE", "BILLINFO_OBJ", "a bill unit keeps its default balance group")
    tx.edit(group["POID"])["BILLINFO_OBJ"] = unit["POID"]
    for key in ("/purchased_product", "/purchased_discount"):
        for offer in tx.by_key(f"{key}.ACCOUNT_OBJ", group["ACCOUNT_OBJ"]):
            if offer["BAL_GRP_OBJ"] == group["POID"] and offer["STATUS"] != OfferStatus.CANCELLED:
                tx.edit(offer["POID"])["BILLINFO_OBJ"] = unit["POID"]


@opcode("PCM_OP_CUST_MODIFY_BAL_GRP")
def modify_bal_grp(ctx: Context, flist: Flist) -> Flist:
    """Change name, limits or start of a group."""
    tx, program = ctx.tx, program_of(flist)
    group = _group(tx, required(flist, "POID"))
    changed = _rename(tx, group, flist)
    return done(group["POID"], _event(tx, tx.get(group["POID"]), "Changed", program) if changed else [])


@opcode("PCM_OP_CUST_DELETE_BAL_GRP")
def delete_bal_grp(ctx: Context, flist: Flist) -> Flist:
    """Delete a group without balance, service, open item or offer that is nobody's default; else BAD_VALUE @POID."""
    tx, program = ctx.tx, program_of(flist)
    group = _group(tx, required(flist, "POID"))
    poid = group["POID"]
    if any(balance["CURRENT_BAL"] for balance in (group.get("BALANCES") or {}).values()):
        raise BrmFault("BAD_VALUE", "POID", "the balance group has a balance")
    if tx.by_key("/service.BAL_GRP_OBJ", poid) or tx.by_key("/item.unclosed_of_group", poid) or _used(tx, group):
        raise BrmFault("BAD_VALUE", "POID", "the balance group is in use")
    if poid in (tx.get(group["ACCOUNT_OBJ"])["BAL_GRP_OBJ"], tx.get(group["BILLINFO_OBJ"])["BAL_GRP_OBJ"]):
        raise BrmFault("BAD_VALUE", "POID", "a default balance group stays")
    tx.delete(poid)
    return done(poid, _event(tx, group, "Deleted", program))


def _used(tx: Tx, group: Flist) -> bool:
    """Whether an item, an offer or a sharing group still names the group."""
    account = group["ACCOUNT_OBJ"]
    keys = ("/item", "/purchased_product", "/purchased_discount")
    owned = [each for key in keys for each in tx.by_key(f"{key}.ACCOUNT_OBJ", account)]
    return any(each.get("BAL_GRP_OBJ") == group["POID"] for each in (*owned, *tx.by_key("/group.PARENT", account)))

"""Items of accounts and bill units, what was done about them, and what they used (4.6)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.actions import open_disputes
from sandbox.billing.receivables import is_action, owed_by_bill, transfers_of
from sandbox.billing.units import payer_of, units_of
from sandbox.errors import BrmFault
from sandbox.money import ZERO, is_currency
from sandbox.opcodes.base import visible
from sandbox.opcodes.receivables import is_wanted, limited, one_unit, units_asked
from sandbox.opcodes.registry import Context, opcode, required
from sandbox.store.sqlite import Tx


def _of_units(tx: Tx, units: Iterable[Flist], flist: Flist) -> list[Flist]:
    """Items of bill units; with INCLUDE_CHILDREN those of nonpaying units that are still owed by them too."""
    found: dict[int, Flist] = {}
    for unit in units:
        found.update((item["POID"].id, item) for item in tx.by_key("/item.BILLINFO_OBJ", unit["POID"]))
        if flist.get("INCLUDE_CHILDREN"):
            found.update((item["POID"].id, item) for item in tx.by_key("/item.unclosed_of_payer", unit["POID"]))
    kept = [item for item in found.values() if is_wanted(item, flist)]
    return sorted(kept, key=lambda item: (item["EFFECTIVE_T"], item["POID"].id))


@opcode("PCM_OP_AR_GET_ACCT_ITEMS")
def get_acct_items(ctx: Context, flist: Flist) -> Flist:
    """Items of an account's bill units, or of the one named; STATUS is a mask (1 pending, 2 open, 4 closed)."""
    return limited(flist, _of_units(ctx.tx, units_asked(ctx, flist), flist))


@opcode("PCM_OP_AR_GET_ITEMS")
def get_items(ctx: Context, flist: Flist) -> Flist:
    """Items of one bill unit."""
    return limited(flist, _of_units(ctx.tx, [one_unit(ctx.tx, flist, "POID")], flist))


def _described(tx: Tx, item: Flist) -> Flist:
    """An action item with the item it acted on first."""
    acted_on = next((each.target for each in transfers_of(tx, item["POID"]) if each.source == item["POID"]), None)
    return {**item, **({"ITEM_OBJ": acted_on} if acted_on is not None else {})}


def _actions(ctx: Context, units: Iterable[Flist], flist: Flist) -> Flist:
    tx = ctx.tx
    return limited(flist, [_described(tx, item) for item in _of_units(tx, units, flist) if is_action(item)])


@opcode("PCM_OP_AR_GET_ACCT_ACTION_ITEMS")
def get_acct_action_items(ctx: Context, flist: Flist) -> Flist:
    """Payments, adjustments and other actions of an account (or of a bill unit, named by POID or BILLINFO_OBJ)."""
    if required(flist, "POID").type == "/billinfo":
        return get_action_items(ctx, flist)
    return _actions(ctx, units_asked(ctx, flist), flist)


@opcode("PCM_OP_AR_GET_ACTION_ITEMS")
def get_action_items(ctx: Context, flist: Flist) -> Flist:
    """Actions of one bill unit; those of nonpaying children only with INCLUDE_CHILDREN (rule 40)."""
    return _actions(ctx, [one_unit(ctx.tx, flist, "POID")], flist)


@opcode("PCM_OP_AR_GET_DISPUTES")
def get_disputes(ctx: Context, flist: Flist) -> Flist:
    """Disputes of an account, bill unit or bill that are open, or in the states that STATUS names."""
    tx = ctx.tx
    poid = required(flist, "POID")
    if poid.type == "/bill":
        bill = tx.get(poid)
        concerned = {item["POID"] for item in owed_by_bill(tx, bill)}
        found = [item for item in open_disputes(tx, bill["AR_BILLINFO_OBJ"]) if concerned & _disputed(item)]
        return limited(flist, [_described(tx, item) for item in found])
    units = units_of(tx, tx.get(poid)["POID"]) if poid.type == "/account" else [one_unit(tx, flist, "POID")]
    named = flist.get("BILLINFO_OBJ")
    units = [unit for unit in units if named in (None, unit["POID"])]
    if flist.get("STATUS"):
        every = _of_units(tx, units, flist)
        found = [item for item in every if item["POID"].type == "/item/dispute"]
    else:
        payers = {payer_of(tx, unit)["POID"]: unit for unit in units}
        own = {unit["POID"] for unit in units}
        found = [
            item
            for payer in payers
            for item in open_disputes(tx, payer)
            if item["BILLINFO_OBJ"] in own or flist.get("INCLUDE_CHILDREN")
        ]
    return limited(flist, [_described(tx, item) for item in found])


def _disputed(item: Flist) -> set[Poid]:
    return {given["ITEM_OBJ"] for given in (item.get("DISPUTES") or {}).values()}


@opcode("PCM_OP_AR_GET_DISPUTE_DETAILS")
def get_dispute_details(ctx: Context, flist: Flist) -> Flist:
    """One dispute with the items it is about and the events that recorded it."""
    tx = ctx.tx
    item = tx.get(required(flist, "POID"))
    if item["POID"].type != "/item/dispute":
        raise BrmFault("BAD_POID_TYPE", "POID", f"{item['POID']} is no dispute")
    targets = [tx.get(poid) for poid in dict.fromkeys(each.target for each in transfers_of(tx, item["POID"]))]
    events = tx.by_key("/event.of_item", item["POID"])
    limit = flist.get("THRESHOLD") or max(len(targets), len(events))
    answer = visible(_described(tx, item))
    if targets:
        answer["ITEMS"] = Array.of(*map(visible, targets[:limit]))
    return {**answer, "EVENTS": Array.of(*map(visible, events[:limit]))}


@opcode("PCM_OP_AR_RESOURCE_AGGREGATION")
def resource_aggregation(ctx: Context, flist: Flist) -> Flist:
    """Counted resources (minutes, megabytes) that the events of an item or a bill changed, one total per resource."""
    tx = ctx.tx
    target = tx.get(required(flist, "POID"))
    if target["POID"].type == "/bill":
        items = tx.by_key("/item.BILL_OBJ", target["POID"])
    elif target["POID"].type.startswith("/item"):
        items = [target]
    else:
        raise BrmFault("BAD_POID_TYPE", "POID", f"{target['POID']} is neither item nor bill")
    events = {event["POID"].id: event for item in items for event in tx.by_key("/event.of_item", item["POID"])}
    sums: dict[int, list[Decimal]] = defaultdict(lambda: [ZERO, ZERO])
    for event in events.values():
        for impact in (event.get("BAL_IMPACTS") or {}).values():
            if not is_currency(impact["RESOURCE_ID"]):
                sums[impact["RESOURCE_ID"]][0] += impact["AMOUNT"]
                sums[impact["RESOURCE_ID"]][1] += event.get("NET_QUANTITY") or ZERO
    rows = [
        {"RESOURCE_ID": resource, "AMOUNT": amount, "DISCOUNT": ZERO, "QUANTITY": quantity}
        for resource, (amount, quantity) in sorted(sums.items())
    ]
    limit = flist.get("THRESHOLD") or len(rows)
    return {"POID": target["POID"], **({"RESULTS": Array.of(*rows[:limit])} if rows else {})}

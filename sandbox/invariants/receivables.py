"""Money: items, bills and balances agree with each other and with the events. All internal assertions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from libs.brm.flist import Flist
from sandbox.billing.ledger import AMOUNTS, total_at
from sandbox.billing.receivables import TRANSFER, is_action, owed_by_bill
from sandbox.billing.units import is_nonpaying
from sandbox.codes import ItemStatus
from sandbox.invariants.core import Scope, invariant
from sandbox.money import ZERO, is_currency

Breaches = Iterator[tuple[str, str, str]]


@invariant("INV-15", "/item")
def item_adds_up(_: Scope, item: Flist) -> Breaches:
    total = sum((item[name] for name in AMOUNTS), ZERO)
    if item["DUE"] != total:
        yield f"DUE {item['DUE']}, amounts sum to {total}", "", ""


@invariant("INV-16", "/bill")
def bill_adds_up(scope: Scope, bill: Flist) -> Breaches:
    if bill["STATUS"] == ItemStatus.PENDING:
        return
    tx = scope.tx
    current = sum((item["ITEM_TOTAL"] for item in tx.by_key("/item.BILL_OBJ", bill["POID"])), ZERO)
    children = tx.by_key("/bill.PARENT", bill["POID"])
    subordinate = sum((child["CURRENT_TOTAL"] + child["SUBORDS_TOTAL"] for child in children), ZERO)
    due = ZERO
    if not is_nonpaying(tx.get(bill["BILLINFO_OBJ"])) or bill.get("PARENT") is None:
        due = sum((item["DUE"] for item in owed_by_bill(tx, bill)), ZERO)
    expected = {
        "CURRENT_TOTAL": current,
        "SUBORDS_TOTAL": subordinate,
        "TOTAL_DUE": bill["PREVIOUS_TOTAL"] + current + subordinate,
        "DUE": due,
    }
    for name, amount in expected.items():
        if bill[name] != amount:
            yield f"{name} {bill[name]}, expected {amount}", "", ""


@invariant("INV-17", "/balance_group")
def currency_balance_is_what_items_owe(scope: Scope, group: Flist) -> Breaches:
    owed = sum((item["DUE"] for item in scope.tx.by_key("/item.unclosed_of_group", group["POID"])), ZERO)
    balances = group.get("BALANCES") or {}
    balance = sum((each["CURRENT_BAL"] for resource, each in balances.items() if is_currency(resource)), ZERO)
    if owed != balance:
        yield f"balance {balance}, items owe {owed}", "", ""


@invariant("INV-18", "/balance_group")
def counted_balance_is_sum_of_valid_parts(_: Scope, group: Flist) -> Breaches:
    for resource, balance in (group.get("BALANCES") or {}).items():
        total = total_at(balance["SUB_BALANCES"], balance["EFFECTIVE_T"])
        if balance["CURRENT_BAL"] != total:
            yield f"resource {resource}: balance {balance['CURRENT_BAL']}, sub-balances {total}", "", ""


@invariant("INV-19", "/item")
def item_status_follows_due(_: Scope, item: Flist) -> Breaches:
    """Action items are on no bill: open while they hold something, a dispute until it is settled."""
    if item.get("BILL_OBJ") is None and (item["STATUS"] == ItemStatus.PENDING or not is_action(item)):
        expected = ItemStatus.PENDING
    else:
        expected = ItemStatus.OPEN if item["DUE"] or item.get("DISPUTES") else ItemStatus.CLOSED
    if item["STATUS"] != expected:
        yield f"status {item['STATUS']} with {item['DUE']} due, expected {int(expected)}", "", ""


@invariant("INV-20", "/balance_group")
def a_balance_moves_by_the_impacts_of_its_events(scope: Scope, group: Flist) -> Breaches:
    """At commit: what a transaction added to a balance is what the events it wrote say. Over the whole store: see below."""
    touched = scope.tx.touched
    if not touched:
        return
    said: dict[int, Decimal] = defaultdict(lambda: ZERO)
    for event in touched:
        if event["POID"].type.startswith("/event") and scope.is_created(event):
            for impact in (event.get("BAL_IMPACTS") or {}).values():
                if impact["BAL_GRP_OBJ"] == group["POID"]:
                    said[impact["RESOURCE_ID"]] += impact["AMOUNT"]
    before = _held(scope.tx.original(group["POID"].id) or {})
    after = _held(group)
    for resource in {*before, *after, *said}:
        moved = after.get(resource, ZERO) - before.get(resource, ZERO)
        if moved != said[resource]:
            yield f"resource {resource} moved by {moved}, the events say {said[resource]}", "", ""


@invariant("INV-20", "/event")
def an_event_moves_the_balances_it_names(scope: Scope, event: Flist) -> Breaches:
    """At commit: no impact without its balance group written with it."""
    touched = {flist["POID"].id for flist in scope.tx.touched}
    for impact in (event.get("BAL_IMPACTS") or {}).values():
        if touched and impact["AMOUNT"] and scope.is_created(event) and impact["BAL_GRP_OBJ"].id not in touched:
            yield f"an impact of {impact['AMOUNT']} on {impact['BAL_GRP_OBJ']}, whose balance stays", "", ""


def _held(group: Flist) -> dict[int, Decimal]:
    """Everything a balance group holds by resource, valid now or not."""
    return {
        resource: sum((part["CURRENT_BAL"] for part in balance["SUB_BALANCES"].values()), ZERO)
        for resource, balance in (group.get("BALANCES") or {}).items()
    }


@invariant("INV-20", "/account")
def balances_come_from_events(scope: Scope, account: Flist) -> Breaches:
    """Sum of all impacts per group and resource is the balance. Checked over the whole store only: it reads all events."""
    if scope.tx.touched:
        return
    sums: dict[tuple[int, int], Decimal] = defaultdict(lambda: ZERO)
    tx, poid = scope.tx, account["POID"]
    for event in (*tx.by_key("/event.ACCOUNT_OBJ", poid), *tx.by_key("/event.of_other_account", poid)):
        for impact in (event.get("BAL_IMPACTS") or {}).values():
            sums[impact["BAL_GRP_OBJ"].id, impact["RESOURCE_ID"]] += impact["AMOUNT"]
    for group in scope.tx.by_key("/balance_group.ACCOUNT_OBJ", account["POID"]):
        for resource, granted in _held(group).items():
            if granted != sums[group["POID"].id, resource]:
                yield (
                    f"{group['POID']} resource {resource}: balance {granted}, events {sums[group['POID'].id, resource]}",
                    "",
                    "",
                )


@invariant("INV-25", "/item")
def disputes_and_credits_stay_within_what_is_due(scope: Scope, item: Flist) -> Breaches:
    """What open disputes hold back is what their targets miss, and no billed charge is credited below zero.

    A credit counts against what was due when it was given: where a cancellation took back part of the charge afterwards, the
    item may owe the customer as much as was taken back.
    """
    if item["POID"].type == "/item/dispute":
        for given in (item.get("DISPUTES") or {}).values():
            if not 0 < given["AMOUNT"] <= -scope.tx.get(given["ITEM_OBJ"])["DISPUTED"]:
                yield f"disputes {given['AMOUNT']} that {given['ITEM_OBJ']} does not miss", "", ""
    if item["DISPUTED"] > 0:
        yield f"DISPUTED {item['DISPUTED']} is a charge", "", ""
    credited = item["ADJUSTED"] + item["DISPUTED"] + item["WRITEOFF"]
    if item.get("BILL_OBJ") is not None and item["ITEM_TOTAL"] > 0 and credited < 0 and item["DUE"] < 0:
        taken_back = _taken_back(scope, item)
        if item["DUE"] < taken_back:
            yield f"credited down to {item['DUE']}, of which {taken_back} was taken back", "", ""


def _taken_back(scope: Scope, item: Flist) -> Decimal:
    """The negative part of what was charged on an item; what was moved to or from it is not a charge."""
    charges = (event for event in scope.tx.by_key("/event.of_item", item["POID"]) if event["POID"].type != TRANSFER)
    impacts = (impact for event in charges for impact in (event.get("BAL_IMPACTS") or {}).values())
    amounts = (each["AMOUNT"] for each in impacts if each.get("ITEM_OBJ") == item["POID"] and is_currency(each["RESOURCE_ID"]))
    return sum((amount for amount in amounts if amount < 0), ZERO)


@invariant("INV-26", "/item")
def payment_is_positive_and_in_the_units_currency(scope: Scope, item: Flist) -> Breaches:
    if item["POID"].type != "/item/payment":
        return
    if item["AMOUNT"] <= 0 or abs(item["ITEM_TOTAL"]) != item["AMOUNT"]:
        yield f"a payment of {item['AMOUNT']}", "BAD_VALUE", "AMOUNT"
    if item["CURRENCY"] != scope.tx.get(item["BILLINFO_OBJ"])["CURRENCY"]:
        yield f"currency {item['CURRENCY']} is not the bill unit's", "CURRENCY_MISMATCH", "CURRENCY"

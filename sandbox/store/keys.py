"""Secondary keys: the fields by which objects of a class are found without reading them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid

PENDING: Final = 1
SETTLED: Final = 4

_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "/account": ("ACCOUNT_NO",),
    "/billinfo": ("ACCOUNT_OBJ", "BILLINFO_ID", "PARENT_BILLINFO_OBJ", "AR_BILLINFO_OBJ", "PAYINFO_OBJ"),
    "/payinfo": ("ACCOUNT_OBJ",),
    "/balance_group": ("ACCOUNT_OBJ", "BILLINFO_OBJ"),
    "/service": ("ACCOUNT_OBJ", "LOGIN", "BAL_GRP_OBJ", "SUBSCRIPTION_OBJ"),
    "/purchased_product": ("ACCOUNT_OBJ", "SERVICE_OBJ", "DESCR"),
    "/purchased_discount": ("ACCOUNT_OBJ", "SERVICE_OBJ", "DESCR"),
    "/purchased_bundle": ("ACCOUNT_OBJ", "DESCR"),
    "/profile": ("ACCOUNT_OBJ", "SERVICE_OBJ"),
    "/group": ("PARENT", "SERVICE_OBJ", "BILLINFO_OBJ"),
    "/ordered_balgrp": ("ACCOUNT_OBJ", "SERVICE_OBJ"),
    "/collections_scenario": ("ACCOUNT_OBJ", "BILLINFO_OBJ"),
    "/collections_action": ("ACCOUNT_OBJ", "BILLINFO_OBJ", "SCENARIO_OBJ"),
    "/schedule": ("ACCOUNT_OBJ", "OBJECT"),
    "/uniqueness": ("ACCOUNT_NO", "LOGIN"),
    "/bill": ("BILLINFO_OBJ", "PARENT", "BILL_NO", "ACCOUNT_OBJ"),
    "/trial_bill": ("AR_BILLINFO_OBJ",),
    "/item": ("ACCOUNT_OBJ", "BILLINFO_OBJ", "BILL_OBJ", "AR_BILL_OBJ", "TRANS_ID", "DESCR"),
    "/event": ("ACCOUNT_OBJ", "DESCR", "EVENT_OBJ"),
    "/invoice": ("ACCOUNT_OBJ", "BILLINFO_OBJ", "BILL_OBJ"),
}


def _unclosed(field: str) -> Callable[[Flist], Iterator[str]]:
    def values(item: Flist) -> Iterator[str]:
        if item.get("STATUS") != SETTLED and item.get(field) is not None:
            yield key_text(item[field])

    return values


def _pending(item: Flist) -> Iterator[str]:
    if item.get("STATUS") == PENDING:
        yield pending_item_key(
            item["BILLINFO_OBJ"], item.get("SERVICE_OBJ") or item["ACCOUNT_OBJ"], item["BAL_GRP_OBJ"], item["POID"].type
        )


def _pending_of_unit(item: Flist) -> Iterator[str]:
    if item.get("STATUS") == PENDING:
        yield key_text(item["BILLINFO_OBJ"])


def _live_offer(offer: Flist) -> Iterator[str]:
    if offer.get("STATUS") == 1:
        yield key_text(offer["BILLINFO_OBJ"])


def _impact_items(event: Flist) -> Iterator[str]:
    seen = {impact["ITEM_OBJ"].id for impact in event.get("BAL_IMPACTS", {}).values() if impact.get("ITEM_OBJ")}
    if event.get("ITEM_OBJ") is not None:
        seen.add(event["ITEM_OBJ"].id)
    yield from map(str, seen)


def _other_accounts(event: Flist) -> Iterator[str]:
    """Accounts whose balances an event changes beside the one it belongs to: paid for by another, or shared."""
    touched = {impact["ACCOUNT_OBJ"] for impact in event.get("BAL_IMPACTS", {}).values()}
    yield from map(key_text, touched - {event.get("ACCOUNT_OBJ")})


def _members(field: str) -> Callable[[Flist], Iterator[str]]:
    def values(group: Flist) -> Iterator[str]:
        for member in group.get("MEMBERS", {}).values():
            if member.get(field) is not None:
                yield key_text(member[field])

    return values


def _active_scenario(scenario: Flist) -> Iterator[str]:
    if scenario.get("EXIT_T") is None:
        yield key_text(scenario["BILLINFO_OBJ"])


def _pending_action(action: Flist) -> Iterator[str]:
    if action.get("STATUS") == 0:
        yield key_text(action["SCENARIO_OBJ"])


_COMPUTED: Final[Mapping[str, Mapping[str, Callable[[Flist], Iterator[str]]]]] = {
    "/item": {
        "unclosed_of_group": _unclosed("BAL_GRP_OBJ"),
        "unclosed_of_payer": _unclosed("AR_BILLINFO_OBJ"),
        "unclosed_of_unit": _unclosed("BILLINFO_OBJ"),
        "pending": _pending,
        "pending_of_unit": _pending_of_unit,
    },
    "/purchased_product": {"live_of_unit": _live_offer},
    "/purchased_discount": {"live_of_unit": _live_offer},
    "/event": {"of_item": _impact_items, "of_other_account": _other_accounts},
    "/group": {
        "member": _members("ACCOUNT_OBJ"),
        "member_service": _members("SERVICE_OBJ"),
        "member_unit": _members("BILLINFO_OBJ"),
    },
    "/collections_scenario": {"active_of_unit": _active_scenario},
    "/collections_action": {"pending_of_scenario": _pending_action},
}


def family(type_: str) -> str:
    """The class whose keys an object of ``type_`` uses: its first path component."""
    return "/" + type_.split("/", 2)[1]


def key_text(value: Any) -> str:
    """A field value as key: POIDs by id, everything else as text."""
    if isinstance(value, Poid):
        return str(value.id)
    if isinstance(value, datetime):
        return str(int(value.timestamp()))
    return str(value)


def is_keyed(type_: str, field: str) -> bool:
    """Whether objects of this class can be found by this field."""
    return field in _FIELDS.get(family(type_), ())


def pending_item_key(unit: Poid, owner: Poid, group: Poid, type_: str) -> str:
    """Names the one pending item that collects charges of a type for a service or account."""
    return f"{unit.id}:{owner.id}:{group.id}:{type_}"


def keys_of(flist: Flist) -> set[tuple[str, str]]:
    """All (key, value) pairs under which an object is found."""
    base = family(flist["POID"].type)
    found = {
        (f"{base}.{field}", key_text(flist[field]))
        for field in _FIELDS.get(base, ())
        if flist.get(field) is not None and not isinstance(flist[field], Array)
    }
    for name, values in _COMPUTED.get(base, {}).items():
        found.update((f"{base}.{name}", value) for value in values(flist))
    return found

"""The searches we allow (specification 4.13).

A search is one of :data:`SEARCHES`, declared here as data. By default it is sent ad hoc, with its template; a site that only
runs stored searches maps the search's template to its number in the client's settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from libs.brm.call import BrmCall
from libs.brm.calls.collections_groups import COLLECTIONS_GROUP
from libs.brm.calls.values import PoidLike, Scalar, Text, new, poid
from libs.brm.codes import ItemStatus, OfferStatus
from libs.brm.flist import ANY, Array, Flist
from libs.brm.poid import DEFAULT_DB, Poid


@dataclass(frozen=True, slots=True)
class Search:
    """One allowed search: class, conditions (in order), fields wanted (empty: the whole objects)."""

    name: str
    type: str
    by: tuple[str, ...]
    """Fields compared for equality; ``MOD_T >=`` compares otherwise, ``POID.id >=`` a part of a POID."""
    wanted: tuple[str, ...] = ()

    @property
    def template(self) -> str:
        """``select X from /account where F1 = V1 and F2 = V2``; subclasses of the class are found, too."""
        where = " and ".join(_condition(number, by) for number, by in enumerate(self.by, start=1))
        return f"select X from {self.type} where {where}"

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields the values are for."""
        return tuple(by.split()[0].partition(".")[0] for by in self.by)


def _condition(number: int, by: str) -> str:
    name, _, comparison = by.partition(" ")
    part = f".{name.partition('.')[2]}" if "." in name else ""
    return f"F{number}{part} {comparison or '='} V{number}"


_BILLINFO = (
    "POID", "BILLINFO_ID", "ACCOUNT_OBJ", "STATUS", "PAY_TYPE", "PAYINFO_OBJ", "PARENT_BILLINFO_OBJ", "AR_BILLINFO_OBJ",
    "BAL_GRP_OBJ", "CURRENCY", "BILL_WHEN", "ACTG_TYPE", "ACTG_CYCLE_DOM", "ACTG_FUTURE_DOM",
    "BUSINESS_PROFILE_OBJ",
)  # fmt: skip
_WINDOW = ("MOD_T >=", "MOD_T <=")
_RANGE = ("POID.id >=", "POID.id <=")
RECONCILED: Final = (
    "/account", "/billinfo", "/payinfo", "/balance_group", "/group/billing", "/group/sharing", COLLECTIONS_GROUP, "/service",
    "/purchased_product", "/purchased_discount", "/purchased_bundle", "/profile", "/product", "/discount",
)  # fmt: skip
"""Classes that are read by ranges of ids, to compare them with what is known outside of BRM."""
_SERVICE = ("POID", "ACCOUNT_OBJ", "LOGIN", "STATUS", "STATUS_FLAGS", "SERVICE_ID", "BAL_GRP_OBJ", "SUBSCRIPTION_OBJ")

SEARCHES: Final[Mapping[str, Search]] = MappingProxyType(
    {
        search.name: search
        for search in (
            Search("account_by_number", "/account", ("ACCOUNT_NO",)),
            Search("billinfo_by_id", "/billinfo", ("ACCOUNT_OBJ", "BILLINFO_ID"), _BILLINFO),
            Search("billinfos_of_account", "/billinfo", ("ACCOUNT_OBJ",), _BILLINFO),
            Search("billinfos_of_payer", "/billinfo", ("PARENT_BILLINFO_OBJ",), _BILLINFO),
            Search("payinfos_of_account", "/payinfo", ("ACCOUNT_OBJ",)),
            Search("services_of_account", "/service", ("ACCOUNT_OBJ",), _SERVICE),
            Search("products_of_account", "/purchased_product", ("ACCOUNT_OBJ",)),
            Search("products_of_service", "/purchased_product", ("ACCOUNT_OBJ", "SERVICE_OBJ")),
            Search("discounts_of_account", "/purchased_discount", ("ACCOUNT_OBJ",)),
            Search("discounts_of_service", "/purchased_discount", ("ACCOUNT_OBJ", "SERVICE_OBJ")),
            Search("balance_groups_of_account", "/balance_group", ("ACCOUNT_OBJ",)),
            Search("balance_groups_of_billinfo", "/balance_group", ("BILLINFO_OBJ",)),
            Search("bundle_by_name", "/purchased_bundle", ("ACCOUNT_OBJ", "NAME")),
            Search("bundles_of_account", "/purchased_bundle", ("ACCOUNT_OBJ",)),
            Search("group_by_owner", "/group/billing", ("PARENT",)),
            Search("products_with_status", "/purchased_product", ("ACCOUNT_OBJ", "STATUS")),
            Search("discounts_with_status", "/purchased_discount", ("ACCOUNT_OBJ", "STATUS")),
            Search("sharing_groups_of_owner", "/group/sharing", ("PARENT",)),
            Search("sharing_group_by_name", "/group/sharing", ("PARENT", "NAME")),
            Search("ordered_groups_of_account", "/ordered_balgrp", ("ACCOUNT_OBJ",)),
            Search("profiles_of_account", "/profile", ("ACCOUNT_OBJ",)),
            Search("profile_by_name", "/profile", ("ACCOUNT_OBJ", "NAME")),
            Search("collections_group_by_parent", COLLECTIONS_GROUP, ("BILLINFO_OBJ",)),
            Search("collections_actions_of_billinfo", "/collections_action", ("BILLINFO_OBJ",)),
            Search("collections_actions_modified", "/collections_action", _WINDOW),
            Search("collections_scenarios_of_billinfo", "/collections_scenario", ("BILLINFO_OBJ",)),
            Search("collections_scenarios_modified", "/collections_scenario", _WINDOW),
            Search("items_by_descr", "/item", ("AR_BILLINFO_OBJ", "DESCR")),
            Search("items_by_trans_id", "/item", ("AR_BILLINFO_OBJ", "TRANS_ID")),
            Search("open_items", "/item", ("AR_BILLINFO_OBJ", "STATUS")),
            Search("bills_of_billinfo", "/bill", ("BILLINFO_OBJ",), ("POID", "BILL_NO", "NAME", "START_T", "END_T", "DUE")),
            *(Search(f"{type_.strip('/').replace('/', '_')}_in_range", type_, _RANGE) for type_ in RECONCILED),
            Search("payment_events_of_item", "/event/billing/payment", ("ITEM_OBJ",), ("POID", "ITEM_OBJ")),
            Search("events_by_descr", "/event", ("ACCOUNT_OBJ", "DESCR"), ("POID", "DESCR", "ITEM_OBJ", "SERVICE_OBJ")),
        )
    }
)


def search(found_by: Search, values: Sequence[Scalar], *, threshold: int | None = None, db: str = DEFAULT_DB) -> BrmCall:
    """Objects whose fields equal ``values``, in the search's order: ``RESULTS[]``, empty when none do. A read. [recall]"""
    if len(values) != len(found_by.by):
        raise ValueError(f"search {found_by.name} takes {', '.join(found_by.by)}")
    pairs = zip(found_by.fields, values, strict=True)
    args = Array.of(*({name: poid(value) if name.endswith(_POID_FIELDS) else value} for name, value in pairs), start=1)  # type: ignore[arg-type]
    fields: Flist = {"POID": new("/search", db), "FLAGS": 0, "TEMPLATE": found_by.template}
    if threshold is not None:
        fields["THRESHOLD"] = threshold
    return BrmCall("PCM_OP_SEARCH", fields | {"ARGS": args, "RESULTS": Array({ANY: dict.fromkeys(found_by.wanted) or None})})


_POID_FIELDS: Final = ("_OBJ", "PARENT", "POID")


def find_account_by_number(account_no: Text, *, db: str = DEFAULT_DB) -> BrmCall:
    """The account with that number: ``RESULTS[0]``, whole."""
    return search(SEARCHES["account_by_number"], [account_no], db=db)


def find_billinfo(account: PoidLike, billinfo_id: Text, *, db: str = DEFAULT_DB) -> BrmCall:
    """One bill unit of an account by its id."""
    return search(SEARCHES["billinfo_by_id"], [account, billinfo_id], db=db)


def find_billinfos_of_account(account: PoidLike, *, db: str = DEFAULT_DB) -> BrmCall:
    """All bill units of an account."""
    return search(SEARCHES["billinfos_of_account"], [account], db=db)


def find_billinfos_of_payer(billinfo: PoidLike, *, db: str = DEFAULT_DB) -> BrmCall:
    """The nonpaying bill units right below a paying one."""
    return search(SEARCHES["billinfos_of_payer"], [billinfo], db=db)


def find_payinfos_of_account(account: PoidLike, *, db: str = DEFAULT_DB) -> BrmCall:
    """All payment methods of an account; card and bank numbers may come back masked."""
    return search(SEARCHES["payinfos_of_account"], [account], db=db)


def find_service_by_login(service_type: str, login: Text, *, db: str = DEFAULT_DB) -> BrmCall:
    """Services of a class with that login, closed ones included."""
    return search(Search("service_by_login", service_type, ("LOGIN",), _SERVICE), [login], db=db)


def find_services_of_account(account: PoidLike, *, db: str = DEFAULT_DB) -> BrmCall:
    """All services of an account."""
    return search(SEARCHES["services_of_account"], [account], db=db)


def find_products(
    account: PoidLike, service: PoidLike | None = None, *, status: OfferStatus | None = None, db: str = DEFAULT_DB
) -> BrmCall:
    """Purchased products of an account, or of one of its services, cancelled ones included unless ``status`` is given."""
    return _offers("products", account, service, status, db)


def find_discounts(
    account: PoidLike, service: PoidLike | None = None, *, status: OfferStatus | None = None, db: str = DEFAULT_DB
) -> BrmCall:
    """Purchased discounts of an account, or of one of its services, cancelled ones included unless ``status`` is given."""
    return _offers("discounts", account, service, status, db)


def find_balance_groups(*, account: PoidLike | None = None, billinfo: PoidLike | None = None, db: str = DEFAULT_DB) -> BrmCall:
    """Balance groups of an account, or of one bill unit (give exactly one)."""
    if (account is None) == (billinfo is None):
        raise ValueError("give an account or a bill unit")
    if account is not None:
        return search(SEARCHES["balance_groups_of_account"], [account], db=db)
    assert billinfo is not None
    return search(SEARCHES["balance_groups_of_billinfo"], [billinfo], db=db)


def find_bundle(account: PoidLike, name: str, *, db: str = DEFAULT_DB) -> BrmCall:
    """Promotion instances of an account with that name."""
    return search(SEARCHES["bundle_by_name"], [account, name], db=db)


def find_bundles_of_account(account: PoidLike, *, db: str = DEFAULT_DB) -> BrmCall:
    """All promotion instances of an account."""
    return search(SEARCHES["bundles_of_account"], [account], db=db)


def find_group_by_owner(owner: PoidLike, *, db: str = DEFAULT_DB) -> BrmCall:
    """The hierarchy group an account owns, with its ``MEMBERS[]``."""
    return search(SEARCHES["group_by_owner"], [owner], db=db)


def find_events_by_descr(account: PoidLike, descr: str, *, db: str = DEFAULT_DB) -> BrmCall:
    """Events of an account that carry a text, such as an order line's id."""
    return search(SEARCHES["events_by_descr"], [account, descr], db=db)


def find_payment_events(item: PoidLike, *, db: str = DEFAULT_DB) -> BrmCall:
    """The event by which a payment item came to be."""
    return search(SEARCHES["payment_events_of_item"], [item], db=db)


def find_range(
    type_: str, first: int, last: int, *, wanted: Sequence[str] = (), threshold: int | None = None, db: str = DEFAULT_DB
) -> BrmCall:
    """Objects of a class with ids from ``first`` to ``last``, both included: one page of a reconciliation run.

    ``wanted`` are the fields to fetch (all when empty), ``threshold`` is the most objects to give: as many of them mean that
    there may be more, and not which.
    """
    found_by = Search("objects_in_range", type_, _RANGE, tuple(wanted))
    return search(found_by, [Poid(db, type_, first), Poid(db, type_, last)], threshold=threshold, db=db)


def find_sharing_groups(owner: PoidLike, name: str = "", *, db: str = DEFAULT_DB) -> BrmCall:
    """Sharing groups of an owner, all or those with a name, with their ``MEMBERS[]``."""
    if name:
        return search(SEARCHES["sharing_group_by_name"], [owner, name], db=db)
    return search(SEARCHES["sharing_groups_of_owner"], [owner], db=db)


def find_ordered_balgrps(account: PoidLike, *, db: str = DEFAULT_DB) -> BrmCall:
    """In which order an account and its services try sharing groups: objects with ``ORDERED_BALGROUPS[]``."""
    return search(SEARCHES["ordered_groups_of_account"], [account], db=db)


def find_profiles(account: PoidLike, name: str = "", *, db: str = DEFAULT_DB) -> BrmCall:
    """Profiles of an account and its services, all or those with a name."""
    if name:
        return search(SEARCHES["profile_by_name"], [account, name], db=db)
    return search(SEARCHES["profiles_of_account"], [account], db=db)


def find_collections_group(parent: PoidLike, *, db: str = DEFAULT_DB) -> BrmCall:
    """The collections group a bill unit answers for, with its ``MEMBERS[]``."""
    return search(SEARCHES["collections_group_by_parent"], [parent], db=db)


def find_collections_actions(
    *, billinfo: PoidLike | None = None, window: tuple[datetime, datetime] | None = None, db: str = DEFAULT_DB
) -> BrmCall:
    """Collections actions of a bill unit, or those changed from one time to another, both included (give exactly one)."""
    return _collections("actions", billinfo, window, db)


def find_collections_scenarios(
    *, billinfo: PoidLike | None = None, window: tuple[datetime, datetime] | None = None, db: str = DEFAULT_DB
) -> BrmCall:
    """Stays in collections of a bill unit, or those changed from one time to another, both included (give exactly one)."""
    return _collections("scenarios", billinfo, window, db)


def find_items_by_token(ar_billinfo: PoidLike, token: str, *, by_trans_id: bool = False, db: str = DEFAULT_DB) -> BrmCall:
    """Payment and action items of a paying bill unit that carry a token in ``DESCR``, payments also in ``TRANS_ID``."""
    return search(SEARCHES["items_by_trans_id" if by_trans_id else "items_by_descr"], [ar_billinfo, token], db=db)


def find_open_items(ar_billinfo: PoidLike, *, db: str = DEFAULT_DB) -> BrmCall:
    """All open items whose receivables a paying bill unit holds."""
    return search(SEARCHES["open_items"], [ar_billinfo, int(ItemStatus.OPEN)], db=db)


def find_bills(billinfo: PoidLike, *, db: str = DEFAULT_DB) -> BrmCall:
    """All bills of a bill unit."""
    return search(SEARCHES["bills_of_billinfo"], [billinfo], db=db)


def _collections(what: str, billinfo: PoidLike | None, window: tuple[datetime, datetime] | None, db: str) -> BrmCall:
    if (billinfo is None) == (window is None):
        raise ValueError("give a bill unit or a window of time")
    if billinfo is not None:
        return search(SEARCHES[f"collections_{what}_of_billinfo"], [billinfo], db=db)
    assert window is not None
    return search(SEARCHES[f"collections_{what}_modified"], list(window), db=db)


def _offers(kind: str, account: PoidLike, service: PoidLike | None, status: OfferStatus | None, db: str) -> BrmCall:
    if service is not None and status is not None:
        raise ValueError("give a service or a status")
    if status is not None:
        return search(SEARCHES[f"{kind}_with_status"], [account, int(status)], db=db)
    if service is None:
        return search(SEARCHES[f"{kind}_of_account"], [account], db=db)
    return search(SEARCHES[f"{kind}_of_service"], [account, service], db=db)

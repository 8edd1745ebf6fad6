"""Reading objects and the searches we allow (specification 4.13).

A search is one of :data:`SEARCHES`, declared here as data. By default it is sent ad hoc, with its template; a site that only
runs stored searches maps the search's name to its number in the client's settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from libs.brm.call import BrmCall
from libs.brm.calls.values import PoidLike, Scalar, Text, new, poid
from libs.brm.flist import ANY, Array, Flist
from libs.brm.poid import DEFAULT_DB


@dataclass(frozen=True, slots=True)
class Search:
    """One allowed search: class, fields compared for equality (in order), fields wanted (empty: the whole objects)."""

    name: str
    type: str
    by: tuple[str, ...]
    wanted: tuple[str, ...] = ()

    @property
    def template(self) -> str:
        """``select X from /account where F1 = V1 and F2 = V2``; subclasses of the class are found, too."""
        where = " and ".join(f"F{number} = V{number}" for number in range(1, len(self.by) + 1))
        return f"select X from {self.type} where {where}"


_BILLINFO = (
    "POID", "BILLINFO_ID", "ACCOUNT_OBJ", "STATUS", "PAY_TYPE", "PAYINFO_OBJ", "PARENT_BILLINFO_OBJ", "AR_BILLINFO_OBJ",
    "BAL_GRP_OBJ", "CURRENCY", "BILL_WHEN", "ACTG_TYPE", "ACTG_CYCLE_DOM", "BUSINESS_PROFILE_OBJ",
)  # fmt: skip
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
            Search("events_by_descr", "/event", ("ACCOUNT_OBJ", "DESCR"), ("POID", "DESCR", "ITEM_OBJ", "SERVICE_OBJ")),
        )
    }
)


def loopback(*, db: str = DEFAULT_DB) -> BrmCall:
    """Ask whether BRM answers. A read."""
    return BrmCall("PCM_OP_TEST_LOOPBACK", {"POID": new("/account", db)})


def read_obj(target: PoidLike) -> BrmCall:
    """All fields of one object; NOT_FOUND when it does not exist. A read."""
    return BrmCall("PCM_OP_READ_OBJ", {"POID": poid(target)})


def read_flds(target: PoidLike, fields: Sequence[str] | Mapping[str, Any]) -> BrmCall:
    """Some fields of one object. Name scalar fields; pass a mapping to ask for array elements too. A read.

    ``read_flds(account, {"ACCOUNT_NO": None, "NAMEINFO": Array({"*": None})})``
    """
    wanted: Flist = dict(fields) if isinstance(fields, Mapping) else dict.fromkeys(fields)
    return BrmCall("PCM_OP_READ_FLDS", {"POID": poid(target)} | wanted)


def search(found_by: Search, values: Sequence[Scalar], *, threshold: int | None = None, db: str = DEFAULT_DB) -> BrmCall:
    """Objects whose fields equal ``values``, in the search's order: ``RESULTS[]``, empty when there are none. A read."""
    if len(values) != len(found_by.by):
        raise ValueError(f"search {found_by.name} takes {', '.join(found_by.by)}")
    pairs = zip(found_by.by, values, strict=True)
    args = Array.of(*({name: poid(value) if name.endswith(_POID_FIELDS) else value} for name, value in pairs), start=1)  # type: ignore[arg-type]
    fields: Flist = {"POID": new("/search", db), "FLAGS": 0, "TEMPLATE": found_by.template}
    if threshold is not None:
        fields["THRESHOLD"] = threshold
    return BrmCall("PCM_OP_SEARCH", fields | {"ARGS": args, "RESULTS": Array({ANY: dict.fromkeys(found_by.wanted) or None})})


_POID_FIELDS: Final = ("_OBJ", "PARENT")


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


def find_products(account: PoidLike, service: PoidLike | None = None, *, db: str = DEFAULT_DB) -> BrmCall:
    """Purchased products of an account, or of one of its services, cancelled ones included."""
    return _offers("products", account, service, db)


def find_discounts(account: PoidLike, service: PoidLike | None = None, *, db: str = DEFAULT_DB) -> BrmCall:
    """Purchased discounts of an account, or of one of its services, cancelled ones included."""
    return _offers("discounts", account, service, db)


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


def _offers(kind: str, account: PoidLike, service: PoidLike | None, db: str) -> BrmCall:
    if service is None:
        return search(SEARCHES[f"{kind}_of_account"], [account], db=db)
    return search(SEARCHES[f"{kind}_of_service"], [account, service], db=db)

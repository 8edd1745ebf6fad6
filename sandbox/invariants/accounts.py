"""Identity, completeness and hierarchy of accounts; entry rules of closed and inactive ones."""

from __future__ import annotations

from collections.abc import Iterator

from libs.brm.flist import Flist
from sandbox.billing.units import units_of
from sandbox.codes import OfferStatus, State
from sandbox.invariants.core import Scope, foreign_poid, invariant

Breaches = Iterator[tuple[str, str, str]]


@invariant("INV-01", "/account")
def account_number_is_unique(scope: Scope, account: Flist) -> Breaches:
    if len(scope.tx.by_key("/account.ACCOUNT_NO", account["ACCOUNT_NO"])) > 1:
        yield f"account number {account['ACCOUNT_NO']!r} is taken", "DUPLICATE", "ACCOUNT_NO"
    elif scope.is_created(account) and scope.tx.by_key("/uniqueness.ACCOUNT_NO", account["ACCOUNT_NO"]):
        yield f"account number {account['ACCOUNT_NO']!r} is registered", "DUPLICATE", "ACCOUNT_NO"


@invariant("INV-02", "/service")
def login_is_unique(scope: Scope, service: Flist) -> Breaches:
    """Unique within the service family, the first two components of the class: ``/service/telco``."""
    if scope.is_created(service) and scope.tx.by_key("/uniqueness.LOGIN", service["LOGIN"]):
        yield f"login {service['LOGIN']!r} is registered", "DUPLICATE", "LOGIN"
        return
    frees = scope.settings.free_login_on_close
    if frees and service["STATUS"] == State.CLOSED:
        return
    for other in scope.tx.by_key("/service.LOGIN", service["LOGIN"]):
        if other["POID"] == service["POID"] or login_family(other) != login_family(service):
            continue
        if not (frees and other["STATUS"] == State.CLOSED):
            yield f"login {service['LOGIN']!r} is taken in {login_family(service)}", "DUPLICATE", "LOGIN"
            return


def login_family(service: Flist) -> str:
    """``/service/telco`` for ``/service/telco/gsm/telephony``."""
    return "/".join(service["POID"].type.split("/")[:3])


@invariant("INV-03", "/account")
def account_has_bill_unit_and_group(scope: Scope, account: Flist) -> Breaches:
    if not units_of(scope.tx, account["POID"]):
        yield "the account has no bill unit", "BAD_VALUE", "BILLINFO"
    group = scope.tx.find(account["BAL_GRP_OBJ"]) if account.get("BAL_GRP_OBJ") else None
    if group is None or group["ACCOUNT_OBJ"] != account["POID"]:
        yield "the account has no default balance group of its own", "BAD_VALUE", "BAL_GRP_OBJ"


@invariant("INV-03", "/balance_group")
def group_has_bill_unit_of_its_account(scope: Scope, group: Flist) -> Breaches:
    unit = scope.tx.find(group["BILLINFO_OBJ"])
    if unit is None or unit["ACCOUNT_OBJ"] != group["ACCOUNT_OBJ"]:
        yield "the balance group points to no bill unit of its account", "BAD_VALUE", "BILLINFO_OBJ"


@invariant("INV-03", "/billinfo")
def unit_has_default_group(scope: Scope, unit: Flist) -> Breaches:
    group = scope.tx.find(unit["BAL_GRP_OBJ"]) if unit.get("BAL_GRP_OBJ") else None
    if group is None or group["BILLINFO_OBJ"] != unit["POID"]:
        yield "the bill unit has no default balance group", "BAD_VALUE", "BAL_GRP_OBJ"


@invariant("INV-08", "/group")
def hierarchy_has_no_cycle(scope: Scope, group: Flist) -> Breaches:
    """One parent per account, and nobody above itself."""
    if group["POID"].type != "/group/billing":
        return
    for member in (group.get("MEMBERS") or {}).values():
        if len(_groups_of(scope, member["ACCOUNT_OBJ"])) > 1:
            yield f"{member['ACCOUNT_OBJ']} has two parents", "BAD_VALUE", "PARENT"
    seen, above = set(), group["PARENT"]
    while above is not None and above not in seen:
        seen.add(above)
        groups = _groups_of(scope, above)
        above = groups[0]["PARENT"] if groups else None
    if above is not None:
        yield f"{above} is above itself", "BAD_VALUE", "PARENT"


def _groups_of(scope: Scope, account: object) -> list[Flist]:
    return [group for group in scope.tx.by_key("/group.member", account) if group["POID"].type == "/group/billing"]


@invariant("INV-09", "/service", "/purchased_product", "/purchased_discount", "/profile")
def nothing_new_on_closed_account(scope: Scope, created: Flist) -> Breaches:
    if scope.is_created(created) and scope.tx.get(created["ACCOUNT_OBJ"])["STATUS"] == State.CLOSED:
        yield "the account is closed", "BAD_VALUE", "STATUS"


@invariant("INV-09", "/group")
def no_closed_account_joins(scope: Scope, group: Flist) -> Breaches:
    original = scope.tx.original(group["POID"].id) or {}
    before = {member["ACCOUNT_OBJ"] for member in (original.get("MEMBERS") or {}).values()}
    for member in (group.get("MEMBERS") or {}).values():
        account = member["ACCOUNT_OBJ"]
        if account not in before and scope.tx.get(account)["STATUS"] == State.CLOSED:
            yield f"{account} is closed", "BAD_VALUE", "STATUS"


@invariant("INV-10", "/purchased_product", "/purchased_discount")
def nothing_active_bought_on_inactive_account(scope: Scope, offer: Flist) -> Breaches:
    if scope.is_created(offer) and offer["STATUS"] == OfferStatus.ACTIVE:
        account = scope.tx.get(offer["ACCOUNT_OBJ"])
        if account["STATUS"] == State.INACTIVE:
            yield "the account is inactive", "BAD_VALUE", "STATUS"


@invariant(
    "INV-28",
    "/account",
    "/billinfo",
    "/balance_group",
    "/payinfo",
    "/service",
    "/purchased_product",
    "/purchased_discount",
    "/purchased_bundle",
    "/group",
    "/bill",
    "/item",
)
def references_stay_in_database(scope: Scope, flist: Flist) -> Breaches:
    if (found := foreign_poid(flist, scope.tx.db)) is not None:
        name, poid = found
        yield f"{name} {poid} is of another database", "WRONG_DATABASE", name

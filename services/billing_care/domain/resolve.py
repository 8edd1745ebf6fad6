"""From CRM ids to the one bill unit they mean, or the named reason why there is none (Guide: billing-care.md 2.2, 2.3).

A cross-reference row arrives as its cells by column, ``None`` when the table has no such row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from libs.brm.poid import Poid
from libs.errors import O2CError, Reason
from services.billing_care.domain.model import BillUnit, ProfileView, Route, Scope
from services.billing_care.domain.rules import Policy

Cells = Mapping[str, str]


def check_expected_system(system_id: str, policy: Policy) -> None:
    """The instance a caller names must be configured and enabled."""
    if system_id and system_id not in policy.systems:
        message = f"{system_id} is no billing system here"
        raise O2CError.of(Reason.ROUTE_SYSTEM_UNKNOWN, message, field="scope.system_id", system=system_id)
    if system_id:
        _check_enabled(system_id, policy)


def route_profile(profile_id: str, cells: Cells | None, policy: Policy, expected: str = "") -> Route:
    """Steps 1 and 2: the instance and bill unit of a billing profile. No BRM is asked."""
    if cells is None:
        raise O2CError.of(
            Reason.BILLING_PROFILE_NOT_FOUND,
            f"no billing profile {profile_id}",
            field="scope.billing_profile_id",
            kind="billing_profile",
            id=profile_id,
        )
    candidates = [system for system in policy.systems if cells.get(system)]
    if not candidates:
        raise O2CError.of(
            Reason.ROUTE_PROFILE_NOT_SYNCED,
            f"billing profile {profile_id} is in no billing system yet",
            field="scope.billing_profile_id",
            evidence=profile_id,
        )
    if len(candidates) > 1:
        raise O2CError.of(
            Reason.ROUTE_PROFILE_AMBIGUOUS,
            f"billing profile {profile_id} is in more than one billing system",
            field="scope.billing_profile_id",
            evidence=profile_id,
            candidates=",".join(candidates),
        )
    system = candidates[0]
    check_target(profile_id, system, expected)
    _check_enabled(system, policy)
    return Route(profile_id, system, Poid.parse(cells[system]))


def check_target(profile_id: str, system_id: str, expected: str) -> None:
    """An instance the caller expects must be the profile's."""
    if expected and expected != system_id:
        message = f"billing profile {profile_id} lives in {system_id}, not in {expected}"
        raise O2CError.of(Reason.ROUTE_TARGET_MISMATCH, message, field="scope.system_id", system=system_id)


def account_in(account_id: str, cells: Cells | None, system_id: str, field: str) -> Poid:
    """Step 3: the account in the instance of its profile."""
    value = _account_row(account_id, cells, field).get(system_id)
    if not value:
        raise _account_not_in_billing(account_id, system_id, field)
    return Poid.parse(value)


def account_everywhere(account_id: str, cells: Cells | None, policy: Policy) -> dict[str, Poid]:
    """Every instance that knows the account; all of them must be in service, because a partial answer is no answer (R5.7)."""
    row = _account_row(account_id, cells, "scope.account_id")
    found = {system: Poid.parse(row[system]) for system in policy.systems if row.get(system)}
    if not found:
        raise _account_not_in_billing(account_id, ",".join(policy.systems), "scope.account_id")
    for system in found:
        _check_enabled(system, policy)
    return found


def nonpaying_account(account_id: str, payer_profiles: Sequence[str]) -> O2CError:
    """The account has no billing profile of its own: its dues are on the payers' profiles (Guide: xref-and-routing.md 11.3)."""
    return O2CError.of(
        Reason.ROUTE_NONPAYING_ACCOUNT,
        f"account {account_id} has no billing profile of its own; {', '.join(payer_profiles) or 'another account'} pays for it",
        field="scope.account_id",
        payer_profiles=",".join(payer_profiles),
    )


def profile_unknown_to_crm(unit: BillUnit, system_id: str) -> O2CError:
    """A bill unit that owes money but is nobody's billing profile: leaving it out would make the answer silently incomplete."""
    return O2CError.of(
        Reason.BILLING_PROFILE_NOT_FOUND,
        f"bill unit {unit.poid} of {system_id} is cross-referenced to no billing profile; synchronize it first",
        field="scope.account_id",
        kind="billing_profile",
        id=str(unit.poid),
        system=system_id,
    )


def child_of(units: Iterable[BillUnit], payer: Poid) -> BillUnit | None:
    """Of one account's bill units, the one whose charges ``payer`` carries."""
    return next((unit for unit in units if unit.nonpaying and unit.payer == payer), None)


def shares_of(
    views: Iterable[ProfileView], payee_units: Iterable[tuple[str, BillUnit]], child_account_id: str
) -> tuple[ProfileView, ...]:
    """Of an account's profiles those that pay for the child, cut down to its share; BILL_UNIT_NOT_IN_BILLING when none does."""
    by_payer = {(system, unit.payer): unit for system, unit in payee_units if unit.nonpaying}
    shares = [(view, by_payer.get((view.system_id, view.unit.poid))) for view in views]
    found = tuple(replace(view, child=child) for view, child in shares if child)
    if not found:
        message = f"no billing profile of the account pays for account {child_account_id}"
        raise O2CError.of(
            Reason.BILL_UNIT_NOT_IN_BILLING,
            message,
            field="scope.service_account_id",
            kind="nonpaying_bill_unit",
            id=child_account_id,
        )
    return found


def view_of(scope: Scope, route: Route, unit: BillUnit, child: BillUnit | None) -> ProfileView:
    """The resolved profile, after the currency check (R3.2)."""
    if scope.currency and scope.currency != unit.currency.code:
        raise O2CError.of(
            Reason.CURRENCY_MISMATCH,
            f"billing profile {route.profile_id} is kept in {unit.currency.code}, not in {scope.currency}",
            field="scope.currency",
            entity="billing_profile",
            crm_id=route.profile_id,
        )
    return ProfileView(scope.account_id, route.profile_id, route.system_id, unit, child)


def not_of_account(scope: Scope, route: Route) -> O2CError:
    """The profile belongs to another account, which does not pay for this one either."""
    return O2CError.of(
        Reason.PROFILE_NOT_OF_BILLING_ACCOUNT,
        f"billing profile {route.profile_id} is not one of account {scope.account_id}",
        field="scope.billing_profile_id",
        entity="billing_profile",
        crm_id=route.profile_id,
    )


def no_share(child_account_id: str, route: Route) -> O2CError:
    """The service account has no nonpaying bill unit under the profile."""
    return O2CError.of(
        Reason.BILL_UNIT_NOT_IN_BILLING,
        f"billing profile {route.profile_id} pays nothing for account {child_account_id}",
        field="scope.service_account_id",
        kind="nonpaying_bill_unit",
        id=child_account_id,
        system=route.system_id,
    )


def bill_poid(bill_id: str, view: ProfileView, policy: Policy) -> Poid:
    """Read an opaque bill id: BILL_NOT_FOUND when it is no bill's, OBJECT_FOREIGN when it is another instance's (step 5)."""
    try:
        poid = Poid.parse(bill_id)
    except ValueError:
        raise bill_not_found(bill_id) from None
    if poid.type != "/bill" or poid.id <= 0:
        raise bill_not_found(bill_id)
    if poid.db != view.unit.poid.db:
        owner = next((system for system, db in policy.systems.items() if db == poid.db), "")
        raise foreign_bill(bill_id, owner or view.system_id)
    return poid


def bill_not_found(bill_id: str) -> O2CError:
    """No made bill has this id."""
    return O2CError.of(Reason.BILL_NOT_FOUND, f"no bill {bill_id}", field="bill_id", kind="bill", id=bill_id)


def foreign_bill(bill_id: str, system_id: str) -> O2CError:
    """The bill exists, but not under the profile asked for."""
    return O2CError.of(
        Reason.OBJECT_FOREIGN,
        f"bill {bill_id} belongs to another billing profile",
        field="bill_id",
        id=bill_id,
        system=system_id,
    )


def _account_row(account_id: str, cells: Cells | None, field: str) -> Cells:
    if cells is None:
        raise O2CError.of(Reason.ACCOUNT_NOT_FOUND, f"no account {account_id}", field=field, kind="account", id=account_id)
    return cells


def _account_not_in_billing(account_id: str, system_id: str, field: str) -> O2CError:
    return O2CError.of(
        Reason.ACCOUNT_NOT_IN_BILLING,
        f"account {account_id} is not in {system_id}",
        field=field,
        kind="account",
        id=account_id,
        system=system_id,
    )


def _check_enabled(system_id: str, policy: Policy) -> None:
    if system_id in policy.disabled_systems:
        raise O2CError.of(
            Reason.ROUTE_SYSTEM_DISABLED,
            f"billing system {system_id} is switched off",
            field="scope.system_id",
            system=system_id,
        )

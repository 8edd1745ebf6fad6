"""Legal owners: who answers in collections for the bills of whom (guide ch. 18; customer-sync 7).

A child pays its own bills, but collection actions go against its owner. BRM keeps one collections group per owner: the bill
unit of the owner's primary profile is its parent, bill units of children are its members. Orders make, extend, change and
empty these groups; disconnecting services does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from libs.errors import Notice, Reason, Violation
from services.customer_sync.domain.collation import Collation
from services.customer_sync.domain.contributions import contributing
from services.customer_sync.domain.model import Command, Facts, Line, Policy, Profile
from services.customer_sync.domain.table_10_1 import CHANGING


@dataclass(frozen=True, slots=True)
class Ownership:
    """What one line says about the legal owner of a billing profile's bill unit."""

    line: Line
    owner_id: str
    """The owner, or the customer account in its stead; never empty."""
    given: bool
    """Whether the line or the header names the owner, who may change it; a customer account only ever adds one (7.1)."""

    @property
    def changes(self) -> bool:
        return self.given and self.line.action in CHANGING

    @property
    def is_needed(self) -> bool:
        """Whether somebody else is to answer for who pays."""
        return self.owner_id not in (self.line.billing_account_id, self.line.service_account_id)


@dataclass(slots=True)
class LegalDecision:
    """What happens to the members of legal groups, and what is to be said about it."""

    joins: dict[str, dict[str, str]] = field(default_factory=dict)
    """Owner to the profiles whose units he is to answer for, each with its account; members already among them."""
    leaves: dict[str, dict[str, str]] = field(default_factory=dict)
    """Owner to the profiles whose units he no longer answers for, each with its account."""
    primary: dict[str, Profile] = field(default_factory=dict)
    """Owner to the profile whose unit is the parent of his group."""
    violations: list[Violation] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


def ownerships(command: Command, policy: Policy) -> Iterator[Ownership]:
    """What the contributing lines say; nothing where legal groups are off.

    The customer account stands in for an owner only where no line of the same billing account names one.
    """
    if not policy.legal_groups:
        return
    lines = [line for line in contributing(command, policy) if line.service_account_id]
    stand_in = command.customer_account_id if policy.owner_from_customer_account else ""
    owned = {line.billing_account_id for line in lines if line.owner_account_id}
    for line in lines:
        if line.owner_account_id:
            yield Ownership(line, line.owner_account_id, given=True)
        elif stand_in and line.billing_account_id not in owned:
            yield Ownership(line, stand_in, given=False)


def owners_on(command: Command, policy: Policy) -> tuple[str, ...]:
    """Accounts whose groups an order may change, other than by what is remembered: owners now and before."""
    found: dict[str, None] = {}
    for each in ownerships(command, policy):
        prior = each.line.prior.owner_account_id
        for owner_id in (each.owner_id if each.is_needed else "", prior or ""):
            if owner_id:
                found[owner_id] = None
    return tuple(found)


def primary_of_owner(command: Command, owner_id: str) -> Profile | None:
    """The owner's primary billing profile, by order or CRM."""
    own = (profile for profile in command.profiles.values() if profile.account_id == owner_id)
    return next((profile for profile in own if profile.is_primary), None)


def decide_legal(command: Command, facts: Facts, policy: Policy) -> LegalDecision:
    """Who answers for whom after the order (7.2), and every violation: LEGAL_OWNER_MIXED, LEGAL_OWNER_CONFLICT (V24),
    LEGAL_SPLIT_SAME_ORDER (V25), LEGAL_OWNER_NO_PRIMARY_PROFILE, ROUTE_LEGAL_OWNER_OTHER_INSTANCE."""
    decision = LegalDecision()
    said = list(ownerships(command, policy))
    decision.violations += [*_mixed(said), *_split(said)]
    changed = {each.line.billing_account_id: each.owner_id for each in said if each.changes}
    for each in said:
        if _may_go_on(each, facts, policy, changed, decision):
            _join(each, command, facts, decision)
    for owner_id in decision.joins:
        _find_parent(owner_id, command, facts, policy, decision)
    decision.notices += _left_behind(facts, changed, decision)
    return decision


def _mixed(said: Iterable[Ownership]) -> Iterator[Violation]:
    """One owner for all lines of an order."""
    given = [each for each in said if each.given]
    owners = dict.fromkeys(each.owner_id for each in given)
    if len(owners) > 1:
        lines = ",".join(dict.fromkeys(each.line.line_id for each in given))
        message = f"the order names several legal owners: {', '.join(owners)}"
        last = next(each for each in given if each.owner_id != given[0].owner_id)
        metadata = {"line_ids": lines, "owner_ids": ",".join(owners)}
        yield Violation(Reason.LEGAL_OWNER_MIXED, message, f"{last.line.path}.owner_account", metadata)


def _split(said: list[Ownership]) -> Iterator[Violation]:
    """What a child pays itself and what its owner pays for it are on separate orders (V25)."""
    paid_by_owner = {each.line.service_account_id: each for each in said if each.line.billing_account_id == each.owner_id}
    for each in said:
        line, other = each.line, paid_by_owner.get(each.line.service_account_id)
        if each.is_needed and line.billing_account_id == line.service_account_id and other and other.owner_id == each.owner_id:
            message = f"account {line.service_account_id} pays for a service itself, while its legal owner pays for another one"
            metadata = {"line_ids": f"{line.line_id},{other.line.line_id}", "owner_ids": each.owner_id}
            yield Violation(Reason.LEGAL_SPLIT_SAME_ORDER, message, f"{line.path}.owner_account", metadata)
            return


def _may_go_on(each: Ownership, facts: Facts, policy: Policy, changed: Mapping[str, str], decision: LegalDecision) -> bool:
    """Take the unit out of the group of a former owner; whether the new one is to be considered at all. ``changed`` tells which
    accounts get another owner by this order, and so for new lines, too."""
    line = each.line
    account_id, profile_id = line.billing_account_id, line.billing_profile_id
    recorded = facts.legal_owners.get(profile_id, "")
    stored = {recorded} if recorded else _owners_of_account(facts, account_id)
    differs = bool(stored) and each.owner_id not in stored
    moves = each.changes or (
        each.given and differs and (changed.get(account_id) == each.owner_id or not policy.strict_single_owner)
    )
    if moves:
        if recorded not in ("", each.owner_id):
            decision.leaves.setdefault(recorded, {})[profile_id] = account_id
            if line.prior.owner_account_id is None and (each.changes or account_id not in changed):
                message = f"billing profile {profile_id} leaves the group of {recorded}, whom no prior value names"
                decision.notices.append(_notice(Reason.LEGAL_OWNER_CONFLICT, message, each, recorded))
        return True
    if differs:
        if each.given:
            known = " and ".join(sorted(stored))
            message = f"legal owner {each.owner_id} of account {account_id} differs from {known}, who is it already"
            metadata = {"line_ids": line.line_id, "owner_ids": ",".join([*sorted(stored), each.owner_id])}
            violation = Violation(Reason.LEGAL_OWNER_CONFLICT, message, f"{line.path}.owner_account", metadata)
            decision.violations.append(violation)
        return False
    return True


def _owners_of_account(facts: Facts, account_id: str) -> set[str]:
    """Who answers for bill units of the account; several where lines changed their owners one by one."""
    return {facts.legal_owners[profile_id] for profile_id, of in facts.legal_accounts.items() if of == account_id} - {""}


def _join(each: Ownership, command: Command, facts: Facts, decision: LegalDecision) -> None:
    line = each.line
    if each.is_needed:
        decision.joins.setdefault(each.owner_id, {})[line.billing_profile_id] = line.billing_account_id
    elif each.owner_id == line.service_account_id != line.billing_account_id:
        message = (
            f"account {each.owner_id} is its own legal owner, and {line.billing_account_id} pays: nobody else answers (Q12)"
        )
        decision.notices.append(_notice(Reason.LEGAL_OWNER_CONFLICT, message, each, each.owner_id))


def _find_parent(owner_id: str, command: Command, facts: Facts, policy: Policy, decision: LegalDecision) -> None:
    """The owner's primary profile; it must be one that this instance may hold."""
    primary = primary_of_owner(command, owner_id)
    account = command.accounts.get(owner_id)
    path = account.path if account else "order.owner_account"
    if owner_id in command.unknown_accounts:
        message = f"the CRM knows no account {owner_id}"
        metadata = {"kind": "account", "id": owner_id, "owner_ids": owner_id}
        decision.violations.append(Violation(Reason.CRM_ACCOUNT_NOT_FOUND, message, path, metadata))
        return
    if primary is None:
        message = f"legal owner {owner_id} has no primary billing profile"
        metadata = {"owner_ids": owner_id, "entity": "account", "crm_id": owner_id}
        decision.violations.append(Violation(Reason.LEGAL_OWNER_NO_PRIMARY_PROFILE, message, path, metadata))
        return
    elsewhere = facts.units_elsewhere.get(primary.profile_id, ())
    if policy.billing_care_enabled and elsewhere and primary.profile_id not in facts.bill_units:
        message = (
            f"the primary billing profile {primary.profile_id} of legal owner {owner_id} lives on {', '.join(elsewhere)};"
            f" no group of his can be made in {policy.system_id}"
        )
        metadata = {"candidates": ",".join(elsewhere), "crm_id": owner_id, "line_ids": ""}
        decision.violations.append(Violation(Reason.ROUTE_LEGAL_OWNER_OTHER_INSTANCE, message, path, metadata))
        return
    decision.primary[owner_id] = primary


def _left_behind(facts: Facts, changed: Mapping[str, str], decision: LegalDecision) -> Iterator[Notice]:
    """Other units of an account whose owner changes stay with the former one until their own lines change."""
    leaving = {account_id: "" for profiles in decision.leaves.values() for account_id in profiles.values()}
    for account_id, new in {**leaving, **changed}.items():
        for owner_id in sorted(_owners_of_account(facts, account_id) - {new}):
            left = [
                profile_id
                for profile_id, of in facts.legal_accounts.items()
                if of == account_id
                and facts.legal_owners[profile_id] == owner_id
                and profile_id not in decision.leaves.get(owner_id, ())
            ]
            if left:
                message = f"{owner_id} still answers for {', '.join(left)} of account {account_id}"
                metadata = {"owner_ids": owner_id, "entity": "account", "crm_id": account_id}
                yield Notice(Reason.LEGAL_OWNER_CONFLICT, message, metadata=metadata)


def with_owners(collation: Collation, decision: LegalDecision) -> Collation:
    """The collation with the owners, each with its primary profile: they must exist before they can answer for anybody."""
    owners: Mapping[str, Profile] = decision.primary
    return replace(
        collation,
        accounts=tuple(dict.fromkeys((*collation.accounts, *owners))),
        profiles={**collation.profiles, **{primary.profile_id: owner_id for owner_id, primary in owners.items()}},
    )


def _notice(reason: Reason, message: str, each: Ownership, owner_id: str) -> Notice:
    return Notice(reason, message, (each.line.line_id,), {"owner_ids": owner_id, "crm_id": each.line.billing_account_id})

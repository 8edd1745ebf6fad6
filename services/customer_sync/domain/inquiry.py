"""What the order alone does not tell, and what the CRM is asked therefore: one question per order, before anything is decided.

Most orders need none: they carry what billing must know of their customers. The CRM is asked for the accounts above corporate
ones (customer-sync 6.4), for the primary profiles of legal owners (7.2), for those of accounts that the order names
without one (Q7, S12), and for whoever is new to billing and named by id alone (2.3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from services.customer_sync.domain.contributions import contributing
from services.customer_sync.domain.corporate import is_corporate
from services.customer_sync.domain.legal import ownerships, primary_of_owner
from services.customer_sync.domain.model import Command, CrmCustomer, Policy


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Which accounts to ask the CRM for, always with their billing profiles."""

    account_ids: tuple[str, ...] = ()
    with_ancestors: bool = False
    """Also every account above them."""
    required: bool = False
    """Whether the order cannot be decided without the answer; otherwise it is asked only where there is a CRM."""


def inquiry_of(command: Command, policy: Policy) -> Inquiry:
    """The question, empty when the order tells enough."""
    chained = dict.fromkeys(_chained(command, policy))
    profiled = dict.fromkeys(_without_profile(command, policy))
    owners = dict.fromkeys(_owners(command, policy))
    return Inquiry(tuple(chained | profiled | owners), bool(chained), bool(chained or owners))


def _chained(command: Command, policy: Policy) -> Iterator[str]:
    """Service and billing accounts of corporate lines, unless a company is alone: pays for itself, with nobody above (C19)."""
    for line in contributing(command, policy):
        if not line.service_account_id:
            continue
        pair = (line.service_account_id, line.billing_account_id)
        known = [account for each in pair if (account := command.accounts.get(each)) is not None]
        if not any(is_corporate(account, policy) for account in known):
            continue
        if pair[0] != pair[1] or any(account.parent_account_id for account in known):
            yield from pair


def _owners(command: Command, policy: Policy) -> Iterator[str]:
    """Legal owners whose primary profile the order does not show."""
    for each in ownerships(command, policy):
        if each.is_needed and primary_of_owner(command, each.owner_id) is None:
            yield each.owner_id


def _without_profile(command: Command, policy: Policy) -> Iterator[str]:
    """Accounts that get a bill unit though no line gives them one, and of whose profiles the order says nothing."""
    known = {profile.account_id for profile in command.profiles.values()}
    lines = list(contributing(command, policy))
    for line in lines:
        if line.service_account_id:
            known |= {line.service_account_id, line.billing_account_id}
    named = [line.billing_account_id for line in lines]
    if policy.customer_account_contributes and lines:
        named.append(command.customer_account_id)
    for account_id in named:
        if account_id and account_id not in known:
            yield account_id


def named_only(command: Command, policy: Policy) -> Mapping[str, tuple[str, ...]]:
    """Accounts that lines name by id alone, or whose billing profiles they name so, and those profiles. Those that the CRM is
    asked for anyhow (:func:`inquiry_of`) are left out."""
    found: dict[str, dict[str, None]] = {}
    for line in contributing(command, policy):
        for account_id in (line.service_account_id, line.billing_account_id):
            account = command.accounts.get(account_id)
            if account_id and (account is None or not account.type):
                found.setdefault(account_id, {})
        profile = command.profiles.get(line.billing_profile_id)
        if line.billing_profile_id and line.billing_account_id and (profile is None or not profile.payment_method):
            found.setdefault(line.billing_account_id, {})[line.billing_profile_id] = None
    asked = inquiry_of(command, policy).account_ids if found else ()
    return {account_id: tuple(profiles) for account_id, profiles in found.items() if account_id not in asked}


def answered(command: Command, inquiry: Inquiry, found: Mapping[str, CrmCustomer], not_found: frozenset[str]) -> Command:
    """The command with what the CRM said, besides what it said before. Details on the order stay; what it only names is filled
    in."""
    accounts = dict(command.accounts)
    profiles = dict(command.profiles)
    for account_id, customer in found.items():
        known = accounts.get(account_id)
        if known is None or not known.type:
            accounts[account_id] = replace(customer.account, currency=customer.account.currency or command.currency)
        for profile in customer.profiles:
            here = profiles.get(profile.profile_id)
            if here is None or not here.payment_method:
                here = replace(profile, account_id=profile.account_id or account_id)
            profiles[profile.profile_id] = replace(here, is_primary=here.is_primary or profile.is_primary)
    chain = {account_id: customer.account.parent_account_id for account_id, customer in found.items()}
    return replace(
        command,
        accounts=accounts,
        profiles=profiles,
        chain=chain if inquiry.with_ancestors else command.chain,
        unknown_accounts=command.unknown_accounts | not_found,
    )

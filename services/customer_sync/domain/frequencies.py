"""V16: an account, the accounts right above and below it, those that pay for it and those it pays for are billed equally often
(guide ch. 18; customer-sync 4, Q34).

Looked at is what an order changes about that: bill units that will be created, and accounts that come to be related. Those on
the order are compared with each other, and with what the instance holds of them and of their relatives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from libs.dvm import COMMON
from libs.errors import Reason, Violation
from services.customer_sync.domain.collation import Collation
from services.customer_sync.domain.draft import primary_profiles
from services.customer_sync.domain.model import Command, Facts, PayerKey, Policy, Profile
from services.customer_sync.domain.rules import FREQUENCY_MAP, months_of


def frequency_violations(command: Command, collation: Collation, facts: Facts, policy: Policy) -> Iterator[Violation]:
    """BILL_FREQUENCY_MISMATCH for every profile, and every new tie between accounts, that would mix frequencies."""
    owners = _units_wanted(command, collation, facts, policy)
    families = _families(collation)
    yield from _against_billing(command, owners, families, facts, policy)
    yield from _against_each_other(command, owners, families, facts, policy)
    yield from _by_ties(command, collation, facts, policy)


def surveyed(command: Command, collation: Collation, facts: Facts, policy: Policy) -> tuple[str, ...]:
    """Accounts of the order whose bill units have to be known: they exist, and among them and their relatives on the order
    there will be a further unit, or another relation."""
    families = _families(collation)
    changing = {families[owner] for owner in _units_missing(command, collation, facts, policy).values()}
    changing |= {families[account_id] for account_id, _, _ in _new_ties(collation, facts)}
    return tuple(each for each in collation.accounts if each in facts.accounts and families[each] in changing)


def gaining(command: Command, collation: Collation, facts: Facts, policy: Policy) -> tuple[str, ...]:
    """Those of them that get a further unit, of their own or paid by somebody besides those who pay now: their relatives in the
    instance count, too, on the order or not."""
    growing = set(_units_missing(command, collation, facts, policy).values())
    growing |= {key.service_account_id for key in _new_payers(collation, facts)} - collation.repaid.keys()
    return tuple(each for each in collation.accounts if each in facts.accounts and each in growing)


def _units_wanted(command: Command, collation: Collation, facts: Facts, policy: Policy) -> dict[str, str]:
    """Billing profile to its account: of every bill unit that the order needs, also for accounts that no line gives one."""
    wanted = dict(collation.profiles)
    primary = primary_profiles(command)
    for account_id in collation.accounts:
        paid_for = collation.payers_of(account_id) and account_id not in collation.corporate
        if account_id in facts.accounts or account_id not in primary or collation.profiles_of(account_id) or paid_for:
            continue
        profile_id = primary[account_id].profile_id
        if not (policy.billing_care_enabled and facts.units_elsewhere.get(profile_id)):
            wanted.setdefault(profile_id, account_id)
    return wanted


def _units_missing(command: Command, collation: Collation, facts: Facts, policy: Policy) -> dict[str, str]:
    wanted = _units_wanted(command, collation, facts, policy)
    return {profile_id: owner for profile_id, owner in wanted.items() if profile_id not in facts.bill_units}


def _families(collation: Collation) -> dict[str, str]:
    """Account to a representative of all accounts it is related to, by payment or hierarchy, directly or through others."""
    head = {account_id: account_id for account_id in collation.accounts}

    def find(account_id: str) -> str:
        while head[account_id] != account_id:
            head[account_id] = head[head[account_id]]
            account_id = head[account_id]
        return account_id

    for key in collation.payers:
        head[find(key.service_account_id)] = find(key.billing_account_id)
    for child, parent in collation.parents.items():
        head[find(child)] = find(parent)
    return {account_id: find(account_id) for account_id in collation.accounts}


def _new_payers(collation: Collation, facts: Facts) -> Iterator[PayerKey]:
    """Payers that the order puts in place."""
    for key in collation.payers:
        if key in collation.changed_payers and key.crm_id not in facts.nonpaying_units:
            yield key


def _new_ties(collation: Collation, facts: Facts) -> Iterator[tuple[str, str, str]]:
    """Account, other account, and the profile that pays (empty: one stands above the other): both exist, and the order is the
    first to relate them."""
    for key in _new_payers(collation, facts):
        pair = (key.service_account_id, key.billing_account_id)
        if all(each in facts.accounts for each in pair):
            yield (*pair, key.billing_profile_id)
    for child, parent in collation.parents.items():
        is_new = child in collation.corporate and facts.parents.get(child) != parent
        if is_new and child in facts.accounts and parent in facts.accounts:
            yield child, parent, ""


def _against_each_other(
    command: Command, owners: Mapping[str, str], families: Mapping[str, str], facts: Facts, policy: Policy
) -> Iterator[Violation]:
    groups: dict[str, list[Profile]] = {}
    for profile_id, owner in owners.items():
        profile = command.profiles.get(profile_id)
        if profile is not None and profile.bill_frequency:
            groups.setdefault(families[owner], []).append(profile)
    for profiles in groups.values():
        if all(profile.profile_id in facts.bill_units for profile in profiles):
            continue
        first, *others = profiles
        for profile in others:
            if _frequency(profile, command, policy) != _frequency(first, command, policy):
                yield _mismatch(
                    profile,
                    f"billing profile {profile.profile_id} is billed {profile.bill_frequency}, but {first.profile_id} of the "
                    f"same or a related account {first.bill_frequency}",
                )


def _against_billing(
    command: Command, owners: Mapping[str, str], families: Mapping[str, str], facts: Facts, policy: Policy
) -> Iterator[Violation]:
    """Each new unit against the accounts that the instance has: its own, those related to it on the order, and in BRM."""
    members: dict[str, dict[str, None]] = {}
    for account_id in facts.frequencies:
        members.setdefault(families.get(account_id, ""), {})[account_id] = None
    for account_id, relatives in facts.relatives.items():
        members.setdefault(families[account_id], {}).update(dict.fromkeys(sorted(relatives)))
    for profile_id, owner in owners.items():
        profile = command.profiles.get(profile_id)
        months = months_of(profile, command.source_system, policy) if profile is not None else None
        if profile is None or months is None or profile_id in facts.bill_units:
            continue
        related = members.get(families[owner], {})
        differing = [each for each in related if facts.frequencies.get(each, frozenset()) - {months}]
        if differing:
            others = ", ".join(f"account {each} every {_shown(facts.frequencies[each])}" for each in differing)
            message = f"billing profile {profile_id} is billed every {months} months, but in {policy.system_id} {others}"
            yield _mismatch(profile, message)


def _by_ties(command: Command, collation: Collation, facts: Facts, policy: Policy) -> Iterator[Violation]:
    for account_id, other_id, profile_id in _new_ties(collation, facts):
        near = (account_id, *facts.relatives.get(account_id, ()))
        here = frozenset(months for each in near for months in facts.frequencies.get(each, ()))
        there = facts.frequencies.get(other_id, frozenset())
        if len(here | there) < 2 or not (here and there):
            continue
        message = (
            f"account {account_id} is billed every {_shown(here)} months in {policy.system_id}, {other_id}, which "
            f"{'is to pay for it' if profile_id else 'is to stand above it'}, every {_shown(there)}"
        )
        if profile_id:
            yield _mismatch(command.profiles.get(profile_id) or _unknown(profile_id), message)
        else:
            account = command.accounts.get(account_id)
            path = f"{account.path if account else f'order.accounts[{account_id}]'}.parent_account_id"
            metadata = {"entity": "account", "crm_id": account_id, "field": path}
            yield Violation(Reason.BILL_FREQUENCY_MISMATCH, message, path, metadata)


def _unknown(profile_id: str) -> Profile:
    return Profile(profile_id, f"order.billing_profiles[{profile_id}]")


def _mismatch(profile: Profile, message: str) -> Violation:
    path = f"{profile.path}.bill_frequency"
    metadata = {"entity": "billing_profile", "crm_id": profile.profile_id, "field": path}
    return Violation(Reason.BILL_FREQUENCY_MISMATCH, message, path, metadata)


def _shown(months: frozenset[int]) -> str:
    return ", ".join(str(each) for each in sorted(months))


def _frequency(profile: Profile, command: Command, policy: Policy) -> str:
    found = policy.value_maps.find(FREQUENCY_MAP, profile.bill_frequency, command.source_system, COMMON)
    return found or profile.bill_frequency

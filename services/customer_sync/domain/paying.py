"""Accounts, bill units and payment records: who pays for himself, and whom others pay for (customer-sync 2.3, 5.2, 5.3).

A new account is one call with all its bill units; what an existing account lacks is one call per bill unit. Payers come before
those they pay for, because a unit that others pay for names its payer's.
"""

from __future__ import annotations

from collections.abc import Iterator

from libs.dvm import COMMON
from libs.errors import Notice, Reason, Violation
from libs.plan.model import Ref
from services.customer_sync.domain import calls
from services.customer_sync.domain.attributes import ACCOUNT, name_info
from services.customer_sync.domain.calls import NonpayingUnit, PayingUnit
from services.customer_sync.domain.draft import Draft, counted
from services.customer_sync.domain.model import Account, Command, EntityKind, PayerKey, Policy, Profile
from services.customer_sync.domain.rules import FREQUENCY_MAP, account_violations, profile_violations
from services.customer_sync.domain.update.compare import contact_change, contact_of, immutable


def draw_accounts(draft: Draft) -> None:
    """Every account of the order with what it lacks."""
    for account_id in draft.collation.in_order:
        nonpaying = list(_nonpaying_units(draft, account_id))
        if account_id in draft.facts.accounts:
            _existing_account(draft, account_id, nonpaying)
        else:
            _new_account(draft, account_id, nonpaying)


def _new_account(draft: Draft, account_id: str, nonpaying: list[NonpayingUnit]) -> None:
    account = draft.account(account_id)
    paying = [PayingUnit(draft.profile(profile_id)) for profile_id in draft.collation.profiles_of(account_id)]
    if not paying and (not nonpaying or account_id in draft.collation.corporate):
        paying = [_stand_in(draft, account)]
    # Two accounts that pay for each other could not both be created first: units of a payer follow later.
    later = nonpaying if paying and account_id in draft.collation.paying_for_others else []
    inline = [] if later else nonpaying
    for unit in paying:
        if not unit.standing_in and unit.profile.profile_id in draft.facts.bill_units:
            _unit_of_another(draft, unit.profile.profile_id, account_id)
    title = f"create account {account_id} with {counted(len(paying) + len(inline), 'bill unit')}"
    drawn = draft.caller.create_account(account, paying, inline)
    draft.step(f"account:{account_id}", title, drawn, account_id, [account_id])
    draft.created(EntityKind.ACCOUNT, calls.ACCOUNTS, account_id, calls.account_ref(account_id))
    draft.created(EntityKind.BALANCE_GROUP, calls.BALANCE_GROUPS, account_id, calls.balance_group_ref(account_id))
    for unit in paying:
        if not unit.standing_in:
            _paying_entities(draft, unit.profile)
    for other in inline:
        _nonpaying_entity(draft, other.key)
    for other in later:
        _add_nonpaying(draft, account, other)


def _existing_account(draft: Draft, account_id: str, nonpaying: list[NonpayingUnit]) -> None:
    facts = draft.facts
    if not is_refreshed(account_id, draft.command, draft.policy):
        draft.existed(EntityKind.ACCOUNT, calls.ACCOUNTS, account_id, facts.accounts)
    draft.existed(EntityKind.BALANCE_GROUP, calls.BALANCE_GROUPS, account_id, facts.balance_groups)
    account = draft.account(account_id)
    if is_refreshed(account_id, draft.command, draft.policy):
        _refresh(draft, account)
    for profile_id in draft.collation.profiles_of(account_id):
        if profile_id in facts.bill_units:
            draft.existed(EntityKind.BILL_UNIT, calls.BILL_UNITS, profile_id, facts.bill_units)
            draft.existed(EntityKind.PAYMENT_RECORD, calls.PAYMENT_RECORDS, profile_id, facts.payment_records)
            continue
        unit = PayingUnit(draft.profile(profile_id))
        title = f"add bill unit {profile_id} to account {account_id}"
        draft.step(f"billinfo:{profile_id}", title, draft.caller.add_paying_unit(account, unit), account_id, [profile_id])
        _paying_entities(draft, unit.profile)
    for other in nonpaying:
        _add_nonpaying(draft, account, other)


def is_refreshed(account_id: str, command: Command, policy: Policy) -> bool:
    """Whether the order brings an account up to date that exists already: only where the site says so (I4)."""
    account = command.accounts.get(account_id)
    return policy.order_time_refresh and account is not None and bool(account.type) and account.contact is not None


def _refresh(draft: Draft, account: Account) -> None:
    """Send what differs from what billing has, as an edit would (9.3)."""
    account_id, translate = account.account_id, draft.caller.translate
    draft.findings.violations.extend(account_violations(account, draft.policy))
    stored = draft.facts.refreshed.get(account_id, {})
    coded = translate.fill(ACCOUNT, account, account.path, "account", account_id)
    draft.findings.violations.extend(immutable(account, coded.get("business_type"), coded.get("currency"), stored))
    change = contact_change(contact_of(stored), name_info(account, translate))
    if change is None:
        draft.existed(EntityKind.ACCOUNT, calls.ACCOUNTS, account_id, draft.facts.accounts)
        return
    title = f"bring account {account_id} up to date"
    draft.step(f"refresh:{account_id}", title, draft.caller.refresh(account, change), account_id, [account_id])
    draft.updated(EntityKind.ACCOUNT, calls.ACCOUNTS, account_id, draft.facts.accounts[account_id])


def _add_nonpaying(draft: Draft, account: Account, unit: NonpayingUnit) -> None:
    """A unit that others pay for, unless there is one for (service account, billing account, profile): it is used again."""
    crm_id = unit.key.crm_id
    if crm_id in draft.facts.nonpaying_units:
        draft.existed(EntityKind.NONPAYING_BILL_UNIT, calls.NONPAYING_UNITS, crm_id, draft.facts.nonpaying_units)
        return
    account_id = unit.key.service_account_id
    title = f"add to account {account_id} a bill unit paid by {unit.key.billing_profile_id}"
    draft.step(f"nonpaying:{crm_id}", title, draft.caller.add_nonpaying_unit(account, unit), account_id, [crm_id])
    _nonpaying_entity(draft, unit.key)


def _nonpaying_units(draft: Draft, account_id: str) -> Iterator[NonpayingUnit]:
    """Units of the account that others pay. A change without prior values puts no new payer in place (5.3, P12)."""
    for key in draft.collation.payers_of(account_id):
        known = key.crm_id in draft.facts.nonpaying_units
        if known or key in draft.collation.changed_payers or account_id not in draft.facts.accounts:
            yield NonpayingUnit(key, draft.command.profiles.get(key.billing_profile_id))
        else:
            lines = draft.collation.line_ids.get(key.crm_id, ())
            message = (
                f"account {account_id} is not paid by {key.billing_profile_id} of {key.billing_account_id} in "
                f"{draft.policy.system_id}, and no prior value says that its payer changed: nothing is changed"
            )
            metadata = {"entity": "account", "crm_id": account_id, "system": draft.policy.system_id}
            draft.findings.notices.append(Notice(Reason.PAYER_STATE_DIFFERS, message, lines, metadata))


def _stand_in(draft: Draft, account: Account) -> PayingUnit:
    """The unit of an account that no line gives one: its primary profile, else its first, else a default (6.4, Q6, Q7).

    A profile that lives on another instance cannot be used here (V30), so that the default stands in for it.
    """
    chosen = draft.primary_profile(account.account_id)
    if chosen is not None and not draft.lives_elsewhere(chosen.profile_id):
        draft.findings.violations.extend(profile_violations(chosen, draft.command.source_system, draft.policy))
        return PayingUnit(chosen)
    return PayingUnit(calls.default_profile(account, _frequency_of_payers(draft)), standing_in=True)


def _frequency_of_payers(draft: Draft) -> str:
    """How often who pays on this order is billed; monthly when nobody does, or nobody says."""
    used = (draft.command.profiles.get(profile_id) for profile_id in draft.collation.profiles)
    known = next((profile.bill_frequency for profile in used if profile and profile.bill_frequency), "")
    maps, source = draft.policy.value_maps, draft.command.source_system
    return known or maps.find(FREQUENCY_MAP, "MONTHLY", COMMON, source) or "Monthly"


def _unit_of_another(draft: Draft, profile_id: str, account_id: str) -> None:
    """A bill unit that is in BRM while the account it is used with is not: it was made for another account."""
    message = f"billing profile {profile_id} is in {draft.policy.system_id} already, but not with account {account_id}"
    path = draft.profile(profile_id).path
    metadata = {"entity": "billing_profile", "crm_id": profile_id, "field": path, "system": draft.policy.system_id}
    draft.findings.violations.append(Violation(Reason.PROFILE_NOT_OF_BILLING_ACCOUNT, message, path, metadata))


def _paying_entities(draft: Draft, profile: Profile) -> None:
    profile_id = profile.profile_id
    day = Ref(calls.bill_day_ref(profile_id))
    draft.created(EntityKind.BILL_UNIT, calls.BILL_UNITS, profile_id, calls.unit_ref(profile_id), day)
    draft.created(EntityKind.PAYMENT_RECORD, calls.PAYMENT_RECORDS, profile_id, calls.payment_ref(profile_id))
    draft.claim_party(profile.contact, profile.address)


def _nonpaying_entity(draft: Draft, key: PayerKey) -> None:
    draft.created(EntityKind.NONPAYING_BILL_UNIT, calls.NONPAYING_UNITS, key.crm_id, calls.nonpaying_ref(key))

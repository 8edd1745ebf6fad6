"""Decides what of an edited account has to change in one BRM instance (customer-sync 9.3).

A function of its arguments: what the CRM has, minus what billing has. Nothing to do is an empty plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from libs.brm import calls as brm
from libs.brm.codes import PayType
from libs.brm.flist import Flist
from libs.brm.poid import Poid
from libs.errors import Reason, Violation
from libs.plan.model import XrefLink, Yield
from services.customer_sync.domain import calls
from services.customer_sync.domain.calls import PROGRAM_NAME
from services.customer_sync.domain.marks import PartKind
from services.customer_sync.domain.model import Account, EntityKind, Policy
from services.customer_sync.domain.rules import masked_violations, months_of
from services.customer_sync.domain.update.compare import changes_frequency, contact_change, contact_of, immutable, record_change
from services.customer_sync.domain.update.draft import UpdateDraft
from services.customer_sync.domain.update.hierarchy import draw_hierarchy
from services.customer_sync.domain.update.model import (
    CustomerUpdate,
    Known,
    ProfilePart,
    Relink,
    State,
    Survey,
    UpdatePlan,
)
from services.customer_sync.domain.update.status import draw_status


def plan_customer_update(update: CustomerUpdate, survey: Survey, known: Known, state: State, policy: Policy) -> UpdatePlan:
    """The plan for one account in one instance: contact block, bill units and payment records in one call, then its place
    in the hierarchy, then its status.

    Raises ``O2CError`` with every violation (FIELD_IMMUTABLE, BILL_FREQUENCY_MISMATCH, STATUS_ACTIVE_ASSETS where strict);
    then nothing may be written.
    """
    draft = UpdateDraft(update, survey, known, state, policy)
    draft.findings.violations.extend(immutable(survey.account, survey.business_type, survey.currency, state.account))
    _draw_customer(draft)
    draw_hierarchy(draft)
    draw_status(draft)
    return draft.finished()


def _draw_customer(draft: UpdateDraft) -> None:
    """All of contact block, bill units and payment records that differs, in one call."""
    account = draft.survey.account
    name = contact_change(contact_of(draft.state.account), draft.survey.name) if draft.survey.name is not None else None
    changes = [each for part in draft.survey.profiles if (each := _profile_change(draft, part)) is not None]
    if name is None and not changes:
        return
    records = [record for _, _, record in changes if record is not None]
    units = [unit for _, unit, _ in changes if unit is not None]
    made = [part for part, unit, _ in changes if unit is not None and unit.payinfo is not None]
    call = brm.update_customer(
        draft.known.account,
        names={1: name} if name is not None else None,
        bill_units=units,
        payinfos=records,
        program_name=PROGRAM_NAME,
        db=draft.policy.db,
    )
    yields = [_new_record(draft, part, len(records) + index) for index, part in enumerate(made)]
    if name is not None and draft.survey.name is not None:
        yields.append(calls.updated_account(account, draft.survey.name))
    draft.step(f"update:{account.account_id}", _title(account, name, changes), (call, tuple(yields)), account.account_id)
    if name is not None:
        draft.updated(EntityKind.ACCOUNT, calls.ACCOUNTS, account.account_id, draft.known.account)
    for change in changes:
        _profile_entities(draft, *change)


Change = tuple[ProfilePart, brm.BillUnit | None, brm.PayInfo | None]
"""A profile, what changes of its bill unit, and its payment record if that is changed in place."""


def _profile_change(draft: UpdateDraft, part: ProfilePart) -> Change | None:
    profile_id = part.profile.profile_id
    unit = _unit_of(draft, profile_id)
    if unit is None:
        message = f"{draft.policy.system_id} does not have the bill unit that is cross-referenced for {profile_id}"
        metadata = {"kind": "BILL_UNIT", "id": profile_id, "system": draft.policy.system_id}
        draft.findings.violations.append(Violation(Reason.BILL_UNIT_NOT_IN_BILLING, message, part.profile.path, metadata))
        return None
    wanted = brm.BillUnit(
        poid=draft.known.links.bill_units[profile_id],
        bill_when=part.months if changes_frequency(part, unit, draft.known) else None,
        bill_day=None if part.is_scheduled or part.bill_day == _day_of(unit) else part.bill_day,
    )
    if wanted.bill_when is not None:
        draft.marks[PartKind.FREQUENCY, profile_id] = str(part.months)
        draft.findings.violations.extend(_frequency_of_payment(draft, part))
    record = None
    if unit.get("PAY_TYPE") != part.pay_type:
        draft.findings.violations.extend(masked_violations(part.profile, part.method))
        wanted = replace(wanted, pay_type=PayType(part.pay_type), payinfo=part.record)
    else:
        record = _record_change(draft, part, unit)
    changed = (wanted.bill_when, wanted.bill_day, wanted.payinfo) != (None, None, None)
    return (part, wanted if changed else None, record) if changed or record is not None else None


def _day_of(unit: Flist) -> int | None:
    """The bill day that the unit has, or gets with its next cycle: a change waits for that, and is not made again meanwhile."""
    found: int | None = unit.get("ACTG_FUTURE_DOM") or unit.get("ACTG_CYCLE_DOM")
    return found


def _unit_of(draft: UpdateDraft, profile_id: str) -> Flist | None:
    wanted = Poid.parse(draft.known.links.bill_units[profile_id])
    return next((unit for unit in draft.state.units.values() if unit["POID"] == wanted), None)


def _record_change(draft: UpdateDraft, part: ProfilePart, unit: Flist) -> brm.PayInfo | None:
    """The payment record the unit has now; the cross-reference may still name the one before it."""
    profile_id, current = part.profile.profile_id, unit.get("PAYINFO_OBJ")
    # By the object, not the text: the unit names it with the revision that it had once.
    stored = next((record for record in draft.state.records.values() if record["POID"] == current), None)
    if stored is None:
        message = f"{draft.policy.system_id} does not have the payment record of billing profile {profile_id}"
        metadata = {"kind": "PAYMENT_RECORD", "id": profile_id, "system": draft.policy.system_id}
        draft.findings.violations.append(Violation(Reason.BILL_UNIT_NOT_IN_BILLING, message, part.profile.path, metadata))
        return None
    linked = draft.known.links.payment_records.get(profile_id)
    if linked is not None and Poid.parse(linked) != stored["POID"]:
        draft.relinks.append(Relink(calls.PAYMENT_RECORDS, profile_id, str(stored["POID"])))
    return record_change(stored, part)


def _frequency_of_payment(draft: UpdateDraft, part: ProfilePart) -> Iterator[Violation]:
    """V16 against those that pay for the account and those it pays for, wherever they stand in the CRM (Q34)."""
    for each in draft.state.related:
        months = months_of(each, draft.update.source_system, draft.policy)
        if months not in (None, part.months):
            path = f"{part.profile.path}.bill_frequency"
            message = (
                f"billing profile {part.profile.profile_id} would be billed every {part.months} months, but {each.profile_id} "
                f"of account {each.account_id}, related by payment, every {months}"
            )
            metadata = {"entity": "billing_profile", "crm_id": part.profile.profile_id, "field": path}
            yield Violation(Reason.BILL_FREQUENCY_MISMATCH, message, path, metadata)


def _new_record(draft: UpdateDraft, part: ProfilePart, element: int) -> Yield:
    """The record of the new method; its cross-reference moves over from the old one, which stays in BRM unused."""
    profile_id = part.profile.profile_id
    moves = profile_id in draft.known.links.payment_records
    link = XrefLink(calls.PAYMENT_RECORDS, profile_id, moves=moves)
    return Yield(calls.payment_ref(profile_id), f"PAYINFO[{element}].POID", link)


def _profile_entities(draft: UpdateDraft, part: ProfilePart, unit: brm.BillUnit | None, record: brm.PayInfo | None) -> None:
    profile_id = part.profile.profile_id
    if unit is not None:
        draft.updated(EntityKind.BILL_UNIT, calls.BILL_UNITS, profile_id, draft.known.links.bill_units[profile_id])
    if unit is not None and unit.payinfo is not None:
        draft.created(EntityKind.PAYMENT_RECORD, calls.PAYMENT_RECORDS, profile_id, calls.payment_ref(profile_id))
    elif record is not None:
        draft.updated(EntityKind.PAYMENT_RECORD, calls.PAYMENT_RECORDS, profile_id, str(record.poid))
    draft.claim_party(part.profile.contact, part.profile.address)


def _title(account: Account, name: brm.NameInfo | None, changes: list[Change]) -> str:
    parts = ["the contact block"] if name is not None else []
    for part, unit, _ in changes:
        new_method = unit is not None and unit.payinfo is not None
        parts.append(f"the payment method of {part.profile.profile_id}" if new_method else part.profile.profile_id)
    return f"update {', '.join(parts)} of account {account.account_id}"

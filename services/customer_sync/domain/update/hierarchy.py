"""Corporate hierarchies by edits: the account's parent, and who pays below another billing account (customer-sync 6.5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from libs.brm import calls as brm
from libs.brm.codes import PayType
from libs.brm.flist import Flist
from libs.errors import Notice, Reason, Violation
from libs.plan.model import Ref, Yield
from services.customer_sync.domain import calls
from services.customer_sync.domain.calls import PROGRAM_NAME, NonpayingUnit
from services.customer_sync.domain.corporate import DEEPEST, is_corporate
from services.customer_sync.domain.draft import counted
from services.customer_sync.domain.findings import Findings
from services.customer_sync.domain.groups import GroupAction, GroupChange, group_changes
from services.customer_sync.domain.model import Account, CrmCustomer, EntityKind, PayerKey, Policy, Profile, Supersession
from services.customer_sync.domain.update.draft import UpdateDraft
from services.customer_sync.domain.update.model import Known, ServedGroup, Survey

BILLING: Final = "BILLING"


def wanted_parent(
    account: Account, family: Mapping[str, CrmCustomer], known: Known, policy: Policy, findings: Findings
) -> str | None:
    """The account to be above, empty for none; ``None`` where the CRM's hierarchy is not synchronised (6.1)."""
    if not is_corporate(account, policy):
        return None
    chain = list(chain_of(account.account_id, family))
    path = f"{account.path}.parent_account_id"
    if chain and chain[-1] in (account.account_id, *chain[:-1]):
        message = f"account {account.account_id} is above itself in the CRM: {' below '.join([account.account_id, *chain])}"
        metadata = {"account_ids": ",".join(chain), "crm_id": account.account_id, "field": path}
        findings.violations.append(Violation(Reason.HIERARCHY_CYCLE, message, path, metadata))
    elif len(chain) >= DEEPEST:
        message = f"account {account.account_id} has more than {DEEPEST - 1} accounts above it"
        metadata = {"account_ids": account.account_id, "crm_id": account.account_id, "field": path}
        findings.violations.append(Violation(Reason.HIERARCHY_TOO_DEEP, message, path, metadata))
    parent_id = account.parent_account_id
    if parent_id and parent_id not in known.links.accounts:
        message = (
            f"account {account.account_id} is below {parent_id}, which is not in {policy.system_id}: it stands alone there "
            f"until an order brings {parent_id}"
        )
        metadata = {"entity": "account", "crm_id": account.account_id, "system": policy.system_id}
        findings.notices.append(Notice(Reason.HIERARCHY_PARENT_NOT_SYNCED, message, metadata=metadata))
        return ""
    return parent_id


def chain_of(account_id: str, family: Mapping[str, CrmCustomer]) -> Iterator[str]:
    """The accounts above one, nearest first; of a cycle, up to the first account that comes again, that one included."""
    seen = {account_id}
    while account_id in family and (account_id := family[account_id].account.parent_account_id):
        yield account_id
        if account_id in seen:
            return
        seen.add(account_id)


def is_moving(survey: Survey, known: Known, parent_id: str) -> bool:
    """Whether an edit puts the account below somebody else than ``parent_id``, where BRM has it, or did so and was cut short
    before all that follows was done: then it stands there in BRM, but nobody has written it down yet."""
    wanted = survey.parent_id
    return wanted is not None and wanted != known.links.parents.get(survey.account.account_id, parent_id)


def draw_hierarchy(draft: UpdateDraft) -> None:
    """The least that puts the account below its parent; its children come along, untouched."""
    wanted = draft.survey.parent_id
    if wanted is None:
        return
    account_id = draft.survey.account.account_id
    changes = group_changes({account_id: wanted or None}, {account_id: draft.state.parent_id}, draft.state.groups)
    for change in changes:
        _draw_group(draft, change)
    if wanted and is_moving(draft.survey, draft.known, draft.state.parent_id):
        _draw_payer(draft)


def _draw_group(draft: UpdateDraft, change: GroupChange) -> None:
    owner_id, account_id = change.parent_id, draft.survey.account.account_id
    titles = {
        GroupAction.CREATE: f"create the hierarchy of account {owner_id}",
        GroupAction.JOIN: f"put account {account_id} below account {owner_id}",
        GroupAction.MOVE: f"move account {account_id} below account {owner_id}",
        GroupAction.LEAVE: f"take account {account_id} from below account {owner_id}",
    }
    draft.step(change.key, titles[change.action], draft.caller.change_group(change), owner_id)
    draft.group_changed(change, draft.state.groups, draft.state.unlinked_groups)


def _draw_payer(draft: UpdateDraft) -> None:
    """Below another billing account its services are paid by that one; the old bill units keep their payer."""
    account = draft.survey.account
    family = draft.survey.family
    new = next((each for each in chain_of(account.account_id, family) if _class_of(each, family) == BILLING), "")
    leaving = [key for key in _payers(draft, account.account_id) if key.billing_account_id != new]
    leaving = [key for key in leaving if draft.state.balance_groups.get(key.crm_id)]
    if not new or not leaving:
        return
    profile = _primary(family[new], draft.known)
    if profile is None or profile.profile_id not in draft.known.links.bill_units:
        what = "has no primary billing profile" if profile is None else f"has no bill unit for {profile.profile_id}"
        _kept(draft, leaving, f"{new}, above it now, {what} in {draft.policy.system_id}")
        return
    wanted = PayerKey(account.account_id, new, profile.profile_id)
    target = _target_unit(draft, wanted, profile)
    for key in leaving:
        for group in draft.state.balance_groups[key.crm_id]:
            _draw_transfer(draft, group, new, *target)
        if draft.known.links.account_payers.get(account.account_id) != key.billing_account_id:
            draft.superseded.append(Supersession(key.crm_id, wanted.crm_id))
    _kept(draft, leaving, f"its services are paid by {new} from now on")


def _primary(customer: CrmCustomer, known: Known) -> Profile | None:
    """The primary billing profile. Where the CRM has several: one that billing has, whatever order they come in."""
    several = [each for each in customer.profiles if each.is_primary]
    return min(several, key=lambda each: (each.profile_id not in known.links.bill_units, each.profile_id), default=None)


def _class_of(account_id: str, family: Mapping[str, CrmCustomer]) -> str:
    return family[account_id].account.account_class if account_id in family else ""


def _payers(draft: UpdateDraft, account_id: str) -> Iterator[PayerKey]:
    """Who pays for the account, by its nonpaying bill units."""
    for crm_id, unit in draft.state.units.items():
        key = PayerKey.of(crm_id)
        if unit.get("PAY_TYPE") == PayType.NONPAYING and key is not None and key.service_account_id == account_id:
            yield key


def _target_unit(draft: UpdateDraft, key: PayerKey, profile: Profile) -> tuple[str | Ref, str | Ref]:
    """The bill unit under the new payer and its default balance group; made when there is none.

    One that BRM has without cross-reference is made again: BRM refuses, and it is adopted and cross-referenced by that.
    """
    known: Flist | None = draft.state.units.get(key.crm_id)
    if known is not None and key.crm_id in draft.known.links.nonpaying_units:
        return str(known["POID"]), str(known["BAL_GRP_OBJ"])
    group = f"balgrp({key.crm_id})"
    call, yields = draft.caller.add_nonpaying_unit(draft.survey.account, NonpayingUnit(key, profile))
    title = f"add to account {key.service_account_id} a bill unit paid by {key.billing_profile_id}"
    draft.step(f"nonpaying:{key.crm_id}", title, (call, (*yields, Yield(group, "BAL_INFO[0].POID"))), key.service_account_id)
    draft.created(EntityKind.NONPAYING_BILL_UNIT, calls.NONPAYING_UNITS, key.crm_id, calls.nonpaying_ref(key))
    return Ref(calls.nonpaying_ref(key)), Ref(group)


def _draw_transfer(draft: UpdateDraft, group: ServedGroup, payer_id: str, unit: str | Ref, default_group: str | Ref) -> None:
    """A default group stays with its unit, so its services move; any other group moves itself."""
    account = draft.known.account
    if group.is_default:
        call = brm.set_bal_grp(default_group, account=account, services=group.service_ids, program_name=PROGRAM_NAME)
    else:
        call = brm.set_bal_grp(group.group, account=account, billinfo=unit, program_name=PROGRAM_NAME)
    title = f"have {counted(len(group.service_ids), 'service')} paid by account {payer_id}"
    draft.step(f"payer:{group.group}", title, (call, ()), draft.survey.account.account_id)


def _kept(draft: UpdateDraft, leaving: list[PayerKey], why: str) -> None:
    account_id = draft.survey.account.account_id
    old = ", ".join(dict.fromkeys(key.billing_profile_id for key in leaving))
    message = f"account {account_id} keeps its bill units paid by {old}: {why}"
    metadata = {"entity": "account", "crm_id": account_id, "system": draft.policy.system_id}
    draft.findings.notices.append(Notice(Reason.PAYER_OLD_KEPT, message, metadata=metadata))

"""F3: the account's status, where the site wants it synchronised (customer-sync 10)."""

from __future__ import annotations

from typing import Final

from libs.brm import calls as brm
from libs.brm.codes import Status
from libs.dvm import as_number
from libs.errors import Notice, Reason, Violation
from services.customer_sync.domain import calls
from services.customer_sync.domain.calls import PROGRAM_NAME
from services.customer_sync.domain.findings import Findings
from services.customer_sync.domain.model import Account, EntityKind, Policy
from services.customer_sync.domain.update.draft import UpdateDraft

STATUS_MAP: Final = "CUSTOMERPARTY_STATUSCODE"


def wanted_status(account: Account, source_system: str, policy: Policy, findings: Findings) -> int | None:
    """BRM's code of the CRM's status; ``None`` when it is not synchronised, with a notice where somebody may expect it."""
    if not account.status:
        return None
    metadata = {"entity": "account", "crm_id": account.account_id, "system": policy.system_id}
    code = as_number(policy.value_maps.find(STATUS_MAP, account.status, source_system, policy.system_id))
    if code not in set(Status):
        message = f"status {account.status} of account {account.account_id} means nothing to billing; it is left alone"
        findings.notices.append(Notice(Reason.STATUS_NOT_MAPPED, message, metadata=metadata))
        return None
    if policy.account_status_sync:
        return code
    if code != Status.ACTIVE:
        message = f"account {account.account_id} is {account.status} in the CRM; account status is not synchronised here"
        findings.notices.append(Notice(Reason.STATUS_SYNC_DISABLED, message, metadata=metadata))
    return None


def draw_status(draft: UpdateDraft) -> None:
    """The account's status; what follows for units, services and offers is BRM's business (Q40)."""
    wanted, account = draft.survey.status, draft.survey.account
    if wanted is None or draft.state.account.get("STATUS") == wanted:
        return
    if wanted != Status.ACTIVE and draft.state.assets:
        _say_what_is_active(draft)
    call = brm.set_status(draft.known.account, Status(wanted), program_name=PROGRAM_NAME)
    draft.step(
        f"status:{account.account_id}", f"make account {account.account_id} {account.status}", (call, ()), account.account_id
    )
    if not any(entity.kind is EntityKind.ACCOUNT for entity in draft.entities):
        draft.updated(EntityKind.ACCOUNT, calls.ACCOUNTS, account.account_id, draft.known.account)


def _say_what_is_active(draft: UpdateDraft) -> None:
    """The CRM keeps showing these as active, because no order ended them: a warning, or in strict sites a refusal."""
    account = draft.survey.account
    assets = ",".join(asset.asset_id or asset.brm_id for asset in draft.state.assets)
    message = f"account {account.account_id} is to be {account.status} while it has {len(draft.state.assets)} active assets"
    metadata = {"entity": "account", "crm_id": account.account_id, "system": draft.policy.system_id, "assets": assets}
    if draft.policy.strict_inactivation:
        path = f"{account.path}.status"
        violation = Violation(Reason.STATUS_ACTIVE_ASSETS, message, path, {**metadata, "field": path})
        draft.findings.violations.append(violation)
    elif draft.policy.warn_if_active_assets:
        draft.findings.notices.append(Notice(Reason.STATUS_ACTIVE_ASSETS, message, metadata=metadata))

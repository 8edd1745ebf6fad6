"""New payers of services that are installed (bill-fulfillment.md 6.5): another bill unit of the same account.

With balance groups per service a service is charged on the unit of its group. So it gets a new group on the unit of the new
payer, and what it used and earned before stays behind, as in the original (R-6.20); a site may have the old group moved
instead. Customer sync has made the unit and placed the account below its payer before (R-6.22).
"""

from __future__ import annotations

from libs.brm import calls
from libs.errors import Reason
from libs.plan.model import Yield
from services.bill_fulfillment.domain.assembly import Assembly, Phase, name_of, service_target
from services.bill_fulfillment.domain.draft import Draft, Situation, record
from services.bill_fulfillment.domain.model import Handle, ObjectKind
from services.bill_fulfillment.domain.references import group_name
from services.bill_fulfillment.domain.resolution import known_unit, require_payer


def take_new_payer(draft: Draft, situation: Situation) -> None:
    """Find the unit that the service is charged on from now on."""
    require_payer(draft)
    if not draft.is_open:
        return
    payer, system_id = draft.payer, situation.command.system_id
    draft.new_unit = known_unit(payer, situation.facts)
    if draft.new_unit is not None:
        return
    path = "billing_profile.billing_profile_id"
    if payer.pays_itself:
        key, message = (
            payer.billing_profile,
            f"bill unit {payer.billing_profile} is not in {system_id}; customer sync comes first",
        )
        draft.refuse(Reason.BILL_UNIT_NOT_IN_BILLING, message, path, kind="bill_unit", id=key, system=system_id)
    else:
        message = (
            f"account {payer.service_account} has no bill unit yet that {payer.billing_profile} pays; customer sync comes first"
        )
        draft.refuse(Reason.HIERARCHY_NOT_READY, message, path, account_ids=f"{payer.service_account},{payer.billing_account}")


def change_payer(draft: Draft, service: Handle, assembly: Assembly) -> None:
    """Charge a service on the unit of its new payer."""
    group, own = new_group(draft, assembly), _own_group(draft, assembly)
    yields = []
    if group == own:
        call = calls.set_bal_grp(group, account=draft.known_account, billinfo=draft.new_unit, program_name=assembly.program)
    else:
        is_new = group == group_name(draft.line.asset)
        call = calls.service_balgrp_transfer(
            draft.known_account,
            [service],
            to_account=draft.known_account,
            to_group=None if is_new else group,
            billinfo=draft.new_unit,
            program_name=assembly.program,
            db=assembly.db,
        )
        yields = [Yield(group_name(draft.line.asset).name, "SERVICES[0].BAL_GRP_OBJ")] if is_new else []
    draft.objects[ObjectKind.BALANCE_GROUP] = group
    assembly.add(
        Phase.SERVICE_CHANGES,
        f"service:{draft.line.asset}:payer",
        f"have {draft.payer.billing_profile} of account {draft.payer.billing_account} pay for service {name_of(draft)}",
        call,
        [draft],
        yields=yields,
        touches=[service_target(draft.line.asset)],
    )


def new_group(draft: Draft, assembly: Assembly) -> Handle:
    """The balance group on the new unit: that of the bundle the service is nested in when the two have one payer (R16), else
    one of its own."""
    parent = assembly.drafts.get(draft.at.owner_id)
    if parent is not None and parent.payer == draft.payer:
        moves = parent.new_unit is not None
        shared = new_group(parent, assembly) if moves else _recorded_group(parent, assembly)
        if shared is not None:
            return shared
    own = _own_group(draft, assembly)
    return own if own is not None else group_name(draft.line.asset)


def _own_group(draft: Draft, assembly: Assembly) -> Handle | None:
    """The group that goes along to another unit: where the site has it so, one that is not the parent's."""
    if not assembly.situation.policy.reuse_balance_group_on_payer_change or draft.from_account is not None:
        return None
    parent, own = assembly.drafts.get(draft.at.owner_id), _recorded_group(draft, assembly)
    return None if parent is not None and own == _recorded_group(parent, assembly) else own


def _recorded_group(draft: Draft, assembly: Assembly) -> Handle | None:
    return record(draft, assembly.situation.facts).refs.get(ObjectKind.BALANCE_GROUP)

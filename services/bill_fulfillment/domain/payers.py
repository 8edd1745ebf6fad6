"""New payers of services that are installed (bill-fulfillment.md 6.3, 6.5): another bill unit of the same account.

With balance groups per service a service is charged on the unit of its group. So it gets a new group on the unit of the new
payer, and what it used and earned before stays behind, as in the original (R-6.20); a site may have the old group moved
instead. Without them all services of an account are in one group, and get the new payer together. Customer sync has made the
unit and placed the account below its payer before (R-6.22).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from libs.brm import calls
from libs.errors import Reason
from libs.order_actions import SERVICES
from libs.plan.model import Yield
from services.bill_fulfillment.domain.assembly import Assembly, Phase, name_of, service_target
from services.bill_fulfillment.domain.classification import base_kind
from services.bill_fulfillment.domain.draft import Draft, Situation, record
from services.bill_fulfillment.domain.model import Action, Command, Handle, Kind, ObjectKind
from services.bill_fulfillment.domain.paths import Path
from services.bill_fulfillment.domain.references import account_group_name, group_name
from services.bill_fulfillment.domain.resolution import known_unit, require_payer

CHANGES: Final = (Action.UPDATE, Action.MOVE_ADD)
"""Actions by which something that is installed may get other accounts."""


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


def refuse_several_payers(drafts: Iterable[Draft], situation: Situation) -> None:
    """CONFLICTING_PAYERS: without balance groups per service, all services of an account get the same payer (R-6.6)."""
    if situation.policy.service_level_balance_groups:
        return
    by_account: dict[str, list[Draft]] = defaultdict(list)
    for draft in drafts:
        if draft.is_open and draft.kind in SERVICES and (draft.new_unit is not None or draft.path is Path.CREATE):
            by_account[draft.payer.service_account].append(draft)
    for account_id, members in by_account.items():
        if len({draft.payer for draft in members}) > 1:
            line_ids = ",".join(draft.line_id for draft in members)
            for draft in members:
                message = f"lines {line_ids} of account {account_id} name several payers, and there is one balance group"
                draft.refuse(Reason.CONFLICTING_PAYERS, message, line_ids=line_ids, account_ids=account_id)


def services_of_accounts(command: Command) -> tuple[str, ...]:
    """Accounts of which all services have to be known where they share a group: one is bought, or another one pays."""
    found: dict[str, None] = {}
    for line in command.lines:
        prior, payer = line.prior, line.payer
        changes = line.action in CHANGES and prior.billing_account not in (None, payer.billing_account)
        if base_kind(line) in (Kind.SERVICE_BUNDLE, Kind.SIMPLE_BUNDLE) and (line.action is Action.ADD or changes):
            found[payer.service_account] = None
    return tuple(found)


def changing_payer(account_id: str, drafts: Iterable[Draft]) -> list[Draft]:
    """Lines by which a service of an account gets another payer, without going to another account."""
    changing = (draft for draft in drafts if draft.is_open and draft.new_unit is not None and draft.from_account is None)
    return [draft for draft in changing if draft.payer.service_account == account_id]


def group_of_account(account_id: str, assembly: Assembly) -> Handle | None:
    """The group that all services of an account are in; ``None`` for the account's default one."""
    if changing_payer(account_id, assembly.drafts.values()):
        return account_group_name(account_id)
    others = assembly.situation.facts.account_services.get(account_id, ())
    return next((each.group for each in others), None)


def change_payer_of_account(draft: Draft, assembly: Assembly) -> None:
    """Move all services of an account into a new group on the unit of the new payer, those that are on no line, too (6.3)."""
    account_id = draft.payer.service_account
    lines = changing_payer(account_id, assembly.drafts.values())
    if draft is not lines[0]:
        return  # the first line moves them all
    services = assembly.situation.facts.account_services.get(account_id, ())
    assets = {line.line.asset for line in lines}
    unnamed = [each.asset or str(each.poid) for each in services if each.asset not in assets]
    if unnamed:
        message = f"{draft.payer.billing_account} pays for {', '.join(unnamed)}, too, which the order does not name"
        draft.warn(Reason.PAYER_CHANGED_OFF_ORDER, message, asset_ids=",".join(unnamed))
    call = calls.service_balgrp_transfer(
        draft.known_account,
        [each.poid for each in services],
        to_account=draft.known_account,
        billinfo=draft.new_unit,
        program_name=assembly.program,
        db=assembly.db,
    )
    who = f"{draft.payer.billing_profile} of account {draft.payer.billing_account}"
    assembly.add(
        Phase.SERVICE_CHANGES,
        f"account:{account_id}:payer",
        f"have {who} pay for all {len(services)} services of account {account_id}",
        call,
        lines,
        yields=[Yield(account_group_name(account_id).name, "SERVICES[0].BAL_GRP_OBJ")],
        touches=[service_target(line.line.asset) for line in lines],
    )


def change_payer(draft: Draft, service: Handle, assembly: Assembly) -> None:
    """Charge a service on the unit of its new payer."""
    if not assembly.situation.policy.service_level_balance_groups:
        change_payer_of_account(draft, assembly)
        return
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

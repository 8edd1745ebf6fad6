"""New payers of services that are installed (bill-fulfillment.md 6.3, 6.5): another bill unit of the same account.

With balance groups per service a service is charged on the unit of its group. So it gets a new group on the unit of the new
payer, and what it used and earned before stays behind, as in the original (R-6.20); a site may have the old group moved
instead. Without them all services of an account are in one group, and get the new payer together. Customer sync has made the
unit and placed the account below its payer before (R-6.22).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.errors import Reason
from libs.order_actions import SERVICES
from libs.plan.model import Ref, Yield
from services.bill_fulfillment.domain.assembly import Assembly, Phase, name_of, service_target
from services.bill_fulfillment.domain.classification import base_kind
from services.bill_fulfillment.domain.draft import Draft, Situation, record
from services.bill_fulfillment.domain.kinds import ACCOUNT_LEVEL
from services.bill_fulfillment.domain.model import Action, Command, Handle, ObjectKind
from services.bill_fulfillment.domain.paths import Path
from services.bill_fulfillment.domain.references import account_group_name, group_name
from services.bill_fulfillment.domain.resolution import bill_unit, known_unit, require_payer

CHANGES: Final = (Action.UPDATE, Action.MOVE_ADD)
"""Actions by which something that is installed may get other accounts."""


def take_new_payer(draft: Draft, situation: Situation) -> None:
    """Find the unit that the service is charged on from now on."""
    require_payer(draft)
    if not draft.is_open:
        return
    payer = draft.payer
    if payer.pays_itself or known_unit(payer, situation.facts) is not None:
        draft.new_unit = bill_unit(draft, situation)
        return
    message = (
        f"account {payer.service_account} has no bill unit yet that {payer.billing_profile} pays; customer sync comes first"
    )
    accounts = f"{payer.service_account},{payer.billing_account}"
    draft.refuse(Reason.HIERARCHY_NOT_READY, message, "billing_profile.billing_profile_id", account_ids=accounts)


def one_payer_per_account(drafts: Iterable[Draft], situation: Situation) -> None:
    """CONFLICTING_PAYERS: account-level products of an account share its default balance group, hence one payer; without
    balance groups per service so do all its services, new ones and those that get another payer (R-6.6, R-7.7)."""
    groups: dict[tuple[str, bool], list[Draft]] = defaultdict(list)
    for draft in drafts:
        if not draft.is_open or (draft.path is not Path.CREATE and draft.new_unit is None):
            continue
        if draft.kind in ACCOUNT_LEVEL:
            groups[draft.payer.service_account, True].append(draft)
        elif draft.kind in SERVICES and not situation.policy.service_level_balance_groups:
            groups[draft.payer.service_account, False].append(draft)
    for (account, _), members in groups.items():
        payers = {draft.payer for draft in members}
        if len(payers) > 1:
            line_ids = ",".join(draft.line_id for draft in members)
            for draft in members:
                message = f"lines {line_ids} of account {account} name {len(payers)} payers, and there is one balance group"
                draft.refuse(Reason.CONFLICTING_PAYERS, message, line_ids=line_ids, account_ids=account)


def services_of_accounts(command: Command) -> tuple[str, ...]:
    """Accounts of which all services have to be known where they share a group: one is bought, or another one pays."""
    found: dict[str, None] = {}
    for line in command.lines:
        prior, payer = line.prior, line.payer
        changes = line.action in CHANGES and prior.billing_account not in (None, payer.billing_account)
        if base_kind(line) in SERVICES and (line.action is Action.ADD or changes):
            found[payer.service_account] = None
    return tuple(found)


def new_payers(drafts: Iterable[Draft]) -> dict[str, list[Draft]]:
    """Lines by which services get another payer, without going to another account, by account."""
    found: dict[str, list[Draft]] = defaultdict(list)
    for draft in drafts:
        if draft.is_open and draft.new_unit is not None and draft.from_account is None:
            found[draft.payer.service_account].append(draft)
    return dict(found)


def group_of_account(account_id: str, assembly: Assembly) -> Handle | None:
    """The group that all services of an account are in; ``None`` for the account's default one."""
    if account_id in assembly.new_payers:
        return account_group_name(account_id)
    others = assembly.situation.facts.account_services.get(account_id, ())
    return next((each.group for each in others), None)


def change_payer_of_account(draft: Draft, assembly: Assembly) -> None:
    """Move all services of an account into a new group on the unit of the new payer, those that are on no line, too (6.3)."""
    account_id = draft.payer.service_account
    lines = assembly.new_payers[account_id]
    if draft is not lines[0]:
        return  # the first line moves them all
    services = assembly.situation.facts.account_services.get(account_id, ())
    assets = {line.line.asset for line in lines}
    unnamed = [each.asset or str(each.poid) for each in services if each.asset not in assets]
    if unnamed:
        message = f"{draft.payer.billing_account} pays for {', '.join(unnamed)}, too, which the order does not name"
        draft.warn(Reason.PAYER_CHANGED_OFF_ORDER, message, asset_ids=",".join(unnamed))
    group = account_group_name(account_id)
    call, yields = into_group(draft, draft.known_account, [each.poid for each in services], group, group, assembly)
    who = f"{draft.payer.billing_profile} of account {draft.payer.billing_account}"
    assembly.add(
        Phase.SERVICE_CHANGES,
        f"account:{account_id}:payer",
        f"have {who} pay for all {len(services)} services of account {account_id}",
        call,
        lines,
        yields=yields,
        touches=[service_target(line.line.asset) for line in lines],
    )


def change_payer(draft: Draft, service: Handle, assembly: Assembly) -> None:
    """Charge a service on the unit of its new payer."""
    if not assembly.situation.policy.service_level_balance_groups:
        change_payer_of_account(draft, assembly)
        return
    group, own = new_group(draft, assembly), _own_group(draft, assembly)
    yields: Sequence[Yield] = ()
    if group == own:
        call = calls.set_bal_grp(group, account=draft.known_account, billinfo=draft.new_unit, program_name=assembly.program)
    else:
        made = group_name(draft.line.asset)
        call, yields = into_group(draft, draft.known_account, [service], group, made, assembly)
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


def into_group(
    draft: Draft, leaves: Handle, services: Sequence[Handle], group: Handle, made: Ref, assembly: Assembly
) -> tuple[BrmCall, list[Yield]]:
    """The call that moves services of the account ``leaves`` to a balance group on the new unit of the line's account. A group
    that goes by the name ``made`` is made by it, and yielded."""
    is_new = group == made
    call = calls.service_balgrp_transfer(
        leaves,
        services,
        to_account=draft.known_account,
        to_group=None if is_new else group,
        billinfo=draft.new_unit,
        program_name=assembly.program,
        db=assembly.db,
    )
    return call, [Yield(made.name, "SERVICES[0].BAL_GRP_OBJ")] if is_new else []


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

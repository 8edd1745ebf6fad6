"""Which account is to be below which, after an order (customer-sync 5.1, 5.3, 6.4).

A corporate account stands where the CRM's hierarchy has it (``corporate``). For all others there are two levels:
A service account comes below the first billing account that pays for it, and stays there. It moves only when an order changes
its payer for all its services, with prior values that say so.
"""

from __future__ import annotations

from collections.abc import Iterator

from libs.errors import Reason, Violation
from services.customer_sync.domain import calls
from services.customer_sync.domain.contributions import CONTRIBUTIONS
from services.customer_sync.domain.draft import Draft
from services.customer_sync.domain.groups import GroupAction, GroupChange, group_changes
from services.customer_sync.domain.model import EntityKind, Parenting
from services.customer_sync.domain.table_10_1 import GOING


def draw_hierarchy(draft: Draft) -> None:
    """The group changes that put every account of the order where it belongs: one call per parent, or
    per thousand accounts that come below it."""
    wanted = wanted_parents(draft)
    draft.findings.violations.extend(_cycles(draft, wanted))
    changes = group_changes(wanted, draft.facts.parents, draft.facts.account_groups)
    for change in changes:
        _draw(draft, change, changes)
    changed = {change.parent_id for change in changes}
    for parent_id in dict.fromkeys(draft.collation.parents.values()):
        if parent_id not in changed:
            draft.existed(EntityKind.ACCOUNT_GROUP, calls.ACCOUNT_GROUPS, parent_id, draft.facts.account_groups)


def wanted_parents(draft: Draft) -> dict[str, str | None]:
    """The parent of every account that needs one or gets another one."""
    wanted: dict[str, str | None] = {}
    for account_id, parent_id in draft.collation.parents.items():
        if account_id in draft.collation.corporate:
            wanted[account_id] = parent_id
        elif account_id in draft.facts.corporate:
            continue  # the order names it by id alone; who pays does not move it
        elif account_id in draft.collation.repaid and moves_as_a_whole(draft, account_id):
            wanted[account_id] = draft.collation.repaid[account_id]
        elif not draft.facts.parents.get(account_id) and _pays_or_will(draft, account_id, parent_id):
            wanted[account_id] = parent_id
    return wanted


def _cycles(draft: Draft, wanted: dict[str, str | None]) -> Iterator[Violation]:
    """HIERARCHY_CYCLE for every account that would come below one that billing has below it, as far as that is remembered."""
    above = {**draft.facts.parents, **wanted}
    for account_id, parent_id in wanted.items():
        trail = [account_id]
        while parent_id and parent_id not in trail:
            trail.append(parent_id)
            parent_id = above.get(parent_id)
        if parent_id == account_id and not all(each in wanted for each in trail):  # else the order alone says so
            message = f"accounts would be below each other: {' under '.join([*trail, account_id])}"
            lines = draft.collation.line_ids.get(account_id, ())
            metadata = {"account_ids": ",".join(trail), "line_ids": ",".join(lines)}
            yield Violation(Reason.HIERARCHY_CYCLE, message, "order.lines", metadata)


def _pays_or_will(draft: Draft, account_id: str, parent_id: str) -> bool:
    """Whether the order puts (or finds) a unit of the account under the parent; otherwise the hierarchy stays (P12)."""
    keys = [key for key in draft.collation.payers_of(account_id) if key.billing_account_id == parent_id]
    known = account_id in draft.facts.accounts
    return any(not known or key in draft.collation.changed_payers or key.crm_id in draft.facts.nonpaying_units for key in keys)


def moves_as_a_whole(draft: Draft, account_id: str) -> bool:
    """Whether the new payer pays for every service of the account once the order is done (5.3).

    Services stay with another payer that this order leaves to him, and those that BRM holds and the order does not move.
    Without service-level balance groups BRM has one payer for the account as a whole, and nothing stays there. Services of
    other orders that are not in BRM yet do not count.
    """
    payer_id = draft.collation.repaid[account_id]
    here = [line for line in draft.command.lines if line.service_account_id == account_id and line.action not in GOING]
    if any(CONTRIBUTIONS[line.kind].service_account and line.billing_account_id != payer_id for line in here):
        return False
    moved = {poid for line in here for poid in draft.facts.assets.get(line.asset_id, ())}
    staying = (service for service in draft.facts.services.get(account_id, ()) if service.poid not in moved)
    return all(service.payer_id == payer_id for service in staying)


def _draw(draft: Draft, change: GroupChange, changes: tuple[GroupChange, ...]) -> None:
    named = change.member_ids
    who = f"account {named[0]}" if len(named) == 1 else f"{len(named)} accounts"
    titles = {
        GroupAction.CREATE: f"create the hierarchy of account {change.parent_id} with {who if named else 'nobody'} below it",
        GroupAction.JOIN: f"put {who} below account {change.parent_id}",
        GroupAction.MOVE: f"move {who} below account {change.parent_id}",
        GroupAction.LEAVE: f"take {who} from below account {change.parent_id}",
    }
    call, yields = draft.caller.change_group(change)
    if any(each.parent_id == change.parent_id for each in changes[: changes.index(change)]):
        yields = ()  # an earlier change of the same group cross-references it
    after = _earlier(change, changes)
    draft.step(change.key, titles[change.action], (call, yields), change.parent_id, named or [change.parent_id], after)
    draft.group_changed(change, draft.facts.account_groups, draft.facts.unlinked_groups)
    if named:
        parent_id = "" if change.action is GroupAction.LEAVE else change.parent_id
        corporate = named[0] in draft.collation.corporate
        draft.parentings.append(Parenting(change.key, parent_id, named, corporate))


def _earlier(change: GroupChange, changes: tuple[GroupChange, ...]) -> list[str]:
    """Moves wait for those that move or take away what stands above or between: BRM takes no detour through a cycle."""
    if change.action is not GroupAction.MOVE:
        return []
    before = changes[: changes.index(change)]
    return [each.key for each in before if each.action in (GroupAction.MOVE, GroupAction.LEAVE)]

"""The calls that make collections groups what a legal decision wants (customer-sync 7.2): who leaves comes before who joins,
because a bill unit is in one group at most."""

from __future__ import annotations

from typing import Final

from libs.brm import calls as brm
from libs.brm.call import BrmCall
from libs.brm.poid import Poid
from libs.errors import Notice, Reason
from libs.plan.model import Ref, XrefGone, XrefLink, Yield
from services.customer_sync.domain import calls
from services.customer_sync.domain.draft import Draft, counted
from services.customer_sync.domain.legal import LegalDecision
from services.customer_sync.domain.model import EntityKind, LegalChange, LegalParent

KIND: Final = EntityKind.LEGAL_GROUP
STEPS: Final = "legalgroup"
"""How the keys of all its steps begin."""


def draw_legal(draft: Draft, decision: LegalDecision) -> None:
    """Every group that changes: one call each for those who leave, the end of an empty group, and those who join."""
    left: list[str] = []
    for owner_id, profiles in decision.leaves.items():
        if owner_id in draft.facts.legal_groups:
            left += _leave(draft, owner_id, profiles, owner_id in decision.joins)
    for owner_id, profiles in decision.joins.items():
        if owner_id in decision.primary:
            _join(draft, decision, owner_id, profiles, left)


def _leave(draft: Draft, owner_id: str, profiles: dict[str, str], gets_others: bool) -> list[str]:
    """Keys of the steps after which the units are free."""
    group = draft.facts.legal_groups[owner_id]
    key = f"legalgroup-left:{owner_id}"
    members = [_member(draft, profile_id, account_id) for profile_id, account_id in profiles.items()]
    call = brm.collections_group_delete_member(group, members, program_name=draft.caller.program)
    title = f"take {counted(len(members), 'bill unit')} out of the legal group of {owner_id}"
    draft.step(key, title, (call, ()), owner_id, list(profiles))
    draft.updated(KIND, calls.LEGAL_GROUPS, owner_id, draft.facts.legal_groups[owner_id])
    draft.legal_changes += [LegalChange(key, profile_id, account_id, "") for profile_id, account_id in profiles.items()]
    going = {Poid.parse(draft.facts.bill_units[each]) for each in profiles if each in draft.facts.bill_units}
    if not gets_others and not draft.facts.legal_members.get(owner_id, frozenset()) - going:
        _end(draft, owner_id, key)
    return [key]


def _end(draft: Draft, owner_id: str, after: str) -> None:
    """Delete a group without members, and its cross-reference."""
    group = draft.facts.legal_groups[owner_id]
    key = f"legalgroup-ended:{owner_id}"
    call = brm.collections_group_delete(group, program_name=draft.caller.program)
    whole = owner_id in draft.facts.legal_only_here
    gone = (XrefGone(calls.LEGAL_GROUPS, owner_id, group, whole=whole),)
    draft.step(key, f"delete the legal group of {owner_id}, which is empty", (call, ()), owner_id, [owner_id], [after], gone)
    draft.legal_parents.append(LegalParent(key, owner_id, ""))


def _join(draft: Draft, decision: LegalDecision, owner_id: str, profiles: dict[str, str], after: list[str]) -> None:
    known = draft.facts.legal_groups.get(owner_id)
    new = {each: of for each, of in profiles.items() if draft.facts.legal_owners.get(each) != owner_id}
    primary = decision.primary[owner_id].profile_id
    if known is None:
        key = f"legalgroup:{owner_id}"
        title = f"create the legal group of {owner_id} with {counted(len(profiles), 'bill unit')}"
        draft.step(key, title, _create(draft, owner_id, primary, profiles), owner_id, list(profiles), after)
        draft.created(KIND, calls.LEGAL_GROUPS, owner_id, calls.legal_group_ref(owner_id))
        draft.legal_changes += [LegalChange(key, each, of, owner_id) for each, of in profiles.items()]
        draft.legal_parents.append(LegalParent(key, owner_id, primary))
        return
    repointed = _repoint(draft, owner_id, primary)
    if new:
        key = f"legalgroup-members:{owner_id}"
        members = [_member(draft, each, of) for each, of in new.items()]
        call = brm.collections_group_add_member(known, members, program_name=draft.caller.program)
        title = f"put {counted(len(new), 'bill unit')} into the legal group of {owner_id}"
        draft.step(key, title, (call, _adopted(draft, owner_id, key, primary)), owner_id, list(new), after)
        draft.legal_changes += [LegalChange(key, each, of, owner_id) for each, of in new.items()]
    if new or repointed:
        draft.updated(KIND, calls.LEGAL_GROUPS, owner_id, draft.facts.legal_groups[owner_id])
    else:
        draft.existed(KIND, calls.LEGAL_GROUPS, owner_id, draft.facts.legal_groups)


def _create(draft: Draft, owner_id: str, primary: str, profiles: dict[str, str]) -> tuple[BrmCall, tuple[Yield, ...]]:
    name = draft.caller.legal_group_name(owner_id)
    if isinstance(name, Ref):
        draft.claim(calls.ACCOUNTS, owner_id)
    call = brm.collections_group_create(
        draft.caller.unit(primary),
        [_member(draft, each, of) for each, of in profiles.items()],
        name=name,
        program_name=draft.caller.program,
        db=draft.policy.db,
    )
    return call, (_linked(draft, owner_id),)


def _linked(draft: Draft, owner_id: str) -> Yield:
    """The group in the cross-references, perhaps in the place of one that is gone."""
    link = XrefLink(calls.LEGAL_GROUPS, owner_id, moves=owner_id in draft.facts.legal_purged)
    return Yield(calls.legal_group_ref(owner_id), "POID", link)


def _adopted(draft: Draft, owner_id: str, key: str, primary: str) -> tuple[Yield, ...]:
    """A group that BRM had without cross-reference gets one as soon as it is joined."""
    if owner_id not in draft.facts.legal_unlinked:
        return ()
    draft.claim(calls.LEGAL_GROUPS, owner_id)
    draft.legal_parents.append(LegalParent(key, owner_id, primary))
    return (_linked(draft, owner_id),)


def _repoint(draft: Draft, owner_id: str, primary: str) -> bool:
    """The owner's primary profile changed since the group was made: its unit becomes the parent (Q11)."""
    was = draft.facts.legal_parents.get(owner_id, primary)
    if was == primary:
        return False
    key = f"legalgroup-parent:{owner_id}"
    call = brm.collections_group_set_parent(
        draft.facts.legal_groups[owner_id], draft.caller.unit(primary), program_name=draft.caller.program
    )
    draft.step(key, f"let {primary} answer in the legal group of {owner_id}, not {was}", (call, ()), owner_id, [owner_id])
    draft.legal_parents.append(LegalParent(key, owner_id, primary))
    message = f"the legal group of {owner_id} is of its new primary profile {primary} now, not of {was}"
    metadata = {"owner_ids": owner_id, "crm_id": owner_id}
    draft.findings.notices.append(Notice(Reason.LEGAL_PARENT_CHANGED, message, metadata=metadata))
    return True


def _member(draft: Draft, profile_id: str, account_id: str) -> brm.CollectionsMember:
    account: str | Ref = draft.caller.account(account_id)
    return brm.CollectionsMember(draft.caller.unit(profile_id), account)

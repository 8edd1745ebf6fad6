"""The first stage: which lines go on to billing, on which path, and which are refused or left alone before anything else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from libs.errors import Reason
from libs.order_actions import ITEMS, SILENT, SUSPENDED_WITH_SERVICE, Cell, cell
from services.bill_fulfillment.domain.classification import Classified, classify
from services.bill_fulfillment.domain.draft import INSTANCE_OF, Draft, Situation, instance
from services.bill_fulfillment.domain.kinds import NOT_BUILT, PARTS
from services.bill_fulfillment.domain.ledger import is_known
from services.bill_fulfillment.domain.model import Action, Kind, Line, Mode, ObjectKind, Outcome, Payer, State
from services.bill_fulfillment.domain.paths import Path, path

_STATUS: Final = (Action.SUSPEND, Action.RESUME)
_NEEDS_INSTANCE: Final = (
    Path.RESET_DATES,
    Path.REVISE,
    Path.REVISE_AND_RESET,
    Path.CHANGE,
    Path.CANCEL,
    Path.STATUS,
    Path.MOVE,
)
_GROUP: Final = frozenset({Kind.PROMOTION_GROUP, Kind.MEMBERSHIP, Kind.REWARD})


def admit(situation: Situation) -> dict[str, Draft]:
    """A draft per line, by line id, in the order of the request."""
    classified = classify(situation.command.lines)
    drafts = {line_id: _draft(at, classified) for line_id, at in classified.items()}
    for draft in drafts.values():
        _find_state(draft, situation)
    for draft in drafts.values():
        _admit_one(draft, situation, drafts)
    _refuse_twins(drafts.values())
    return drafts


def payers(lines: Sequence[Line]) -> frozenset[Payer]:
    """Who uses, who pays and on which bill, as far as the lines and the services that own them say."""
    classified = classify(lines)
    return frozenset(_draft(at, classified).payer for at in classified.values())


def _draft(at: Classified, classified: Mapping[str, Classified]) -> Draft:
    line = at.line
    owner = classified[at.owner_id].line if at.owner_id else None
    draft = Draft(at, line.payer, line.service_id)
    if owner is not None:
        draft.owner_asset = owner.asset
        draft.payer = _inherited_payer(line, owner, component=at.kind in PARTS)
        draft.service_id = (owner.service_id or line.service_id) if at.kind in PARTS else line.service_id or owner.service_id
    return draft


def _inherited_payer(line: Line, owner: Line, *, component: bool) -> Payer:
    """A component has its service's accounts whatever it says; a nested bundle takes those it does not name."""
    first, second = (owner.payer, line.payer) if component else (line.payer, owner.payer)
    return Payer(
        first.service_account or second.service_account,
        first.billing_account or second.billing_account,
        first.billing_profile or second.billing_profile,
    )


def _find_state(draft: Draft, situation: Situation) -> None:
    """How far the asset has come: by the ledger, else by the cross-reference; an item's by its line."""
    facts, line = situation.facts, draft.line
    if draft.kind not in INSTANCE_OF:
        return
    if draft.kind in ITEMS:
        entry = facts.lines.get(line.ledger_key)
        if entry is not None and entry.reached:
            draft.state = entry.state
        elif line.line_id in facts.bought_items:
            draft.state = State.FULFILLED
        return
    known = facts.assets.get(line.asset)
    if known is not None and known.state is not State.NONE:
        draft.state = known.state
    elif line.asset and instance(draft, facts) is not None:
        draft.state = State.FULFILLED


def _admit_one(draft: Draft, situation: Situation, drafts: Mapping[str, Draft]) -> None:
    line = draft.line
    system_id = situation.command.system_id
    if line.target_system_id and line.target_system_id != system_id:
        message = f"line {line.line_id} is bound for {line.target_system_id}, the request for {system_id}"
        draft.refuse(Reason.ROUTE_TARGET_MISMATCH, message, "target_system_id", system=line.target_system_id)
        return
    if line.action is Action.NONE or draft.kind in SILENT:
        draft.settle(Outcome.IGNORED)
        return
    if draft.at.violations:
        draft.violations.extend(draft.at.violations)
        draft.outcome = Outcome.FAILED
        return
    if draft.kind is Kind.PROMOTION_GROUP and line.action in (Action.ADD, Action.DELETE):
        draft.settle(Outcome.IGNORED)
        return
    if _by_matrix(draft, situation, drafts):
        _take_path(draft, situation)


def _by_matrix(draft: Draft, situation: Situation, drafts: Mapping[str, Draft]) -> bool:
    """Whether the tables let the line through; otherwise it is settled."""
    line = draft.line
    code = cell(draft.kind, line.action)
    if code in (Cell.IGNORED, Cell.FIND):
        draft.settle(Outcome.IGNORED)
    elif code is Cell.REJECTED and not _is_revision_of_item(draft, situation):
        if line.action in _STATUS and _suspended_with_other(draft, drafts):
            draft.settle(Outcome.IGNORED)
        else:
            _reject(draft)
    elif code is Cell.WITH_PARENT:
        message = f"line {line.line_id} prices an event of no product: it stands below none"
        draft.refuse(Reason.LINE_TREE_INVALID, message, "parent_line_id")
    elif (draft.kind, line.action) in NOT_BUILT and not _waits(line):
        message = f"{line.action} of a {_words(draft.kind)} is not offered by this version"
        draft.refuse(Reason.LINE_ACTION_NOT_SUPPORTED, message, "action", product_kind=draft.kind, action=line.action)
    else:
        return True
    return False


def _waits(line: Line) -> bool:
    """Moves are of no interest to the first phase (PT-14)."""
    return line.mode is Mode.INITIATE and line.action in (Action.MOVE_ADD, Action.MOVE_DELETE)


def _is_revision_of_item(draft: Draft, situation: Situation) -> bool:
    """A bought item cannot change, but one that is only initiated may be revised or taken back (D-5, D-8). The same revision
    sent again is one too, although by then the item is bought or gone (R-11.6)."""
    if draft.kind not in ITEMS or draft.line.action not in (Action.UPDATE, Action.DELETE):
        return False
    return draft.state is State.INITIATED or is_known(draft, situation)


def _suspended_with_other(draft: Draft, drafts: Mapping[str, Draft]) -> bool:
    """The CRM repeats a suspend or resume on the whole tree: it is the service's line that counts (R-3.1)."""
    action = draft.line.action
    if draft.kind in SUSPENDED_WITH_SERVICE:
        owner = drafts.get(draft.at.owner_id)
        return owner is not None and owner.line.action is action
    if draft.kind is Kind.PROMOTION:
        asset = draft.line.asset
        return any(
            other.line.action is action
            and cell(other.kind, action) is Cell.YES
            and (other.line.promotion == asset or other.line.promotion_line_id == draft.line_id)
            for other in drafts.values()
        )
    if draft.kind in _GROUP:
        attached = drafts.get(draft.line.related_line_id)
        return attached is not None and attached.line.action is action
    return False


def _reject(draft: Draft) -> None:
    line = draft.line
    metadata = {"product_kind": draft.kind.value, "action": line.action.value}
    if draft.kind in ITEMS and line.action in (Action.UPDATE, Action.DELETE):
        message = f"line {line.line_id}: a bought item leaves nothing in billing that {line.action} could reach"
        draft.refuse(Reason.ITEM_CHANGE_NOT_ALLOWED, message, "action", **metadata)
        return
    message = f"line {line.line_id}: {line.action} is not supported for a {_words(draft.kind)}"
    draft.refuse(Reason.LINE_ACTION_NOT_SUPPORTED, message, "action", **metadata)


def _take_path(draft: Draft, situation: Situation) -> None:
    line, facts = draft.line, situation.facts
    if draft.kind not in ITEMS and not line.asset:
        message = f"line {line.line_id} names no asset"
        draft.refuse(Reason.ASSET_ID_MISSING, message, "asset_integration_id", field="asset_integration_id")
        return
    draft.path = path(line.action, line.mode, draft.state)
    if draft.path in _NEEDS_INSTANCE and instance(draft, facts) is None:
        draft.path = Path.ABSENT
    there = facts.elsewhere.get(line.asset, "") if draft.state is State.NONE else ""
    if draft.path is Path.MOVE and _takes_anothers_place(draft, situation):
        message = f"asset {line.asset} is in billing already, as another object than {line.move_from}"
        draft.refuse(Reason.XREF_VALUE_NOT_UNIQUE, message, "asset_integration_id", value=line.asset, entity="asset")
        return
    if there and not (draft.kind is Kind.PROMOTION and line.action is Action.ADD):
        message = f"asset {line.asset} is in {there}, not in {situation.command.system_id}"
        draft.refuse(Reason.ROUTE_ASSET_CONFLICT, message, "asset_integration_id", candidates=there, evidence=line.asset)
    elif draft.path is Path.ABSENT:
        draft.refuse_absent(f"asset {line.asset}", INSTANCE_OF[draft.kind], situation.command.system_id)
    elif draft.path is Path.GONE:
        message = f"asset {line.asset} was cancelled in billing, and what is cancelled cannot be revived"
        draft.refuse(Reason.CANNOT_COMPENSATE, message, "action", product_kind=draft.kind, action=line.action)
    elif draft.path is Path.WAIT:
        draft.settle(Outcome.IGNORED)
    elif draft.path in (Path.REACHED, Path.CANCELLED):
        draft.settle(Outcome.NO_CHANGE)
        _remember(draft, situation)
    elif draft.path is Path.NOTHING_TO_CANCEL:
        draft.warn(Reason.NOTHING_TO_CANCEL, f"asset {line.asset} has nothing in billing to cancel")
        draft.settle(Outcome.NO_CHANGE)


def _takes_anothers_place(draft: Draft, situation: Situation) -> bool:
    installed, kind = situation.facts.installed, INSTANCE_OF[draft.kind]
    old, new = installed.get((draft.line.move_from, kind)), installed.get((draft.line.asset, kind))
    return old is not None and old != new


def _remember(draft: Draft, situation: Situation) -> None:
    """A line that is where it should be answers with what it has."""
    known = instance(draft, situation.facts)
    if known is not None:
        draft.objects[INSTANCE_OF[draft.kind]] = known
    if draft.kind is Kind.SIMPLE_BUNDLE:
        product = instance(draft, situation.facts, ObjectKind.PRODUCT)
        if product is not None:
            draft.objects[ObjectKind.PRODUCT] = product
    entry = situation.facts.lines.get(draft.line.ledger_key)
    asset = situation.facts.assets.get(draft.line.asset)
    if entry is not None:
        draft.dates = entry.dates
    elif asset is not None:
        draft.dates = asset.dates
    draft.reached = draft.state


def _refuse_twins(drafts: Iterable[Draft]) -> None:
    """One asset twice on one order, and not as a move: nobody can tell which line is meant."""
    by_asset: dict[str, list[Draft]] = defaultdict(list)
    for draft in drafts:
        acting = draft.line.action not in (Action.NONE, Action.MOVE_ADD, Action.MOVE_DELETE)
        if acting and draft.line.asset and draft.kind in INSTANCE_OF and draft.kind not in ITEMS:
            by_asset[draft.line.asset].append(draft)
    for asset, twins in by_asset.items():
        if len(twins) > 1:
            line_ids = ",".join(draft.line_id for draft in twins)
            for draft in twins:
                message = f"asset {asset} stands on lines {line_ids}"
                draft.refuse(Reason.ASSET_LINES_DUPLICATE, message, "asset_integration_id", line_ids=line_ids)


def _words(kind: Kind) -> str:
    return kind.name.lower().replace("_", " ")

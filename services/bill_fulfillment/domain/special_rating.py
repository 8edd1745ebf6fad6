"""Friends and family: the special rating list of a service, from its feature on the order (bill-fulfillment.md 9).

The feature is a profile of the service. It is named as the feature, because that name is BRM's provisioning tag (R-9.2), and
labelled with the list's reference, which tells two lists of one service apart. Entry changes of a list that stays come from the
CRM, by customer sync (R-9.6).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from libs.brm import calls
from libs.brm.rating_lists import replaced_entries
from libs.errors import Reason
from services.bill_fulfillment.domain.assembly import Assembly, Phase, name_of, owner_targets, service_of
from services.bill_fulfillment.domain.classification import base_kind
from services.bill_fulfillment.domain.draft import Draft, Situation
from services.bill_fulfillment.domain.model import Action, Handle, Kind, Line, Mode, ObjectKind
from services.bill_fulfillment.domain.paths import Path

REFUSALS: Final[Mapping[tuple[str, str], Reason]] = {
    ("PIN_ERR_NOT_FOUND", "PIN_FLD_NAME"): Reason.SPECIAL_RATING_TAG_UNKNOWN,
    ("PIN_ERR_BAD_VALUE", "PIN_FLD_NAME"): Reason.SPECIAL_RATING_TAG_UNKNOWN,
    ("PIN_ERR_DUPLICATE", "PIN_FLD_NAME"): Reason.SPECIAL_RATING_DUPLICATE,
}
"""BRM's error and field, when it refuses to create a list, to what that means (R-9.2, R-9.9). What an unknown tag is called is
recalled, not documented; other refusals are told in BRM's own words."""


def asks_for_entries(line: Line) -> bool:
    """Whether what BRM holds has to be known: another list, or entries on the order, may replace it (R-9.5)."""
    if base_kind(line) is not Kind.SPECIAL_RATING or line.action is not Action.UPDATE or line.mode is not Mode.FULFILL:
        return False
    return bool(line.special_rating_entries) or _is_other_list(line)


def check_new(draft: Draft, drafts: Mapping[str, Draft]) -> None:
    """A feature needs a name, a service, and a subscription beside it (R-2.3, R-2.4, R-9.3)."""
    owner = drafts.get(draft.at.owner_id)
    if not draft.line.product_name:
        draft.refuse(Reason.FIELD_MISSING, f"line {draft.line_id} names no product", "product.name", field="product.name")
    if owner is not None and owner.kind is Kind.SIMPLE_BUNDLE:
        message = f"line {draft.line_id}: a simple service bundle has no special rating"
        draft.refuse(
            Reason.LINE_ACTION_NOT_SUPPORTED, message, "parent_line_id", product_kind=draft.kind, action=draft.line.action
        )
    elif owner is None or (owner.path is Path.CREATE and not _has_subscription(owner, drafts.values())):
        message = f"line {draft.line_id} is a special rating in a bundle without a subscription"
        draft.refuse(Reason.SPECIAL_RATING_WITHOUT_SUBSCRIPTION, message, "parent_line_id", field="parent_line_id")


def refuse_twins(drafts: Iterable[Draft]) -> None:
    """The same feature twice on one service (R-9.9): BRM tells profiles of a service apart by their names."""
    named = [each for each in drafts if each.kind is Kind.SPECIAL_RATING and each.path is Path.CREATE and each.is_open]
    places = Counter((each.at.owner_id, each.line.product_name) for each in named)
    for draft in named:
        if places[draft.at.owner_id, draft.line.product_name] > 1:
            message = f"line {draft.line_id}: {name_of(draft)} stands twice in one service bundle"
            draft.refuse(
                Reason.SPECIAL_RATING_DUPLICATE, message, "product.name", product_kind=draft.kind, action=draft.line.action
            )


def choose_entries(draft: Draft, situation: Situation) -> None:
    """What the list is to hold from now on, if it holds anything else (R-9.5)."""
    line = draft.line
    if not asks_for_entries(line):
        return
    stored = situation.facts.lists.get(line.asset)
    if stored is None:
        draft.refuse_absent(f"the special rating list of asset {line.asset}", ObjectKind.PROFILE, situation.command.system_id)
    elif _is_other_list(line) or Counter(stored.values()) != Counter(line.special_rating_entries):
        draft.entries = replaced_entries(stored, line.special_rating_entries)


def create_lists(drafts: Iterable[Draft], assembly: Assembly) -> None:
    """One call per new list (R-9.4); after the end of one that has its name, which BRM would take for the same."""
    for draft in drafts:
        entries = replaced_entries((), draft.line.special_rating_entries)
        profile = calls.Profile(
            name=draft.line.product_name,
            label=draft.line.special_rating_list,
            service=service_of(assembly.drafts[draft.at.owner_id], assembly),
            entries=entries or None,
            effective=draft.dates.purchase,
        )
        assembly.add(
            Phase.SPECIAL_RATINGS,
            f"profile:{draft.line.asset}",
            f"create special rating list {name_of(draft)} with {_counted(draft.line)}",
            calls.create_profile(draft.known_account, [profile], program_name=assembly.program, db=assembly.db),
            [draft],
            yields=[assembly.creates(draft, "PROFILES[0].PROFILE_OBJ")],
            after=[_end_of(each) for each in assembly.drafts.values() if _makes_room(each, draft)],
            touches=owner_targets(draft),
        )


def change_list(draft: Draft, profile: Handle, assembly: Assembly) -> None:
    """Replace the entries, all of them."""
    change = calls.Profile(poid=profile, label=draft.line.special_rating_list, entries=draft.entries)
    assembly.add(
        Phase.SPECIAL_RATINGS,
        f"profile:{draft.line.asset}:change",
        f"have {_counted(draft.line)} on special rating list {name_of(draft)}",
        calls.modify_profile(draft.known_account, [change], program_name=assembly.program, db=assembly.db),
        [draft],
        touches=owner_targets(draft),
    )


def delete_list(draft: Draft, profile: Handle, assembly: Assembly) -> None:
    """Delete the profile, before its service is closed (R-9.7)."""
    assembly.add(
        Phase.DELETE_LISTS,
        _end_of(draft),
        f"delete special rating list {name_of(draft)}",
        calls.delete_profile(profile, program_name=assembly.program),
        [draft],
        touches=owner_targets(draft),
    )


def _end_of(draft: Draft) -> str:
    return f"profile:{draft.line.asset}:cancel"


def _makes_room(draft: Draft, new: Draft) -> bool:
    """Whether the line deletes a list of the same service and name."""
    ends = draft.kind is Kind.SPECIAL_RATING and draft.path is Path.CANCEL and draft.is_open
    return ends and (draft.at.owner_id, draft.line.product_name) == (new.at.owner_id, new.line.product_name)


def _is_other_list(line: Line) -> bool:
    before = line.prior.special_rating_list
    return before is not None and before != line.special_rating_list


def _has_subscription(owner: Draft, drafts: Iterable[Draft]) -> bool:
    return any(each.kind is Kind.SERVICE_SUBSCRIPTION and each.at.owner_id == owner.line_id for each in drafts)


def _counted(line: Line) -> str:
    number = len(line.special_rating_entries)
    return f"{number} entr{'y' if number == 1 else 'ies'}"

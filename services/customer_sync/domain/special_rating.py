"""F4: special rating lists (friends and family) as the CRM has them now (guide ch. 18; customer-sync 11)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from libs.brm import calls as brm
from libs.brm.flist import Flist
from libs.brm.rating_lists import entries_of, replaced_entries
from libs.errors import O2CError, Reason
from libs.plan.late import Late
from libs.plan.model import Plan, Step
from services.customer_sync.domain.calls import PROGRAM_NAME
from services.customer_sync.domain.marks import PartKey, PartKind, Sent, list_mark
from services.customer_sync.domain.model import Entity, EntityKind, EntityOutcome

PROFILE: Final = "PROFILE"
"""Kind of BRM object that holds the list of an asset."""


@dataclass(frozen=True, slots=True)
class SpecialRatingList:
    """A list, and the assets that use it."""

    source_system: str
    list_id: str
    numbers: tuple[str, ...]
    """Active ones, each once."""
    asset_ids: tuple[str, ...]
    compare_with_billing: bool = False
    """Whether to look at what BRM has whatever was sent last."""


@dataclass(frozen=True, slots=True)
class StoredList:
    """The list of an asset in one instance."""

    asset_id: str
    common_id: str
    brm_id: str
    profile: Flist | None = None
    """What BRM has; ``None`` where it was not asked, because the list is as it was sent or seen last."""

    @property
    def part(self) -> PartKey:
        """What its mark goes by."""
        return PartKind.LIST, self.asset_id


@dataclass(frozen=True, slots=True)
class ListPlan:
    """What to do in one instance."""

    plan: Plan
    entities: tuple[Entity, ...] = ()
    sent: tuple[Sent, ...] = ()
    """Marks of the lists that BRM has then; without a step, of those it has already."""


@dataclass(frozen=True, slots=True)
class ListOutcome:
    """What came of a list in one instance, or of an asset that is in none."""

    system_id: str
    entities: tuple[Entity, ...] = ()
    errors: tuple[O2CError, ...] = ()
    plan: Plan | None = None


def must_be_read(wanted: SpecialRatingList, each: StoredList, marks: Mapping[PartKey, str]) -> bool:
    """Whether only BRM can tell what the list of an asset holds. If not, BRM was sent or had just this list last (R6)."""
    return wanted.compare_with_billing or marks.get(each.part) != _mark(wanted, each)


def plan_special_rating(wanted: SpecialRatingList, stored: Sequence[StoredList], system_id: str, db: str) -> ListPlan:
    """One call per list that differs: it is replaced, and emptied rather than deleted (R1, R5). None for one that was not
    read, because it is as it was sent last (R6)."""
    steps, entities, sent = [], [], []
    for each in stored:
        key = f"list:{each.asset_id}:{each.brm_id}"
        outcome = EntityOutcome.EXISTED
        if each.profile is not None:
            if Counter(entries_of(each.profile).values()) != Counter(wanted.numbers):
                outcome = EntityOutcome.UPDATED
                steps.append(_replace(wanted, each, each.profile, key, db))
            sent.append(Sent(key if outcome is EntityOutcome.UPDATED else "", each.part, Late.known(_mark(wanted, each))))
        entities.append(Entity(each.asset_id, EntityKind.SPECIAL_RATING_LIST, each.common_id, each.brm_id, outcome, key))
    return ListPlan(Plan(system_id, tuple(steps)), tuple(entities), tuple(sent))


def _mark(wanted: SpecialRatingList, each: StoredList) -> str:
    return list_mark(wanted.list_id, wanted.numbers, each.brm_id)


def not_in_billing(asset_id: str) -> ListOutcome:
    """An asset that was ordered and is not fulfilled yet (R4)."""
    message = f"asset {asset_id} has no special rating list in billing yet"
    error = O2CError.of(Reason.ASSET_NOT_IN_BILLING, message, kind=PROFILE, id=asset_id, system="")
    return ListOutcome("", errors=(error,))


def _replace(wanted: SpecialRatingList, stored: StoredList, held: Flist, key: str, db: str) -> Step:
    account = held["ACCOUNT_OBJ"]
    profile = brm.Profile(poid=stored.brm_id, entries=replaced_entries(entries_of(held), wanted.numbers))
    call = brm.modify_profile(account, [profile], program_name=PROGRAM_NAME, db=db)
    title = f"have {len(wanted.numbers)} numbers on the list of asset {stored.asset_id}"
    return Step(key, title, call, lane=str(account))

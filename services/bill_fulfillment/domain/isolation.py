"""What fails together (bill-fulfillment.md 11.3): a root line with all below it, and everything that needs what failed."""

from __future__ import annotations

from collections.abc import Mapping

from libs.errors import Violation
from services.bill_fulfillment.domain.draft import Draft
from services.bill_fulfillment.domain.model import Kind, Outcome
from services.bill_fulfillment.domain.resolution import promotion_of

_LOST = (Outcome.FAILED, Outcome.SKIPPED_DEPENDENCY)


def isolate(drafts: Mapping[str, Draft]) -> None:
    """Skip the open lines whose root, owning service or promotion failed. Other roots go on.

    Skipping a line fails its root, which may skip others; so the rules run until nothing changes.
    """
    while _skip_round(drafts):
        pass


def _skip_round(drafts: Mapping[str, Draft]) -> bool:
    roots: dict[str, Draft] = {}
    promotions: dict[str, Draft] = {}
    for draft in drafts.values():
        if draft.outcome not in _LOST:
            continue
        if draft.kind is Kind.PROMOTION:
            promotions.setdefault(draft.line.asset, draft)
        else:
            roots.setdefault(draft.at.root_id, draft)
    changed = False
    for draft in drafts.values():
        if draft.is_open:
            cause = _cause(draft, drafts, roots, promotions)
            if cause is not None:
                _skip(draft, cause)
                changed = True
    return changed


def _cause(
    draft: Draft, drafts: Mapping[str, Draft], roots: Mapping[str, Draft], promotions: Mapping[str, Draft]
) -> Draft | None:
    """The line whose failure stops this one."""
    if draft.kind is not Kind.PROMOTION and draft.at.root_id in roots:
        return roots[draft.at.root_id]
    owner = drafts.get(draft.at.owner_id)
    if owner is not None and owner.outcome in _LOST:
        return owner
    return promotions.get(promotion_of(draft, drafts)) if draft.bundle is not None else None


def _skip(draft: Draft, cause: Draft) -> None:
    draft.settle(Outcome.SKIPPED_DEPENDENCY)
    draft.violations.extend(
        Violation(violation.reason, f"not tried, as line {cause.line_id} failed: {violation.message}", "", violation.metadata)
        for violation in cause.violations[:1]
    )

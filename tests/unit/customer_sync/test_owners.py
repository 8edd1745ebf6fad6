"""Who may answer for whom in collections: what is said against an order (customer-sync V24, V25)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from customers import POLICY, account, after, bundle, order, planned, profile

from libs.errors import O2CError, Reason
from services.customer_sync.domain.model import Facts

LEGAL = replace(POLICY, legal_groups=True)
OWNERS = [profile("LisaBP", "LISA", is_primary=True), profile("DavidBP", "DAVID", is_primary=True)]


def owned(number: int, child: str, owner: str, **values: Any) -> dict[str, Any]:
    """A service that a child pays itself, with a legal owner."""
    return bundle(number, child, child, f"{child}-BP", **{"owner_account": {"account_id": owner}, **values})


def said(lines: list[dict[str, Any]], facts: Facts | None = None) -> list[tuple[str, str, str, str]]:
    """Reason, code, field and owners of every violation."""
    try:
        planned(order(lines, [account("LISA"), account("DAVID")], OWNERS), facts, LEGAL)
    except O2CError as error:
        return [(each.reason, each.code, each.field, each.metadata["owner_ids"]) for each in error.violations]
    return []


def refused(reason: Reason, line: int, *owners: str) -> list[tuple[str, str, str, str]]:
    return [(reason, "FAILED_PRECONDITION", f"order.lines[{line}].owner_account", ",".join(owners))]


MIXED, CONFLICT, SPLIT = Reason.LEGAL_OWNER_MIXED, Reason.LEGAL_OWNER_CONFLICT, Reason.LEGAL_SPLIT_SAME_ORDER
BY_LISA = bundle(1, "HELEN", "LISA", "LisaBP", owner_account={"account_id": "LISA"})


@pytest.mark.spec("customer-sync:V24")
@pytest.mark.parametrize(
    ("child", "owner", "expected"),
    [
        ("HELEN", "LISA", []),
        ("ALEX", "LISA", []),
        ("HELEN", "DAVID", refused(MIXED, 1, "LISA", "DAVID")),
        ("ALEX", "DAVID", refused(MIXED, 1, "LISA", "DAVID")),
    ],
)
def test_all_lines_of_an_order_have_one_legal_owner(child: str, owner: str, expected: list[Any]) -> None:
    assert said([owned(1, "HELEN", "LISA"), owned(2, child, owner)]) == expected


@pytest.mark.spec("customer-sync:V24")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (owned(1, "HELEN", "LISA"), []),
        (owned(1, "ALEX", "DAVID"), []),
        (owned(1, "HELEN", "DAVID"), refused(CONFLICT, 0, "LISA", "DAVID")),
        (owned(1, "HELEN", "DAVID", billing_profile={"billing_profile_id": "NEW"}), refused(CONFLICT, 0, "LISA", "DAVID")),
        (owned(1, "HELEN", "DAVID", action="UPDATE", prior={"owner_account_id": "LISA"}), []),
    ],
)
def test_a_later_order_keeps_the_legal_owner_of_a_child_unless_it_changes_him(
    line: dict[str, Any], expected: list[Any]
) -> None:
    earlier = order([owned(1, "HELEN", "LISA")], [account("LISA")], OWNERS)
    assert said([line], after(planned(earlier, policy=LEGAL))) == expected


@pytest.mark.spec("customer-sync:V25")
def test_what_a_child_pays_and_what_its_owner_pays_for_it_are_on_separate_orders() -> None:
    assert said([BY_LISA, owned(2, "HELEN", "LISA")]) == refused(SPLIT, 1, "LISA")
    assert said([owned(2, "HELEN", "LISA"), BY_LISA]) == refused(SPLIT, 0, "LISA")
    assert said([BY_LISA]) == said([owned(2, "HELEN", "LISA")]) == []
    assert said([BY_LISA, owned(2, "ALEX", "LISA")]) == [], "of two children one may pay itself"


@pytest.mark.spec("customer-sync:V24", "customer-sync:V25")
def test_all_that_is_wrong_with_legal_owners_is_said_at_once() -> None:
    lines = [BY_LISA, owned(2, "HELEN", "LISA"), owned(3, "ALEX", "DAVID")]
    facts = Facts(legal_owners={"ALEX-BP": "LISA"}, legal_accounts={"ALEX-BP": "ALEX"})
    assert said(lines, facts) == [
        *refused(MIXED, 2, "LISA", "DAVID"),
        *refused(SPLIT, 1, "LISA"),
        *refused(CONFLICT, 2, "LISA", "DAVID"),
    ]

"""Guide table 10-1, row by row, against BRM: from which state an order comes, what is sent, and what BRM holds afterwards.

The expectations stand here as the specification words them (customer-sync 2.4); what is sent comes from the service's own
table, so that a row that is missing or says otherwise fails.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import brm_view
import customer_suite
import pytest
from brm_view import BrmView
from customer_suite import Suite
from customers import bundle, order, request

from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from services.customer_sync.domain.table_10_1 import TABLE_10_1, Effect, Situation

EMPTY = BrmView()
BASE = BrmView(
    units={"BA1": {"BP1"}, "SA1": {"SA1|BA1|BP1 -> BP1"}},
    payment_records={"BA1": 1},
    parents={"SA1": "BA1"},
    children={"BA1": {"SA1"}},
)
MOVED = BrmView(
    units={"BA1": {"BP1"}, "BA2": {"BP2"}, "SA1": {"SA1|BA1|BP1 -> BP1", "SA1|BA2|BP2 -> BP2"}},
    payment_records={"BA1": 1, "BA2": 1},
    parents={"SA1": "BA2"},
    children={"BA1": set(), "BA2": {"SA1"}},
)
MOVED2 = BrmView(
    units={**MOVED.units, "BA3": {"BP3"}, "SA1": {*MOVED.units["SA1"], "SA1|BA3|BP3 -> BP3"}},
    payment_records={"BA1": 1, "BA2": 1, "BA3": 1},
    parents={"SA1": "BA3"},
    children={"BA1": set(), "BA2": set(), "BA3": {"SA1"}},
)
REVERTED = BrmView(
    units=MOVED.units,
    payment_records=MOVED.payment_records,
    parents={"SA1": "BA1"},
    children={"BA1": {"SA1"}, "BA2": set()},
)


@dataclass(frozen=True, slots=True)
class Expected:
    """A row of the table with its last column."""

    original: str
    situation: Situation
    sent: str
    now: str
    """Number of the billing account and profile on the line."""
    prior: str
    """Those before; empty: no prior values."""
    before: BrmView
    after: BrmView
    effect: Effect


CREATED, APPLIED = Effect.CREATE_MISSING, Effect.APPLY_CHANGE
REVERTED_BY, IGNORED = Effect.REVERT_CHANGE, Effect.IGNORED
NEW, SAME, CHANGED, CANCELLED = Situation.NEW, Situation.REVISED_SAME, Situation.REVISED_CHANGED, Situation.CANCELLED
ROWS = {
    "T1": Expected("ADD", NEW, "ADD", "1", "", EMPTY, BASE, CREATED),
    "T2": Expected("ADD", SAME, "NONE", "1", "", BASE, BASE, IGNORED),
    "T3": Expected("ADD", CHANGED, "UPDATE", "2", "1", BASE, MOVED, APPLIED),
    "T4": Expected("ADD", CANCELLED, "DELETE", "1", "", BASE, BASE, IGNORED),
    "T5": Expected("UPDATE", NEW, "UPDATE", "2", "1", BASE, MOVED, APPLIED),
    "T6": Expected("UPDATE", SAME, "NONE", "2", "", MOVED, MOVED, IGNORED),
    "T7": Expected("UPDATE", CHANGED, "UPDATE", "3", "2", MOVED, MOVED2, APPLIED),
    "T8": Expected("UPDATE", CANCELLED, "UPDATE", "1", "2", MOVED, REVERTED, REVERTED_BY),
    "T9": Expected("MOVE_ADD", NEW, "MOVE_ADD", "2", "1", BASE, MOVED, APPLIED),
    "T10": Expected("MOVE_ADD", SAME, "NONE", "2", "", MOVED, MOVED, IGNORED),
    "T11": Expected("MOVE_ADD", CHANGED, "MOVE_ADD", "3", "2", MOVED, MOVED2, APPLIED),
    "T12": Expected("MOVE_ADD", CANCELLED, "MOVE_ADD", "1", "2", MOVED, REVERTED, REVERTED_BY),
}


@pytest.fixture
async def suite() -> AsyncIterator[Suite]:
    async with customer_suite.running_suite() as running:
        yield running
        assert await running.brm.check_invariants() == []


async def send(suite: Suite, action: str, now: str, prior: str, revision: int) -> pb.SyncOrderCustomersResponse:
    """One service bundle line of SA1, paid with BP<now> of BA<now>, formerly with those of ``prior``."""
    values: dict[str, Any] = {"action": action, "asset_integration_id": "AST-1"}
    if prior:
        values["prior"] = {"billing_account_id": f"BA{prior}", "billing_profile_id": f"BP{prior}"}
    document = order([bundle(1, "SA1", f"BA{now}", f"BP{now}", **values)], revision=revision)
    return await suite.sync(request(document, f"R{revision}"))


async def establish(suite: Suite, state: BrmView) -> None:
    """Bring BRM into a state of the fixture, by orders."""
    steps = {id(EMPTY): (), id(BASE): (("ADD", "1", ""),), id(MOVED): (("ADD", "1", ""), ("UPDATE", "2", "1"))}[id(state)]
    for revision, (action, now, prior) in enumerate(steps, 1):
        assert (await send(suite, action, now, prior, revision)).outcome == pb.SYNC_OUTCOME_OK
    assert await brm_view.look(suite) == state


def test_the_table_has_the_twelve_rows_of_the_guide() -> None:
    data = [(row.number, row.original, row.situation, row.sent, row.effect) for row in TABLE_10_1]
    assert data == [(number, row.original, row.situation, row.sent, row.effect) for number, row in ROWS.items()]


@pytest.mark.parametrize(
    "number", [pytest.param(number, marks=pytest.mark.spec(f"customer-sync:{number}"), id=number) for number in ROWS]
)
async def test_a_row_of_the_table_makes_of_billing_what_the_guide_says(suite: Suite, number: str) -> None:
    expected = ROWS[number]
    (row,) = [row for row in TABLE_10_1 if row.number == number]
    await establish(suite, expected.before)
    calls, writes = await suite.opcodes(), await suite.writes()
    answer = await send(suite, row.sent, expected.now, expected.prior, 9)
    assert answer.outcome == pb.SYNC_OUTCOME_OK
    assert await brm_view.look(suite) == expected.after
    made = (await suite.writes())[len(writes) :]
    if expected.effect is Effect.IGNORED:
        assert (await suite.opcodes(), list(answer.entities)) == (calls, [])
    elif expected.effect is Effect.REVERT_CHANGE:
        assert made == ["BILL_GROUP_MOVE_MEMBER"], "what was created stays, and is used again"
    else:
        assert made


@pytest.mark.spec("customer-sync:T9")
async def test_a_move_that_changes_nothing_makes_no_call(suite: Suite) -> None:
    await establish(suite, BASE)
    calls = await suite.opcodes()
    assert (await send(suite, "MOVE_ADD", "1", "", 9)).outcome == pb.SYNC_OUTCOME_OK
    assert (await brm_view.look(suite), await suite.opcodes()) == (BASE, calls)


async def test_a_change_that_is_sent_again_makes_no_write(suite: Suite) -> None:
    await establish(suite, MOVED)
    calls = await suite.opcodes()
    for revision in (2, 3):
        await send(suite, "UPDATE", "2", "1", revision)
    assert (await brm_view.look(suite), await suite.opcodes()) == (MOVED, calls)

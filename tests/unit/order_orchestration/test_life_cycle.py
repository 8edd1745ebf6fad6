"""Decomposition, life cycles, roll-up, progress and recognition: the tables of the specification, cell by cell."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from libs.errors import O2CError, Reason, Violation
from libs.routing import RouteDecision
from services.order_orchestration.domain.changes import changes
from services.order_orchestration.domain.components import ComponentKey, Edge, Function, decompose
from services.order_orchestration.domain.model import Action, BillingType, Line, ProductType
from services.order_orchestration.domain.progress import (
    ComponentOutcome,
    ComponentStatus,
    LineStatus,
    OrderStatus,
    RetryPolicy,
    finish,
    next_due,
    settle,
    start,
    startable,
)
from services.order_orchestration.domain.recognition import KnownOrder, Submission, recognise
from services.order_orchestration.domain.rollup import Part, roll_up_line, roll_up_order
from services.order_orchestration.domain.states import (
    LINE_TRANSITIONS,
    ORDER_TRANSITIONS,
    ComponentState,
    LineState,
    OrderState,
    move_line,
    move_order,
)

SYNC, BILL = Function.SYNC_CUSTOMER, Function.FULFILL_BILLING
C, L, O = ComponentState, LineState, OrderState  # noqa: E741
RETRY = RetryPolicy(tries=3)
AWAY = Violation(Reason.BRM_UNAVAILABLE, "away")
NO = Violation(Reason.BRM_REJECTED, "no")


def line(line_id: str, action: Action = Action.ADD, kind: BillingType = BillingType.SUBSCRIPTION) -> Line:
    return Line(line_id, action=action, product_type=ProductType.PRODUCT, billing_type=kind)


def keys(*lines: Line, systems: dict[str, tuple[str, ...]] | None = None) -> list[str]:
    routes = {one.line_id: RouteDecision(one.line_id, (systems or {}).get(one.line_id, ("BRM_01",)), "") for one in lines}
    return [str(component.key) for component in decompose(lines, routes)]


@pytest.mark.spec("order-orchestration:OO-DC-01")
def test_bundles_in_two_instances_under_one_promotion_are_two_independent_chains() -> None:
    promotion = Line("0", action=Action.ADD, product_type=ProductType.PROMOTION)
    lines = (promotion, line("a"), line("b"))
    systems = {"0": ("BRM_01", "BRM_02"), "a": ("BRM_01",), "b": ("BRM_02",)}
    routes = {one: RouteDecision(one, places, "") for one, places in systems.items()}
    found = {component.key: component for component in decompose(lines, routes)}
    assert found[ComponentKey(SYNC, "BRM_01")].line_ids == ("0", "a")
    assert found[ComponentKey(SYNC, "BRM_02")].line_ids == ("0", "b")
    assert found[ComponentKey(BILL, "BRM_01")].after == (ComponentKey(SYNC, "BRM_01"),)
    assert found[ComponentKey(BILL, "BRM_02")].after == (ComponentKey(SYNC, "BRM_02"),)


@pytest.mark.spec("order-orchestration:OO-DC-04")
def test_an_account_level_subscription_is_synchronised_then_billed() -> None:
    assert keys(line("1")) == ["SYNC_CUSTOMER(BRM_01)", "FULFILL_BILLING(BRM_01)"]


def test_disconnects_need_no_customer_sync() -> None:
    assert keys(line("1", Action.DELETE)) == ["FULFILL_BILLING(BRM_01)"]


def test_updates_are_synchronised_only_when_the_parties_changed() -> None:
    update = line("1", Action.UPDATE)
    assert keys(update) == ["FULFILL_BILLING(BRM_01)"]
    assert keys(dataclasses.replace(update, parties_changed=True))[0] == "SYNC_CUSTOMER(BRM_01)"


def test_customers_are_synchronised_where_a_payment_is_to_be_posted_even_without_lines_for_it() -> None:
    disconnect, routes = line("1", Action.DELETE), {"1": RouteDecision("1", ("BRM_01",), "")}
    here = {str(one.key): one for one in decompose([disconnect], routes, paid=["BRM_01"])}
    assert list(here) == ["SYNC_CUSTOMER(BRM_01)", "FULFILL_BILLING(BRM_01)"]
    assert here["SYNC_CUSTOMER(BRM_01)"].line_ids == ("1",)
    elsewhere = {str(one.key): one for one in decompose([disconnect], routes, paid=["BRM_02"])}
    assert list(elsewhere) == ["SYNC_CUSTOMER(BRM_02)", "FULFILL_BILLING(BRM_01)"]
    assert elsewhere["SYNC_CUSTOMER(BRM_02)"].line_ids == ("1",)
    assert elsewhere["FULFILL_BILLING(BRM_01)"].after == ()


def test_a_cycle_in_the_dependency_table_is_a_plan_error() -> None:
    with pytest.raises(O2CError) as refusal:
        decompose([line("1")], {"1": RouteDecision("1", ("BRM_01",), "")}, [Edge(SYNC, BILL), Edge(BILL, SYNC)])
    assert refusal.value.violations[0].reason is Reason.PLAN_CYCLE


@pytest.mark.spec("order-orchestration:OO-TR-01")
def test_every_move_of_an_order_that_is_not_listed_is_illegal() -> None:
    for before, after in itertools.product(O, O):
        if before is after or after in ORDER_TRANSITIONS[before]:
            assert move_order(before, after) is after
        else:
            with pytest.raises(O2CError) as refusal:
                move_order(before, after)
            assert refusal.value.violations[0].reason is Reason.ILLEGAL_TRANSITION


def test_every_move_of_a_line_that_is_not_listed_is_illegal() -> None:
    for before, after in itertools.product(L, L):
        if before is not after and after not in LINE_TRANSITIONS[before]:
            with pytest.raises(O2CError):
                move_line(before, after)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param([Part(C.FAILED, failed=True), Part(C.DONE)], L.FAILED, marks=pytest.mark.spec("order-orchestration:L1")),
        pytest.param([Part(C.RUNNING, compensating=L.AMENDING)], L.AMENDING, marks=pytest.mark.spec("order-orchestration:L2")),
        pytest.param([Part(C.DONE), Part(C.DONE)], L.COMPLETE, marks=pytest.mark.spec("order-orchestration:L3")),
        pytest.param([Part(C.DONE), Part(C.PENDING)], L.IN_PROGRESS, marks=pytest.mark.spec("order-orchestration:L4")),
        pytest.param([Part(C.SKIPPED)], L.WAITING, marks=pytest.mark.spec("order-orchestration:L5")),
        pytest.param([Part(C.PENDING), Part(C.PENDING)], L.OPEN, marks=pytest.mark.spec("order-orchestration:L6")),
        ([Part(C.DONE), Part(C.FAILED)], L.COMPLETE),
        ([Part(C.DONE), Part(C.FAILED, blocked=True)], L.WAITING),
        ([], L.COMPLETE),
    ],
)
def test_a_line_is_what_its_components_make_it(parts: list[Part], expected: LineState) -> None:
    assert roll_up_line(parts) is expected


@pytest.mark.parametrize(
    ("lines", "flags", "expected"),
    [
        pytest.param([L.CANCELLED, L.NOT_APPLICABLE], {}, O.CANCELLED, marks=pytest.mark.spec("order-orchestration:O1")),
        pytest.param(
            [L.COMPLETE, L.FAILED], {"all_or_none": True}, O.IN_FALLOUT, marks=pytest.mark.spec("order-orchestration:O2")
        ),
        pytest.param([L.COMPLETE, L.NOT_APPLICABLE], {}, O.COMPLETED, marks=pytest.mark.spec("order-orchestration:O3")),
        pytest.param([L.COMPLETE, L.FAILED], {"closed": True}, O.PARTIAL, marks=pytest.mark.spec("order-orchestration:O4")),
        pytest.param([L.COMPLETE, L.FAILED, L.WAITING], {}, O.IN_FALLOUT, marks=pytest.mark.spec("order-orchestration:O5")),
        pytest.param([L.IN_PROGRESS, L.OPEN], {}, O.IN_PROGRESS, marks=pytest.mark.spec("order-orchestration:O6")),
        ([L.FAILED, L.IN_PROGRESS], {}, O.IN_PROGRESS),
        ([L.FAILED], {"closed": True}, O.FAILED),
        ([L.OPEN, L.OPEN], {}, O.QUEUED),
        ([L.OPEN], {"running": True}, O.IN_PROGRESS),
        ([L.NOT_APPLICABLE], {}, O.COMPLETED),
    ],
)
def test_an_order_is_what_its_lines_make_it(lines: list[LineState], flags: dict[str, bool], expected: OrderState) -> None:
    assert roll_up_order(lines, **{"all_or_none": False, **flags}) is expected


def order(*, all_or_none: bool = False, systems: tuple[str, ...] = ("BRM_01",)) -> OrderStatus:
    components = {}
    for system in systems:
        sync, bill = ComponentKey(SYNC, system), ComponentKey(BILL, system)
        components[sync] = ComponentStatus(sync, (system,))
        components[bill] = ComponentStatus(bill, (system,), (sync,))
    return OrderStatus(O.QUEUED, all_or_none, {system: LineStatus(L.OPEN) for system in systems}, components)


def called(status: OrderStatus, now: int = 0) -> OrderStatus:
    return settle(start(status, startable(status, now)))


def test_a_component_starts_when_what_it_waits_for_is_done() -> None:
    status = order()
    assert startable(status, 0) == (ComponentKey(SYNC, "BRM_01"),)
    status = called(status)
    assert status.state is O.IN_PROGRESS and status.lines["BRM_01"].state is L.IN_PROGRESS
    assert startable(status, 0, [ComponentKey(SYNC, "BRM_01")]) == ()
    status = settle(finish(status, ComponentKey(SYNC, "BRM_01"), ComponentOutcome(ok=True), 0, RETRY, 0))
    assert startable(status, 0) == (ComponentKey(BILL, "BRM_01"),)


def test_a_component_without_an_answer_is_called_again() -> None:
    assert startable(called(order()), 0) == (ComponentKey(SYNC, "BRM_01"),)


def test_tries_are_spaced_and_then_end_in_fallout() -> None:
    status, now, key = order(), 0, ComponentKey(SYNC, "BRM_01")
    delays = []
    for _ in range(RETRY.tries):
        status = called(status, now)
        status = settle(finish(status, key, ComponentOutcome(ok=False, faults=(AWAY,)), now, RETRY, 0))
        due = next_due(status)
        if due is not None:
            assert startable(status, due - 1) == ()
            delays.append((due - now) / 1_000_000)
            now = due
    assert delays == [1.0, 2.0]
    assert status.state is O.IN_FALLOUT and status.components[ComponentKey(BILL, "BRM_01")].state is C.SKIPPED


def test_a_lasting_error_is_not_tried_again() -> None:
    key = ComponentKey(SYNC, "BRM_01")
    status = settle(finish(called(order()), key, ComponentOutcome(ok=False, faults=(NO,)), 0, RETRY, 0))
    assert status.components[key].state is C.FAILED and status.lines["BRM_01"].errors == (NO,)


def test_an_all_or_none_order_starts_nothing_after_a_failure() -> None:
    status = called(order(all_or_none=True, systems=("BRM_01", "BRM_02")))
    status = settle(finish(status, ComponentKey(SYNC, "BRM_01"), ComponentOutcome(ok=False, faults=(NO,)), 0, RETRY, 0))
    status = settle(finish(status, ComponentKey(SYNC, "BRM_02"), ComponentOutcome(ok=True), 0, RETRY, 0))
    assert status.state is O.IN_FALLOUT and startable(status, 0) == ()


def test_the_journal_tells_components_first_and_the_order_last() -> None:
    before = order()
    after = called(before)
    told = [type(change).__name__ for change in changes(before, after)]
    assert told == ["ComponentChanged", "LineChanged", "OrderChanged"]
    assert list(changes(after, after)) == []


SUBMISSION = Submission("r", True, "ORD-1", "SEBL_01", "1", 2, "hash")


def known(**values: object) -> KnownOrder:
    base = {
        "request_id": "other",
        "order_id": "ORD-0",
        "source_system": "SEBL_01",
        "order_number": "1",
        "revision": 2,
        "content_hash": "hash",
        "state": O.IN_PROGRESS,
        "intake_sequence": 1,
    }
    return KnownOrder(**{**base, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (known(), "replay"),
        (known(state=O.COMPLETED), "replay"),
        (known(request_id="r", content_hash="else"), Reason.IDEMPOTENCY_CONFLICT),
        pytest.param(
            known(revision=3, content_hash="else"),
            Reason.REVISION_STALE,
            marks=pytest.mark.spec("order-orchestration:OO-RC-06"),
        ),
        (known(revision=1, content_hash="else"), Reason.ORDER_ALREADY_OPEN),
        (known(revision=1, content_hash="else", state=O.COMPLETED), Reason.ORDER_ALREADY_CLOSED),
        (known(content_hash="else", state=O.REJECTED), None),
        (known(order_number="2", order_id="ORD-1", content_hash="else"), Reason.IDEMPOTENCY_CONFLICT),
        (known(source_system="SEBL_02", content_hash="else"), None),
    ],
)
def test_recognition(found: KnownOrder, expected: object) -> None:
    if isinstance(expected, Reason):
        with pytest.raises(O2CError) as refusal:
            recognise(SUBMISSION, [found])
        assert refusal.value.violations[0].reason is expected
    else:
        assert recognise(SUBMISSION, [found]) == (found if expected == "replay" else None)


@pytest.mark.spec("order-orchestration:OO-RC-05")
def test_revision_four_as_the_first_submit_is_a_new_order() -> None:
    assert recognise(dataclasses.replace(SUBMISSION, revision=4), []) is None

"""Planning writes nothing anywhere, and doing makes exactly the calls that were planned (law 5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import orders
import pytest
from suite import Call, Picture, RunningSuite, made_calls, planned_calls, running_suite

from libs.pb.order.v1.order_pb2 import Order
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as oo

STORY = {"1": orders.FAMILY, "2": orders.SPLIT, "3": orders.TWO_INSTANCES, "5": orders.VOICEMAIL}
CALLS = {"1": 9, "2": 6, "3": 4, "5": 1}


@dataclass(frozen=True, slots=True)
class Chapter:
    """One order of the story: planned, looked at, done."""

    order: Order
    before: Picture
    after_planning: Picture
    known_after_planning: list[str]
    plan: oo.SubmitOrderResponse
    planned: list[Call]
    made: list[Call]
    known_before: list[str]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    with running_suite(tmp_path_factory.mktemp("suite")) as running:
        yield running


@pytest.fixture(scope="module")
def story(suite: RunningSuite) -> dict[str, Chapter]:
    """The example orders one after the other: an order may change what an earlier one made."""
    return {number: play(suite, orders.order(file)) for number, file in STORY.items()}


def play(suite: RunningSuite, order: Order) -> Chapter:
    before, known_before = suite.picture(), suite.known_ids(order)
    plan = suite.submit(order, "the plan", validate_only=True)
    after, known = suite.picture(), suite.known_ids(order)
    marks = suite.marks()
    suite.complete(order)
    made = made_calls(suite.writes_since(marks))
    return Chapter(order, before, after, known, plan, planned_calls(plan.plans), made, known_before)


@pytest.mark.parametrize("number", STORY)
def test_planning_an_order_writes_nothing_in_any_database_nor_in_brm(story: dict[str, Chapter], number: str) -> None:
    chapter = story[number]
    assert chapter.after_planning == chapter.before
    assert chapter.known_after_planning == chapter.known_before


def test_planning_the_order_of_a_brand_new_customer_claims_no_id(story: dict[str, Chapter]) -> None:
    chapter = story["1"]
    assert chapter.known_after_planning == []
    assert chapter.before.objects == {}


@pytest.mark.parametrize("number", STORY)
def test_an_order_makes_exactly_the_calls_that_were_planned(story: dict[str, Chapter], number: str) -> None:
    chapter = story[number]
    assert len(chapter.planned) == len(chapter.made) == CALLS[number]
    left = list(chapter.made)
    for call in chapter.planned:
        match = next((made for made in left if call.fits(made)), None)
        assert match is not None, f"planned but not made: {call}\nleft: {left}"
        left.remove(match)


@pytest.mark.parametrize("number", STORY)
def test_every_planned_call_knows_the_ones_it_waits_for(story: dict[str, Chapter], number: str) -> None:
    for plan in story[number].plan.plans:
        seen: set[str] = set()
        for call in plan.calls:
            assert set(call.depends_on) <= seen
            seen.add(call.key)


def test_planning_says_where_every_line_goes_and_why(story: dict[str, Chapter]) -> None:
    chapter = story["3"]
    assert [list(route.system_ids) for route in chapter.plan.routes] == [["BRM_01"], ["BRM_01"], ["BRM_02"], ["BRM_02"]]
    assert all(route.decided_by for route in chapter.plan.routes)


def test_planning_an_order_that_was_done_answers_that_it_was(suite: RunningSuite, story: dict[str, Chapter]) -> None:
    before = suite.picture()
    answer = suite.submit(story["1"].order, "once more", validate_only=True)
    assert answer.replayed
    assert suite.picture() == before

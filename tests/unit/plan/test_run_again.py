"""The next attempt: each effect once, whatever crashed, was lost or was cancelled before it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from plan_runs import CHAIN, Crash, World, plan, step

from libs.brm.call import BrmCall
from libs.brm.poid import Poid
from libs.errors import Reason
from libs.plan.journal import Answer, Journal
from libs.plan.model import Plan, Ref, Step, Yield
from libs.plan.result import How, RunResult, StepState
from libs.plan.run import run


async def test_the_next_attempt_makes_only_what_is_missing(world: World) -> None:
    world.billing.fail["b"] = ["refuse"]
    await world.run()
    world.billing.called.clear()
    result = await world.run()
    assert result.complete
    assert world.billing.called == ["b", "d"]
    assert result.steps["a"].how is How.REUSED


async def test_a_write_whose_answer_is_lost_is_looked_up_and_adopted_not_repeated(world: World) -> None:
    world.billing.fail["a"] = ["cut"]
    result = await world.run()
    assert result.complete
    assert world.billing.called.count("a") == 1
    assert result.steps["a"].how is How.ADOPTED


async def test_a_write_that_provably_had_no_effect_is_made_once_more_and_no_more(world: World) -> None:
    world.billing.fail["a"] = ["lose"]
    assert (await world.run()).complete
    world.billing.fail["x"] = ["lose", "lose"]
    result = await world.run(plan(step("x")))
    assert world.billing.called.count("x") == 2
    assert result.steps["x"].state is StepState.FAILED
    assert result.errors[0][1].violations[0].reason is Reason.BRM_UNAVAILABLE


async def test_an_outcome_nobody_can_tell_stays_unknown_and_is_settled_by_the_next_attempt(world: World) -> None:
    world.billing.fail["a"] = ["cut"]
    world.billing.blind = True
    result = await world.run()
    assert result.steps["a"].state is StepState.UNKNOWN
    assert result.steps["d"].state is StepState.SKIPPED
    world.billing.blind = False
    assert (await world.run()).complete
    assert world.billing.called.count("a") == 1


async def test_what_somebody_else_made_first_is_adopted(world: World) -> None:
    world.billing.objects["a"] = Poid("0.0.0.1", "/thing", 7)
    result = await world.run()
    assert result.complete
    assert result.bindings["thing(a)"] == Poid("0.0.0.1", "/thing", 7)


async def test_an_adopted_object_that_lacks_a_part_makes_the_plan_stale(world: World) -> None:
    world.billing.objects["a"] = Poid("0.0.0.1", "/thing", 7)
    more = Step("a", "make a", BrmCall("OP", {"KEY": "a"}), (Yield("thing(a)", "POID"), Yield("unit(a)", "UNIT")))
    needs = Step("b", "make b", BrmCall("OP", {"KEY": "b", "UNIT": Ref("unit(a)")}))
    result = await world.run(Plan("BRM_01", (more, needs)))
    assert result.stale
    assert not result.complete
    assert result.steps["b"].state is StepState.SKIPPED


@pytest.mark.parametrize("told", ["UNIT", "POID"])
async def test_a_value_that_billing_may_leave_out_is_bound_when_it_is_told_and_nobody_waits_for_it(
    world: World, told: str
) -> None:
    yields = (Yield("thing(a)", "POID"), Yield("day(a)", told, optional=True))
    result = await world.run(Plan("BRM_01", (Step("a", "make a", BrmCall("OP", {"KEY": "a"}), yields),)))
    assert (result.complete, result.stale) == (True, False)
    assert ("day(a)" in result.bindings) == (told == "POID")


class DyingJournal(Journal):
    """Dies before or after its n-th commit."""

    dies_at = -1
    after = False
    count = 0

    async def record(self, *args: Any, **kwargs: Any) -> None:
        self.count += 1
        if self.count == self.dies_at and not self.after:
            raise Crash
        await super().record(*args, **kwargs)
        if self.count == self.dies_at and self.after:
            raise Crash


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("dies_at", [1, 2, 3, 4])
async def test_a_crash_around_any_commit_heals_on_the_next_attempt(world: World, dies_at: int, after: bool) -> None:
    dying = DyingJournal(world.db)
    dying.dies_at, dying.after = dies_at, after
    with pytest.raises(Crash):
        await run(CHAIN, run_key="K", journal=dying, gateway=world.billing, xref=world.xref)
    assert (await world.run()).complete
    assert sorted(world.billing.called) == ["a", "b", "c", "d"]
    assert set(await world.linked("a", "b", "c", "d")) == {"a", "b", "c", "d"}


@pytest.mark.parametrize("victim", ["a", "b", "c", "d"])
async def test_a_crash_after_any_call_heals_on_the_next_attempt(world: World, victim: str) -> None:
    world.billing.fail[victim] = ["crash"]
    with pytest.raises(ExceptionGroup):
        await world.run()
    assert (await world.run()).complete
    assert {key: world.billing.called.count(key) for key in "abcd"} == dict.fromkeys("abcd", 1)
    assert all((await world.linked("a", "b", "c", "d")).values())


async def test_a_cancelled_run_leaves_only_the_call_in_flight_to_be_settled(world: World) -> None:
    world.billing.fail["b"] = ["hang"]
    one_lane = plan(*(step(key, lane="account") for key in "abc"), step("d"))
    running = asyncio.create_task(world.run(one_lane))
    await asyncio.wait_for(world.billing.hanging.wait(), 5)
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    states = {key: entry.state for key, entry in (await world.journal.load("K")).items()}
    assert states == {"a": "DONE", "b": "INTENDED", "c": "FAILED", "d": "DONE"}
    result = await world.run(one_lane)
    assert result.complete
    assert world.billing.settled == ["b"]
    assert {key: world.billing.called.count(key) for key in "abcd"} == {"a": 1, "b": 2, "c": 1, "d": 1}
    assert all((await world.linked("a", "b", "c", "d")).values())


async def test_a_run_that_has_ended_does_not_stand_in_for_what_is_gone_since(world: World) -> None:
    """The same key may come again after somebody has changed things back."""

    def finish(result: RunResult) -> Answer:
        return Answer("M", "", "", b"")

    assert (await world.run(finish=finish)).complete
    world.billing.objects.clear()
    called = len(world.billing.called)
    assert (await world.run(finish=finish)).complete
    assert world.billing.called[called:] == ["a", "b", "c", "d"]

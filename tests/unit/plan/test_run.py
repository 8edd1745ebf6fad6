"""The runner: each effect once, whatever crashes in between; outcomes known or named unknown; commits counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from libs.brm.call import BrmCall
from libs.brm.ebuf import EBuf
from libs.brm.errors import BrmError, BrmOutcomeUnknown
from libs.brm.flist import Flist
from libs.brm.poid import Poid
from libs.db import Database
from libs.errors import O2CError, Reason
from libs.plan.journal import Answer, Journal
from libs.plan.model import Claim, Plan, PlanError, Ref, Step, XrefGone, XrefLink, Yield
from libs.plan.run import How, RunResult, StepState, run
from libs.xref.fake import FakeXref
from libs.xref.model import XrefKey

ACCOUNTS = "CUSTOMERPARTY_ACCOUNTID"


class Billing:
    """A billing system in memory: creates objects under natural keys, fails as told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.objects: dict[str, Poid] = {}
        self.called: list[str] = []
        self.settled: list[str] = []
        self.fail: dict[str, list[str]] = {}
        """Natural key to what goes wrong, call by call: ``refuse``, ``lose`` (before), ``cut`` (after), ``crash``, ``hang``."""
        self.blind = False
        self.hanging = asyncio.Event()
        self.running = 0
        self.most = 0

    async def call(self, system_id: str, call: BrmCall) -> Flist:
        key = str(call.input["KEY"])
        self.called.append(key)
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        failing = self.fail.get(key)
        failure = failing.pop(0) if failing else ""
        if failure == "hang":
            self.hanging.set()
            await asyncio.Event().wait()
        if failure == "refuse":
            raise self._error("PIN_ERR_BAD_VALUE")
        if failure == "lose":
            raise BrmOutcomeUnknown("lost", system_id=system_id, opcode=call.opcode)
        if key in self.objects:
            raise self._error("PIN_ERR_DUPLICATE")
        self.objects[key] = Poid("0.0.0.1", "/thing", 100 + len(self.objects))
        if failure == "cut":
            raise BrmOutcomeUnknown("cut", system_id=system_id, opcode=call.opcode)
        if failure == "crash":
            raise Crash
        return {"POID": self.objects[key]}

    async def settle(self, system_id: str, call: BrmCall) -> Flist | None:
        key = str(call.input["KEY"])
        self.settled.append(key)
        if self.blind:
            raise BrmError(Reason.BRM_UNAVAILABLE, "down", system_id=system_id, opcode=call.opcode)
        return {"POID": self.objects[key]} if key in self.objects else None

    @staticmethod
    def _error(name: str) -> BrmError:
        return BrmError(Reason.BRM_REJECTED, name, system_id="BRM_01", opcode="OP", ebuf=EBuf(error=name))


class Crash(Exception):
    """The process dies here."""


def step(key: str, *needs: str, lane: str = "", link: bool = True, after: tuple[str, ...] = ()) -> Step:
    """A step that creates ``key`` and needs the objects of other steps."""
    fields: dict[str, Any] = {"KEY": key} | {f"NEEDS_{need}": Ref(f"thing({need})") for need in needs}
    made = Yield(f"thing({key})", "POID", XrefLink(ACCOUNTS, key) if link else None)
    return Step(key, f"make {key}", BrmCall("OP", fields), (made,), lane, after)


def plan(*steps: Step, claims: bool = True) -> Plan:
    claimed = tuple(Claim(ACCOUNTS, each.key, f"common({each.key})") for each in steps) if claims else ()
    return Plan("BRM_01", steps, claimed)


CHAIN = plan(step("a"), step("b", "a"), step("c", "a"), step("d", "b", "c"))


class World:
    """Everything around a run."""

    def __init__(self, db: Database, journal: Journal) -> None:
        self.db = db
        self.journal = journal
        self.billing = Billing()
        self.xref = FakeXref()

    async def run(self, made: Plan = CHAIN, **options: Any) -> RunResult:
        return await run(made, run_key="K", journal=self.journal, gateway=self.billing, xref=self.xref, **options)

    async def linked(self, *keys: str) -> dict[str, str]:
        wanted = [XrefKey(ACCOUNTS, "SEBL_01", key) for key in keys]
        return {key.ref_value: row.value("BRM_01") for key, row in (await self.xref.lookup(wanted)).items()}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    db = await Database.open("sqlite://:memory:")
    yield World(db, await Journal.open(db))
    await db.close()


async def test_a_plan_of_n_waves_costs_n_plus_one_commits_and_one_claim_and_one_link_batch_per_wave(world: World) -> None:
    before = world.db.commits
    result = await world.run()
    assert result.complete
    assert world.db.commits - before == 4
    assert world.xref.calls == ["get_or_create", "populate", "populate", "populate"]
    assert world.billing.called == ["a", "b", "c", "d"]


async def test_every_yielded_id_is_bound_and_cross_referenced(world: World) -> None:
    result = await world.run()
    assert await world.linked("a", "d") == {"a": str(world.billing.objects["a"]), "d": str(world.billing.objects["d"])}
    assert result.bindings["thing(a)"] == world.billing.objects["a"]


async def test_an_empty_plan_touches_nothing(world: World) -> None:
    before = world.db.commits
    result = await world.run(Plan("BRM_01"))
    assert result.complete
    assert (world.db.commits, world.xref.calls, world.billing.called) == (before, [], [])


async def test_a_refused_step_fails_and_what_needs_it_is_skipped_while_the_rest_goes_on(world: World) -> None:
    world.billing.fail["b"] = ["refuse"]
    result = await world.run()
    assert {key: each.state for key, each in result.steps.items()} == {
        "a": StepState.DONE,
        "b": StepState.FAILED,
        "c": StepState.DONE,
        "d": StepState.SKIPPED,
    }
    assert [key for key, _ in result.errors] == ["b"]


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


async def test_an_id_that_moves_takes_the_place_of_the_one_cross_referenced_before(world: World) -> None:
    await world.run(plan(step("a")))
    known = (await world.linked("a"))["a"]
    moving = Yield("thing(new)", "POID", XrefLink(ACCOUNTS, "a", moves=True))
    result = await world.run(Plan("BRM_01", (Step("new", "replace", BrmCall("OP", {"KEY": "new"}), (moving,)),)))
    assert await world.linked("a") == {"a": str(result.bindings["thing(new)"])} != {"a": known}


async def test_ids_that_could_not_be_linked_are_linked_by_the_next_attempt_without_a_call(world: World) -> None:
    populate = world.xref.populate

    async def unreachable(items: Any) -> None:
        raise O2CError.of(Reason.XREF_UNAVAILABLE, "away")

    world.xref.populate = unreachable  # type: ignore[method-assign]
    with pytest.raises(O2CError):
        await world.run()
    world.xref.populate = populate  # type: ignore[method-assign]
    assert (await world.run()).complete
    assert world.billing.called.count("a") == 1
    assert not world.billing.settled
    assert all((await world.linked("a")).values())


MANY = plan(*(step(f"s{number}") for number in range(2_300)))


async def test_a_large_plan_claims_and_links_in_full_batches_while_it_calls(world: World) -> None:
    """Claims that no call refers to and full batches of links do not wait for the end; nothing is linked before its claim."""
    sizes: list[int] = []
    populate, claim = world.xref.populate, world.xref.get_or_create
    claimed = 0

    async def counted_claim(keys: Any, column: str = "COMMON") -> dict[XrefKey, str]:
        nonlocal claimed
        found = await claim(keys, column)
        claimed += len(found)
        return found

    async def counted(items: Any) -> None:
        assert claimed == len(MANY.claims)
        sizes.append(len(items))
        await populate(items)

    world.xref.populate, world.xref.get_or_create = counted, counted_claim  # type: ignore[method-assign]
    result = await world.run(MANY)
    assert result.complete
    assert sizes[:2] == [1_000, 1_000]
    assert sum(sizes) == 2_300 and len(sizes) == 4, "the last two: what was there when the last calls began, and theirs"
    assert {f"common(s{number})" for number in range(2_300)} <= result.bindings.keys()


async def test_a_batch_that_fails_in_the_middle_of_a_wave_is_linked_by_the_next_attempt(world: World) -> None:
    populate = world.xref.populate
    away = [1]

    async def failing_once(items: Any) -> None:
        if away:
            away.pop()
            raise O2CError.of(Reason.XREF_UNAVAILABLE, "away")
        await populate(items)

    world.xref.populate = failing_once  # type: ignore[method-assign]
    with pytest.raises(O2CError):
        await world.run(MANY)
    calls = len(world.billing.called)
    assert (await world.run(MANY)).complete
    assert len(world.billing.called) == calls == 2_300
    assert all((await world.linked(*(each.key for each in MANY.steps))).values())


async def test_a_step_that_asks_for_something_else_now_is_made_anew(world: World) -> None:
    first = Step("s", "set", BrmCall("OP", {"KEY": "one"}))
    await world.run(Plan("BRM_01", (first,)))
    second = Step("s", "set", BrmCall("OP", {"KEY": "two"}))
    await world.run(Plan("BRM_01", (second,)))
    assert world.billing.called == ["one", "two"]


async def test_calls_in_flight_are_bounded_and_a_lane_has_one_writer(world: World) -> None:
    await world.run(plan(*(step(f"s{number}", link=False) for number in range(20)), claims=False), concurrency=3)
    assert world.billing.most == 3
    world.billing.most = 0
    await world.run(plan(*(step(f"t{number}", lane="one", link=False) for number in range(5)), claims=False))
    assert world.billing.most == 1
    assert world.billing.called[-5:] == ["t0", "t1", "t2", "t3", "t4"]


async def test_a_reference_nobody_yields_is_refused_before_anything_is_written(world: World) -> None:
    before = world.db.commits
    with pytest.raises(PlanError, match="nothing yields"):
        await world.run(Plan("BRM_01", (Step("s", "s", BrmCall("OP", {"A": Ref("nobody")})),)))
    assert (world.db.commits, world.xref.calls) == (before, [])


async def test_the_answer_is_stored_with_the_last_outcomes_and_given_again(world: World) -> None:
    def finish(result: RunResult) -> Answer:
        return Answer("Do", "R1", "mark", b"\x00answer")

    before = world.db.commits
    await world.run(finish=finish)
    assert world.db.commits - before == 4
    assert await world.journal.answer("Do", "R1", "mark") == b"\x00answer"
    assert await world.journal.answer("Do", "R2", "mark") is None
    with pytest.raises(O2CError) as caught:
        await world.journal.answer("Do", "R1", "other")
    assert caught.value.violations[0].reason is Reason.IDEMPOTENCY_CONFLICT


async def test_the_journal_holds_no_input_not_even_as_a_guessable_hash(tmp_path: Any) -> None:
    path = tmp_path / "journal.db"
    db = await Database.open(f"sqlite://{path}")
    world = World(db, await Journal.open(db))
    secret = {"KEY": "s", "DEBIT_NUM": "4111111111111111", "SECURITY_ID": "737", "LAST_NAME": "Secretname"}
    marks = []
    for number in ("4111111111111111", "4999999999991111"):
        made = Step("s", "s", BrmCall("OP", secret | {"DEBIT_NUM": number}), (Yield("thing", "POID"),))
        await world.run(Plan("BRM_01", (made,)))
        marks.append((await world.journal.load("K"))["s"].fingerprint)
    await db.close()
    written = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert marks[0] == marks[1]
    for text in (b"4111111111111111", b"Secretname"):
        assert text not in written


async def test_a_journaled_id_comes_back_as_what_it_was(world: World) -> None:
    await world.run(plan(step("a")))
    outputs = (await world.journal.load("K"))["a"].outputs
    assert outputs == {"thing(a)": world.billing.objects["a"]}


@pytest.mark.parametrize("make", [lambda: plan(step("a", "b"), step("b", "a"))])
async def test_a_cycle_is_refused(world: World, make: Callable[[], Plan]) -> None:
    with pytest.raises(PlanError, match="cycle"):
        await world.run(make())


def ending(key: str, *values: str) -> Step:
    """A step that makes an end of objects that are cross-referenced, and of the rows of all but the first."""
    gone = tuple(XrefGone(ACCOUNTS, f"old{at}", value, whole=at > 0) for at, value in enumerate(values))
    return Step(key, f"end {key}", BrmCall("OP", {"KEY": key}), gone=gone)


async def columns(world: World, *keys: str) -> list[tuple[str, ...]]:
    rows = await world.xref.lookup([XrefKey(ACCOUNTS, "SEBL_01", key) for key in keys])
    return [row.columns for row in rows.values()]


async def test_what_a_step_makes_an_end_of_leaves_the_cross_references_once_it_is_done(world: World) -> None:
    rows = [(ACCOUNTS, {"COMMON": f"c{at}", "SEBL_01": f"old{at}", "BRM_01": f"0.0.0.1 /x {at} 0"}) for at in range(2)]
    world.xref.seed(rows)
    made = plan(ending("end", *(columns["BRM_01"] for _, columns in rows)), claims=False)
    world.billing.fail["end"] = ["refuse"]
    assert not (await world.run(made)).complete
    assert [len(found) for found in await columns(world, "old0", "old1")] == [3, 3]
    assert (await world.run(made)).complete
    assert await columns(world, "old0", "old1") == [("COMMON", "SEBL_01"), ()]
    assert (await world.run(made)).complete  # nothing is left to delete

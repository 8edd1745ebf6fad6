"""The runner: each effect once, outcomes known or named unknown; calls, commits and links counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from plan_runs import ACCOUNTS, World, plan, step

from libs.brm.call import BrmCall
from libs.db import Database
from libs.errors import O2CError, Reason
from libs.plan.journal import Answer, Journal
from libs.plan.late import Late, LateCall
from libs.plan.model import Claim, Plan, PlanError, Ref, Step, XrefGone, XrefLink, Yield, waves
from libs.plan.result import RunResult, StepResult, StepState
from libs.xref.model import XrefKey


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


async def test_an_id_that_moves_takes_the_place_of_the_one_cross_referenced_before(world: World) -> None:
    await world.run(plan(step("a")))
    known = (await world.linked("a"))["a"]
    moving = Yield("thing(new)", "POID", XrefLink(ACCOUNTS, "a", moves=True))
    result = await world.run(Plan("BRM_01", (Step("new", "replace", BrmCall("OP", {"KEY": "new"}), (moving,)),)))
    assert await world.linked("a") == {"a": str(result.bindings["thing(new)"])} != {"a": known}


async def test_ids_that_could_not_be_linked_are_linked_by_the_next_attempt_without_a_call(world: World) -> None:
    populate = world.xref.populate

    async def unreachable(items: Any, origin: Any = None) -> None:
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

    async def counted_claim(keys: Any, column: str = "COMMON", origin: Any = None) -> dict[XrefKey, str]:
        nonlocal claimed
        found = await claim(keys, column)
        claimed += len(found)
        return found

    async def counted(items: Any, origin: Any = None) -> None:
        assert claimed == len(MANY.claims)
        sizes.append(len(items))
        await populate(items)

    world.xref.populate, world.xref.get_or_create = counted, counted_claim  # type: ignore[method-assign]
    result = await world.run(MANY)
    assert result.complete
    assert sizes[:2] == [1_000, 1_000]
    assert sum(sizes) == 2_300 and len(sizes) == 6, (
        "the last four: what was there when the last calls were near, had begun, were nearly there, had ended"
    )
    assert {f"common(s{number})" for number in range(2_300)} <= result.bindings.keys()


def numbered(name: str) -> Step:
    """A call that carries the COMMON id of its object, as accounts do."""
    call = BrmCall("OP", {"KEY": name, "NO": Ref(f"common({name})")})
    return Step(name, f"make {name}", call, (Yield(f"thing({name})", "POID", XrefLink(ACCOUNTS, name)),))


NUMBERED = plan(*(numbered(f"s{number}") for number in range(1_500)))


async def test_the_first_calls_of_a_large_plan_wait_for_their_own_common_ids_only(world: World) -> None:
    claim, asked = world.xref.get_or_create, list[int]()
    first_made = asyncio.Event()
    world.billing.heard = lambda: first_made.set() if len(world.billing.called) == 32 else None

    async def counted(keys: Any, column: str = "COMMON", origin: Any = None) -> dict[XrefKey, str]:
        asked.append(len(keys))
        if len(asked) == 2:
            await asyncio.wait_for(first_made.wait(), 10)
            assert len(world.billing.called) == 32
        return await claim(keys, column)

    world.xref.get_or_create = counted  # type: ignore[method-assign]
    assert (await world.run(NUMBERED)).complete
    assert (asked, len(world.billing.called)) == ([32, 1_468], 1_500)


async def test_common_ids_that_cannot_be_had_end_the_run_by_name_and_nothing_is_done_twice(world: World) -> None:
    """Calls that needed no more ids were made before; the next attempt uses what they yielded."""
    claim, tries = world.xref.get_or_create, [0]

    async def away_once(keys: Any, column: str = "COMMON", origin: Any = None) -> dict[XrefKey, str]:
        tries[0] += 1
        if tries[0] == 2:
            raise O2CError.of(Reason.XREF_UNAVAILABLE, "away")
        return await claim(keys, column)

    world.xref.get_or_create = away_once  # type: ignore[method-assign]
    with pytest.raises(O2CError) as caught:
        await world.run(NUMBERED)
    assert caught.value.violations[0].reason is Reason.XREF_UNAVAILABLE
    assert (await world.run(NUMBERED)).complete
    assert sorted(world.billing.called) == sorted(each.key for each in NUMBERED.steps)


async def test_most_steps_are_told_of_while_others_are_on_their_way_each_once_with_all_its_ids(world: World) -> None:
    told: dict[str, int] = {}

    def meanwhile(ended: StepResult, known: Mapping[str, Any]) -> None:
        assert ended.key not in told
        assert known[f"common({ended.key})"] and known[f"thing({ended.key})"] == world.billing.objects[ended.key]
        told[ended.key] = len(world.billing.called)

    assert (await world.run(NUMBERED, meanwhile=meanwhile)).complete
    assert len(told) > 1_400
    assert sum(called < len(NUMBERED.steps) for called in told.values()) > 1_300


async def test_a_value_that_is_worked_out_late_is_worked_out_once() -> None:
    drawn: list[str] = []
    late = Late(lambda: drawn.append("now") or "value")
    assert not drawn
    assert (late.value, late.value, drawn) == ("value", "value", ["now"])
    assert late == Late(lambda: "value") and hash(late) == hash(Late(lambda: "value"))
    assert late != Late(lambda: "other") and late != "value"


async def test_a_call_that_is_drawn_up_late_is_like_any_other() -> None:
    drawn: list[str] = []

    def draw() -> BrmCall:
        drawn.append("now")
        return BrmCall("OP", {"KEY": Ref("thing(a)")})

    late = LateCall.of("OP", draw, ("thing(a)",))
    made = Step("a", "make a", BrmCall("OP", {"KEY": "a"}), (Yield("thing(a)", "POID"),))
    ordered = Plan("BRM_01", (Step("b", "use a", late), made))
    assert [[each.key for each in wave] for wave in waves(ordered)] == [["a"], ["b"]]
    assert not drawn
    assert late == draw() and replace(late, flags=1) == BrmCall("OP", {"KEY": Ref("thing(a)")}, 1)
    assert late.input is late.input and repr(late) == repr(draw())
    with pytest.raises(AttributeError):
        late.output  # type: ignore[attr-defined]  # noqa: B018


async def test_a_batch_that_fails_in_the_middle_of_a_wave_is_linked_by_the_next_attempt(world: World) -> None:
    populate = world.xref.populate
    away = [1]

    async def failing_once(items: Any, origin: Any = None) -> None:
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


CONTACTS = "CUSTOMERPARTY_CONTACTID"


def holding(key: str, *contacts: str) -> Plan:
    """A plan that makes ``key``, inside which the contacts have a place."""
    inside = tuple(XrefLink(CONTACTS, each, slot="NAMEINFO[1]") for each in contacts)
    made = Yield(f"thing({key})", "POID", XrefLink(ACCOUNTS, key), inside=inside)
    claims = [Claim(table, each, f"common({each})") for table, each in ((ACCOUNTS, key), *((CONTACTS, c) for c in contacts))]
    return Plan("BRM_01", (Step(key, f"make {key}", BrmCall("OP", {"KEY": key}), (made,)),), tuple(claims))


async def places(world: World, *contacts: str) -> dict[str, str]:
    keys = {each: XrefKey(CONTACTS, "SEBL_01", each) for each in contacts}
    rows = await world.xref.lookup(list(keys.values()))
    return {each: rows[key].value("BRM_01") for each, key in keys.items()}


async def test_what_is_inside_an_object_is_cross_referenced_by_its_slot_in_the_same_batch(world: World) -> None:
    await world.run(holding("a", "C1"))
    assert world.xref.calls == ["get_or_create", "populate"]
    assert await places(world, "C1") == {"C1": f"{world.billing.objects['a']} NAMEINFO[1]"}


async def test_what_several_objects_share_keeps_its_first_place(world: World) -> None:
    await world.run(holding("a", "C1"))
    result = await world.run(holding("b", "C1", "C2"))
    assert result.complete
    assert await places(world, "C1") == {"C1": f"{world.billing.objects['a']} NAMEINFO[1]"}
    assert await world.linked("b") == {"b": str(world.billing.objects["b"])}


async def test_who_comes_to_a_place_takes_it_from_who_had_it(world: World) -> None:
    await world.run(holding("a", "C1"))
    place = f"{world.billing.objects['a']} NAMEINFO[1]"
    again = Yield("thing(a)", "POID", inside=(XrefLink(CONTACTS, "C2", slot="NAMEINFO[1]"),))
    change = Step("change", "change a", BrmCall("OP", {"KEY": "a"}), (again,))
    result = await world.run(Plan("BRM_01", (change,), (Claim(CONTACTS, "C2", "common(C2)"),)))
    assert result.complete
    assert await places(world, "C1", "C2") == {"C1": "", "C2": place}


async def test_a_place_in_a_table_that_nobody_knows_is_an_error(world: World) -> None:
    bad = Yield("thing(a)", "POID", XrefLink(ACCOUNTS, "a"), inside=(XrefLink("NO_SUCH_TABLE", "C1", slot="NAMEINFO[1]"),))
    claims = (Claim(ACCOUNTS, "a", "common(a)"),)
    with pytest.raises(O2CError) as caught:
        await world.run(Plan("BRM_01", (Step("a", "make a", BrmCall("OP", {"KEY": "a"}), (bad,)),), claims))
    assert [violation.reason for violation in caught.value.violations] == [Reason.XREF_TABLE_UNKNOWN]

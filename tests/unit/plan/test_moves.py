"""Objects that go by another id: their rows are moved before the first call, or nothing is done."""

from __future__ import annotations

import pytest
from plan_runs import ACCOUNTS, World, step

from libs.errors import O2CError, Reason
from libs.plan.model import Plan, XrefMove
from libs.plan.render import render_plan
from libs.xref.model import XrefKey

MOVING = Plan("BRM_01", (step("a", link=False),), moves=(XrefMove(ACCOUNTS, "C-1", "new"),))


async def test_objects_go_by_their_new_ids_before_the_first_call_and_a_refusal_ends_the_run_before_it(world: World) -> None:
    world.xref.seed([(ACCOUNTS, {"COMMON": "C-1", "SEBL_01": "old"})])
    heard: list[list[str]] = []
    world.billing.heard = lambda: heard.append(list(world.xref.calls))
    assert (await world.run(MOVING)).complete
    assert heard == [["populate"]]
    key = XrefKey(ACCOUNTS, "SEBL_01", "new")
    assert (await world.xref.lookup([key]))[key].value("COMMON") == "C-1"
    gone = Plan("BRM_01", (step("b", link=False),), moves=(XrefMove(ACCOUNTS, "C-2", "newer"),))
    with pytest.raises(O2CError) as caught:
        await world.run(gone)
    assert caught.value.violations[0].reason is Reason.XREF_REF_NOT_FOUND
    assert world.billing.called == ["a"]


async def test_an_empty_row_of_the_new_id_gives_way(world: World) -> None:
    world.xref.seed([(ACCOUNTS, {"COMMON": "C-1", "SEBL_01": "old", "BRM_01": "0.0.0.1 /x 1 0"})])
    await world.xref.get_or_create([XrefKey(ACCOUNTS, "SEBL_01", "new")])
    await world.run(Plan("BRM_01", moves=(XrefMove(ACCOUNTS, "C-1", "new", displaces=True),)))
    key = XrefKey(ACCOUNTS, "SEBL_01", "new")
    assert (await world.xref.lookup([key]))[key].value("BRM_01") == "0.0.0.1 /x 1 0"


def test_a_plan_says_what_goes_by_another_id() -> None:
    assert "C-1 = CUSTOMERPARTY_ACCOUNTID new" in render_plan(MOVING)
    assert not Plan("BRM_01", moves=MOVING.moves).is_empty

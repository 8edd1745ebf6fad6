"""Another legal owner for an account, with new services on the same order, or for one of its units only (customer-sync 7.2)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import brm_view
import customer_suite
import pytest
from legal_orders import CRM, Orders, owned

from libs.brm import calls
from libs.brm.client import open_gateway
from libs.xref.model import XrefKey


@pytest.fixture
async def orders() -> AsyncIterator[Orders]:
    async with customer_suite.running_suite(legal_group=True) as running:
        running.crm.store.load(CRM)
        yield Orders(running)
        assert await running.brm.check_invariants() == []


@pytest.mark.parametrize("backwards", [False, True], ids=["change first", "new line first"])
@pytest.mark.parametrize("owner", ["DAVID", "HELEN"], ids=["another owner", "no owner any more"])
async def test_a_change_of_owner_may_bring_a_new_service_that_names_him_too(
    orders: Orders, backwards: bool, owner: str
) -> None:
    await orders.done(owned(1, "HELEN", "LISA"))
    lines = [owned(1, "HELEN", owner, prior="LISA"), owned(2, "HELEN", owner)]
    await orders.done(*(lines[::-1] if backwards else lines))
    assert (await brm_view.look(orders.suite)).answers_for == ({} if owner == "HELEN" else {"DavidBP": {"HelenBP"}})


async def test_a_unit_that_stays_with_the_former_owner_is_told_of_although_another_one_takes_its_place(orders: Orders) -> None:
    """Then two answer for the account, and each of them may for what is new."""
    await orders.done(owned(1, "HELEN", "LISA"))
    line = owned(1, "HELEN", "DAVID", prior="LISA", billing_profile={"billing_profile_id": "HelenBP2"})
    line["prior"]["billing_profile_id"] = "HelenBP"
    answer = await orders.send(line)
    assert [(each.reason, each.metadata["owner_ids"]) for each in answer.warnings] == [("LEGAL_OWNER_CONFLICT", "LISA")]
    assert (await brm_view.look(orders.suite)).answers_for == {"LisaBP": {"HelenBP"}, "DavidBP": {"HelenBP2"}}
    for number, owner in ((3, "DAVID"), (4, "LISA")):
        await orders.done(owned(number, "HELEN", owner, billing_profile={"billing_profile_id": f"HelenBP{number}"}))


async def purged(orders: Orders) -> None:
    """Lisa's group is taken out of billing by hand."""
    async with open_gateway(orders.suite.systems) as gateway:
        (group,) = await orders.suite.brm.objects("/group/collections_targets")
        for member in group["MEMBERS"].values():
            gone = calls.CollectionsMember(billinfo=member["BILLINFO_OBJ"], account=member["ACCOUNT_OBJ"])
            await gateway.call("BRM_01", calls.collections_group_delete_member(group["POID"], [gone]))
        await gateway.call("BRM_01", calls.collections_group_delete(group["POID"]))


@pytest.mark.parametrize("others", [False, True], ids=["alone", "with a new account"])
async def test_a_group_that_was_purged_by_hand_is_made_again_for_who_joins_it(orders: Orders, others: bool) -> None:
    """Its cross-reference is still there, and then names the new one."""
    await orders.done(owned(1, "HELEN", "LISA"))
    if not others:
        await orders.done(owned(2, "ALEX", "ALEX"))
    await purged(orders)
    await orders.done(owned(2, "ALEX", "LISA", prior=None if others else "ALEX"))
    assert (await brm_view.look(orders.suite)).answers_for == {"LisaBP": {"AlexBP"}}
    (group,) = await orders.suite.brm.objects("/group/collections_targets")
    key = XrefKey("LEGALGROUP_ID", "SEBL_01", "LISA")
    assert (await orders.suite.xref.lookup([key]))[key].value("BRM_01") == group["POID"]
    before = await orders.suite.writes()
    await orders.done(owned(2, "ALEX", "LISA"))
    assert await orders.suite.writes() == before


async def test_who_leaves_a_group_that_was_purged_by_hand_joins_the_other_one(orders: Orders) -> None:
    await orders.done(owned(1, "HELEN", "LISA"))
    await purged(orders)
    await orders.done(owned(1, "HELEN", "DAVID", prior="LISA"))
    assert (await brm_view.look(orders.suite)).answers_for == {"DavidBP": {"HelenBP"}}

"""Another legal owner for an account, with new services on the same order, or for one of its units only (customer-sync 7.2)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import brm_view
import customer_suite
import pytest
from legal_orders import CRM, Orders, owned


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

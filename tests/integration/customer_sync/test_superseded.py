"""Bill units that nobody pays through any more stay in BRM and are marked, as long as nothing is left with them (Q16)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from customer_edits import Customers, open_customers
from customers import bundle

from libs.pb.customer_sync.v1.inspection_pb2 import GetCustomerRequest

OLD, NEW = "KID|PA|BP-PA", "KID|UNCLE|BP-UNCLE"
FROM_PA = {"action": "UPDATE", "prior": {"billing_account_id": "PA", "billing_profile_id": "BP-PA"}}
FROM_UNCLE = {"action": "UPDATE", "prior": {"billing_account_id": "UNCLE", "billing_profile_id": "BP-UNCLE"}}


@pytest.fixture
async def customers() -> AsyncIterator[Customers]:
    async with open_customers() as running:
        yield running


def paid_by_pa(number: int, **values: Any) -> dict[str, Any]:
    return bundle(number, "KID", "PA", "BP-PA", asset_integration_id=f"AST-{number}", **values)


def paid_by_uncle(number: int, **values: Any) -> dict[str, Any]:
    return bundle(number, "KID", "UNCLE", "BP-UNCLE", asset_integration_id=f"AST-{number}", **values)


async def marks(customers: Customers) -> dict[str, str]:
    """Unit to the one that took its place, empty while it is used."""
    answer = await customers.suite.inspection.GetCustomer(GetCustomerRequest(account_id="KID"))
    return {unit.bill_unit_id: unit.superseded_by for unit in answer.customer.brms[0].bill_units}


async def test_the_unit_of_a_former_payer_is_marked_until_he_pays_again(customers: Customers) -> None:
    await customers.ordered([paid_by_pa(1)])
    assert await marks(customers) == {OLD: ""}
    await customers.ordered([paid_by_uncle(1, **FROM_PA)])
    assert await marks(customers) == {OLD: NEW, NEW: ""}
    await customers.ordered([paid_by_uncle(1)])
    assert await marks(customers) == {OLD: NEW, NEW: ""}, "an order that changes nothing"
    await customers.ordered([paid_by_pa(1, **FROM_UNCLE)])
    assert await marks(customers) == {OLD: "", NEW: OLD}


async def test_who_pays_himself_now_supersedes_who_paid_for_him(customers: Customers) -> None:
    await customers.ordered([paid_by_pa(1)])
    await customers.ordered([bundle(1, "KID", "KID", "BP-KID", **FROM_PA)])
    assert await marks(customers) == {OLD: "BP-KID", "BP-KID": ""}


async def test_a_unit_with_a_service_that_stays_is_not_marked(customers: Customers) -> None:
    await customers.ordered([paid_by_pa(1), paid_by_pa(2)])
    unit = await customers.id_of("NONPAYING_BILLINFO", OLD)
    for number in (1, 2):
        await customers.bought("KID", unit, f"AST-{number}", login=f"555100{number}")
    await customers.ordered([paid_by_uncle(1, **FROM_PA)])
    assert await marks(customers) == {OLD: "", NEW: ""}
    await customers.ordered([paid_by_uncle(1, **FROM_PA), paid_by_uncle(2, **FROM_PA)])
    assert await marks(customers) == {OLD: NEW, NEW: ""}


async def test_a_unit_that_another_line_of_the_order_names_is_not_marked(customers: Customers) -> None:
    await customers.ordered([paid_by_pa(1), paid_by_pa(2)])
    await customers.ordered([paid_by_uncle(1, **FROM_PA), paid_by_pa(2, action="NONE")])
    assert await marks(customers) == {OLD: "", NEW: ""}


async def test_the_payer_of_account_level_products_keeps_his_unit(customers: Customers) -> None:
    level = bundle(
        2, "KID", "PA", "BP-PA", product_type="PRODUCT", billing_type="SUBSCRIPTION", billing_service_type="/account"
    )
    await customers.ordered([paid_by_pa(1), level])
    await customers.ordered([paid_by_uncle(1, **FROM_PA)])
    assert await marks(customers) == {OLD: "", NEW: ""}

"""Accounts and billing profiles that an order names by id alone: who is new to billing comes as the CRM has him (2.3)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import acme
import brm_view
import customer_suite
import grpc
import pytest
from customer_suite import Suite
from customers import account, bundle, order, profile, request

from libs.grpckit.status import from_rpc_error
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from libs.pb.order.v1.order_pb2 import Order

OK = pb.SYNC_OUTCOME_OK
ANN = {"accounts": [account("ANN")], "billing_profiles": [profile("BP", "ANN", bill_frequency="Quarterly")]}


@pytest.fixture
async def suite() -> AsyncIterator[Suite]:
    async with customer_suite.running_suite() as running:
        running.crm.store.load(ANN)
        yield running
        assert await running.brm.check_invariants() == []


def named(*lines: dict[str, Any], **values: Any) -> Order:
    """An order that describes nobody."""
    document = order(list(lines), **values)
    del document.accounts[:], document.billing_profiles[:]
    return document


def anns(number: int = 1, profile_id: str = "BP") -> dict[str, Any]:
    return bundle(number, "ANN", "ANN", profile_id)


async def refused(suite: Suite, asked: pb.SyncOrderCustomersRequest) -> tuple[grpc.StatusCode, set[str]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await suite.sync(asked)
    return caught.value.code(), {violation.reason for violation in from_rpc_error(caught.value).violations}


async def test_who_is_new_comes_with_the_details_that_the_crm_has_of_him(suite: Suite) -> None:
    assert (await suite.sync(request(named(anns()), "R1"))).outcome == OK
    assert (await brm_view.look(suite)).units == {"ANN": {"BP"}}
    assert {int(unit["BILL_WHEN"]) for unit in await suite.brm.objects("/billinfo")} == {3}
    assert await suite.opcodes() == ["CUST_COMMIT_CUSTOMER"]
    assert suite.crm.state.calls == {"BatchGetAccounts": 1}


async def test_who_is_in_billing_already_is_not_asked_for(suite: Suite) -> None:
    await suite.sync(request(named(anns()), "R1"))
    suite.crm.state.change({"down": True})
    again = await suite.sync(request(named(anns(2), order_id="ORD-2"), "R2"))
    assert (again.outcome, {each.outcome for each in again.entities}) == (OK, {pb.ENTITY_OUTCOME_EXISTED})
    assert await suite.opcodes() == ["CUST_COMMIT_CUSTOMER"]


async def test_a_further_profile_of_a_known_account_is_asked_for_by_its_account(suite: Suite) -> None:
    await suite.sync(request(named(anns()), "R1"))
    second = profile("BP2", "ANN", bill_frequency="Quarterly")
    suite.crm.store.load({**ANN, "billing_profiles": [*ANN["billing_profiles"], second]})
    assert (await suite.sync(request(named(anns(2, "BP2"), order_id="ORD-2"), "R2"))).outcome == OK
    assert (await brm_view.look(suite)).units == {"ANN": {"BP", "BP2"}}


async def test_what_the_order_tells_counts_and_the_crm_fills_in_the_rest(suite: Suite) -> None:
    told = order([anns()], profiles=[profile("BP", "ANN", bill_frequency="Monthly")])
    del told.accounts[:]
    assert (await suite.sync(request(told, "R1"))).outcome == OK
    assert {int(unit["BILL_WHEN"]) for unit in await suite.brm.objects("/billinfo")} == {1}


async def test_a_company_named_by_id_alone_comes_below_the_chain_above_it(suite: Suite) -> None:
    suite.crm.store.load(acme.CRM)
    line = bundle(1, "AMELIA", "ACCOUNTING", "AccBP")
    assert (await suite.sync(request(named(line, customer_account={"account_id": "ACME"}), "R1"))).outcome == OK
    view = await brm_view.look(suite)
    assert view.parents == {"AMELIA": "MARKETING", "MARKETING": "ACCOUNTING", "ACCOUNTING": "ACME"}


async def test_while_the_crm_does_not_answer_who_is_new_waits_and_nothing_is_made(suite: Suite) -> None:
    suite.crm.state.change({"down": True})
    assert await refused(suite, request(named(anns()), "R1")) == (grpc.StatusCode.UNAVAILABLE, {"CRM_UNAVAILABLE"})
    assert await suite.opcodes() == []
    suite.crm.state.change({"down": False})
    assert (await suite.sync(request(named(anns()), "R1"))).outcome == OK


async def test_whom_the_crm_does_not_know_either_is_refused_as_unknown(suite: Suite) -> None:
    code, found = await refused(suite, request(named(bundle(1, "NOBODY", "NOBODY", "BP-X")), "R1"))
    assert (code, found) == (grpc.StatusCode.NOT_FOUND, {"CRM_ACCOUNT_NOT_FOUND"})
    assert await suite.opcodes() == []


async def test_a_plan_asks_the_crm_as_the_execution_does(suite: Suite) -> None:
    asked = request(named(anns()), "R1")
    asked.validate_only = True
    plan = await suite.sync(asked)
    assert [call.opcode for call in plan.plan.calls] == ["PCM_OP_CUST_COMMIT_CUSTOMER"]
    assert await suite.opcodes() == []

"""Where the services of an account share a balance group they change their payer together (bill-fulfillment.md 6.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import fulfillment
import grpc
import pytest
from care import Neighbourhood
from orders import FAMILY, order

from libs.brm import calls
from libs.pb.bill_fulfillment.v1 import bill_fulfillment_pb2 as pb
from libs.pb.order.v1 import order_pb2
from libs.xref.client import XrefKey

SERVICE, SECOND, THIRD = "AST-MICHELLE-WIRELESS", "AST-MICHELLE-SECOND", "AST-MICHELLE-THIRD"
DENISE, MA = ("1-DENISE", "BP-DENISE-MICHELLE"), ("1-MA", "BP-MA")


def shared(around: Neighbourhood) -> Neighbourhood:
    """The same neighbourhood, whose BRM has balance groups per account."""
    systems = tuple(each.model_copy(update={"service_level_balance_groups": False}) for each in around.systems)
    return replace(around, systems=systems)


async def another_payer(around: Neighbourhood) -> None:
    """Ma may pay for Michelle, as customer sync prepares it."""
    await around.customer("1-MA", "BP-MA")
    key = "1-MICHELLE|1-MA|BP-MA"
    unit = calls.BillUnit(billinfo_id=key, currency=840, bill_day=1, parent=around.profiles["BP-MA"])
    michelle = await stored_id(around, "CUSTOMERPARTY_ACCOUNTID", "1-MICHELLE")
    made = await around.gateway.call("BRM_01", calls.create_billinfo(michelle, unit))
    await around.link(fulfillment.NONPAYING, key, "BRM_01", str(made["POID"]))


async def stored_id(around: Neighbourhood, table: str, crm_id: str) -> str:
    key = XrefKey(table, "SEBL_01", crm_id)
    return (await around.xref.lookup([key]))[key].value("BRM_01")


def bought(asset: str, number: str, profile: tuple[str, str]) -> order_pb2.Order:
    """A service of Michelle's, without offers."""
    document = order(FAMILY)
    document.order_id, document.order_number = f"ORD-{number}", number
    line = next(each for each in document.lines if each.asset_integration_id == SERVICE)
    line.line_id, line.asset_integration_id, line.service_id = f"L-{number}", asset, f"1408555{number}"
    line.billing_account.account_id, line.billing_profile.billing_profile_id = profile
    line.ClearField("promotion_asset_integration_id")
    del document.lines[:]
    document.lines.append(line)
    return document


def to_ma() -> order_pb2.Order:
    """Ma pays for Michelle's first service, where Denise did."""
    change = bought(SERVICE, "9002", MA)
    (line,) = change.lines
    line.action = order_pb2.LINE_ACTION_UPDATE
    line.prior.billing_account_id, line.prior.billing_profile_id = DENISE
    return change


async def unit_of(around: Neighbourhood, bfo: fulfillment.Billing, asset: str) -> str:
    admin = around.sandbox.admin()
    service = await admin.object(await bfo.installed(asset, "SERVICE"))
    return str((await admin.object((await admin.object(service["BAL_GRP_OBJ"]))["BILLINFO_OBJ"]))["BILLINFO_ID"])


@pytest.mark.spec("bill-fulfillment:T6")
async def test_all_services_of_an_account_get_the_new_payer_and_so_does_what_comes_later(around: Neighbourhood) -> None:
    await another_payer(around)
    async with fulfillment.billing(shared(around)) as bfo:
        await bfo.bill(order(FAMILY))
        await bfo.bill(bought(SECOND, "9001", DENISE))
        assert {await unit_of(around, bfo, each) for each in (SERVICE, SECOND)} == {"1-MICHELLE|1-DENISE|BP-DENISE-MICHELLE"}

        change = to_ma()
        response = await bfo.bill(change)
        assert response.lines[0].outcome == pb.LINE_OUTCOME_PROCESSED
        (warning,) = [each for each in response.lines[0].warnings if each.reason == "PAYER_CHANGED_OFF_ORDER"]
        assert warning.metadata["asset_ids"] == SECOND
        await bfo.bill(bought(THIRD, "9003", MA))
        assert {await unit_of(around, bfo, each) for each in (SERVICE, SECOND, THIRD)} == {"1-MICHELLE|1-MA|BP-MA"}
        services: list[dict[str, Any]] = await around.sandbox.admin().objects("/service")
        groups = {each["BAL_GRP_OBJ"] for each in services if each["LOGIN"] in ("14085559001", "14085559003")}
        assert len(groups) == 1
        assert await around.sandbox.admin().check_invariants() == []


@pytest.mark.spec("bill-fulfillment:T6")
async def test_a_lost_answer_to_a_payer_change_moves_nothing_twice(around: Neighbourhood) -> None:
    await another_payer(around)
    async with fulfillment.billing(shared(around)) as bfo:
        await bfo.bill(order(FAMILY))
        change = to_ma()
        before = len(await around.sandbox.admin().objects("/balance_group"))
        await around.sandbox.admin().add_fault("drop_after", opcode="PCM_OP_SUBSCRIPTION_SERVICE_BALGRP_TRANSFER", times=1)
        try:
            await bfo.bill(change)
        except grpc.aio.AioRpcError as error:
            assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        again = await bfo.bill(change)
        assert again.lines[0].outcome in (pb.LINE_OUTCOME_PROCESSED, pb.LINE_OUTCOME_NO_CHANGE)
        assert len(await around.sandbox.admin().objects("/balance_group")) == before + 1
        assert await unit_of(around, bfo, SERVICE) == "1-MICHELLE|1-MA|BP-MA"

"""Friends and family over gRPC, SOAP and cross-references: the list on the order, in billing, and after what goes wrong."""

from __future__ import annotations

from typing import Any

import fulfillment
import grpc
import pytest
from care import Neighbourhood
from orders import FAMILY, VOICEMAIL, order

from libs.brm import calls
from libs.grpckit.status import from_rpc_error, from_status
from libs.pb.bill_fulfillment.v1 import bill_fulfillment_pb2 as pb
from libs.pb.order.v1 import order_pb2

ASSET = "AST-MICHELLE-FRIENDS"


def feature(
    number: str,
    entries: tuple[str, ...],
    action: str = "ADD",
    *,
    list_ref: str = "L1",
    prior_list: str = "",
    asset: str = ASSET,
    name: str = "My Social Circle",
) -> order_pb2.Order:
    """Michelle's wireless gets the feature, changes its list, or loses it."""
    document = order(VOICEMAIL)
    document.order_id, document.order_number = f"ORD-{number}", number
    service, line = document.lines
    service.line_id, service.action = f"L-{number}", order_pb2.LINE_ACTION_NONE
    line.line_id, line.parent_line_id, line.root_line_id = f"L-{number}.1", service.line_id, service.line_id
    line.action = order_pb2.LineAction.Value(f"LINE_ACTION_{action}")
    line.product.product_id, line.product.name = "PROD-FRIENDS", name
    line.product_type, line.billing_type = order_pb2.PRODUCT_TYPE_SPECIAL_RATING, order_pb2.BILLING_TYPE_SPECIAL_RATING
    line.billing_service_type, line.asset_integration_id = "", asset
    line.special_rating_list_ref = list_ref
    line.special_rating_list_entries.extend(entries)
    if prior_list:
        line.prior.special_rating_list_ref = prior_list
    return document


def of_feature(response: pb.ProcessFulfillmentOrderBillingResponse) -> pb.LineResult:
    return response.lines[1]


def outcome(response: pb.ProcessFulfillmentOrderBillingResponse) -> str:
    return pb.LineOutcome.Name(of_feature(response).outcome).removeprefix("LINE_OUTCOME_")


async def profiles(around: Neighbourhood) -> list[dict[str, Any]]:
    return await around.sandbox.admin().objects("/profile/serv_extrating")


def numbers(profile: dict[str, Any]) -> list[str]:
    return [entry["VALUE"] for entry in (profile.get("DATA_ARRAY") or {}).values()]


def spent(around: Neighbourhood, mark: dict[str, int]) -> dict[str, int]:
    now = around.gateway.calls
    return {name.removeprefix("PCM_OP_CUST_"): now[name] - mark.get(name, 0) for name in now if now[name] > mark.get(name, 0)}


@pytest.fixture
async def michelle(around: Neighbourhood, bfo: fulfillment.Billing) -> fulfillment.Billing:
    """The family is billed."""
    await bfo.bill(order(FAMILY))
    return bfo


@pytest.mark.spec("bill-fulfillment:T13")
async def test_a_list_comes_with_its_feature_changes_with_the_order_and_goes_with_it(
    around: Neighbourhood, michelle: fulfillment.Billing
) -> None:
    added = await michelle.bill(feature("6001", ("5550001", "5550002")))
    assert outcome(added) == "PROCESSED"
    (profile,) = await profiles(around)
    assert (profile["NAME"], numbers(profile)) == ("My Social Circle", ["5550001", "5550002"])
    assert profile["SERVICE_OBJ"] == await michelle.installed("AST-MICHELLE-WIRELESS", "SERVICE")
    assert profile["POID"] == await michelle.installed(ASSET, "PROFILE") == of_feature(added).brm_refs[0].poid

    mark = dict(around.gateway.calls)
    again = await michelle.bill(feature("6001", ("5550001", "5550002")), "REQ-AGAIN")
    assert (outcome(again), spent(around, mark)) == ("NO_CHANGE", {})

    swapped = await michelle.bill(feature("6002", ("5550003",), "UPDATE", list_ref="L2", prior_list="L1"))
    assert outcome(swapped) == "PROCESSED"
    assert spent(around, mark) == {"MODIFY_PROFILE": 1, "PCM_OP_READ_OBJ": 1}
    (profile,) = await profiles(around)
    assert (numbers(profile), profile["EXTRATING"]["LABEL"]) == (["5550003"], "L2")

    deleted = await michelle.bill(feature("6003", (), "DELETE", list_ref="L2"))
    assert (outcome(deleted), await profiles(around)) == ("PROCESSED", [])
    late = await michelle.bill(feature("6004", (), "DELETE", list_ref="L2"))
    assert outcome(late) == "NO_CHANGE"


async def test_a_list_whose_answer_was_lost_is_found_and_not_made_twice(
    around: Neighbourhood, michelle: fulfillment.Billing
) -> None:
    await around.sandbox.admin().add_fault("drop_after", times=1, opcode="PCM_OP_CUST_CREATE_PROFILE")
    assert outcome(await michelle.bill(feature("6001", ("5550001",)))) == "PROCESSED"
    (profile,) = await profiles(around)
    assert profile["POID"] == await michelle.installed(ASSET, "PROFILE")


async def test_a_second_feature_of_one_name_is_refused_by_billing_and_not_taken_for_the_first(
    around: Neighbourhood, michelle: fulfillment.Billing
) -> None:
    await michelle.bill(feature("6001", ("5550001",)))
    response = await michelle.bill(feature("6002", ("5550009",), list_ref="L2", asset="AST-OTHER"))
    violation = from_status(of_feature(response).errors[0]).violations[0]
    assert (violation.reason, violation.metadata["line_ids"]) == ("SPECIAL_RATING_DUPLICATE", "L-6002.1")
    assert [numbers(each) for each in await profiles(around)] == [["5550001"]]
    assert not await michelle.installed("AST-OTHER", "PROFILE")


async def test_another_refusal_is_told_in_billings_own_words_and_the_same_order_may_be_sent_again(
    around: Neighbourhood, michelle: fulfillment.Billing
) -> None:
    await around.sandbox.admin().add_fault("err:BAD_VALUE", times=1, opcode="PCM_OP_CUST_CREATE_PROFILE")
    refused = await michelle.bill(feature("6001", ("5550001",)))
    violation = from_status(of_feature(refused).errors[0]).violations[0]
    assert (violation.reason, violation.metadata["brm_error"]) == ("BRM_REJECTED", "PIN_ERR_BAD_VALUE")
    assert outcome(await michelle.bill(feature("6001", ("5550001",)))) == "PROCESSED"


async def test_a_list_that_went_in_billing_is_missed_by_name(around: Neighbourhood, michelle: fulfillment.Billing) -> None:
    await michelle.bill(feature("6001", ("5550001",)))
    (profile,) = await profiles(around)
    await around.gateway.call("BRM_01", calls.delete_profile(profile["POID"]))
    response = await michelle.bill(feature("6002", ("5550003",), "UPDATE", list_ref="L2", prior_list="L1"))
    assert from_status(of_feature(response).errors[0]).violations[0].reason == "ASSET_NOT_IN_BILLING"


async def test_an_empty_entry_is_refused_by_its_place(michelle: fulfillment.Billing) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await michelle.bill(feature("6001", ("5550001", " ")))
    violation = from_rpc_error(caught.value).violations[0]
    assert (violation.reason, violation.field) == ("FIELD_MISSING", "order.lines[1].special_rating_list_entries[1]")


async def test_a_preview_shows_the_replacement_and_writes_nothing(around: Neighbourhood, michelle: fulfillment.Billing) -> None:
    await michelle.bill(feature("6001", ("5550001",)))
    change = feature("6002", ("5550003",), "UPDATE", list_ref="L2", prior_list="L1")
    preview = await michelle.bill(change, validate_only=True)
    assert [call.opcode for call in preview.plan.calls] == ["PCM_OP_CUST_MODIFY_PROFILE"]
    assert [numbers(each) for each in await profiles(around)] == [["5550001"]]

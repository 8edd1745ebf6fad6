"""Ids and texts of requests that billing or the cross-references cannot hold: refused by name, before anything is sent."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from libs.errors import O2CError, Reason
from libs.pb.bill_fulfillment.v1 import bill_fulfillment_pb2 as pb
from libs.pb.order.v1 import order_pb2 as orders
from services.bill_fulfillment import mappers

NOW = datetime(2027, 1, 1, tzinfo=UTC)


def good() -> pb.ProcessFulfillmentOrderBillingRequest:
    order = orders.Order(order_id="O", source_system="SEBL_01")
    line = order.lines.add(line_id="1", action=orders.LINE_ACTION_ADD, asset_integration_id="AST-1", service_id="555")
    line.special_rating_list_entries.extend(["1", "2"])
    return pb.ProcessFulfillmentOrderBillingRequest(target_system_id="BRM_01", order=order)


def refusals(request: pb.ProcessFulfillmentOrderBillingRequest) -> list[tuple[Reason, str]]:
    with pytest.raises(O2CError) as caught:
        mappers.to_command(request, NOW, 100)
    return [(violation.reason, violation.field) for violation in caught.value.violations]


@pytest.mark.parametrize("text", ["a\x00b", "\x1b", "x" * 241], ids=["nul", "control", "too long"])
def test_an_id_that_nothing_can_be_kept_under_is_refused_where_it_stands(text: str) -> None:
    request = good()
    request.order.order_id = request.order.lines[0].asset_integration_id = text
    request.order.lines[0].billing_profile.billing_profile_id = text
    line = "order.lines[0]"
    assert refusals(request) == [
        (Reason.XREF_VALUE_INVALID, "order.order_id"),
        (Reason.XREF_VALUE_INVALID, f"{line}.billing_profile.billing_profile_id"),
        (Reason.XREF_VALUE_INVALID, f"{line}.asset_integration_id"),
    ]


@pytest.mark.parametrize("text", ["a\x00b", "\ufffe", "ü" * 128], ids=["nul", "no character", "too long"])
def test_a_text_that_billing_cannot_hold_is_refused_with_its_field(text: str) -> None:
    request = good()
    (line,) = request.order.lines
    line.service_id = line.product.name = line.special_rating_list_ref = line.special_rating_list_entries[1] = text
    names = ("product.name", "service_id", "special_rating_list_ref", "special_rating_list_entries[1]")
    assert refusals(request) == [(Reason.RANGE_INVALID, f"order.lines[0].{name}") for name in names]


def test_a_good_request_is_let_in() -> None:
    assert mappers.to_command(good(), NOW, 100).lines[0].special_rating_entries == ("1", "2")

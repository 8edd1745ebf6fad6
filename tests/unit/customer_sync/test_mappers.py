"""The request into the domain: shape errors with field paths, header defaults, fingerprints without secrets."""

from __future__ import annotations

import customers
import pytest
from customers import bundle, order, profile, request

from libs.errors import O2CError, Reason
from services.customer_sync.mappers import to_domain_command
from services.customer_sync.mappers.fingerprint import fingerprint_of


def test_unknown_enum_numbers_are_named_with_field_and_value() -> None:
    document = order([bundle(1, "A", "A", "BP")])
    document.lines[0].action = 99  # type: ignore[assignment]
    setattr(document.accounts[0], "class", 77)
    with pytest.raises(O2CError) as caught:
        to_domain_command(request(document), "BRM_01")
    found = {(violation.reason, violation.field, violation.metadata["value"]) for violation in caught.value.violations}
    assert found == {
        (Reason.ENUM_UNKNOWN, "order.lines[0].action", "99"),
        (Reason.ENUM_UNKNOWN, "order.accounts[0].class", "77"),
    }


def test_a_line_without_action_is_refused() -> None:
    document = order([bundle(1, "A", "A", "BP")])
    document.lines[0].ClearField("action")
    with pytest.raises(O2CError) as caught:
        to_domain_command(request(document), "BRM_01")
    assert [violation.field for violation in caught.value.violations] == ["order.lines[0].action"]


def test_missing_ids_a_bad_date_and_a_line_bound_elsewhere_are_reported_together() -> None:
    document = order([bundle(1, "A", "A", "BP", target_system_id="BRM_02")], order_id="", source_system=" ")
    document.order_date.seconds = 10**15
    with pytest.raises(O2CError) as caught:
        to_domain_command(request(document), "BRM_01")
    assert [violation.reason for violation in caught.value.violations] == [
        Reason.FIELD_MISSING,
        Reason.FIELD_MISSING,
        Reason.ROUTE_TARGET_MISMATCH,
        Reason.RANGE_INVALID,
    ]


@pytest.mark.spec("xref-and-routing:K3")
def test_an_order_that_comes_with_fewer_lines_than_its_sender_counts_is_refused() -> None:
    whole = request(order([bundle(1, "A", "A", "BP")]))
    whole.line_count = 1
    assert len(to_domain_command(whole, "BRM_01").lines) == 1
    whole.line_count = 2
    with pytest.raises(O2CError) as caught:
        to_domain_command(whole, "BRM_01")
    (violation,) = caught.value.violations
    assert (violation.reason, violation.field) == (Reason.ROUTE_LINES_SPLIT, "order.lines")


def test_the_header_stands_in_where_a_line_names_no_account_or_profile() -> None:
    line = {"line_id": "L1", "action": "ADD", "product_type": "SERVICE_BUNDLE", "billing_type": "SERVICE_BUNDLE"}
    header = {
        "service_account": customers.account("SA"),
        "billing_account": customers.account("BA"),
        "billing_profile": profile("BP", "BA"),
    }
    command = customers.command(order([line], **header))
    (mapped,) = command.lines
    assert (mapped.service_account_id, mapped.billing_account_id, mapped.billing_profile_id) == ("SA", "BA", "BP")
    assert command.accounts["SA"].path == "order.service_account"


def test_details_are_taken_from_wherever_the_order_gives_them() -> None:
    line = bundle(1, "A", "A", "BP") | {"service_account": customers.account("A", name="In the line")}
    command = customers.command(order([line], accounts=[{"account_id": "A"}]))
    assert (command.accounts["A"].name, command.accounts["A"].path) == ("In the line", "order.lines[0].service_account")


def test_the_fingerprint_sees_other_content_but_not_the_request_id_or_the_security_code() -> None:
    card = {"number": "4111111111111111", "expiry_month": 4, "expiry_year": 2030, "holder_name": "A", "security_code": "737"}

    def mark(request_id: str = "R", **values: object) -> str:
        cards = [profile("BP", "A", payment_method="Credit Card", card=card | values)]
        return fingerprint_of(request(order([bundle(1, "A", "A", "BP")], profiles=cards), request_id))

    assert mark() == mark("other") == mark(security_code="000")
    assert mark() != mark(number="4111111111112222")
    assert mark() != mark(holder_name="B")


def test_a_card_is_never_shown() -> None:
    card = {"number": "4111111111111111", "security_code": "737", "holder_name": "A"}
    cards = [profile("BP", "A", payment_method="Credit Card", card=card)]
    shown = repr(customers.command(order([bundle(1, "A", "A", "BP")], profiles=cards)))
    assert "4111111111111111" not in shown
    assert "737" not in shown

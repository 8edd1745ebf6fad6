"""Strict reading of messages, and showing them without their secrets."""

from __future__ import annotations

import pytest

from libs.errors import O2CError, Reason, Violation
from libs.grpckit.redact import redacted
from libs.grpckit.wire import enum_violations, json_to_message, unknown_enums
from libs.pb.order.v1 import order_pb2 as pb


def violation(text: str | bytes | dict[str, object]) -> Violation:
    with pytest.raises(O2CError) as error:
        json_to_message(text, pb.Order)  # type: ignore[arg-type]
    return error.value.violations[0]


def test_unknown_enum_numbers_are_found_wherever_they_stand() -> None:
    order = pb.Order(lines=[pb.OrderLine(action=pb.LINE_ACTION_ADD), pb.OrderLine()])
    assert unknown_enums(order) == []
    order.lines[1].action = 77
    order.lines.add(product_type=99)
    assert unknown_enums(order) == ["lines[1].action", "lines[2].product_type"]
    assert enum_violations(order, "order.")[0] == Violation(
        Reason.ENUM_UNKNOWN,
        "77 is not a value of this enum",
        "order.lines[1].action",
        {"field": "order.lines[1].action", "value": "77"},
    )


def test_json_is_read_in_either_form_of_field_names() -> None:
    given = '{"orderNumber": "1-2", "order_date": "2027-01-01T00:00:00Z", "lines": [{"line_id": "L-1", "action": 1}]}'
    order = json_to_message(given, pb.Order)
    assert order == json_to_message(given.encode(), pb.Order)
    assert (order.order_number, order.lines[0].line_id, order.lines[0].action) == ("1-2", "L-1", pb.LINE_ACTION_ADD)


def test_broken_json_says_where() -> None:
    found = violation('{\n  "orderNumber": \n}')
    assert found.reason is Reason.JSON_MALFORMED
    assert found.metadata == {"line": "3", "column": "1"}
    assert violation(b"\xff\xfe{}").reason is Reason.JSON_MALFORMED
    assert violation("[]").reason is Reason.JSON_MALFORMED


@pytest.mark.parametrize(
    ("given", "reason", "field"),
    [
        ({"foo": 1}, Reason.JSON_MALFORMED, "foo"),
        ({"lines": [{}, {"foo": 1}]}, Reason.JSON_MALFORMED, "lines[1].foo"),
        ({"lines": [{}, {"action": "NOPE"}]}, Reason.ENUM_UNKNOWN, "lines[1].action"),
        ({"orderNumber": 5}, Reason.JSON_MALFORMED, "orderNumber"),
        ({"lines": 3}, Reason.JSON_MALFORMED, "lines"),
        ({"orderDate": "yesterday"}, Reason.JSON_MALFORMED, "orderDate"),
    ],
)
def test_what_does_not_fit_is_named_by_its_field(given: dict[str, object], reason: Reason, field: str) -> None:
    found = violation(given)
    assert (found.reason, found.field) == (reason, field)


def test_an_unknown_enum_name_says_which() -> None:
    assert violation({"lines": [{"action": "NOPE"}]}).metadata["value"] == "NOPE"


def test_sensitive_fields_are_masked_wherever_they_stand() -> None:
    order = json_to_message(
        {
            "order_number": 'a"b',
            "billing_profiles": [
                {
                    "card": {
                        "number": "4111111111111111",
                        "expiry_month": 12,
                        "security_code": "987",
                        "holder_name": "D. Michelle",
                    }
                }
            ],
            "extensions": {"k": "v"},
            "lines": [{"action": "LINE_ACTION_ADD", "provisionable": True}],
        },
        pb.Order,
    )
    shown = redacted(order)
    assert "4111" not in shown
    assert "987" not in shown
    assert "12" not in shown
    assert "number: [redacted]" in shown
    assert 'order_number: "a\\"b"' in shown
    assert "action: LINE_ACTION_ADD" in shown
    assert "D. Michelle" in shown

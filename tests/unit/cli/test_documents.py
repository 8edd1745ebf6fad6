"""Orders as people write them: short names for coded values, and errors that say where."""

from __future__ import annotations

import json
from pathlib import Path

import orders
import pytest

from cli.documents import parse_order, read_order
from libs.errors import O2CError
from libs.grpckit.enum_names import short_enum
from libs.pb.order.v1 import order_pb2


def refusal(text: str) -> tuple[str, str, str]:
    with pytest.raises(O2CError) as caught:
        parse_order(text, source="my.json")
    violation = caught.value.violations[0]
    return str(violation.reason), violation.field, violation.message


@pytest.mark.parametrize("name", ["ADD", "LINE_ACTION_ADD"])
def test_coded_values_may_be_written_short_or_in_full(name: str) -> None:
    order = parse_order(json.dumps({"lines": [{"line_id": "L-1", "action": name}]}))
    assert order.lines[0].action == order_pb2.LINE_ACTION_ADD


def test_short_names_are_understood_at_every_depth() -> None:
    phones = [{"type": "MOBILE", "number": "408-555-0101"}]
    order = parse_order(json.dumps({"accounts": [{"type": "BUSINESS", "primary_contact": {"phones": phones}}]}))
    assert order.accounts[0].type == order_pb2.ACCOUNT_TYPE_BUSINESS
    assert order.accounts[0].primary_contact.phones[0].type == order_pb2.PHONE_TYPE_MOBILE


def test_field_names_may_be_written_as_in_json_or_as_in_the_contract() -> None:
    assert parse_order('{"orderId": "ORD-1"}') == parse_order('{"order_id": "ORD-1"}')


@pytest.mark.parametrize("file", [orders.FAMILY, orders.SPLIT, orders.TWO_INSTANCES, orders.VOICEMAIL])
def test_every_example_is_read(file: str) -> None:
    order = read_order(orders.EXAMPLES / file)
    assert order.order_id.startswith("ORD-")
    assert order.lines


def test_an_unknown_name_is_refused_with_its_field_and_the_names_there_are() -> None:
    reason, field, message = refusal(json.dumps({"lines": [{"action": "ADD"}, {"action": "ERASE"}]}))
    assert (reason, field) == ("ENUM_UNKNOWN", "order.lines[1].action")
    assert "'ERASE' is none of ADD, " in message


def test_broken_json_is_refused_with_its_line_and_column() -> None:
    reason, field, message = refusal('{\n  "order_id": "ORD-1",\n  "lines": [,]\n}')
    assert (reason, field) == ("JSON_MALFORMED", "order")
    assert message.startswith("my.json, line 3, column 13: ")


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ({"colour": "blue"}, "colour"),
        ({"lines": {"line_id": "L-1"}}, "lines"),
        ({"revision": "first"}, "revision"),
        ({"order_date": "yesterday"}, "order_date"),
        ([], "an order is a JSON object"),
    ],
)
def test_json_that_is_no_order_is_refused_and_says_what_is_wrong(document: object, names: str) -> None:
    reason, _, message = refusal(json.dumps(document))
    assert reason == "JSON_MALFORMED"
    assert "my.json" in message and names in message


@pytest.mark.parametrize("content", [b"\xff\xfe{}", b'{"order_id": "\xe9"}'])
def test_a_file_that_is_not_utf_8_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "order.json"
    file.write_bytes(content)
    with pytest.raises(O2CError) as caught:
        read_order(file)
    assert caught.value.violations[0].reason == "JSON_MALFORMED"
    assert str(file) in caught.value.violations[0].message


@pytest.mark.parametrize(
    "document", ['{"order_id": "A", "order_id": "B"}', '{"lines": [{"action": "ADD", "action": "DELETE"}]}']
)
def test_a_name_given_twice_is_refused_rather_than_one_of_them_ignored(document: str) -> None:
    reason, _, message = refusal(document)
    assert reason == "JSON_MALFORMED"
    assert "twice" in message


def test_json_nested_beyond_reason_is_refused_by_name() -> None:
    assert refusal('{"lines": ' + "[" * 100_000)[0] == "JSON_MALFORMED"


def test_numbers_of_coded_values_stay_readable_even_when_unknown() -> None:
    actions = order_pb2.LineAction.DESCRIPTOR
    assert short_enum(actions, order_pb2.LINE_ACTION_ADD) == "ADD"
    assert short_enum(actions, 99) == "99"

"""Errors survive the wire, whatever is in them."""

from __future__ import annotations

import pytest
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from libs.errors import CODES, O2CError, Reason, Violation
from libs.grpckit.status import DEFAULT_LIMIT, from_status, to_status, violations_to_status

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
violations = st.builds(
    Violation,
    st.sampled_from(sorted(reason for reason in Reason if CODES[reason] != "OK")),
    text,
    text,
    st.dictionaries(text, text, max_size=2),
)


@given(st.lists(violations, min_size=1, max_size=4), st.none() | st.integers(0, 10**9).map(lambda micros: micros / 1_000_000))
def test_what_is_put_on_the_wire_comes_back(found: list[Violation], retry_after: float | None) -> None:
    error = from_status(Status.FromString(to_status(O2CError(*found, retry_after=retry_after)).SerializeToString()))
    assert error.violations == tuple(found)
    assert error.retry_after == retry_after


def test_details_hold_one_error_info_per_violation_and_the_request_id() -> None:
    status = violations_to_status(
        [Violation(Reason.ORDER_EMPTY, "no lines", "order.lines"), Violation(Reason.BRM_BUSY, "busy")], request_id="r"
    )
    infos = []
    for detail in status.details[:2]:
        info = error_details_pb2.ErrorInfo()
        assert detail.Unpack(info)
        infos.append((info.reason, info.domain, dict(info.metadata)))
    assert infos == [("ORDER_EMPTY", "o2c", {"request_id": "r"}), ("BRM_BUSY", "o2c", {"request_id": "r"})]
    bad = error_details_pb2.BadRequest()
    assert status.details[2].Unpack(bad)
    assert [(entry.field, entry.description) for entry in bad.field_violations] == [
        ("order.lines", "ORDER_EMPTY: no lines"),
        ("", "BRM_BUSY: busy"),
    ]


def test_the_first_violation_decides_the_code() -> None:
    assert to_status(O2CError(Violation(Reason.BRM_BUSY, "x"), Violation(Reason.ORDER_EMPTY, "y"))).code == 8


def test_a_limit_keeps_the_first_violations_and_says_how_many_there_were() -> None:
    error = O2CError(*(Violation(Reason.FIELD_MISSING, f"m{n}", f"lines[{n}].x") for n in range(2000)))
    status = to_status(error, "r", DEFAULT_LIMIT)
    assert status.ByteSize() <= DEFAULT_LIMIT
    kept = from_status(status).violations
    assert len(kept) > 20
    assert [violation.field for violation in kept] == [f"lines[{n}].x" for n in range(len(kept))]
    assert "1999 more" in status.message


@pytest.mark.parametrize("details", [[], [error_details_pb2.ErrorInfo(reason="SOMETHING", domain="other")]])
def test_a_foreign_status_is_named_by_its_code(details: list[error_details_pb2.ErrorInfo]) -> None:
    status = Status(code=14, message="away")
    for detail in details:
        status.details.add().Pack(detail)
    error = from_status(status)
    assert (error.violations[0].reason, error.violations[0].message) == (Reason.SERVICE_UNAVAILABLE, "away")
    assert error.retry_after


def test_a_reason_of_a_newer_peer_is_named_by_its_code() -> None:
    status = Status(code=3, message="new rule")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="NOT_YET_KNOWN", domain="o2c"))
    assert from_status(status).violations[0].reason is Reason.INTERNAL_ERROR

"""Deleting values, the deleted store, and what rows held at a moment, on each database."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import AsyncIterator

import pytest
from xref_calls import ACCOUNT, ADD, ASSET, LINK, UPDATE, Xref, crm, refused, violation

from libs.config import BillingSystem, local_settings
from libs.errors import Reason
from libs.grpckit.channel import open_channel
from libs.grpckit.status import from_status
from libs.pb.xref.v1 import xref_pb2 as pb
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceStub
from services.xref.config import Settings
from services.xref.server import running_xref

SYSTEMS = (BillingSystem(code="BRM_01"), BillingSystem(code="BRM_02"))
ADDED, REPLACED, DELETED = pb.CHANGE_OPERATION_ADDED, pb.CHANGE_OPERATION_REPLACED, pb.CHANGE_OPERATION_DELETED


@pytest.fixture
async def xref(database_url: str) -> AsyncIterator[Xref]:
    settings = local_settings(Settings, database_url=database_url)
    async with running_xref(settings, SYSTEMS) as address, open_channel(address) as channel:
        yield Xref(XrefServiceStub(channel))


@pytest.mark.spec("xref-and-routing:XR13", "xref-and-routing:X2")
async def test_a_row_left_with_one_value_disappears_and_the_deleted_store_has_both(xref: Xref) -> None:
    await xref.row(("SEBL_01", "A1"), ("COMMON", "g1"))
    answer = await xref.delete("SEBL_01", "A1")
    assert answer.deleted
    assert [(cell.column, cell.value) for cell in answer.cells] == [("SEBL_01", "A1"), ("COMMON", "g1")]
    assert await xref.cells("SEBL_01", "A1") == await xref.cells("COMMON", "g1") == []
    for column, value in (("SEBL_01", "A1"), ("COMMON", "g1")):
        gone = [change.old_value for change in await xref.history(column, value) if change.operation == DELETED]
        assert gone == ["A1", "g1"]


@pytest.mark.spec("xref-and-routing:XR14", "xref-and-routing:X2")
async def test_a_row_with_two_values_left_remains(xref: Xref) -> None:
    await xref.row(("SEBL_01", "A1"), ("COMMON", "g1"), ("BRM_01", "p1"))
    answer = await xref.delete("BRM_01", "p1")
    assert [(cell.column, cell.value) for cell in answer.cells] == [("BRM_01", "p1")]
    assert await xref.cells("SEBL_01", "A1") == [("COMMON", "g1"), ("SEBL_01", "A1")]
    assert await xref.cells("BRM_01", "p1") == []


@pytest.mark.spec("xref-and-routing:XR20")
async def test_deleting_what_is_not_there_is_an_error_and_changes_nothing(xref: Xref) -> None:
    await xref.row(("SEBL_01", "A1"), ("COMMON", "g1"))
    wrong = await violation(xref.delete("SEBL_01", "A404"))
    assert (wrong.reason, wrong.field) == (Reason.XREF_VALUE_NOT_FOUND, "value")
    assert wrong.metadata.items() >= {"table": ACCOUNT, "column": "SEBL_01", "value": "A404"}.items()
    await xref.delete("SEBL_01", "A1")
    assert (await violation(xref.delete("SEBL_01", "A1"))).reason is Reason.XREF_VALUE_NOT_FOUND


async def test_a_deleted_value_may_come_again_and_makes_a_new_row_with_a_new_common_id(xref: Xref) -> None:
    first = (await xref.stub.GetOrCreate(pb.GetOrCreateRequest(**crm()))).value
    await xref.delete("SEBL_01", "A1")
    second = await xref.stub.GetOrCreate(pb.GetOrCreateRequest(**crm()))
    assert second.created and second.value != first and uuid.UUID(second.value).version == 4
    rows = {change.row_id for change in await xref.history("SEBL_01", "A1")}
    assert len(rows) == 2


@pytest.mark.spec("xref-and-routing:X4")
async def test_a_common_id_is_never_used_again_and_never_taken_from_a_row_that_goes_on(xref: Xref) -> None:
    await xref.row(("SEBL_01", "A1"), ("COMMON", "g1"), ("BRM_01", "p1"))
    wrong = await violation(xref.delete("COMMON", "g1"))
    assert (wrong.reason, wrong.field) == (Reason.FIELD_IMMUTABLE, "value")
    await xref.delete("BRM_01", "p1")
    await xref.delete("SEBL_01", "A1")
    again = [
        xref.populate(crm("A2"), "COMMON", "g1", ADD),
        xref.populate({"table": ACCOUNT, "ref_column": "COMMON", "ref_value": "g1"}, "SEBL_01", "A2", ADD),
        xref.stub.GetOrCreate(pb.GetOrCreateRequest(table=ACCOUNT, ref_column="COMMON", ref_value="g1", column="SEBL_01")),
    ]
    for call in again:
        assert (await violation(call)).reason is Reason.XREF_VALUE_NOT_UNIQUE
    await xref.row(("SEBL_01", "A2"), ("BRM_01", "p1"))
    assert (await violation(xref.populate(crm("A2"), "COMMON", "g1"))).reason is Reason.XREF_VALUE_NOT_UNIQUE
    assert await xref.cells("SEBL_01", "A2") == [("SEBL_01", "A2"), ("BRM_01", "p1")]


async def test_one_of_several_values_is_deleted_when_asked_for_and_its_place_is_not_taken(xref: Xref) -> None:
    await xref.row(("SEBL_01", "S1"), ("BRM_02", "x1"), ("BRM_02", "x2"), ("BRM_02", "x3"), table=ASSET)
    wrong = await violation(xref.delete("BRM_02", "x1", ASSET))
    assert (wrong.reason, wrong.field) == (Reason.XREF_MULTIPLE_VALUES, "value")
    await xref.delete("BRM_02", "x1", ASSET, one_of_many=True)
    await xref.populate(crm("S1", ASSET), "BRM_02", "x4", one_to_many=True)
    assert await xref.cells("SEBL_01", "S1", ASSET) == [
        ("SEBL_01", "S1"), ("BRM_02", "x2"), ("BRM_02", "x3"), ("BRM_02", "x4"),
    ]  # fmt: skip


async def test_a_batch_of_deletions_answers_each_in_order(xref: Xref) -> None:
    await xref.row(("SEBL_01", "A1"), ("COMMON", "g1"), ("BRM_01", "p1"))
    items = [
        pb.MarkForDeleteRequest(table=ACCOUNT, column="BRM_01", value="p1"),
        pb.MarkForDeleteRequest(table=ACCOUNT, column="BRM_01", value="p1"),
        pb.MarkForDeleteRequest(table=ACCOUNT, column="NO", value=""),
        pb.MarkForDeleteRequest(table=ACCOUNT, column="SEBL_01", value="A1"),
    ]
    request = pb.BatchMarkForDeleteRequest(items=items, request_id="d1")
    answer = await xref.stub.BatchMarkForDelete(request)
    assert [result.deleted for result in answer.results] == [True, False, False, True]
    reasons = [[w.reason for w in from_status(r.error).violations] for r in answer.results if r.HasField("error")]
    assert reasons == [[Reason.XREF_VALUE_NOT_FOUND], [Reason.XREF_COLUMN_UNKNOWN, Reason.XREF_VALUE_EMPTY]]
    assert [w.field for w in from_status(answer.results[2].error).violations] == ["items[2].column", "items[2].value"]
    assert await xref.cells("COMMON", "g1") == []
    assert await xref.stub.BatchMarkForDelete(request) == answer  # a replay


async def test_a_check_only_deletion_answers_the_same_and_deletes_nothing(xref: Xref) -> None:
    await xref.row(("SEBL_01", "A1"), ("COMMON", "g1"))
    answer = await xref.delete("SEBL_01", "A1", validate_only=True)
    assert answer.deleted and len(answer.cells) == 2 and answer.version == 0
    assert await xref.cells("COMMON", "g1") == [("COMMON", "g1"), ("SEBL_01", "A1")]


async def test_every_change_tells_who_made_it_in_which_call_why_and_from_what_to_what(xref: Xref) -> None:
    origin = pb.Origin(service="customer_sync", flow="F1", message_id="ORD-1", reason="typed wrong")
    await xref.row(("SEBL_01", "A1"), ("COMMON", "g1"))
    await xref.populate(crm(), "BRM_01", "p1", LINK, request_id="r1", origin=origin)
    await xref.populate(crm(), "BRM_01", "p2", UPDATE, request_id="r2", origin=origin)
    await xref.delete("BRM_01", "p2", request_id="r3", origin=origin)
    changes = await xref.history("BRM_01", "p1")
    story = [(c.operation, c.column, c.old_value, c.new_value, c.method) for c in changes]
    assert story == [
        (ADDED, "SEBL_01", "", "A1", "Populate"),
        (ADDED, "COMMON", "", "g1", "Populate"),
        (ADDED, "BRM_01", "", "p1", "Populate"),
        (REPLACED, "BRM_01", "p1", "p2", "Populate"),
        (DELETED, "BRM_01", "p2", "", "MarkForDelete"),
    ]
    assert [change.request_id for change in changes[2:]] == ["r1", "r2", "r3"]
    assert all(change.origin == origin for change in changes[2:])
    assert [change.seq for change in changes] == sorted({change.seq for change in changes})
    assert all(one.time.ToNanoseconds() <= two.time.ToNanoseconds() for one, two in itertools.pairwise(changes))
    assert await xref.history("SEBL_01", "A1") == await xref.history("BRM_01", "p2") == changes


async def test_what_a_caller_says_of_itself_is_checked_with_the_rest(xref: Xref) -> None:
    origin = pb.Origin(flow="F" * 257, reason="a\nb")
    calls = [
        xref.populate(crm(), "COMMON", "g1", ADD, origin=origin),
        xref.delete("SEBL_01", "A1", origin=origin),
        xref.stub.GetOrCreate(pb.GetOrCreateRequest(**crm(), origin=origin)),
        xref.stub.RegisterTable(pb.RegisterTableRequest(table=pb.Table(name="NEW"), origin=origin)),
    ]
    for call in calls:
        wrong = (await refused(call)).violations
        assert [(w.reason, w.field) for w in wrong] == [
            (Reason.XREF_VALUE_INVALID, "origin.flow"),
            (Reason.XREF_VALUE_INVALID, "origin.reason"),
        ]
    assert await xref.cells("SEBL_01", "A1") == []


async def test_history_comes_in_pages(xref: Xref) -> None:
    await xref.row(("SEBL_01", "A1"), ("COMMON", "g1"), ("BRM_01", "p1"))
    whole = await xref.history("SEBL_01", "A1")
    found: list[pb.Change] = []
    token = ""
    for _ in whole:
        request = pb.ListHistoryRequest(table=ACCOUNT, column="SEBL_01", value="A1", page_size=1, page_token=token)
        page = await xref.stub.ListHistory(request)
        found += page.changes
        token = page.next_page_token
    assert found == whole and token == ""
    for wrong in ({"page_token": "x"}, {"page_size": -1}):
        request = pb.ListHistoryRequest(table=ACCOUNT, column="SEBL_01", value="A1", **wrong)  # type: ignore[arg-type]
        assert (await violation(xref.stub.ListHistory(request))).field == next(iter(wrong))


async def test_lookups_answer_what_held_at_a_moment(xref: Xref) -> None:
    """Moments are those of the changes themselves: at its own time a change has happened."""
    await xref.row(("SEBL_01", "A1"), ("COMMON", "g1"), ("BRM_01", "p1"))
    await xref.populate(crm(), "BRM_01", "p2", UPDATE)
    await xref.row(("SEBL_01", "A2"), ("COMMON", "g2"), ("BRM_01", "p1"))
    await xref.delete("BRM_01", "p2")
    await xref.delete("SEBL_01", "A1")
    times = {(c.column, c.old_value, c.new_value): c.time for c in await xref.history("BRM_01", "p1")}
    linked, updated = times["BRM_01", "", "p1"], times["BRM_01", "p1", "p2"]
    first = next(c.time for c in await xref.history("BRM_01", "p1") if c.new_value == "p1")
    assert first.ToNanoseconds() < updated.ToNanoseconds() < linked.ToNanoseconds()
    row = [("COMMON", "g1"), ("SEBL_01", "A1")]
    assert await xref.cells("SEBL_01", "A1", as_of=first) == [*row, ("BRM_01", "p1")]
    assert await xref.cells("BRM_01", "p1", as_of=first) == [*row, ("BRM_01", "p1")]
    assert await xref.cells("SEBL_01", "A1", as_of=updated) == [*row, ("BRM_01", "p2")]
    assert await xref.cells("BRM_01", "p1", as_of=updated) == []
    assert await xref.cells("SEBL_01", "A1") == []
    then = {"as_of": updated}
    assert (await xref.stub.Lookup(pb.LookupRequest(**crm(), column="BRM_01", **then))).value == "p2"  # type: ignore[arg-type]
    many = await xref.stub.Lookup1M(pb.Lookup1MRequest(**crm(), column="BRM_01", **then))  # type: ignore[arg-type]
    assert [cell.value for cell in many.cells] == ["p2"]
    keys = [pb.Key(**crm("A2")), pb.Key(**crm("A1"))]
    rows = (await xref.stub.BatchLookup(pb.BatchLookupRequest(keys=keys, columns=["BRM_01"], **then))).rows
    assert [[cell.value for cell in each.cells] for each in rows] == [[], ["p2"]]
    request = pb.BatchLookupValuesRequest(
        table=ACCOUNT, ref_column="SEBL_01", ref_values=["A2", "A1"], column="COMMON", as_of=linked
    )
    assert list((await xref.stub.BatchLookupValues(request)).values) == ["g2", "g1"]


async def test_a_moment_is_neither_in_the_future_nor_before_what_is_kept(xref: Xref) -> None:
    for seconds in (0, 4_000_000_000):
        request = pb.LookupRequest(**crm(), column="COMMON")
        request.as_of.FromSeconds(seconds)
        wrong = await violation(xref.stub.Lookup(request))
        assert (wrong.reason, wrong.field) == (Reason.RANGE_INVALID, "as_of")


async def test_a_write_that_expects_another_version_is_refused(xref: Xref) -> None:
    await xref.row(("SEBL_01", "A1"), ("COMMON", "g1"), ("BRM_01", "p1"))
    version = await xref.version("SEBL_01", "A1")
    assert version > 0
    changed = await xref.populate(crm(), "BRM_02", "q1", LINK, expected_version=version)
    assert changed.version > version
    assert await xref.version("COMMON", "g1") == changed.version
    calls = [
        xref.populate(crm(), "BRM_01", "p2", UPDATE, expected_version=version),
        xref.delete("BRM_01", "p1", expected_version=version),
        xref.populate(crm("A2"), "COMMON", "g2", ADD, expected_version=version),
    ]
    for call in calls:
        wrong = await violation(call)
        assert (wrong.reason, wrong.field) == (Reason.XREF_VERSION_CONFLICT, "expected_version")
    same = await xref.populate(crm(), "BRM_01", "p1", UPDATE, expected_version=version)
    assert not same.changed  # a value replaced by itself: success, and no version is used up
    assert await xref.version("SEBL_01", "A1") == changed.version
    assert (await xref.delete("BRM_01", "p1", expected_version=changed.version)).version > changed.version

"""One-to-many calls, batches of single values, streams of batches and columns added while all runs, on each database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from xref_calls import ACCOUNT, ADD, ASSET, LINK, UPDATE, Xref, answers, crm, refused, violation
from xref_processes import servers

from libs.config import BillingSystem, local_settings
from libs.errors import Reason
from libs.grpckit.channel import open_channel
from libs.grpckit.status import from_status
from libs.pb.xref.v1 import xref_pb2 as pb
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceStub
from libs.xref.client import GrpcXref, XrefKey
from services.xref.config import Settings
from services.xref.server import running_xref

SYSTEMS = (BillingSystem(code="BRM_01"), BillingSystem(code="BRM_02"))


@pytest.fixture
async def xref(database_url: str) -> AsyncIterator[Xref]:
    settings = local_settings(Settings, database_url=database_url)
    async with running_xref(settings, SYSTEMS) as address, open_channel(address) as channel:
        yield Xref(XrefServiceStub(channel))


async def append(xref: Xref, value: str, mode: int = LINK, ref: str = "S1", **more: Any) -> pb.Populate1MResponse:
    request = pb.Populate1MRequest(**crm(ref, ASSET), column="BRM_02", value=value, mode=mode, **more)  # type: ignore[arg-type]
    return await xref.stub.Populate1M(request)


async def listed(xref: Xref, ref: str = "S1", **more: Any) -> list[str]:
    found = await xref.stub.Lookup1M(pb.Lookup1MRequest(**crm(ref, ASSET), column="BRM_02", **more))
    return [cell.value for cell in found.cells]


@pytest.mark.spec("xref-and-routing:XR10")
async def test_a_one_to_many_column_lists_its_values_and_has_no_single_one(xref: Xref) -> None:
    assert (await append(xref, "x1", ADD, kind="SERVICE")).changed
    assert (await append(xref, "x2")).changed
    assert await listed(xref) == ["x1", "x2"]
    for need_exception in (True, False):
        request = pb.LookupRequest(**crm("S1", ASSET), column="BRM_02", need_exception=need_exception)
        wrong = await violation(xref.stub.Lookup(request))
        assert (wrong.reason, wrong.field) == (Reason.XREF_MULTIPLE_VALUES, "column")
    assert await xref.cells("SEBL_01", "S1", ASSET) == [("SEBL_01", "S1"), ("BRM_02", "x1"), ("BRM_02", "x2")]


async def test_one_to_many_populate_has_add_and_link_with_their_rules(xref: Xref) -> None:
    assert (await violation(append(xref, "x1"))).reason is Reason.XREF_REF_NOT_FOUND
    await append(xref, "x1", ADD)
    assert (await violation(append(xref, "x2", ADD))).reason is Reason.XREF_REF_EXISTS
    assert (await violation(append(xref, "x1", LINK))).reason is Reason.XREF_VALUE_NOT_UNIQUE
    assert (await violation(append(xref, "x1", ADD, "S2"))).reason is Reason.XREF_VALUE_NOT_UNIQUE
    assert not (await append(xref, "x1", LINK, idempotent=True)).changed
    for mode in (UPDATE, 0, 17):
        wrong = await violation(append(xref, "x9", mode))
        assert (wrong.reason, wrong.field) == (Reason.XREF_MODE_INVALID, "mode")
    single = pb.Populate1MRequest(**crm("S1", ACCOUNT), column="BRM_02", value="q1", mode=ADD)
    wrong = await violation(xref.stub.Populate1M(single))
    assert (wrong.reason, wrong.field) == (Reason.XREF_MODE_INVALID, "column")
    assert await listed(xref) == ["x1"]


async def test_a_single_valued_populate_never_touches_a_column_of_several_values(xref: Xref) -> None:
    ref = crm("S1", ASSET)
    await xref.populate(ref, "BRM_02", "x1", ADD)  # the first value of a one-to-many column, by the matrix
    assert (await violation(xref.populate(ref, "BRM_02", "x2"))).reason is Reason.XREF_TARGET_OCCUPIED
    await append(xref, "x2")
    wrong = await violation(xref.populate(ref, "BRM_02", "x3"))
    assert (wrong.reason, wrong.field) == (Reason.XREF_MULTIPLE_VALUES, "column")
    await xref.populate(ref, "BRM_02", "x3", one_to_many=True)
    await xref.populate(ref, "BRM_02", "x4", kind="PRODUCT")  # a kind says that it is one of several
    assert await listed(xref) == ["x1", "x2", "x3", "x4"]


@pytest.mark.spec("xref-and-routing:XR11")
async def test_each_lookup_that_finds_nothing_is_empty_or_an_error_as_the_caller_wants(xref: Xref) -> None:
    await xref.row(("SEBL_01", "A1"), ("COMMON", "g1"))
    stub, columns = xref.stub, ["BRM_01"]

    def calls(need_exception: bool) -> list[Any]:
        need = {"need_exception": need_exception}
        many = pb.Lookup1MRequest(**crm("A1"), column="BRM_01", **need)  # type: ignore[arg-type]
        row = pb.LookupPopulatedColumnsRequest(table=ACCOUNT, column="SEBL_01", value="A404", **need)  # type: ignore[arg-type]
        part = pb.LookupPopulatedColumnsRequest(table=ACCOUNT, column="SEBL_01", value="A1", columns=columns, **need)  # type: ignore[arg-type]
        return [stub.Lookup1M(many), stub.LookupPopulatedColumns(row), stub.LookupPopulatedColumns(part)]

    for call in calls(False):
        assert not (await call).cells
    for call, field in zip(calls(True), ("ref_value", "value", "value"), strict=True):
        wrong = await violation(call)
        assert (wrong.reason, wrong.field) == (Reason.XREF_VALUE_NOT_FOUND, field)
    keys = [pb.Key(**crm("A1")), pb.Key(**crm("A404"))]
    rows = (await stub.BatchLookup(pb.BatchLookupRequest(keys=keys, need_exception=True))).rows
    assert [len(row.cells) for row in rows] == [2, 0]
    assert rows[0].row_id and not rows[0].HasField("error")
    assert from_status(rows[1].error).violations[0].reason is Reason.XREF_VALUE_NOT_FOUND


@pytest.mark.spec("xref-and-routing:XR12")
async def test_populated_columns_may_be_restricted_to_those_of_billing_systems(xref: Xref) -> None:
    await xref.row(("SEBL_01", "A1"), ("COMMON", "g1"), ("BRM_01", "p1"))
    assert await xref.cells("SEBL_01", "A1") == [("COMMON", "g1"), ("SEBL_01", "A1"), ("BRM_01", "p1")]
    assert await xref.cells("SEBL_01", "A1", columns=["BRM_01", "BRM_02"]) == [("BRM_01", "p1")]


async def test_a_batch_of_single_values_answers_each_key_in_order(xref: Xref) -> None:
    await xref.row(("SEBL_01", "S1"), ("BRM_02", "x1"), table=ASSET)
    await xref.row(("SEBL_01", "S2"), ("BRM_02", "x2"), ("BRM_02", "x3"), table=ASSET)
    request = pb.BatchLookupValuesRequest(
        table=ASSET, ref_column="SEBL_01", ref_values=["S404", "S1", "S2", "S1"], column="BRM_02"
    )
    answer = await xref.stub.BatchLookupValues(request)
    assert list(answer.values) == ["", "x1", "", "x1"]
    assert list(answer.errors) == [2]
    assert from_status(answer.errors[2]).violations[0].reason is Reason.XREF_MULTIPLE_VALUES
    request.need_exception = True
    answer = await xref.stub.BatchLookupValues(request)
    reasons = {at: from_status(error).violations[0].reason for at, error in answer.errors.items()}
    assert reasons == {0: Reason.XREF_VALUE_NOT_FOUND, 2: Reason.XREF_MULTIPLE_VALUES}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"table": "NO"}, [(Reason.XREF_TABLE_UNKNOWN, "table")]),
        (
            {"ref_column": "NO", "column": "no"},
            [(Reason.XREF_COLUMN_UNKNOWN, "ref_column"), (Reason.XREF_COLUMN_UNKNOWN, "column")],
        ),
        (
            {"ref_values": ["A1", "", "x" * 257, "a\tb"]},
            [
                (Reason.XREF_VALUE_EMPTY, "ref_values[1]"),
                (Reason.XREF_VALUE_INVALID, "ref_values[2]"),
                (Reason.XREF_VALUE_INVALID, "ref_values[3]"),
            ],
        ),
        ({"ref_values": ["A"] * 1001}, [(Reason.XREF_BATCH_TOO_LARGE, "ref_values")]),
    ],
)
async def test_a_batch_of_values_names_all_it_refuses(
    xref: Xref, change: dict[str, Any], expected: list[tuple[Reason, str]]
) -> None:
    request = {"table": ACCOUNT, "ref_column": "SEBL_01", "ref_values": ["A1"], "column": "COMMON", **change}
    error = await refused(xref.stub.BatchLookupValues(pb.BatchLookupValuesRequest(**request)))
    assert [(wrong.reason, wrong.field) for wrong in error.violations] == expected


@pytest.mark.spec("xref-and-routing:X3", "xref-and-routing:X5", "xref-and-routing:X6")
async def test_every_call_names_bad_input_by_its_field_and_writes_nothing(xref: Xref) -> None:
    await xref.row(("SEBL_01", "S1"), ("COMMON", "g1"), table=ASSET)
    before = len(await xref.history("SEBL_01", "S1", ASSET))
    tables = await xref.stub.ListTables(pb.ListTablesRequest())
    bad = [
        ({"table": "NO"}, Reason.XREF_TABLE_UNKNOWN, "table"),
        ({"column": "NO"}, Reason.XREF_COLUMN_UNKNOWN, "column"),
        ({"ref_column": "NO"}, Reason.XREF_COLUMN_UNKNOWN, "ref_column"),
        ({"value": ""}, Reason.XREF_VALUE_EMPTY, "value"),
        ({"value": "v" * 257}, Reason.XREF_VALUE_INVALID, "value"),
        ({"value": "a\x7fb"}, Reason.XREF_VALUE_INVALID, "value"),
        ({"kind": "K\n"}, Reason.XREF_VALUE_INVALID, "kind"),
    ]
    for change, reason, field in bad:
        write = {**crm("S1", ASSET), "column": "BRM_01", "value": "v1", "mode": LINK, **change}
        for call in (
            xref.stub.Populate1M(pb.Populate1MRequest(**write)),  # type: ignore[arg-type]
            xref.stub.Populate(pb.PopulateRequest(**write)),  # type: ignore[arg-type]
        ):
            wrong = await violation(call)
            assert (wrong.reason, wrong.field) == (reason, field)
        if "kind" not in change:
            said = {"ref_value" if name == "value" else name: text for name, text in change.items()}
            ref: dict[str, Any] = {**crm("S1", ASSET), "column": "BRM_01", **said}
            many = {("ref_values" if name == "ref_value" else name): text for name, text in ref.items()}
            many["ref_values"] = [ref["ref_value"]]
            for call, value_field in (
                (xref.stub.GetOrCreate(pb.GetOrCreateRequest(**ref)), "ref_value"),
                (xref.stub.Lookup(pb.LookupRequest(**ref)), "ref_value"),
                (xref.stub.Lookup1M(pb.Lookup1MRequest(**ref)), "ref_value"),
                (xref.stub.BatchLookupValues(pb.BatchLookupValuesRequest(**many)), "ref_values[0]"),
            ):
                wrong = await violation(call)
                assert (wrong.reason, wrong.field) == (reason, value_field if field == "value" else field)
        if "ref_column" not in change and "kind" not in change:
            delete = {"table": ASSET, "column": "SEBL_01", "value": "S1", **change}
            wrong = await violation(xref.stub.MarkForDelete(pb.MarkForDeleteRequest(**delete)))  # type: ignore[arg-type]
            assert (wrong.reason, wrong.field) == (reason, field)
            for call in (
                xref.stub.LookupPopulatedColumns(pb.LookupPopulatedColumnsRequest(**delete)),  # type: ignore[arg-type]
                xref.stub.ListHistory(pb.ListHistoryRequest(**delete)),  # type: ignore[arg-type]
            ):
                wrong = await violation(call)
                assert (wrong.reason, wrong.field) == (reason, field)
    too_many = [pb.MarkForDeleteRequest(table=ASSET, column="SEBL_01", value="S1")] * 1001
    wrong = await violation(xref.stub.BatchMarkForDelete(pb.BatchMarkForDeleteRequest(items=too_many)))
    assert (wrong.reason, wrong.field) == (Reason.XREF_BATCH_TOO_LARGE, "items")
    assert len(await xref.history("SEBL_01", "S1", ASSET)) == before
    assert await xref.stub.ListTables(pb.ListTablesRequest()) == tables, "neither tables nor columns come from being named"


async def test_streams_answer_any_number_of_keys_request_by_request_in_order(xref: Xref) -> None:
    chunks = [[pb.Key(**crm(f"A{number}")) for number in range(start, start + 40)] for start in range(0, 120, 40)]
    made = await answers(xref.stub.StreamGetOrCreate, [pb.StreamGetOrCreateRequest(keys=chunk) for chunk in chunks])
    common = [result.value for answer in made for result in answer.results]
    assert len(set(common)) == 120
    items = [
        [pb.PopulateRequest(**crm(key.ref_value), column="BRM_01", value=f"p{key.ref_value}", mode=LINK) for key in chunk]
        for chunk in chunks
    ]
    filled = await answers(xref.stub.StreamPopulate, [pb.StreamPopulateRequest(items=each) for each in items])
    assert [result.changed for answer in filled for result in answer.results] == [True] * 120
    rows = await answers(xref.stub.StreamLookup, [pb.StreamLookupRequest(keys=chunk, columns=["COMMON"]) for chunk in chunks])
    assert [row.cells[0].value for answer in rows for row in answer.rows] == common
    requests = [
        pb.StreamLookupValuesRequest(
            table=ACCOUNT, ref_column="SEBL_01", column="BRM_01", ref_values=[key.ref_value for key in chunk]
        )
        for chunk in chunks
    ]
    values = await answers(xref.stub.StreamLookupValues, requests)
    assert [value for answer in values for value in answer.values] == [f"pA{number}" for number in range(120)]
    gone = [
        pb.StreamMarkForDeleteRequest(items=[pb.MarkForDeleteRequest(table=ACCOUNT, column="BRM_01", value=f"pA{n}")])
        for n in range(3)
    ]
    deleted = await answers(xref.stub.StreamMarkForDelete, gone)
    assert [answer.results[0].cells[0].value for answer in deleted] == ["pA0", "pA1", "pA2"]


async def test_a_refused_request_ends_its_stream_after_the_answers_before_it(xref: Xref) -> None:
    good, bad = [pb.Key(**crm("A1"))], [pb.Key(**crm("A2")), pb.Key(**crm(""))]

    async def requests() -> AsyncIterator[pb.StreamGetOrCreateRequest]:
        for keys in (good, bad, good):
            yield pb.StreamGetOrCreateRequest(keys=keys)

    call = xref.stub.StreamGetOrCreate(requests())
    assert (await call.read()).results[0].created
    wrong = await violation(call.read())
    assert (wrong.reason, wrong.field) == (Reason.XREF_VALUE_EMPTY, "keys[1].ref_value")
    assert await xref.cells("SEBL_01", "A2") == []


async def test_the_client_of_the_suite_looks_up_values_and_streams_in_its_own_terms(database_url: str) -> None:
    settings = local_settings(Settings, database_url=database_url)
    async with running_xref(settings, SYSTEMS) as address, open_channel(address) as channel:
        client = GrpcXref(channel)
        names = [f"A{number}" for number in range(1200)]
        keys = [XrefKey(ACCOUNT, "SEBL_01", name) for name in names]
        made = await client.get_or_create(keys)
        values = await client.lookup_values(ACCOUNT, "SEBL_01", "COMMON", [*names, "B1"])
        assert values == [*made.values(), ""]

        async def chunks() -> AsyncIterator[list[XrefKey]]:
            for start in range(0, 1200, 500):
                yield keys[start : start + 500]

        rows = [row async for answer in client.stream_lookup(chunks()) for row in answer]
        assert [row.value("COMMON") for row in rows] == list(made.values())


@pytest.mark.spec("xref-and-routing:XR16")
async def test_a_column_is_added_while_several_processes_serve_and_all_of_them_know_it(
    database_url: str, tmp_path: Path
) -> None:
    """Calls go on in every process meanwhile, and none fails."""
    async with servers(database_url, tmp_path, count=3) as stubs:
        xref = Xref(stubs[0])
        await xref.row(("SEBL_01", "A1"), ("COMMON", "g1"), ("BRM_01", "p1"))
        before = await xref.cells("SEBL_01", "A1")
        stop = asyncio.Event()

        async def traffic(stub: XrefServiceStub, name: str) -> int:
            count = 0
            while not stop.is_set():
                await stub.GetOrCreate(pb.GetOrCreateRequest(**crm(f"{name}{count}")))
                assert await Xref(stub).cells("SEBL_01", "A1") == before
                count += 1
            return count

        running = [asyncio.create_task(traffic(stub, f"T{at}-")) for at, stub in enumerate(stubs)]
        answer = await stubs[1].AddColumn(pb.AddColumnRequest(table=ACCOUNT, column="BRM_03"))
        assert answer.table.columns == ["COMMON", "SEBL_01", "BRM_01", "BRM_03"]
        for stub in stubs:
            assert await Xref(stub).cells("SEBL_01", "A1") == before, "rows are unchanged"
            assert (await stub.Lookup(pb.LookupRequest(**crm("A1"), column="BRM_03"))).value == ""
            assert (await stub.DescribeTable(pb.DescribeTableRequest(name=ACCOUNT))).table == answer.table
        stop.set()
        assert all(await asyncio.gather(*running))
        assert (await Xref(stubs[2]).populate(crm("A1"), "BRM_03", "z1")).changed
        for stub in stubs:
            assert await Xref(stub).cells("BRM_03", "z1") == [*before, ("BRM_03", "z1")]


async def test_adding_a_column_is_checked_and_repeats_without_effect(xref: Xref) -> None:
    stub = xref.stub
    checked = await stub.AddColumn(pb.AddColumnRequest(table=ASSET, column="BRM_03", one_to_many=True, validate_only=True))
    assert checked.table.one_to_many_columns == ["BRM_01", "BRM_02", "BRM_03"]
    assert "BRM_03" not in (await stub.DescribeTable(pb.DescribeTableRequest(name=ASSET))).table.columns
    for _ in range(2):
        added = await stub.AddColumn(pb.AddColumnRequest(table=ASSET, column="BRM_03", one_to_many=True))
        assert added.table == checked.table
    for request, expected in (
        ({"table": "NO", "column": "lower"}, [(Reason.XREF_TABLE_UNKNOWN, "table"), (Reason.XREF_VALUE_INVALID, "column")]),
        ({"table": ASSET, "column": ""}, [(Reason.XREF_VALUE_EMPTY, "column")]),
        ({"table": ASSET, "column": "BRM_03"}, [(Reason.FIELD_IMMUTABLE, "one_to_many")]),
    ):
        error = await refused(stub.AddColumn(pb.AddColumnRequest(**request)))  # type: ignore[arg-type]
        assert [(wrong.reason, wrong.field) for wrong in error.violations] == expected
    wrong = await violation(stub.DescribeTable(pb.DescribeTableRequest(name="NO")))
    assert (wrong.reason, wrong.field) == (Reason.XREF_TABLE_UNKNOWN, "name")

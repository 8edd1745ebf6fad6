"""Each RPC of o2c.xref.v1.XrefService over gRPC: its answers, and every error it documents."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import grpc.aio
import pytest

from libs.config import BillingSystem, local_settings
from libs.errors import CODES, O2CError, Reason
from libs.grpckit.channel import open_channel
from libs.grpckit.status import from_rpc_error, from_status
from libs.pb.xref.v1 import xref_pb2 as pb
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceStub
from services.xref.config import Settings
from services.xref.server import running_xref

ACCOUNT = "CUSTOMERPARTY_ACCOUNTID"
ASSET = "INSTALLEDPRODUCT_ID"
SYSTEMS = (BillingSystem(code="BRM_01"), BillingSystem(code="BRM_02"))
REF = {"table": ACCOUNT, "ref_column": "SEBL_01", "ref_value": "A1"}
ADD, LINK, UPDATE = pb.POPULATE_MODE_ADD, pb.POPULATE_MODE_LINK, pb.POPULATE_MODE_UPDATE


@pytest.fixture
async def xref() -> AsyncIterator[XrefServiceStub]:
    async with running_xref(local_settings(Settings), SYSTEMS) as address, open_channel(address) as channel:
        yield XrefServiceStub(channel)


async def failure(call: Awaitable[Any]) -> O2CError:
    """The error of a call that must fail; its code is the catalogue's."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = from_rpc_error(caught.value)
    assert caught.value.code().name == CODES[error.violations[0].reason]
    return error


async def populate(xref: XrefServiceStub, mode: int, column: str, value: str, **more: Any) -> pb.PopulateResponse:
    request = pb.PopulateRequest(**{**REF, "column": column, "value": value, "mode": mode, **more})
    response: pb.PopulateResponse = await xref.Populate(request)
    return response


async def row_of(xref: XrefServiceStub, **ref: str) -> list[tuple[str, str, str]]:
    answer = await xref.BatchLookup(pb.BatchLookupRequest(keys=[pb.Key(**{**REF, **ref})]))
    return [(cell.column, cell.value, cell.kind) for cell in answer.rows[0].cells]


# --- Populate --------------------------------------------------------------------------------------------------------------


async def test_populate_answers_the_value_and_whether_it_changed(xref: XrefServiceStub) -> None:
    added = await populate(xref, ADD, "COMMON", "g1")
    linked = await populate(xref, LINK, "BRM_01", "p1")
    assert await populate(xref, LINK, "BRM_01", "p1", idempotent=True) == pb.PopulateResponse(value="p1")
    updated = await populate(xref, UPDATE, "BRM_01", "p2")
    assert await populate(xref, UPDATE, "BRM_01", "p2") == pb.PopulateResponse(value="p2")
    assert [(each.value, each.changed) for each in (added, linked, updated)] == [("g1", True), ("p1", True), ("p2", True)]
    assert 0 < added.version < linked.version < updated.version


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"table": "NO"}, Reason.XREF_TABLE_UNKNOWN, "table"),
        ({"ref_column": "NO"}, Reason.XREF_COLUMN_UNKNOWN, "ref_column"),
        ({"column": "BRM_09"}, Reason.XREF_COLUMN_UNKNOWN, "column"),
        ({"ref_value": ""}, Reason.XREF_VALUE_EMPTY, "ref_value"),
        ({"value": ""}, Reason.XREF_VALUE_EMPTY, "value"),
        ({"value": "x" * 257}, Reason.XREF_VALUE_INVALID, "value"),
        ({"value": "a\tb"}, Reason.XREF_VALUE_INVALID, "value"),
        pytest.param({"mode": 0}, Reason.XREF_MODE_INVALID, "mode", marks=pytest.mark.spec("xref-and-routing:XR9")),
        pytest.param({"mode": 17}, Reason.XREF_MODE_INVALID, "mode", marks=pytest.mark.spec("xref-and-routing:XR9")),
        ({"mode": ADD}, Reason.XREF_REF_EXISTS, "ref_value"),
        ({"ref_value": "A404"}, Reason.XREF_REF_NOT_FOUND, "ref_value"),
        ({"value": "p9"}, Reason.XREF_TARGET_OCCUPIED, "value"),
        ({"column": "BRM_02", "mode": UPDATE}, Reason.XREF_TARGET_EMPTY, "column"),
        ({"column": "BRM_02", "value": "q2"}, Reason.XREF_VALUE_NOT_UNIQUE, "value"),
        ({"column": "COMMON", "mode": UPDATE}, Reason.FIELD_IMMUTABLE, "column"),
        ({"table": ASSET, "mode": UPDATE}, Reason.XREF_MODE_INVALID, "mode"),
    ],
)
async def test_populate_names_what_it_refuses(
    xref: XrefServiceStub, change: dict[str, Any], reason: Reason, field: str
) -> None:
    await populate(xref, ADD, "COMMON", "g1")
    await populate(xref, LINK, "BRM_01", "p1")
    await populate(xref, ADD, "BRM_02", "q2", ref_value="A2")
    request = pb.PopulateRequest(**{**REF, "column": "BRM_01", "value": "p9", "mode": LINK, **change})
    (wrong,) = (await failure(xref.Populate(request))).violations
    assert (wrong.reason, wrong.field) == (reason, field)
    assert {"table", "column"} <= wrong.metadata.keys() and wrong.metadata["table"] == request.table
    assert ("BRM_01", "p1", "") in await row_of(xref)


async def test_a_check_only_populate_answers_the_same_and_writes_nothing(xref: XrefServiceStub) -> None:
    answer = await populate(xref, ADD, "COMMON", "g1", validate_only=True, request_id="r1")
    assert answer == pb.PopulateResponse(value="g1", changed=True)
    assert await row_of(xref) == []
    error = await failure(populate(xref, LINK, "BRM_01", "p1", validate_only=True))
    assert error.violations[0].reason is Reason.XREF_REF_NOT_FOUND


async def test_a_populate_that_comes_again_under_its_request_id_is_answered_as_before(xref: XrefServiceStub) -> None:
    first = await populate(xref, ADD, "COMMON", "g1", request_id="r1")
    assert await populate(xref, ADD, "COMMON", "g1", request_id="r1") == first
    (wrong,) = (await failure(populate(xref, ADD, "COMMON", "g2", ref_value="A2", request_id="r1"))).violations
    assert (wrong.reason, wrong.metadata["request_id"]) == (Reason.IDEMPOTENCY_CONFLICT, "r1")
    assert (await failure(populate(xref, ADD, "COMMON", "g1", request_id="r2"))).violations[0].reason is Reason.XREF_REF_EXISTS


# --- BatchPopulate ---------------------------------------------------------------------------------------------------------


async def test_a_batch_answers_each_item_in_order(xref: XrefServiceStub) -> None:
    items = [
        pb.PopulateRequest(**REF, column="COMMON", value="g1", mode=ADD),
        pb.PopulateRequest(**REF, column="BRM_01", value="p1"),
        pb.PopulateRequest(**REF, column="BRM_01", value="p1", mode=LINK),
    ]
    answer = await xref.BatchPopulate(pb.BatchPopulateRequest(items=items, request_id="b1"))
    assert [(result.value, result.changed) for result in answer.results] == [("g1", True), ("", False), ("p1", True)]
    (wrong,) = from_status(answer.results[1].error).violations
    assert (wrong.reason, wrong.field) == (Reason.XREF_MODE_INVALID, "items[1].mode")
    assert await xref.BatchPopulate(pb.BatchPopulateRequest(items=items, request_id="b1")) == answer


async def test_a_check_only_batch_sees_its_own_earlier_items_and_writes_nothing(xref: XrefServiceStub) -> None:
    items = [
        pb.PopulateRequest(**REF, column="COMMON", value="g1", mode=ADD),
        pb.PopulateRequest(**REF, column="BRM_01", value="p1", mode=LINK),
    ]
    answer = await xref.BatchPopulate(pb.BatchPopulateRequest(items=items, validate_only=True))
    assert [result.changed for result in answer.results] == [True, True]
    assert await row_of(xref) == []


# --- GetOrCreate -----------------------------------------------------------------------------------------------------------


async def test_get_or_create_makes_a_value_once(xref: XrefServiceStub) -> None:
    look = await xref.GetOrCreate(pb.GetOrCreateRequest(**REF, validate_only=True))
    assert look == pb.GetOrCreateResponse()
    first = await xref.GetOrCreate(pb.GetOrCreateRequest(**REF))
    assert first.created and len(first.value) == 36
    again = await xref.GetOrCreate(pb.GetOrCreateRequest(**REF, column="COMMON"))
    assert again == pb.GetOrCreateResponse(value=first.value)


async def test_a_batch_of_get_or_create_may_name_a_key_twice(xref: XrefServiceStub) -> None:
    known = (await xref.GetOrCreate(pb.GetOrCreateRequest(**REF))).value
    keys = [pb.Key(**{**REF, "ref_value": value}) for value in ("B", "A1", "B", "C")]
    look = await xref.BatchGetOrCreate(pb.BatchGetOrCreateRequest(keys=keys, validate_only=True))
    assert [result.value for result in look.results] == ["", known, "", ""]
    made = (await xref.BatchGetOrCreate(pb.BatchGetOrCreateRequest(keys=keys))).results
    assert made[1] == pb.GetOrCreateResponse(value=known)
    assert made[0].value == made[2].value != made[3].value
    assert [result.created for result in made] == [True, False, False, True]


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"table": "NO"}, Reason.XREF_TABLE_UNKNOWN, "table"),
        ({"ref_column": "NO"}, Reason.XREF_COLUMN_UNKNOWN, "ref_column"),
        ({"ref_value": ""}, Reason.XREF_VALUE_EMPTY, "ref_value"),
        ({"ref_value": "\n"}, Reason.XREF_VALUE_INVALID, "ref_value"),
    ],
)
async def test_get_or_create_and_lookups_name_what_they_refuse(
    xref: XrefServiceStub, change: dict[str, str], reason: Reason, field: str
) -> None:
    ref = {**REF, **change}
    batch = {"keys": [pb.Key(**REF), pb.Key(**ref)]}
    singles = (xref.GetOrCreate(pb.GetOrCreateRequest(**ref)), xref.Lookup(pb.LookupRequest(**ref, column="COMMON")))
    batches = (xref.BatchGetOrCreate(pb.BatchGetOrCreateRequest(**batch)), xref.BatchLookup(pb.BatchLookupRequest(**batch)))
    for call, path in zip((*singles, *batches), ("", "", "keys[1].", "keys[1]."), strict=True):
        (wrong,) = (await failure(call)).violations
        assert (wrong.reason, wrong.field) == (reason, path + field)


async def test_a_wanted_column_must_exist_and_differ_from_the_reference(xref: XrefServiceStub) -> None:
    for column in ("NO", "SEBL_01"):
        for call in (
            xref.GetOrCreate(pb.GetOrCreateRequest(**REF, column=column)),
            xref.BatchGetOrCreate(pb.BatchGetOrCreateRequest(keys=[pb.Key(**REF)], column=column)),
        ):
            (wrong,) = (await failure(call)).violations
            assert (wrong.reason, wrong.field) == (Reason.XREF_COLUMN_UNKNOWN, "column")
    for call in (
        xref.Lookup(pb.LookupRequest(**REF, column="NO")),
        xref.BatchLookup(pb.BatchLookupRequest(keys=[pb.Key(**REF)], columns=["COMMON", "NO"])),
    ):
        assert (await failure(call)).violations[0].reason is Reason.XREF_COLUMN_UNKNOWN


# --- Lookup ----------------------------------------------------------------------------------------------------------------


@pytest.mark.spec("xref-and-routing:XR11")
async def test_a_lookup_that_finds_nothing_is_empty_or_an_error_as_the_caller_wants(xref: XrefServiceStub) -> None:
    assert (await xref.Lookup(pb.LookupRequest(**REF, column="COMMON"))).value == ""
    error = await failure(xref.Lookup(pb.LookupRequest(**REF, column="COMMON", need_exception=True)))
    (wrong,) = error.violations
    assert wrong.reason is Reason.XREF_VALUE_NOT_FOUND
    assert wrong.metadata.items() >= {"table": ACCOUNT, "column": "COMMON", "value": "A1"}.items()


async def test_a_lookup_goes_in_every_direction(xref: XrefServiceStub) -> None:
    await populate(xref, ADD, "COMMON", "g1")
    await populate(xref, LINK, "BRM_02", "q1")
    row = {"SEBL_01": "A1", "COMMON": "g1", "BRM_02": "q1"}
    for (ref_column, ref_value), (column, value) in itertools.permutations(row.items(), 2):
        request = pb.LookupRequest(table=ACCOUNT, ref_column=ref_column, ref_value=ref_value, column=column)
        assert (await xref.Lookup(request)).value == value


@pytest.mark.spec("xref-and-routing:XR10")
async def test_a_single_lookup_of_several_values_is_refused_whether_or_not_it_needs_one(xref: XrefServiceStub) -> None:
    asset = {**REF, "table": ASSET}
    await populate(xref, ADD, "BRM_02", "x1", table=ASSET, kind="SERVICE")
    assert (await xref.Lookup(pb.LookupRequest(**asset, column="BRM_02"))).value == "x1"
    await populate(xref, LINK, "BRM_02", "x2", table=ASSET, kind="PRODUCT")
    for call in (
        xref.Lookup(pb.LookupRequest(**asset, column="BRM_02")),
        xref.Lookup(pb.LookupRequest(**asset, column="BRM_02", need_exception=True)),
        xref.GetOrCreate(pb.GetOrCreateRequest(**asset, column="BRM_02")),
        xref.BatchGetOrCreate(pb.BatchGetOrCreateRequest(keys=[pb.Key(**asset)], column="BRM_02")),
    ):
        (wrong,) = (await failure(call)).violations
        assert wrong.reason is Reason.XREF_MULTIPLE_VALUES
        assert wrong.metadata.items() >= {"table": ASSET, "column": "BRM_02", "value": "A1"}.items()
    assert await row_of(xref, table=ASSET) == [("SEBL_01", "A1", ""), ("BRM_02", "x1", "SERVICE"), ("BRM_02", "x2", "PRODUCT")]


async def test_a_batch_lookup_answers_keys_of_any_tables_in_order(xref: XrefServiceStub) -> None:
    await populate(xref, ADD, "COMMON", "g1")
    await populate(xref, ADD, "COMMON", "h1", table=ASSET)
    keys = [
        pb.Key(table=ASSET, ref_column="COMMON", ref_value="h1"),
        pb.Key(table=ASSET, ref_column="COMMON", ref_value="g1"),
        pb.Key(**REF),
        pb.Key(**REF),
    ]
    rows = (await xref.BatchLookup(pb.BatchLookupRequest(keys=keys, columns=["SEBL_01"]))).rows
    assert [[cell.value for cell in row.cells] for row in rows] == [["A1"], [], ["A1"], ["A1"]]


async def test_a_batch_has_a_thousand_entries_at_most(xref: XrefServiceStub) -> None:
    keys = [pb.Key(**{**REF, "ref_value": str(number)}) for number in range(1001)]
    items = [pb.PopulateRequest(**REF, column="COMMON", value="g1", mode=ADD)] * 1001
    for call, path in (
        (xref.BatchLookup(pb.BatchLookupRequest(keys=keys)), "keys"),
        (xref.BatchGetOrCreate(pb.BatchGetOrCreateRequest(keys=keys)), "keys"),
        (xref.BatchPopulate(pb.BatchPopulateRequest(items=items)), "items"),
    ):
        (wrong,) = (await failure(call)).violations
        assert (wrong.reason, wrong.field) == (Reason.XREF_BATCH_TOO_LARGE, path)
    assert len((await xref.BatchLookup(pb.BatchLookupRequest(keys=keys[:1000]))).rows) == 1000


# --- tables ----------------------------------------------------------------------------------------------------------------


async def test_the_standard_tables_have_a_column_per_billing_system(xref: XrefServiceStub) -> None:
    tables = {table.name: table for table in (await xref.ListTables(pb.ListTablesRequest())).tables}
    assert list(tables) == sorted(tables)
    assert tables[ACCOUNT].columns == ["COMMON", "SEBL_01", "BRM_01", "BRM_02"]
    assert tables[ASSET].one_to_many_columns == ["BRM_01", "BRM_02"]
    assert tables["SALESORDER_ID"].columns == ["COMMON", "SEBL_01", "BRM_01", "BRM_02", "OSMCFS_01"]
    assert {"NONPAYING_BILLINFO", "ACCOUNTGROUP_ID", "ITEM_ITEMID", "PAYMENT_ID"} <= tables.keys()


@pytest.mark.spec("xref-and-routing:XR16")
async def test_a_column_added_to_a_table_with_rows_is_empty_in_them(xref: XrefServiceStub) -> None:
    await populate(xref, ADD, "COMMON", "g1")
    table = pb.Table(name=ACCOUNT, columns=["BRM_03"])
    answer = await xref.RegisterTable(pb.RegisterTableRequest(table=table, validate_only=True))
    assert answer.table.columns == ["COMMON", "SEBL_01", "BRM_01", "BRM_02", "BRM_03"]
    error = await failure(xref.Lookup(pb.LookupRequest(**REF, column="BRM_03")))
    assert error.violations[0].reason is Reason.XREF_COLUMN_UNKNOWN
    assert await xref.RegisterTable(pb.RegisterTableRequest(table=table)) == answer
    assert await xref.RegisterTable(pb.RegisterTableRequest(table=table)) == answer
    assert await row_of(xref) == [("COMMON", "g1", ""), ("SEBL_01", "A1", "")]
    assert (await xref.Lookup(pb.LookupRequest(**REF, column="BRM_03"))).value == ""
    assert (await populate(xref, LINK, "BRM_03", "z1")).changed


@pytest.mark.parametrize(
    ("table", "reason", "field"),
    [
        (pb.Table(columns=["SEBL_01"]), Reason.XREF_VALUE_EMPTY, "table.name"),
        (pb.Table(name="lower"), Reason.XREF_VALUE_INVALID, "table.name"),
        (pb.Table(name="NEW", columns=["A B"]), Reason.XREF_VALUE_INVALID, "table.columns[0]"),
        (pb.Table(name="NEW", one_to_many_columns=["BRM_01"]), Reason.XREF_COLUMN_UNKNOWN, "table.one_to_many_columns"),
        (
            pb.Table(name=ACCOUNT, columns=["BRM_01"], one_to_many_columns=["BRM_01"]),
            Reason.FIELD_IMMUTABLE,
            "table.one_to_many_columns",
        ),
    ],
)
async def test_registering_names_what_it_refuses(xref: XrefServiceStub, table: pb.Table, reason: Reason, field: str) -> None:
    (wrong,) = (await failure(xref.RegisterTable(pb.RegisterTableRequest(table=table)))).violations
    assert (wrong.reason, wrong.field) == (reason, field)


async def test_tables_come_in_pages(xref: XrefServiceStub) -> None:
    everything = [table.name for table in (await xref.ListTables(pb.ListTablesRequest())).tables]
    found: list[str] = []
    token = ""
    while True:
        page = await xref.ListTables(pb.ListTablesRequest(page_size=7, page_token=token))
        found += [table.name for table in page.tables]
        assert len(page.tables) <= 7
        token = page.next_page_token
        if not token:
            break
    assert found == everything
    error = await failure(xref.ListTables(pb.ListTablesRequest(page_token="?")))
    assert error.violations[0].reason is Reason.PAGE_TOKEN_INVALID
    error = await failure(xref.ListTables(pb.ListTablesRequest(page_size=-1)))
    assert error.violations[0].reason is Reason.RANGE_INVALID

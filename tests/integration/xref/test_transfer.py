"""Whole tables out of the service and into it, on each database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from xref_tables import (
    ACCOUNT,
    ASSET,
    Service,
    account,
    export_rows,
    from_wire,
    import_rows,
    pieces,
    refusal,
    row,
    running_service,
    wire,
)

from libs.pb.xref.v1 import maintenance_pb2 as pb
from libs.pb.xref.v1 import xref_pb2
from libs.pb.xref.v1.xref_pb2 import Origin
from libs.xref.model import Mode, XrefCell, XrefKey, XrefWrite
from libs.xref.transfer import TransferRow


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    async with running_service(database_url) as running:
        yield running


ACCOUNTS = [account(number) for number in range(1, 2301)]
ASSETS = [
    row(COMMON="a1", SEBL_01="AST-1", BRM_01=["SERVICE:0.0.0.1 /service/ip 7 0", "PRODUCT:0.0.0.1 /purchased_product 8 0"]),
    row(COMMON="a2", SEBL_01="AST-2", BRM_01=["BUNDLE:x"], BRM_02=["BUNDLE:y", "z"]),
]


async def test_an_import_is_exported_as_it_came_and_imports_again_without_effect(service: Service) -> None:
    assert await import_rows(service, ACCOUNTS) == (2300, 0, 0)
    assert await import_rows(service, ASSETS, ASSET) == (2, 0, 0)
    exported = await export_rows(service)
    assert exported == ACCOUNTS
    assert await export_rows(service, ASSET) == ASSETS
    before = await service.content()
    assert await import_rows(service, exported) == (0, 0, 2300)
    assert await import_rows(service, ASSETS, ASSET) == (0, 0, 2)
    assert await service.content() == before


async def test_an_imported_table_serves_lookups_and_further_writes(service: Service) -> None:
    await import_rows(service, ACCOUNTS[:3])
    key = XrefKey(ACCOUNT, "BRM_01", "0.0.0.1 /account 2 0")
    assert (await service.xref.lookup([key]))[key].value("SEBL_01") == "1-2"
    await service.xref.populate([XrefWrite(ACCOUNT, "SEBL_01", "1-2", "BRM_02", "q2", Mode.LINK)])
    assert (await export_rows(service))[1] == TransferRow((*ACCOUNTS[1].cells, XrefCell("BRM_02", "q2")))


async def test_rows_merge_by_any_value_and_only_ever_gain(service: Service) -> None:
    await import_rows(service, [account(1), account(2), row(COMMON="g3", SEBL_01="1-3")])
    await import_rows(service, ASSETS[:1], ASSET)
    counts = await import_rows(
        service,
        [
            row(SEBL_01="1-1", BRM_02="q1"),  # found by the CRM's id; COMMON need not come
            row(COMMON="g3", SEBL_01="1-3", BRM_01="p3"),
            row(COMMON="g2", SEBL_01="1-2"),
            account(4),
        ],
    )
    assert counts == (1, 2, 1)
    more = row(COMMON="a1", BRM_01=["PRODUCT:0.0.0.1 /purchased_product 9 0"])
    assert await import_rows(service, [more], ASSET) == (0, 1, 0)
    assert await export_rows(service) == [
        row(COMMON="g1", SEBL_01="1-1", BRM_01="0.0.0.1 /account 1 0", BRM_02="q1"),
        account(2),
        row(COMMON="g3", SEBL_01="1-3", BRM_01="p3"),
        account(4),
    ]
    assert (await export_rows(service, ASSET))[0].cells == (*ASSETS[0].cells, more.cells[1])


@pytest.mark.parametrize("validate_only", [False, True])
async def test_every_violation_is_named_with_line_and_field_and_nothing_is_written(
    service: Service, validate_only: bool
) -> None:
    await import_rows(service, [account(1), account(2)])
    await import_rows(service, ASSETS[:1], ASSET)
    before = await service.content()
    wrong = [
        row(11, COMMON="n1", SEBL_01="x1", BRM_77="p"),
        row(12, COMMON="n2", SEBL_01=""),
        row(13, COMMON="n3", SEBL_01="x" * 257),
        row(14, COMMON="n4", SEBL_01="a\x07b"),
        row(15, COMMON="n5"),
        row(16, COMMON="n6", SEBL_01=["x6", "y6"]),
        row(17, COMMON="n7", SEBL_01=["KIND:x7"]),
        row(18, COMMON="n8", SEBL_01="x8"),
    ]
    found = await refusal(service.maintenance.ImportTable(pieces(wrong, validate_only=validate_only)))
    assert [(reason, field, message.partition(":")[0]) for reason, field, message in found] == [
        ("XREF_COLUMN_UNKNOWN", "rows[0].cells[2].column", "line 11"),
        ("XREF_VALUE_EMPTY", "rows[1].cells[1].value", "line 12"),
        ("XREF_VALUE_INVALID", "rows[2].cells[1].value", "line 13"),
        ("XREF_VALUE_INVALID", "rows[3].cells[1].value", "line 14"),
        ("XREF_IMPORT_INVALID", "rows[4].cells", "line 15"),
        ("XREF_IMPORT_INVALID", "rows[5].cells[2].value", "line 16"),
        ("XREF_VALUE_INVALID", "rows[6].cells[1].kind", "line 17"),
    ]
    conflicting = [
        row(COMMON="n1", SEBL_01="x1"),  # right, and yet not written
        row(SEBL_01="x2", BRM_01="p2"),  # no COMMON
        row(COMMON="other", SEBL_01="1-1"),  # COMMON changed
        row(COMMON="g1", BRM_01="p9"),  # the column holds another value
        row(COMMON="g1", SEBL_01="1-2"),  # values of two rows
        row(COMMON="n6", SEBL_01="x1"),  # a value of a row before
        row(COMMON="n7", BRM_01="0.0.0.1 /account 2 0"),  # a value of a row with another COMMON
    ]
    found = await refusal(service.maintenance.ImportTable(pieces(conflicting, validate_only=validate_only)))
    assert [(reason, field) for reason, field, _ in found] == [
        ("XREF_VALUE_EMPTY", "rows[1].cells"),
        ("FIELD_IMMUTABLE", "rows[2].cells[0].value"),
        ("XREF_TARGET_OCCUPIED", "rows[3].cells[1].value"),
        ("XREF_VALUE_NOT_UNIQUE", "rows[4].cells[1].value"),
        ("FIELD_IMMUTABLE", "rows[5].cells[0].value"),
        ("FIELD_IMMUTABLE", "rows[6].cells[0].value"),
    ]
    twice = row(COMMON="a9", SEBL_01="AST-9", BRM_01=["w", "w"])
    found = await refusal(service.maintenance.ImportTable(pieces([twice], ASSET, validate_only=validate_only)))
    assert [(reason, field) for reason, field, _ in found] == [("XREF_VALUE_NOT_UNIQUE", "rows[0].cells[3].value")]
    other_kind = row(COMMON="a1", BRM_01=["BUNDLE:0.0.0.1 /service/ip 7 0"])
    found = await refusal(service.maintenance.ImportTable(pieces([other_kind], ASSET, validate_only=validate_only)))
    assert [(reason, field) for reason, field, _ in found] == [("XREF_TARGET_OCCUPIED", "rows[0].cells[1].value")]
    assert await service.content() == before


async def test_a_conflict_far_behind_undoes_all_before_it(service: Service) -> None:
    rows = [*ACCOUNTS, row(COMMON="g1", SEBL_01="1-2")]
    before = await service.content()
    found = await refusal(service.maintenance.ImportTable(pieces(rows)))
    assert [(reason, field) for reason, field, _ in found] == [("XREF_VALUE_NOT_UNIQUE", "rows[2300].cells[1].value")]
    assert await service.content() == before


async def test_a_refusal_lists_a_hundred_violations_at_most(service: Service) -> None:
    rows = [row(COMMON=f"g{n}", SEBL_01="") for n in range(3000)]
    assert len(await refusal(service.maintenance.ImportTable(pieces(rows)))) == 100


def without(*kinds: str) -> Any:
    """The import of three rows lacking some pieces."""

    async def sent() -> AsyncIterator[pb.ImportTableRequest]:
        async for piece in pieces(ACCOUNTS[:3], size=1):
            if piece.WhichOneof("piece") not in kinds:
                yield piece

    return sent()


async def tampered(how: str) -> AsyncIterator[pb.ImportTableRequest]:
    sent = [piece async for piece in pieces(ACCOUNTS[:3], size=1)]
    match how:
        case "a row lost":
            del sent[2]
        case "a value changed":
            sent[2].rows.rows[0].cells[1].value = "1-X"
        case "rows after the end":
            sent.append(sent[1])
        case "two headers":
            sent.insert(2, sent[0])
        case "two trailers":
            sent.append(sent[-1])
        case "nothing in a message":
            sent.insert(1, pb.ImportTableRequest())
    for piece in sent:
        yield piece


@pytest.mark.parametrize(
    ("how", "field"),
    [
        ("a row lost", "trailer.rows"),
        ("a value changed", "trailer.sha256"),
        ("rows after the end", "rows"),
        ("two headers", "header"),
        ("two trailers", "trailer"),
        ("nothing in a message", "rows"),
    ],
)
async def test_a_transfer_that_is_not_whole_is_refused_and_nothing_is_written(service: Service, how: str, field: str) -> None:
    before = await service.content()
    found = await refusal(service.maintenance.ImportTable(tampered(how)))
    assert [(reason, at) for reason, at, _ in found] == [("XREF_IMPORT_INVALID", field)]
    assert await service.content() == before


async def test_a_truncated_import_is_refused_and_nothing_is_written(service: Service) -> None:
    before = await service.content()
    for missing, field in ((("trailer",), "trailer"), (("header",), "header"), (("header", "rows", "trailer"), "header")):
        ((reason, at, _),) = await refusal(service.maintenance.ImportTable(without(*missing)))
        assert (reason, at) == ("XREF_IMPORT_INVALID", field)
    assert await service.content() == before


async def test_an_import_that_its_caller_gives_up_leaves_nothing(service: Service) -> None:
    before = await service.content()
    call = service.maintenance.ImportTable()
    await call.write(pb.ImportTableRequest(header=pb.TransferHeader(table=ACCOUNT)))
    await call.write(pb.ImportTableRequest(rows=pb.TransferRows(rows=wire(ACCOUNTS[:500]))))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await service.content() == before
    assert await import_rows(service, ACCOUNTS[:3]) == (3, 0, 0)


async def test_what_would_be_imported_is_counted_without_being_written(service: Service) -> None:
    await import_rows(service, ACCOUNTS[:2])
    before = await service.content()
    rows = [account(1), row(COMMON="g2", BRM_02="q2"), account(3)]
    assert await import_rows(service, rows, validate_only=True) == (1, 1, 1)
    assert await service.content() == before


async def test_rows_without_a_common_id_are_taken_only_when_asked(service: Service) -> None:
    bare = [row(SEBL_01="1-1", BRM_01="p1")]
    ((reason, field, _),) = await refusal(service.maintenance.ImportTable(pieces(bare)))
    assert (reason, field) == ("XREF_VALUE_EMPTY", "rows[0].cells")
    assert await import_rows(service, bare, allow_missing_common=True) == (1, 0, 0)
    assert await import_rows(service, bare) == (0, 0, 1)  # it is there: nothing of it is missing


async def test_an_unknown_table_is_an_error_both_ways(service: Service) -> None:
    ((reason, field, _),) = await refusal(service.maintenance.ImportTable(pieces(ACCOUNTS[:1], "NO_TABLE")))
    assert (reason, field) == ("XREF_TABLE_UNKNOWN", "header.table")
    stream = service.maintenance.ExportTable(pb.ExportTableRequest(table="NO_TABLE"))
    ((reason, field, _),) = await refusal(stream.read())
    assert (reason, field) == ("XREF_TABLE_UNKNOWN", "table")


async def test_an_export_goes_on_behind_its_cursor(service: Service) -> None:
    await import_rows(service, ACCOUNTS)
    await import_rows(service, ASSETS, ASSET)
    first: list[TransferRow] = []
    cursor = ""
    async for answer in service.maintenance.ExportTable(pb.ExportTableRequest(table=ACCOUNT)):
        if answer.HasField("rows"):
            first += map(from_wire, answer.rows.rows)
            cursor = answer.rows.cursor
            break
    assert len(first) == 1000
    assert first + await export_rows(service, cursor=cursor) == ACCOUNTS
    for wrong in ("x", f"{ASSET}:live:3", f"{ACCOUNT}:live:-1", f"{ACCOUNT}:gone:1", f"{ACCOUNT}:past:{'9' * 30}"):
        stream = service.maintenance.ExportTable(pb.ExportTableRequest(table=ACCOUNT, cursor=wrong))
        ((reason, field, _),) = await refusal(stream.read())
        assert (reason, field) == ("PAGE_TOKEN_INVALID", "cursor")


async def test_an_export_shows_one_moment_while_others_write(service: Service) -> None:
    await import_rows(service, ACCOUNTS)
    stream = service.maintenance.ExportTable(pb.ExportTableRequest(table=ACCOUNT))
    rows: list[TransferRow] = []
    async for answer in stream:
        if len(rows) == 1000:  # after the first chunk: the last row changes, and a new one comes behind it
            await service.xref.populate([XrefWrite(ACCOUNT, "COMMON", "g2300", "BRM_02", "late", Mode.LINK)])
            await import_rows(service, [account(2301)])
        rows += map(from_wire, answer.rows.rows)
    assert rows == ACCOUNTS
    assert len(await export_rows(service)) == 2301


async def test_two_imports_of_the_same_rows_at_once_write_them_once(service: Service) -> None:
    results = await asyncio.gather(*[import_rows(service, ACCOUNTS[:1500]) for _ in range(3)])
    assert sorted(results) == [(0, 0, 1500), (0, 0, 1500), (1500, 0, 0)]
    assert await export_rows(service) == ACCOUNTS[:1500]


async def test_imported_values_are_in_the_history_with_who_brought_them_and_why(service: Service) -> None:
    await import_rows(service, ACCOUNTS[:2], origin=Origin(service="operator", reason="moving in"))
    await import_rows(service, [row(COMMON="g1", BRM_02="q1")], origin=Origin(service="operator", reason="second instance"))
    found = await changes_of(service, ACCOUNT, "COMMON", "g1")
    assert [(change.column, change.old_value, change.new_value, change.origin.reason) for change in found] == [
        ("COMMON", "", "g1", "moving in"),
        ("SEBL_01", "", "1-1", "moving in"),
        ("BRM_01", "", "0.0.0.1 /account 1 0", "moving in"),
        ("BRM_02", "", "q1", "second instance"),
    ]
    assert {(change.origin.service, change.method) for change in found} == {("operator", "ImportTable")}


async def test_rows_that_belong_together_may_come_apart_and_are_recorded_once(service: Service) -> None:
    apart = [row(COMMON="g1", SEBL_01="1-1"), *ACCOUNTS[1:1500], row(COMMON="g1", BRM_01="p1"), row(SEBL_01="1-1", BRM_02="q1")]
    assert await import_rows(service, apart) == (1500, 2, 0)
    found = await changes_of(service, ACCOUNT, "COMMON", "g1")
    assert sorted(change.new_value for change in found) == ["1-1", "g1", "p1", "q1"]
    assert (await export_rows(service))[0] == row(COMMON="g1", SEBL_01="1-1", BRM_01="p1", BRM_02="q1")


async def test_known_rows_among_new_ones_are_found_wherever_they_stand(service: Service) -> None:
    await import_rows(service, [account(number) for number in (1, 1001, 1999, 2300)])
    assert await import_rows(service, ACCOUNTS) == (2296, 0, 4)
    assert sorted(await export_rows(service), key=repr) == sorted(ACCOUNTS, key=repr)
    for number in (2, 1001, 2300):
        found = await changes_of(service, ACCOUNT, "COMMON", f"g{number}")
        assert len(found) == 3


YESTERDAY = time.time_ns() // 1000 - 86_400_000_000
GONE = [
    TransferRow((XrefCell("BRM_01", "old"),), 0, YESTERDAY + 250_000),
    TransferRow((XrefCell("COMMON", "g9"),), 0, YESTERDAY),
]


async def test_deleted_values_come_along_and_only_once(service: Service) -> None:
    answer = await service.maintenance.ImportTable(pieces([*ACCOUNTS[:2], *GONE]))
    assert (answer.added, answer.deleted) == (2, 2)
    assert await export_rows(service, deleted=True) == [*ACCOUNTS[:2], *GONE]
    assert await export_rows(service) == ACCOUNTS[:2]
    before = await service.content()
    for rows in ([*ACCOUNTS[:2], *GONE], GONE):
        answer = await service.maintenance.ImportTable(pieces(rows))
        assert (answer.added, answer.merged, answer.deleted) == (0, 0, 0)
    assert await service.content() == before


async def test_ids_of_deleted_values_are_taken_from_nobody_else(service: Service) -> None:
    many = TransferRow(tuple(XrefCell("BRM_01", f"old{n}") for n in range(50)), 0, YESTERDAY)
    answer = await service.maintenance.ImportTable(pieces([many]))
    assert (answer.rows, answer.deleted) == (1, 50)
    await import_rows(service, ACCOUNTS[:100])
    content = await service.content()
    assert not {cell[0] for cell in content["xref_cell"]} & {cell[1] for cell in content["xref_past_cell"]}


async def test_a_deleted_common_id_is_not_imported_again(service: Service) -> None:
    await import_rows(service, [*ACCOUNTS[:1], row(SEBL_01="1-7", BRM_01="p7")], allow_missing_common=True)
    await service.maintenance.ImportTable(pieces(GONE))
    for cells in ({"SEBL_01": "1-9"}, {"SEBL_01": "1-7"}):
        found = await refusal(service.maintenance.ImportTable(pieces([row(COMMON="g9", **cells)])))
        assert [(reason, field) for reason, field, _ in found] == [("XREF_VALUE_NOT_UNIQUE", "rows[0].cells[0].value")]


async def test_a_row_that_was_deleted_here_is_exported_as_such(service: Service) -> None:
    await import_rows(service, ACCOUNTS[:1])
    await service.stub.MarkForDelete(
        xref_pb2.MarkForDeleteRequest(table=ACCOUNT, column="BRM_01", value="0.0.0.1 /account 1 0")
    )
    live, past = await export_rows(service, deleted=True)
    assert live == TransferRow(ACCOUNTS[0].cells[:2])
    assert past.cells == ACCOUNTS[0].cells[2:] and past.deleted_at
    ((answer),) = [
        a async for a in service.maintenance.ExportTable(pb.ExportTableRequest(table=ACCOUNT, deleted=True)) if a.rows.rows
    ]
    assert len(answer.rows.rows) == 2


async def test_a_time_that_is_none_is_refused(service: Service) -> None:
    wrong = wire(GONE[:1])
    wrong[0].deleted_at.seconds = 2**62

    async def sent() -> AsyncIterator[pb.ImportTableRequest]:
        yield pb.ImportTableRequest(header=pb.TransferHeader(table=ACCOUNT))
        yield pb.ImportTableRequest(rows=pb.TransferRows(rows=wrong))

    ((reason, field, _),) = await refusal(service.maintenance.ImportTable(sent()))
    assert (reason, field) == ("XREF_IMPORT_INVALID", "deleted_at")


async def changes_of(service: Service, table: str, column: str, value: str) -> list[xref_pb2.Change]:
    """The history of a row."""
    request = xref_pb2.ListHistoryRequest(table=table, column=column, value=value)
    return list((await service.stub.ListHistory(request)).changes)

"""Following an account migration, on each database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import pytest
from xref_tables import ACCOUNT, ASSET, Service, account, export_rows, import_rows, refusal, row, running_service

from libs.pb.xref.v1 import maintenance_pb2 as pb
from libs.pb.xref.v1 import xref_pb2
from libs.pb.xref.v1.xref_pb2 import Origin
from libs.xref.model import COMMON

GROUP = "CUSTOMERPARTY_DEFAULTBALANCEGROUPID"
WHY = Origin(service="operator", reason="account migration, batch 7")


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    async with running_service(database_url) as running:
        await import_rows(running, [account(number) for number in range(1, 6)])
        await import_rows(running, [row(COMMON="b1", SEBL_01="1-1", BRM_01="0.0.0.1 /balance_group 1 0")], GROUP)
        assets = row(COMMON="a1", SEBL_01="AST-1", BRM_01=["SERVICE:0.0.0.1 /service/ip 7 0", "PRODUCT:p8", "PRODUCT:p9"])
        await import_rows(running, [assets], ASSET)
        yield running


def old(number: int) -> str:
    return f"0.0.0.1 /account {number} 0"


def new(number: int) -> str:
    return f"0.0.0.2 /account {number + 900} 0"


def request(*pairs: tuple[str, str, str], **more: Any) -> pb.RemapIdsRequest:
    found = [pb.IdPair(table=table, old_id=before, new_id=after) for table, before, after in pairs]
    return pb.RemapIdsRequest(**{"system": "BRM_01", "pairs": found, "origin": WHY, **more})


MIGRATION = request(
    (ACCOUNT, old(1), new(1)),
    (ACCOUNT, old(2), new(2)),
    ("", "0.0.0.1 /balance_group 1 0", "0.0.0.2 /balance_group 901 0"),
    ("", "p9", "p99"),
)


async def remap(service: Service, asked: pb.RemapIdsRequest) -> tuple[int, int, int]:
    answer = await service.maintenance.RemapIds(asked)
    return answer.changed, answer.unchanged, answer.unknown


async def values(service: Service, table: str, column: str) -> list[tuple[str, str]]:
    return [
        (cell.value, cell.kind) for each in await export_rows(service, table) for cell in each.cells if cell.column == column
    ]


@pytest.mark.spec("xref-and-routing:XR19")
async def test_a_migration_done_twice_changes_nothing_the_second_time(service: Service) -> None:
    assert await remap(service, MIGRATION) == (4, 0, 0)
    assert await values(service, ACCOUNT, "BRM_01") == [(new(1), ""), (new(2), ""), (old(3), ""), (old(4), ""), (old(5), "")]
    assert await values(service, GROUP, "BRM_01") == [("0.0.0.2 /balance_group 901 0", "")]
    after_one = await service.content()
    assert await remap(service, MIGRATION) == (0, 4, 0)
    assert await service.content() == after_one


async def test_values_of_one_row_keep_their_kinds_and_their_order(service: Service) -> None:
    await remap(service, MIGRATION)
    await remap(service, request((ASSET, "0.0.0.1 /service/ip 7 0", "0.0.0.2 /service/ip 907 0")))
    expected = [("0.0.0.2 /service/ip 907 0", "SERVICE"), ("p8", "PRODUCT"), ("p99", "PRODUCT")]
    assert await values(service, ASSET, "BRM_01") == expected


async def test_a_replaced_id_is_in_the_history_with_who_and_why(service: Service) -> None:
    await remap(service, MIGRATION)
    asked = xref_pb2.ListHistoryRequest(table=ASSET, column=COMMON, value="a1")
    change = (await service.stub.ListHistory(asked)).changes[-1]
    assert (change.old_value, change.new_value, change.kind, change.method) == ("p9", "p99", "PRODUCT", "RemapIds")
    assert (change.origin.service, change.origin.reason) == ("operator", "account migration, batch 7")
    then = xref_pb2.LookupRequest(table=ASSET, ref_column="SEBL_01", ref_value="AST-1", column="BRM_01")
    then.as_of.FromNanoseconds(change.time.ToNanoseconds() - 1000)
    many = xref_pb2.Lookup1MRequest(table=ASSET, ref_column="SEBL_01", ref_value="AST-1", column="BRM_01", as_of=then.as_of)
    assert [cell.value for cell in (await service.stub.Lookup1M(many)).cells][-1] == "p9"


@pytest.mark.parametrize("validate_only", [False, True])
async def test_a_batch_with_a_conflict_changes_nothing_and_names_every_one(service: Service, validate_only: bool) -> None:
    before = await service.content()
    asked = request(
        (ACCOUNT, old(1), new(1)),
        (ACCOUNT, old(2), old(3)),  # another row has it
        ("", "p8", "p9"),  # so has the same row
        (ACCOUNT, "nobody", "nobody-new"),
        ("", "nothing", "nothing-new"),
        validate_only=validate_only,
    )
    assert [(reason, field) for reason, field, _ in await refusal(service.maintenance.RemapIds(asked))] == [
        ("XREF_VALUE_NOT_UNIQUE", "pairs[1].new_id"),
        ("XREF_VALUE_NOT_UNIQUE", "pairs[2].new_id"),
        ("XREF_VALUE_NOT_FOUND", "pairs[3].old_id"),
        ("XREF_VALUE_NOT_FOUND", "pairs[4].old_id"),
    ]
    assert await service.content() == before


async def test_ids_nobody_knows_are_skipped_when_asked(service: Service) -> None:
    asked = request((ACCOUNT, old(1), new(1)), ("", "/event 1", "/event 2"), ignore_unknown=True)
    assert await remap(service, asked) == (1, 0, 1)


async def test_what_would_change_is_counted_without_being_changed(service: Service) -> None:
    before = await service.content()
    asked = pb.RemapIdsRequest()
    asked.CopyFrom(MIGRATION)
    asked.validate_only = True
    assert await remap(service, asked) == (4, 0, 0)
    assert await service.content() == before


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("NO_TABLE", "a", "b")], [("XREF_TABLE_UNKNOWN", "pairs[0].table")]),
        ([("SIEBELPRODUCTEVENTXREF", "a", "b")], [("XREF_COLUMN_UNKNOWN", "pairs[0].table")]),
        ([("", "", "b")], [("XREF_VALUE_EMPTY", "pairs[0].old_id")]),
        ([("", "a", "")], [("XREF_VALUE_EMPTY", "pairs[0].new_id")]),
        ([("", "a", "b" * 257)], [("XREF_VALUE_INVALID", "pairs[0].new_id")]),
        ([("", "a\x01", "b")], [("XREF_VALUE_INVALID", "pairs[0].old_id")]),
        ([("", "a", "b"), (ACCOUNT, "a", "c")], [("XREF_VALUE_NOT_UNIQUE", "pairs[1].old_id")]),
        ([(ACCOUNT, "a", "c"), (ACCOUNT, "b", "c")], [("XREF_VALUE_NOT_UNIQUE", "pairs[1].new_id")]),
        ([(ACCOUNT, "a", "b"), (ACCOUNT, "b", "c")], [("XREF_VALUE_NOT_UNIQUE", "pairs[0].new_id")]),
        (
            [("", "a", "b"), ("", "b", "a")],
            [("XREF_VALUE_NOT_UNIQUE", "pairs[0].new_id"), ("XREF_VALUE_NOT_UNIQUE", "pairs[1].new_id")],
        ),
    ],
)
async def test_a_batch_that_cannot_be_is_refused(
    service: Service, pairs: Sequence[tuple[str, str, str]], expected: list[tuple[str, str]]
) -> None:
    found = await refusal(service.maintenance.RemapIds(request(*pairs)))
    assert sorted((reason, field) for reason, field, _ in found) == expected


async def test_only_columns_of_systems_can_be_remapped(service: Service) -> None:
    for system, reason in (("BRM_77", "XREF_COLUMN_UNKNOWN"), ("", "XREF_COLUMN_UNKNOWN"), (COMMON, "FIELD_IMMUTABLE")):
        found = await refusal(service.maintenance.RemapIds(request((ACCOUNT, "a", "b"), system=system)))
        assert [(each, field) for each, field, _ in found] == [(reason, "system")]


async def test_the_same_pair_twice_and_an_id_that_stays_are_fine(service: Service) -> None:
    asked = request((ACCOUNT, old(1), new(1)), (ACCOUNT, old(1), new(1)), (ACCOUNT, old(2), old(2)))
    assert await remap(service, asked) == (1, 2, 0)


async def test_the_same_request_gets_the_same_answer_and_another_content_is_refused(service: Service) -> None:
    asked = request((ACCOUNT, old(1), new(1)), request_id="batch-7")
    assert await remap(service, asked) == (1, 0, 0)
    assert await remap(service, asked) == (1, 0, 0)
    other = request((ACCOUNT, old(2), new(2)), request_id="batch-7")
    ((reason, field, _),) = await refusal(service.maintenance.RemapIds(other))
    assert (reason, field) == ("IDEMPOTENCY_CONFLICT", "request_id")


async def test_a_thousand_pairs_are_the_most_of_a_single_request(service: Service) -> None:
    pairs = [(ACCOUNT, f"o{n}", f"n{n}") for n in range(1001)]
    ((reason, field, _),) = await refusal(service.maintenance.RemapIds(request(*pairs)))
    assert (reason, field) == ("XREF_BATCH_TOO_LARGE", "pairs")


async def pieces(pairs: Sequence[pb.IdPair], total: int | None = None) -> AsyncIterator[pb.RemapIdsStreamRequest]:
    for start in range(0, len(pairs), 1000):
        piece = pb.RemapIdsStreamRequest(pairs=pairs[start : start + 1000])
        if start == 0:
            piece.system = "BRM_01"
            piece.origin.CopyFrom(WHY)
        if start + 1000 >= len(pairs):
            piece.total = len(pairs) if total is None else total
        yield piece


def numbered(numbers: Iterable[int]) -> list[pb.IdPair]:
    return [pb.IdPair(old_id=old(number), new_id=new(number)) for number in numbers]


async def test_a_large_batch_comes_in_pieces_and_is_still_all_or_none(service: Service) -> None:
    await import_rows(service, [account(number) for number in range(6, 2501)])
    before = await service.content()
    wrong = [*numbered(range(1, 2501)), pb.IdPair(old_id="nobody", new_id="nobody-new")]
    ((reason, field, _),) = await refusal(service.maintenance.RemapIdsStream(pieces(wrong)))
    assert (reason, field) == ("XREF_VALUE_NOT_FOUND", "pairs[2500].old_id")
    for cut in (pieces(numbered(range(1, 2501)), total=2501), pieces(numbered(range(1, 2501)), total=0), pieces([])):
        ((reason, field, _),) = await refusal(service.maintenance.RemapIdsStream(cut))
        assert reason == "XREF_IMPORT_INVALID"
    assert await service.content() == before
    answer = await service.maintenance.RemapIdsStream(pieces(numbered(range(1, 2501))))
    assert (answer.changed, answer.unchanged, answer.unknown) == (2500, 0, 0)
    answer = await service.maintenance.RemapIdsStream(pieces(numbered(range(1, 2501))))
    assert (answer.changed, answer.unchanged, answer.unknown) == (0, 2500, 0)


async def test_the_same_batch_from_several_callers_at_once_is_done_once(service: Service) -> None:
    answers = await asyncio.gather(*[remap(service, MIGRATION) for _ in range(5)])
    assert sorted(answers) == [(0, 4, 0)] * 4 + [(4, 0, 0)]

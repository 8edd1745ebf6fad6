"""A database whose history an earlier version kept in ``xref_change``."""

from __future__ import annotations

import asyncio
import time

from libs.db import Database, Statement
from libs.pb.xref.v1 import xref_pb2 as pb
from tests.support.xref_tables import ACCOUNT, ASSET, Service, running_service

NOW = time.time_ns() // 1000
HOUR = 3_600_000_000

_CELLS = "row_id BIGINT NOT NULL, column_id INTEGER NOT NULL, slot INTEGER NOT NULL, value TEXT NOT NULL, kind TEXT NOT NULL"
_CHANGES = (
    "changed_at BIGINT NOT NULL, who TEXT NOT NULL, request_id TEXT NOT NULL, row_id BIGINT NOT NULL, "
    "column_id INTEGER NOT NULL, old_value TEXT NOT NULL, new_value TEXT NOT NULL"
)
_COLUMNS = "table_name TEXT NOT NULL, name TEXT NOT NULL, one_to_many BOOLEAN NOT NULL, UNIQUE (table_name, name)"
_CELL_TABLE = (
    f"CREATE TABLE xref_cell ({_CELLS}, PRIMARY KEY (row_id, column_id, slot))",
    "CREATE UNIQUE INDEX xref_cell_value ON xref_cell (column_id, value)",
)


def _both(sqlite: str, postgresql: str | None = None) -> Statement:
    return Statement(sqlite=sqlite, postgresql=postgresql or sqlite)


EARLIER = (
    _both(
        f"CREATE TABLE xref_column (id INTEGER NOT NULL PRIMARY KEY, {_COLUMNS})",
        f"CREATE TABLE xref_column (id SERIAL NOT NULL PRIMARY KEY, {_COLUMNS})",
    ),
    *map(_both, _CELL_TABLE),
    _both("CREATE TABLE xref_row_counter (id INTEGER NOT NULL PRIMARY KEY, next_row_id BIGINT NOT NULL)"),
    _both(
        f"CREATE TABLE xref_change (id INTEGER NOT NULL PRIMARY KEY, {_CHANGES})",
        f"CREATE TABLE xref_change (id BIGSERIAL NOT NULL PRIMARY KEY, {_CHANGES})",
    ),
    _both("INSERT INTO xref_row_counter VALUES (1, 10001)"),
    _both(
        f"INSERT INTO xref_column (table_name, name, one_to_many) VALUES ('{ACCOUNT}', 'COMMON', false), "
        f"('{ACCOUNT}', 'SEBL_01', false), ('{ACCOUNT}', 'BRM_01', false), ('{ASSET}', 'COMMON', false), "
        f"('{ASSET}', 'BRM_01', true)"
    ),
    _both(
        "INSERT INTO xref_cell VALUES (1, 1, 0, 'g1', ''), (1, 2, 0, '1-A', ''), (1, 3, 0, 'new', ''), (2, 4, 0, 'g2', ''), "
        "(2, 5, 0, 's1', 'SERVICE'), (2, 5, 1, 'p1', 'PRODUCT')"
    ),
    _both(
        "INSERT INTO xref_change (changed_at, who, request_id, row_id, column_id, old_value, new_value) VALUES "
        f"({NOW - 5 * HOUR}, 'crm', 'r1', 1, 2, '', '1-A'), ({NOW - 5 * HOUR}, 'crm', 'r1', 1, 1, '', 'g1'), "
        f"({NOW - 4 * HOUR}, 'sync', 'r2', 1, 3, '', 'old'), ({NOW - 2 * HOUR}, 'sync', 'r3', 1, 3, 'old', 'new'), "
        f"({NOW - 2 * HOUR}, 'sync', 'r3', 2, 4, '', 'g2'), ({NOW - 2 * HOUR}, 'sync', 'r3', 2, 5, '', 's1'), "
        f"({NOW - 2 * HOUR}, 'sync', 'r3', 2, 5, '', 'p1')"
    ),
)


async def made_earlier(url: str) -> None:
    db = await Database.open(url)
    async with db.begin() as tx:
        for statement in EARLIER:
            await tx.run(statement)
    await db.close()


async def history(service: Service, table: str, column: str, value: str) -> list[tuple[str, ...]]:
    request = pb.ListHistoryRequest(table=table, column=column, value=value)
    answer = await service.stub.ListHistory(request)
    return [(c.origin.service, c.request_id, c.column, c.old_value, c.new_value) for c in answer.changes]


async def then(service: Service, table: str, column: str, value: str, moment: int) -> list[tuple[str, ...]]:
    request = pb.LookupPopulatedColumnsRequest(table=table, column=column, value=value)
    request.as_of.FromMicroseconds(moment)
    answer = await service.stub.LookupPopulatedColumns(request)
    return [(cell.column, cell.value, cell.kind) for cell in answer.cells]


async def test_rows_of_an_earlier_version_have_their_whole_history(database_url: str) -> None:
    await made_earlier(database_url)
    async with running_service(database_url) as service:
        assert await history(service, ACCOUNT, "BRM_01", "old") == [
            ("crm", "r1", "SEBL_01", "", "1-A"),
            ("crm", "r1", "COMMON", "", "g1"),
            ("sync", "r2", "BRM_01", "", "old"),
            ("sync", "r3", "BRM_01", "old", "new"),
        ]
        whole = [("COMMON", "g1", ""), ("SEBL_01", "1-A", "")]
        assert await then(service, ACCOUNT, "SEBL_01", "1-A", NOW - 3 * HOUR) == [*whole, ("BRM_01", "old", "")]
        assert await then(service, ACCOUNT, "SEBL_01", "1-A", NOW - HOUR) == [*whole, ("BRM_01", "new", "")]
        services = [("COMMON", "g2", ""), ("BRM_01", "s1", "SERVICE"), ("BRM_01", "p1", "PRODUCT")]
        assert await then(service, ASSET, "COMMON", "g2", NOW - HOUR) == services
    async with running_service(database_url) as service:  # a second start moves nothing again
        assert len(await history(service, ACCOUNT, "BRM_01", "old")) == 4


async def test_processes_that_start_together_take_the_history_over_once(database_url: str) -> None:
    await made_earlier(database_url)

    async def started() -> int:
        async with running_service(database_url) as service:
            return len(await history(service, ACCOUNT, "BRM_01", "old"))

    assert await asyncio.gather(*(started() for _ in range(3))) == [4, 4, 4]

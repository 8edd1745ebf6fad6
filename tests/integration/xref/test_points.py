"""Point reads of many callers at once: each gets its own answer, and on PostgreSQL they share round trips."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from libs.db import Database, Row, Statement
from libs.errors import O2CError, Reason
from libs.xref.model import Mode, XrefKey, XrefTable, XrefWrite
from services.xref.domain.model import Audit, WriteItem
from services.xref.ledger import Ledger
from services.xref.persistence import XrefRepository
from services.xref.registry import Registry
from services.xref.rowids import RowIds
from services.xref.schema import MODELS

TABLE = XrefTable("T", ("COMMON", "SEBL_01", "BRM_01"), frozenset({"BRM_01"}))
WHO = Audit("a test", "call")
ROWS = 50


def key(number: int) -> XrefKey:
    return XrefKey("T", "SEBL_01", f"1-{number}")


def values(number: int) -> list[str]:
    """What a row holds in its one-to-many column: as many values as its number says, up to three."""
    return [f"{number}/{at}" for at in range(number % 4)]


@pytest.fixture
async def repository(db: Database) -> AsyncIterator[XrefRepository]:
    await db.create_tables(MODELS)
    registry, ledger = Registry(db), Ledger(db)
    await registry.load()
    await registry.register([TABLE], WHO, ledger)
    made = XrefRepository(db, registry, RowIds(db), ledger)
    await made.row_ids.reserve(1)
    await made.create([key(number) for number in range(ROWS)], "COMMON", WHO)
    writes = [
        XrefWrite("T", "SEBL_01", f"1-{number}", "BRM_01", value, Mode.LINK, one_to_many=True)
        for number in range(ROWS)
        for value in values(number)
    ]
    await made.write([WriteItem(write, "") for write in writes], WHO, None, validate_only=False)
    yield made


async def read(repository: XrefRepository, number: int) -> list[str]:
    return [cell.value for cell in await repository.cells(key(number), "BRM_01")]


class Gate:
    """Counts reads, and holds or fails them on demand."""

    def __init__(self, db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads = 0
        self.failure: O2CError | None = None
        self.open = asyncio.Event()
        self.open.set()
        self._ask = db.all
        monkeypatch.setattr(db, "all", self)

    async def __call__(self, statement: Statement, /, **params: object) -> list[Row]:
        self.reads += 1
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return await self._ask(statement, **params)


async def test_every_one_of_many_callers_gets_its_own_cells_in_order(repository: XrefRepository) -> None:
    numbers = [*range(ROWS), *range(ROWS), 404]
    found = await asyncio.gather(*(read(repository, number) for number in numbers))
    assert found == [values(number) if number < ROWS else [] for number in numbers]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_callers_that_come_at_once_share_a_round_trip(
    repository: XrefRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(repository.db, monkeypatch)
    gate.open.clear()
    first = asyncio.create_task(read(repository, 1))
    await asyncio.sleep(0)
    others = [asyncio.create_task(read(repository, number)) for number in range(ROWS)]
    await asyncio.sleep(0)
    gate.open.set()
    await asyncio.gather(first, *others)
    assert gate.reads <= 2


async def test_what_was_written_before_a_read_is_in_its_answer(repository: XrefRepository) -> None:
    reading = [asyncio.create_task(read(repository, 1)) for _ in range(5)]
    write = XrefWrite("T", "SEBL_01", "1-1", "BRM_01", "new", Mode.LINK, one_to_many=True)
    await repository.write([WriteItem(write, "")], WHO, None, validate_only=False)
    assert await read(repository, 1) == [*values(1), "new"]
    await asyncio.gather(*reading)


async def test_a_caller_that_leaves_takes_nobody_with_it(repository: XrefRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(repository.db, monkeypatch)
    gate.open.clear()
    tasks = [asyncio.create_task(read(repository, number)) for number in range(8)]
    await asyncio.sleep(0)
    for left in (tasks[0], tasks[3]):
        left.cancel()
    gate.open.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    for number, answer in enumerate(found):
        assert isinstance(answer, asyncio.CancelledError) if number in (0, 3) else answer == values(number)


async def test_a_read_that_fails_fails_for_those_who_travelled_with_it_only(
    repository: XrefRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(repository.db, monkeypatch)
    gate.failure = O2CError.of(Reason.STORE_UNAVAILABLE, "away")
    failed = await asyncio.gather(*(read(repository, number) for number in range(8)), return_exceptions=True)
    assert {type(each) for each in failed} == {O2CError}
    gate.failure = None
    assert await read(repository, 3) == values(3)

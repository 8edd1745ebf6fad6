"""What a call costs the database, and what it leaves there besides the cells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from libs.db import Database, Statement
from libs.errors import O2CError, Reason
from libs.xref.model import Mode, XrefKey, XrefTable, XrefWrite
from libs.xref.rows import Rows
from services.xref import answers, history, ledger, persistence, queries
from services.xref.domain.model import Audit, WriteItem
from services.xref.ledger import Entry, Ledger
from services.xref.persistence import XrefRepository
from services.xref.registry import Registry
from services.xref.rowids import RowIds
from services.xref.schema import MODELS

TABLE = XrefTable("T", ("COMMON", "SEBL_01", "BRM_01", "BRM_02"), frozenset({"BRM_02"}))
WHO = Audit("customer_sync", "call-1")

_HISTORY_TEXT = (
    "SELECT k.who, k.request_id, c.name, e.old_value, e.new_value FROM xref_event e JOIN xref_call k ON k.id = e.call_id "
    "JOIN xref_column c ON c.id = e.column_id WHERE e.row_id > 0 ORDER BY e.seq"
)
_HISTORY = Statement(sqlite=_HISTORY_TEXT, postgresql=_HISTORY_TEXT)


async def repository_on(db: Database) -> XrefRepository:
    await db.create_tables(MODELS)
    registry, ledger = Registry(db), Ledger(db)
    await registry.load()
    await registry.register([TABLE], WHO, ledger)
    return XrefRepository(db, registry, RowIds(db), ledger)


@pytest.fixture
async def repository(db: Database) -> AsyncIterator[XrefRepository]:
    made = await repository_on(db)
    await made.row_ids.reserve(1)
    yield made


def key(value: str) -> XrefKey:
    return XrefKey("T", "SEBL_01", value)


def items(*writes: tuple[str, str, str, Mode]) -> list[WriteItem]:
    return [WriteItem(XrefWrite("T", "SEBL_01", ref, column, value, mode), "") for ref, column, value, mode in writes]


async def test_a_batch_of_writes_is_one_commit_and_a_batch_of_reads_none(repository: XrefRepository) -> None:
    db = repository.db
    keys = [key(str(number)) for number in range(300)]
    before = db.commits
    await repository.create(keys, "COMMON", WHO)
    assert db.commits == before + 1
    writes = items(*[(str(number), "BRM_01", f"p{number}", Mode.LINK) for number in range(300)])
    await repository.write(writes, WHO, None, validate_only=False)
    assert db.commits == before + 2
    assert len(await repository.filled(keys)) == 300
    await repository.write(writes, WHO, None, validate_only=False)  # linked already: nothing to write
    await repository.write(items(("1", "BRM_01", "new", Mode.UPDATE)), WHO, None, validate_only=True)
    assert db.commits == before + 2


async def test_a_batch_lookup_is_one_query(repository: XrefRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    await repository.create([key(str(number)) for number in range(10)], "COMMON", WHO)
    queries = 0
    ask = repository.db.all

    async def counted(statement: Statement, /, **params: object) -> object:
        nonlocal queries
        queries += 1
        return await ask(statement, **params)

    monkeypatch.setattr(repository.db, "all", counted)
    keys = [key("1"), key("404"), XrefKey("T", "COMMON", "none"), key("2")]
    assert set(await repository.filled(keys)) == {key("1"), key("2")}
    assert queries == 1


async def test_every_change_is_kept_with_who_asked_for_it_and_what_was_there(repository: XrefRepository) -> None:
    common = (await repository.create([key("A1")], "COMMON", WHO))[key("A1")].value
    writes = items(("A1", "BRM_01", "p1", Mode.LINK), ("A1", "BRM_01", "p2", Mode.UPDATE), ("A1", "COMMON", "x", Mode.LINK))
    await repository.write(writes, Audit("bill_fulfillment", "call-2"), None, validate_only=False)
    assert await repository.db.all(_HISTORY) == [
        ("customer_sync", "call-1", "SEBL_01", "", "A1"),
        ("customer_sync", "call-1", "COMMON", "", common),
        ("bill_fulfillment", "call-2", "BRM_01", "", "p1"),
        ("bill_fulfillment", "call-2", "BRM_01", "p1", "p2"),
    ]


async def test_no_statement_looks_through_a_whole_table(tmp_path: Path) -> None:
    db = await Database.open(f"sqlite://{tmp_path}/plan.db")
    await repository_on(db)
    modules = (queries, ledger, history)
    statements = {id(each): each for module in modules for each in vars(module).values() if isinstance(each, Statement)}
    assert len(statements) > 20
    for statement in statements.values():
        compiled = statement.sqlite
        if compiled.sql.startswith("SELECT 1"):
            continue
        explain = "EXPLAIN QUERY PLAN " + compiled.sql
        given = {name: "[]" if name in ("rows", "ref_values") else "1" for name in compiled.names}
        async with db.begin() as tx:
            plan = [row[3] for row in await tx.all(Statement(sqlite=explain, postgresql=explain), **given)]
        by_value = [line for line in plan if "xref_cell_value" in line or "xref_past_cell_value" in line]
        assert all("column_id=? AND value=?" in line for line in by_value), plan
        scans = [line for line in plan if line.startswith("SCAN") and "VIRTUAL TABLE" not in line]
        small = ("CONSTANT ROW", "SCAN l", "SCAN xref_horizon", "SCAN xref_column")
        assert not [line for line in scans if not line.startswith(small) and "CONSTANT ROW" not in line], plan
    await db.close()


async def test_row_ids_of_two_processes_never_meet(db: Database) -> None:
    await db.create_tables(MODELS)
    one, two = RowIds(db), RowIds(db)
    taken: list[int] = []

    async def take(ids: RowIds, count: int) -> None:
        await ids.reserve(count)
        taken.extend(ids.take() for _ in range(count))

    await asyncio.gather(*[take(ids, count) for ids in (one, two) for count in (1, 9_999, 12_000, 5)])
    assert len(set(taken)) == len(taken) == 2 * 22_005


async def test_a_call_that_keeps_losing_races_asks_its_caller_to_try_again(
    repository: XrefRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rival frees the value before each read and takes it after, so that what was decided never holds."""
    await repository.create([key("A1")], "COMMON", WHO)
    monkeypatch.setattr(persistence, "BACKOFF_SECONDS", 0.0)
    monkeypatch.setattr(persistence, "ATTEMPTS", 3)
    read, reads = repository.rows, 0
    column_id = repository.registry.ids["T", "BRM_01"]

    async def rival(text: str) -> None:
        async with repository.db.begin() as tx:
            await tx.run(Statement(sqlite=text, postgresql=text))

    async def read_between(self: XrefRepository, keys: Iterable[XrefKey], *, versions: bool = False) -> Rows:
        nonlocal reads
        reads += 1
        await rival("DELETE FROM xref_cell WHERE value = 'p1'")
        rows = await read(keys)
        await rival(f"INSERT INTO xref_cell (column_id, value, row_id, slot, kind) VALUES ({column_id}, 'p1', 777, 0, '')")
        return rows

    monkeypatch.setattr(XrefRepository, "rows", read_between)
    await rival(f"INSERT INTO xref_cell (column_id, value, row_id, slot, kind) VALUES ({column_id}, 'p1', 777, 0, '')")
    with pytest.raises(O2CError) as caught:
        await repository.write(items(("A1", "BRM_01", "p1", Mode.LINK)), WHO, None, validate_only=False)
    assert caught.value.violations[0].reason is Reason.XREF_VERSION_CONFLICT
    assert caught.value.retry_after is not None
    assert reads == 3
    row = (await repository.filled([key("A1")]))[key("A1")]
    assert [cell.column for cell in row.cells] == ["COMMON", "SEBL_01"]


async def test_lookups_are_answered_while_many_writers_wait_for_their_turn(
    repository: XrefRepository, database_url: str
) -> None:
    await repository.create([key("A1")], "COMMON", WHO)
    other = await Database.open(database_url)
    async with other.begin() as tx:
        await Ledger(other).lock(tx)
        await Ledger(other).record(tx, [Entry(7, 1, 0, "", "", "x")], WHO)
        writes = [asyncio.create_task(repository.create([key(f"W{number}")], "COMMON", WHO)) for number in range(30)]
        for _ in range(50):
            async with asyncio.timeout(5):
                assert await repository.filled([key("A1")])
        assert not any(write.done() for write in writes)
    await asyncio.gather(*writes)
    await other.close()


async def test_old_answers_are_forgotten(repository: XrefRepository) -> None:
    writes = items(("A1", "BRM_01", "p1", Mode.ADD))
    call = answers.answer_key("r1", writes)
    assert call is not None
    await repository.write(writes, WHO, call, validate_only=False)
    assert await answers.find_answer(repository.db, call) is not None
    assert await answers.purge_answers(repository.db, 0) == 0
    assert await answers.purge_answers(repository.db, 2**62) == 1
    assert await answers.find_answer(repository.db, call) is None

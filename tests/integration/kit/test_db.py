"""What libs.db promises, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import BigInteger, Text, UniqueConstraint, bindparam, insert, select, update
from sqlmodel import Field, SQLModel

from libs.db import Database, Statement, UniqueViolation, upsert


class Thing(SQLModel, table=True):
    __tablename__ = "kit_thing"
    __table_args__ = (UniqueConstraint("kind", "name", name="kit_thing_name"),)

    id: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    at: int = Field(default=0, sa_type=BigInteger)
    live: bool = True


table = Thing.__table__  # type: ignore[attr-defined]
ADD = Statement(insert(table).values(id=bindparam("id"), kind=bindparam("kind"), name=bindparam("name")))
ADD_IF_ABSENT = Statement(
    upsert(table)
    .values(id=bindparam("id"), kind=bindparam("kind"), name=bindparam("name"))
    .on_conflict_do_nothing(index_elements=["id"])
    .returning(table.c.id)
)
ALL = Statement(select(table.c.id, table.c.live).order_by(table.c.id))
FIND = Statement(select(table.c.id, table.c.at, table.c.live).where(table.c.id == bindparam("id")))
IN_STATE = Statement(
    select(table.c.id).where(table.c.kind.in_(["a", "b"]), table.c.at < bindparam("before")).order_by(table.c.id)
)
TOUCH = Statement(
    update(table).where(table.c.id == bindparam("key")).values(at=bindparam("at"), live=False).returning(table.c.at)
)
BY_KEYS = Statement(
    sqlite="SELECT t.id FROM json_each(:ids) AS k JOIN kit_thing AS t ON t.id = k.value ORDER BY t.id",
    postgresql="SELECT id FROM kit_thing WHERE id = ANY(:ids::text[]) ORDER BY id",
)
BY_NAMES = Statement(
    batch="SELECT k.n, t.id FROM {rows} AS k LEFT JOIN kit_thing AS t ON t.kind = k.kind AND t.name = k.name ORDER BY k.n",
    columns={"kind": "text", "name": "text"},
)
ADD_ROWS = Statement(
    batch="INSERT INTO kit_thing (id, kind, name, at, live) SELECT k.id, k.kind, k.id, k.at, k.live FROM {rows} AS k",
    columns={"id": "text", "kind": "text", "at": "bigint", "live": "boolean"},
)


@pytest.fixture
async def things(db: Database) -> AsyncIterator[Database]:
    await db.create_tables([Thing])
    yield db


async def add(db: Database, *ids: str) -> None:
    async with db.begin() as tx:
        for one in ids:
            await tx.run(ADD, id=one, kind="a", name=one)


async def ids(db: Database) -> list[str]:
    return [row[0] for row in await db.all(ALL)]


async def test_rows_are_tuples_and_constant_defaults_are_filled_in(things: Database) -> None:
    await add(things, "x")
    assert await things.all(FIND, id="x") == [("x", 0, True)]
    assert await things.one(FIND, id="x") == ("x", 0, True)
    assert (await things.one(FIND, id="x") or ())[2] is True
    assert await things.one(FIND, id="none") is None


async def test_a_block_that_raises_leaves_nothing(things: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with things.begin() as tx:
            await tx.run(ADD, id="x", kind="a", name="x")
            raise ZeroDivisionError
    assert await ids(things) == []
    await add(things, "y")
    assert await ids(things) == ["y"]


async def test_a_write_is_seen_inside_its_transaction_and_outside_only_after_the_commit(things: Database) -> None:
    async with things.begin() as tx:
        await tx.run(ADD, id="x", kind="a", name="x")
        assert await tx.one(FIND, id="x") == ("x", 0, True)
        assert await things.one(FIND, id="x") is None
    assert await things.one(FIND, id="x") is not None


async def test_run_counts_changed_rows_and_update_returns(things: Database) -> None:
    await add(things, "x")
    async with things.begin() as tx:
        assert await tx.run(TOUCH, key="x", at=1_800_000_000_000_000) == 1
        assert await tx.run(TOUCH, key="absent", at=1) == 0
        assert await tx.all(TOUCH, key="x", at=7) == [(7,)]
    assert await things.one(FIND, id="x") == ("x", 7, False)


async def test_insert_if_absent_returns_only_what_it_inserted(things: Database) -> None:
    async with things.begin() as tx:
        assert await tx.one(ADD_IF_ABSENT, id="x", kind="a", name="x") == ("x",)
        assert await tx.one(ADD_IF_ABSENT, id="x", kind="a", name="other") is None


async def test_a_unique_violation_is_typed_and_the_transaction_can_only_be_left(things: Database) -> None:
    await add(things, "x")
    with pytest.raises(UniqueViolation) as refused:
        async with things.begin() as tx:
            await tx.run(ADD, id="y", kind="a", name="y")
            with pytest.raises(UniqueViolation):
                await tx.run(ADD, id="z", kind="a", name="x")
            await tx.run(ADD, id="w", kind="a", name="w")
    assert "name" in refused.value.constraint
    assert await ids(things) == ["x"]


async def test_swallowing_a_failure_inside_the_block_still_fails_the_transaction(things: Database) -> None:
    await add(things, "x")
    with pytest.raises(UniqueViolation):
        async with things.begin() as tx:
            await tx.run(ADD, id="y", kind="a", name="y")
            with pytest.raises(UniqueViolation):
                await tx.run(ADD, id="x", kind="b", name="x")
    assert await ids(things) == ["x"]


async def test_lists_of_keys_and_batches_of_rows_take_one_statement(things: Database) -> None:
    await add(things, "a", "b", "c")
    assert await things.all(BY_KEYS, ids=["a", "c", "zz"]) == [("a",), ("c",)]
    assert await things.all(BY_KEYS, ids=[]) == []
    assert await things.all(BY_NAMES, rows=[("a", "b"), ("a", "none"), ("a", "a")]) == [(0, "b"), (1, None), (2, "a")]
    async with things.begin() as tx:
        assert await tx.run(ADD_ROWS, rows=[("p", "q", 5, False), ("o'q", '\u00fc"\\', 2**50, True)]) == 2
    assert await things.one(FIND, id="o'q") == ("o'q", 2**50, True)
    assert await things.one(FIND, id="p") == ("p", 5, False)


async def test_literal_in_lists_are_part_of_the_statement(things: Database) -> None:
    await add(things, "a")
    assert await things.all(IN_STATE, before=1) == [("a",)]
    assert await things.all(IN_STATE, before=0) == []


async def test_run_many_executes_in_order(things: Database) -> None:
    async with things.begin() as tx:
        await tx.run_many(ADD, [{"id": str(n), "kind": "a", "name": str(n)} for n in range(5)])
        await tx.run_many(ADD, [])
    assert await ids(things) == ["0", "1", "2", "3", "4"]


async def test_a_missing_or_unknown_parameter_is_a_programming_error(things: Database) -> None:
    with pytest.raises(TypeError, match="missing \\['id'\\], unexpected \\['i'\\]"):
        await things.one(FIND, i="x")


async def test_creating_tables_again_and_at_once_changes_nothing(db: Database, database_url: str) -> None:
    others = [await Database.open(database_url) for _ in range(3)]
    await asyncio.gather(*(each.create_tables([Thing]) for each in [db, *others]))
    await add(db, "x")
    await others[0].create_tables([Thing])
    assert await ids(others[0]) == ["x"]
    for other in others:
        await other.close()


async def test_two_databases_on_one_store_see_each_other(things: Database, database_url: str) -> None:
    other = await Database.open(database_url)
    await asyncio.gather(*(add(database, f"{n}{at}") for n in range(10) for at, database in enumerate([things, other])))
    assert await ids(things) == await ids(other)
    assert len(await ids(things)) == 20
    await other.close()


async def test_commits_are_counted(things: Database) -> None:
    before = things.commits
    await add(things, "x", "y")
    await add(things, "z")
    assert things.commits == before + 2


async def test_a_cancelled_transaction_leaves_nothing_and_blocks_nobody(things: Database) -> None:
    entered = asyncio.Event()

    async def slow() -> None:
        async with things.begin() as tx:
            await tx.run(ADD, id="x", kind="a", name="x")
            entered.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(slow())
    await entered.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await add(things, "y")
    assert await ids(things) == ["y"]

"""Reads of one moment, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from libs.db import Database, Statement
from libs.errors import O2CError


class NoteRecord(SQLModel, table=True):
    __tablename__ = "snapshot_note"

    text: str = Field(sa_type=Text, primary_key=True)


_ADD = Statement(
    sqlite="INSERT INTO snapshot_note (text) VALUES (:text)", postgresql="INSERT INTO snapshot_note (text) VALUES (:text)"
)
_ALL = Statement(sqlite="SELECT text FROM snapshot_note", postgresql="SELECT text FROM snapshot_note")


async def write(db: Database, text: str) -> None:
    async with db.begin() as tx:
        await tx.run(_ADD, text=text)


async def test_a_snapshot_sees_nothing_of_what_others_write_meanwhile(db: Database) -> None:
    await db.create_tables([NoteRecord])
    await write(db, "before")
    async with db.snapshot() as then:
        await write(db, "meanwhile")
        assert await then.all(_ALL) == [("before",)]
        assert sorted(await db.all(_ALL)) == [("before",), ("meanwhile",)]
        await write(db, "later")
        assert await then.all(_ALL) == [("before",)]
    async with db.snapshot() as now:
        assert len(await now.all(_ALL)) == 3


async def test_a_snapshot_cannot_write_and_gives_its_connection_back(db: Database) -> None:
    await db.create_tables([NoteRecord])
    for _ in range(25):  # more than there are connections
        with pytest.raises(Exception, match=r"(?i)read.?only"):
            async with db.snapshot() as then:
                await then.all(_ADD, text="x")
    assert await db.all(_ALL) == []


async def test_a_server_that_was_left_gives_no_snapshot(postgres_url: str) -> None:
    db = await Database.open(postgres_url)
    await db.close()
    with pytest.raises(O2CError, match="STORE_UNAVAILABLE"):
        async with db.snapshot():
            pass


async def test_a_transaction_that_writes_much_leaves_the_page_cache_as_it_was(tmp_path: Path) -> None:
    db = await Database.open(f"sqlite://{tmp_path}/bulk.db")
    await db.create_tables([NoteRecord])
    size = Statement(sqlite="PRAGMA cache_size", postgresql="SELECT 1")

    async def cache_size() -> int:
        async with db.begin() as tx:
            return int((await tx.all(size))[0][0])

    before = await cache_size()
    async with db.begin(bulk=True) as tx:
        await tx.run(_ADD, text="kept")
        assert int((await tx.all(size))[0][0]) == -131_072
    assert await cache_size() == before
    with pytest.raises(RuntimeError, match="no"):
        async with db.begin(bulk=True) as tx:
            await tx.run(_ADD, text="undone")
            raise RuntimeError("no")
    assert await cache_size() == before
    assert await db.all(_ALL) == [("kept",)]
    await db.close()

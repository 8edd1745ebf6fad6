"""Databases that an earlier version of a service has made."""

from __future__ import annotations

import pytest
from sqlalchemy import BigInteger, Index, Text
from sqlmodel import Field, SQLModel

from libs.db import Database, SchemaError, Statement


class Grown(SQLModel, table=True):
    """Later version of a table that once had an id and a name."""

    __tablename__ = "kit_grown"
    __table_args__ = (Index("kit_grown_mark", "mark"),)

    id: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(sa_type=Text)
    mark: str = Field(sa_type=Text, sa_column_kwargs={"server_default": "[[],[]]"})
    size: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": "7"})


class Unexplained(SQLModel, table=True):
    """A later version that does not say what stands in old rows."""

    __tablename__ = "kit_unexplained"

    id: str = Field(primary_key=True, sa_type=Text)
    extra: str = Field(sa_type=Text)
    further: str = Field(sa_type=Text)


async def run(db: Database, *texts: str) -> None:
    async with db.begin() as tx:
        for text in texts:
            await tx.run(Statement(sqlite=text, postgresql=text))


async def rows(db: Database, text: str) -> list[tuple[object, ...]]:
    return await db.all(Statement(sqlite=text, postgresql=text))


async def test_a_table_of_an_earlier_version_gets_its_new_columns_and_indexes(db: Database) -> None:
    await run(
        db,
        "CREATE TABLE kit_grown (id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL)",
        "INSERT INTO kit_grown VALUES ('a', 'old')",
    )
    for _ in range(2):
        await db.create_tables([Grown])
    await run(db, "INSERT INTO kit_grown (id, name) VALUES ('b', 'of an earlier process that still runs')")
    assert await rows(db, "SELECT id, mark, size FROM kit_grown ORDER BY id") == [("a", "[[],[]]", 7), ("b", "[[],[]]", 7)]
    catalogue = Statement(
        sqlite="SELECT name FROM sqlite_master WHERE type = 'index'",
        postgresql="SELECT indexname::text FROM pg_indexes WHERE schemaname = current_schema()",
    )
    assert ("kit_grown_mark",) in await db.all(catalogue)


async def test_a_database_that_cannot_be_brought_up_is_refused_by_name_and_left_as_it_is(db: Database) -> None:
    await run(
        db,
        "CREATE TABLE kit_unexplained (id TEXT NOT NULL PRIMARY KEY)",
        "CREATE TABLE kit_grown (id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL)",
    )
    with pytest.raises(SchemaError, match=r"lacks kit_unexplained\.extra, kit_unexplained\.further"):
        await db.create_tables([Grown, Unexplained])
    await run(db, "INSERT INTO kit_grown VALUES ('a', 'still two columns')", "INSERT INTO kit_unexplained VALUES ('a')")

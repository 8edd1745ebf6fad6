"""One small face for the two databases: SQLite (embedded default) and PostgreSQL (many pods).

SQLModel classes are the schema; hot paths run statements that are compiled once and executed on the driver, never a
Session::

    FIND = Statement(select(table.c.common).where(table.c.ref == bindparam("ref")))

    db = await Database.open("sqlite:///var/lib/o2c/xref.db")     # or "sqlite://:memory:", "postgresql://user:pw@host/db"
    await db.create_tables([Row])
    rows = await db.all(FIND, ref="1-DENISE")                     # list of tuples
    async with db.begin() as tx:                                  # one commit
        await tx.run(ADD, ref="1-DENISE", common="…")
        await tx.run_many(ADD, [{"ref": …, "common": …}, …])
    async with db.snapshot() as then:                             # reads of one moment
        page = await then.all(PAGE, after=0)
    await db.close()

Columns are Text, Integer, BigInteger or Boolean; times are epoch microseconds in a BigInteger, JSON is Text. Errors:
``O2CError`` STORE_UNAVAILABLE when the database cannot be reached, LOCK_TIMEOUT on contention (both with
``retry_after``), :class:`UniqueViolation` when a unique constraint refuses a row.

A new column of an existing table says with ``sa_column_kwargs={"server_default": ...}`` what stands in rows of earlier
versions; ``create_tables`` adds it. Without that it raises :class:`SchemaError`, and the service does not start.
"""

from libs.db.database import Database, Row, Snapshot, Transaction
from libs.db.errors import SchemaError, UniqueViolation
from libs.db.postgresql import PostgresqlDatabase
from libs.db.sqlite import SqliteDatabase
from libs.db.statement import Statement, upsert

Database.adapters.update(sqlite=SqliteDatabase, postgresql=PostgresqlDatabase, postgres=PostgresqlDatabase)

__all__ = ["Database", "Row", "SchemaError", "Snapshot", "Statement", "Transaction", "UniqueViolation", "upsert"]

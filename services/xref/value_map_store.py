"""Versions of value maps in the database. Every edit is a row; nothing is changed or removed."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson
from sqlalchemy import BigInteger, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from libs.db import Database, Row, Statement, UniqueViolation
from libs.dvm import ValueMap, ValueMaps
from libs.errors import O2CError, Reason, Violation
from services.xref.domain.model import Audit
from services.xref.domain.value_maps import DELIVERY, Catalogue, MapVersion, Write, plan_delivery

ATTEMPTS = 12
"""Edits in a row that may come in between before a call answers XREF_VERSION_CONFLICT."""
BACKOFF_SECONDS = 0.002
"""Longest pause after the first edit that came in between; doubles with every further one."""
PINNED = 16
"""Past revisions held in memory, for flows that began with them."""

Plan = Callable[[Catalogue], Sequence[Write]]
"""Which maps to write, given all maps as they are."""


class ValueMapVersionRecord(SQLModel, table=True):
    """One version of one map. The unique revision puts edits of all maps in one order, across processes."""

    __tablename__ = "xref_value_map_version"
    __table_args__ = (UniqueConstraint("revision"),)

    name: str = Field(sa_type=Text, primary_key=True)
    version: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    revision: int = Field(sa_type=BigInteger)
    changed_at: int = Field(sa_type=BigInteger)
    changed_by: str = Field(sa_type=Text)
    request_id: str = Field(sa_type=Text, index=True)
    fingerprint: str = Field(sa_type=Text)
    comment: str = Field(sa_type=Text)
    body: str = Field(sa_type=Text)


_COLUMNS = "name, version, revision, changed_at, changed_by, comment, body"


def _both(sql: str) -> Statement:
    return Statement(sqlite=sql, postgresql=sql)


_NEWEST = _both("SELECT coalesce(max(revision), 0) FROM xref_value_map_version")
_SINCE = _both(f"SELECT {_COLUMNS} FROM xref_value_map_version WHERE revision > :since ORDER BY revision")
_AT = _both(
    f"SELECT {_COLUMNS} FROM xref_value_map_version AS one WHERE revision <= :at AND NOT EXISTS (SELECT 1 FROM "
    "xref_value_map_version AS later WHERE later.name = one.name AND later.version > one.version AND later.revision <= :at)"
)
_ONE = _both(f"SELECT {_COLUMNS} FROM xref_value_map_version WHERE name = :name AND version = :version")
_HISTORY = _both(
    f"SELECT {_COLUMNS} FROM xref_value_map_version WHERE name = :name AND version < :before ORDER BY version DESC LIMIT :most"
)
_BY_REQUEST = _both(
    f"SELECT {_COLUMNS}, fingerprint FROM xref_value_map_version WHERE request_id = :request_id ORDER BY revision"
)
_ADD = _both(
    "INSERT INTO xref_value_map_version (name, version, revision, changed_at, changed_by, request_id, fingerprint, "
    "comment, body) VALUES (:name, :version, :revision, :changed_at, :changed_by, :request_id, :fingerprint, :comment, :body)"
)


class ValueMapStore:
    """Reads and writes versions. Reads are of committed edits, whoever made them: one small statement tells whether there
    are new ones, and only those are fetched."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._current = Catalogue(0, {})
        self._pinned: dict[int, Catalogue] = {}
        self._editing = asyncio.Lock()

    async def current(self) -> Catalogue:
        """Every map as it is now."""
        row = await self._db.one(_NEWEST)
        if row is not None and row[0] > self._current.revision:
            self._keep(await self._db.all(_SINCE, since=self._current.revision))
        return self._current

    def _keep(self, rows: Iterable[Row]) -> None:
        known = self._current
        found = [version for version in map(_version, rows) if version.revision > known.revision]
        if found:
            self._current = Catalogue(found[-1].revision, {**known.versions, **{one.map.name: one for one in found}})

    async def at(self, revision: int) -> Catalogue:
        """Every map as it was at a revision; 0: as it is now. Raises RANGE_INVALID for one that has not been."""
        newest = await self.current()
        if revision in (0, newest.revision):
            return newest
        if not 0 < revision < newest.revision:
            message = f"there is no revision {revision}; the newest is {newest.revision}"
            raise O2CError.of(Reason.RANGE_INVALID, message, field="revision")
        if revision not in self._pinned:
            while len(self._pinned) >= PINNED:
                self._pinned.pop(next(iter(self._pinned)))
            versions = [_version(row) for row in await self._db.all(_AT, at=revision)]
            self._pinned[revision] = Catalogue(revision, {one.map.name: one for one in versions})
        return self._pinned[revision]

    async def version(self, name: str, version: int) -> MapVersion:
        """One version of the map of that name. Raises XREF_VALUE_NOT_FOUND."""
        row = await self._db.one(_ONE, name=name, version=version)
        if row is None:
            message = f"value map {name} has no version {version}"
            raise O2CError.of(
                Reason.XREF_VALUE_NOT_FOUND, message, field="version", table=name, column="version", value=str(version)
            )
        return _version(row)

    async def history(self, name: str, before: int, most: int) -> list[MapVersion]:
        """Versions below ``before``, newest first."""
        return [_version(row) for row in await self._db.all(_HISTORY, name=name, before=before, most=most)]

    async def put(
        self, plan: Plan, audit: Audit, comment: str, fingerprint: str = "", names: Sequence[str] = ()
    ) -> list[tuple[MapVersion, bool]]:
        """Write what the plan says, in one commit; plan again on fresh maps when another edit came in between.

        Answers the version of each map of the plan and whether the call made it. A call that comes again with its request id
        is answered as before, for the maps of these ``names``; another content (``fingerprint``) under that id is
        IDEMPOTENCY_CONFLICT.
        """
        async with self._editing:
            for attempt in range(ATTEMPTS):
                catalogue = await self.current()
                made = await self._made_before(audit, fingerprint)
                if made:
                    return [(made.get(name) or catalogue.versions[name], name in made) for name in names]
                planned = preview(catalogue, plan, audit, comment)
                try:
                    await self._add([version for version, changed in planned if changed], audit.request_id, fingerprint)
                except UniqueViolation:  # another process was faster
                    await asyncio.sleep(random.uniform(0, BACKOFF_SECONDS * 2**attempt))
                    continue
                return planned
        message = "other edits of value maps came first, again and again"
        raise O2CError(Violation(Reason.XREF_VERSION_CONFLICT, message, "", {"key": "value maps"}), retry_after=1.0)

    async def _add(self, versions: Sequence[MapVersion], request_id: str, fingerprint: str) -> None:
        if versions:
            extra = {"request_id": request_id, "fingerprint": fingerprint}
            async with self._db.begin() as tx:
                await tx.run_many(_ADD, [{**_record(one), **extra} for one in versions])

    async def _made_before(self, audit: Audit, fingerprint: str) -> dict[str, MapVersion]:
        rows = await self._db.all(_BY_REQUEST, request_id=audit.request_id) if audit.request_id else []
        if any(row[-1] != fingerprint for row in rows):
            message = "this request id was used for a call with other content"
            raise O2CError.of(Reason.IDEMPOTENCY_CONFLICT, message, field="request_id", request_id=audit.request_id)
        return {row[0]: _version(row[:-1]) for row in rows}

    async def deliver(self, maps: ValueMaps) -> int:
        """Bring the maps of this release to those that nobody has edited; the number of versions made."""
        return len(await self.put(lambda known: plan_delivery(known, maps), Audit(DELIVERY, ""), "delivered"))


def preview(catalogue: Catalogue, plan: Plan, audit: Audit, comment: str) -> list[tuple[MapVersion, bool]]:
    """What a plan would write on these maps: the version of each, and whether it is a new one."""
    planned: list[tuple[MapVersion, bool]] = []
    revision = catalogue.revision
    for one in plan(catalogue):
        known = catalogue.versions.get(one.map.name)
        if known is not None and not one.changed:
            planned.append((known, False))
            continue
        revision += 1
        version = known.version + 1 if known is not None else 1
        made = MapVersion(one.map, version, revision, audit.who, time.time_ns() // 1000, comment)
        planned.append((made, True))
    return planned


def _record(version: MapVersion) -> dict[str, Any]:
    one = version.map
    body = {
        "columns": one.columns,
        "rows": one.rows,
        "open": one.open,
        "aliases": one.aliases,
        "purpose": one.purpose,
        "source": one.source,
        "confidence": one.confidence,
    }
    return {
        "name": one.name,
        "version": version.version,
        "revision": version.revision,
        "changed_at": version.changed_at,
        "changed_by": version.changed_by,
        "comment": version.comment,
        "body": orjson.dumps(body).decode(),
    }


def _version(row: Row) -> MapVersion:
    name, version, revision, changed_at, changed_by, comment, text = row
    body = orjson.loads(text)
    one = ValueMap(
        name=name,
        columns=tuple(body["columns"]),
        rows=tuple(tuple(cells) for cells in body["rows"]),
        open=body["open"],
        aliases=tuple(body["aliases"]),
        purpose=body["purpose"],
        source=body["source"],
        confidence=body["confidence"],
    )
    return MapVersion(one, version, revision, changed_by, changed_at, comment)

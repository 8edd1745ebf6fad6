"""The routing table: read from a file, checked whole, taken over while the service runs; and which instances have passed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import BigInteger, Text
from sqlmodel import Field, SQLModel

from libs.config import BillingSystem, SettingsError
from libs.db import Database, Statement
from libs.errors import O2CError, Reason
from libs.routing import BillingInstance, RoutingPolicy
from libs.routing.table import read_policy, table_problems, table_version
from services.xref.domain.model import Audit
from services.xref.domain.systems import Examination, Site, Validated, effective, missing_columns
from services.xref.domain.value_maps import empty_cells
from services.xref.ledger import Ledger
from services.xref.metrics import ROUTING_TABLES_REFUSED
from services.xref.registry import Registry
from services.xref.value_map_store import ValueMapStore

_log = logging.getLogger("o2c.routing")
_RECORDS = TypeAdapter(tuple[BillingSystem, ...])


class SystemRecord(SQLModel, table=True):
    """A BRM instance that has passed its examination."""

    __tablename__ = "xref_system"

    code: str = Field(sa_type=Text, primary_key=True)
    db_no: str = Field(sa_type=Text)
    validated_at: int = Field(sa_type=BigInteger)
    validated_by: str = Field(sa_type=Text)


def _both(sql: str) -> Statement:
    return Statement(sqlite=sql, postgresql=sql)


_VALIDATED = _both("SELECT code, db_no FROM xref_system")
_PASS = _both(
    "INSERT INTO xref_system (code, db_no, validated_at, validated_by) VALUES (:code, :db_no, :now, :who) "
    "ON CONFLICT (code) DO UPDATE SET db_no = excluded.db_no, validated_at = excluded.validated_at, "
    "validated_by = excluded.validated_by WHERE xref_system.db_no <> excluded.db_no"
)
_OTHER_VALUE = _both(
    "SELECT t.value FROM xref_cell AS t JOIN xref_column AS c ON c.id = t.column_id "
    "WHERE c.name = :code AND t.value NOT LIKE :own LIMIT 1"
)
"""A value in an instance's columns that is not of its database."""


class RoutingSite:
    """Holds the table in force. Reading it costs nothing; :meth:`refresh` looks for news."""

    def __init__(
        self,
        db: Database,
        registry: Registry,
        ledger: Ledger,
        value_maps: ValueMapStore,
        systems: Sequence[BillingSystem],
        file: Path | None,
        *,
        billing_care: bool,
    ) -> None:
        """``systems``: the instances, unless the file lists them; ``billing_care``: unless the file says."""
        self._db = db
        self._registry = registry
        self._ledger = ledger
        self._value_maps = value_maps
        self._systems = tuple(systems)
        self._file = file
        self._billing_care = billing_care
        self._seen: bytes | None = None
        self._settling: bytes | None = None
        self._listed: tuple[RoutingPolicy, tuple[BillingSystem, ...]] = (RoutingPolicy(()), ())
        self._validated: dict[str, Validated] = {}
        self.site = Site(RoutingPolicy(()), "", (), 0)
        self.refused = ""
        """What is wrong with the file as it is now; empty while it is in force."""

    async def start(self) -> None:
        """Take the table, and examine instances that have not passed yet. Raises ``SettingsError`` with everything wrong."""
        self._listed = self._read()
        await self._examine_new()

    async def follow(self, seconds: float) -> None:
        """Look for news for ever."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.refresh()
            except O2CError:
                _log.warning("the routing table could not be looked at; the one in force stays", exc_info=True)

    async def refresh(self) -> None:
        """Take over a changed file, or keep the table when the new one is wrong; see what other processes let pass."""
        if self._settled():
            try:
                self._listed = self._read()
            except SettingsError as error:
                if self.refused != str(error):
                    ROUTING_TABLES_REFUSED.inc()
                    _log.error("a new routing table is refused, the one in force stays: %s", error)
                self.refused = str(error)
            else:
                self.refused = ""
                await self._examine_new()
                return
        await self._take()

    def _settled(self) -> bool:
        """Whether the file has changed and holds the same as when it was looked at last: a file being written is left alone."""
        if self._file is None:
            return False
        content, before = _content(self._file), self._settling
        self._settling = content
        return content == before and content != self._seen

    async def validate(self, code: str, who: str, request_id: str, *, validate_only: bool) -> Examination:
        """Examine an instance, and let it take part when it lacks nothing. Raises ROUTE_SYSTEM_UNKNOWN."""
        await self.refresh()
        system = next((one for one in self.site.systems if one.code == code), None)
        if system is None:
            known = ", ".join(one.code for one in self.site.systems) or "none"
            message = f"{code[:64]!r} is no billing system of this site; known: {known}"
            raise O2CError.of(Reason.ROUTE_SYSTEM_UNKNOWN, message, field="system_id", system=code[:64])
        found = await self._examine(system, Audit(who, request_id), add=not validate_only)
        if not validate_only and not found.problems(system.db_no):
            await self._pass(system, who)
            await self._take()
        return found

    # --- the file --------------------------------------------------------------------------------------------------------

    def _read(self) -> tuple[RoutingPolicy, tuple[BillingSystem, ...]]:
        """The table as listed. Raises ``SettingsError`` naming the file and everything wrong with it."""
        document: dict[str, Any] = {}
        if self._file is not None:
            self._seen = _content(self._file)
            if self._seen is None:
                raise SettingsError(f"{self._file}: cannot be read")
            try:
                document = tomllib.loads(self._seen.decode())
            except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
                raise SettingsError(f"{self._file}: {error}") from error
        problems: list[str] = []
        systems = self._systems
        if "billing_systems" in document:
            systems, problems = _systems(document["billing_systems"])
        problems += table_problems(document, [one.code for one in systems])
        if problems:
            raise SettingsError(f"{self._file}: {'; '.join(problems)}")
        instances = [BillingInstance(one.code, one.enabled, one.read_only) for one in systems]
        return read_policy(document, instances, billing_care=self._billing_care), systems

    # --- examinations ----------------------------------------------------------------------------------------------------

    async def _examine_new(self) -> None:
        """Examine listed instances that have not passed; those that lack nothing pass at once."""
        await self._load_validated()
        problems: dict[str, tuple[str, ...]] = {}
        for system in self._listed[1]:
            known = self._validated.get(system.code)
            if known is None or known.db_no != system.db_no:
                found = await self._examine(system, Audit("o2c", "", reason=f"{system.code} is listed"), add=True)
                problems[system.code] = found.problems(system.db_no)
                if not problems[system.code]:
                    await self._pass(system, "o2c")
        await self._take(problems)

    async def _examine(self, system: BillingSystem, audit: Audit, *, add: bool) -> Examination:
        await self._registry.load()
        tables = missing_columns(self._registry.tables, system.code)
        if add:
            await self._registry.register(tables, audit, self._ledger)
        maps = (await self._value_maps.current()).maps()
        empty = {name: values for name, values in empty_cells(maps, system.code) if values}
        foreign = ""
        known = self._validated.get(system.code)
        if known is not None and known.db_no != system.db_no:
            left = await self._db.one(_OTHER_VALUE, code=system.code, own=f"{system.db_no} %")
            foreign = known.db_no if left is not None else ""
        return Examination(system.code, tuple(table.name for table in tables), empty, foreign)

    async def _pass(self, system: BillingSystem, who: str) -> None:
        async with self._db.begin() as tx:
            await tx.run(_PASS, code=system.code, db_no=system.db_no, now=time.time_ns() // 1000, who=who)
        _log.info("%s has passed its examination", system.code)

    async def _load_validated(self) -> None:
        self._validated = {code: Validated(code, db_no) for code, db_no in await self._db.all(_VALIDATED)}

    async def _take(self, problems: dict[str, tuple[str, ...]] | None = None) -> None:
        """Put what is listed and what has passed into force, in one step."""
        await self._load_validated()
        listed, systems = self._listed
        policy = effective(listed, systems, self._validated)
        waiting = {one.code for one in systems} - {
            one.code for one in systems if one.code in self._validated and self._validated[one.code].db_no == one.db_no
        }
        kept = {code: text for code, text in {**self.site.problems, **(problems or {})}.items() if code in waiting and text}
        version = table_version(policy)
        if (version, systems, kept) != (self.site.version, self.site.systems, self.site.problems):
            self.site = Site(policy, version, systems, time.time_ns() // 1000, kept)
            _log.info("routing table %s is in force", version)


def _content(file: Path) -> bytes | None:
    """What the file holds; ``None`` when it cannot be read. It is small, and its content tells more than its time does."""
    with contextlib.suppress(OSError):
        return file.read_bytes()
    return None


def _systems(given: Any) -> tuple[tuple[BillingSystem, ...], list[str]]:
    try:
        systems = _RECORDS.validate_python(given)
    except ValidationError as error:
        wrong = error.errors(include_input=False)
        return (), [f"billing_systems.{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in wrong]
    codes = [one.code for one in systems]
    twice = [f"billing_systems: {code} occurs twice" for code in dict.fromkeys(codes) if codes.count(code) > 1]
    return systems, twice

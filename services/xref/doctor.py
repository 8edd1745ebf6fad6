"""One run of the doctor: load, read BRM class by class, merge, look again, report."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from libs.brm.errors import BrmError
from libs.config import BillingSystem
from libs.errors import O2CError, Reason, Violation
from libs.xref.brm_objects import BrmClass, brm_classes
from libs.xref.model import XrefKey
from libs.xref.rows import Rows, StoredRow
from services.xref.brm_reader import BrmReader
from services.xref.doctor_scratch import Scratch
from services.xref.doctor_store import DoctorStore, tables_with
from services.xref.domain.diagnosis import (
    Absent,
    Unreferenced,
    judge_absent,
    judge_crossed,
    judge_doubled,
    judge_unreferenced,
)
from services.xref.domain.doctor import (
    NOWHERE,
    BrmObject,
    Finding,
    FindingKind,
    LiveCell,
    Place,
    RowNow,
    Stage,
    Suspect,
    Values,
    absent,
    key_columns,
    merge,
    poid_of,
    same_object,
)

BATCH = 500
"""Suspects looked at again at once."""
PROGRESS_EVERY = 25
"""Pages of objects between two signs of life."""


REFUSALS = frozenset({Reason.BRM_REJECTED, Reason.BRM_ERROR})
"""How BRM answers a question about a schema that it does not have."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a run stands: in which class, behind which suspect."""

    brm_class: str = ""
    place: Place = NOWHERE


@dataclass(slots=True)
class Progress:
    """How far a run is."""

    brm_class: str = ""
    objects: int = 0
    values: int = 0
    findings: Counter[FindingKind] = field(default_factory=Counter)
    done: bool = False


@dataclass(frozen=True, slots=True)
class Reported:
    """Something to tell, and where to go on behind it."""

    what: Finding | Progress
    cursor: Cursor | None = None


@dataclass(frozen=True, slots=True)
class Examination:
    """What to compare."""

    system: BillingSystem
    tables: Sequence[str]
    """On what to report; empty: on all."""
    db_numbers: Sequence[str]
    cursor: Cursor


@dataclass(slots=True)
class Doctor:
    """Compares cross-references with BRM instances."""

    store: DoctorStore
    reader: BrmReader
    systems: Mapping[str, BillingSystem]

    def system(self, code: str) -> BillingSystem:
        """A billing system that can be asked. Raises ROUTE_SYSTEM_UNKNOWN; ROUTE_SYSTEM_DISABLED for one without endpoint."""
        found = self.systems.get(code)
        if found is None:
            known = ", ".join(sorted(self.systems)) or "none"
            raise O2CError.of(
                Reason.ROUTE_SYSTEM_UNKNOWN, f"{code!r} is no billing system; known: {known}", field="system", system=code
            )
        if not found.endpoint:
            message = f"{code} has no endpoint in the settings of this service, so it cannot be compared with"
            raise O2CError.of(Reason.ROUTE_SYSTEM_DISABLED, message, field="system", system=code)
        return found

    def require_tables(self, system: str, tables: Sequence[str], path: str) -> None:
        """Raises XREF_TABLE_UNKNOWN for tables that hold no ids of BRM objects of the system; ``path`` may have a ``{}``."""
        known = tables_with(system, self.store.registry)
        O2CError.raise_all(
            Violation(
                Reason.XREF_TABLE_UNKNOWN,
                f"{table!r} is no table with ids of BRM objects of {system}; such are {', '.join(sorted(known))}",
                path.format(at),
                {"table": table, "column": system, "value": ""},
            )
            for at, table in enumerate(tables)
            if table not in known
        )

    async def examine(self, order: Examination) -> AsyncIterator[Reported]:
        """Findings and progress, and at the end the whole as a progress that is ``done``."""
        wanted = set(order.tables or tables_with(order.system.code, self.store.registry))
        classes = [each for each in brm_classes().values() if wanted.intersection(each.tables)]
        loaded = {table for each in classes for table in each.tables} & set(tables_with(order.system.code, self.store.registry))
        progress = Progress()
        with Scratch() as scratch:
            await self.store.load(order.system.code, loaded, scratch)
            run = _Run(self, order, scratch, wanted, progress)
            for declared in _from(classes, order.cursor):
                async for reported in run.compare(declared):
                    yield reported
        progress.done = True
        yield Reported(progress)


def _from(classes: Sequence[BrmClass], cursor: Cursor) -> Iterator[BrmClass]:
    names = [each.name for each in classes]
    if cursor.brm_class and cursor.brm_class not in names:
        raise O2CError.of(Reason.PAGE_TOKEN_INVALID, "this is no cursor of a run with these tables", field="cursor")
    return iter(classes[names.index(cursor.brm_class) :] if cursor.brm_class else classes)


@dataclass(slots=True)
class _Run:
    """One run."""

    doctor: Doctor
    order: Examination
    scratch: Scratch
    wanted: set[str]
    progress: Progress

    @property
    def _code(self) -> str:
        return self.order.system.code

    async def compare(self, declared: BrmClass) -> AsyncIterator[Reported]:
        """One class: all suspects first, for one may explain another; then each is looked at again."""
        self.progress.brm_class = declared.name
        self.scratch.clear_suspects()
        dbs = self._db_numbers()
        pages = 0
        for db in dbs:
            values = Values(self.scratch.live(declared.name, db))
            async for page in self._pages(declared, db):
                before = values.count
                self.scratch.add_suspects(merge(declared, page, values))
                self.progress.objects += len(page)
                self.progress.values += values.count - before
                pages += 1
                if pages % PROGRESS_EVERY == 0:
                    yield Reported(self.progress)
            before = values.count
            self.scratch.add_suspects(absent(values.below(2**63)))
            self.progress.values += values.count - before
        self.scratch.add_suspects(absent(self.scratch.live_elsewhere(declared.name, dbs)))
        yield Reported(self.progress)
        async for reported in self._judge(declared):
            yield reported

    async def _pages(self, declared: BrmClass, db: str) -> AsyncIterator[list[BrmObject]]:
        """The objects in one schema. One that only values speak of may not exist: BRM refuses it, and there are none."""
        try:
            async for page in self.doctor.reader.sweep(self._code, db, declared):
                yield page
        except BrmError as error:
            guessed = db != self.order.system.db_no and db not in self.order.db_numbers
            if not guessed or error.violations[0].reason not in REFUSALS:
                raise

    def _db_numbers(self) -> list[str]:
        """The schemas to read: those given, or the configured one with those that occur and are no other instance's."""
        if self.order.db_numbers:
            return sorted(set(self.order.db_numbers))
        own = self.order.system.db_no
        others = {each.db_no for each in self.doctor.systems.values()} - {own}
        return sorted({own} | (self.scratch.db_numbers() - others))

    async def _judge(self, declared: BrmClass) -> AsyncIterator[Reported]:
        cursor = self.order.cursor
        place = cursor.place if cursor.brm_class == declared.name else NOWHERE
        while True:
            suspects = self.scratch.suspects(place, BATCH)
            rows = await self.doctor.store.rows(self._keys(declared, suspects))
            for suspect in suspects:
                place = suspect.place
                finding = await self._finding(declared, suspect, rows)
                if finding is not None and self._is_wanted(declared, finding):
                    self.progress.findings[finding.kind] += 1
                    yield Reported(finding, Cursor(declared.name, place))
            if len(suspects) < BATCH:
                return

    def _is_wanted(self, declared: BrmClass, finding: Finding) -> bool:
        tables = declared.tables if finding.kind is FindingKind.ORPHAN else (finding.table,)
        return bool(self.wanted.intersection(tables))

    def _keys(self, declared: BrmClass, suspects: Sequence[Suspect]) -> set[XrefKey]:
        """Every value by which rows that concern the suspects may be found."""
        keys = set()
        columns = key_columns(declared, self.doctor.store.crm_systems)
        for suspect in suspects:
            if suspect.cell is not None:
                keys.add(XrefKey(suspect.cell.table, self._code, suspect.cell.value))
            if suspect.object is not None:
                keys |= {XrefKey(table, self._code, suspect.object.text) for table in declared.tables}
                if suspect.object.key:
                    keys |= {XrefKey(table, column, suspect.object.key) for table in declared.tables for column in columns}
        return keys

    async def _finding(self, declared: BrmClass, suspect: Suspect, rows: Rows) -> Finding | None:
        cell, found = suspect.cell, suspect.object
        if cell is not None:
            row = rows.find(XrefKey(cell.table, self._code, cell.value))
            if row is None or row.row_id != cell.row_id:
                return None  # it has been changed meanwhile
        if suspect.stage is Stage.DOUBLED and found and cell:
            return judge_doubled(self._code, found, cell)
        if suspect.stage is Stage.CROSSED and found and cell:
            return judge_crossed(self._code, found, cell, self._owner(declared, found, rows))
        if suspect.stage is Stage.UNREFERENCED and found:
            return await self._unreferenced(declared, found, rows)
        assert cell is not None
        return await self._absent(declared, cell)

    def _owner(self, declared: BrmClass, found: BrmObject, rows: Rows) -> RowNow | None:
        """The row whose key an object tells."""
        store = self.doctor.store
        keys = (
            XrefKey(table, column, found.key)
            for table in declared.tables
            for column in key_columns(declared, store.crm_systems)
            if found.key
        )
        row = next((row for row in map(rows.find, keys) if row is not None), None)
        return store.row_now(self._code, declared, row) if row else None

    async def _unreferenced(self, declared: BrmClass, found: BrmObject, rows: Rows) -> Finding | None:
        named = [rows.find(XrefKey(table, self._code, found.text)) for table in declared.tables]
        owner = self._owner(declared, found, rows)
        if any(named) or (owner and any(same_object(value, found.text) for value in owner.values)):
            return None  # it has been linked meanwhile
        gone = self.scratch.gone(declared.name, found.db, found.id)
        gone_row = await self._row_of(declared, gone.row_id) if gone else None
        rivals = sum(each != found for each in self.scratch.unreferenced(found.key)) if found.key else 0
        stages = self.scratch.stages_of(owner.table, owner.row_id) if owner and owner.values else []
        value_stages = {stage for stage, value in stages if owner and value in owner.values}
        crossed = Stage.CROSSED in value_stages
        value_absent = Stage.ABSENT in value_stages
        if value_absent and owner:
            crossed = crossed or bool(await self._elsewhere(declared, owner.values[0], owner.key))
        return judge_unreferenced(
            self._code,
            declared,
            Unreferenced(found, self._key_column(declared), owner, rivals, value_absent, crossed, gone, gone_row),
        )

    def _key_column(self, declared: BrmClass) -> str:
        """The column in which a new row would have the id that objects tell."""
        return next(iter(key_columns(declared, self.doctor.store.crm_systems)), "")

    async def _row_of(self, declared: BrmClass, row_id: int) -> RowNow | None:
        found: dict[int, StoredRow] = await self.doctor.store.by_ids([row_id])
        row = found.get(row_id)
        return self.doctor.store.row_now(self._code, declared, row) if row else None

    async def _absent(self, declared: BrmClass, cell: LiveCell) -> Finding | None:
        own = self.scratch.unreferenced(cell.key) if cell.keyed else []
        elsewhere = await self._elsewhere(declared, cell.value, cell.key if cell.keyed else "")
        value = ""
        if elsewhere:
            row = (await self.doctor.store.by_ids([cell.row_id])).get(cell.row_id)
            value = next((each.value for each in row.of(elsewhere)), "") if row else ""
        exists = bool(elsewhere) and await self._exists(elsewhere, declared, cell.value)
        seen = Absent(cell, elsewhere, value, exists, own[0] if own else None)
        return judge_absent(self._code, declared, seen)

    async def _elsewhere(self, declared: BrmClass, value: str, key: str) -> str:
        """The other instance a value belongs to: by its database number, or, where instances share one, by what they hold."""
        poid = poid_of(value)
        if poid is None or not declared.holds(poid.type):
            return ""
        for code, other in self.doctor.systems.items():
            if code == self._code or other.db_no != poid.db:
                continue
            if poid.db not in self._db_numbers():
                return code
            found = await self.doctor.reader.read(code, poid, declared) if other.endpoint else None
            if found is not None and (not key or not found.key or found.key == key):
                return code
        return ""

    async def _exists(self, code: str, declared: BrmClass, value: str) -> bool:
        poid = poid_of(value)
        if poid is None or not self.doctor.systems[code].endpoint:
            return False
        return await self.doctor.reader.read(code, poid, declared) is not None

"""Cross-references in memory, for tests and dry runs: the same rules as the service, one process, nothing kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from libs.errors import O2CError, Violation
from libs.ids import new_id
from libs.xref import rules
from libs.xref.model import COMMON, Mode, Origin, XrefCell, XrefDelete, XrefKey, XrefRow, XrefTable, XrefWrite
from libs.xref.rows import CellAdded, CellRemoved, Rows, StoredRow
from libs.xref.tables import standard_tables


class FakeXref:
    """An :class:`libs.xref.client.XrefPort` over a dictionary. Knows the standard tables of BRM_01 and BRM_02 unless told."""

    def __init__(self, tables: Iterable[XrefTable] | None = None) -> None:
        known = standard_tables(("BRM_01", "BRM_02")) if tables is None else tables
        self.tables: dict[str, XrefTable] = {table.name: table for table in known}
        self.rows = Rows()
        self.calls: list[str] = []
        """Names of the port methods called, in order: what a test counts round trips with."""
        self._row_ids = count(1)

    async def get_or_create(
        self, keys: Sequence[XrefKey], column: str = COMMON, origin: Origin | None = None
    ) -> dict[XrefKey, str]:
        """The value of ``column`` per key, created where absent. One refused key: nothing is created at all."""
        self.calls.append("get_or_create")
        unique = tuple(dict.fromkeys(keys))
        violations: list[Violation] = []
        for index, key in enumerate(unique):
            violations += rules.get_or_create_violations(self.tables, key, column, f"keys[{index}].", "column")
        O2CError.raise_all(violations)
        for index, key in enumerate(unique):
            row = self.rows.find(key)
            rules.single_value(row.of(column) if row else (), key.table, column, key.ref_value, f"keys[{index}].ref_value")
        return {key: self._value_of(key, column) for key in unique}

    def _value_of(self, key: XrefKey, column: str) -> str:
        row = self.rows.find(key)
        if row is None:
            row = StoredRow(next(self._row_ids), key.table, [XrefCell(key.ref_column, key.ref_value)])
            self.rows.put(row)
        cells = row.of(column)
        if not cells:
            self.rows.apply([CellAdded(row.row_id, key.table, XrefCell(column, new_id()), 0)], row)
            cells = row.of(column)
        return cells[0].value

    async def lookup(self, keys: Sequence[XrefKey]) -> dict[XrefKey, XrefRow]:
        """The row of each key; a row that is not there has no cells."""
        self.calls.append("lookup")
        violations: list[Violation] = []
        for index, key in enumerate(keys):
            violations += rules.key_violations(self.tables, key, f"keys[{index}].")
        O2CError.raise_all(violations)
        found = {key: self.rows.find(key) for key in keys}
        return {key: row.frozen(self.tables[key.table]) if row else XrefRow() for key, row in found.items()}

    async def populate(self, items: Sequence[XrefWrite], origin: Origin | None = None) -> None:
        """Write all; items that can be written are, and then O2CError carries the refusals of the others."""
        self.calls.append("populate")
        violations: list[Violation] = []
        for index, item in enumerate(items):
            prefix = f"items[{index}]."
            found = rules.write_violations(self.tables, item, prefix)
            if not found:
                try:
                    changes = rules.decide(self.rows, item, lambda: next(self._row_ids), prefix)
                    self.rows.apply(changes, self.rows.find(item.key))
                except O2CError as refusal:
                    found.extend(refusal.violations)
            violations += found
        O2CError.raise_all(violations)

    async def delete(self, items: Sequence[XrefDelete], origin: Origin | None = None) -> None:
        """Remove values; those that can be are, and then O2CError carries the refusals of the others."""
        self.calls.append("delete")
        violations: list[Violation] = []
        for index, item in enumerate(items):
            prefix = f"items[{index}]."
            found = rules.delete_violations(self.tables, item, prefix)
            if not found:
                try:
                    changes = rules.decide_delete(self.rows, item, prefix)
                except O2CError as refusal:
                    found.extend(refusal.violations)
                else:
                    self.rows.apply(changes, self.rows.find(item.key))
                    self.rows.retired |= {
                        XrefKey(c.table, COMMON, c.cell.value)
                        for c in changes
                        if isinstance(c, CellRemoved) and c.cell.column == COMMON
                    }
            violations += found
        O2CError.raise_all(violations)

    def seed(self, rows: Iterable[tuple[str, Mapping[str, str]]]) -> None:
        """Put rows in without ceremony: ``(table, {column: value})``, at least two columns each."""
        for table, cells in rows:
            (ref_column, ref_value), *others = cells.items()
            mode = Mode.ADD
            for column, value in others:
                write = XrefWrite(table, ref_column, ref_value, column, value, mode)
                O2CError.raise_all(rules.write_violations(self.tables, write))
                changes = rules.decide(self.rows, write, lambda: next(self._row_ids))
                self.rows.apply(changes, self.rows.find(write.key))
                mode = Mode.LINK

"""What an account migration moved, as BRM keeps it: ``MIGRATED_OBJECTS_T`` dumped as CSV, batch by batch.

Columns, by name and in any order: BATCH_ID, OLD_ID, NEW_ID, and optionally TABLE_NAME, a cross-reference table, where the ids
are not to be looked for in all (Guide: appendix M). The names of BRM's own columns are [recall]; rename them in the query that
makes the dump. Ids are POIDs as text; their revision is taken for 0, as the suite records the objects it creates.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Final, NamedTuple

from libs.brm.poid import Poid, PoidError
from libs.errors import O2CError
from libs.xref.csv_files import lines_of
from libs.xref.transfer import invalid

COLUMNS: Final = ("BATCH_ID", "OLD_ID", "NEW_ID", "TABLE_NAME")
_NEEDED: Final = COLUMNS[:3]


class Moved(NamedTuple):
    """An object that has a new id."""

    line: int
    table: str
    old: str
    new: str


def read_batches(file: IO[str]) -> Iterator[tuple[str, list[Moved]]]:
    """(batch, its objects), as they stand in the file. Raises XREF_IMPORT_INVALID with the line.

    The lines of a batch stand together: a batch in two places would be two, and one of them could be missed.
    """
    lines = lines_of(file)
    _, header = next(lines, (0, []))
    names = [name.strip().upper() for name in header]
    wrong = [name for name in _NEEDED if name not in names] or [name for name in names if name not in COLUMNS]
    if wrong or len(set(names)) < len(names):
        raise O2CError(invalid(f"the header is not {','.join(_NEEDED)} with or without TABLE_NAME", "header", line=1))
    at = {name: names.index(name) for name in names}
    seen: set[str] = set()
    batch, moved = "", list[Moved]()
    for line, fields in lines:
        if len(fields) != len(names):
            raise O2CError(invalid(f"{len(fields)} fields where {len(names)} are expected", line=line))
        of = fields[at["BATCH_ID"]].strip()
        if of != batch and moved:
            yield batch, moved
            moved = []
        if of != batch or not seen:
            if of in seen:
                raise O2CError(invalid(f"batch {of} stands in two places; sort the file by batch", "BATCH_ID", line=line))
            seen.add(of)
            batch = of
        table = fields[at["TABLE_NAME"]].strip() if "TABLE_NAME" in at else ""
        old, new = (_without_revision(fields[at[name]], name, line) for name in ("OLD_ID", "NEW_ID"))
        moved.append(Moved(line, table, old, new))
    if moved:
        yield batch, moved


def _without_revision(text: str, name: str, line: int) -> str:
    try:
        poid = Poid.parse(text)
    except PoidError as error:
        raise O2CError(invalid(str(error), name, line=line)) from error
    return str(Poid(poid.db, poid.type, poid.id))

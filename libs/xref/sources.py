"""Look-ups by ids of a source system that a request names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from libs.errors import O2CError, Reason, Violation
from libs.xref.client import XrefKey, XrefPort, XrefRow


async def lookup_of_source(xref: XrefPort, keys: Sequence[XrefKey], source_system: str, field: str) -> dict[XrefKey, XrefRow]:
    """As ``xref.lookup``. Raises XREF_COLUMN_UNKNOWN once, with the ``field`` of the request that names the source system, when
    the cross-references have none of that name: their own words are about keys, which the caller has not sent."""
    try:
        return await xref.lookup(keys)
    except O2CError as error:
        unknown = (each.reason is Reason.XREF_COLUMN_UNKNOWN for each in error.violations)
        if all(unknown) and all(each.metadata.get("column") == source_system for each in error.violations):
            message, metadata = f"{source_system} is not a known source system", {"column": source_system, "field": field}
            raise O2CError(Violation(Reason.XREF_COLUMN_UNKNOWN, message, field, metadata)) from error
        raise


def column_of(found: Mapping[tuple[str, str], XrefRow], table: str, column: str) -> dict[str, str]:
    """What the rows of a table have in a column, by their ids in the source system; rows without a value are left out."""
    values = {source_id: row.value(column) for (name, source_id), row in found.items() if name == table}
    return {source_id: value for source_id, value in values.items() if value}

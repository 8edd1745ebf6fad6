"""Value maps as the service keeps them: versions, edits and translations. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from libs.dvm import ValueMap, ValueMaps, catalogue_violations, map_violations, unmapped
from libs.errors import O2CError, Reason, Violation
from libs.xref.rules import batch_violations, value_violations

DELIVERY = "o2c"
"""Who makes the versions that come with a release."""
MAX_COMMENT = 500


@dataclass(frozen=True, slots=True)
class MapVersion:
    """One version of one map, and how it came about."""

    map: ValueMap
    version: int
    revision: int
    """Counts the edits of all maps together; a flow that pins one sees every map as it was then."""
    changed_by: str
    changed_at: int
    """Epoch microseconds."""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every map at one revision."""

    revision: int
    versions: Mapping[str, MapVersion]

    def find(self, name: str) -> MapVersion | None:
        """The map of that name or alias."""
        known = self.versions.get(name)
        if known is not None:
            return known
        return next((one for one in self.versions.values() if name in one.map.aliases), None)

    def get(self, name: str, field: str) -> MapVersion:
        """As :meth:`find`; raises XREF_TABLE_UNKNOWN."""
        found = self.find(name)
        if found is None:
            metadata = {"table": name[:64], "column": "", "value": ""}
            raise O2CError(Violation(Reason.XREF_TABLE_UNKNOWN, f"there is no value map {name[:64]!r}", field, metadata))
        return found

    def maps(self) -> ValueMaps:
        """The maps without their history."""
        return ValueMaps(one.map for one in self.versions.values())


@dataclass(frozen=True, slots=True)
class Proposal:
    """A map as somebody wants it."""

    map: ValueMap
    expected_version: int | None
    """The version that was edited, 0 for none; ``None`` when it does not matter."""
    path: str = "map"
    version_path: str = "expected_version"


@dataclass(frozen=True, slots=True)
class Write:
    """A map to write; ``changed`` is false where the map is so already, and nothing is written."""

    map: ValueMap
    changed: bool = True


@dataclass(frozen=True, slots=True)
class Translated:
    """Outcome of one value."""

    value: str = ""
    passed_through: bool = False
    missing: Violation | None = None


def plan_put(catalogue: Catalogue, proposals: Sequence[Proposal], comment: str = "") -> list[Write]:
    """What to write per proposal; nothing where the map is so already, whatever version was expected: the edit was made.

    Raises O2CError with every violation of all proposals; XREF_VERSION_CONFLICT only when nothing else is wrong.
    """
    wrong: list[Violation] = []
    if len(comment) > MAX_COMMENT:
        wrong.append(_range(f"a comment has at most {MAX_COMMENT} characters", "comment"))
    names = [proposal.map.name for proposal in proposals]
    for index, proposal in enumerate(proposals):
        wrong += map_violations(proposal.map, proposal.path)
        others = [one.map for one in catalogue.versions.values() if one.map.name not in names]
        others += [other.map for other in proposals if other is not proposal]
        wrong += catalogue_violations(proposal.map, others, proposal.path)
        if proposal.map.name in names[:index]:
            wrong.append(_range(f"map {proposal.map.name} is given twice", f"{proposal.path}.name"))
    O2CError.raise_all(wrong)
    writes: list[Write] = []
    for proposal in proposals:
        known = catalogue.versions.get(proposal.map.name)
        changed = known is None or known.map != proposal.map
        writes.append(Write(proposal.map, changed))
        if changed:
            wrong += _conflict(proposal, known)
    O2CError.raise_all(wrong)
    return writes


def plan_delivery(catalogue: Catalogue, delivered: ValueMaps) -> list[Write]:
    """Maps that a start brings: new ones, and newer forms of those that nobody has edited."""
    found = []
    for one in delivered.maps:
        known = catalogue.versions.get(one.name)
        taken = any(catalogue_violations(one, (other.map for other in catalogue.versions.values())))
        if (known is None and not taken) or (known is not None and known.changed_by == DELIVERY and known.map != one):
            found.append(Write(one))
    return found


def kept_beside(catalogue: Catalogue, imported: ValueMap) -> ValueMap:
    """An imported map with what such files cannot say taken from the one it replaces."""
    known = catalogue.versions.get(imported.name)
    if known is None:
        return imported
    same = known.map.columns == imported.columns and known.map.rows == imported.rows
    return dataclasses.replace(
        imported,
        open=known.map.open,
        aliases=known.map.aliases,
        purpose=imported.purpose or known.map.purpose,
        source=known.map.source if same else imported.source,
        confidence=known.map.confidence if same else imported.confidence,
    )


def translate(catalogue: Catalogue, name: str, source: str, target: str, values: Sequence[str]) -> list[Translated]:
    """One outcome per value, in order.

    Raises O2CError: XREF_TABLE_UNKNOWN, XREF_COLUMN_UNKNOWN for a source column the map does not have, XREF_BATCH_TOO_LARGE,
    and XREF_VALUE_EMPTY or XREF_VALUE_INVALID per value. A target column that the map does not have yet maps nothing, like a
    column whose cells are empty; there is no falling back on another column.
    """
    O2CError.raise_all(batch_violations(len(values), "values"))
    one = catalogue.get(name, "map").map
    wrong = [found for at, value in enumerate(values) for found in value_violations(value, f"values[{at}]", one.name, source)]
    if source not in one.columns:
        details = {"table": one.name, "column": source[:64], "field": "system_from"}
        message = f"value map {one.name} has no column {source[:64]!r}"
        wrong.insert(0, Violation(Reason.XREF_COLUMN_UNKNOWN, message, "system_from", details))
    if not target:
        details = {"table": one.name, "column": "", "field": "system_to"}
        wrong.append(Violation(Reason.XREF_COLUMN_UNKNOWN, "no column is wanted", "system_to", details))
    O2CError.raise_all(wrong)
    return [_translated(one, value, source, target, f"values[{at}]") for at, value in enumerate(values)]


def _translated(one: ValueMap, value: str, source: str, target: str, field: str) -> Translated:
    found = one.listed(value, source, target)
    if found is not None:
        return Translated(found)
    if one.open:
        return Translated(value, passed_through=True)
    return Translated(missing=unmapped(one.name, value, target[:64], field))


def empty_cells(maps: ValueMaps, column: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Per map that billing systems have columns in: COMMON values for which ``column`` says nothing."""
    for one in maps.maps:
        if any(name.startswith("BRM_") for name in one.columns):
            missing = one.common_values_without(column)
            if missing or column not in one.columns:
                yield one.name, missing


def _conflict(proposal: Proposal, known: MapVersion | None) -> Iterator[Violation]:
    version = known.version if known is not None else 0
    if proposal.expected_version is not None and proposal.expected_version != version:
        by = f", by {known.changed_by or 'somebody'}" if known is not None else ""
        message = f"map {proposal.map.name} is at version {version}{by}; version {proposal.expected_version} was edited"
        yield Violation(Reason.XREF_VERSION_CONFLICT, message, proposal.version_path, {"key": proposal.map.name})


def _range(message: str, field: str) -> Violation:
    return Violation(Reason.RANGE_INVALID, message, field, {"field": field})

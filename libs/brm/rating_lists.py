"""Special rating lists as BRM holds them, and how they become other ones."""

from __future__ import annotations

from collections.abc import Iterable

from libs.brm import calls
from libs.brm.flist import Flist


def entries_of(profile: Flist) -> dict[int, str]:
    """Values of a list by element; one that has ended counts as another one, so that it goes when the list is replaced."""
    held = profile.get("DATA_ARRAY") or {}
    return {int(at): "" if not entry or entry.get("VALID_TO") else str(entry.get("VALUE")) for at, entry in held.items()}


def replaced_entries(held: Iterable[int], values: Iterable[str]) -> dict[int, calls.ProfileEntry | None]:
    """Entries of a change after which a list has these values and no others: elements that BRM ``held`` go, and the new ones
    take the first places."""
    gone: dict[int, calls.ProfileEntry | None] = dict.fromkeys(held)
    return gone | {at: calls.ProfileEntry(calls.NUMBER, value) for at, value in enumerate(values)}

"""Who is below whom in the account hierarchy: what has to change so that it becomes as wanted (customer-sync 5.1, 6.3).

BRM keeps one group per account that has others right below it; an account is a member of at most one, and that group's owner
is its parent. So "B among the children of A" and "A is the parent of B" are one fact, stored once. An account without children
needs no group of its own: its parent side is the membership.

Orders and edits both come here with what they want; the answer is the least that makes it so.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MOST_MEMBERS: Final = 1000
"""Accounts that one call can name: BRM refuses longer arrays."""


class GroupAction(StrEnum):
    """What is done to the group of a parent account: one BRM call each."""

    CREATE = "CREATE"
    """The parent has no group yet: it is made, with the members that have no parent so far (perhaps none)."""
    JOIN = "JOIN"
    """Members that have no parent so far come in."""
    MOVE = "MOVE"
    """Members of other groups come over; they leave the old one by it."""
    LEAVE = "LEAVE"
    """Members go, and have no parent then."""


@dataclass(frozen=True, slots=True)
class GroupChange:
    """One call: what happens to the group of ``parent_id``, and to whom."""

    action: GroupAction
    parent_id: str
    member_ids: tuple[str, ...] = ()
    part: int = 0
    """How many calls of this kind for the same parent come before it; there are several when one cannot name all members."""

    @property
    def key(self) -> str:
        """Key of its step in a plan."""
        number = f"-{self.part + 1}" if self.part else ""
        return f"{_KEYS[self.action]}{number}:{self.parent_id}"


_KEYS = {
    GroupAction.CREATE: "accountgroup",
    GroupAction.JOIN: "accountgroup-members",
    GroupAction.MOVE: "accountgroup-moved",
    GroupAction.LEAVE: "accountgroup-left",
}


def group_changes(
    wanted: Mapping[str, str | None], parents: Mapping[str, str], groups: Container[str]
) -> tuple[GroupChange, ...]:
    """The least that puts every account of ``wanted`` below the parent it names, ``None`` meaning below nobody.

    ``parents`` tells each account's parent now (absent or empty: none), ``groups`` which accounts own a group. Set-based: what
    is so already needs nothing (I7). Those that leave come first and parents before those below them, so that carried out one
    after the other no account is ever above itself, whatever the tree was before. ``wanted`` must hold no cycle.
    """
    changes = list(_leaving(wanted, parents))
    for parent_id in _root_first(wanted):
        below = [account_id for account_id, wished in wanted.items() if wished == parent_id]
        joining = tuple(each for each in below if not parents.get(each))
        moving = tuple(each for each in below if parents.get(each) not in (None, "", parent_id))
        if parent_id not in groups and (joining or moving):
            changes.append(GroupChange(GroupAction.CREATE, parent_id, joining[:MOST_MEMBERS]))
            joining = joining[MOST_MEMBERS:]
        changes += _in_parts(GroupAction.JOIN, parent_id, joining)
        changes += _in_parts(GroupAction.MOVE, parent_id, moving)
    return tuple(changes)


def _in_parts(action: GroupAction, parent_id: str, member_ids: Sequence[str]) -> Iterator[GroupChange]:
    """As many calls as it takes to name all members; none for none."""
    for part, first in enumerate(range(0, len(member_ids), MOST_MEMBERS)):
        yield GroupChange(action, parent_id, tuple(member_ids[first : first + MOST_MEMBERS]), part)


def _leaving(wanted: Mapping[str, str | None], parents: Mapping[str, str]) -> Iterator[GroupChange]:
    left: dict[str, list[str]] = {}
    for account_id, wished in wanted.items():
        if wished is None and parents.get(account_id):
            left.setdefault(parents[account_id], []).append(account_id)
    for parent_id, members in left.items():
        yield from _in_parts(GroupAction.LEAVE, parent_id, members)


def _root_first(wanted: Mapping[str, str | None]) -> list[str]:
    """The parents wanted, those higher up first; side by side they keep their order."""
    parents = dict.fromkeys(wished for wished in wanted.values() if wished)
    return sorted(parents, key=lambda parent_id: depth_of(parent_id, wanted))


def depth_of(account_id: str, parents: Mapping[str, str | None]) -> int:
    """How many accounts stand above this one in ``parents``; a cycle ends the count."""
    seen = {account_id}
    above = parents.get(account_id)
    while above and above not in seen:
        seen.add(above)
        above = parents.get(above)
    return len(seen) - 1

"""Collections sharing groups: one bill unit answers for others (legal owner; specification 4.11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from libs.brm.call import BrmCall
from libs.brm.calls.values import PROGRAM_NAME, PoidLike, Text, audit, given, given_poid, merged, new, poid
from libs.brm.flist import Array, Flist
from libs.brm.poid import DEFAULT_DB

COLLECTIONS_GROUP: Final = "/group/collections_targets"
"""Class of the groups [recall]."""


@dataclass(frozen=True, slots=True)
class CollectionsMember:
    """A self-paying bill unit that collections skips because the group's parent answers for it."""

    billinfo: PoidLike
    account: PoidLike | None = None

    def flist(self) -> Flist:
        """``MEMBERS`` element."""
        return {"BILLINFO_OBJ": poid(self.billinfo)} | given_poid(ACCOUNT_OBJ=self.account)


def collections_group_create(
    parent: PoidLike,
    members: Sequence[CollectionsMember] = (),
    *,
    name: Text = "",
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Create the group of the bill unit ``parent``. Output: ``POID``.

    Repeating: refused as DUPLICATE; natural key: the parent bill unit. Source: [recall].
    """
    return BrmCall(
        "PCM_OP_COLLECTIONS_GROUP_CREATE",
        merged(
            {"POID": new(COLLECTIONS_GROUP, db), "BILLINFO_OBJ": poid(parent)},
            given(NAME=name),
            audit(program_name, descr),
            _members(members) if members else {},
        ),
    )


def collections_group_add_member(
    group: PoidLike, members: Sequence[CollectionsMember], *, program_name: str = PROGRAM_NAME, descr: str = ""
) -> BrmCall:
    """Put bill units into a group.

    Repeating: no further effect. Source: name [S002].
    """
    return _group("ADD_MEMBER", group, _members(members), audit(program_name, descr))


def collections_group_delete_member(
    group: PoidLike, members: Sequence[CollectionsMember], *, program_name: str = PROGRAM_NAME, descr: str = ""
) -> BrmCall:
    """Take bill units out of a group.

    Repeating: no further effect. Source: [recall].
    """
    return _group("DELETE_MEMBER", group, _members(members), audit(program_name, descr))


def collections_group_set_parent(
    group: PoidLike, parent: PoidLike, *, program_name: str = PROGRAM_NAME, descr: str = ""
) -> BrmCall:
    """Let another bill unit answer for the members.

    Repeating: no further effect. Source: [recall].
    """
    return _group("SET_PARENT", group, {"BILLINFO_OBJ": poid(parent)}, audit(program_name, descr))


def collections_group_modify(group: PoidLike, name: str, *, program_name: str = PROGRAM_NAME, descr: str = "") -> BrmCall:
    """Rename a group.

    Repeating: no further effect. Source: [recall].
    """
    return _group("MODIFY", group, {"NAME": name}, audit(program_name, descr))


def collections_group_delete(group: PoidLike, *, program_name: str = PROGRAM_NAME, descr: str = "") -> BrmCall:
    """Delete a group, as soon as its last member has left.

    Repeating: NOT_FOUND, which counts as done. Source: [S002].
    """
    return _group("DELETE", group, {}, audit(program_name, descr))


def _members(members: Sequence[CollectionsMember]) -> Flist:
    return {"MEMBERS": Array.of(*(member.flist() for member in members))}


def _group(what: str, group: PoidLike, fields: Flist, audited: Flist) -> BrmCall:
    return BrmCall(f"PCM_OP_COLLECTIONS_GROUP_{what}", merged({"POID": poid(group)}, audited, fields))

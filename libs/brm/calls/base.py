"""Reading single objects; and the base opcodes that production flows leave alone (specification 4.13).

Cursors and transactions need one held connection, so plain web services do not offer them (2.5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from libs.brm.call import BrmCall
from libs.brm.calls.searches import Search, search
from libs.brm.calls.values import PoidLike, Scalar, new, poid
from libs.brm.flist import ANY, Array, Flist
from libs.brm.poid import DEFAULT_DB


def loopback(*, db: str = DEFAULT_DB) -> BrmCall:
    """Ask whether BRM answers. A read. [recall]"""
    return BrmCall("PCM_OP_TEST_LOOPBACK", {"POID": new("/account", db)})


def read_obj(target: PoidLike) -> BrmCall:
    """All fields of one object; NOT_FOUND when it does not exist. A read. [recall]"""
    return BrmCall("PCM_OP_READ_OBJ", {"POID": poid(target)})


def read_flds(target: PoidLike, fields: Sequence[str] | Mapping[str, Any]) -> BrmCall:
    """Some fields of one object. Name scalar fields; pass a mapping to ask for array elements too. A read. [recall]

    ``read_flds(account, {"ACCOUNT_NO": None, "NAMEINFO": Array({"*": None})})``
    """
    wanted: Flist = dict(fields) if isinstance(fields, Mapping) else dict.fromkeys(fields)
    return BrmCall("PCM_OP_READ_FLDS", {"POID": poid(target)} | wanted)


def write_flds(target: PoidLike, fields: Mapping[str, Any]) -> BrmCall:
    """Set fields of one object past all business rules. Never in production flows: for test data and repairs by hand.

    Repeating: no further effect. Source: [recall].
    """
    return BrmCall("PCM_OP_WRITE_FLDS", {"POID": poid(target), **fields})


def create_obj(type_: str, fields: Mapping[str, Any], *, db: str = DEFAULT_DB) -> BrmCall:
    """Store an object past all business rules. Never in production flows. Output: ``POID``.

    Repeating: stores another! It has no natural key. Source: [recall].
    """
    return BrmCall("PCM_OP_CREATE_OBJ", {"POID": new(type_, db), **fields})


def delete_obj(target: PoidLike) -> BrmCall:
    """Delete an object past all business rules. Never in production flows.

    Repeating: NOT_FOUND, which counts as done. Source: [recall].
    """
    return BrmCall("PCM_OP_DELETE_OBJ", {"POID": poid(target)})


def step_search(found_by: Search, values: Sequence[Scalar], *, size: int, db: str = DEFAULT_DB) -> BrmCall:
    """Open a cursor on a search and take its first ``size`` results. A read. [recall]"""
    return replace(search(found_by, values, threshold=size, db=db), opcode="PCM_OP_STEP_SEARCH")


def step_next(cursor: PoidLike, *, size: int) -> BrmCall:
    """The next ``size`` results of a cursor, which goes by the ``POID`` that :func:`step_search` gave. A read. [recall]"""
    return BrmCall("PCM_OP_STEP_NEXT", {"POID": poid(cursor), "THRESHOLD": size, "RESULTS": Array({ANY: None})})


def step_end(cursor: PoidLike) -> BrmCall:
    """Close a cursor. A read. [recall]"""
    return BrmCall("PCM_OP_STEP_END", {"POID": poid(cursor)})


def trans_open(*, flags: int = 0, db: str = DEFAULT_DB) -> BrmCall:
    """Open a transaction in the schema ``db``; ``flags`` as BRM defines them. TRANS_ALREADY_OPEN when there is one.

    Repeating: another transaction; one that nobody uses ends by itself. Source: [DG 38], [recall].
    """
    return BrmCall("PCM_OP_TRANS_OPEN", {"POID": new("/", db)}, flags)


def trans_commit(*, db: str = DEFAULT_DB) -> BrmCall:
    """Make the open transaction's changes last. TRANS_NOT_OPEN when there is none.

    Of unknown outcome it stays unknown: look up what the transaction changed. Source: [DG 38].
    """
    return BrmCall("PCM_OP_TRANS_COMMIT", {"POID": new("/", db)})


def trans_abort(*, db: str = DEFAULT_DB) -> BrmCall:
    """Undo the open transaction's changes. TRANS_NOT_OPEN when there is none.

    Repeating: no further effect. Source: [DG 38].
    """
    return BrmCall("PCM_OP_TRANS_ABORT", {"POID": new("/", db)})

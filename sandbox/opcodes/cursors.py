"""Searches read piece by piece (4.13). A cursor lives in an open transaction, so only there (header ``X-BRM-Txn``)."""

from __future__ import annotations

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.errors import BrmFault
from sandbox.opcodes.registry import Context, opcode, required
from sandbox.opcodes.search import row, wanted_shape, whole_search
from sandbox.store.sqlite import Cursor


@opcode("PCM_OP_STEP_SEARCH")
def step_search(ctx: Context, flist: Flist) -> Flist:
    """Begin a search and read its first THRESHOLD objects; OP_ALREADY_BUSY while another one is being read."""
    if ctx.tx.cursor is not None:
        raise BrmFault("OP_ALREADY_BUSY", "", "end the search before", location="CM")
    found = [each["POID"] for each in whole_search(ctx, flist)]
    ctx.tx.cursor = Cursor(found, wanted_shape(flist))
    return _next(ctx, flist, len(found))


@opcode("PCM_OP_STEP_NEXT")
def step_next(ctx: Context, flist: Flist) -> Flist:
    """Read the next THRESHOLD objects; no RESULTS means that there are no more. Objects deleted meanwhile are left out."""
    required(flist, "POID")
    return _next(ctx, flist, len(_cursor(ctx).left))


@opcode("PCM_OP_STEP_END")
def step_end(ctx: Context, flist: Flist) -> Flist:
    """End the search, read to its end or not."""
    _cursor(ctx)
    ctx.tx.cursor = None
    return {"POID": required(flist, "POID")}


def _cursor(ctx: Context) -> Cursor:
    if ctx.tx.cursor is None:
        raise BrmFault("OP_NOT_OUTSTANDING", "", "no search has begun", location="CM")
    return ctx.tx.cursor


def _next(ctx: Context, flist: Flist, count: int) -> Flist:
    cursor = _cursor(ctx)
    limit = flist.get("THRESHOLD") or len(cursor.left)
    taken: list[Poid] = cursor.left[:limit]
    del cursor.left[:limit]
    rows = [row(found, cursor.wanted) for poid in taken if (found := ctx.tx.find(poid)) is not None]
    return {"POID": flist["POID"], "RESULT_COUNT": count, **({"RESULTS": Array.of(*rows)} if rows else {})}

"""Writing past the business opcodes (4.13), offered only when switched on; the invariants are checked all the same."""

from __future__ import annotations

from typing import Final

from libs.brm.flist import Array, Flist
from sandbox.errors import BrmFault
from sandbox.opcodes.registry import Context, opcode, required
from sandbox.store.pack import copied

_SYSTEM: Final = frozenset({"POID", "CREATED_T", "MOD_T"})


def _values(flist: Flist) -> Flist:
    written = {name: copied(value) for name, value in flist.items() if name not in _SYSTEM}
    if any(name.startswith("_") for name in written):
        raise BrmFault("BAD_ARG", "POID", "field names do not begin with an underscore")
    return written


@opcode("PCM_OP_WRITE_FLDS")
def write_flds(ctx: Context, flist: Flist) -> Flist:
    """Set fields of an object; arrays by element. A field given empty is removed. NOT_FOUND, BAD_ARG without a field."""
    tx = ctx.tx
    stored = tx.get(required(flist, "POID"), error="NOT_FOUND")
    values = _values(flist)
    if not values:
        raise BrmFault("BAD_ARG", "POID", "nothing to write")
    changed = tx.edit(stored["POID"])
    for name, value in values.items():
        if value is None:
            changed.pop(name, None)
        elif isinstance(value, Array) and isinstance(changed.get(name), Array):
            changed[name].update(value)
        else:
            changed[name] = value
    return {"POID": changed["POID"]}


@opcode("PCM_OP_CREATE_OBJ")
def create_obj(ctx: Context, flist: Flist) -> Flist:
    """Store an object of any class as given."""
    return {"POID": ctx.tx.create(required(flist, "POID").type, _values(flist))["POID"]}


@opcode("PCM_OP_DELETE_OBJ")
def delete_obj(ctx: Context, flist: Flist) -> Flist:
    """Remove an object; events stay, for balances are made of them."""
    stored = ctx.tx.get(required(flist, "POID"), error="NOT_FOUND")
    if stored["POID"].type.startswith("/event"):
        raise BrmFault("BAD_POID_TYPE", "POID", "events are never deleted")
    ctx.tx.delete(stored["POID"])
    return {"POID": stored["POID"]}

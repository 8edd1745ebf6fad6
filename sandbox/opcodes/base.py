"""Base opcodes: read objects and fields, echo (4.13)."""

from __future__ import annotations

from libs.brm.flist import Array, Flist
from sandbox.opcodes.registry import Context, opcode, required


def visible(flist: Flist) -> Flist:
    """An object without the sandbox's own bookkeeping (fields that start with an underscore)."""
    return {name: value for name, value in flist.items() if not name.startswith("_")}


@opcode("PCM_OP_TEST_LOOPBACK")
def loopback(_: Context, flist: Flist) -> Flist:
    """Echo the input."""
    return flist


@opcode("PCM_OP_READ_OBJ")
def read_obj(ctx: Context, flist: Flist) -> Flist:
    """All fields of an object; NOT_FOUND when it is not stored."""
    return visible(ctx.tx.get(required(flist, "POID"), error="NOT_FOUND"))


@opcode("PCM_OP_READ_FLDS")
def read_flds(ctx: Context, flist: Flist) -> Flist:
    """The fields named in the input, where the object has them."""
    stored = visible(ctx.tx.get(required(flist, "POID"), error="NOT_FOUND"))
    return {"POID": stored["POID"], **project(stored, flist)}


def project(stored: Flist, wanted: Flist) -> Flist:
    """The part of an object that has the shape of ``wanted``; element ``*`` (or an empty array) means every element."""
    found: Flist = {}
    for name, shape in wanted.items():
        if name == "POID" or name not in stored:
            continue
        value = stored[name]
        if isinstance(value, Array) and isinstance(shape, Array) and shape:
            found[name] = _project_array(value, shape)
        elif isinstance(value, dict) and isinstance(shape, dict) and shape and not isinstance(value, Array):
            found[name] = project(value, shape)
        else:
            found[name] = value
    return found


def _project_array(stored: Array, wanted: Array) -> Array:
    found = Array()
    for element, body in stored.items():
        shape = wanted.get(element, wanted.get("*", ...))
        if shape is ...:
            continue
        found[element] = project(body, shape) if shape and isinstance(body, dict) else body
    return found

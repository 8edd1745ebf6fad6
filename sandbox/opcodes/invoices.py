"""Showing invoices (4.9)."""

from __future__ import annotations

from libs.brm.flist import Flist
from sandbox.billing.invoices import FORMATS
from sandbox.errors import BrmFault
from sandbox.opcodes.registry import Context, opcode, required


@opcode("PCM_OP_INV_VIEW_INVOICE")
def view_invoice(ctx: Context, flist: Flist) -> Flist:
    """The stored document of an invoice, or of a bill's; NOT_FOUND when there is none, or none of the type asked for."""
    tx = ctx.tx
    stored = tx.get(flist.get("BILL_OBJ") or required(flist, "POID"), error="NOT_FOUND")
    if stored["POID"].type == "/bill":
        if stored.get("INVOICE_OBJ") is None:
            raise BrmFault("NOT_FOUND", "POID", f"no invoice was made of {stored['POID']}")
        stored = tx.get(stored["INVOICE_OBJ"], error="NOT_FOUND")
    if stored["POID"].type != "/invoice":
        raise BrmFault("BAD_POID_TYPE", "POID", f"{stored['POID']} is neither invoice nor bill")
    wanted = flist.get("TYPE_STR") or next(iter(FORMATS))
    for each in stored["FORMATS"].values():
        if each["TYPE_STR"] == wanted:
            return {"POID": stored["POID"], "BILL_OBJ": stored["BILL_OBJ"], "TYPE_STR": wanted, "BUFFER": each["BUFFER"]}
    raise BrmFault("NOT_FOUND", "TYPE_STR", f"no invoice as {wanted}")

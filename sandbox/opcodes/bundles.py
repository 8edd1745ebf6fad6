"""Promotion instances (``/purchased_bundle``, 4.3 SET_BUNDLE)."""

from __future__ import annotations

from typing import Final

from libs.brm.flist import Array, Flist
from sandbox.billing.ledger import Occurrence, record
from sandbox.codes import OfferStatus, State
from sandbox.errors import BrmFault
from sandbox.opcodes.registry import Context, account_of, effective_time, opcode, program_of, required, required_array, results

_FIELDS: Final = ("NAME", "DESCR", "STATUS", "VALID_FROM", "VALID_TO")


@opcode("PCM_OP_SUBSCRIPTION_SET_BUNDLE")
def set_bundle(ctx: Context, flist: Flist) -> Flist:
    """Create promotion instances (``/purchased_bundle -1``) or change, transfer and end existing ones."""
    tx, program = ctx.tx, program_of(flist)
    account = account_of(tx, flist)
    if account["STATUS"] == State.CLOSED:
        raise BrmFault("BAD_VALUE", "STATUS", "the account is closed")
    answer, events = Array(), []
    for element, given in required_array(flist, "BUNDLE_INFO").items():
        poid = required(given, "POID")
        if given.get("STATUS") not in (None, *OfferStatus):
            raise BrmFault("BAD_VALUE", "STATUS", f"{given['STATUS']} is no bundle status")
        if poid.is_new:
            defaults: Flist = {"STATUS": int(OfferStatus.ACTIVE), "VALID_FROM": effective_time(tx, flist)}
            given_fields = {name: given[name] for name in _FIELDS if given.get(name) is not None}
            required(given, "NAME")
            bundle = tx.create("/purchased_bundle", {"ACCOUNT_OBJ": account["POID"], **defaults, **given_fields})
        else:
            bundle = tx.edit(tx.get(poid, "POID", "NOT_FOUND")["POID"])
            for name in _FIELDS:
                if name in given and given[name] is None:
                    bundle.pop(name, None)
                elif name in given:
                    bundle[name] = given[name]
        if given.get("ACCOUNT_OBJ") is not None:
            bundle["ACCOUNT_OBJ"] = account_of(tx, given, "ACCOUNT_OBJ")["POID"]
        what = Occurrence("/event/billing/bundle", f"Promotion {bundle['NAME']}", tx.now, tx.now, program)
        events.append(record(tx, bundle["ACCOUNT_OBJ"], None, what))
        shown = ("POID", "NAME", "DESCR", "STATUS")
        answer[element] = {name: bundle[name] for name in shown if name in bundle}
    return {"POID": account["POID"], "BUNDLE_INFO": answer, "RESULTS": results(events)}

"""Allowances that come with a discount offer: granted to its owner's balance each cycle, for use or for sharing."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from libs.brm.flist import Flist
from libs.brm.poid import Poid
from sandbox.billing.ledger import Debtor, Impact, Occurrence, post
from sandbox.catalogue import discount
from sandbox.codes import OfferStatus
from sandbox.store.sqlite import Tx

GRANT: Final = "/event/billing/cycle/discount"


def grant_allowance(tx: Tx, offer_poid: Poid, as_of: datetime, through: datetime) -> list[Flist]:
    """Grant what an active discount brings for the time up to ``through``; once per cycle, nothing before it starts."""
    offer = tx.get(offer_poid)
    entry = discount(tx, offer["DISCOUNT_OBJ"])
    start = offer.get("_granted_to") or tx.calendar.day_of(offer["CYCLE_START_T"])
    ends = offer.get("CYCLE_END_T")
    end = min(through, tx.calendar.day_of(ends)) if ends is not None else through
    if entry.grant is None or offer["STATUS"] != OfferStatus.ACTIVE or offer["CYCLE_START_T"] > as_of or start >= end:
        return []
    resource, amount = entry.grant
    tx.edit(offer_poid)["_granted_to"] = end
    debtor = Debtor.of_group(tx, offer["ACCOUNT_OBJ"], offer.get("SERVICE_OBJ"), offer["BAL_GRP_OBJ"])
    impact = Impact(resource, amount * offer["QUANTITY"], offering=offer_poid, valid_from=start, valid_to=end)
    what = Occurrence(GRANT, f"Allowance: {entry.name}", start, end, quantity=offer["QUANTITY"], note=offer.get("DESCR"))
    return [post(tx, debtor, what, [impact])]

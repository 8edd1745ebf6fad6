"""What a write of unknown outcome left behind, found by its natural key (specification 4.14).

:func:`find_effect` answers in the shape of the call's own output, so that whoever waits for ``BILLINFO[0].POID`` finds it in
the same place. It reads only, but for payments that were
stored and not allocated: those it allocates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from libs.brm.call import BrmCall
from libs.brm.flist import Flist
from libs.brm.reconcile import collections, customers, groups, inner, money, parts, purchases, states, transfers
from libs.brm.reconcile.generic import gone
from libs.brm.reconcile.groups import SHARED
from libs.brm.reconcile.money import PYMT_COLLECT, allocate, settle_payments
from libs.brm.reconcile.purchases import offers_found, offers_wanted
from libs.brm.reconcile.scene import Ask, Finder, Scene
from libs.brm.reconcile.states import units_applied
from libs.brm.reconcile.transfers import BALGRP_TRANSFER, with_offers
from libs.errors import O2CError

__all__ = [
    "FINDERS",
    "NEVER_REPEATED",
    "Ask",
    "Scene",
    "complete_output",
    "find_effect",
    "is_complete",
    "is_gone",
    "units_applied",
]

FINDERS: Final[Mapping[str, Finder]] = {
    opcode: finder
    for family in (customers, parts, purchases, transfers, states, groups, collections, money, inner)
    for opcode, finder in family.FINDERS.items()
}
"""How to settle each write (4.14)."""

NEVER_REPEATED: Final[Mapping[str, str]] = {
    "PCM_OP_CREATE_OBJ": "an object has no natural key of its own",
    "PCM_OP_TRANS_COMMIT": "what the transaction changed shows, not that it was committed",
    "PCM_OP_SUBSCRIPTION_TRANSITION_PLAN": "nothing tells the offers of two transitions apart",
    "PCM_OP_BILL_CYCLE_FORWARD": "a second charge looks like the first",
    "PCM_OP_BILL_CYCLE_ARREARS": "a second charge looks like the first",
    "PCM_OP_PYMT_RECOVER": "what the payment processor says may have changed",
    "PCM_OP_PRICE_COMMIT_PRODUCT": "a second product of the same name is another one",
}
"""Writes that leave nothing by which to find them, and why. Of unknown outcome they stay unknown: somebody must look."""


_SHARING_DELETE: Final = "PCM_OP_SUBSCRIPTION_SHARING_GROUP_DELETE"


async def find_effect(scene: Scene, call: BrmCall) -> Flist | None:
    """The output a write would have given, or ``None`` when it had no effect (or repeating it changes nothing more).

    A partial answer (some of the objects missing) means that something else made the object; the caller must plan again.
    Raises :class:`BrmOutcomeUnknown` when BRM cannot tell, and :class:`BrmError` when it could not be asked.
    """
    finder = FINDERS.get(call.opcode)
    if finder is None:
        raise scene.unsettled(call, NEVER_REPEATED.get(call.opcode, "the opcode has no natural key"))
    found = await finder(scene, call)
    if found and call.opcode == PYMT_COLLECT:
        try:
            await allocate(scene, call, found)
        except O2CError as error:
            raise scene.unsettled(call, "it is stored, but could not be allocated") from error
    return found


async def complete_output(scene: Scene, call: BrmCall, output: Flist) -> Flist:
    """``output`` of a call that went through, with what BRM is known to leave out of it (3.3)."""
    if call.opcode == PYMT_COLLECT:
        return await settle_payments(scene, call, output)
    if call.opcode == BALGRP_TRANSFER:
        return await with_offers(scene, call, output)
    return output


def is_gone(call: BrmCall) -> bool:
    """Whether a call that finds its object missing has nothing left to do."""
    return FINDERS.get(call.opcode) is gone or (call.opcode == _SHARING_DELETE and not set(call.input) & set(SHARED))


def is_complete(call: BrmCall, output: Mapping[str, Any]) -> bool:
    """Whether ``output`` names all that ``call`` would have created; one-time offers leave nothing behind."""
    for name in ("ACCTINFO", "BILLINFO", "PAYINFO", "BAL_INFO", "SERVICES", "BUNDLE_INFO", "PROFILES"):
        if set(call.input.get(name) or ()) - set(output.get(name) or ()):
            return False
    if set(call.input.get("CHARGES") or ()) - set(output.get("RESULTS") or ()):
        return False
    for element, service in (call.input.get("SERVICES") or {}).items():
        if offers_wanted(service.get("DEALS")) and not offers_found(output["SERVICES"][element]):
            return False
    return "POID" in output and (not offers_wanted(call.input.get("DEALS")) or offers_found(output))

"""What a write of unknown outcome left behind, found by its natural key (specification 4.14).

:func:`find_effect` answers in the shape of the call's own output, so that whoever waits for ``BILLINFO[0].POID`` finds it in
the same place. It reads only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from libs.brm.call import BrmCall
from libs.brm.flist import Flist
from libs.brm.reconcile import customers, purchases, states
from libs.brm.reconcile.purchases import offers_found, offers_wanted
from libs.brm.reconcile.scene import Ask, Finder, Scene
from libs.brm.reconcile.states import units_applied

__all__ = ["FINDERS", "Ask", "Scene", "find_effect", "is_complete", "units_applied"]

FINDERS: Final[Mapping[str, Finder]] = {**customers.FINDERS, **purchases.FINDERS, **states.FINDERS}
"""How to settle each opcode; one that is missing has no natural key."""


async def find_effect(scene: Scene, call: BrmCall) -> Flist | None:
    """The output a write would have given, or ``None`` when it had no effect (or repeating it changes nothing more).

    A partial answer (some of the objects missing) means that something else made the object; the caller must plan again.
    Raises :class:`BrmOutcomeUnknown` when BRM cannot tell, and :class:`BrmError` when it could not be asked.
    """
    finder = FINDERS.get(call.opcode)
    if finder is None:
        raise scene.unsettled(call, "the opcode has no natural key")
    return await finder(scene, call)


def is_complete(call: BrmCall, output: Mapping[str, Any]) -> bool:
    """Whether ``output`` names all that ``call`` would have created; one-time offers leave nothing behind."""
    for name in ("ACCTINFO", "BILLINFO", "PAYINFO", "BAL_INFO", "SERVICES", "BUNDLE_INFO"):
        if set(call.input.get(name) or ()) - set(output.get(name) or ()):
            return False
    for element, service in (call.input.get("SERVICES") or {}).items():
        if offers_wanted(service.get("DEALS")) and not offers_found(output["SERVICES"][element]):
            return False
    return "POID" in output and (not offers_wanted(call.input.get("DEALS")) or offers_found(output))

"""The port through which services reach BRM. Adapters: :mod:`libs.brm.client` (SOAP over HTTP)."""

from __future__ import annotations

from typing import Protocol

from libs.brm.call import BrmCall
from libs.brm.flist import Flist


class BrmGateway(Protocol):
    """Calls one opcode on one BRM instance."""

    async def call(self, system_id: str, call: BrmCall) -> Flist:
        """Return the output flist.

        Raises :class:`libs.brm.errors.BrmError` when BRM refused or could not be reached and nothing was done, and
        :class:`libs.brm.errors.BrmOutcomeUnknown` when a write may or may not have happened: look it up before you repeat it.
        """
        ...

    async def settle(self, system_id: str, call: BrmCall) -> Flist | None:
        """What a write of unknown outcome left behind, found by its natural key; ``None`` when it provably had no effect."""
        ...

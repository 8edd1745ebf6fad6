"""Where reconcilers look: one BRM instance, read only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.errors import BrmError, BrmOutcomeUnknown
from libs.brm.flist import Flist, results

Ask = Callable[[BrmCall], Awaitable[Flist]]
"""Sends a read to the instance in question."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where to look: one instance."""

    system_id: str
    db: str
    ask: Ask

    async def search(self, call: BrmCall) -> list[Flist]:
        """The objects a search finds."""
        return results(await self.ask(call))

    async def read(self, poid: Any) -> Flist | None:
        """One object, ``None`` when it does not exist."""
        try:
            return await self.ask(calls.read_obj(poid))
        except BrmError as error:
            if error.not_found:
                return None
            raise

    def unsettled(self, call: BrmCall, why: str) -> BrmOutcomeUnknown:
        """The error of a call whose effect cannot be told from what BRM stores."""
        return BrmOutcomeUnknown(
            f"outcome of {call.opcode} in {self.system_id} cannot be told: {why}", system_id=self.system_id, opcode=call.opcode
        )


Finder = Callable[[Scene, BrmCall], Awaitable[Flist | None]]
"""Looks for the effect of one opcode's calls."""

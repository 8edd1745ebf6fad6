"""Asking instances what they offer while a service starts, without holding it up (specification 8.15)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from typing import Final, Protocol

from libs.brm.capability import CACHE_SECONDS
from libs.errors import O2CError

log = logging.getLogger(__name__)

DELAYS: Final = (1.0, 10.0, 60.0, 300.0)
"""Seconds before each question, until it is answered; the last one goes on."""


class Asked(Protocol):
    """What we ask: see :class:`~libs.brm.client.SoapGateway`."""

    async def probe(self, system_id: str) -> frozenset[str]: ...

    def missing(self, system_id: str, opcodes: Iterable[str]) -> frozenset[str]: ...


async def watch_capabilities(gateway: Asked, system_id: str, needs: Collection[str], *, every: float = CACHE_SECONDS) -> None:
    """Like :func:`check_capabilities`, again whenever what is known has become too old; until cancelled."""
    while True:
        await check_capabilities(gateway, system_id, needs)
        await asyncio.sleep(every)


async def check_capabilities(
    gateway: Asked, system_id: str, needs: Collection[str], *, delay: Callable[[int], float] | None = None
) -> frozenset[str]:
    """Ask an instance for what it exposes until it answers, and log what of ``needs`` is missing. Never raises an error.

    From then on calls of missing opcodes fail as BRM_CAPABILITY_MISSING at once; everything else works.
    """
    attempt = 0
    while True:
        await asyncio.sleep(delay(attempt) if delay else DELAYS[min(attempt, len(DELAYS) - 1)])
        attempt += 1
        try:
            await gateway.probe(system_id)
        except O2CError as error:
            log.info("BRM capabilities unknown yet", extra={"system": system_id, "why": str(error)[:200]})
            continue
        missing = gateway.missing(system_id, needs)
        for opcode in sorted(missing):
            log.warning("BRM capability missing", extra={"system": system_id, "opcode": opcode})
        if not missing:
            log.info("BRM capabilities complete", extra={"system": system_id, "opcodes": len(needs)})
        return missing

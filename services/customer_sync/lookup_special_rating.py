"""Gathers where the assets of a special rating list live, and what their lists hold, as far as that is not known."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from libs.brm import calls as brm
from libs.brm.gateway import BrmGateway
from libs.xref.client import COMMON, XrefKey, XrefPort
from libs.xref.sources import lookup_of_source
from services.customer_sync.domain import calls
from services.customer_sync.domain.special_rating import PROFILE, SpecialRatingList, StoredList, must_be_read
from services.customer_sync.persistence import SentParts

Where = Mapping[str, tuple[StoredList, ...]]
"""BRM instance to the lists in it."""


class SpecialRatingLookup:
    """Facts about special rating lists."""

    def __init__(self, xref: XrefPort, gateway: BrmGateway, sent: SentParts, billing_systems: Collection[str]) -> None:
        self._xref = xref
        self._gateway = gateway
        self._sent = sent
        self._billing_systems = billing_systems

    async def where(self, wanted: SpecialRatingList) -> tuple[Where, list[str]]:
        """The lists by instance, and the assets that have none anywhere. One look-up. No assets, none."""
        keys = {each: XrefKey(calls.ASSETS, wanted.source_system, each) for each in wanted.asset_ids}
        source = wanted.source_system
        rows = await lookup_of_source(self._xref, list(keys.values()), source, "source_system") if keys else {}
        found: dict[str, list[StoredList]] = {}
        for asset_id, key in keys.items():
            for cell in rows[key].cells:
                if cell.column in self._billing_systems and cell.kind == PROFILE:
                    found.setdefault(cell.column, []).append(StoredList(asset_id, rows[key].value(COMMON), cell.value))
        here = {each.asset_id for lists in found.values() for each in lists}
        missing = [asset_id for asset_id in keys if asset_id not in here]
        return {system_id: tuple(lists) for system_id, lists in sorted(found.items())}, missing

    async def stored(self, wanted: SpecialRatingList, lists: Sequence[StoredList], system_id: str) -> list[StoredList]:
        """The lists, with what BRM has of those that are not known to be as they were sent last: one read each."""
        marks = await self._sent.find(system_id, [each.part for each in lists])
        asked = [must_be_read(wanted, each, marks) for each in lists]
        return list(await asyncio.gather(*(self._read(each, system_id, ask) for each, ask in zip(lists, asked, strict=True))))

    async def _read(self, each: StoredList, system_id: str, ask: bool) -> StoredList:
        return replace(each, profile=await self._gateway.call(system_id, brm.read_obj(each.brm_id))) if ask else each

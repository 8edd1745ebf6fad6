"""Gathers where the assets of a special rating list live, and what their lists hold."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from libs.brm import calls as brm
from libs.brm.gateway import BrmGateway
from libs.xref.client import COMMON, XrefKey, XrefPort
from services.customer_sync.domain import calls
from services.customer_sync.domain.special_rating import PROFILE, SpecialRatingList, StoredList

Where = Mapping[str, tuple[StoredList, ...]]
"""BRM instance to the lists in it."""


class SpecialRatingLookup:
    """Facts about special rating lists."""

    def __init__(self, xref: XrefPort, gateway: BrmGateway, billing_systems: Collection[str]) -> None:
        self._xref = xref
        self._gateway = gateway
        self._billing_systems = billing_systems

    async def where(self, wanted: SpecialRatingList) -> tuple[Where, list[str]]:
        """The lists by instance, and the assets that have none anywhere. One look-up. No assets, none."""
        keys = {each: XrefKey(calls.ASSETS, wanted.source_system, each) for each in wanted.asset_ids}
        rows = await self._xref.lookup(list(keys.values())) if keys else {}
        found: dict[str, list[StoredList]] = {}
        for asset_id, key in keys.items():
            for cell in rows[key].cells:
                if cell.column in self._billing_systems and cell.kind == PROFILE:
                    found.setdefault(cell.column, []).append(StoredList(asset_id, rows[key].value(COMMON), cell.value))
        here = {each.asset_id for lists in found.values() for each in lists}
        missing = [asset_id for asset_id in keys if asset_id not in here]
        return {system_id: tuple(lists) for system_id, lists in sorted(found.items())}, missing

    async def stored(self, lists: Iterable[StoredList], system_id: str) -> list[StoredList]:
        """The lists with what they hold in BRM: one read each."""
        known = list(lists)
        read = await asyncio.gather(*(self._gateway.call(system_id, brm.read_obj(each.brm_id)) for each in known))
        return [replace(each, profile=profile) for each, profile in zip(known, read, strict=True)]

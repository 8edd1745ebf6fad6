"""Reads BRM for the doctor: all objects of a class by ascending id, page by page, and single objects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from libs.brm import calls
from libs.brm.errors import BrmError
from libs.brm.flist import results
from libs.brm.gateway import BrmGateway
from libs.brm.poid import Poid
from libs.xref.brm_objects import BrmClass
from services.xref.domain.doctor import BrmObject

PAGE: Final = 2_000
"""Objects asked for at once."""
WIDTH: Final = 2_000
"""Ids in the first range."""
MAX_ID: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class BrmReader:
    """Reads one or several instances."""

    gateway: BrmGateway

    async def sweep(self, system: str, db: str, declared: BrmClass) -> AsyncIterator[list[BrmObject]]:
        """Every object of a class in one schema, by ascending id; only POID and key are fetched.

        Ranges of ids grow where objects are few and shrink where they are many, up to the highest id there can be. The next
        page is asked for while the last one is worked on.
        """
        first, width = 0, WIDTH
        page = asyncio.create_task(self._range(system, db, declared, first, first + width - 1))
        try:
            while True:
                found = await page
                if len(found) > PAGE:
                    width = max(1, width // 4)
                else:
                    first += width
                    if len(found) < PAGE // 2:
                        width *= 2 if found else 16
                if first > MAX_ID:
                    yield found
                    return
                page = asyncio.create_task(self._range(system, db, declared, first, min(MAX_ID, first + width - 1)))
                if len(found) <= PAGE:
                    yield found
        finally:
            page.cancel()

    async def _range(self, system: str, db: str, declared: BrmClass, first: int, last: int) -> list[BrmObject]:
        wanted = ("POID", declared.key) if declared.key else ("POID",)
        call = calls.find_range(declared.name, first, last, wanted=wanted, threshold=PAGE + 1, db=db)
        answer = await self.gateway.call(system, call)
        rows = [row for row in results(answer) if row["POID"].db == db]
        found = [_object(declared, row["POID"], str(row.get(declared.key) or "")) for row in rows]
        return sorted(found)

    async def read(self, system: str, poid: Poid, declared: BrmClass) -> BrmObject | None:
        """One object; ``None`` when it does not exist. Raises what keeps BRM from answering."""
        try:
            answer = await self.gateway.call(system, calls.read_flds(poid, [declared.key or "CREATED_T"]))
        except BrmError as error:
            if error.not_found:
                return None
            raise
        return _object(declared, poid, str(answer.get(declared.key) or "") if declared.key else "")


def _object(declared: BrmClass, poid: Poid, key: str) -> BrmObject:
    return BrmObject(poid.id, poid.type, poid.db, declared.key_of(key))

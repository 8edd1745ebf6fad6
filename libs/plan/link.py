"""Cross-references of a run: COMMON ids claimed, yielded ids linked; beside the calls wherever nobody has to wait for it.

Where one batch does not hold all claims, the ids that the first calls refer to are claimed first, so that BRM need not wait;
those of later calls, then the others, while the first calls are made. Yielded ids are linked as soon as there are enough for a
full batch, and what is left in three smaller ones while the last calls of the wave are made. That is two round trips more for
the claims, and three for the links of each large wave, at most, than if one waited for the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from libs.brm.poid import Poid
from libs.errors import O2CError, Reason
from libs.plan.model import Claim, Plan, Step, XrefLink, XrefMove
from libs.tasks import abandoned
from libs.xref.model import COMMON, MAX_BATCH, Mode, Origin, XrefDelete, XrefKey, XrefWrite

if TYPE_CHECKING:
    from libs.xref.client import XrefPort


class Linker:
    """Claims and links of one plan. A context manager: when left, nothing of it runs any more."""

    def __init__(self, xref: XrefPort, source_system: str, plan: Plan, origin: Origin | None = None) -> None:
        """``origin`` is kept with every change."""
        self._xref = xref
        self._origin = origin
        self._source_system = source_system
        self._plan = plan
        self._first: asyncio.Task[dict[str, str]] | None = None
        self._called: asyncio.Task[dict[str, str]] | None = None
        self._all: asyncio.Task[dict[str, str]] | None = None
        self._waiting: list[XrefWrite] = []
        self._linking: list[asyncio.Task[None]] = []
        self._turn = asyncio.Lock()
        self._ending: list[XrefDelete] = []
        self._places: set[tuple[str, str]] = set()
        """(table, value) of links to slots inside objects."""

    async def __aenter__(self) -> Linker:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        claiming = (task for task in (self._first, self._called, self._all) if task is not None)
        await abandoned(*self._linking, *claiming)

    async def move(self) -> None:
        """Give rows the new ids of their objects. Raises what is refused, before anything else is done."""
        moves = self._plan.moves
        displaced = [XrefDelete(each.table, self._source_system, each.crm_id) for each in moves if each.displaces]
        if displaced:
            await self._delete(displaced)
        if moves:
            await self._xref.populate([self._moved(each) for each in moves], self._origin)

    def _moved(self, move: XrefMove) -> XrefWrite:
        column, crm_id = self._source_system, move.crm_id
        return XrefWrite(move.table, COMMON, move.common_id, column, crm_id, Mode.UPDATE)

    def claim(self, first: frozenset[str], called: frozenset[str]) -> None:
        """Start to claim: the names in ``first``, which the first calls refer to, then those in ``called``, which any call
        refers to, then the others."""
        claims = self._plan.claims
        if len(claims) <= MAX_BATCH:
            self._first = self._called = self._all = asyncio.ensure_future(self._claims(claims))
            return
        self._first = asyncio.ensure_future(self._claims([each for each in claims if each.name in first]))
        later = [each for each in claims if each.name in called and each.name not in first]
        self._called = asyncio.ensure_future(self._after(self._first, later))
        others = [each for each in claims if each.name not in called]
        self._all = asyncio.ensure_future(self._after(self._called, others))

    async def first_claimed(self) -> dict[str, str]:
        """COMMON ids that the first calls refer to."""
        return await self._first if self._first is not None else {}

    async def called_claimed(self) -> dict[str, str]:
        """COMMON ids that calls refer to."""
        return await self._called if self._called is not None else {}

    async def claimed(self) -> dict[str, str]:
        """All COMMON ids."""
        return await self._all if self._all is not None else {}

    @property
    def claimed_already(self) -> Mapping[str, str] | None:
        """All COMMON ids, if they are there."""
        known = self._all
        return known.result() if known is not None and known.done() and known.exception() is None else None

    async def _after(self, earlier: asyncio.Task[dict[str, str]], claims: Sequence[Claim]) -> dict[str, str]:
        known = await earlier
        return {**known, **await self._claims(claims)}

    def end(self, step: Step, outputs: Mapping[str, Any]) -> None:
        """Delete what a step that is done has made an end of, when the others are linked; what it yielded again stays."""
        stays = {str(value) for value in outputs.values()}
        for each in (each for each in step.gone if each.value not in stays):
            self._ending.append(XrefDelete(each.table, self._plan.system_id, each.value, each.one_of_many))
            if each.whole:
                self._ending.append(XrefDelete(each.table, self._source_system, each.crm_id))

    def add(self, step: Step, outputs: Mapping[str, Any]) -> None:
        """Link what a step yielded, with the next batch."""
        for output in step.yields:
            if output.name in outputs:
                found = outputs[output.name]
                if output.link is not None:
                    self._waiting.append(self._write(output.link, str(found)))
                # A place is the same in every revision of its object.
                owner = str(replace(found, rev=0) if isinstance(found, Poid) else found) if output.inside else ""
                for link in output.inside:
                    place = f"{owner} {link.slot}"
                    self._places.add((link.table, place))
                    self._waiting.append(self._write(link, place))
        while len(self._waiting) >= MAX_BATCH:
            self._send(self._waiting[:MAX_BATCH])
            del self._waiting[:MAX_BATCH]

    def _write(self, link: XrefLink, value: str) -> XrefWrite:
        return XrefWrite(
            table=link.table,
            ref_column=self._source_system,
            ref_value=link.crm_id,
            column=self._plan.system_id,
            value=value,
            mode=Mode.UPDATE if link.moves else Mode.LINK,
            kind=link.kind,
        )

    def send_rest(self) -> None:
        """Link what is there now, if batches are on their way anyhow: the last calls have begun, and their ids will be few."""
        if self._linking and self._waiting:
            self._send(self._waiting)
            self._waiting = []

    async def settle(self) -> None:
        """Return when everything added is linked. Raises what a batch was refused with, after all have ended."""
        if self._waiting:
            self._send(self._waiting)
            self._waiting = []
        batches, self._linking = self._linking, []
        for ended in await asyncio.gather(*batches, return_exceptions=True):
            if isinstance(ended, BaseException):
                raise ended
        ending, self._ending = self._ending, []
        if ending:
            await self._delete(ending)

    async def _delete(self, ending: list[XrefDelete]) -> None:
        """Delete values; one that is gone already was deleted by an earlier attempt."""
        try:
            await self._xref.delete(ending, self._origin)
        except O2CError as error:
            O2CError.raise_all(each for each in error.violations if each.reason is not Reason.XREF_VALUE_NOT_FOUND)

    def _send(self, batch: list[XrefWrite]) -> None:
        self._linking.append(asyncio.ensure_future(self._link(batch)))

    async def _link(self, batch: list[XrefWrite]) -> None:
        await self.claimed()  # a link needs its row
        async with self._turn:  # one request is built per turn of the loop, so that BRM's answers get in between
            await asyncio.sleep(0)
        try:
            await self._xref.populate(batch, self._origin)
        except O2CError as error:
            taken = self._places_in(batch, error, Reason.XREF_VALUE_NOT_UNIQUE)
            if taken:
                await self._delete([XrefDelete(each.table, each.column, each.value) for each in taken])
                await self._take(taken)

    async def _take(self, places: Sequence[XrefWrite]) -> None:
        """Link places that others have left."""
        try:
            await self._xref.populate(places, self._origin)
        except O2CError as error:
            self._places_in(places, error)

    def _places_in(self, batch: Sequence[XrefWrite], error: O2CError, *wanted: Reason) -> list[XrefWrite]:
        """The places that were refused for a ``wanted`` reason. A row that has a place elsewhere keeps it; all other refusals
        are raised."""
        places = {(each.table, each.value): each for each in batch if (each.table, each.value) in self._places}
        refused = [
            (each, places.get((each.metadata.get("table", ""), each.metadata.get("value", "")))) for each in error.violations
        ]
        bearable = (Reason.XREF_TARGET_OCCUPIED, *wanted)
        others = [each for each, place in refused if place is None or each.reason not in bearable]
        if others:
            raise O2CError(*others, retry_after=error.retry_after) from error
        return [place for each, place in refused if place is not None and each.reason in wanted]

    async def _claims(self, claims: Sequence[Claim]) -> dict[str, str]:
        if not claims:
            return {}
        keys = [XrefKey(claim.table, self._source_system, claim.crm_id) for claim in claims]
        common = await self._xref.get_or_create(list(dict.fromkeys(keys)), origin=self._origin)
        return {claim.name: common[key] for claim, key in zip(claims, keys, strict=True)}

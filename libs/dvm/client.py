"""Value maps as services follow them: read from the xref service, held in memory, so that a translation costs no call.

A flow takes :class:`KnownMaps` at its start and keeps to them: an edit made meanwhile is another object (rule Q16).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import grpc.aio

from libs.dvm.maps import ValueMaps
from libs.dvm.model import ValueMap
from libs.pb.xref.v1 import value_maps_pb2 as pb
from libs.pb.xref.v1.value_maps_pb2_grpc import ValueMapServiceStub
from libs.xref.client import call
from libs.xref.follow import ASK_SECONDS, Followed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KnownMaps:
    """All maps as they were at a revision."""

    revision: int
    maps: ValueMaps


def followed_value_maps(channel: grpc.aio.Channel) -> Followed[KnownMaps]:
    """The maps at the xref service; only those that changed are fetched again."""
    stub = ValueMapServiceStub(channel)

    async def ask(known: KnownMaps | None) -> KnownMaps:
        request = pb.BatchGetValueMapsRequest(since_revision=known.revision if known is not None else 0)
        answer = await call(stub.BatchGetValueMaps(request, timeout=ASK_SECONDS))
        if known is None:
            return KnownMaps(answer.revision, ValueMaps(from_wire(one.map) for one in answer.maps))
        if answer.revision == known.revision:
            return known
        changed = ValueMaps(from_wire(one.map) for one in answer.maps)
        return KnownMaps(answer.revision, known.maps.replaced_by(changed))

    return Followed(ask, "the value maps")


@asynccontextmanager
async def site_maps(
    channel: grpc.aio.Channel, every: float, own_file: Path | None
) -> AsyncIterator[Followed[KnownMaps] | None]:
    """The maps at the xref service, asked for every so many seconds; ``None`` where the deployment brings a file of its own."""
    if own_file:
        yield None
        return
    async with followed_value_maps(channel).followed(every) as maps:
        yield maps


class InForce(Generic[T]):
    """What a service decides with, holding the value maps as they are now."""

    def __init__(self, made: T, maps: Followed[KnownMaps] | None, put: Callable[[T, ValueMaps], T]) -> None:
        """``put``: the same with other maps. ``maps``: ``None`` leaves ``made`` those it has, as a site with a file wants."""
        self._made = made
        self._maps = maps
        self._put = put
        self._known: KnownMaps | None = None

    async def current(self) -> T:
        """As of now. A request works with it to its end, so an edit made meanwhile does not touch it (rule Q16).

        Raises XREF_UNAVAILABLE while the maps could never be asked for.
        """
        if self._maps is not None:
            known = await self._maps.current()
            if known is not self._known:
                self._made, self._known = self._put(self._made, known.maps), known
        return self._made


def from_wire(message: pb.ValueMap) -> ValueMap:
    """A map of the contract."""
    return ValueMap(
        name=message.name,
        columns=tuple(message.columns),
        rows=tuple(tuple(row.cells) for row in message.rows),
        open=message.open,
        aliases=tuple(message.aliases),
        purpose=message.purpose,
        source=message.source,
        confidence=message.confidence,
    )

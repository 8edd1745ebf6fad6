"""Value maps as services follow them: read from the xref service, held in memory, so that a translation costs no call.

A flow takes :class:`KnownMaps` at its start and keeps to them: an edit made meanwhile is another object (rule Q16).
"""

from __future__ import annotations

from dataclasses import dataclass

import grpc.aio

from libs.dvm.maps import ValueMaps
from libs.dvm.model import ValueMap
from libs.pb.xref.v1 import value_maps_pb2 as pb
from libs.pb.xref.v1.value_maps_pb2_grpc import ValueMapServiceStub
from libs.xref.client import call
from libs.xref.follow import ASK_SECONDS, Followed


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

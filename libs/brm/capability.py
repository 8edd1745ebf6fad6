"""Which opcodes an instance exposes, read from its WSDLs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

from libs.brm.dialect import Dialect
from libs.brm.specs import OPCODES, OpcodeSpec
from libs.brm.transport import Transport, TransportFailure
from libs.brm.xml import CodecError, local_name, parse

CACHE_SECONDS: Final = 24 * 3600.0
PROBE_TIMEOUT: Final = 5.0


class Capabilities:
    """What one instance can do. Until it was asked, everything counts as possible."""

    def __init__(self, transport: Transport, dialect: Dialect, clock: Callable[[], float] = time.monotonic) -> None:
        self._transport = transport
        self._dialect = dialect
        self._clock = clock
        self._known: frozenset[str] | None = None
        self._fresh_until = 0.0

    async def probe(self) -> frozenset[str]:
        """The opcodes we know that the instance exposes; asked at most once a day. Raises :class:`TransportFailure`."""
        if self._known is not None and self._clock() < self._fresh_until:
            return self._known
        by_path: dict[str, list[OpcodeSpec]] = {}
        for spec in OPCODES.values():
            by_path.setdefault(self._dialect.path(spec), []).append(spec)
        operations = await asyncio.gather(*(self._operations(path) for path in by_path))
        exposed = {
            spec.name
            for specs, offered in zip(by_path.values(), operations, strict=True)
            for spec in specs
            if spec.operation in offered
        }
        self._known, self._fresh_until = frozenset(exposed), self._clock() + CACHE_SECONDS
        return self._known

    def missing(self, opcodes: Iterable[str]) -> frozenset[str]:
        """Those of ``opcodes`` the instance is known not to expose."""
        return frozenset() if self._known is None else frozenset(opcodes) - self._known

    def lacks(self, opcode: str) -> bool:
        """Whether the instance is known not to expose ``opcode``."""
        return self._known is not None and opcode not in self._known

    def forget(self) -> None:
        """Ask again next time."""
        self._known = None

    async def alive(self) -> bool:
        """Whether the instance serves a WSDL."""
        path = self._dialect.path(OPCODES["PCM_OP_READ_OBJ"])
        try:
            return (await self._transport.get(f"{path}?wsdl", PROBE_TIMEOUT)).status == 200
        except TransportFailure:
            return False

    async def _operations(self, path: str) -> frozenset[str]:
        reply = await self._transport.get(f"{path}?wsdl", PROBE_TIMEOUT)
        if reply.status == 404:
            return frozenset()
        if reply.status != 200:
            raise TransportFailure(f"WSDL of {path}: HTTP {reply.status}", sent=True)
        try:
            root = parse(reply.body)
        except CodecError as error:
            raise TransportFailure(f"WSDL of {path}: {error}", sent=True) from error
        return frozenset(element.get("name", "") for element in root.iter() if local_name(element) == "operation")

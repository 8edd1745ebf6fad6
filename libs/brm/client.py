"""The gateway over SOAP and HTTP to any number of BRM instances."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from types import TracebackType
from typing import Self

from libs.brm.call import BrmCall
from libs.brm.errors import BrmError
from libs.brm.flist import Flist
from libs.brm.instance_client import InstanceClient
from libs.brm.site import instance_of
from libs.brm.startup import watch_capabilities
from libs.brm.transport import Instance, TransportFailure
from libs.config import BillingSystem
from libs.errors import Reason
from libs.grpckit.context import outgoing, time_left
from libs.retry import TimeLeft
from libs.tasks import abandoned


class SoapGateway:
    """A :class:`~libs.brm.gateway.BrmGateway` for any number of instances. Use as an async context manager, or close it.

    ``calls`` counts the requests sent, by opcode; every attempt counts. ``headers`` gives what each request tells about the
    call it is made for (:func:`libs.grpckit.context.outgoing`); a request id among them also stands in ``CORRELATION_ID`` of
    writes.
    """

    def __init__(
        self,
        instances: Iterable[Instance],
        *,
        time_left: TimeLeft = lambda: None,
        needs: Collection[str] = (),
        headers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._needs = frozenset(needs)
        self._checks: list[asyncio.Task[None]] = []
        self.calls: Counter[str] = Counter()
        self._instances = {
            instance.system_id: InstanceClient(instance, time_left, self.calls, headers) for instance in instances
        }

    async def __aenter__(self) -> Self:
        if self._needs:
            self._checks = [
                asyncio.create_task(watch_capabilities(self, system_id, self._needs)) for system_id in self._instances
            ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all pools."""
        await abandoned(*self._checks)
        await asyncio.gather(*(connection.transport.close() for connection in self._instances.values()))

    async def call(self, system_id: str, call: BrmCall) -> Flist:
        """See :class:`~libs.brm.gateway.BrmGateway`."""
        return await self._connection(system_id, call.opcode).call(call)

    async def settle(self, system_id: str, call: BrmCall) -> Flist | None:
        """See :class:`~libs.brm.gateway.BrmGateway`."""
        return await self._connection(system_id, call.opcode).settle(call)

    async def probe(self, system_id: str) -> frozenset[str]:
        """The opcodes an instance exposes, from its WSDLs; from then on calls of others fail as BRM_CAPABILITY_MISSING.

        Raises :class:`BrmError` BRM_UNAVAILABLE when the instance cannot be asked.
        """
        connection = self._connection(system_id, "")
        try:
            return await connection.capabilities.probe()
        except TransportFailure as failure:
            message = f"{system_id} does not say what it offers: {failure}"
            raise BrmError(Reason.BRM_UNAVAILABLE, message, system_id=system_id, opcode="") from failure

    async def healthy(self, system_id: str) -> bool:
        """Whether an instance answered a read within the last 30 s (2.7). If nobody asked it, ask: WSDL and a read."""
        return await self._connection(system_id, "").healthy()

    def missing(self, system_id: str, opcodes: Iterable[str]) -> frozenset[str]:
        """Those of ``opcodes`` that the last :meth:`probe` did not find; none before there was one."""
        return self._connection(system_id, "").capabilities.missing(opcodes)

    def _connection(self, system_id: str, opcode_name: str) -> InstanceClient:
        connection = self._instances.get(system_id)
        if connection is None:
            message = f"no connection to {system_id} is configured"
            raise BrmError(Reason.BRM_ERROR, message, system_id=system_id, opcode=opcode_name)
        return connection


def open_gateway(systems: Iterable[BillingSystem], *, needs: Collection[str] = ()) -> SoapGateway:
    """The gateway to the configured billing systems that have an address, within the deadline of the running RPC.

    With ``needs`` it asks, in the background once it is entered, whether the instances expose these opcodes, and logs which
    they do not. Raises :class:`~libs.config.SettingsError` for a dialect file that cannot be read.
    """
    instances = [instance_of(system) for system in systems if system.endpoint]
    return SoapGateway(instances, time_left=time_left, needs=needs, headers=outgoing)

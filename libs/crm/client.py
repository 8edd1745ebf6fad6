"""What services ask of the CRM, the master of customer data: a port, and its adapter to ``o2c.crm.v1``.

A service gives a reader that turns the contract's account into its own type, so that wire types stop here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Generic, NoReturn, Protocol, TypeVar

import grpc
import grpc.aio

from libs.config import ServiceSettings
from libs.errors import O2CError, Reason
from libs.grpckit.channel import budget, open_channel
from libs.grpckit.context import time_left
from libs.grpckit.status import from_rpc_error
from libs.pb.crm.v1 import crm_pb2 as pb
from libs.pb.crm.v1.crm_pb2_grpc import CustomerDirectoryServiceStub
from libs.retry import Policy

MAX_BATCH: Final = 1000
"""Account ids in one call."""
CALL_SECONDS: Final = 10.0
"""How long one call may take (customer-sync Q31)."""
READS: Final = Policy("crm-read", limit=3, first=0.2, cap=2.0)
"""Three tries (customer-sync Q31). Reading changes nothing, so that any try may be repeated."""
RETRY_AFTER: Final = 5.0

_PASSING: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class CrmAccounts(Generic[T_co]):
    """What the CRM answered."""

    accounts: Mapping[str, T_co] = field(default_factory=dict)
    """By account id: those asked for, and those asked for with them."""
    not_found: frozenset[str] = frozenset()
    """Ids asked for, or named as a parent, that the CRM does not have."""


class CrmPort(Protocol[T_co]):
    """The CRM as flows use it."""

    async def accounts(
        self,
        account_ids: Sequence[str],
        *,
        with_ancestors: bool = False,
        with_children: bool = False,
        with_billing_profiles: bool = False,
    ) -> CrmAccounts[T_co]:
        """Accounts as the CRM knows them now. Raises CRM_UNAVAILABLE. No ids, no call."""
        ...


class GrpcCrm(Generic[T]):
    """The port over a channel to the CRM. One call per 1,000 ids, side by side."""

    def __init__(self, channel: grpc.aio.Channel, read: Callable[[pb.CrmAccount], T]) -> None:
        self._stub = CustomerDirectoryServiceStub(channel)
        self._read = read

    async def accounts(
        self,
        account_ids: Sequence[str],
        *,
        with_ancestors: bool = False,
        with_children: bool = False,
        with_billing_profiles: bool = False,
    ) -> CrmAccounts[T]:
        """Accounts as the CRM knows them now. Raises CRM_UNAVAILABLE after three tries of 10 s each."""
        unique = list(dict.fromkeys(account_ids))
        requests = [
            pb.BatchGetAccountsRequest(
                account_ids=unique[start : start + MAX_BATCH],
                with_ancestors=with_ancestors,
                with_children=with_children,
                with_billing_profiles=with_billing_profiles,
            )
            for start in range(0, len(unique), MAX_BATCH)
        ]
        answers = await asyncio.gather(*map(self._ask, requests))
        found = {each.account.account_id: self._read(each) for answer in answers for each in answer.accounts}
        missing = {account_id for answer in answers for account_id in answer.not_found_ids}
        return CrmAccounts(found, frozenset(missing))

    async def _ask(self, request: pb.BatchGetAccountsRequest) -> pb.BatchGetAccountsResponse:
        try:
            async for attempt in READS.attempts(worth_it=_may_pass, time_left=time_left):
                with attempt:
                    answer: pb.BatchGetAccountsResponse = await self._stub.BatchGetAccounts(
                        request, timeout=budget(CALL_SECONDS)
                    )
                    return answer
        except grpc.aio.AioRpcError as error:
            _refuse(error)
        raise AssertionError("unreachable")


class NoCrm(Generic[T]):
    """The port where no CRM is configured."""

    def __init__(self, setting: str) -> None:
        """``setting`` is the variable that would name one."""
        self._setting = setting

    async def accounts(
        self,
        account_ids: Sequence[str],
        *,
        with_ancestors: bool = False,
        with_children: bool = False,
        with_billing_profiles: bool = False,
    ) -> CrmAccounts[T]:
        """Raises CRM_UNAVAILABLE, naming the setting. No ids, no call."""
        if not account_ids:
            return CrmAccounts()
        raise O2CError.of(Reason.CRM_UNAVAILABLE, f"no CRM is configured; set {self._setting}", system="crm")


@asynccontextmanager
async def open_crm(
    target: str, settings: ServiceSettings, read: Callable[[pb.CrmAccount], T], setting: str
) -> AsyncIterator[CrmPort[T]]:
    """The CRM at ``target``; without one, a port that refuses, naming ``setting``."""
    if not target:
        yield NoCrm(setting)
        return
    channel = open_channel(target, settings)
    try:
        yield GrpcCrm(channel, read)
    finally:
        await channel.close()


def _may_pass(failure: BaseException) -> bool:
    return isinstance(failure, grpc.aio.AioRpcError) and failure.code() in _PASSING


def _refuse(error: grpc.aio.AioRpcError) -> NoReturn:
    if _may_pass(error):
        message = f"the CRM does not answer ({error.code().name.lower()})"
        raise O2CError.of(Reason.CRM_UNAVAILABLE, message, retry_after=RETRY_AFTER, system="crm") from error
    raise from_rpc_error(error, "crm") from error

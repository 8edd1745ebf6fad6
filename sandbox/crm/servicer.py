"""``o2c.crm.v1`` over the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import grpc.aio

from libs.errors import O2CError, Reason
from libs.pb.crm.v1 import crm_pb2 as pb
from libs.pb.crm.v1.crm_pb2_grpc import CustomerDirectoryServiceServicer
from sandbox.crm.faults import CrmState
from sandbox.crm.store import CrmStore

SERVICE_NAME: Final = "o2c.crm.v1.CustomerDirectoryService"
MAX_IDS: Final = 1000

_Context = grpc.aio.ServicerContext[Any, Any]


class CustomerDirectory(CustomerDirectoryServiceServicer):
    """The CRM as the suite calls it."""

    def __init__(self, store: CrmStore, state: CrmState) -> None:
        self._store = store
        self._state = state

    async def BatchGetAccounts(self, request: pb.BatchGetAccountsRequest, context: _Context) -> pb.BatchGetAccountsResponse:
        """Accounts by id, and what was asked for with them. Raises RANGE_INVALID for more than 1,000 ids."""
        await self._state.count("BatchGetAccounts")
        asked = list(dict.fromkeys(request.account_ids))
        if len(asked) > MAX_IDS:
            raise O2CError.of(Reason.RANGE_INVALID, f"{len(asked)} ids, where {MAX_IDS} are the limit", field="account_ids")
        wanted = list(dict.fromkeys([*asked, *self._related(request, asked)]))
        found = [account_id for account_id in wanted if account_id in self._store.accounts]
        missing = [account_id for account_id in wanted if account_id not in self._store.accounts]
        profiles = request.with_billing_profiles
        return pb.BatchGetAccountsResponse(
            accounts=[self._store.message(account_id, with_billing_profiles=profiles) for account_id in found],
            not_found_ids=missing,
        )

    def _related(self, request: pb.BatchGetAccountsRequest, asked: Iterable[str]) -> Iterator[str]:
        for account_id in asked:
            if request.with_ancestors:
                yield from self._store.above(account_id)
            if request.with_children:
                yield from self._store.below(account_id)

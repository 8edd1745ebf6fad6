"""The CRM port over a dictionary, for unit tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from libs.crm.client import CrmAccounts
from libs.errors import O2CError, Reason

T = TypeVar("T")


class FakeCrm(Generic[T]):
    """A :class:`libs.crm.client.CrmPort` over ``known``; change it and the next call sees the change."""

    def __init__(self, known: Mapping[str, T], parent_of: Callable[[T], str]) -> None:
        """``parent_of`` reads the id of the account above, empty at the top."""
        self.known = dict(known)
        self.calls: list[tuple[str, ...]] = []
        """Ids of each call: what a test counts round trips with."""
        self.down = False
        self._parent_of = parent_of

    async def accounts(
        self,
        account_ids: Sequence[str],
        *,
        with_ancestors: bool = False,
        with_children: bool = False,
        with_billing_profiles: bool = False,
    ) -> CrmAccounts[T]:
        """As the CRM would answer; billing profiles are there whenever ``known`` has them. CRM_UNAVAILABLE when down."""
        if not account_ids:
            return CrmAccounts()
        self.calls.append(tuple(account_ids))
        if self.down:
            raise O2CError.of(Reason.CRM_UNAVAILABLE, "the CRM does not answer", system="crm")
        wanted = dict.fromkeys(account_ids)
        for account_id in account_ids:
            if with_ancestors:
                wanted.update(dict.fromkeys(self._above(account_id)))
            if with_children:
                below = (key for key, account in self.known.items() if self._parent_of(account) == account_id)
                wanted.update(dict.fromkeys(below))
        found = {account_id: self.known[account_id] for account_id in wanted if account_id in self.known}
        return CrmAccounts(found, frozenset(wanted.keys() - found.keys()))

    def _above(self, account_id: str) -> Iterator[str]:
        seen = {account_id}
        while account_id in self.known and (account_id := self._parent_of(self.known[account_id])) and account_id not in seen:
            seen.add(account_id)
            yield account_id

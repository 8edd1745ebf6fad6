"""What CRM, cross-references and every BRM instance know of one customer, gathered side by side.

A source that does not answer leaves a gap with its reason, never a wrong picture; nothing here writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from libs.brm import calls as brm
from libs.brm.call import BrmCall
from libs.brm.flist import Flist, get
from libs.brm.gateway import BrmGateway
from libs.brm.poid import Poid
from libs.crm.client import CrmAccounts, CrmPort
from libs.errors import O2CError, Reason
from libs.xref.client import XrefKey, XrefPort, XrefRow
from libs.xref.sources import lookup_of_source
from services.customer_sync.domain import calls
from services.customer_sync.domain.corporate import DEEPEST
from services.customer_sync.domain.model import CrmCustomer
from services.customer_sync.persistence import Memory

CRM: Final = "CRM"
MAX_NODES: Final = 500
"""Accounts of one hierarchy that are shown."""


@dataclass(frozen=True, slots=True)
class Node:
    """An account of BRM's account hierarchy, and those below it."""

    account: Poid
    children: tuple[Node, ...] = ()

    def walk(self) -> Iterator[Poid]:
        """The account, and all below it."""
        yield self.account
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class BrmSource:
    """What one instance holds: objects as it returned them."""

    system_id: str
    account: Flist
    units: Sequence[Flist]
    payment_records: Sequence[Flist]
    balance_groups: Sequence[Flist]
    legal_groups: Sequence[Flist]
    hierarchy: Node | None
    hierarchy_cut: bool
    """Whether the hierarchy has more accounts than were looked at."""
    owners: Mapping[str, str]
    """Billing profile to the account that answers for its unit in collections, of those who do not themselves."""
    superseded: Mapping[str, str]
    """Bill units that are not used any more, each with the one that took its place."""


@dataclass(frozen=True, slots=True)
class CustomerSources:
    """Everything known of one account."""

    account_id: str
    row: XrefRow
    lives_in: tuple[str, ...]
    """BRM instances that it is cross-referenced in, whether or not they answered."""
    crm: CrmAccounts[CrmCustomer]
    brms: tuple[BrmSource, ...]
    profile_rows: Mapping[str, XrefRow]
    """Of the CRM's billing profiles, by id."""
    crm_ids: Mapping[tuple[str, Poid], str] = field(default_factory=dict)
    """(instance, object) to CRM id, of accounts and bill units that the view names; empty for those without a row."""
    problems: tuple[tuple[str, O2CError], ...] = ()
    """``CRM`` or instance, and why it is missing."""


@dataclass(frozen=True, slots=True)
class CustomerViews:
    """Looks at customers."""

    xref: XrefPort
    gateway: BrmGateway
    crm: CrmPort[CrmCustomer]
    memory: Memory
    billing_systems: frozenset[str]

    async def look(self, account_id: str, source_system: str) -> CustomerSources:
        """One customer. Raises ACCOUNT_NOT_FOUND when neither CRM nor cross-references know it, and XREF_UNAVAILABLE."""
        key = XrefKey(calls.ACCOUNTS, source_system, account_id)
        asked = lookup_of_source(self.xref, [key], source_system, "source_system")
        rows, (crm, problems) = await asyncio.gather(asked, self._crm(account_id))
        row = rows[key]
        if not row and not problems and account_id not in crm.accounts:
            message = f"neither the CRM nor the cross-references know an account {account_id}"
            raise O2CError.of(Reason.ACCOUNT_NOT_FOUND, message, field="account_id", kind="account", id=account_id)
        lives_in = sorted(self.billing_systems.intersection(row.columns))
        found = await asyncio.gather(*(self._brm(account_id, each, Poid.parse(row.value(each))) for each in lives_in))
        brms = tuple(source for source, _ in found if source is not None)
        problems += tuple(problem for _, problem in found if problem is not None)
        profile_rows, crm_ids = await self._named(account_id, source_system, crm, brms)
        return CustomerSources(account_id, row, tuple(lives_in), crm, brms, profile_rows, crm_ids, problems)

    async def _crm(self, account_id: str) -> tuple[CrmAccounts[CrmCustomer], tuple[tuple[str, O2CError], ...]]:
        try:
            found = await self.crm.accounts([account_id], with_ancestors=True, with_children=True, with_billing_profiles=True)
        except O2CError as error:
            return CrmAccounts(), ((CRM, error),)
        return found, ()

    async def _brm(
        self, account_id: str, system_id: str, account: Poid
    ) -> tuple[BrmSource | None, tuple[str, O2CError] | None]:
        try:
            return await self._source(account_id, system_id, account), None
        except O2CError as error:
            return None, (system_id, error)

    async def _source(self, account_id: str, system_id: str, account: Poid) -> BrmSource:
        details, units, records, groups, (hierarchy, cut) = await asyncio.gather(
            self.gateway.call(system_id, brm.read_obj(account)),
            self._found(system_id, brm.find_billinfos_of_account(account, db=account.db)),
            self._found(system_id, brm.find_payinfos_of_account(account, db=account.db)),
            self._found(system_id, brm.find_balance_groups(account=account, db=account.db)),
            self._hierarchy(system_id, account),
        )
        searches = [brm.find_collections_group(unit["POID"], db=account.db) for unit in units]
        answers = await asyncio.gather(*(self._found(system_id, search) for search in searches))
        legal = [group for answer in answers for group in answer]
        members = await self.memory.legal.members_of(system_id, [account_id])
        owners = {each.profile_id: each.owner_id for each in members if each.owner_id}
        superseded = await self.memory.superseded.of(system_id, [str(unit.get("BILLINFO_ID")) for unit in units])
        return BrmSource(system_id, details, units, records, groups, legal, hierarchy, cut, owners, superseded)

    async def _found(self, system_id: str, search: BrmCall) -> list[Flist]:
        """The objects of a search."""
        answer = await self.gateway.call(system_id, search)
        return list(answer.get("RESULTS", {}).values())

    async def _hierarchy(self, system_id: str, account: Poid) -> tuple[Node | None, bool]:
        """The whole hierarchy an account is in, level by level from its root; and whether there is more of it."""
        root = account
        for _ in range(DEEPEST):
            above = get(await self.gateway.call(system_id, brm.bill_group_get_parent(root)), "PARENT")
            if above is None:
                break
            root = above
        below: dict[Poid, list[Poid]] = {}
        level, seen = [root], {root}
        for _ in range(DEEPEST):
            if not level or len(seen) > MAX_NODES:
                break
            searches = [brm.find_group_by_owner(each, db=account.db) for each in level]
            answers = await asyncio.gather(*(self._found(system_id, search) for search in searches))
            for owner, groups in zip(level, answers, strict=True):
                members = [member["ACCOUNT_OBJ"] for group in groups for member in group.get("MEMBERS", {}).values()]
                below[owner] = [member for member in members if member not in seen]
                seen.update(members)
            level = [member for owner in level for member in below[owner]]
        tree = _tree(root, below)
        return (tree if tree.children else None), bool(level)

    async def _named(
        self, account_id: str, source_system: str, crm: CrmAccounts[CrmCustomer], brms: Sequence[BrmSource]
    ) -> tuple[dict[str, XrefRow], dict[tuple[str, Poid], str]]:
        """Cross-references of the CRM's profiles, and CRM ids of the objects that the instances name, in one look-up."""
        customer = crm.accounts.get(account_id)
        profiles = {
            profile.profile_id: XrefKey(calls.BILL_UNITS, source_system, profile.profile_id)
            for profile in (customer.profiles if customer else ())
        }
        objects = {
            (source.system_id, poid): XrefKey(table, source.system_id, str(replace(poid, rev=0)))
            for source in brms
            for table, poid in _named_in(source)
        }
        rows = await self.xref.lookup([*profiles.values(), *objects.values()])
        crm_ids = {item: rows[key].value(source_system) for item, key in objects.items()}
        return {profile_id: rows[key] for profile_id, key in profiles.items()}, crm_ids


def _named_in(source: BrmSource) -> Iterator[tuple[str, Poid]]:
    """Table and POID of every account and bill unit that an instance's part of the view names."""
    for poid in source.hierarchy.walk() if source.hierarchy else ():
        yield calls.ACCOUNTS, poid
    for unit in source.units:
        if unit.get("PARENT_BILLINFO_OBJ"):
            yield calls.BILL_UNITS, unit["PARENT_BILLINFO_OBJ"]
    for group in source.legal_groups:
        for member in group.get("MEMBERS", {}).values():
            yield calls.BILL_UNITS, member["BILLINFO_OBJ"]


def _tree(account: Poid, below: Mapping[Poid, Sequence[Poid]]) -> Node:
    return Node(account, tuple(_tree(child, below) for child in below.get(account, ())))

"""Gathers what is known of an order's customers: one look-up of cross-references, and BRM only where a decision needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from libs.brm import calls as brm
from libs.brm.flist import Flist, get
from libs.brm.gateway import BrmGateway
from libs.brm.poid import Poid
from libs.crm.client import CrmPort, NoCrm
from libs.xref.client import COMMON, XrefKey, XrefPort, XrefRow
from libs.xref.sources import column_of, lookup_of_source
from services.customer_sync.domain import calls
from services.customer_sync.domain.changes import account_level_lines
from services.customer_sync.domain.collation import Collation
from services.customer_sync.domain.draft import primary_profiles
from services.customer_sync.domain.frequencies import surveyed
from services.customer_sync.domain.inquiry import Inquiry, answered, inquiry_of, named_only
from services.customer_sync.domain.model import Command, CrmCustomer, Facts, Payee, Policy, Service
from services.customer_sync.domain.paying import is_refreshed
from services.customer_sync.domain.planner import refusals_before_billing
from services.customer_sync.lookup_frequencies import with_frequencies
from services.customer_sync.lookup_legal import remembered, wanted_of, with_legal
from services.customer_sync.lookup_services import services_of
from services.customer_sync.persistence import Memory

_OF_PAYEE: Final = ("ACCOUNT_OBJ", "CURRENCY")


class Lookup:
    """Facts about customers of one order in one BRM instance."""

    def __init__(
        self,
        xref: XrefPort,
        gateway: BrmGateway,
        crm: CrmPort[CrmCustomer],
        memory: Memory,
        billing_systems: Collection[str],
    ) -> None:
        self._xref = xref
        self._gateway = gateway
        self._crm = crm
        self._has_crm = not isinstance(crm, NoCrm)
        self._memory = memory
        self._billing_systems = billing_systems

    async def completed(self, command: Command, policy: Policy) -> Command:
        """The command with what only the CRM can tell: no call, or one, and another one where the order names by id alone who
        is new to billing. Raises CRM_UNAVAILABLE, XREF_UNAVAILABLE."""
        return await self._asked_crm(await self._described(command, policy), policy)

    async def _described(self, command: Command, policy: Policy) -> Command:
        """The command with the details of accounts and profiles that it names by id alone, and that billing does not have."""
        named = named_only(command, policy) if self._has_crm else {}
        if not named:
            return command
        tables = {(calls.ACCOUNTS, each) for each in named}
        tables |= {(calls.BILL_UNITS, profile_id) for profiles in named.values() for profile_id in profiles}
        keys = {item: XrefKey(item[0], command.source_system, item[1]) for item in sorted(tables)}
        rows = await lookup_of_source(self._xref, list(keys.values()), command.source_system, "order.source_system")
        here = {item for item, key in keys.items() if rows[key].value(command.system_id)}
        new = [
            account_id
            for account_id, profiles in named.items()
            if (calls.ACCOUNTS, account_id) not in here or any((calls.BILL_UNITS, each) not in here for each in profiles)
        ]
        if not new:
            return command
        found = await self._crm.accounts(new, with_billing_profiles=True)
        return answered(command, Inquiry(tuple(new)), found.accounts, found.not_found)

    async def _asked_crm(self, command: Command, policy: Policy) -> Command:
        inquiry = inquiry_of(command, policy)
        if not inquiry.account_ids or not (inquiry.required or self._has_crm):
            return command
        found = await self._crm.accounts(inquiry.account_ids, with_ancestors=inquiry.with_ancestors, with_billing_profiles=True)
        return answered(command, inquiry, found.accounts, found.not_found)

    async def gather(self, command: Command, collation: Collation, policy: Policy, *, thorough: bool = False) -> Facts:
        """All facts the planner needs. Nothing to know, no call.

        ``thorough`` also asks BRM for hierarchy groups that are not cross-referenced, which another process may just have made,
        and whether legal groups are still there. Raises XREF_UNAVAILABLE, STORE_UNAVAILABLE, and what BRM raises.
        """
        legal = await remembered(self._memory, command, policy)
        wanted = list(dict.fromkeys((*_wanted(command, collation), *wanted_of(command, legal))))
        if not wanted:
            return Facts()
        keys = {item: XrefKey(item[0], command.source_system, item[1]) for item in wanted}
        rows, (parents, corporate), above, posted = await asyncio.gather(
            lookup_of_source(self._xref, list(keys.values()), command.source_system, "order.source_system"),
            self._memory.parents.placed(command.system_id, collation.parents),
            self._memory.parents.above(command.system_id, collation.parents.values()),
            self._memory.payments.of(command.system_id, [payment.payment_id for payment in command.payments]),
        )
        found = {item: rows[key] for item, key in keys.items() if rows[key]}
        system_id = command.system_id
        nonpaying = column_of(found, calls.NONPAYING_UNITS, system_id)
        facts = Facts(
            accounts=column_of(found, calls.ACCOUNTS, system_id),
            balance_groups=column_of(found, calls.BALANCE_GROUPS, system_id),
            bill_units=column_of(found, calls.BILL_UNITS, system_id),
            payment_records=column_of(found, calls.PAYMENT_RECORDS, system_id),
            nonpaying_units=nonpaying,
            account_groups=column_of(found, calls.ACCOUNT_GROUPS, system_id),
            common_ids={item: row.value(COMMON) for item, row in found.items()},
            units_elsewhere=self._elsewhere(found, system_id),
            parents=above | parents,
            payments=column_of(found, calls.PAYMENTS, system_id),
            posted=posted,
            account_payers=await self._memory.payers.of(system_id, _account_level(command, collation, policy)),
            corporate=corporate,
            superseded=await self._memory.superseded.of(system_id, [key.crm_id for key in collation.replaced]),
            assets=_assets(found, system_id),
            legal_owners=legal.owners,
            legal_accounts=legal.accounts,
            legal_parents=legal.parents,
        )
        unsure = [each for each in collation.parents if each in facts.accounts and each not in parents]
        leaving = [key.service_account_id for key in collation.replaced if key.crm_id in nonpaying.keys() - facts.superseded]
        payees = _payees(command, collation, facts)
        refreshed = [each for each in collation.accounts if each in facts.accounts and is_refreshed(each, command, policy)]
        open_questions = unsure or leaving or collation.repaid or payees or refreshed or legal.candidates or thorough
        if not open_questions and not surveyed(command, collation, facts, policy):
            return facts
        if refusals_before_billing(command, facts, policy, collation):  # billing need not be asked (P8)
            return facts
        unlinked = await self._unlinked_groups(collation, facts.accounts, facts.account_groups, system_id) if thorough else {}
        parents |= await self._asked(unsure, facts.accounts, system_id)
        following = _following(collation, facts.accounts, parents)
        services = await self._services([*following, *leaving], facts.accounts, policy)
        facts = replace(
            facts,
            account_groups={**facts.account_groups, **unlinked},
            unlinked_groups=frozenset(unlinked),
            parents=above | parents,
            payees=await self._payees(payees, facts.bill_units, system_id),
            services={each: services[each] for each in following if each in services},
            charged=_charged(services.values()),
            refreshed=await self._stored({each: facts.accounts[each] for each in refreshed}, system_id),
        )
        facts = await with_frequencies(facts, command, collation, policy, self._gateway, self._memory.sent)
        legal_rows = {crm_id: row for (table, crm_id), row in found.items() if table == calls.LEGAL_GROUPS}
        return await with_legal(facts, legal, command, policy, legal_rows, self._gateway, thorough=thorough)

    def _elsewhere(self, found: Mapping[tuple[str, str], XrefRow], system_id: str) -> dict[str, tuple[str, ...]]:
        others = {
            crm_id: tuple(column for column in row.columns if column in self._billing_systems and column != system_id)
            for (table, crm_id), row in found.items()
            if table == calls.BILL_UNITS
        }
        return {crm_id: columns for crm_id, columns in others.items() if columns}

    async def _asked(self, account_ids: list[str], accounts: Mapping[str, str], system_id: str) -> dict[str, str]:
        """The parents in BRM of accounts about which nobody here knows; empty for none."""
        calls_made = [self._gateway.call(system_id, brm.bill_group_get_parent(accounts[each])) for each in account_ids]
        answers = await asyncio.gather(*calls_made)
        crm_ids = {Poid.parse(poid): account_id for account_id, poid in accounts.items()}
        found = {each: answer.get("PARENT") for each, answer in zip(account_ids, answers, strict=True)}
        return {each: crm_ids.get(parent) or str(parent) if parent else "" for each, parent in found.items()}

    async def _payees(self, profile_ids: Sequence[str], units: Mapping[str, str], system_id: str) -> dict[str, Payee]:
        """The bill units of payments for profiles that no line names: one read each."""
        reads = (self._gateway.call(system_id, brm.read_flds(units[each], _OF_PAYEE)) for each in profile_ids)
        answers = await asyncio.gather(*reads)
        return {
            each: Payee(str(answer["ACCOUNT_OBJ"]), int(answer["CURRENCY"]))
            for each, answer in zip(profile_ids, answers, strict=True)
        }

    async def _stored(self, accounts: Mapping[str, str], system_id: str) -> dict[str, Flist]:
        """Accounts as BRM has them: one read each."""
        reads = (self._gateway.call(system_id, brm.read_obj(poid)) for poid in accounts.values())
        return dict(zip(accounts, await asyncio.gather(*reads), strict=True))

    async def _services(
        self, account_ids: Iterable[str], accounts: Mapping[str, str], policy: Policy
    ) -> dict[str, tuple[Service, ...]]:
        """Services of accounts that get another payer; three reads side by side for each."""
        if not policy.service_level_balance_groups:
            return {}  # they have one payer, and follow him
        known = [each for each in dict.fromkeys(account_ids) if each in accounts]
        found = await asyncio.gather(*(services_of(self._gateway, policy.system_id, each, accounts[each]) for each in known))
        return dict(zip(known, found, strict=True))

    async def _unlinked_groups(
        self, collation: Collation, accounts: Mapping[str, str], groups: Mapping[str, str], system_id: str
    ) -> dict[str, str]:
        """Hierarchy groups in BRM, by owner, of those parents that have none in the cross-references."""
        parents = dict.fromkeys((*collation.parents.values(), *collation.repaid.values()))
        owners = [each for each in parents if each in accounts and each not in groups]
        searches = [self._gateway.call(system_id, brm.find_group_by_owner(accounts[each])) for each in owners]
        found = [get(answer, "RESULTS[0].POID") for answer in await asyncio.gather(*searches)]
        return {owner: str(poid) for owner, poid in zip(owners, found, strict=True) if poid}


def _payees(command: Command, collation: Collation, facts: Facts) -> list[str]:
    """Profiles of payments to post that no line names, and that billing has."""
    wanted = {each.profile_id for each in command.payments if each.payment_id not in facts.posted}
    return sorted(each for each in wanted if each in facts.bill_units and each not in collation.profiles)


def _following(collation: Collation, accounts: Mapping[str, str], parents: Mapping[str, str]) -> list[str]:
    """Accounts that might follow a new payer in the hierarchy."""
    return [each for each, payer in collation.repaid.items() if each in accounts and parents.get(each) not in (None, "", payer)]


def _account_level(command: Command, collation: Collation, policy: Policy) -> list[str]:
    """Accounts whose account-level products have a payer that matters."""
    named = [line.service_account_id for line in account_level_lines(command, policy)]
    return [*named, *(key.service_account_id for key in collation.replaced)]


def _charged(services: Iterable[tuple[Service, ...]]) -> dict[str, frozenset[Poid]]:
    charged: dict[str, set[Poid]] = {}
    for each in (service for of_account in services for service in of_account):
        charged.setdefault(each.unit_id, set()).add(each.poid)
    return {unit_id: frozenset(found) for unit_id, found in charged.items()}


def _wanted(command: Command, collation: Collation) -> Iterator[tuple[str, str]]:
    """(table, CRM id) of every cross-reference the order may need."""
    for account_id in collation.accounts:
        yield calls.ACCOUNTS, account_id
        yield calls.BALANCE_GROUPS, account_id
    for profile_id in (*collation.profiles, *_stand_ins(command, collation)):
        yield calls.BILL_UNITS, profile_id
        yield calls.PAYMENT_RECORDS, profile_id
    for payment in command.payments:
        if payment.profile_id:
            yield calls.BILL_UNITS, payment.profile_id
            yield calls.PAYMENT_RECORDS, payment.profile_id
        if payment.payment_id:
            yield calls.PAYMENTS, payment.payment_id
    for key in (*collation.payers, *collation.replaced):
        yield calls.NONPAYING_UNITS, key.crm_id
    for parent_id in (*collation.parents.values(), *collation.repaid.values()):
        yield calls.ACCOUNT_GROUPS, parent_id
    changed = {*collation.repaid, *(key.service_account_id for key in collation.replaced)}
    for line in command.lines:
        if line.service_account_id in changed and line.asset_id:
            yield calls.ASSETS, line.asset_id


def _stand_ins(command: Command, collation: Collation) -> Iterator[str]:
    """Profiles that may become the unit of an account which no line gives one."""
    primary = primary_profiles(command)
    for account_id in collation.accounts:
        if not collation.profiles_of(account_id) and account_id in primary:
            yield primary[account_id].profile_id


def _assets(found: Mapping[tuple[str, str], XrefRow], column: str) -> dict[str, frozenset[Poid]]:
    values = {crm_id: row.values(column) for (table, crm_id), row in found.items() if table == calls.ASSETS}
    return {crm_id: frozenset(Poid.parse(value) for value in stored) for crm_id, stored in values.items()}

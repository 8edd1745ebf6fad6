"""Gathers how often the accounts of an order and their relatives are billed (customer-sync V16, Q34): BRM is read only where
the order adds a bill unit to, or a relation between, accounts that exist."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from libs.brm import calls as brm
from libs.brm.call import BrmCall
from libs.brm.codes import PayType
from libs.brm.flist import Flist, get, results
from libs.brm.gateway import BrmGateway
from libs.brm.poid import Poid
from services.customer_sync.domain import calls
from services.customer_sync.domain.collation import Collation
from services.customer_sync.domain.frequencies import gaining, surveyed
from services.customer_sync.domain.marks import PartKind
from services.customer_sync.domain.model import Command, Facts, PayerKey, Policy
from services.customer_sync.domain.update.compare import changes_frequency
from services.customer_sync.domain.update.model import Known, Survey
from services.customer_sync.lookup_services import services_of
from services.customer_sync.persistence import SentParts


async def with_frequencies(
    facts: Facts, command: Command, collation: Collation, policy: Policy, gateway: BrmGateway, sent: SentParts
) -> Facts:
    """The facts with the bill frequencies that decide: those that count from the next bill on.

    One read for each account of the order that matters, and one for the parent of each that gets a further unit, unless the
    order's facts tell it; one more for a parent that is not on the order, and three for who pays for which service where others
    pay. The own unit of such an account speaks for those below it; only when it has none, they are read themselves.
    """
    on_order = surveyed(command, collation, facts, policy)
    if not on_order:
        return facts
    reads = _Reads(gateway, policy.system_id, policy.db, sent)
    growing = gaining(command, collation, facts, policy)
    units, parents = await asyncio.gather(
        reads.units({each: facts.accounts[each] for each in on_order}), reads.parents(growing, facts)
    )
    bare = [each for each in growing if not _paying(units[each])]
    children = await reads.children({each: facts.accounts[each] for each in bare})
    names = {Poid.parse(facts.accounts[each]): each for each in on_order}
    relatives = {each: {*parents.get(each, ()), *children.get(each, ())} for each in growing}
    strangers = {poid for found in relatives.values() for poid in found if poid not in names}
    units |= await reads.units({str(poid): str(poid) for poid in sorted(strangers, key=str)})
    frequencies = defaultdict(frozenset, {each: _paying(found) for each, found in units.items()})
    related = {each: {names.get(poid) or str(poid) for poid in found} for each, found in relatives.items()}
    paying = await reads.payers({each: facts.accounts[each] for each in growing if _payers(units[each])})
    for each in growing:
        for payer, months in _payers(units[each]):
            if payer in (paying[each] or {payer}):
                frequencies[payer] |= {months}
                related[each].add(payer)
    return replace(
        facts, frequencies=dict(frequencies), relatives={each: frozenset(found) for each, found in related.items() if found}
    )


async def related_by_payment(
    survey: Survey, known: Known, units: Iterable[Flist], policy: Policy, gateway: BrmGateway
) -> set[str]:
    """Accounts that pay for an edited one in the instance, and that it pays for with the profiles whose frequency changes, by
    CRM id; not those right above and below it in the CRM. No frequency changes, no call."""
    stored = {unit["POID"]: unit for unit in units}
    parts = {Poid.parse(known.links.bill_units[each.profile.profile_id]): each for each in survey.profiles}
    changing = [poid for poid, part in parts.items() if changes_frequency(part, stored.get(poid, {}), known)]
    if not changing:
        return set()
    reads, account_id = _Reads(gateway, policy.system_id, policy.db), survey.account.account_id
    paid = await reads.paid_by(changing)
    payers = {payer for payer, _ in _payers(stored.values())}
    if payers:
        payers = (await reads.payers({account_id: known.account}))[account_id] or payers
    direct = {each for each, one in survey.family.items() if one.account.parent_account_id == account_id}
    return (paid | payers) - direct - {account_id, survey.account.parent_account_id}


def _paying(units: Iterable[Flist]) -> frozenset[int]:
    """The frequencies of the units that pay for themselves, in months. One that stands in has no profile that the CRM could
    change, so it binds nobody (V16 is about profiles)."""
    paying = (unit for unit in units if unit.get("PAY_TYPE") != PayType.NONPAYING)
    return frozenset(
        int(unit["BILL_WHEN"]) for unit in paying if not str(unit.get("BILLINFO_ID") or "").startswith(calls.STAND_IN)
    )


def _payers(units: Iterable[Flist]) -> list[tuple[str, int]]:
    """Who pays, or once paid, for the others, and how often he is billed: a unit shares the frequency of its payer's."""
    return [
        (payer, int(unit["BILL_WHEN"]))
        for unit in units
        if unit.get("PAY_TYPE") == PayType.NONPAYING and (payer := calls.payer_of_unit(unit.get("BILLINFO_ID") or ""))
    ]


def _profile_of(unit: Flist) -> str:
    """The profile whose frequency a unit has: its own, or its payer's."""
    return str(unit.get("BILLINFO_ID") or "").rpartition("|")[2]


@dataclass(frozen=True, slots=True)
class _Reads:
    gateway: BrmGateway
    system_id: str
    db: str
    sent: SentParts | None = None

    async def units(self, accounts: Mapping[str, str]) -> dict[str, list[Flist]]:
        """Bill units by account, as they are from the next bill on."""
        answers = await self._all(brm.find_billinfos_of_account(poid, db=self.db) for poid in accounts.values())
        found = [results(answer) for answer in answers]
        profiles = {_profile_of(unit) for units in found for unit in units}
        kept = (
            await self.sent.find(self.system_id, [(PartKind.FREQUENCY, each) for each in profiles if each]) if self.sent else {}
        )
        pending = {profile_id: int(months) for (_, profile_id), months in kept.items() if months}
        due = ([{**unit, "BILL_WHEN": pending.get(_profile_of(unit), unit["BILL_WHEN"])} for unit in units] for units in found)
        return dict(zip(accounts, due, strict=True))

    async def paid_by(self, units: Iterable[Poid]) -> set[str]:
        """Accounts of the bill units that these pay for, by CRM id."""
        answers = await self._all(brm.find_billinfos_of_payer(poid, db=self.db) for poid in units)
        ids = (str(unit.get("BILLINFO_ID") or "") for each in answers for unit in results(each))
        return {key.service_account_id for each in ids if (key := PayerKey.of(each)) is not None}

    async def parents(self, account_ids: Iterable[str], facts: Facts) -> dict[str, list[Poid]]:
        """The account right above each, if any."""
        known = {each: facts.accounts[parent] for each, parent in facts.parents.items() if parent in facts.accounts}
        unsure = [each for each in account_ids if each not in known and facts.parents.get(each) != ""]
        answers = await self._all(brm.bill_group_get_parent(facts.accounts[each]) for each in unsure)
        asked = {each: answer["PARENT"] for each, answer in zip(unsure, answers, strict=True) if answer.get("PARENT")}
        told = {each: Poid.parse(known[each]) for each in account_ids if each in known}
        return {each: [poid] for each, poid in (asked | told).items()}

    async def payers(self, accounts: Mapping[str, str]) -> dict[str, set[str]]:
        """Who pays for services of each now: a unit whose services went to another payer stays behind. Empty before there are
        services."""
        found = await asyncio.gather(*(services_of(self.gateway, self.system_id, *each) for each in accounts.items()))
        return {each: {service.payer_id for service in services} for each, services in zip(accounts, found, strict=True)}

    async def children(self, accounts: Mapping[str, str]) -> dict[str, list[Poid]]:
        """The accounts right below each."""
        answers = await self._all(brm.find_group_by_owner(poid, db=self.db) for poid in accounts.values())
        members = ((get(answer, "RESULTS[0].MEMBERS") or {}).values() for answer in answers)
        below = ([each["ACCOUNT_OBJ"] for each in group if each] for group in members)
        return dict(zip(accounts, below, strict=True))

    async def _all(self, wanted: Iterable[BrmCall]) -> list[Flist]:
        return await asyncio.gather(*(self.gateway.call(self.system_id, call) for call in wanted))

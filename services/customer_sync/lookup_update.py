"""Gathers what an update needs: the CRM's fresh state, what is known here, and of BRM only what may differ."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from libs.brm import calls as brm
from libs.brm.call import BrmCall
from libs.brm.codes import OfferStatus, PayType, Status
from libs.brm.flist import Flist, get, results
from libs.brm.gateway import BrmGateway
from libs.brm.poid import Poid
from libs.crm.client import CrmAccounts, CrmPort
from libs.xref.client import COMMON, XrefKey, XrefPort, XrefRow
from libs.xref.sources import column_of, lookup_of_source
from services.customer_sync.domain import calls
from services.customer_sync.domain.marks import PartKey, PartKind
from services.customer_sync.domain.model import CrmCustomer, Facts, PayerKey, Policy, Profile
from services.customer_sync.domain.update.hierarchy import is_moving
from services.customer_sync.domain.update.model import (
    Asset,
    CustomerUpdate,
    Known,
    ServedGroup,
    State,
    Survey,
)
from services.customer_sync.lookup_frequencies import related_by_payment
from services.customer_sync.persistence import Memory


class UpdateLookup:
    """Facts about edited accounts."""

    def __init__(
        self,
        crm: CrmPort[CrmCustomer],
        xref: XrefPort,
        gateway: BrmGateway,
        memory: Memory,
        billing_systems: Collection[str],
    ) -> None:
        self._crm = crm
        self._xref = xref
        self._gateway = gateway
        self._memory = memory
        self._billing_systems = billing_systems

    async def instances(self, source_system: str, account_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The BRM instances each account lives in; none for one that no order brought there. One look-up."""
        keys = {each: XrefKey(calls.ACCOUNTS, source_system, each) for each in dict.fromkeys(account_ids)}
        rows = await lookup_of_source(self._xref, list(keys.values()), source_system, "source_system") if keys else {}
        return {
            each: tuple(column for column in rows[key].columns if column in self._billing_systems) for each, key in keys.items()
        }

    async def customers(self, account_ids: Sequence[str]) -> CrmAccounts[CrmCustomer]:
        """The accounts as the CRM has them now, with everybody above them and right below, and all billing profiles.

        One call. Raises CRM_UNAVAILABLE.
        """
        return await self._crm.accounts(account_ids, with_ancestors=True, with_children=True, with_billing_profiles=True)

    async def known(self, update: CustomerUpdate, family: Mapping[str, CrmCustomer], system_id: str) -> Known:
        """What cross-references and our own tables know: one look-up, three reads."""
        wanted = list(dict.fromkeys(_wanted(update.account_id, family)))
        keys = {item: XrefKey(item[0], update.source_system, item[1]) for item in wanted}
        rows, sent, parents, payers = await asyncio.gather(
            self._xref.lookup(list(keys.values())),
            self._memory.sent.find(system_id, _parts(update.account_id, family)),
            self._memory.parents.of(system_id, [update.account_id]),
            self._memory.payers.of(system_id, [update.account_id]),
        )
        found = {item: rows[key] for item, key in keys.items() if rows[key]}
        accounts = column_of(found, calls.ACCOUNTS, system_id)
        links = Facts(
            accounts=accounts,
            bill_units=column_of(found, calls.BILL_UNITS, system_id),
            payment_records=column_of(found, calls.PAYMENT_RECORDS, system_id),
            nonpaying_units=column_of(found, calls.NONPAYING_UNITS, system_id),
            account_groups=column_of(found, calls.ACCOUNT_GROUPS, system_id),
            common_ids={item: row.value(COMMON) for item, row in found.items()},
            parents=parents,
            account_payers=payers,
        )
        return Known(accounts.get(update.account_id, ""), links, sent)

    async def state(self, update: CustomerUpdate, survey: Survey, known: Known, policy: Policy) -> State:
        """What BRM has of the parts that may differ. Nothing differs, no call."""
        account, system_id, db = known.account, policy.system_id, policy.db
        account_flist, units, records, parent = await asyncio.gather(
            self._one(system_id, brm.read_obj(account), survey.name is not None or survey.status is not None),
            self._many(system_id, brm.find_billinfos_of_account(account, db=db), bool(survey.profiles)),
            self._many(system_id, brm.find_payinfos_of_account(account, db=db), bool(survey.profiles)),
            self._one(system_id, brm.bill_group_get_parent(account), survey.parent_id is not None),
        )
        parent_id = _owner_of(parent.get("PARENT"), known)
        moves = is_moving(survey, known, parent_id)
        if moves and parent_id and parent_id not in known.links.accounts:
            parent_id = await self._name_of(parent["PARENT"], system_id) or parent_id
        if moves and survey.parent_id and not units:
            units = await self._many(system_id, brm.find_billinfos_of_account(account, db=db), wanted=True)
        groups = await self._groups(survey, known, parent, parent_id, policy) if moves else {}
        return State(
            account=account_flist,
            units={str(unit["BILLINFO_ID"]): unit for unit in units},
            records={str(record["POID"]): record for record in records},
            parent_id=parent_id,
            groups=groups,
            unlinked_groups=frozenset(groups.keys() & known.links.accounts.keys() - known.links.account_groups.keys()),
            balance_groups=await self._served(account, units, policy) if moves and survey.parent_id else {},
            assets=await self._assets(account, policy) if survey.status not in (None, Status.ACTIVE) else (),
            related=await self._related(update, survey, known, units, policy),
        )

    async def _related(
        self, update: CustomerUpdate, survey: Survey, known: Known, units: list[Flist], policy: Policy
    ) -> tuple[Profile, ...]:
        """Of a bill frequency that changes: profiles that the instance has of those related to the account by payment, as the
        CRM has them now. Who stands right above and below it in the CRM is looked at anyhow (survey)."""
        beside = await related_by_payment(survey, known, units, policy, self._gateway)
        strangers = sorted(beside - survey.family.keys())
        found = await self._customers_alone(strangers) if strangers else {}
        asked = {each: found.get(each) or survey.family.get(each) for each in sorted(beside)}
        profiles = [profile for customer in asked.values() if customer is not None for profile in customer.profiles]
        keys = {each.profile_id: XrefKey(calls.BILL_UNITS, update.source_system, each.profile_id) for each in profiles}
        rows = await self._xref.lookup(list(keys.values())) if keys else {}
        return tuple(each for each in profiles if rows[keys[each.profile_id]].value(policy.system_id))

    async def _customers_alone(self, account_ids: Sequence[str]) -> Mapping[str, CrmCustomer]:
        """The accounts as the CRM has them now, with their billing profiles and nobody else. Raises CRM_UNAVAILABLE."""
        return (await self._crm.accounts(account_ids, with_billing_profiles=True)).accounts

    async def _one(self, system_id: str, call: BrmCall, wanted: bool) -> Flist:
        return await self._gateway.call(system_id, call) if wanted else {}

    async def _many(self, system_id: str, call: BrmCall, wanted: bool) -> list[Flist]:
        return results(await self._one(system_id, call, wanted))

    async def _groups(self, survey: Survey, known: Known, parent: Flist, parent_id: str, policy: Policy) -> dict[str, str]:
        """The group the account is in, and the one it shall be in, if that is there."""
        groups = {parent_id: str(parent["GROUP_OBJ"])} if parent_id else {}
        wanted = survey.parent_id
        if wanted:
            linked = known.links.account_groups.get(wanted)
            if linked is None:
                owner = known.links.accounts[wanted]
                answer = await self._gateway.call(policy.system_id, brm.find_group_by_owner(owner, db=policy.db))
                found = get(answer, "RESULTS[0].POID")
                linked = str(found) if found else None
            if linked is not None:
                groups[wanted] = linked
        return groups

    async def _served(self, account: str, units: list[Flist], policy: Policy) -> dict[str, tuple[ServedGroup, ...]]:
        """Services by balance group, of the bill units that others pay."""
        nonpaying = {unit["POID"]: unit for unit in units if unit.get("PAY_TYPE") == PayType.NONPAYING}
        if not nonpaying:
            return {}
        groups, services = await asyncio.gather(
            self._many(policy.system_id, brm.find_balance_groups(account=account, db=policy.db), wanted=True),
            self._many(policy.system_id, brm.find_services_of_account(account, db=policy.db), wanted=True),
        )
        served: dict[Poid, list[str]] = defaultdict(list)
        for service in services:
            if service.get("STATUS") != Status.CLOSED:
                served[service["BAL_GRP_OBJ"]].append(str(service["POID"]))
        found: dict[str, list[ServedGroup]] = defaultdict(list)
        for group in groups:
            unit, poid = nonpaying.get(group.get("BILLINFO_OBJ")), group["POID"]
            if unit is not None and served.get(poid):
                is_default = unit.get("BAL_GRP_OBJ") == poid
                found[str(unit["BILLINFO_ID"])].append(ServedGroup(str(poid), tuple(served[poid]), is_default))
        return {unit_id: tuple(each) for unit_id, each in found.items()}

    async def _assets(self, account: str, policy: Policy) -> tuple[Asset, ...]:
        """Services and account-level products that are active, by the CRM's asset ids where they are known."""
        services, products = await asyncio.gather(
            self._many(policy.system_id, brm.find_services_of_account(account, db=policy.db), wanted=True),
            self._many(policy.system_id, brm.find_products(account, status=OfferStatus.ACTIVE, db=policy.db), wanted=True),
        )
        active = [each["POID"] for each in services if each.get("STATUS") == Status.ACTIVE]
        active += [each["POID"] for each in products if each.get("SERVICE_OBJ") is None]
        names = await self._names(calls.ASSETS, active, policy.system_id) if active else {}
        return tuple(Asset(str(poid), name) for poid, name in names.items())

    async def _name_of(self, account: Poid, system_id: str) -> str:
        """CRM id of an account that is no relative in the CRM any more; empty when it is not cross-referenced."""
        return (await self._names(calls.ACCOUNTS, [account], system_id))[account]

    async def _names(self, table: str, poids: Sequence[Poid], system_id: str) -> dict[Poid, str]:
        """CRM ids of BRM objects, in one look-up; empty where there is none."""
        keys = {poid: [XrefKey(table, system_id, form) for form in _forms(poid)] for poid in poids}
        rows = await self._xref.lookup([key for each in keys.values() for key in each])
        return {
            poid: next(filter(None, (_crm_id(rows[key], self._billing_systems) for key in each)), "")
            for poid, each in keys.items()
        }


def _forms(poid: Poid) -> list[str]:
    """How an id may stand in the cross-references: with the revision it has, or had when it was made."""
    return list(dict.fromkeys((str(poid), str(replace(poid, rev=0)))))


def _crm_id(row: XrefRow, billing_systems: Collection[str]) -> str:
    return next((cell.value for cell in row.cells if cell.column not in (COMMON, *billing_systems)), "")


def _owner_of(poid: Poid | None, known: Known) -> str:
    """An account by its CRM id if it is one of those known here, else by its POID."""
    if poid is None:
        return ""
    return next((crm_id for crm_id, text in known.links.accounts.items() if Poid.parse(text) == poid), str(poid))


def _wanted(account_id: str, family: Mapping[str, CrmCustomer]) -> Iterator[tuple[str, str]]:
    """(table, CRM id) of every cross-reference an update may need: the account, its relatives, all their profiles."""
    yield calls.ACCOUNTS, account_id
    for relative_id, relative in family.items():
        yield calls.ACCOUNTS, relative_id
        yield calls.ACCOUNT_GROUPS, relative_id
        for profile in relative.profiles:
            yield calls.BILL_UNITS, profile.profile_id
            if relative_id == account_id:
                yield calls.PAYMENT_RECORDS, profile.profile_id
            else:
                yield calls.NONPAYING_UNITS, PayerKey(account_id, relative_id, profile.profile_id).crm_id


_OF_PROFILE: Final = (PartKind.PROFILE, PartKind.SECRET, PartKind.FREQUENCY)


def _parts(account_id: str, family: Mapping[str, CrmCustomer]) -> list[PartKey]:
    own = [(kind, account_id) for kind in (PartKind.ACCOUNT, PartKind.STATUS, PartKind.SEEN)]
    profiles = family[account_id].profiles
    return own + [(kind, each.profile_id) for kind in _OF_PROFILE for each in profiles]

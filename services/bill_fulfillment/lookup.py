"""Gathers what the planner needs to know: cross-references in one round trip, and this service's own ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from libs.brm import calls as brm
from libs.brm.codes import Status
from libs.brm.errors import BrmError
from libs.brm.flist import Flist, results
from libs.brm.gateway import BrmGateway
from libs.brm.poid import Poid
from libs.brm.rating_lists import entries_of
from libs.plan.journal import Entry, EntryState, Journal
from libs.plan.model import Ref
from libs.xref.client import COMMON, XrefKey, XrefPort, XrefRow
from services.bill_fulfillment.domain.admission import payers
from services.bill_fulfillment.domain.model import (
    Action,
    AssetRecord,
    Attempt,
    Command,
    Facts,
    Handle,
    ObjectKind,
    OpenService,
    Part,
    Policy,
)
from services.bill_fulfillment.domain.payers import services_of_accounts
from services.bill_fulfillment.domain.special_rating import asks_for_entries
from services.bill_fulfillment.domain.transfers import BOUGHT, goes_elsewhere
from services.bill_fulfillment.persistence import LedgerStore

ACCOUNTS: Final = "CUSTOMERPARTY_ACCOUNTID"
BILL_UNITS: Final = "CUSTOMERPARTY_BILLPROFILEID"
NONPAYING_UNITS: Final = "NONPAYING_BILLINFO"
PRODUCTS: Final = "ITEM_ITEMID"
INSTALLED: Final = "INSTALLEDPRODUCT_ID"

_CROSS_REFERENCED: Final = (
    ObjectKind.BUNDLE,
    ObjectKind.SERVICE,
    ObjectKind.PRODUCT,
    ObjectKind.DISCOUNT,
    ObjectKind.PROFILE,
)

Planned = Mapping[tuple[str, str, str], str]
"""(table, CRM id, kind) to the symbolic name of an object that will exist."""


def run_key(command: Command) -> str:
    """What names the intent of a request, however often it is tried: the revision of an order in one instance."""
    return f"bill:{command.system_id}:{command.ledger_order}:{command.revision}"


class Lookup:
    """Reads cross-references, ledger and journal; and in BRM what special rating lists hold."""

    def __init__(
        self, xref: XrefPort, store: LedgerStore, journal: Journal, gateway: BrmGateway, billing_systems: Iterable[str]
    ) -> None:
        self._xref = xref
        self._gateway = gateway
        self._store = store
        self._journal = journal
        self._systems = tuple(billing_systems)

    async def gather(self, command: Command, planned: Planned, policy: Policy) -> Facts:
        """The facts for ``command``; ``planned`` objects count as existing. One read of BRM for each list that may be replaced,
        and for each account whose services share a balance group and get a further one, or another payer.

        Raises XREF_UNAVAILABLE, STORE_UNAVAILABLE, and what the read raises.
        """
        wanted = _wanted(command)
        rows = await self._xref.lookup([XrefKey(table, command.source_system, crm_id) for table, crm_id in wanted])
        found = {(key.table, key.ref_value): row for key, row in rows.items()}
        reader = _Reader(command.system_id, found, planned)
        assets = [crm_id for table, crm_id in wanted if table == INSTALLED]
        ledger = await self._store.load(command.ledger_order, command.system_id, assets)
        earlier = await self._journal.load(run_key(command))
        installed = {
            (asset, kind): handle
            for asset in assets
            for kind in _CROSS_REFERENCED
            if (handle := reader.one(INSTALLED, asset, kind.value)) is not None
        }
        return Facts(
            accounts=reader.all_of(ACCOUNTS),
            bill_units=reader.all_of(BILL_UNITS),
            nonpaying_units=reader.all_of(NONPAYING_UNITS),
            products=reader.all_of(PRODUCTS),
            installed=installed,
            known_assets=frozenset(asset for asset in assets if found.get((INSTALLED, asset))),
            common_ids={asset: row.value(COMMON) for asset in assets if (row := found.get((INSTALLED, asset)))},
            elsewhere=self._elsewhere(command, assets, found),
            lines=ledger.lines,
            assets=ledger.assets,
            lists=await self._lists(command, installed),
            parts=await self._parts(command, ledger.assets),
            account_services=await self._account_services(command, reader.all_of(ACCOUNTS), policy),
            latest_revision=ledger.latest_revision,
            attempted={key: _attempt(entry) for key, entry in earlier.items() if entry.state is not EntryState.FAILED},
        )

    async def _lists(
        self, command: Command, installed: Mapping[tuple[str, ObjectKind], Handle]
    ) -> dict[str, Mapping[int, str]]:
        """What the lists hold that the order may replace; one that BRM does not have is left out."""
        assets = dict.fromkeys(line.asset for line in command.lines if asks_for_entries(line))
        known = {asset: poid for asset in assets if isinstance(poid := installed.get((asset, ObjectKind.PROFILE)), Poid)}
        reads = (self._gateway.call(command.system_id, brm.read_obj(poid)) for poid in known.values())
        found: dict[str, Mapping[int, str]] = {}
        for asset, read in zip(known, await asyncio.gather(*reads, return_exceptions=True), strict=True):
            if isinstance(read, BrmError) and read.not_found:
                continue
            if isinstance(read, BaseException):
                raise read
            found[asset] = entries_of(read)
        return found

    async def _account_services(
        self, command: Command, accounts: Mapping[str, Handle], policy: Policy
    ) -> dict[str, tuple[OpenService, ...]]:
        """Services of accounts that share one balance group, with the assets they are cross-referenced for."""
        wanted = services_of_accounts(command) if not policy.service_level_balance_groups else ()
        known = {each: poid for each in wanted if isinstance(poid := accounts.get(each), Poid)}
        searches = (self._gateway.call(command.system_id, brm.find_services_of_account(poid)) for poid in known.values())
        answers = await asyncio.gather(*searches)
        found = {each: _open_services(answer) for each, answer in zip(known, answers, strict=True)}
        services = [each.poid for all_of in found.values() for each in all_of]
        keys = {poid: XrefKey(INSTALLED, command.system_id, str(replace(poid, rev=0))) for poid in services}
        rows = await self._xref.lookup(list(keys.values())) if keys else {}
        named = {poid: rows[key].value(command.source_system) for poid, key in keys.items()}
        return {each: tuple(replace(one, asset=named[one.poid]) for one in all_of) for each, all_of in found.items()}

    async def _parts(self, command: Command, assets: Mapping[str, AssetRecord]) -> dict[str, tuple[Part, ...]]:
        """What hangs on services that go to another account; one read of BRM for each offer."""
        services = {line.move_from or line.asset: line.asset for line in command.lines if goes_elsewhere(line)}
        found: dict[str, tuple[Part, ...]] = {}
        for known_as, hanging in (await self._store.parts(command.system_id, services)).items():
            asset = services[known_as]
            own = {asset: assets[known_as]} if known_as in assets else {}
            parts = (self._part(command.system_id, each, record) for each, record in {**own, **hanging}.items())
            found[asset] = tuple(await asyncio.gather(*parts))
        return found

    async def _part(self, system_id: str, asset: str, record: AssetRecord) -> Part:
        part = Part(asset, record)
        for kind, poid in part.offers().items():
            offer = await self._gateway.call(system_id, brm.read_obj(poid))
            bought = offer[BOUGHT[kind]]
            part = replace(part, bought_for=str(offer.get("DESCR") or ""), product=str(bought))
        return part

    def _elsewhere(self, command: Command, assets: Iterable[str], found: Mapping[tuple[str, str], XrefRow]) -> dict[str, str]:
        """Assets that only another BRM instance has."""
        others = [system for system in self._systems if system != command.system_id]
        places: dict[str, str] = {}
        for asset in assets:
            row = found.get((INSTALLED, asset))
            if row and not row.values(command.system_id):
                there = next((system for system in others if row.values(system)), "")
                if there:
                    places[asset] = there
        return places


class _Reader:
    """Handles out of rows: a hypothetical object's name, else the POID in the instance's column."""

    def __init__(self, system_id: str, found: Mapping[tuple[str, str], XrefRow], planned: Planned) -> None:
        self._system_id = system_id
        self._found = found
        self._planned = planned

    def one(self, table: str, crm_id: str, kind: str = "") -> Handle | None:
        """The object of one row; of several of a kind the latest."""
        row = self._found.get((table, crm_id))
        values = row.values(self._system_id, kind) if row else ()
        if values:
            return Poid.parse(values[-1])
        name = self._planned.get((table, crm_id, kind))
        return Ref(name) if name else None

    def all_of(self, table: str) -> dict[str, Handle]:
        """Every object of a one-to-one table, by CRM id."""
        handles = ((crm_id, self.one(table, crm_id)) for name, crm_id in self._found if name == table)
        return {crm_id: handle for crm_id, handle in handles if handle is not None}


def _wanted(command: Command) -> list[tuple[str, str]]:
    """The rows an order's lines speak of, each once."""
    wanted: dict[tuple[str, str], None] = {}
    for line in command.lines:
        prior = line.prior
        for account in (line.payer.service_account, line.payer.billing_account, prior.service_account, prior.billing_account):
            _want(wanted, ACCOUNTS, account)
        buys = line.action is Action.ADD or line.prior.quantity not in (None, line.quantity)
        _want(wanted, PRODUCTS, line.product_id if buys else "")
        _want(wanted, INSTALLED, line.asset)
        _want(wanted, INSTALLED, line.move_from)
        _want(wanted, INSTALLED, line.promotion)
    for payer in sorted(payers(command.lines), key=lambda payer: payer.key):
        if payer.pays_itself:
            _want(wanted, BILL_UNITS, payer.billing_profile)
        elif payer.billing_profile:
            _want(wanted, NONPAYING_UNITS, payer.key)
    return list(wanted)


def _want(wanted: dict[tuple[str, str], None], table: str, crm_id: str | None) -> None:
    if crm_id:
        wanted[table, crm_id] = None


def _open_services(answer: Flist) -> list[OpenService]:
    """The services of a search that BRM has not closed."""
    services = results(answer)
    return [OpenService(each["POID"], each.get("BAL_GRP_OBJ")) for each in services if each.get("STATUS") != Status.CLOSED]


def _attempt(entry: Entry) -> Attempt:
    """A step without its cross-references counts as open: run again, it is only linked."""
    outputs = {name: value for name, value in entry.outputs.items() if isinstance(value, Poid)}
    return Attempt(entry.state is EntryState.INTENDED or not entry.linked, outputs)

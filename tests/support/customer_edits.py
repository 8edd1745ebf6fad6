"""Edits of customers in the CRM, and what becomes of them in billing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import brm_samples
import customer_suite
from customer_suite import Suite
from customers import order, request
from google.protobuf.json_format import MessageToDict

from libs.brm.client import open_gateway
from libs.brm.flist import get
from libs.brm.gateway import BrmGateway
from libs.brm.poid import Poid
from libs.brm.specs import OPCODES
from libs.clock import Clock
from libs.config import local_settings
from libs.crm.client import open_crm
from libs.db import Database
from libs.dvm.client import InForce
from libs.grpckit.status import from_status
from libs.pb.customer_sync.v1 import customer_sync_pb2
from libs.pb.customer_sync.v1 import customer_update_pb2 as pb
from libs.plan.alone import Alone
from libs.plan.journal import Journal
from libs.plan.leases import Leases
from libs.xref.model import XrefKey, XrefWrite
from services.customer_sync.aggregator import Aggregator
from services.customer_sync.config import Settings
from services.customer_sync.domain.targets import Targets
from services.customer_sync.executor_update import UpdateExecutor
from services.customer_sync.lookup_update import UpdateLookup
from services.customer_sync.mappers import to_domain_customer
from services.customer_sync.persistence import Memory, PendingUpdates

SOURCE = "SEBL_01"
ASSETS = "INSTALLEDPRODUCT_ID"
Event = pb.CustomerEvent


def account_event(account_id: str) -> Event:
    return Event(account_id=account_id, account=pb.AccountChanged())


def contact_event(account_id: str, contact_id: str) -> Event:
    return Event(account_id=account_id, contact=pb.ContactChanged(contact_id=contact_id))


def address_event(account_id: str, address_id: str) -> Event:
    return Event(account_id=account_id, address=pb.AddressChanged(address_id=address_id))


def profile_event(account_id: str, profile_id: str, *, deleted: bool = False) -> Event:
    changed = pb.BillingProfileChanged(billing_profile_id=profile_id, deleted=deleted)
    return Event(account_id=account_id, billing_profile=changed)


def told(*events: Event, wait: bool = True, request_id: str = "", validate_only: bool = False) -> pb.SyncCustomerUpdateRequest:
    return pb.SyncCustomerUpdateRequest(
        request_id=request_id, source_system=SOURCE, events=events, wait=wait, validate_only=validate_only
    )


class Customers:
    """Customers that orders brought to billing, and that are edited in the CRM then."""

    def __init__(self, suite: Suite, gateway: BrmGateway) -> None:
        self.suite = suite
        self.gateway = gateway
        self.crm = suite.crm.store
        self._orders = 0

    async def ordered(
        self,
        lines: list[dict[str, Any]],
        accounts: list[dict[str, Any]] | None = None,
        profiles: list[dict[str, Any]] | None = None,
        system_id: str = "BRM_01",
    ) -> customer_sync_pb2.SyncOrderCustomersResponse:
        """An order for customers that the CRM knows, too."""
        self._orders += 1
        document = order(lines, accounts, profiles, order_id=f"ORD-{self._orders}")
        self.crm.load(MessageToDict(document, preserving_proto_field_name=True))
        response = await self.suite.sync(request(document, system_id=system_id))
        assert response.outcome in (customer_sync_pb2.SYNC_OUTCOME_OK, customer_sync_pb2.SYNC_OUTCOME_OK_WITH_WARNINGS), (
            response
        )
        return response

    async def tell(self, *events: Event, **options: Any) -> pb.SyncCustomerUpdateResponse:
        """Send events, and by default wait for what comes of them."""
        return await self.suite.updates.SyncCustomerUpdate(told(*events, **options))

    async def edit(self, account_id: str, **changes: Any) -> pb.SyncCustomerUpdateResponse:
        """Edit an account in the CRM and have billing follow."""
        self.crm.edit_account(account_id, changes)
        return await self.tell(account_event(account_id))

    async def edit_profile(self, profile_id: str, **changes: Any) -> pb.SyncCustomerUpdateResponse:
        """Edit a billing profile in the CRM and have billing follow."""
        record = self.crm.edit_billing_profile(profile_id, changes)
        return await self.tell(profile_event(record["account_id"], profile_id))

    async def bought(self, account_id: str, unit: str, asset_id: str, login: str = "5551001") -> Poid:
        """A wireless service on a bill unit (POID), as bill fulfillment leaves it behind; the service."""
        account = Poid.parse(await self.id_of("CUSTOMERPARTY_ACCOUNTID", account_id))
        output = await self.gateway.call("BRM_01", brm_samples.wireless(account, Poid.parse(unit), login, asset_id))
        service: Poid = get(output, "SERVICES[0].SERVICE_OBJ")
        await self.link_asset(asset_id, str(service), "SERVICE")
        return service

    async def link_asset(self, asset_id: str, brm_id: str, kind: str, system_id: str = "BRM_01") -> None:
        """Cross-reference an asset with what billing has for it."""
        await self.suite.xref.get_or_create([XrefKey(ASSETS, SOURCE, asset_id)])
        await self.suite.xref.populate([XrefWrite(ASSETS, SOURCE, asset_id, system_id, brm_id, kind=kind)])

    async def id_of(self, table: str, crm_id: str, system_id: str = "BRM_01") -> str:
        """The BRM id that is cross-referenced; empty when none is."""
        key = XrefKey(table, SOURCE, crm_id)
        return (await self.suite.xref.lookup([key]))[key].value(system_id)

    async def account(self, account_id: str, system_id: str = "BRM_01") -> dict[str, Any]:
        poid = await self.id_of("CUSTOMERPARTY_ACCOUNTID", account_id, system_id)
        return await self.suite.sandbox.admin(system_id).object(poid)

    async def contact(self, account_id: str, system_id: str = "BRM_01") -> dict[str, Any]:
        found: dict[str, Any] = (await self.account(account_id, system_id))["NAMEINFO"]["1"]
        return found

    async def unit(self, profile_id: str, system_id: str = "BRM_01") -> dict[str, Any]:
        poid = await self.id_of("CUSTOMERPARTY_BILLPROFILEID", profile_id, system_id)
        return await self.suite.sandbox.admin(system_id).object(poid)

    async def record(self, profile_id: str, system_id: str = "BRM_01") -> dict[str, Any]:
        """The payment record that the profile's bill unit uses."""
        unit = await self.unit(profile_id, system_id)
        return await self.suite.sandbox.admin(system_id).object(unit["PAYINFO_OBJ"])

    async def calls(self, system_id: str = "BRM_01") -> int:
        """How many opcodes were called so far."""
        return len(await self.suite.sandbox.admin(system_id).calls())

    async def writes(self, since: int = 0, system_id: str = "BRM_01") -> list[str]:
        """Writes among the calls after the first ``since``, without prefix."""
        calls = (await self.suite.sandbox.admin(system_id).calls())[since:]
        return [each["opcode"].removeprefix("PCM_OP_") for each in calls if OPCODES[each["opcode"]].kind != "read"]

    async def hierarchy(self, account_id: str, names: Iterable[str], system_id: str = "BRM_01") -> tuple[str, set[str]]:
        """Parent (empty for none) and children of an account in BRM, by CRM ids among ``names``."""
        poids = {await self.id_of("CUSTOMERPARTY_ACCOUNTID", name, system_id): name for name in names}
        by_poid = {Poid.parse(poid): name for poid, name in poids.items() if poid}
        groups = await self.suite.sandbox.admin(system_id).objects("/group/billing")
        mine = Poid.parse(await self.id_of("CUSTOMERPARTY_ACCOUNTID", account_id, system_id))
        parent, children = "", set()
        for group in groups:
            members = {Poid.parse(member["ACCOUNT_OBJ"]) for member in group["MEMBERS"].values()}
            if mine in members:
                parent = by_poid[Poid.parse(group["PARENT"])]
            if Poid.parse(group["PARENT"]) == mine:
                children = {by_poid[member] for member in members}
        return parent, children


def reasons(response: pb.SyncCustomerUpdateResponse) -> set[str]:
    """Reasons of all errors."""
    return {str(violation.reason) for error in response.errors for violation in from_status(error).violations}


def fields(response: pb.SyncCustomerUpdateResponse) -> set[str]:
    """Field paths of all errors."""
    return {violation.field for error in response.errors for violation in from_status(error).violations}


def warnings(response: pb.SyncCustomerUpdateResponse) -> set[str]:
    return {notice.reason for notice in response.warnings}


@asynccontextmanager
async def open_customers(*codes: str, **settings: Any) -> AsyncIterator[Customers]:
    """Customers of a suite of their own, which makes updates only when it is asked to; checks BRM at the end."""
    names = codes or ("BRM_01",)
    own = {"update_poll_seconds": 3600, **settings}
    async with customer_suite.running_suite(*names, **own) as suite:
        async with open_gateway(suite.systems) as gateway:
            yield Customers(suite, gateway)
        for system_id in names:
            assert await suite.sandbox.admin(system_id).check_invariants() == []


@asynccontextmanager
async def another_aggregator(
    customers: Customers,
    database_url: str,
    clock: Clock,
    *,
    gateway: BrmGateway | None = None,
    journal_of: Callable[[Database], Awaitable[Journal]] = Journal.open,
    attempts: int = 10,
    **options: Any,
) -> AsyncIterator[Aggregator]:
    """An aggregator as another pod would have it, on the same database, with a clock that stands still."""
    suite = customers.suite
    async with AsyncExitStack() as stack:
        db = await Database.open(database_url)
        stack.push_async_callback(db.close)
        settings = local_settings(Settings, **options)
        crm = await stack.enter_async_context(open_crm(suite.sandbox.crm_address, settings, to_domain_customer, "CRM"))
        journal, codes = await journal_of(db), [system.code for system in suite.systems]
        reach = gateway or customers.gateway
        memory = await Memory.open(db)
        executor = UpdateExecutor(
            journal=journal,
            gateway=reach,
            xref=suite.xref,
            lookup=UpdateLookup(crm, suite.xref, reach, memory, codes),
            memory=memory,
            alone=Alone(await Leases.open(db), 30.0),
            targets=InForce(settings.targets(suite.systems), None, Targets.with_maps),
        )
        yield Aggregator(journal, await PendingUpdates.open(db), executor, clock, 5.0, attempts)

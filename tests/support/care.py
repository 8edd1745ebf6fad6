"""Billing care among real neighbours: the sandbox over SOAP, cross-references over gRPC. Seeds customers as orders would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import grpc.aio

from libs.brm import calls
from libs.brm.client import SoapGateway, open_gateway
from libs.brm.codes import AccountingType
from libs.brm.flist import Flist, get
from libs.brm.poid import Poid
from libs.config import BillingSystem, local_settings
from libs.dvm.client import site_maps
from libs.errors import O2CError
from libs.grpckit.channel import open_channel
from libs.grpckit.status import from_rpc_error
from libs.pb.billing_care.v1 import billing_care_pb2 as pb
from libs.pb.billing_care.v1.billing_care_pb2_grpc import BillingCareServiceStub
from libs.xref.client import GrpcXref, XrefKey, XrefWrite
from sandbox.billing.ledger import Debtor, Impact, Occurrence, post
from sandbox.store.sqlite import Tx
from sandbox.testing import RunningSandbox, running_sandbox
from services.billing_care.config import Settings
from services.billing_care.mappers import to_domain_money
from services.billing_care.server import running_billing_care
from services.xref.config import Settings as XrefSettings
from services.xref.server import running_xref

ACCOUNTS, PROFILES = "CUSTOMERPARTY_ACCOUNTID", "CUSTOMERPARTY_BILLPROFILEID"
USD, EUR = 840, 978


@dataclass
class Neighbourhood:
    """Everything around billing care, with short ways to put customers into BRM."""

    sandbox: RunningSandbox
    systems: tuple[BillingSystem, ...]
    gateway: SoapGateway
    xref: GrpcXref
    channel: grpc.aio.Channel
    """To the cross-reference service."""
    accounts: dict[tuple[str, str], Poid] = field(default_factory=dict)
    """POID by CRM account id and instance."""
    profiles: dict[str, Poid] = field(default_factory=dict)
    groups: dict[str, Poid] = field(default_factory=dict)
    """Default balance group by CRM profile id."""

    async def customer(
        self, account_id: str, *profile_ids: str, system: str = "BRM_01", currency: int = USD, linked: bool = True
    ) -> None:
        """An account with these billing profiles, as customer sync creates and (unless told not to) cross-references them."""
        units = [self._unit(profile_id, currency) for profile_id in profile_ids]
        output = await self._commit(account_id, units, system, currency)
        for index, profile_id in enumerate(profile_ids):
            self.profiles[profile_id] = get(output, f"BILLINFO[{index}].POID")
            self.groups[profile_id] = get(output, f"BAL_INFO[{index}].POID")
        if linked:
            await self._link(PROFILES, {profile_id: self.profiles[profile_id] for profile_id in profile_ids}, system)

    async def nonpaying(self, account_id: str, payer_profile: str, *, system: str = "BRM_01") -> None:
        """An account without a profile of its own: ``payer_profile`` pays for it."""
        payer = self.profiles[payer_profile]
        unit = calls.BillUnit(billinfo_id=f"{account_id}|{payer_profile}", currency=USD, bill_day=1, parent=payer)
        output = await self._commit(account_id, [unit], system, USD)
        self.groups[account_id] = get(output, "BAL_INFO[0].POID")

    async def wireless(self, account_id: str, group: str, login: str, *products: int, discounts: tuple[int, ...] = ()) -> Poid:
        """A wireless service billed through the group of a profile (or of a nonpaying account), as bill fulfillment buys it."""
        deal = calls.Deal(
            name="Wireless",
            products=tuple(calls.ProductPurchase(product=f"/product {id_}", line_id=f"{login}.{id_}") for id_ in products),
            discounts=tuple(calls.DiscountPurchase(discount=f"/discount {id_}", line_id=f"{login}.{id_}") for id_ in discounts),
        )
        service = calls.ServicePurchase(service="/service/telco/gsm", login=login, balance_group=self.groups[group], deal=deal)
        output = await self.gateway.call(
            "BRM_01", calls.modify_customer(self.accounts[account_id, "BRM_01"], services=[service])
        )
        poid = get(output, "SERVICES[0].SERVICE_OBJ")
        assert isinstance(poid, Poid)
        return poid

    def charge(self, account_id: str, group: str, item_type: str, *amounts: str, system: str = "BRM_01") -> None:
        """Events of these amounts on the pending item of a type, as rating would leave them."""
        account = self.accounts[account_id, system]

        def run(tx: Tx) -> None:
            debtor = Debtor.of_group(tx, account, None, self.groups[group])
            for amount in amounts:
                what = Occurrence("/event/session", item_type, tx.now, tx.now)
                post(tx, debtor, what, [Impact(debtor.unit["CURRENCY"], Decimal(amount))], item_type)

        self.sandbox.instance(system).transaction(run)

    async def bill(self, at: str, *systems: str) -> None:
        """Move BRM's clock and run billing."""
        for system in systems or ("BRM_01",):
            admin = self.sandbox.admin(system)
            await admin.set_clock(f"{at}T00:00:00Z")
            await admin.run_job("bill")
            assert await admin.check_invariants() == []

    async def claim(self, table: str, crm_id: str) -> None:
        """A cross-reference row that no billing system has a part in yet."""
        await self.xref.get_or_create([XrefKey(table, "SEBL_01", crm_id)])

    async def link(self, table: str, crm_id: str, column: str, value: str) -> None:
        """One cross-reference cell."""
        await self.claim(table, crm_id)
        await self.xref.populate([XrefWrite(table, "SEBL_01", crm_id, column, value)])

    async def xref_rows(self) -> list[object]:
        """The rows of every account and profile seeded here."""
        keys = [XrefKey(ACCOUNTS, "SEBL_01", account_id) for account_id, _ in self.accounts]
        keys += [XrefKey(PROFILES, "SEBL_01", profile_id) for profile_id in self.profiles]
        return list((await self.xref.lookup(keys)).values())

    def opcodes_since(self, mark: dict[str, int]) -> dict[str, int]:
        """BRM calls made since ``mark = dict(gateway.calls)``."""
        return {name: count - mark.get(name, 0) for name, count in self.gateway.calls.items() if count > mark.get(name, 0)}

    def _unit(self, profile_id: str, currency: int) -> calls.BillUnit:
        return calls.BillUnit(
            billinfo_id=profile_id,
            currency=currency,
            bill_when=1,
            bill_day=1,
            accounting=AccountingType.OPEN_ITEM,
            payinfo=calls.InvoicePayInfo(
                name=f"Profile {profile_id}", holder="Denise", address="1 Main St", city="Denver", country="USA"
            ),
        )

    async def _commit(self, account_id: str, units: list[calls.BillUnit], system: str, currency: int) -> Flist:
        call = calls.commit_customer(
            account=calls.AccountInfo(account_no=f"no {account_id}", currency=currency),
            names=[calls.NameInfo(last_name=account_id, address="1 Main St", city="Denver", country="USA")],
            bill_units=units,
            db=self.db(system),
        )
        output = await self.gateway.call(system, call)
        self.accounts[account_id, system] = output["POID"]
        await self._link(ACCOUNTS, {account_id: output["POID"]}, system)
        return output

    async def _link(self, table: str, objects: dict[str, Poid], system: str) -> None:
        for crm_id, poid in objects.items():
            await self.link(table, crm_id, system, str(poid))

    def db(self, system: str) -> str:
        return next(each.db_no for each in self.systems if each.code == system)


@dataclass
class Care:
    """A client of billing care that speaks in plain values."""

    stub: BillingCareServiceStub

    async def balance(self, account_id: str, profile_id: str = "", **scope: str) -> pb.GetBalanceSummaryResponse:
        return await self.stub.GetBalanceSummary(pb.GetBalanceSummaryRequest(scope=_scope(account_id, profile_id, scope)))

    async def invoices(self, account_id: str, profile_id: str = "", **more: Any) -> pb.ListInvoicesResponse:
        scope = {name: more.pop(name) for name in ("currency", "system_id", "service_account_id") if name in more}
        return await self.stub.ListInvoices(pb.ListInvoicesRequest(scope=_scope(account_id, profile_id, scope), **more))

    async def invoice(self, account_id: str, profile_id: str, bill_id: str, **scope: str) -> pb.GetInvoiceResponse:
        request = pb.GetInvoiceRequest(scope=_scope(account_id, profile_id, scope), bill_id=bill_id)
        return await self.stub.GetInvoice(request)

    @staticmethod
    async def refusal(call: Any) -> O2CError:
        """The error a call ends with."""
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            return from_rpc_error(error)
        raise AssertionError(f"answered with {answer}")


def _scope(account_id: str, profile_id: str, more: dict[str, str]) -> pb.CareScope:
    return pb.CareScope(account_id=account_id, billing_profile_id=profile_id, **more)


def amount(money: Any) -> str:
    """An amount as people write it: ``94.00``."""
    return f"{to_domain_money(money):.2f}"


def day(date: Any) -> str:
    """A date as ``2027-02-01``."""
    return f"{date.year:04}-{date.month:02}-{date.day:02}"


@asynccontextmanager
async def neighbourhood(clock: str = "2027-01-01T00:00:00Z") -> AsyncIterator[Neighbourhood]:
    """A sandbox with two instances and a cross-reference service."""
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(running_sandbox(("BRM_01", "BRM_02"), clock))
        systems = tuple(BillingSystem(code=code, endpoint=sandbox.url(code)) for code in ("BRM_01", "BRM_02"))
        address = await stack.enter_async_context(running_xref(local_settings(XrefSettings), systems))
        channel = open_channel(address)
        stack.push_async_callback(channel.close)
        gateway = await stack.enter_async_context(open_gateway(systems))
        yield Neighbourhood(sandbox, systems, gateway, GrpcXref(channel), channel)


@asynccontextmanager
async def billing_care(around: Neighbourhood, now: datetime | None = None, **settings: Any) -> AsyncIterator[Care]:
    """The service and a client of it."""
    made = local_settings(Settings, now=now, **settings)
    async with (
        site_maps(around.channel, made.site_poll_seconds, made.value_maps_file) as maps,
        running_billing_care(made, around.systems, around.xref, around.gateway, maps) as address,
        open_channel(address) as channel,
    ):
        yield Care(BillingCareServiceStub(channel))

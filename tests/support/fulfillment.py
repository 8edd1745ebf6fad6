"""Bill fulfillment among real neighbours: the sandbox over SOAP, cross-references over gRPC. Seeds what customer sync makes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from care import ACCOUNTS, PROFILES, Neighbourhood
from orders import PRODUCTS

from libs.brm import calls
from libs.brm.flist import get
from libs.config import local_settings
from libs.grpckit.channel import open_channel
from libs.pb.bill_fulfillment.v1 import bill_fulfillment_pb2 as pb
from libs.pb.bill_fulfillment.v1.bill_fulfillment_pb2_grpc import BillFulfillmentServiceStub
from libs.pb.order.v1 import order_pb2
from libs.xref.client import XrefKey
from services.bill_fulfillment.config import Settings
from services.bill_fulfillment.server import running_bill_fulfillment

NONPAYING = "NONPAYING_BILLINFO"


@dataclass
class Billing:
    """A client of bill fulfillment and the world around it."""

    around: Neighbourhood
    stub: BillFulfillmentServiceStub

    async def bill(
        self, order: order_pb2.Order, request_id: str = "", system: str = "BRM_01", **fields: Any
    ) -> pb.ProcessFulfillmentOrderBillingResponse:
        request = pb.ProcessFulfillmentOrderBillingRequest(
            request_id=request_id or f"REQ-{order.order_id}", target_system_id=system, order=order, **fields
        )
        return await self.stub.ProcessFulfillmentOrderBilling(request)

    async def installed(self, asset: str, kind: str, system: str = "BRM_01") -> str:
        """POID of an asset's object as cross-referenced, empty when there is none."""
        key = XrefKey("INSTALLEDPRODUCT_ID", "SEBL_01", asset)
        return (await self.around.xref.lookup([key]))[key].value(system, kind)


async def seed_products(around: Neighbourhood) -> None:
    """The products of the examples, as product sync cross-references them."""
    for product in json.loads(PRODUCTS.read_text()):
        for system, poid in product["brm"].items():
            await around.link("ITEM_ITEMID", product["product_id"], system, poid)


async def seed_denise(around: Neighbourhood) -> None:
    """Denise with three profiles, Michelle and Jessica nonpaying below her, as customer sync creates them."""
    await around.customer("1-DENISE", "BP-DENISE-DENISE", "BP-DENISE-MICHELLE", "BP-DENISE-JESSICA")
    for name in ("MICHELLE", "JESSICA"):
        await seed_nonpaying(around, f"1-{name}", "1-DENISE", f"BP-DENISE-{name}")


async def seed_nonpaying(around: Neighbourhood, account: str, payer: str, profile: str) -> None:
    """An account whose unit ``profile`` of ``payer`` pays."""
    unit = calls.BillUnit(billinfo_id=f"{account}|{payer}|{profile}", currency=840, bill_day=1, parent=around.profiles[profile])
    output = await around._commit(account, [unit], "BRM_01", 840)
    await around.link(NONPAYING, f"{account}|{payer}|{profile}", "BRM_01", str(get(output, "BILLINFO[0].POID")))


@asynccontextmanager
async def billing(around: Neighbourhood, **settings: Any) -> AsyncIterator[Billing]:
    """The service and a client of it."""
    made = local_settings(Settings, **settings)
    async with (
        running_bill_fulfillment(made, around.systems, around.xref, around.gateway) as address,
        open_channel(address) as channel,
    ):
        yield Billing(around, BillFulfillmentServiceStub(channel))


__all__ = ["ACCOUNTS", "PROFILES", "Billing", "billing", "seed_denise", "seed_nonpaying", "seed_products"]

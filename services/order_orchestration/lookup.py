"""Facts of an order: one batch lookup of cross-references, and our own rows."""

from __future__ import annotations

import asyncio

from libs.routing import primary_profiles
from libs.xref.client import XrefKey, XrefPort, XrefRow
from libs.xref.sources import lookup_of_source
from services.order_orchestration.domain.model import Action, Facts, Order
from services.order_orchestration.persistence import OrderStore

ACCOUNTS = "CUSTOMERPARTY_ACCOUNTID"
PROFILES = "CUSTOMERPARTY_BILLPROFILEID"
PRODUCTS = "ITEM_ITEMID"
ASSETS = "INSTALLEDPRODUCT_ID"
ORDERS = "SALESORDER_ID"
ORDER_LINES = "SALESORDER_LINEID"


def fact_keys(order: Order) -> dict[str, list[str]]:
    """Which rows validation and routing ask for, per table. Lines have inherited from their bundles."""
    active = [line for line in order.lines if line.action is not Action.NONE]
    ids = {
        ACCOUNTS: {account for line in active for account in (line.service_account, line.billing_account)},
        PROFILES: {
            *(line.billing_profile for line in active),
            *(payment.profile_id for payment in order.payments),
            *primary_profiles(order.lines, order, order.profiles).values(),
        },
        PRODUCTS: {line.product_id for line in active},
        ASSETS: {asset for line in active for asset in (line.asset_id, line.known_asset_id)},
    }
    return {table: sorted(found - {""}) for table, found in ids.items()}


async def gather_facts(order: Order, xref: XrefPort, store: OrderStore) -> Facts:
    """One round trip to the cross-references, beside one query of our own. Raises O2CError for an unknown source system."""
    wanted = fact_keys(order)
    keys = [XrefKey(table, order.source_system, one) for table, ids in wanted.items() for one in ids]
    rows, open_assets = await asyncio.gather(
        lookup_of_source(xref, keys, order.source_system, "order.source_system"), store.open_assets(wanted[ASSETS])
    )

    def places(table: str) -> dict[str, tuple[str, ...]]:
        return {one: _systems(rows[XrefKey(table, order.source_system, one)]) for one in wanted[table]}

    return Facts(
        assets=places(ASSETS),
        profiles=places(PROFILES),
        products=places(PRODUCTS),
        accounts=places(ACCOUNTS),
        open_assets=open_assets,
    )


def _systems(row: XrefRow) -> tuple[str, ...]:
    """BRM instances in which the object is cross-referenced."""
    return tuple(sorted(column for column in row.columns if column.startswith("BRM_")))


def claim_keys(order: Order) -> list[XrefKey]:
    """Rows that an accepted order has (6.5): itself, its lines, their assets, accounts and billing profiles."""
    active = [line for line in order.lines if line.action is not Action.NONE]
    accounts = {order.customer_account} | {one for line in active for one in (line.service_account, line.billing_account)}
    wanted = {
        ORDERS: {order.order_id},
        ORDER_LINES: {line.line_id for line in order.lines},
        ASSETS: {line.asset_id for line in order.lines},
        ACCOUNTS: accounts,
        PROFILES: {line.billing_profile for line in active},
    }
    return [XrefKey(table, order.source_system, one) for table, ids in wanted.items() for one in sorted(ids - {""})]

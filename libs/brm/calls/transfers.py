"""Whole deals, and services that move to another account or balance group (specification 4.3). Arguments as in ``customer``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from libs.brm.call import BrmCall
from libs.brm.calls.offers import Deal, DiscountPurchase, ProductPurchase
from libs.brm.calls.values import PROGRAM_NAME, PoidLike, audit, given, given_poid, merged, new, poid
from libs.brm.flist import Array
from libs.brm.poid import DEFAULT_DB


def purchase_product(
    account: PoidLike,
    product: ProductPurchase,
    *,
    service: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
) -> BrmCall:
    """Buy one product: the inner part of PURCHASE_DEAL, which flows call instead.

    Repeating: buys again! Natural key: account, service, product and ``line_id``. Source: [recall].
    """
    return BrmCall(
        "PCM_OP_SUBSCRIPTION_PURCHASE_PRODUCT",
        merged(
            {"POID": poid(account)},
            audit(program_name, descr, at),
            given_poid(SERVICE_OBJ=service),
            {"PRODUCTS": Array.of(product.flist())},
        ),
    )


def purchase_discount(
    account: PoidLike,
    discount: DiscountPurchase,
    *,
    service: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
) -> BrmCall:
    """Buy one discount: the inner part of PURCHASE_DEAL, which flows call instead.

    Repeating: buys again! Natural key: account, service, discount and ``line_id``. Source: [recall].
    """
    return BrmCall(
        "PCM_OP_SUBSCRIPTION_PURCHASE_DISCOUNT",
        merged(
            {"POID": poid(account)},
            audit(program_name, descr, at),
            given_poid(SERVICE_OBJ=service),
            {"DISCOUNTS": Array.of(discount.flist())},
        ),
    )


def cancel_deal(
    account: PoidLike,
    package_id: int,
    *,
    deal: PoidLike | None = None,
    service: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
) -> BrmCall:
    """Cancel all offers that were bought together, by the package id of the purchase.

    Repeating: no further effect. Source: [recall].
    """
    return BrmCall(
        "PCM_OP_SUBSCRIPTION_CANCEL_DEAL",
        merged(
            {"POID": poid(account)},
            given_poid(SERVICE_OBJ=service),
            audit(program_name, descr, at),
            {"DEAL_INFO": given_poid(DEAL_OBJ=deal) | {"PACKAGE_ID": package_id}},
        ),
    )


def change_deal(
    account: PoidLike,
    old: Deal,
    new_deal: Deal,
    *,
    package_id: int | None = None,
    service: PoidLike | None = None,
    billinfo: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Cancel one deal's offers and buy another's, all or nothing. ``old`` goes by its catalogue deal or ``package_id``.

    Output as for PURCHASE_DEAL. Repeating: refused, or bought again! Natural key: the line ids of the new offers.
    Source: [recall].
    """
    return BrmCall(
        "PCM_OP_SUBSCRIPTION_CHANGE_DEAL",
        merged(
            {"POID": poid(account)},
            given_poid(SERVICE_OBJ=service, BILLINFO_OBJ=billinfo),
            audit(program_name, descr, at),
            {"DEALS": Array.of(given(PACKAGE_ID=package_id) | old.flist(db), new_deal.flist(db))},
        ),
    )


def service_balgrp_transfer(
    account: PoidLike,
    services: Sequence[PoidLike],
    *,
    to_account: PoidLike,
    to_group: PoidLike | None = None,
    billinfo: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Move services to another balance group, of the same account or another one.

    Name ``to_group`` whenever one exists; ``None`` creates one on ``billinfo``. Within an account the old balances stay
    behind. Into another account all offers are cancelled and made anew; BRM may leave out their POIDs [MOS 2101492.1], so the
    gateway reads them again: output ``SERVICES[s].PRODUCTS[p].OFFERING_OBJ`` and ``SERVICES[s].DISCOUNTS[d].OFFERING_OBJ``,
    each with ``DESCR``, the line id it was bought for.

    Repeating: no further effect. Source: [MOS 2663693.1], [MOS 2101492.1], [MOS 1910322.1].
    """
    return BrmCall(
        "PCM_OP_SUBSCRIPTION_SERVICE_BALGRP_TRANSFER",
        merged(
            {"POID": poid(account), "TO_OBJ": poid(to_account)},
            audit(program_name, descr, at),
            {"SERVICES": Array.of(*({"SERVICE_OBJ": poid(service)} for service in services))},
            {"TO_BAL_GRP_OBJ": poid(to_group) if to_group is not None else new("/balance_group", db)},
            given_poid(BILLINFO_OBJ=billinfo),
        ),
    )


def transfer_subscription(
    from_account: PoidLike,
    to_account: PoidLike,
    service: PoidLike,
    *,
    billinfo: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
) -> BrmCall:
    """Move a subscription service with its offers and profiles to another account and its bill unit.

    Repeating: no further effect. Source: [MOS 843861.1], [MOS 1322922.1].
    """
    source = poid(from_account)
    return BrmCall(
        "PCM_OP_SUBSCRIPTION_TRANSFER_SUBSCRIPTION",
        merged(
            {"POID": source, "FROM_OBJ": source, "TO_OBJ": poid(to_account)},
            audit(program_name, descr, at),
            given_poid(BILLINFO_OBJ=billinfo, SERVICE_OBJ=service),
        ),
    )


def cancel_subscription(
    account: PoidLike,
    service: PoidLike,
    *,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
) -> BrmCall:
    """Close a subscription service with its members and offers.

    Repeating: no further effect. Source: [recall].
    """
    return BrmCall(
        "PCM_OP_SUBSCRIPTION_CANCEL_SUBSCRIPTION",
        merged({"POID": poid(account), "SERVICE_OBJ": poid(service)}, audit(program_name, descr, at)),
    )

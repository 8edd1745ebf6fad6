"""Buying, changing and cancelling offers; promotion instances (specification 4.3). Common arguments as in ``customer``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from libs.brm.call import BrmCall
from libs.brm.calls.offers import Bundle, Deal, OfferCancellation, OfferChange
from libs.brm.calls.values import PROGRAM_NAME, PoidLike, audit, given, given_poid, merged, poid
from libs.brm.codes import CALCULATE_ONLY, OfferFilter, OfferStatus, Status, StatusFlags
from libs.brm.flist import Array, Flist
from libs.brm.poid import DEFAULT_DB


def purchase_deal(
    account: PoidLike,
    deal: Deal,
    *,
    service: PoidLike | None = None,
    billinfo: PoidLike | None = None,
    calculate_only: bool = False,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Buy offers for a service, or for the account itself when ``service`` is ``None``.

    ``billinfo`` is the bill unit that an account-level purchase is charged to, the account's default when ``None`` [recall].

    Output: ``PRODUCTS[p].OFFERING_OBJ`` and ``DISCOUNTS[d].OFFERING_OBJ`` under the element ids of the input, ``PACKAGE_ID``
    (never an identity). ``calculate_only`` stores nothing and returns the charges in ``TOTAL``.

    Repeating: buys again! Natural key: account, service, product and ``line_id`` of each offer.
    Source: [MOS 1590635.1], [MOS 2362383.1].
    """
    return BrmCall(
        "PCM_OP_SUBSCRIPTION_PURCHASE_DEAL",
        merged(
            {"POID": poid(account)},
            audit(program_name, descr, at),
            given_poid(SERVICE_OBJ=service, BILLINFO_OBJ=billinfo),
            {"DEAL_INFO": deal.flist(db)},
        ),
        flags=CALCULATE_ONLY if calculate_only else 0,
    )


def cancel_product(
    account: PoidLike,
    offers: Sequence[OfferCancellation],
    *,
    service: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
) -> BrmCall:
    """Cancel purchased products, or part of their quantity. Refund or charge follows the product's own rules.

    Repeating: a whole cancellation has no further effect; a partial one cancels more. Source: [MOS 2208227.1].
    """
    return _cancel("PRODUCT", account, offers, service, audit(program_name, descr, at))


def cancel_discount(
    account: PoidLike,
    offers: Sequence[OfferCancellation],
    *,
    service: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
) -> BrmCall:
    """Cancel purchased discounts.

    Repeating: no further effect. Source: [recall], after CANCEL_PRODUCT.
    """
    return _cancel("DISCOUNT", account, offers, service, audit(program_name, descr, at))


def set_prodinfo(
    account: PoidLike,
    offers: Sequence[OfferChange],
    *,
    service: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
) -> BrmCall:
    """Change terms of purchased products: price overrides, promotion, end dates, start dates that have not passed yet.

    Repeating: no further effect. Source: [S004], [MOS 2399163.1].
    """
    return _set_info("PCM_OP_SUBSCRIPTION_SET_PRODINFO", "PRODUCTS", account, offers, service, audit(program_name, descr, at))


def set_discountinfo(
    account: PoidLike,
    offers: Sequence[OfferChange],
    *,
    service: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
) -> BrmCall:
    """Change terms of purchased discounts.

    Repeating: no further effect. Source: [recall], after SET_PRODINFO.
    """
    return _set_info(
        "PCM_OP_SUBSCRIPTION_SET_DISCOUNTINFO", "DISCOUNTS", account, offers, service, audit(program_name, descr, at)
    )


def set_product_status(
    account: PoidLike,
    offerings: Sequence[PoidLike],
    status: OfferStatus,
    *,
    flags: StatusFlags = StatusFlags.MANUAL,
    service: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
) -> BrmCall:
    """Activate or suspend purchased products.

    Repeating: no further effect. Source: [MOS 1268943.1], [S004 D-6].
    """
    return _set_status("PRODUCT", account, offerings, service, status, flags, audit(program_name, descr, at))


def set_discount_status(
    account: PoidLike,
    offerings: Sequence[PoidLike],
    status: OfferStatus,
    *,
    flags: StatusFlags = StatusFlags.MANUAL,
    service: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
) -> BrmCall:
    """Activate or suspend purchased discounts.

    Repeating: no further effect. Source: [S004 D-6].
    """
    return _set_status("DISCOUNT", account, offerings, service, status, flags, audit(program_name, descr, at))


def set_bundle(
    account: PoidLike,
    bundles: Sequence[Bundle],
    *,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Create, change, transfer or end promotion instances. Output: ``BUNDLE_INFO[n].POID`` under the input's element ids.

    Repeating: creating creates another one; natural key: account, name and ``Bundle.descr``. Changing has no further effect.
    Source: [INV 5], [S004], fields [recall].
    """
    infos = Array.of(*(bundle.flist(db) for bundle in bundles))
    return BrmCall(
        "PCM_OP_SUBSCRIPTION_SET_BUNDLE",
        merged({"POID": poid(account)}, audit(program_name, descr, at), {"BUNDLE_INFO": infos}),
    )


def get_purchased_offerings(
    account: PoidLike, service: PoidLike | None = None, *, states: OfferFilter = OfferFilter.ALL
) -> BrmCall:
    """The offers an account owns, or one service's. Output: ``PRODUCTS[]`` and ``DISCOUNTS[]`` with ``OFFERING_OBJ``.

    A read. Source: [OG 22], filter bits [recall].
    """
    return BrmCall(
        "PCM_OP_SUBSCRIPTION_GET_PURCHASED_OFFERINGS",
        {"POID": poid(account)} | given_poid(SERVICE_OBJ=service) | given(STATUS_FLAGS=int(states)),
    )


def _cancel(
    what: str, account: PoidLike, offers: Sequence[OfferCancellation], service: PoidLike | None, audited: Flist
) -> BrmCall:
    def element(offer: OfferCancellation) -> Flist:
        return merged(
            {"OFFERING_OBJ": poid(offer.offering)},
            given_poid(**{f"{what}_OBJ": offer.item}),
            given(QUANTITY=offer.quantity),
            {"STATUSES": Array.of({"STATUS": Status.CLOSED, "STATUS_FLAGS": offer.status_flags})},
        )

    return BrmCall(
        f"PCM_OP_SUBSCRIPTION_CANCEL_{what}",
        merged(
            {"POID": poid(account)},
            given_poid(SERVICE_OBJ=service),
            audited,
            {f"{what}S": Array.of(*(element(offer) for offer in offers))},
        ),
    )


def _set_info(
    opcode: str, array: str, account: PoidLike, offers: Sequence[OfferChange], service: PoidLike | None, audited: Flist
) -> BrmCall:
    changes = Array.of(*(offer.flist() for offer in offers))
    return BrmCall(opcode, merged({"POID": poid(account)}, given_poid(SERVICE_OBJ=service), audited, {array: changes}))


def _set_status(
    what: str,
    account: PoidLike,
    offerings: Sequence[PoidLike],
    service: PoidLike | None,
    status: OfferStatus,
    flags: StatusFlags,
    audited: Flist,
) -> BrmCall:
    statuses = Array.of({"STATUS": status, "STATUS_FLAGS": flags})
    offers = Array.of(*({"OFFERING_OBJ": poid(offering), "STATUSES": statuses} for offering in offerings))
    return BrmCall(
        f"PCM_OP_SUBSCRIPTION_SET_{what}_STATUS",
        merged({"POID": poid(account)}, given_poid(SERVICE_OBJ=service), audited, {f"{what}S": offers}),
    )

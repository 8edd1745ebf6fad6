"""Purchased offers: where they may be, how many, and in which status."""

from __future__ import annotations

from collections.abc import Iterator

from libs.brm.flist import Flist
from sandbox.catalogue import find_discount, find_product, is_permitted
from sandbox.codes import OfferStatus, State
from sandbox.invariants.core import Scope, invariant

Breaches = Iterator[tuple[str, str, str]]
_OFFERS = ("/purchased_product", "/purchased_discount")


@invariant("INV-11", *_OFFERS)
def nothing_bought_on_closed_service(scope: Scope, offer: Flist) -> Breaches:
    if not scope.is_created(offer) or offer.get("SERVICE_OBJ") is None:
        return
    if scope.tx.get(offer["SERVICE_OBJ"])["STATUS"] == State.CLOSED:
        yield "the service is closed", "BAD_VALUE", "SERVICE_OBJ"


@invariant("INV-12", *_OFFERS)
def offers_follow_their_owner(scope: Scope, offer: Flist) -> Breaches:
    owners = [scope.tx.get(offer[name]) for name in ("ACCOUNT_OBJ", "SERVICE_OBJ") if offer.get(name) is not None]
    if any(owner["STATUS"] == State.CLOSED for owner in owners) and offer["STATUS"] != OfferStatus.CANCELLED:
        yield "an offer of a closed owner is not cancelled", "", ""
    elif any(owner["STATUS"] == State.INACTIVE for owner in owners) and offer["STATUS"] == OfferStatus.ACTIVE:
        yield "an offer of a suspended owner is active", "", ""


@invariant("INV-13", *_OFFERS)
def offer_is_permitted(scope: Scope, offer: Flist) -> Breaches:
    name = "PRODUCT_OBJ" if "PRODUCT_OBJ" in offer else "DISCOUNT_OBJ"
    entry = find_product(scope.tx, offer[name]) or find_discount(scope.tx, offer[name])
    service_type = offer["SERVICE_OBJ"].type if offer.get("SERVICE_OBJ") is not None else None
    if entry is None or not is_permitted(entry.permitted, service_type):
        yield f"{offer[name]} is not for {service_type or '/account'}", "BAD_VALUE", name


@invariant("INV-14", *_OFFERS)
def quantity_is_sensible(scope: Scope, offer: Flist) -> Breaches:
    product = find_product(scope.tx, offer["PRODUCT_OBJ"]) if "PRODUCT_OBJ" in offer else None
    if offer["QUANTITY"] <= 0 or (product is not None and offer["QUANTITY"] > product.max_quantity):
        yield f"quantity {offer['QUANTITY']} is out of range", "BAD_VALUE", "QUANTITY"

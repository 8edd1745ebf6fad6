"""Offers, services and promotions as frozen values. Units: money in the account's currency, times aware."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from libs.brm.calls.values import PoidLike, given, given_poid, merged, new, poid
from libs.brm.codes import (
    PRICE_OVERRIDE,
    OfferStatus,
    OffsetUnit,
    StatusFlags,
)
from libs.brm.flist import Array, Flist
from libs.brm.poid import DEFAULT_DB


@dataclass(frozen=True, slots=True)
class Offset:
    """A start or end counted from the purchase: 90 days, 3 billing cycles."""

    count: int
    unit: OffsetUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """When one kind of charge (purchase, cycle or usage) runs and how its price deviates. ``None`` leaves a part alone."""

    start: datetime | Offset | None = None
    end: datetime | Offset | None = None
    """``NEVER`` makes it endless."""
    discount: Decimal | None = None
    """Fraction off, 0.1 = 10 %."""
    discount_amount: Decimal | None = None
    fee: Decimal | None = None
    """Amount that replaces the list price; products only."""

    def flist(self, kind: str) -> Flist:
        """Fields of one kind, ``PURCHASE``, ``CYCLE`` or ``USAGE``."""
        fields: Flist = {}
        for side, moment in (("START", self.start), ("END", self.end)):
            if isinstance(moment, Offset):
                fields[f"{kind}_{side}_UNIT"] = moment.unit
                fields[f"{kind}_{side}_OFFSET"] = moment.count
            elif moment is not None:
                fields[f"{kind}_{side}_T"] = moment
        for suffix, value in (("DISCOUNT", self.discount), ("DISC_AMT", self.discount_amount), ("FEE_AMT", self.fee)):
            if value is not None:
                fields[f"{kind}_{suffix}"] = value
        return fields


_AS_LISTED = Charge()


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferTerms:
    """Terms of an offer bought or owned; also used to change one. ``None`` and empty leave a part alone."""

    quantity: Decimal | None = None
    status: OfferStatus | None = None
    status_flags: int | None = None
    """Fee overrides set their bit by themselves."""
    line_id: str = ""
    """Goes into ``DESCR``: the natural key by which a purchase is found again."""
    bundle: PoidLike | None = None
    """The promotion instance (``/purchased_bundle``) the offer belongs to [recall]."""
    plan: PoidLike | None = None
    rate_plan: str = ""
    """Name of the rate plan that prices the offer; the product's default when empty [recall]."""
    purchase: Charge = _AS_LISTED
    cycle: Charge = _AS_LISTED
    usage: Charge = _AS_LISTED

    def terms(self) -> Flist:
        """The fields products and discounts share."""
        flags = self.status_flags
        if any(charge.fee is not None for charge in (self.purchase, self.cycle, self.usage)):
            flags = (flags or 0) | PRICE_OVERRIDE
        return merged(
            given(QUANTITY=self.quantity, STATUS=self.status, STATUS_FLAGS=flags, RATE_PLAN_NAME=self.rate_plan),
            given_poid(PLAN_OBJ=self.plan, PURCHASED_BUNDLE_OBJ=self.bundle),
            self.purchase.flist("PURCHASE"),
            self.cycle.flist("CYCLE"),
            self.usage.flist("USAGE"),
            given(DESCR=self.line_id),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductPurchase(OfferTerms):
    """One product to buy."""

    product: PoidLike
    quantity: Decimal | None = Decimal(1)
    status: OfferStatus | None = OfferStatus.ACTIVE

    def flist(self) -> Flist:
        """``PRODUCTS`` element of a deal."""
        return {"PRODUCT_OBJ": poid(self.product)} | self.terms()


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscountPurchase(OfferTerms):
    """One discount to buy."""

    discount: PoidLike
    quantity: Decimal | None = Decimal(1)
    status: OfferStatus | None = OfferStatus.ACTIVE

    def flist(self) -> Flist:
        """``DISCOUNTS`` element of a deal."""
        return {"DISCOUNT_OBJ": poid(self.discount)} | self.terms()


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferChange(OfferTerms):
    """New terms for an offer already owned; only what is given changes."""

    offering: PoidLike

    def flist(self) -> Flist:
        """``PRODUCTS`` or ``DISCOUNTS`` element of a SET_…INFO call."""
        return {"OFFERING_OBJ": poid(self.offering)} | self.terms()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """Offers bought together; ad hoc unless ``deal`` names one of the catalogue's."""

    name: str = ""
    descr: str = ""
    products: tuple[ProductPurchase, ...] = ()
    discounts: tuple[DiscountPurchase, ...] = ()
    deal: PoidLike | None = None

    def flist(self, db: str) -> Flist:
        """``DEAL_INFO``, or one element of ``DEALS``."""
        fields = merged({"POID": new("/deal", db)}, given_poid(DEAL_OBJ=self.deal), given(NAME=self.name, DESCR=self.descr))
        if self.products:
            fields["PRODUCTS"] = Array.of(*(product.flist() for product in self.products))
        if self.discounts:
            fields["DISCOUNTS"] = Array.of(*(discount.flist() for discount in self.discounts))
        return fields


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePurchase:
    """A service to create (or, by POID, one that exists) with what is bought for it (``SERVICES[s]``)."""

    service: PoidLike
    """A class such as ``/service/telco/gsm`` to create one, or the POID of one that exists."""
    login: str = ""
    """Natural key among the services of its class."""
    balance_group: int | PoidLike | None = None
    """Index into the call's balance groups, or an existing group; the account's default when ``None``."""
    aliases: tuple[str, ...] = ()
    service_id: str = ""
    subscription_index: int | None = None
    """Element id of the subscription service this one belongs to."""
    deal: Deal | None = None

    def flist(self, db: str) -> Flist:
        """``SERVICES`` element."""
        fields: Flist = {"SERVICE_OBJ": self._poid(db)}
        fields |= given(LOGIN=self.login, SERVICE_ID=self.service_id, SUBSCRIPTION_INDEX=self.subscription_index)
        if self.aliases:
            fields["ALIAS_LIST"] = Array.of(*({"NAME": alias} for alias in self.aliases))
        if isinstance(self.balance_group, int):
            fields["BAL_INFO"] = Array({self.balance_group: None})
        elif self.balance_group is not None:
            fields["BAL_GRP_OBJ"] = poid(self.balance_group)
        if self.deal:
            fields["DEALS"] = Array.of(self.deal.flist(db))
        return fields

    def _poid(self, db: str) -> object:
        if isinstance(self.service, str) and self.service.startswith("/") and " " not in self.service:
            return new(self.service, db)
        return poid(self.service)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceChange:
    """A new state for an existing service; only what is given changes."""

    service: PoidLike
    login: str = ""
    status: int | None = None
    """:class:`~libs.brm.codes.Status`."""
    status_flags: StatusFlags = StatusFlags.MANUAL
    aliases: tuple[str, ...] = ()
    balance_group: PoidLike | None = None
    service_id: str = ""

    def flist(self) -> Flist:
        """``SERVICES`` element of UPDATE_SERVICES."""
        fields: Flist = {"SERVICE_OBJ": poid(self.service)} | given(LOGIN=self.login, SERVICE_ID=self.service_id)
        if self.status is not None:
            fields["STATUSES"] = Array.of({"STATUS": self.status, "STATUS_FLAGS": self.status_flags})
        if self.aliases:
            fields["ALIAS_LIST"] = Array.of(*({"NAME": alias} for alias in self.aliases))
        return fields | given_poid(BAL_GRP_OBJ=self.balance_group)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferCancellation:
    """An owned offer to cancel, whole or in part."""

    offering: PoidLike
    item: PoidLike | None = None
    """The product or discount it was bought as."""
    quantity: Decimal | None = None
    """How many to cancel; all when ``None``."""
    status_flags: StatusFlags = StatusFlags.MANUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A promotion instance (``BUNDLE_INFO[n]``); for a change only what is given changes."""

    name: str = ""
    descr: str = ""
    """Order line or asset that stands behind it: with account and name the natural key."""
    status: OfferStatus | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    account: PoidLike | None = None
    """New owner, for a transfer."""
    poid: PoidLike | None = None
    """The existing bundle; ``None`` creates one."""

    def flist(self, db: str = DEFAULT_DB) -> Flist:
        """``BUNDLE_INFO`` element."""
        return merged(
            {"POID": poid(self.poid) if self.poid is not None else new("/purchased_bundle", db)},
            given_poid(ACCOUNT_OBJ=self.account),
            given(NAME=self.name, DESCR=self.descr, STATUS=self.status, VALID_FROM=self.valid_from, VALID_TO=self.valid_to),
        )

"""The price list every instance starts with (section 5.7). Ids are fixed, so tests and cross-references may name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.store.sqlite import Tx

USD: Final = 840
FREE_MINUTES: Final = 1000101
DATA_MB: Final = 1000102

RESOURCES: Final[Mapping[int, str]] = {
    840: "US Dollar",
    978: "Euro",
    826: "Pound Sterling",
    1000101: "Free Minutes",
    1000102: "Data MB",
    1000103: "Loyalty Points",
}
RATE_PLANS: Final[Mapping[str, Decimal]] = {"": Decimal(1), "Standard": Decimal(1), "Premium Consumer": Decimal("1.2")}
"""Price lists by name: factor on list prices."""
CURRENCIES: Final = frozenset({840, 978, 826})


@dataclass(frozen=True, slots=True)
class Product:
    """A charge offer. Fees are net amounts in the account's currency, per unit of quantity."""

    id: int
    name: str
    permitted: str
    """Service class it is for; ``/account`` means account level, ``/service`` any service."""
    one_time: bool = False
    """An item product: charged once, no instance stays."""
    purchase_fee: Decimal = Decimal(0)
    cycle_forward: Decimal = Decimal(0)
    """Per month, charged in advance."""
    cycle_arrears: Decimal = Decimal(0)
    """Per month, charged afterwards."""
    refund_on_cancel: bool = False
    """Whether the unused part of an advance fee is credited on cancellation or suspension."""
    grant: tuple[int, Decimal] | None = None
    """Resource and amount granted each cycle (negative: the customer may use it up)."""
    max_quantity: Decimal = Decimal(1000)
    tax_code: str = "service"
    """Names the rate in the settings by which the product's fees are taxed; fees of the account itself are ``admin``."""


@dataclass(frozen=True, slots=True)
class Discount:
    """A discount offer; ``cycle_percent`` is taken off cycle fees of the same service."""

    id: int
    name: str
    permitted: str
    cycle_percent: Decimal = Decimal(0)
    grant: tuple[int, Decimal] | None = None
    """Resource and amount granted each cycle, which a sharing group can offer to its members."""


@dataclass(frozen=True, slots=True)
class Deal:
    """A bundle of offers sold together."""

    id: int
    name: str
    products: tuple[int, ...]


_GSM: Final = "/service/telco/gsm"
_PRODUCTS: Final = (
    Product(20011, "Wireless Access Monthly", _GSM, purchase_fee=Decimal(25), cycle_forward=Decimal(30), refund_on_cancel=True),
    Product(20012, "Wireless Voicemail", _GSM, cycle_forward=Decimal(5)),
    Product(20013, "Wireless Data 5GB", _GSM, cycle_forward=Decimal(20), grant=(DATA_MB, Decimal(-5120))),
    Product(20014, "Activation Fee", "/service", one_time=True, purchase_fee=Decimal(40)),
    Product(20021, "Broadband 100", "/service/broadband", cycle_forward=Decimal(45)),
    Product(20022, "Broadband Modem Rental", "/service/broadband", cycle_arrears=Decimal("7.50")),
    Product(20031, "VoIP Access", "/service/voip", cycle_forward=Decimal(18), grant=(FREE_MINUTES, Decimal(-500))),
    Product(20032, "VoIP Voicemail", "/service/voip", cycle_forward=Decimal(3)),
    Product(20041, "Account Paper Bill Fee", "/account", cycle_forward=Decimal(2), tax_code="admin"),
    Product(20042, "Penalty Charge", "/account", one_time=True, purchase_fee=Decimal(150), tax_code="admin"),
    Product(20043, "Promotion Group Fee", "/account", cycle_forward=Decimal(10), tax_code="admin"),
)
_DISCOUNTS: Final = (
    Discount(20111, "Wireless 10%", _GSM, cycle_percent=Decimal(10)),
    Discount(20112, "VoIP 5000 Shared Minutes", "/service/voip", grant=(FREE_MINUTES, Decimal(-5000))),
    Discount(20113, "Family 5GB Shared", "/account", grant=(DATA_MB, Decimal(-5120))),
)
_DEALS: Final = (
    Deal(20201, "Wireless Basic", (20011, 20014)),
    Deal(20202, "Broadband Basic", (20021, 20022)),
    Deal(20203, "VoIP Basic", (20031,)),
)
_OTHERS: Final = (
    ("/sponsorship", 20121, "VoIP 50% Sponsor"),
    ("/plan", 20301, "Triple Play"),
)

_COLLECTIONS_ACTIONS: Final = (
    (20401, "Friendly reminder", 1, 1),
    (20402, "Dunning letter 1", 2, 2),
    (20403, "Inactivate services", 3, 1),
    (20404, "Promise to pay", 5, 2),
    (20405, "Write-off", 6, 1),
)
"""Id, name, type and mode (1 people do it, 2 BRM does it); the numbers are those of ``sandbox.billing.collections``."""
_COLLECTIONS_SCENARIOS: Final = (
    (20411, "Standard Residential", Decimal(20), 15, 1, ((20401, 0), (20402, 10), (20403, 25))),
    (20412, "Business", Decimal(200), 30, 2, ((20401, 0), (20402, 10), (20403, 25))),
)
"""Id, name, entry amount, entry days, severity, actions with the days after entry when they are due. Exit at 0.00."""

TERMS: Final = "_terms"
"""Field in which a product or discount written by PRICE_SET_PRICE_LIST keeps its terms; the sample's are in this file."""

PRODUCTS: Final[Mapping[int, Product]] = {each.id: each for each in _PRODUCTS}
DISCOUNTS: Final[Mapping[int, Discount]] = {each.id: each for each in _DISCOUNTS}
PLAN_DEALS: Final[Mapping[int, tuple[int, ...]]] = {20301: (20201, 20202, 20203)}


def _terms(stored: Flist) -> dict[str, Any]:
    terms = dict(stored[TERMS])
    grant = terms.pop("grant", None)
    return {**terms, "grant": (grant["RESOURCE_ID"], grant["AMOUNT"]) if grant is not None else None}


def find_product(tx: Tx, poid: Poid) -> Product | None:
    """The charge offer of this POID in the instance's price list."""
    stored = tx.find(poid) if poid.type == "/product" else None
    if stored is None:
        return None
    return Product(poid.id, stored["NAME"], stored["PERMITTED"], **_terms(stored)) if TERMS in stored else PRODUCTS[poid.id]


def find_discount(tx: Tx, poid: Poid) -> Discount | None:
    """The discount offer of this POID in the instance's price list."""
    stored = tx.find(poid) if poid.type == "/discount" else None
    if stored is None:
        return None
    return Discount(poid.id, stored["NAME"], stored["PERMITTED"], **_terms(stored)) if TERMS in stored else DISCOUNTS[poid.id]


def product(tx: Tx, poid: Poid) -> Product:
    """The charge offer of a purchased product."""
    found = find_product(tx, poid)
    assert found is not None, f"{poid} is in no price list"
    return found


def discount(tx: Tx, poid: Poid) -> Discount:
    """The discount offer of a purchased discount."""
    found = find_discount(tx, poid)
    assert found is not None, f"{poid} is in no price list"
    return found


def deal_products(tx: Tx, poid: Poid) -> list[Poid] | None:
    """Products of a bundle of the price list, ``None`` for an unknown one."""
    stored = tx.find(poid) if poid.type == "/deal" else None
    return [each["PRODUCT_OBJ"] for each in (stored.get("PRODUCTS") or {}).values()] if stored is not None else None


def plan_deals(tx: Tx, poid: Poid) -> list[Poid] | None:
    """Bundles of a package of the price list, ``None`` for an unknown one."""
    stored = tx.find(poid) if poid.type == "/plan" else None
    return [each["DEAL_OBJ"] for each in (stored.get("DEALS") or {}).values()] if stored is not None else None


def is_permitted(permitted: str, service_type: str | None) -> bool:
    """Whether an offer for ``permitted`` may be owned by a service of this class (``None``: by the account)."""
    if permitted == "*":
        return True
    if service_type is None:
        return permitted == "/account"
    return service_type == permitted or service_type.startswith(permitted + "/")


def load(tx: Tx) -> None:
    """Store the price list as objects that READ_OBJ and SEARCH can see."""
    for charge_offer in _PRODUCTS:
        _put(tx, "/product", charge_offer.id, charge_offer.name, PERMITTED=charge_offer.permitted)
    for discount_offer in _DISCOUNTS:
        _put(tx, "/discount", discount_offer.id, discount_offer.name, PERMITTED=discount_offer.permitted)
    for deal in _DEALS:
        products = Array.of(*({"PRODUCT_OBJ": Poid(tx.db, "/product", each)} for each in deal.products))
        _put(tx, "/deal", deal.id, deal.name, PRODUCTS=products)
    for type_, object_id, name in _OTHERS:
        deals = PLAN_DEALS.get(object_id)
        content: Flist = {"DEALS": Array.of(*({"DEAL_OBJ": Poid(tx.db, "/deal", each)} for each in deals))} if deals else {}
        _put(tx, type_, object_id, name, **content)

    for action, name, kind, mode in _COLLECTIONS_ACTIONS:
        kinds = {"ACTION_NAME": name, "ACTION_TYPE": kind, "COLLECTIONS_ACTION_MODE": mode}
        _put(tx, "/config/collections/action", action, name, **kinds)
    for scenario, name, amount, days, severity, actions in _COLLECTIONS_SCENARIOS:
        steps = Array.of(
            *({"CONFIG_ACTION_OBJ": Poid(tx.db, "/config/collections/action", each), "DUE_DAYS": due} for each, due in actions)
        )
        terms: Flist = {"ENTRY_AMOUNT": amount, "ENTRY_DAYS": days, "EXIT_AMOUNT": Decimal(0), "SEVERITY": severity}
        _put(tx, "/config/collections/scenario", scenario, name, **terms, ACTIONS=steps)


def _put(tx: Tx, type_: str, object_id: int, name: str, **fields: object) -> None:
    tx.put(Poid(tx.db, type_, object_id), {"NAME": name, **fields})

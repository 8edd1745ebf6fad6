"""What an order must be: every slip is named, with its field, all of them at once."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from libs.errors import O2CError, Reason
from libs.routing import BillingInstance, RoutingPolicy
from services.order_orchestration.domain.model import (
    Account,
    Action,
    Address,
    BillingType,
    Contact,
    Facts,
    Line,
    Mode,
    Order,
    Payment,
    Policy,
    ProductType,
    Profile,
)
from services.order_orchestration.domain.planner import IntakePlan, plan_submit_order
from services.order_orchestration.domain.shape import too_large

NOW = datetime(2027, 1, 1, tzinfo=UTC)
POLICY = Policy(RoutingPolicy((BillingInstance("BRM_01"),)))
ADDRESS = Address("Redwood City", "CA", "USA", "94065", given=True)
CONTACT = Contact("Miller", given=True)
ACCOUNT = Account("A", "order.accounts[0]", "Denise", "RESIDENTIAL", "CUSTOMER", CONTACT, ADDRESS)
PROFILE = Profile("BP", "order.billing_profiles[0]", "Denise", "A", "Bill Me", "Monthly", CONTACT, ADDRESS)
BUNDLE = Line(
    "1",
    asset_id="AST-1",
    action=Action.ADD,
    product_id="WIRELESS",
    product_type=ProductType.SERVICE_BUNDLE,
    billing_type=BillingType.SERVICE_BUNDLE,
    service_account="A",
    billing_account="A",
    billing_profile="BP",
    service_id="4085550101",
)
CHILD = Line(
    "2",
    position=1,
    parent_id="1",
    root_id="1",
    asset_id="AST-2",
    action=Action.ADD,
    product_id="W",
    product_type=ProductType.PRODUCT,
    billing_type=BillingType.SUBSCRIPTION,
)
ORDER = Order(
    "O",
    "1",
    1,
    "SEBL_01",
    currency="USD",
    price_list="Standard",
    order_date=NOW,
    customer_account="A",
    lines=(BUNDLE, CHILD),
    accounts=(ACCOUNT,),
    profiles=(PROFILE,),
)
FACTS = Facts(products={"W": ("BRM_01",)})


def plan(order: Order, facts: Facts = FACTS, policy: Policy = POLICY) -> IntakePlan:
    return plan_submit_order(order, facts, policy, NOW)


def refusals(order: Order, facts: Facts = FACTS, policy: Policy = POLICY) -> list[tuple[Reason, str]]:
    with pytest.raises(O2CError) as refusal:
        plan(order, facts, policy)
    return [(violation.reason, violation.field) for violation in refusal.value.violations]


def changed(**values: Any) -> Order:
    return dataclasses.replace(ORDER, **values)


def with_child(**values: Any) -> Order:
    return changed(lines=(BUNDLE, dataclasses.replace(CHILD, **values)))


def with_bundle(**values: Any) -> Order:
    return changed(lines=(dataclasses.replace(BUNDLE, **values), CHILD))


def with_account(**values: Any) -> Order:
    return changed(accounts=(dataclasses.replace(ACCOUNT, **values),))


def with_profile(**values: Any) -> Order:
    return changed(profiles=(dataclasses.replace(PROFILE, **values),))


def test_a_good_order_is_planned_with_inherited_values_and_price_lists() -> None:
    found = plan(ORDER)
    child = found.order.lines[1]
    assert (child.service_account, child.billing_account, child.billing_profile) == ("A", "A", "BP")
    assert (child.service_id, child.price_list) == ("4085550101", "Standard")
    assert found.priority == 5 and not found.notices


@pytest.mark.spec("order-orchestration:VA-01")
def test_an_order_has_lines() -> None:
    assert (Reason.ORDER_EMPTY, "order.lines") in refusals(changed(lines=()))


def test_an_order_has_at_most_so_many_lines() -> None:
    assert not too_large(10_000, POLICY)
    assert [one.reason for one in too_large(10_001, POLICY)] == [Reason.ORDER_TOO_LARGE]


@pytest.mark.parametrize("name", ["order_id", "order_number", "source_system", "currency"])
def test_required_header_fields_are_named(name: str) -> None:
    assert (Reason.FIELD_MISSING, f"order.{name}") in refusals(changed(**{name: ""}))


@pytest.mark.parametrize(
    ("order", "reason", "field"),
    [
        (changed(order_id="a\x00b"), Reason.XREF_VALUE_INVALID, "order.order_id"),
        (with_child(asset_id="x" * 241), Reason.XREF_VALUE_INVALID, "order.lines[1].asset_integration_id"),
        (
            changed(payments=(Payment("P\n", "BP", "Cash", None, "New"),)),
            Reason.XREF_VALUE_INVALID,
            "order.payments[0].payment_id",
        ),
        (with_bundle(service_id="555\x1b"), Reason.RANGE_INVALID, "order.lines[0].service_id"),
        (with_child(product_name="x" * 256), Reason.RANGE_INVALID, "order.lines[1].product.name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_ids_and_texts_that_no_system_can_hold_are_refused_at_the_door(order: Order, reason: Reason, field: str) -> None:
    assert (reason, field) in refusals(order)


def test_revision_date_customer_line_id_product_and_action_are_required() -> None:
    broken = changed(revision=0, order_date=None, customer_account="", lines=(dataclasses.replace(BUNDLE, line_id=""),))
    found = refusals(broken)
    for field in ("revision", "order_date", "customer_account.account_id", "lines[0].line_id"):
        assert (Reason.FIELD_MISSING, f"order.{field}") in found
    found = refusals(with_child(product_id="", action=Action.UNSPECIFIED))
    assert {
        (Reason.FIELD_MISSING, "order.lines[1].product.product_id"),
        (Reason.FIELD_MISSING, "order.lines[1].action"),
    } <= set(found)


@pytest.mark.spec("order-orchestration:VA-03")
@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"parent_id": "9"}, "parent_line_id"),
        ({"root_id": "9"}, "root_line_id"),
        ({"root_id": "2", "parent_id": "1"}, "root_line_id"),
        ({"promotion_line_id": "9"}, "promotion_line_id"),
    ],
)
def test_links_of_the_tree_resolve(values: dict[str, str], field: str) -> None:
    assert (Reason.LINE_TREE_INVALID, f"order.lines[1].{field}") in refusals(with_child(**values))


def test_a_cycle_of_parents_is_reported_on_every_line_of_it() -> None:
    lines = (dataclasses.replace(BUNDLE, parent_id="2"), dataclasses.replace(CHILD, parent_id="1", root_id=""))
    found = refusals(changed(lines=lines))
    assert found.count((Reason.LINE_TREE_INVALID, "order.lines[0].parent_line_id")) == 1
    assert found.count((Reason.LINE_TREE_INVALID, "order.lines[1].parent_line_id")) == 1


@pytest.mark.spec("order-orchestration:VA-04")
def test_line_ids_are_unique_and_assets_named() -> None:
    found = refusals(changed(lines=(BUNDLE, dataclasses.replace(CHILD, line_id="1", parent_id="", root_id="", asset_id=""))))
    assert found.count((Reason.LINE_ID_DUPLICATE, "order.lines[0].line_id")) == 1
    assert {
        (Reason.LINE_ID_DUPLICATE, "order.lines[1].line_id"),
        (Reason.ASSET_ID_MISSING, "order.lines[1].asset_integration_id"),
    } <= set(found)


@pytest.mark.spec("order-orchestration:VA-05", "order-orchestration:VA-06")
def test_accounts_have_a_type_and_a_class() -> None:
    assert refusals(with_account(type="", class_="OTHER")) == [
        (Reason.ACCOUNT_TYPE_INVALID, "order.accounts[0].type"),
        (Reason.ACCOUNT_CLASS_INVALID, "order.accounts[0].class"),
    ]


@pytest.mark.spec("order-orchestration:VA-07")
def test_accounts_have_a_primary_contact_with_a_last_name() -> None:
    assert refusals(with_account(contact=Contact())) == [(Reason.PRIMARY_CONTACT_MISSING, "order.accounts[0].primary_contact")]
    nameless = with_account(contact=Contact(given=True))
    assert refusals(nameless) == [(Reason.CONTACT_LAST_NAME_MISSING, "order.accounts[0].primary_contact.last_name")]


@pytest.mark.spec("order-orchestration:VA-08")
def test_accounts_have_a_complete_primary_address() -> None:
    assert refusals(with_account(address=Address())) == [(Reason.PRIMARY_ADDRESS_MISSING, "order.accounts[0].primary_address")]
    found = refusals(with_account(address=Address(given=True)))
    assert found == [
        (Reason.ADDRESS_INCOMPLETE, f"order.accounts[0].primary_address.{part}")
        for part in ("city", "state", "country", "postal_code")
    ]


def test_an_account_that_exists_needs_no_details_and_one_that_does_not_needs_all() -> None:
    bare = changed(accounts=(Account("A", "order.lines[0].billing_account"),))
    assert plan(bare, dataclasses.replace(FACTS, accounts={"A": ("BRM_01",)}))
    assert (Reason.PRIMARY_CONTACT_MISSING, "order.lines[0].billing_account.primary_contact") in refusals(bare)


@pytest.mark.spec("order-orchestration:VA-09")
def test_billable_lines_name_who_uses_who_pays_and_on_which_bill() -> None:
    found = refusals(with_bundle(service_account="", billing_account="", billing_profile=""))
    expected = {
        (Reason.SERVICE_ACCOUNT_MISSING, "order.lines[0].service_account.account_id"),
        (Reason.BILLING_ACCOUNT_MISSING, "order.lines[0].billing_account.account_id"),
        (Reason.BILLING_PROFILE_MISSING, "order.lines[0].billing_profile.billing_profile_id"),
    }
    assert expected <= set(found)
    promotion = dataclasses.replace(
        BUNDLE, line_id="0", product_type=ProductType.PROMOTION, billing_type=BillingType.UNSPECIFIED, billing_account=""
    )
    promotion = dataclasses.replace(promotion, service_account="", billing_profile="", position=2)
    lines = (dataclasses.replace(BUNDLE, promotion_line_id="0"), CHILD, promotion)
    assert refusals(changed(lines=lines)) == [(Reason.BILLING_ACCOUNT_MISSING, "order.lines[2].billing_account.account_id")]


@pytest.mark.spec("order-orchestration:VA-10")
def test_a_new_service_has_an_id_unless_provisioning_assigns_it() -> None:
    assert refusals(with_bundle(service_id="")) == [(Reason.SERVICE_ID_MISSING, "order.lines[0].service_id")]
    found = plan(with_bundle(service_id="", provisionable=True))
    assert [notice.reason for notice in found.notices] == [Reason.SERVICE_ID_MISSING]


@pytest.mark.spec("order-orchestration:VA-12")
def test_card_profiles_have_number_expiry_and_holder() -> None:
    assert refusals(with_profile(method="Credit Card")) == [
        (Reason.CARD_NUMBER_MISSING, "order.billing_profiles[0].card.number"),
        (Reason.CARD_EXPIRY_MISSING, "order.billing_profiles[0].card.expiry_month"),
        (Reason.CARD_HOLDER_MISSING, "order.billing_profiles[0].card.holder_name"),
    ]


@pytest.mark.spec("order-orchestration:VA-13")
def test_debit_profiles_have_account_and_routing_numbers() -> None:
    assert refusals(with_profile(method="Automatic Debit")) == [
        (Reason.DEBIT_ACCOUNT_MISSING, "order.billing_profiles[0].debit.account_number"),
        (Reason.DEBIT_ROUTING_MISSING, "order.billing_profiles[0].debit.routing_number"),
    ]


@pytest.mark.spec("order-orchestration:VA-14")
def test_new_profiles_have_a_contact_and_an_address() -> None:
    found = refusals(with_profile(contact=Contact(), address=Address()))
    assert found[0] == (Reason.BILLING_PROFILE_CONTACT_MISSING, "order.billing_profiles[0].contact")
    assert {reason for reason, _ in found[1:]} == {Reason.BILLING_PROFILE_ADDRESS_INCOMPLETE}
    assert [field.rpartition(".")[2] for _, field in found[1:]] == ["city", "state", "postal_code"]


@pytest.mark.spec("order-orchestration:VA-15")
def test_profiles_pay_by_bill_card_or_debit() -> None:
    found = refusals(with_profile(method="Barter"))
    assert found == [(Reason.BILLING_PROFILE_METHOD_UNSUPPORTED, "order.billing_profiles[0].payment_method")]


@pytest.mark.spec("order-orchestration:VA-18")
def test_billing_products_lie_at_most_two_levels_below_a_bundle() -> None:
    second = dataclasses.replace(CHILD, line_id="3", parent_id="2", root_id="", asset_id="AST-3", position=2)
    third = dataclasses.replace(second, line_id="4", parent_id="3", asset_id="AST-4", position=3)
    assert plan(changed(lines=(BUNDLE, CHILD, second)))
    found = refusals(changed(lines=(BUNDLE, CHILD, second, third)))
    assert found == [(Reason.BUNDLE_DEPTH_EXCEEDED, "order.lines[3].parent_line_id")]


@pytest.mark.spec("order-orchestration:VA-19")
def test_a_move_has_both_halves() -> None:
    assert (Reason.MOVE_PAIR_INCOMPLETE, "order.lines[0].action") in refusals(with_bundle(action=Action.MOVE_ADD))


@pytest.mark.spec("order-orchestration:VA-20")
def test_an_accounts_currency_is_the_orders() -> None:
    assert refusals(with_account(currency="EUR")) == [(Reason.CURRENCY_MISMATCH, "order.accounts[0].currency")]


@pytest.mark.spec("order-orchestration:OO-PL-11")
def test_the_header_names_a_price_list() -> None:
    assert refusals(changed(price_list="")) == [(Reason.PRICE_LIST_HEADER_MISSING, "order.price_list")]


def test_price_lists_are_known_ones_when_the_site_says_which() -> None:
    policy = dataclasses.replace(POLICY, price_lists=frozenset({"Standard"}))
    assert refusals(with_child(price_list="Gold"), policy=policy) == [(Reason.PRICE_LIST_UNKNOWN, "order.lines[1].price_list")]


def test_a_profile_belongs_to_the_billing_account_of_its_lines() -> None:
    found = refusals(with_profile(account_id="B"))
    assert (Reason.PROFILE_NOT_OF_BILLING_ACCOUNT, "order.lines[0].billing_profile.billing_profile_id") in found


@pytest.mark.spec("order-orchestration:OO-MA-11")
def test_an_item_cannot_be_changed() -> None:
    facts = dataclasses.replace(FACTS, assets={"AST-2": ("BRM_01",)})
    found = refusals(with_child(billing_type=BillingType.ITEM, action=Action.UPDATE), facts)
    assert found == [(Reason.ITEM_CHANGE_NOT_ALLOWED, "order.lines[1].action")]


def test_actions_and_modes_that_are_not_built_yet_are_refused_by_name() -> None:
    membership = with_bundle(product_type=ProductType.PG_MEMBERSHIP, billing_type=BillingType.UNSPECIFIED, promotion_group="G")
    assert (Reason.LINE_ACTION_NOT_SUPPORTED, "order.lines[0].action") in refusals(membership)
    assert refusals(changed(mode=Mode.CANCEL)) == [(Reason.FULFILLMENT_MODE_INVALID, "order.fulfillment_mode")]
    later = changed(requested_delivery=NOW + timedelta(days=1))
    assert refusals(later) == [(Reason.RANGE_INVALID, "order.requested_delivery_date")]


def test_an_asset_another_order_is_creating_cannot_be_added_again() -> None:
    facts = dataclasses.replace(FACTS, open_assets={"AST-2": "77"})
    assert refusals(ORDER, facts) == [(Reason.ASSET_ALREADY_OPEN, "order.lines[1].asset_integration_id")]


@pytest.mark.parametrize("amount", [None, Decimal(0), Decimal("-0.01")])
def test_payments_are_of_more_than_nothing(amount: Decimal | None) -> None:
    payment = Payment("P", "BP", "Cash", amount, "New")
    assert refusals(changed(payments=(payment,))) == [(Reason.AMOUNT_NOT_POSITIVE, "order.payments[0].amount")]


def test_payments_use_a_known_method_and_a_profile_on_the_order_or_synchronised() -> None:
    payment = Payment("P", "BP-X", "Shells", Decimal(1), "New")
    assert refusals(changed(payments=(payment,))) == [
        (Reason.PAYMENT_METHOD_UNSUPPORTED, "order.payments[0].method"),
        (Reason.PAYMENT_PROFILE_NOT_SYNCED, "order.payments[0].billing_profile_id"),
    ]
    synced = dataclasses.replace(FACTS, profiles={"BP-X": ("BRM_01",)})
    assert plan(changed(payments=(dataclasses.replace(payment, method="Wire Transfer"),)), synced)


def test_a_payment_that_is_not_new_is_noticed() -> None:
    found = plan(changed(payments=(Payment("P", "BP", "Cash", Decimal(1), "Submitted"),)))
    assert [notice.reason for notice in found.notices] == [Reason.PAYMENT_STATUS_NOT_NEW]


def test_all_violations_travel_together() -> None:
    broken = dataclasses.replace(
        with_child(product_id="Z", asset_id=""), price_list="", accounts=(dataclasses.replace(ACCOUNT, type=""),)
    )
    assert {reason for reason, _ in refusals(broken)} == {
        Reason.PRICE_LIST_HEADER_MISSING,
        Reason.ASSET_ID_MISSING,
        Reason.ACCOUNT_TYPE_INVALID,
        Reason.ROUTE_PRODUCT_NOT_SYNCED,
    }


@pytest.mark.parametrize(
    ("given", "expected"), [({}, 5), ({"priority_name": "Urgent"}, 9), ({"priority_name": "LOW"}, 3), ({"priority": 0}, 0)]
)
def test_priorities_are_mapped(given: dict[str, Any], expected: int) -> None:
    assert plan(changed(**given)).priority == expected


@pytest.mark.spec("order-orchestration:OO-PR-04")
def test_a_legacy_zero_is_the_most_urgent() -> None:
    legacy = dataclasses.replace(POLICY, low_is_urgent=frozenset({"SEBL_01"}))
    assert plan(changed(priority=0), policy=legacy).priority == 9


def test_unknown_priorities_are_refused_or_taken_as_default_as_the_site_likes() -> None:
    assert refusals(changed(priority_name="ASAP")) == [(Reason.PRIORITY_UNKNOWN, "order.priority_name")]
    assert refusals(changed(priority=10)) == [(Reason.PRIORITY_OUT_OF_RANGE, "order.priority")]
    lenient = dataclasses.replace(POLICY, unknown_priority_is_default=True)
    assert plan(changed(priority_name="ASAP"), policy=lenient).priority == 5

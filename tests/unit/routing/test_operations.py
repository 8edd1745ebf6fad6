"""Routing of what is no order line: every operation, every way it can be refused."""

from __future__ import annotations

import itertools

import pytest

from libs.errors import CODES, O2CError, Reason
from libs.routing import BillingInstance, RoutingPolicy
from libs.routing.operations import Known, Operation, Subject, resolve

ONE = RoutingPolicy((BillingInstance("BRM_01"),))
TWO = RoutingPolicy((BillingInstance("BRM_01"), BillingInstance("BRM_02")))
OFF = RoutingPolicy((BillingInstance("BRM_01"), BillingInstance("BRM_02", enabled=False)))
QUERIES = RoutingPolicy((BillingInstance("BRM_01"), BillingInstance("BRM_02", read_only=True)))
CARE_OFF = RoutingPolicy(TWO.instances, billing_care_enabled=False)
NEVER, NOWHERE, FIRST, SECOND = Known(), Known(True), Known(True, ("BRM_01",)), Known(True, ("BRM_02",))
BOTH = Known(True, ("BRM_01", "BRM_02"))
DATABASES = {"BRM_01": "0.0.0.1", "BRM_02": "0.0.0.2"}


def systems(operation: Operation, known: Known = NEVER, policy: RoutingPolicy = TWO, **more: str) -> tuple[str, ...]:
    return resolve(Subject(operation, "KEY", **more), known, policy, DATABASES).systems


def refusal(operation: Operation, known: Known = NEVER, policy: RoutingPolicy = TWO, **more: str) -> Reason:
    with pytest.raises(O2CError) as caught:
        systems(operation, known, policy, **more)
    (violation,) = caught.value.violations
    assert violation.field.startswith("subject.")
    return violation.reason


@pytest.mark.spec("xref-and-routing:RT22")
def test_without_a_target_customers_are_synchronised_to_the_only_enabled_instance() -> None:
    assert systems(Operation.CUSTOMER_SYNC, policy=ONE) == ("BRM_01",)
    assert systems(Operation.CUSTOMER_SYNC, policy=OFF) == ("BRM_01",)
    assert refusal(Operation.CUSTOMER_SYNC, policy=TWO) is Reason.ROUTE_TARGET_REQUIRED
    assert refusal(Operation.CUSTOMER_SYNC, policy=RoutingPolicy(())) is Reason.ROUTE_TARGET_REQUIRED


def test_a_named_target_must_take_orders() -> None:
    assert systems(Operation.CUSTOMER_SYNC, system="BRM_02") == ("BRM_02",)
    assert refusal(Operation.CUSTOMER_SYNC, system="BRM_09") is Reason.ROUTE_SYSTEM_UNKNOWN
    assert refusal(Operation.CUSTOMER_SYNC, policy=OFF, system="BRM_02") is Reason.ROUTE_SYSTEM_DISABLED
    assert refusal(Operation.CUSTOMER_SYNC, policy=QUERIES, system="BRM_02") is Reason.ROUTE_SYSTEM_READ_ONLY


@pytest.mark.parametrize("operation", [Operation.ACCOUNT_UPDATE, Operation.PROFILE_UPDATE])
def test_updates_go_wherever_the_object_lives_and_takes_part(operation: Operation) -> None:
    assert systems(operation, SECOND) == ("BRM_02",)
    assert systems(operation, NOWHERE) == () == systems(operation)
    assert systems(operation, BOTH, CARE_OFF) == ("BRM_01", "BRM_02")
    assert systems(operation, SECOND, OFF) == (), "an instance that is switched off keeps history only"
    assert refusal(operation, SECOND, QUERIES) is Reason.ROUTE_SYSTEM_READ_ONLY


def test_an_account_lives_in_several_instances_and_a_profile_does_not_with_billing_care() -> None:
    assert systems(Operation.ACCOUNT_UPDATE, BOTH) == ("BRM_01", "BRM_02")
    assert refusal(Operation.PROFILE_UPDATE, BOTH) is Reason.ROUTE_PROFILE_AMBIGUOUS


def test_a_rating_list_goes_to_its_asset() -> None:
    assert systems(Operation.RATING_LIST, SECOND) == ("BRM_02",)
    assert refusal(Operation.RATING_LIST, NOWHERE) is Reason.ASSET_NOT_IN_BILLING


def test_a_payment_goes_to_the_instance_of_its_profile() -> None:
    assert systems(Operation.PAYMENT, SECOND) == ("BRM_02",)
    assert refusal(Operation.PAYMENT) is Reason.PAYMENT_PROFILE_NOT_SYNCED
    assert refusal(Operation.PAYMENT, NOWHERE) is Reason.PAYMENT_PROFILE_NOT_SYNCED
    assert refusal(Operation.PAYMENT, BOTH) is Reason.ROUTE_PROFILE_AMBIGUOUS
    assert refusal(Operation.PAYMENT, SECOND, QUERIES) is Reason.ROUTE_SYSTEM_READ_ONLY


def test_a_query_of_billing_care_is_answered_by_a_read_only_instance_too() -> None:
    assert systems(Operation.CARE_QUERY, SECOND, QUERIES) == ("BRM_02",)
    assert systems(Operation.CARE_QUERY, SECOND, system="BRM_02") == ("BRM_02",)
    assert refusal(Operation.CARE_QUERY, SECOND, OFF) is Reason.ROUTE_SYSTEM_DISABLED
    assert refusal(Operation.CARE_QUERY, SECOND, system="BRM_01") is Reason.ROUTE_TARGET_MISMATCH
    assert refusal(Operation.CARE_QUERY, SECOND, system="BRM_09") is Reason.ROUTE_SYSTEM_UNKNOWN


def test_an_account_is_shown_whole_or_not_at_all() -> None:
    assert systems(Operation.CARE_ACCOUNT, BOTH) == ("BRM_01", "BRM_02")
    assert refusal(Operation.CARE_ACCOUNT) is Reason.ACCOUNT_NOT_FOUND
    assert refusal(Operation.CARE_ACCOUNT, NOWHERE) is Reason.ACCOUNT_NOT_IN_BILLING
    assert refusal(Operation.CARE_ACCOUNT, BOTH, OFF) is Reason.ROUTE_SYSTEM_DISABLED


def test_an_object_of_another_database_is_foreign() -> None:
    assert systems(Operation.CARE_OBJECT, FIRST, object_db="0.0.0.1") == ("BRM_01",)
    for foreign in ("0.0.0.2", "0.0.0.7"):
        assert refusal(Operation.CARE_OBJECT, FIRST, object_db=foreign) is Reason.OBJECT_FOREIGN


def test_a_message_from_brm_names_its_source_or_comes_from_the_only_one() -> None:
    assert systems(Operation.SOURCE_EVENT, system="BRM_02") == ("BRM_02",)
    assert systems(Operation.SOURCE_EVENT, policy=ONE) == ("BRM_01",)
    assert refusal(Operation.SOURCE_EVENT) is Reason.ROUTE_SOURCE_UNKNOWN
    assert refusal(Operation.SOURCE_EVENT, policy=ONE, system="BRM_09") is Reason.ROUTE_SOURCE_UNKNOWN
    assert refusal(Operation.SOURCE_EVENT, policy=OFF, system="BRM_02") is Reason.ROUTE_SYSTEM_DISABLED


def test_a_product_is_sold_where_it_is_known() -> None:
    assert systems(Operation.PRODUCT, BOTH, OFF) == ("BRM_01",)
    assert refusal(Operation.PRODUCT, NOWHERE) is Reason.ROUTE_PRODUCT_NOT_SYNCED
    assert refusal(Operation.PRODUCT, SECOND, OFF) is Reason.ROUTE_NOT_FOUND


def test_every_operation_gives_instances_or_a_named_error_whatever_is_known() -> None:
    policies = (ONE, TWO, OFF, QUERIES, CARE_OFF, RoutingPolicy(()))
    knowns = (NEVER, NOWHERE, FIRST, SECOND, BOTH)
    for operation, known, policy, system in itertools.product(Operation, knowns, policies, ("", "BRM_01", "BRM_09")):
        try:
            decision = resolve(Subject(operation, "KEY", system), known, policy, DATABASES)
        except O2CError as error:
            assert all(violation.reason in CODES for violation in error.violations)
        else:
            assert list(decision.systems) == sorted(decision.systems)
            assert decision.decided_by and set(decision.systems) <= policy.enabled

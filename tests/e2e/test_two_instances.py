"""One customer in two BRM instances, through the whole suite: what is created where, and who answers for a billing profile."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import orders
import pytest
from suite import SECONDS, RunningSuite, running_suite

from cli.catalogue import load_products
from libs.errors import O2CError, Reason
from libs.pb.billing_care.v1 import billing_care_pb2 as care
from libs.pb.customer_sync.v1 import customer_update_pb2
from libs.pb.customer_sync.v1.customer_update_pb2_grpc import CustomerUpdateServiceStub
from libs.pb.order.v1.order_pb2 import Order
from libs.pb.xref.v1 import routing_pb2, xref_pb2
from libs.pb.xref.v1.routing_pb2_grpc import RoutingServiceStub

WIRELESS, VOIP = slice(0, 2), slice(2, 4)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    with running_suite(tmp_path_factory.mktemp("suite")) as running:
        yield running


@pytest.fixture(scope="module")
def without_care(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """A suite of a site that does not use billing care, so that its profiles may live in several instances."""
    off = {"O2C_XREF_BILLING_CARE_ENABLED": "false", "O2C_CUSTOMER_SYNC_BILLING_CARE_ENABLED": "false"}
    with running_suite(tmp_path_factory.mktemp("without-care"), **off) as running:
        yield running


def billing_columns(suite: RunningSuite, table: str, crm_id: str) -> set[str]:
    return {column for column in suite.row(table, crm_id) if column.startswith("BRM_")}


def only(whole: Order, part: slice, number: str) -> Order:
    """An order with some of the lines."""
    order = Order()
    order.CopyFrom(whole)
    order.order_id, order.order_number = f"ORD-{number}", number
    del order.lines[:]
    order.lines.extend(whole.lines[part])
    return order


def balance(suite: RunningSuite, account: str, profile: str) -> care.GetBalanceSummaryResponse:
    scope = care.CareScope(account_id=account, billing_profile_id=profile)
    request = care.GetBalanceSummaryRequest(scope=scope)
    answer: care.GetBalanceSummaryResponse = suite.clients.care.GetBalanceSummary(request, timeout=SECONDS)
    return answer


@pytest.mark.spec("xref-and-routing:RT2", "xref-and-routing:K1")
def test_one_customer_on_two_instances_has_one_common_id_and_a_profile_in_each(suite: RunningSuite) -> None:
    marks = suite.marks()
    suite.complete(orders.order(orders.TWO_INSTANCES))
    account = suite.row("CUSTOMERPARTY_ACCOUNTID", "1-PRIYA")
    assert {"COMMON", "BRM_01", "BRM_02"} <= account.keys()
    assert billing_columns(suite, "CUSTOMERPARTY_BILLPROFILEID", "BP-PRIYA-MOBILE") == {"BRM_01"}
    assert billing_columns(suite, "CUSTOMERPARTY_BILLPROFILEID", "BP-PRIYA-HOME") == {"BRM_02"}
    written = suite.writes_since(marks)
    assert sorted(written) == ["BRM_01", "BRM_02"]
    for system, calls in written.items():
        assert [call["opcode"] for call in calls].count("PCM_OP_CUST_COMMIT_CUSTOMER") == 1
        stored = suite.clients.sandbox(system).objects("/account", limit=1000)
        (number,) = [one["ACCOUNT_NO"] for one in stored if same(one["POID"], account[system])]
        assert number == account["COMMON"]


def origins(suite: RunningSuite, table: str, crm_id: str) -> dict[str, tuple[str, str, str]]:
    """Per column of a row who filled it, in which flow, for which order."""
    request = xref_pb2.ListHistoryRequest(table=table, column="SEBL_01", value=crm_id)
    changes = suite.clients.xref.ListHistory(request, timeout=SECONDS).changes
    return {one.column: (one.origin.service, one.origin.flow, one.origin.message_id) for one in changes}


def test_the_history_of_cross_references_tells_which_service_made_each_for_which_order(suite: RunningSuite) -> None:
    order = orders.order(orders.TWO_INSTANCES, "-AUDIT")
    suite.complete(order)
    taken = ("order_orchestration", "SubmitOrder", order.order_id)
    synchronised = ("customer_sync", "F1", order.order_id)
    billed = ("bill_fulfillment", "ProcessFulfillmentOrderBilling", order.order_id)
    assert origins(suite, "CUSTOMERPARTY_ACCOUNTID", "1-PRIYA-AUDIT") == {
        **dict.fromkeys(("COMMON", "SEBL_01"), taken),
        **dict.fromkeys(("BRM_01", "BRM_02"), synchronised),
    }
    assert origins(suite, "INSTALLEDPRODUCT_ID", "AST-PRIYA-WIRELESS-AUDIT") == {
        **dict.fromkeys(("COMMON", "SEBL_01"), taken),
        "BRM_01": billed,
    }


@pytest.mark.spec("xref-and-routing:RT16")
def test_a_balance_is_asked_of_the_instance_of_its_profile_only(suite: RunningSuite) -> None:
    suite.complete(orders.order(orders.TWO_INSTANCES, "-RT16"))
    marks = suite.marks()
    (profile,) = balance(suite, "1-PRIYA-RT16", "BP-PRIYA-HOME-RT16").profiles
    assert profile.system_id == "BRM_02"
    assert not suite.calls("BRM_01", marks["BRM_01"]) and suite.calls("BRM_02", marks["BRM_02"])


@pytest.mark.spec("xref-and-routing:RT24", "xref-and-routing:K6")
def test_relatives_come_along_to_the_instance_of_a_new_service_and_the_hierarchy_is_built_there(suite: RunningSuite) -> None:
    whole = orders.order(orders.TWO_INSTANCES, "-RT24")
    suite.complete(only(whole, WIRELESS, "RT24-1"))
    assert billing_columns(suite, "CUSTOMERPARTY_ACCOUNTID", "1-PRIYA-RT24") == {"BRM_01"}
    second = only(whole, VOIP, "RT24-2")
    child = second.accounts.add()
    child.CopyFrom(second.accounts[0])
    child.account_id, child.name = "1-MAYA-RT24", "Maya Nair"
    for line in second.lines:
        line.service_account.account_id = child.account_id
    suite.complete(second)
    assert billing_columns(suite, "CUSTOMERPARTY_ACCOUNTID", "1-PRIYA-RT24") == {"BRM_01", "BRM_02"}
    assert billing_columns(suite, "CUSTOMERPARTY_ACCOUNTID", "1-MAYA-RT24") == {"BRM_02"}
    payer = suite.row("CUSTOMERPARTY_BILLPROFILEID", "BP-PRIYA-HOME-RT24")["BRM_02"]
    maya = suite.row("CUSTOMERPARTY_ACCOUNTID", "1-MAYA-RT24")["BRM_02"]
    units = suite.clients.sandbox("BRM_02").objects("/billinfo", limit=1000)
    paid_by = [str(unit.get("PARENT_BILLINFO_OBJ")) for unit in units if same(unit["ACCOUNT_OBJ"], maya)]
    assert any(same(parent, payer) for parent in paid_by), (paid_by, payer)


def same(poid: object, other: object) -> bool:
    """Whether two POIDs name the same object, whatever their revisions."""
    return str(poid).split()[:3] == str(other).split()[:3]


def shared_profile(suffix: str) -> Order:
    """Both services on one billing profile."""
    order = orders.order(orders.TWO_INSTANCES, suffix)
    for line in order.lines:
        line.billing_profile.billing_profile_id = f"BP-PRIYA-MOBILE{suffix}"
    return order


@pytest.mark.spec("xref-and-routing:RT3")
def test_one_profile_for_both_instances_is_refused_with_billing_care_and_nothing_is_sent(suite: RunningSuite) -> None:
    before = suite.picture()
    order = shared_profile("-RT3")
    refused = {reason for reason, _ in suite.refusal(lambda: suite.submit(order))}
    assert refused == {"ROUTE_PROFILE_CONFLICT"}
    assert suite.picture() == before


@pytest.mark.spec("xref-and-routing:RT4", "xref-and-routing:RT18")
def test_without_billing_care_it_lives_in_both_and_a_later_query_cannot_choose(without_care: RunningSuite) -> None:
    order = shared_profile("-RT4")
    warnings = without_care.submit(order).warnings
    assert "ROUTE_PROFILE_CONFLICT" in [warning.reason for warning in warnings]
    assert without_care.settled(order.order_id).state == without_care.complete(order).state
    assert billing_columns(without_care, "CUSTOMERPARTY_BILLPROFILEID", "BP-PRIYA-MOBILE-RT4") == {"BRM_01", "BRM_02"}
    asked = without_care.refusal(lambda: balance(without_care, "1-PRIYA-RT4", "BP-PRIYA-MOBILE-RT4"))
    assert {reason for reason, _ in asked} == {"ROUTE_PROFILE_AMBIGUOUS"}


@pytest.mark.spec("xref-and-routing:RT17")
def test_a_profile_never_ordered_is_unknown_and_one_without_a_billing_value_not_synchronised(suite: RunningSuite) -> None:
    key = xref_pb2.GetOrCreateRequest(table="CUSTOMERPARTY_BILLPROFILEID", ref_column="SEBL_01", ref_value="BP-WAITING")
    suite.clients.xref.GetOrCreate(key, timeout=SECONDS)
    suite.complete(orders.order(orders.TWO_INSTANCES, "-RT17"))
    for profile, reason in (("BP-NEVER", "BILLING_PROFILE_NOT_FOUND"), ("BP-WAITING", "ROUTE_PROFILE_NOT_SYNCED")):
        found = suite.refusal(lambda profile=profile: balance(suite, "1-PRIYA-RT17", profile))  # type: ignore[misc]
        assert {name for name, _ in found} == {reason}


@pytest.mark.spec("xref-and-routing:RT15")
def test_an_edited_address_of_an_account_in_both_instances_is_two_updates(suite: RunningSuite) -> None:
    suite.complete(orders.order(orders.TWO_INSTANCES, "-RT15"))
    suite.clients.crm().load(orders.document(orders.TWO_INSTANCES, "-RT15"))
    suite.clients.crm().edit_account("1-PRIYA-RT15", primary_address={"city": "Oakland"})
    event = customer_update_pb2.CustomerEvent(
        account_id="1-PRIYA-RT15", address=customer_update_pb2.AddressChanged(address_id="ADR-PRIYA-RT15")
    )
    request = customer_update_pb2.SyncCustomerUpdateRequest(source_system="SEBL_01", events=[event], wait=True)
    stub = CustomerUpdateServiceStub(suite.clients.channels["customer_sync"])
    updates = stub.SyncCustomerUpdate(request, timeout=SECONDS).updates
    assert sorted(update.system_id for update in updates) == ["BRM_01", "BRM_02"]
    account = suite.row("CUSTOMERPARTY_ACCOUNTID", "1-PRIYA-RT15")
    for system in ("BRM_01", "BRM_02"):
        known = suite.clients.sandbox(system).objects("/account", limit=1000)
        (found,) = [one for one in known if same(one["POID"], account[system])]
        assert found["NAMEINFO"]["1"]["CITY"] == "Oakland"


@contextlib.contextmanager
def billed(suite: RunningSuite, system: str) -> Iterator[None]:
    """An instance two months on, after its billing run; for the length of the block."""
    brm = suite.clients.sandbox(system)
    now = datetime.fromisoformat(brm.clock()["at"])
    brm.set_clock((now + timedelta(days=62)).isoformat())
    try:
        brm.run_job("bill")
        yield
    finally:
        brm.set_clock(None, "real", force=True)


@pytest.mark.spec("xref-and-routing:RT19")
def test_a_bill_of_the_other_instance_is_foreign_to_a_profile(suite: RunningSuite) -> None:
    suite.complete(orders.order(orders.TWO_INSTANCES, "-RT19"))
    with billed(suite, "BRM_02"):
        home = care.CareScope(account_id="1-PRIYA-RT19", billing_profile_id="BP-PRIYA-HOME-RT19")
        listed = suite.clients.care.ListInvoices(care.ListInvoicesRequest(scope=home), timeout=SECONDS)
        bill = listed.invoices[0]
        own = care.GetInvoiceRequest(scope=home, bill_id=bill.bill_id)
        assert suite.clients.care.GetInvoice(own, timeout=SECONDS).invoice.bill_id == bill.bill_id
    assert bill.system_id == "BRM_02", "an id comes with its instance"
    mobile = care.CareScope(account_id="1-PRIYA-RT19", billing_profile_id="BP-PRIYA-MOBILE-RT19")
    request = care.GetInvoiceRequest(scope=mobile, bill_id=bill.bill_id)
    marks = suite.marks()
    with pytest.raises(O2CError) as caught:
        suite.answer(lambda: suite.clients.care.GetInvoice(request, timeout=SECONDS))
    (violation,) = caught.value.violations
    assert (violation.reason, violation.metadata["system"]) == (Reason.OBJECT_FOREIGN, "BRM_02")
    assert not suite.calls("BRM_02", marks["BRM_02"])


@pytest.mark.spec("xref-and-routing:RT20")
def test_a_product_published_by_the_second_instance_joins_the_crm_product_or_is_another(
    suite: RunningSuite, tmp_path: Path
) -> None:
    """The message names its instance, which selects the column; the CRM product that an administrator named, the row."""
    operation = routing_pb2.OperationSubject(operation=routing_pb2.ROUTE_OPERATION_SOURCE_EVENT, system_id="BRM_02")
    subject = routing_pb2.RouteSubject(subject_id="product event", operation=operation)
    stub = RoutingServiceStub(suite.clients.channels["xref"])
    (result,) = stub.ResolveRoutes(routing_pb2.ResolveRoutesRequest(subjects=[subject]), timeout=SECONDS).results
    (column,) = result.system_ids
    before = suite.row("ITEM_ITEMID", "PROD-20011")
    assert column == "BRM_02" and column not in before
    events = [
        {"product_id": "PROD-20011", "name": "shared", "brm": {column: "0.0.0.2 /product 77001 0"}},
        {"product_id": "PROD-RT20", "name": "its own", "brm": {column: "0.0.0.2 /product 77002 0"}},
    ]
    file = tmp_path / "products.json"
    file.write_text(json.dumps(events))
    load_products(suite.clients.xref, file)
    shared, own = suite.row("ITEM_ITEMID", "PROD-20011"), suite.row("ITEM_ITEMID", "PROD-RT20")
    assert shared == {**before, "BRM_02": "0.0.0.2 /product 77001 0"}
    assert own["COMMON"] != shared["COMMON"] and own["BRM_02"] == "0.0.0.2 /product 77002 0"

"""GetCustomer: one customer as CRM, cross-references and every BRM instance know it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import customer_suite
import grpc
import orders
import pytest
from customer_edits import account_event, told
from customer_suite import Suite
from customers import account, bundle, order, profile, request
from google.protobuf.json_format import MessageToDict

from libs.errors import Reason
from libs.grpckit.status import from_rpc_error, from_status
from libs.pb.customer_sync.v1 import customer_view_pb2 as pb
from libs.pb.customer_sync.v1 import inspection_pb2
from libs.pb.order.v1.order_pb2 import Order

CARD = {"number": "4111111111111111", "expiry_month": 4, "expiry_year": 2030, "holder_name": "Ann Card"}


@pytest.fixture
async def suite() -> AsyncIterator[Suite]:
    async with customer_suite.running_suite("BRM_01", "BRM_02") as running:
        yield running


def tell_crm(suite: Suite, document: Order) -> None:
    """The CRM has the order's customers."""
    suite.crm.store.load(MessageToDict(document, preserving_proto_field_name=True))


async def look(suite: Suite, account_id: str) -> pb.CustomerView:
    answer = await suite.inspection.GetCustomer(inspection_pb2.GetCustomerRequest(account_id=account_id))
    return answer.customer


def tree(node: pb.HierarchyNode) -> dict[str, object]:
    return {node.account_id: [tree(child) for child in node.children]}


async def test_a_child_is_shown_with_its_payer_and_the_whole_hierarchy_in_both_systems(suite: Suite) -> None:
    document = orders.order(orders.FAMILY)
    tell_crm(suite, document)
    answer = await suite.sync(request(document, "R1"))
    view = await look(suite, "1-MICHELLE")
    assert (view.partial, len(view.brms)) == (False, 1)
    assert view.common_id == view.brms[0].account_number
    assert [one.account_id for one in view.crm.ancestors] == ["1-DENISE"]
    (brm,) = view.brms
    (unit,) = brm.bill_units
    assert (unit.paying, unit.payer_billing_profile_id, unit.months) == (False, "BP-DENISE-MICHELLE", 1)
    assert tree(brm.hierarchy) == {"1-DENISE": [{"1-MICHELLE": []}, {"1-JESSICA": []}]}
    assert {group.bill_unit_poid for group in brm.balance_groups} == {unit.poid}
    denise = await look(suite, "1-DENISE")
    assert [one.account_id for one in denise.crm.children] == ["1-JESSICA", "1-MICHELLE"]
    assert {one.billing_profile_id: list(one.system_ids) for one in denise.crm.billing_profiles} == {
        name: ["BRM_01"] for name in ("BP-DENISE-DENISE", "BP-DENISE-JESSICA", "BP-DENISE-MICHELLE")
    }
    assert all(unit.paying and unit.pay_type == "INVOICE" for unit in denise.brms[0].bill_units)
    made = {entity.brm_id.split()[2] for entity in answer.entities if entity.crm_id.startswith("BP-")}
    assert {unit.poid.split()[2] for unit in denise.brms[0].bill_units} <= made


async def test_card_numbers_are_shown_by_their_last_four_digits_only(suite: Suite) -> None:
    profiles = [profile("BP", "ANN", payment_method="Credit Card", card=CARD)]
    document = order([bundle(1, "ANN", "ANN", "BP")], profiles=profiles)
    tell_crm(suite, document)
    await suite.sync(request(document, "R1"))
    view = await look(suite, "ANN")
    assert view.crm.billing_profiles[0].masked_number == "****1111"
    (record,) = view.brms[0].payment_records
    assert (record.kind, record.name, record.masked_number) == ("cc", "Ann Card", "****1111")
    assert CARD["number"] not in str(view)


async def test_what_belongs_together_is_shown_together_after_edits_too(suite: Suite) -> None:
    """BRM counts the revisions of its objects, and refers to objects by the revision they had once."""
    document = order([bundle(1, "ANN", "ANN", "BP")], profiles=[profile("BP", "ANN", payment_method="Credit Card", card=CARD)])
    tell_crm(suite, document)
    await suite.sync(request(document, "R1"))
    suite.crm.store.edit_billing_profile("BP", {"billing_day": 7, "card": {**CARD, "holder_name": "Ann Reed"}})
    await suite.updates.SyncCustomerUpdate(told(account_event("ANN")))
    (brm,) = (await look(suite, "ANN")).brms
    (unit,), (record,), (group,) = brm.bill_units, brm.payment_records, brm.balance_groups
    assert record.name == "Ann Reed"
    assert int(unit.poid.split()[3]) > 0 and int(record.poid.split()[3]) > 0
    assert (unit.payment_record_poid, group.bill_unit_poid) == (record.poid, unit.poid)


async def test_a_customer_of_two_instances_is_shown_in_both_and_partly_when_one_is_down(suite: Suite) -> None:
    both = orders.order(orders.TWO_INSTANCES)
    tell_crm(suite, both)
    for system_id, line in (("BRM_01", "L-3010"), ("BRM_02", "L-3020")):
        await suite.sync(request(orders.for_system(both, system_id, frozenset({line})), system_id, system_id))
    view = await look(suite, "1-PRIYA")
    assert [(brm.system_id, [unit.bill_unit_id for unit in brm.bill_units]) for brm in view.brms] == [
        ("BRM_01", ["BP-PRIYA-MOBILE"]),
        ("BRM_02", ["BP-PRIYA-HOME"]),
    ]
    await suite.sandbox.admin("BRM_02").add_fault("drop_before")
    suite.crm.state.change({"down": True})
    view = await look(suite, "1-PRIYA")
    assert view.partial
    assert [brm.system_id for brm in view.brms] == ["BRM_01"]
    assert not view.HasField("crm")
    assert {problem.system_id for problem in view.problems} == {"CRM", "BRM_02"}
    reasons = {from_status(problem.error).violations[0].reason for problem in view.problems}
    assert reasons == {Reason.CRM_UNAVAILABLE, Reason.BRM_UNAVAILABLE}


async def test_who_was_never_synchronised_is_known_to_the_crm_alone_and_who_is_nowhere_is_not_found(suite: Suite) -> None:
    suite.crm.store.load({"accounts": [account("NEW")], "billing_profiles": []})
    view = await look(suite, "NEW")
    assert (view.common_id, list(view.brms), view.crm.name) == ("", [], "NEW name")
    for account_id, reason in (("NOBODY", Reason.ACCOUNT_NOT_FOUND), (" ", Reason.FIELD_MISSING)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await look(suite, account_id)
        assert from_rpc_error(caught.value).violations[0].reason is reason


async def test_who_answers_for_a_unit_in_collections_is_shown_on_both_sides() -> None:
    async with customer_suite.running_suite(legal_group=True) as suite:
        line = bundle(1, "HELEN", "HELEN", "BP-HELEN", owner_account={"account_id": "LISA"})
        owner = [account("LISA"), account("HELEN")]
        profiles = [profile("BP-LISA", "LISA", is_primary=True), profile("BP-HELEN", "HELEN")]
        document = order([line], owner, profiles)
        tell_crm(suite, document)
        await suite.sync(request(document, "R1"))
        (unit,) = (await look(suite, "HELEN")).brms[0].bill_units
        assert (unit.bill_unit_id, unit.legal_owner_id) == ("BP-HELEN", "LISA")
        (group,) = (await look(suite, "LISA")).brms[0].legal_groups
        assert list(group.members) == ["BP-HELEN"]

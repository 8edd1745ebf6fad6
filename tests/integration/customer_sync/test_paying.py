"""Who pays for whom, and who is below whom, in BRM (customer-sync 5.5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import brm_view
import customer_suite
import grpc
import pytest
from customer_suite import Suite
from customers import bundle, order, request

from libs.brm import calls
from libs.brm.client import open_gateway
from libs.grpckit.status import from_rpc_error
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from libs.xref.model import XrefKey, XrefWrite
from services.customer_sync.domain.groups import MOST_MEMBERS


@pytest.fixture
async def suite() -> AsyncIterator[Suite]:
    async with customer_suite.running_suite() as running:
        yield running
        assert await running.brm.check_invariants() == []


@pytest.fixture
async def suite_without_slbg() -> AsyncIterator[Suite]:
    """An instance whose balance groups belong to accounts, not to services."""
    async with customer_suite.running_suite(slbg=False) as running:
        yield running
        assert await running.brm.check_invariants() == []


async def done(suite: Suite, lines: list[dict[str, Any]], revision: int = 1, **values: Any) -> pb.SyncOrderCustomersResponse:
    answer = await suite.sync(request(order(lines, revision=revision, **values), f"R{revision}"))
    assert answer.outcome == pb.SYNC_OUTCOME_OK
    return answer


def line(number: int, sa: str, ba: str, bp: str, was: tuple[str, str] | None = None) -> dict[str, Any]:
    """A service bundle; with ``was``, a change of its payer."""
    values: dict[str, Any] = {"asset_integration_id": f"AST-{number}"}
    if was is not None:
        values |= {"action": "UPDATE", "prior": {"billing_account_id": was[0], "billing_profile_id": was[1]}}
    return bundle(number, sa, ba, bp, **values)


async def fulfilled(suite: Suite, answer: pb.SyncOrderCustomersResponse, services: dict[str, str]) -> None:
    """What bill fulfillment does next: a service of SA1 for each asset, on the balance group of one of its units."""
    ids = {entity.crm_id: entity.brm_id for entity in answer.entities if entity.kind != pb.ENTITY_KIND_BALANCE_GROUP}
    async with open_gateway(suite.systems) as gateway:
        for asset, unit in services.items():
            group = (await suite.brm.object(ids[unit]))["BAL_GRP_OBJ"]
            bought = calls.ServicePurchase(service="/service/telco/gsm", login=f"login-{asset}", balance_group=str(group))
            made = await gateway.call("BRM_01", calls.modify_customer(ids["SA1"], services=[bought]))
            service = str(made["SERVICES"][0]["SERVICE_OBJ"])
            await suite.xref.get_or_create([XrefKey("INSTALLEDPRODUCT_ID", "SEBL_01", asset)])
            link = XrefWrite("INSTALLEDPRODUCT_ID", "SEBL_01", asset, "BRM_01", service, kind="SERVICE")
            await suite.xref.populate([link])


P3 = [line(1, "SA1", "BA1", "BP1"), line(2, "SA1", "BA1", "BP2")]


@pytest.mark.spec("customer-sync:P3")
async def test_two_services_paid_with_two_profiles_get_a_unit_and_a_balance_group_each(suite: Suite) -> None:
    await done(suite, P3)
    view = await brm_view.look(suite)
    assert view.units["SA1"] == {"SA1|BA1|BP1 -> BP1", "SA1|BA1|BP2 -> BP2"}
    assert view.units["BA1"] == {"BP1", "BP2"}
    groups = await suite.brm.objects("/balance_group")
    units = {str(unit["POID"]).split()[2]: unit["BILLINFO_ID"] for unit in await suite.brm.objects("/billinfo")}
    assert sorted(units[str(group["BILLINFO_OBJ"]).split()[2]] for group in groups) == sorted(units.values())


@pytest.mark.spec("customer-sync:P4")
async def test_without_slbg_each_account_has_its_unit_and_children_hang_below_their_profile(suite_without_slbg: Suite) -> None:
    lines = [line(1, "BA1", "BA1", "BP1"), line(2, "SA1", "BA1", "BP2"), line(3, "SA2", "BA1", "BP3")]
    await done(suite_without_slbg, lines)
    view = await brm_view.look(suite_without_slbg)
    assert view.units["SA1"] == {"SA1|BA1|BP2 -> BP2"}
    assert view.units["SA2"] == {"SA2|BA1|BP3 -> BP3"}
    groups = await suite_without_slbg.brm.objects("/balance_group")
    owners = [str(group["ACCOUNT_OBJ"]).split()[2] for group in groups]
    assert sorted(owners.count(owner) for owner in set(owners)) == [1, 1, 3]
    assert view.children == {"BA1": {"SA1", "SA2"}}


MOVED_WHOLE = {"SA1|BA1|BP1 -> BP1", "SA1|BA1|BP2 -> BP2", "SA1|BA2|BP9 -> BP9"}


@pytest.mark.spec("customer-sync:P5", "customer-sync:P7")
async def test_all_services_may_move_to_a_new_payer_and_back_again(suite_without_slbg: Suite) -> None:
    suite = suite_without_slbg
    base = [line(1, "SA1", "BA1", "BP2"), line(2, "SA1", "BA1", "BP2")]
    await done(suite, base)
    await done(suite, [line(at, "SA1", "BA2", "BP9", was=("BA1", "BP2")) for at in (1, 2)], revision=2)
    view = await brm_view.look(suite)
    assert view.units["SA1"] == {"SA1|BA1|BP2 -> BP2", "SA1|BA2|BP9 -> BP9"}
    units = {str(each["POID"]).split()[2]: each["BILLINFO_ID"] for each in await suite.brm.objects("/billinfo")}
    charged = sorted(units[str(group["BILLINFO_OBJ"]).split()[2]] for group in await suite.brm.objects("/balance_group"))
    assert charged == ["BP2", "BP9", "SA1|BA1|BP2", "SA1|BA2|BP9"], "one new balance group, of the new unit"
    assert (view.linked("SA1"), view.linked("BA2")) == (("BA2", set()), ("", {"SA1"}))
    before = await suite.opcodes()
    await done(suite, [line(at, "SA1", "BA1", "BP2", was=("BA2", "BP9")) for at in (1, 2)], revision=3)
    back = await brm_view.look(suite)
    assert back.units == view.units
    assert (back.linked("SA1"), back.linked("BA2")) == (("BA1", set()), ("", set()))
    assert (await suite.opcodes())[len(before) :] == ["BILL_GROUP_MOVE_MEMBER"]


@pytest.mark.spec("customer-sync:P6")
async def test_when_one_of_two_services_moves_the_account_stays_where_it_is(suite: Suite) -> None:
    answer = await done(suite, P3)
    await fulfilled(suite, answer, {"AST-1": "SA1|BA1|BP1", "AST-2": "SA1|BA1|BP2"})
    before = await charged(suite)
    await done(suite, [line(1, "SA1", "BA2", "BP9", was=("BA1", "BP1"))], revision=2)
    view = await brm_view.look(suite)
    assert view.units["SA1"] == MOVED_WHOLE
    assert view.linked("SA1") == ("BA1", set())
    assert before["login-AST-2"] == "SA1|BA1|BP2"
    assert (await charged(suite))["login-AST-2"] == before["login-AST-2"], "the other service is where it was"


async def charged(suite: Suite) -> dict[str, str]:
    """Login of a service to the bill unit that it is charged to."""
    units = {str(each["POID"]).split()[2]: str(each["BILLINFO_ID"]) for each in await suite.brm.objects("/billinfo")}
    groups = {str(each["POID"]).split()[2]: str(each["BILLINFO_OBJ"]) for each in await suite.brm.objects("/balance_group")}
    return {
        str(each["LOGIN"]): units[groups[str(each["BAL_GRP_OBJ"]).split()[2]].split()[2]]
        for each in await suite.brm.objects("/service")
    }


@pytest.mark.spec("customer-sync:P8")
async def test_without_slbg_a_change_of_the_profile_alone_is_refused_without_a_call(suite_without_slbg: Suite) -> None:
    suite = suite_without_slbg
    await done(suite, [line(1, "SA", "BA", "BP1")])
    calls = await suite.opcodes()
    moved = bundle(1, "SA", "BA", "BP2", action="UPDATE", prior={"billing_profile_id": "BP1"})
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await suite.sync(request(order([moved], revision=2), "R2"))
    (violation,) = from_rpc_error(caught.value).violations
    assert (violation.reason, violation.field) == ("PAYING_PARENT_CHANGE_INCOMPLETE", "order.lines[0].billing_profile")
    assert await suite.opcodes() == calls


async def test_when_the_order_moves_every_service_that_billing_holds_the_account_follows(suite: Suite) -> None:
    answer = await done(suite, P3)
    await fulfilled(suite, answer, {"AST-1": "SA1|BA1|BP1", "AST-2": "SA1|BA1|BP2"})
    lines = [line(1, "SA1", "BA2", "BP9", was=("BA1", "BP1")), line(2, "SA1", "BA2", "BP9", was=("BA1", "BP2"))]
    await done(suite, lines, revision=2)
    view = await brm_view.look(suite)
    assert view.units["SA1"] == MOVED_WHOLE
    assert view.linked("SA1") == ("BA2", set())


async def test_a_service_that_the_same_order_leaves_to_the_old_payer_keeps_the_account_there(suite: Suite) -> None:
    """A revision of an order that billing has not seen yet: the untouched line speaks for its service."""
    await done(suite, P3)
    lines = [line(1, "SA1", "BA2", "BP9", was=("BA1", "BP1")), line(2, "SA1", "BA1", "BP2") | {"action": "NONE"}]
    await done(suite, lines, revision=2)
    assert (await brm_view.look(suite)).linked("SA1") == ("BA1", set())


@pytest.mark.spec("customer-sync:P11")
async def test_a_new_profile_of_the_same_payer_adds_a_unit_and_changes_nothing_else(suite: Suite) -> None:
    await done(suite, [line(1, "SCOTT", "DUNCAN", "DUNCAN-SCOTT"), line(2, "SCOTT", "CATHY", "CATHY-SCOTT")])
    before = await suite.writes()
    await done(suite, [line(2, "SCOTT", "CATHY", "CATHY-NEW", was=("CATHY", "CATHY-SCOTT"))], revision=2)
    view = await brm_view.look(suite)
    assert view.units["CATHY"] == {"CATHY-SCOTT", "CATHY-NEW"}
    assert view.units["SCOTT"] == {
        "SCOTT|DUNCAN|DUNCAN-SCOTT -> DUNCAN-SCOTT",
        "SCOTT|CATHY|CATHY-SCOTT -> CATHY-SCOTT",
        "SCOTT|CATHY|CATHY-NEW -> CATHY-NEW",
    }
    assert view.linked("SCOTT") == ("DUNCAN", set())
    assert (await suite.writes())[len(before) :] == ["CUST_CREATE_BILLINFO"] * 2


async def test_who_stands_below_a_payer_does_not_pay_for_those_above_and_nothing_is_begun(suite: Suite) -> None:
    await done(suite, [line(1, "KID", "MA", "BP-MA"), line(2, "MA", "GRANNY", "BP-G")])
    before = await suite.writes()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await done(suite, [line(3, "GRANNY", "KID", "BP-KID")], revision=2)
    (violation,) = from_rpc_error(caught.value).violations
    assert (violation.reason, violation.field) == ("HIERARCHY_CYCLE", "order.lines")
    assert violation.metadata["account_ids"] == "GRANNY,KID,MA"
    assert await suite.writes() == before


@pytest.mark.slow
async def test_more_children_than_one_call_can_name_come_below_their_payer(suite: Suite) -> None:
    many = MOST_MEMBERS + 1
    answer = await done(suite, [line(number, f"KID{number}", "PA", "BP") for number in range(many)])
    assert (answer.outcome, list(answer.errors)) == (pb.SYNC_OUTCOME_OK, [])
    groups = [each.outcome for each in answer.entities if each.kind == pb.ENTITY_KIND_ACCOUNT_GROUP]
    assert groups == [pb.ENTITY_OUTCOME_CREATED]
    (group,) = await suite.brm.objects("/group/billing")
    assert len(group["MEMBERS"]) == many


async def test_an_order_that_comes_again_after_another_one_took_it_back_is_carried_out_again(suite: Suite) -> None:
    """Under the same order id and revision, and as a new order: both times the account stands where the order says."""
    first = [line(1, "SA1", "BA2", "BP2", ("BA1", "BP1"))]
    back = [line(1, "SA1", "BA1", "BP1", ("BA2", "BP2"))]

    async def sent(lines: list[dict[str, Any]], order_id: str, request_id: str) -> str:
        answer = await suite.sync(request(order(lines, order_id=order_id), request_id))
        assert answer.outcome == pb.SYNC_OUTCOME_OK
        return (await brm_view.look(suite)).parents["SA1"]

    assert await sent([line(1, "SA1", "BA1", "BP1")], "O0", "R0") == "BA1"
    assert await sent(first, "O1", "R1") == "BA2"
    assert await sent(back, "O2", "R2") == "BA1"
    assert await sent(first, "O1", "R3") == "BA2"
    assert await sent(back, "O3", "R4") == "BA1"

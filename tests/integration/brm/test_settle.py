"""After an answer got lost, the gateway finds what the call did, in the shape of the call's own output."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import brm_samples
import pytest

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.client import SoapGateway
from libs.brm.codes import OfferStatus, PayType, Status
from libs.brm.errors import BrmError, BrmOutcomeUnknown
from libs.brm.flist import Array, Flist, get
from libs.brm.poid import Poid
from libs.errors import Reason
from sandbox.testing import RunningSandbox

HOLDER = {"holder": "Lee", "address": "1 Main St", "city": "Springfield", "zip": "12345", "country": "USA"}
GONE = datetime(2027, 6, 1, tzinfo=UTC)


def paths(flist: object, at: str = "") -> dict[str, object]:
    """Every POID of an flist by its path, events left out: they are not found again, and nobody waits for them."""
    if isinstance(flist, Poid):
        return {at: flist}
    if not isinstance(flist, dict):
        return {}
    found: dict[str, object] = {}
    for name, value in flist.items():
        if name != "RESULTS":
            step = f"[{name}]" if isinstance(flist, Array) else f".{name}" if at else str(name)
            found |= paths(value, at + step)
    return found


async def lost(gateway: SoapGateway, sandbox: RunningSandbox, call: BrmCall, action: str) -> None:
    """Make a call whose answer gets lost."""
    await sandbox.admin().add_fault(action, times=1, opcode=call.opcode)
    with pytest.raises(BrmOutcomeUnknown) as unknown:
        await gateway.call("BRM_01", call)
    assert unknown.value.violations[0].reason is Reason.BRM_OUTCOME_UNKNOWN
    assert unknown.value.retry_after is None


async def same_as_answered(gateway: SoapGateway, sandbox: RunningSandbox, call: BrmCall, twin: BrmCall) -> Flist:
    """Settling ``call`` names objects at every path where its undisturbed ``twin`` does. Returns what settling found."""
    assert await gateway.settle("BRM_01", call) is None
    await lost(gateway, sandbox, call, "drop_before")
    assert await gateway.settle("BRM_01", call) is None
    await lost(gateway, sandbox, call, "drop_after")
    found = await gateway.settle("BRM_01", call)
    assert found is not None
    answered = await gateway.call("BRM_01", twin)
    assert paths(found).keys() >= {path for path in paths(answered) if not path.endswith((".PRODUCT_OBJ", ".DISCOUNT_OBJ"))}
    return found


@pytest.mark.spec("brm:8.3")
async def test_a_customer_created_without_an_answer_is_found_and_not_created_twice(
    gateway: SoapGateway, sandbox: RunningSandbox
) -> None:
    await same_as_answered(gateway, sandbox, brm_samples.commit("1-A"), brm_samples.commit("1-B"))
    assert len(await sandbox.admin().objects("/account", ACCOUNT_NO="1-A")) == 1


async def test_half_an_answer_is_an_unknown_outcome(gateway: SoapGateway, sandbox: RunningSandbox) -> None:
    await lost(gateway, sandbox, brm_samples.commit("1-A"), "half_reply")
    found = await gateway.settle("BRM_01", brm_samples.commit("1-A"))
    assert found is not None
    assert get(found, "ACCTINFO[0].ACCOUNT_NO") == "1-A"


async def test_settled_ids_are_the_ids_brm_stores(gateway: SoapGateway, denise: Flist) -> None:
    found = await gateway.settle("BRM_01", brm_samples.commit())
    assert found is not None
    assert paths(found) == paths(denise)


async def test_a_service_and_its_offers_are_found_by_login_and_line(
    gateway: SoapGateway, sandbox: RunningSandbox, denise: Flist
) -> None:
    account, unit = denise["POID"], get(denise, "BILLINFO[0].POID")
    found = await same_as_answered(
        gateway,
        sandbox,
        brm_samples.wireless(account, unit, "5551001", "L-1"),
        brm_samples.wireless(account, unit, "5551002", "L-2"),
    )
    service = await gateway.call("BRM_01", calls.read_obj(get(found, "SERVICES[0].SERVICE_OBJ")))
    assert service["LOGIN"] == "5551001"
    assert service["BAL_GRP_OBJ"] == get(found, "BAL_INFO[0].POID")


@pytest.mark.spec("brm:8.6")
async def test_a_purchase_that_failed_after_its_commit_happened_once(
    gateway: SoapGateway, sandbox: RunningSandbox, denise: Flist
) -> None:
    bought = await gateway.call("BRM_01", brm_samples.wireless(denise["POID"], get(denise, "BILLINFO[0].POID")))
    service = get(bought, "SERVICES[0].SERVICE_OBJ")
    more = calls.Deal(products=(calls.ProductPurchase(product="/product 20012", line_id="L-9"),))
    purchase = calls.purchase_deal(denise["POID"], more, service=service)
    await lost(gateway, sandbox, purchase, "err_after:STREAM_EOF")
    found = await gateway.settle("BRM_01", purchase)
    assert found is not None
    owned = await gateway.call("BRM_01", calls.get_purchased_offerings(denise["POID"], service))
    line = [offer for offer in owned["PRODUCTS"].values() if offer.get("DESCR") == "L-9"]
    assert [offer["OFFERING_OBJ"] for offer in line] == [get(found, "PRODUCTS[0].OFFERING_OBJ")]


async def test_a_one_time_fee_is_found_again(gateway: SoapGateway, sandbox: RunningSandbox, denise: Flist) -> None:
    fee = calls.Deal(products=(calls.ProductPurchase(product="/product 20042", line_id="L-7"),))
    purchase = calls.purchase_deal(denise["POID"], fee)
    assert await gateway.settle("BRM_01", purchase) is None
    await lost(gateway, sandbox, purchase, "drop_after")
    assert await gateway.settle("BRM_01", purchase) is not None
    fees = await gateway.call("BRM_01", calls.find_events_by_descr(denise["POID"], "L-7"))
    assert len([fee for fee in fees["RESULTS"].values() if fee["POID"].type.endswith("/fee/purchase")]) == 1


async def test_a_purchase_without_line_ids_cannot_be_settled(gateway: SoapGateway, denise: Flist) -> None:
    nameless = calls.Deal(products=(calls.ProductPurchase(product="/product 20041"),))
    with pytest.raises(BrmOutcomeUnknown, match="line id"):
        await gateway.settle("BRM_01", calls.purchase_deal(denise["POID"], nameless))


async def test_bill_units_payment_methods_and_balance_groups_are_found_again(
    gateway: SoapGateway, sandbox: RunningSandbox, denise: Flist
) -> None:
    account = denise["POID"]

    def unit(name: str) -> BrmCall:
        card = calls.CardPayInfo(name=f"card {name}", number="4111111111111111", expiry="0130", **HOLDER)
        return calls.create_billinfo(account, calls.BillUnit(billinfo_id=name, currency=840, payinfo=card))

    def debit(name: str) -> BrmCall:
        bank = calls.DebitPayInfo(name=name, number="1234567890", bank_no="021000021", **HOLDER)
        return calls.create_payinfo(account, bank)

    def group(name: str) -> BrmCall:
        balance_group = calls.BalanceGroup(name=name, billinfo=get(denise, "BILLINFO[0].POID"))
        return calls.create_bal_grp(account, balance_group)

    for build in (unit, debit, group):
        await same_as_answered(gateway, sandbox, build("first"), build("second"))


async def test_a_promotion_is_found_by_account_name_and_line(
    gateway: SoapGateway, sandbox: RunningSandbox, denise: Flist
) -> None:
    def promotion(line: str) -> BrmCall:
        return calls.set_bundle(denise["POID"], [calls.Bundle(name="Mobile Promo", descr=line)])

    found = await same_as_answered(gateway, sandbox, promotion("L-1"), promotion("L-2"))
    bundle = get(found, "BUNDLE_INFO[0].POID")
    ended = calls.set_bundle(denise["POID"], [calls.Bundle(poid=bundle, status=OfferStatus.CANCELLED, valid_to=GONE)])
    assert await gateway.settle("BRM_01", ended) is None
    await gateway.call("BRM_01", ended)
    assert await gateway.settle("BRM_01", ended) is not None


async def test_hierarchy_changes_are_settled_by_membership(
    gateway: SoapGateway, sandbox: RunningSandbox, denise: Flist
) -> None:
    children = [(await gateway.call("BRM_01", brm_samples.commit(f"1-C{n}", unit=f"BP-C{n}")))["POID"] for n in range(3)]
    other = (await gateway.call("BRM_01", brm_samples.commit("1-OTHER", unit="BP-O")))["POID"]
    create = calls.bill_group_create(denise["POID"], children[:1])
    await lost(gateway, sandbox, create, "drop_after")
    group = (await gateway.settle("BRM_01", create) or {})["POID"]

    add = calls.bill_group_add_member(group, [calls.GroupMember(account=children[1])])
    assert await gateway.settle("BRM_01", add) is None
    await lost(gateway, sandbox, add, "drop_after")
    assert await gateway.settle("BRM_01", add) == {"POID": group}

    second = (await gateway.call("BRM_01", calls.bill_group_create(other, children[2:])))["POID"]
    move = calls.bill_group_move_member(second, [calls.GroupMember(account=children[1])])
    assert await gateway.settle("BRM_01", move) is None
    await lost(gateway, sandbox, move, "drop_after")
    assert await gateway.settle("BRM_01", move) == {"POID": second}

    leave = calls.bill_group_delete_member(second, [calls.GroupMember(account=children[1])])
    assert await gateway.settle("BRM_01", leave) is None
    await lost(gateway, sandbox, leave, "drop_after")
    assert await gateway.settle("BRM_01", leave) == {"POID": second}

    without_ours = calls.bill_group_create(denise["POID"], [other])
    assert await gateway.settle("BRM_01", without_ours) == {}


async def test_states_are_settled_by_reading_them(gateway: SoapGateway, sandbox: RunningSandbox, denise: Flist) -> None:
    account = denise["POID"]
    bought = await gateway.call("BRM_01", brm_samples.wireless(account, get(denise, "BILLINFO[0].POID")))
    service = get(bought, "SERVICES[0].SERVICE_OBJ")
    product = get(bought, "SERVICES[0].PRODUCTS[0].OFFERING_OBJ")
    discount = get(bought, "SERVICES[0].DISCOUNTS[0].OFFERING_OBJ")
    paper = (
        await gateway.call(
            "BRM_01",
            calls.purchase_deal(
                account, calls.Deal(products=(calls.ProductPurchase(product="/product 20041", line_id="L-5"),))
            ),
        )
    )["PRODUCTS"][0]["OFFERING_OBJ"]
    overridden = calls.OfferChange(offering=product, cycle=calls.Charge(fee=Decimal("12.50")))
    steps = [
        calls.update_services(account, [calls.ServiceChange(service=service, login="5559999")]),
        calls.set_prodinfo(account, [overridden], service=service),
        calls.set_discountinfo(account, [calls.OfferChange(offering=discount, cycle=calls.Charge(end=GONE))], service=service),
        calls.set_product_status(account, [paper], OfferStatus.INACTIVE),
        calls.update_services(account, [calls.ServiceChange(service=service, status=Status.INACTIVE)]),
        calls.cancel_discount(account, [calls.OfferCancellation(offering=discount)], service=service),
        calls.cancel_product(account, [calls.OfferCancellation(offering=product)], service=service),
        calls.set_status(account, Status.INACTIVE),
    ]
    for step in steps:
        assert await gateway.settle("BRM_01", step) is None, step.opcode
        await lost(gateway, sandbox, step, "drop_after")
        assert await gateway.settle("BRM_01", step) is not None, step.opcode


async def test_a_partial_cancellation_cannot_be_settled(gateway: SoapGateway, denise: Flist) -> None:
    two = calls.Deal(products=(calls.ProductPurchase(product="/product 20041", line_id="L-5", quantity=Decimal(2)),))
    offer = (await gateway.call("BRM_01", calls.purchase_deal(denise["POID"], two)))["PRODUCTS"][0]["OFFERING_OBJ"]
    half = calls.cancel_product(denise["POID"], [calls.OfferCancellation(offering=offer, quantity=Decimal(1))])
    with pytest.raises(BrmOutcomeUnknown, match="partial"):
        await gateway.settle("BRM_01", half)


async def test_a_nonpaying_unit_is_set_and_settled(gateway: SoapGateway, sandbox: RunningSandbox, denise: Flist) -> None:
    child = await gateway.call("BRM_01", brm_samples.commit("1-CHILD", unit="BP-CHILD"))
    change = calls.set_billinfo(
        child["POID"],
        [calls.BillUnit(poid=get(child, "BILLINFO[0].POID"), parent=get(denise, "BILLINFO[0].POID"))],
    )
    assert await gateway.settle("BRM_01", change) is None
    await lost(gateway, sandbox, change, "drop_after")
    assert await gateway.settle("BRM_01", change) is not None
    unit = await gateway.call("BRM_01", calls.read_obj(get(child, "BILLINFO[0].POID")))
    assert unit["PAY_TYPE"] == PayType.NONPAYING


async def test_reads_have_nothing_to_settle(gateway: SoapGateway, denise: Flist) -> None:
    assert await gateway.settle("BRM_01", calls.read_obj(denise["POID"])) is None


async def test_an_unknown_instance_is_an_error_of_ours(gateway: SoapGateway) -> None:
    with pytest.raises(BrmError) as error:
        await gateway.call("BRM_09", calls.loopback())
    assert error.value.reason is Reason.BRM_ERROR

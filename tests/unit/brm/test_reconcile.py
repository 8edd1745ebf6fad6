"""What a site may store otherwise than the sandbox does, and still be settled."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import brm_samples
import pytest

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.ebuf import EBuf
from libs.brm.errors import BrmError, BrmOutcomeUnknown
from libs.brm.flist import Array, Flist, get
from libs.brm.poid import Poid
from libs.brm.reconcile import FINDERS, NEVER_REPEATED, Scene, complete_output, find_effect, is_complete
from libs.brm.reconcile.match import contains, same, same_tail
from libs.brm.specs import OPCODES, Kind
from libs.errors import Reason

ACCOUNT = Poid("0.0.0.1", "/account", 10_000)
EVENT = Poid("0.0.0.1", "/event/billing/product/fee/purchase", 20270101)
UNIT = Poid("0.0.0.1", "/billinfo", 10_001)
PAYINFO = Poid("0.0.0.1", "/payinfo/cc", 10_002)


class Store:
    """Answers searches by class; anything else is not found."""

    def __init__(self, **found: list[Flist]) -> None:
        self._found = found

    async def ask(self, call: BrmCall) -> Flist:
        if call.opcode != "PCM_OP_SEARCH":
            raise BrmError(Reason.BRM_REJECTED, "no", system_id="BRM_01", opcode=call.opcode)
        type_ = call.input["TEMPLATE"].split()[3].strip("/").replace("/", "_")
        return {"RESULTS": Array.of(*self._found.get(type_, []))}

    def scene(self) -> Scene:
        return Scene("BRM_01", "0.0.0.1", self.ask)


async def test_a_one_time_offer_that_leaves_no_instance_is_found_by_its_event() -> None:
    deal = calls.Deal(products=(calls.ProductPurchase(product="/product 20014", line_id="L-1"),))
    purchase = calls.purchase_deal(ACCOUNT, deal)
    assert await find_effect(Store(event=[{"POID": EVENT}]).scene(), purchase) == {"POID": ACCOUNT}
    assert await find_effect(Store().scene(), purchase) is None


async def test_a_default_balance_group_is_found_even_when_the_unit_does_not_name_it() -> None:
    create = calls.create_billinfo(ACCOUNT, calls.BillUnit(billinfo_id="BP"))
    groups = [{"POID": Poid("0.0.0.1", "/balance_group", number)} for number in (12, 11)]
    found = await find_effect(Store(billinfo=[{"POID": UNIT}], balance_group=groups).scene(), create)
    assert get(found or {}, "BAL_INFO[0].POID") == groups[1]["POID"]


@pytest.mark.spec("brm:8.19")
@pytest.mark.parametrize("stored", ["4111111111111111", "XXXXXXXXXXXX1111", "****", None])
@pytest.mark.parametrize("nested", [True, False])
async def test_masked_numbers_do_not_make_a_payment_method_another_one(stored: str | None, nested: bool) -> None:
    card = calls.CardPayInfo(name="card", number="4111111111111111", expiry="0130")
    details: Flist = {"CC_INFO": Array.of({"DEBIT_NUM": stored, "DEBIT_EXP": "0130"})}
    record = {"POID": PAYINFO, "NAME": "card"} | ({"INHERITED_INFO": details} if nested else details)
    found = await find_effect(Store(payinfo=[record]).scene(), calls.create_payinfo(ACCOUNT, card))
    assert found == {"POID": PAYINFO}


async def test_another_card_is_another_payment_method() -> None:
    details: Flist = {"CC_INFO": Array.of({"DEBIT_NUM": "XXXXXXXXXXXX2222", "DEBIT_EXP": "0130"})}
    store = Store(payinfo=[{"POID": PAYINFO, "NAME": "card"} | details])
    card = calls.CardPayInfo(name="card", number="4111111111111111", expiry="0130")
    assert await find_effect(store.scene(), calls.create_payinfo(ACCOUNT, card)) is None


async def test_a_unit_that_is_missing_on_a_found_account_is_missing_in_the_answer() -> None:
    units = [calls.BillUnit(billinfo_id=name) for name in ("BP-1", "BP-2")]
    commit = calls.commit_customer(account=calls.AccountInfo(account_no="1-A"), names=[calls.NameInfo()], bill_units=units)
    stored = {"POID": UNIT, "BILLINFO_ID": "BP-1", "BAL_GRP_OBJ": Poid("0.0.0.1", "/balance_group", 11)}
    found = await find_effect(Store(account=[{"POID": ACCOUNT}], billinfo=[stored]).scene(), commit)
    assert found is not None
    assert list(found["BILLINFO"]) == [0]
    assert not is_complete(commit, found)


@pytest.mark.parametrize(
    "call",
    [
        BrmCall("PCM_OP_CUST_COMMIT_CUSTOMER", {"ACCTINFO": Array.of({})}),
        calls.create_billinfo(ACCOUNT, calls.BillUnit()),
        calls.create_bal_grp(ACCOUNT, calls.BalanceGroup()),
        BrmCall("PCM_OP_AR_ACCOUNT_ADJUSTMENT", {}),
    ],
)
async def test_a_call_without_a_natural_key_stays_unknown(call: BrmCall) -> None:
    with pytest.raises(BrmOutcomeUnknown, match="cannot be told"):
        await find_effect(Store().scene(), call)


def test_every_write_can_be_settled_but_for_those_without_any_trace() -> None:
    writes = {name for name, spec in OPCODES.items() if not spec.is_read}
    assert writes - set(FINDERS) == set(NEVER_REPEATED)
    assert all(OPCODES[name].kind is Kind.WRITE for name in NEVER_REPEATED), "what sets a state may be repeated"
    assert set(FINDERS) <= writes


@pytest.mark.parametrize("name", [name for name, call in brm_samples.every().items() if not OPCODES[call.opcode].is_read])
async def test_no_write_is_taken_for_done_where_nothing_is_stored(name: str) -> None:
    """Gone is gone, though: a deletion is done."""

    async def nothing(call: BrmCall) -> Flist:
        if call.opcode == "PCM_OP_READ_OBJ":
            ebuf = EBuf(opcode=call.opcode, error="PIN_ERR_NOT_FOUND")
            raise BrmError(Reason.BRM_REJECTED, "no", system_id="BRM_01", opcode=call.opcode, ebuf=ebuf)
        return {}

    call = brm_samples.every()[name]
    deletes = "delete" in name or call.input.get("ACTION") == "delete"
    try:
        found = await find_effect(Scene("BRM_01", "0.0.0.1", nothing), call)
    except BrmOutcomeUnknown:
        assert call.opcode not in FINDERS
    else:
        assert (found is not None) is deletes


async def test_a_single_payment_is_found_by_its_token_and_amount() -> None:
    receive = brm_samples.inner()["bill_rcv_payment"]
    item = {"POID": Poid("0.0.0.1", "/item/payment", 12), "ITEM_TOTAL": Decimal(-10)}
    unnamed = BrmCall(receive.opcode, {name: value for name, value in receive.input.items() if name != "BILLINFO_OBJ"})
    found = await find_effect(Store(billinfo=[{"POID": UNIT}], item=[item]).scene(), unnamed)
    assert get(found or {}, "ITEM_OBJ") == item["POID"]
    with pytest.raises(BrmOutcomeUnknown, match="another amount"):
        await find_effect(Store(billinfo=[{"POID": UNIT}], item=[item | {"ITEM_TOTAL": Decimal(-9)}]).scene(), unnamed)


PAYMENT_EVENT = Poid("0.0.0.1", "/event/billing/payment/cash", 20270102)
PAYMENT_ITEM = Poid("0.0.0.1", "/item/payment", 12)


@pytest.mark.parametrize("told", [{}, {"EVENTS": Array.of({"POID": EVENT})}, {"EVENTS": Array({7: {"POID": PAYMENT_EVENT}})}])
async def test_a_payment_has_its_event_first_whatever_events_brm_tells(told: Flist) -> None:
    collect = calls.pymt_collect([brm_samples.cash(ACCOUNT, UNIT)])
    result = {"ACCOUNT_OBJ": ACCOUNT, "ITEM_OBJ": PAYMENT_ITEM, "RESULT": 1, **told}
    store = Store(event_billing_payment=[{"POID": PAYMENT_EVENT}])
    output = await complete_output(store.scene(), collect, {"POID": ACCOUNT, "RESULTS": Array.of(result)})
    assert get(output, "RESULTS[0].EVENTS[0].POID") == PAYMENT_EVENT
    assert get(output, "RESULTS[0].ITEM_OBJ") == PAYMENT_ITEM


async def test_a_payment_whose_event_nobody_can_name_is_of_unknown_outcome() -> None:
    collect = calls.pymt_collect([brm_samples.cash(ACCOUNT, UNIT)])
    output = {"POID": ACCOUNT, "RESULTS": Array.of({"ACCOUNT_OBJ": ACCOUNT, "ITEM_OBJ": PAYMENT_ITEM, "RESULT": 1})}
    with pytest.raises(BrmOutcomeUnknown, match="no event"):
        await complete_output(Store().scene(), collect, output)


@pytest.mark.parametrize(("bill", "moved"), [(brm_samples.BILL, True), (Poid("0.0.0.1", "/bill", 1), False)])
async def test_an_item_is_moved_when_it_is_on_the_bill(bill: Poid, moved: bool) -> None:
    async def ask(call: BrmCall) -> Flist:
        return {"POID": call.input["POID"], "BILL_OBJ": bill}

    found = await find_effect(Scene("BRM_01", "0.0.0.1", ask), brm_samples.inner()["bill_move_item"])
    assert (found is not None) is moved


async def test_a_look_up_that_fails_says_so() -> None:
    with pytest.raises(BrmError):
        await find_effect(Store().scene(), calls.set_status(ACCOUNT, 10102))  # type: ignore[arg-type]


def test_values_are_compared_as_brm_sees_them() -> None:
    noon = datetime(2027, 1, 1, 12, tzinfo=UTC)
    assert same(Poid("0.0.0.1", "/service/telco/gsm", 5, 9), "/service 5")
    assert same(Decimal("1.500"), Decimal("1.5"))
    assert same(noon, noon.replace(microsecond=5))
    assert same(None, calls.NEVER)
    assert same("", None)
    assert not same(None, noon)
    assert not same(None, 0)
    assert contains({"A": {"B": 1}, "C": 2}, {"A": {"B": 1}})
    assert not contains(None, {"A": 1})
    assert same_tail("****1111", "41111111")
    assert not same_tail("****1111", "42222222")

"""Calls are values: what the constructors put where, as BRM's tools would print it."""

from __future__ import annotations

import inspect
import re
from decimal import Decimal

import brm_samples
import pytest

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.codec import Dialect, encode_request
from libs.brm.codes import OfferStatus, OffsetUnit, PayType
from libs.brm.flist import get
from libs.brm.poid import Poid
from libs.brm.specs import OPCODES
from libs.brm.text import conceal, mask, to_text
from libs.plan.model import Ref, bind, refs_in
from tests.support.brm_flow_samples import ACCOUNT, FLOW, NOON, OFFER, SERVICE, UNIT
from tools.opcode_page import constructor

ALL = FLOW | brm_samples.every()


@pytest.mark.parametrize("name", ALL)
def test_what_a_constructor_builds_can_be_sent(name: str) -> None:
    assert encode_request(ALL[name], Dialect())


def test_every_opcode_has_a_constructor_and_every_constructor_is_tried() -> None:
    assert {call.opcode for call in ALL.values()} == set(OPCODES)
    functions = {name for name in calls.__all__ if inspect.isfunction(getattr(calls, name))}
    assert functions - {"program_name", "search"} == {name.partition(" ")[0] for name in ALL}


@pytest.mark.parametrize("opcode", OPCODES)
def test_every_call_says_what_repeating_it_does_and_where_its_fields_are_from(opcode: str) -> None:
    text = constructor(opcode).__doc__ or ""
    says = r"\b[Rr]ead\b" if OPCODES[opcode].is_read else r"Repeating|Natural key|unknown outcome"
    assert re.search(says, text), text
    assert re.search(r"\[([A-Z]|recall)", text), text


def test_a_new_customer_links_its_parts_by_element_id() -> None:
    assert (
        to_text(ALL["commit_customer"].input)
        == """\
0 PIN_FLD_POID           POID [0] 0.0.0.1 /plan -1 0
0 PIN_FLD_PROGRAM_NAME    STR [0] "o2c"
0 PIN_FLD_END_T        TSTAMP [0] (1798804800) 2027-01-01T12:00:00Z
0 PIN_FLD_ACCTINFO      ARRAY [0] allocated 20, used 5
1     PIN_FLD_POID       POID [0] 0.0.0.1 /account -1 0
1     PIN_FLD_ACCOUNT_NO  STR [0] "1-A"
1     PIN_FLD_BUSINESS_TYPE ENUM [0] 1
1     PIN_FLD_CURRENCY    INT [0] 840
1     PIN_FLD_BAL_INFO  ARRAY [0] NULL
0 PIN_FLD_NAMEINFO      ARRAY [1] allocated 20, used 2
1     PIN_FLD_LAST_NAME   STR [0] "Lee"
1     PIN_FLD_PHONES    ARRAY [0] allocated 20, used 2
2         PIN_FLD_PHONE   STR [0] "555"
2         PIN_FLD_TYPE   ENUM [0] 2
0 PIN_FLD_LOCALES       ARRAY [1] allocated 20, used 1
1     PIN_FLD_LOCALE      STR [0] "en_US"
0 PIN_FLD_BILLINFO      ARRAY [0] allocated 20, used 5
1     PIN_FLD_POID       POID [0] 0.0.0.1 /billinfo -1 0
1     PIN_FLD_BILLINFO_ID STR [0] "BP"
1     PIN_FLD_PAY_TYPE   ENUM [0] 10001
1     PIN_FLD_PAYINFO   ARRAY [0] NULL
1     PIN_FLD_BAL_INFO  ARRAY [0] NULL
0 PIN_FLD_BILLINFO      ARRAY [1] allocated 20, used 6
1     PIN_FLD_POID       POID [0] 0.0.0.1 /billinfo -1 0
1     PIN_FLD_BILLINFO_ID STR [0] "A|B|C"
1     PIN_FLD_PAY_TYPE   ENUM [0] 10007
1     PIN_FLD_PARENT_BILLINFO_OBJ POID [0] 0.0.0.1 /billinfo 10002 0
1     PIN_FLD_AR_BILLINFO_OBJ POID [0] 0.0.0.1 /billinfo 10002 0
1     PIN_FLD_BAL_INFO  ARRAY [1] NULL
0 PIN_FLD_PAYINFO       ARRAY [0] allocated 20, used 3
1     PIN_FLD_POID       POID [0] 0.0.0.1 /payinfo/invoice -1 0
1     PIN_FLD_PAY_TYPE   ENUM [0] 10001
1     PIN_FLD_INHERITED_INFO SUBSTRUCT [0] allocated 20, used 1
2         PIN_FLD_INV_INFO ARRAY [0] allocated 20, used 2
3             PIN_FLD_EMAIL_ADDR STR [0] "a@example.com"
3             PIN_FLD_DELIVERY_PREFER ENUM [0] 0
0 PIN_FLD_BAL_INFO      ARRAY [0] allocated 20, used 2
1     PIN_FLD_POID       POID [0] 0.0.0.1 /balance_group -1 0
1     PIN_FLD_BILLINFO  ARRAY [0] NULL
0 PIN_FLD_BAL_INFO      ARRAY [1] allocated 20, used 2
1     PIN_FLD_POID       POID [0] 0.0.0.1 /balance_group -1 0
1     PIN_FLD_BILLINFO  ARRAY [1] NULL
0 PIN_FLD_SERVICES      ARRAY [0] allocated 20, used 4
1     PIN_FLD_SERVICE_OBJ POID [0] 0.0.0.1 /service/voip -1 0
1     PIN_FLD_LOGIN       STR [0] "x"
1     PIN_FLD_BAL_INFO  ARRAY [1] NULL
1     PIN_FLD_DEALS     ARRAY [0] allocated 20, used 2
2         PIN_FLD_POID   POID [0] 0.0.0.1 /deal -1 0
2         PIN_FLD_PRODUCTS ARRAY [0] allocated 20, used 4
3             PIN_FLD_PRODUCT_OBJ POID [0] 0.0.0.1 /product 20011 0
3             PIN_FLD_QUANTITY DECIMAL [0] 1
3             PIN_FLD_STATUS ENUM [0] 1
3             PIN_FLD_DESCR STR [0] "L-1"
0 PIN_FLD_DEALS         ARRAY [0] allocated 20, used 2
1     PIN_FLD_POID       POID [0] 0.0.0.1 /deal -1 0
1     PIN_FLD_PRODUCTS  ARRAY [0] allocated 20, used 4
2         PIN_FLD_PRODUCT_OBJ POID [0] 0.0.0.1 /product 20011 0
2         PIN_FLD_QUANTITY DECIMAL [0] 1
2         PIN_FLD_STATUS ENUM [0] 1
2         PIN_FLD_DESCR   STR [0] "L-1\""""
    )


def test_symbols_may_stand_for_what_does_not_exist_yet() -> None:
    purchase = calls.purchase_deal(
        Ref("account(1-A)"),
        calls.Deal(products=(calls.ProductPurchase(product="/product 20011", bundle=Ref("bundle(P)")),)),
        service=Ref("service(S)"),
    )
    assert [ref.name for ref in refs_in(purchase.input)] == ["account(1-A)", "service(S)", "bundle(P)"]
    assert "PIN_FLD_POID           POID [0] <account(1-A)>" in to_text(purchase.input)
    bound = bind(purchase.input, {"account(1-A)": ACCOUNT, "service(S)": str(SERVICE), "bundle(P)": "/purchased_bundle 5"})
    assert b"/purchased_bundle 5 0<" in encode_request(BrmCall(purchase.opcode, bound), Dialect())


def test_a_fee_override_sets_its_flag_by_itself() -> None:
    changed = calls.OfferChange(offering=OFFER, status_flags=8, cycle=calls.Charge(fee=Decimal(0)))
    assert get(calls.set_prodinfo(ACCOUNT, [changed]).input, "PRODUCTS[0].STATUS_FLAGS") == 0x2000008
    plain = calls.OfferChange(offering=OFFER, cycle=calls.Charge(discount=Decimal("0.1")))
    assert "STATUS_FLAGS" not in get(calls.set_prodinfo(ACCOUNT, [plain]).input, "PRODUCTS[0]")


def test_starts_and_ends_are_times_or_offsets() -> None:
    terms = calls.ProductPurchase(
        product="/product 1",
        purchase=calls.Charge(start=NOON, end=calls.Offset(90, OffsetUnit.DAY)),
        usage=calls.Charge(end=calls.NEVER),
    ).flist()
    assert terms["PURCHASE_START_T"] == NOON
    assert (terms["PURCHASE_END_UNIT"], terms["PURCHASE_END_OFFSET"]) == (4, 90)
    assert terms["USAGE_END_T"] == calls.NEVER
    assert "CYCLE_START_T" not in terms


def test_a_unit_with_a_parent_is_nonpaying_and_owes_through_it() -> None:
    unit = calls.BillUnit(poid=UNIT, parent=Ref("billinfo(BP)"), ar_unit=Ref("billinfo(TOP)")).flist("0.0.0.1")
    assert unit["PAY_TYPE"] == PayType.NONPAYING
    assert (unit["PARENT_BILLINFO_OBJ"], unit["AR_BILLINFO_OBJ"]) == (Ref("billinfo(BP)"), Ref("billinfo(TOP)"))


def test_searches_name_their_values_by_position() -> None:
    search = calls.find_billinfo(ACCOUNT, "BP").input
    assert search["TEMPLATE"] == "select X from /billinfo where F1 = V1 and F2 = V2"
    assert search["ARGS"] == {1: {"ACCOUNT_OBJ": ACCOUNT}, 2: {"BILLINFO_ID": "BP"}}
    with pytest.raises(ValueError, match="ACCOUNT_OBJ, NAME"):
        calls.search(calls.SEARCHES["bundle_by_name"], [ACCOUNT])


def test_audit_names_fit_what_brm_stores() -> None:
    assert calls.program_name("SO-1", "", "L-2") == "o2c:SO-1:L-2"
    assert len(calls.program_name("ü" * 60).encode()) <= 60


def test_sensitive_fields_are_masked_wherever_they_stand() -> None:
    card = calls.CardPayInfo(number="4111111111111111", security_code="987", expiry="0130")
    call = calls.create_billinfo(ACCOUNT, calls.BillUnit(billinfo_id="BP", payinfo=card))
    text = to_text(call.input)
    assert '"****1111"' in text
    assert "987" not in text and "0130" not in text
    assert "411111" not in text + repr(card) + repr(call)
    assert get(mask(call.input), "PAYINFO[0].INHERITED_INFO.CC_INFO[0].SECURITY_ID") == "****"
    assert "4111111111111111" in to_text(call.input, masked=False)


def test_money_carries_a_token_by_which_it_is_found_again() -> None:
    charge = get(ALL["pymt_collect"].input, "CHARGES[0]")
    assert charge["TRANS_ID"] == get(charge, "PAYMENT.DESCR") == "PAY-1"
    assert get(charge, "PAYMENT.INHERITED_INFO.CASH_INFO[0].RECEIPT_NO") == "PAY-1"
    assert ALL["ar_bill_adjustment"].input["DESCR"] == "ADJ-1"
    assert ALL["bill_debit"].input["DESCR"] == "T-1"
    text = repr(ALL["pymt_collect"])
    assert "'77'" not in text
    assert "4111111111111111" not in text
    with pytest.raises(ValueError, match="no payment"):
        calls.pymt_collect([])


def test_an_action_on_events_keeps_its_amount_apart_from_the_rest() -> None:
    flist = ALL["ar_event_adjustment"].input
    assert flist["ADJUSTMENT_INFO"][0] == {"AMOUNT": Decimal(-5), "RESOURCE_ID": 840, "FLAGS": 1}
    assert not {"AMOUNT", "FLAGS"} & set(flist)


def test_searches_compare_ranges_where_they_say_so() -> None:
    window = calls.find_collections_actions(window=(NOON, NOON)).input
    assert window["TEMPLATE"] == "select X from /collections_action where F1 >= V1 and F2 <= V2"
    assert window["ARGS"] == {1: {"MOD_T": NOON}, 2: {"MOD_T": NOON}}
    page = calls.find_range("/account", 1, 9).input
    assert page["TEMPLATE"] == "select X from /account where F1.id >= V1 and F2.id <= V2"
    assert page["ARGS"][2] == {"POID": Poid("0.0.0.1", "/account", 9)}
    for wrong in ({}, {"billinfo": UNIT, "window": (NOON, NOON)}):
        with pytest.raises(ValueError, match="bill unit or a window"):
            calls.find_collections_actions(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="service or a status"):
        calls.find_products(ACCOUNT, SERVICE, status=OfferStatus.ACTIVE)


def test_words_that_quote_a_sensitive_value_lose_it() -> None:
    card = calls.CardPayInfo(number="4111111111111111", security_code="987", expiry="0130", holder="Denise")
    call = calls.create_billinfo(ACCOUNT, calls.BillUnit(billinfo_id="BP", payinfo=card))
    said = conceal("value '4111111111111111' (0130/987) of Denise is not valid", call.input)
    assert said == "value '****' (****/****) of Denise is not valid"


def test_values_of_every_type_are_printed() -> None:
    assert to_text(
        {"BUFFER": b"xyz", "VALID_TO": None, "extra": {"A": 1}, "DUE": Decimal("1E+2"), "EXTRATING": {"LABEL": "l"}, "X": None}
    ).splitlines() == [
        "0 PIN_FLD_BUFFER          BUF [0] 3 bytes",
        "0 PIN_FLD_VALID_TO     TSTAMP [0] NULL",
        "0 PIN_FLD_extra     SUBSTRUCT [0] allocated 20, used 1",
        "1     PIN_FLD_A           INT [0] 1",
        "0 PIN_FLD_DUE         DECIMAL [0] 100",
        "0 PIN_FLD_EXTRATING SUBSTRUCT [0] allocated 20, used 1",
        '1     PIN_FLD_LABEL       STR [0] "l"',
        "0 PIN_FLD_X               STR [0] NULL",
    ]

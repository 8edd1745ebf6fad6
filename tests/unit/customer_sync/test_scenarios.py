"""Acceptance scenarios of order-time customer sync, as far as the plan shows them (customer-sync 16, 5.5, 2.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import customers
import orders
import pytest
from customers import account, bundle, call_of, coded, keys, order, planned, profile, refused

from libs.brm.flist import get
from libs.errors import O2CError, Reason
from libs.plan.model import Ref
from services.customer_sync.domain.model import EntityOutcome, Facts

COMMIT = "PCM_OP_CUST_COMMIT_CUSTOMER"
METHODS = "CUSTOMERPARTY_PAYPROFILE_PAYMETHODECODE"


def one_profile(**values: Any) -> Any:
    return order([bundle(1, "ANN", "ANN", "BP")], profiles=[profile("BP", "ANN", **values)])


def test_every_call_of_an_order_tells_billing_the_order_it_is_made_for() -> None:
    paid = {"payment_id": "PAY", "billing_profile_id": "BP-KID", "method": "CASH", "status": "New"}
    paid |= {"amount": {"currency_code": "USD", "units": 25}, "date": "2027-01-01T00:00:00Z"}
    lines = [bundle(1, "KID", "PA", "BP-PA"), bundle(2, "KID", "KID", "BP-KID", owner_account={"account_id": "LISA"})]
    primary = profile("BP-LISA", "LISA", is_primary=True)
    legal = replace(customers.POLICY, legal_groups=True)

    def programs(order_id: str) -> list[str]:
        document = order(lines, accounts=[account("LISA")], profiles=[primary], payments=[paid], order_id=order_id)
        return [step.call.input["PROGRAM_NAME"] for step in planned(document, policy=legal).plan.steps]

    assert programs("ORD-7") == ["o2c customer sync:ORD-7"] * 6
    (cut,) = set(programs("O" * 200))
    assert cut.startswith("o2c customer sync:OOO") and len(cut) == 60, "BRM stores no more (INV-27)"


@pytest.mark.spec("customer-sync:S1")
def test_a_new_residential_account_paying_by_bill_me_is_created_whole_in_one_call() -> None:
    plan = planned(one_profile(bill_media="Email", email_bill_to="bills@example.com"))
    call = call_of(plan, "account:ANN")
    assert [step.call.opcode for step in plan.plan.steps] == [COMMIT]
    assert get(call, "ACCTINFO[0].ACCOUNT_NO") == Ref("common(account:ANN)")
    assert "COMPANY" not in get(call, "NAMEINFO[1]")
    ((unit, record),) = zip(call["BILLINFO"].values(), call["PAYINFO"].values(), strict=True)
    assert (unit["BILLINFO_ID"], list(unit["PAYINFO"])) == ("BP", [0])
    assert unit["PAY_TYPE"] == record["PAY_TYPE"] == coded(METHODS, "INVOICE")
    assert (str(record["POID"]).split()[1], list(record["INHERITED_INFO"])) == ("/payinfo/invoice", ["INV_INFO"])
    (invoice,) = record["INHERITED_INFO"]["INV_INFO"].values()
    email = coded("CUSTOMERPARTY_PAYPROFILE_DELIVERYPREF", "EMAIL")
    assert (invoice["NAME"], invoice["DELIVERY_PREFER"], invoice["EMAIL_ADDR"]) == ("Payer, Ann", email, "bills@example.com")


@pytest.mark.spec("customer-sync:S2")
def test_a_new_business_account_carries_its_company_name_and_corporate_rules() -> None:
    lines = [bundle(1, "ACME", "ACME", "BP")]
    alone = planned(order(lines, accounts=[account("ACME", type="BUSINESS", name="Acme Ltd")]))
    assert get(call_of(alone, "account:ACME"), "NAMEINFO[1].COMPANY") == "Acme Ltd"
    assert get(call_of(alone, "account:ACME"), "ACCTINFO[0].BUSINESS_TYPE") == coded("CUSTOMERPARTY_TYPECODE", "BUSINESS")
    both = [account(name, type="BUSINESS", parent_account_id=parent) for name, parent in (("ACME", "HQ"), ("HQ", ""))]
    assert keys(planned(order(lines, accounts=both))) == ["account:HQ", "account:ACME", "accountgroup:HQ"]


@pytest.mark.spec("customer-sync:C19")
def test_a_business_account_without_relatives_gets_no_group() -> None:
    document = order([bundle(1, "ACME", "ACME", "BP")], accounts=[account("ACME", type="BUSINESS", name="Acme Ltd")])
    assert keys(planned(document)) == ["account:ACME"]


def test_with_corporate_sync_off_a_business_account_is_arranged_in_two_levels() -> None:
    business = [account("ACME", type="BUSINESS"), account("AMELIA", type="BUSINESS", parent_account_id="ACME")]
    document = order([bundle(1, "AMELIA", "ACME", "BP")], accounts=business)
    plan = planned(document, policy=replace(customers.POLICY, corporate_account_type=""))
    assert keys(plan) == ["account:ACME", "account:AMELIA", "accountgroup:ACME"]


@pytest.mark.spec("customer-sync:S3")
def test_a_card_without_security_code_is_accepted_and_sends_none() -> None:
    card = {"number": "4111111111111111", "expiry_month": 4, "expiry_year": 2030, "holder_name": "Ann Card"}
    call = call_of(planned(one_profile(payment_method="Credit Card", card=card)), "account:ANN")
    details = get(call, "PAYINFO[0].INHERITED_INFO.CC_INFO[0]")
    assert (details["NAME"], details["DEBIT_NUM"], details["DEBIT_EXP"]) == ("Ann Card", "4111111111111111", "0430")
    assert "SECURITY_ID" not in details
    assert get(call, "BILLINFO[0].PAY_TYPE") == get(call, "PAYINFO[0].PAY_TYPE") == coded(METHODS, "CREDITCARD")


@pytest.mark.spec("customer-sync:S4")
def test_auto_debit_without_routing_number_is_refused() -> None:
    document = one_profile(payment_method="Auto-Debit", debit={"account_number": "123456789"})
    assert refused(document) == [(Reason.DEBIT_ROUTING_MISSING, "order.billing_profiles[0].debit.routing_number")]


@pytest.mark.spec("customer-sync:S5")
def test_another_payment_method_is_refused() -> None:
    document = one_profile(payment_method="Purchase Order")
    assert refused(document) == [(Reason.BILLING_PROFILE_METHOD_UNSUPPORTED, "order.billing_profiles[0].payment_method")]


@pytest.mark.spec("customer-sync:S6")
def test_without_billing_schedule_no_bill_day_is_sent() -> None:
    assert "ACTG_FUTURE_DOM" not in get(call_of(planned(one_profile()), "account:ANN"), "BILLINFO[0]")


def test_a_bill_day_is_sent_and_checked_against_what_the_instance_allows() -> None:
    assert get(call_of(planned(one_profile(billing_day=28)), "account:ANN"), "BILLINFO[0].ACTG_FUTURE_DOM") == 28
    path = "order.billing_profiles[0].billing_day"
    assert refused(one_profile(billing_day=31)) == [(Reason.BILL_DAY_INVALID, path)]
    longer = replace(customers.POLICY, thirty_one_day_billing=True)
    assert keys(planned(one_profile(billing_day=31), policy=longer)) == ["account:ANN"]


def test_a_profile_without_frequency_is_refused() -> None:
    assert refused(one_profile(bill_frequency="")) == [
        (Reason.BILL_FREQUENCY_INVALID, "order.billing_profiles[0].bill_frequency")
    ]


@pytest.mark.spec("customer-sync:S7")
def test_two_profiles_of_one_account_share_a_frequency() -> None:
    profiles = [profile("BP1", "ANN"), profile("BP2", "ANN", bill_frequency="Quarterly")]
    document = order([bundle(1, "ANN", "ANN", "BP1"), bundle(2, "ANN", "ANN", "BP2")], profiles=profiles)
    assert refused(document) == [(Reason.BILL_FREQUENCY_MISMATCH, "order.billing_profiles[1].bill_frequency")]


@pytest.mark.spec("customer-sync:S8")
def test_a_child_is_billed_as_often_as_its_parent() -> None:
    profiles = [profile("BP-PA", "PA"), profile("BP-KID", "KID", bill_frequency="Quarterly")]
    document = order([bundle(1, "KID", "PA", "BP-PA"), bundle(2, "KID", "KID", "BP-KID")], profiles=profiles)
    assert refused(document) == [(Reason.BILL_FREQUENCY_MISMATCH, "order.billing_profiles[1].bill_frequency")]


def test_an_existing_account_with_a_new_profile_gets_a_unit_and_no_account() -> None:
    document = order([bundle(1, "ANN", "ANN", "BP2")])
    facts = replace(customers.after(planned(one_profile())))
    plan = planned(document, facts)
    assert keys(plan) == ["billinfo:BP2"]
    call = call_of(plan, "billinfo:BP2")
    assert str(call["ACCOUNT_OBJ"]) == facts.accounts["ANN"]
    assert list(call["PAYINFO"]) == [0]


@pytest.mark.spec("customer-sync:S17")
def test_a_country_no_value_map_knows_is_refused() -> None:
    atlantis = account("ANN", primary_address=customers.address("ANN") | {"country": "Atlantis"})
    with pytest.raises(O2CError) as caught:
        planned(order([bundle(1, "ANN", "ANN", "BP")], accounts=[atlantis]))
    (violation,) = caught.value.violations
    assert violation.reason is Reason.DVM_UNMAPPED
    assert violation.field == "order.accounts[0].primary_address.country"
    told = [violation.metadata[name] for name in ("map", "value", "column", "system")]
    assert told == ["ADDRESS_COUNTRYID", "Atlantis", "BRM_01", "BRM_01"]


@pytest.mark.spec("customer-sync:S18")
def test_without_salutation_none_is_sent_and_an_unknown_one_is_left_out_with_a_warning() -> None:
    without = planned(one_profile())
    assert "SALUTATION" not in get(call_of(without, "account:ANN"), "NAMEINFO[1]")
    assert without.warnings == ()
    baron = account("ANN", primary_contact={"last_name": "Ann", "salutation": "Baron"})
    plan = planned(order([bundle(1, "ANN", "ANN", "BP")], accounts=[baron]))
    assert "SALUTATION" not in get(call_of(plan, "account:ANN"), "NAMEINFO[1]")
    assert [notice.metadata["map"] for notice in plan.warnings] == ["CONTACT_SALUTATION"]


@pytest.mark.spec("customer-sync:S19")
def test_four_kinds_of_phone_become_four_entries() -> None:
    phones = [{"type": kind, "number": "408-555-010" + str(at)} for at, kind in enumerate(("HOME", "WORK", "FAX", "MOBILE"))]
    ann = account("ANN", primary_contact={"last_name": "Ann", "phones": phones})
    call = call_of(planned(order([bundle(1, "ANN", "ANN", "BP")], accounts=[ann])), "account:ANN")
    assert [(phone["PHONE"], phone["TYPE"]) for phone in get(call, "NAMEINFO[1].PHONES").values()] == [
        (phone["number"], coded("PHONENUMBER_TYPE", phone["type"])) for phone in phones
    ]


@pytest.mark.spec("customer-sync:S20")
def test_violations_of_several_accounts_are_reported_together() -> None:
    broken = [account("ANN", primary_contact={"first_name": "Ann"}), account("BOB", primary_address={"city": "X"})]
    found = refused(order([bundle(1, "ANN", "ANN", "BP1"), bundle(2, "BOB", "BOB", "BP2")], accounts=broken))
    assert found == [
        (Reason.CONTACT_LAST_NAME_MISSING, "order.accounts[0].primary_contact.last_name"),
        (Reason.ADDRESS_INCOMPLETE, "order.accounts[1].primary_address.state"),
        (Reason.ADDRESS_INCOMPLETE, "order.accounts[1].primary_address.country"),
        (Reason.ADDRESS_INCOMPLETE, "order.accounts[1].primary_address.postal_code"),
    ]


@pytest.mark.spec("customer-sync:S21")
def test_a_fax_number_that_is_none_is_refused() -> None:
    ann = account("ANN", primary_contact={"last_name": "Ann", "phones": [{"type": "FAX", "number": "abc"}]})
    document = order([bundle(1, "ANN", "ANN", "BP")], accounts=[ann])
    path = "order.accounts[0].primary_contact.phones[0].number"
    assert refused(document) == [(Reason.PHONE_FORMAT_INVALID, path)]


@pytest.mark.parametrize(
    ("masks", "number", "accepted"),
    [
        (("###-###-####",), "408-555-0101", True),
        (("999-999-9999",), "408-555-0101", True),
        (("###-###-####",), "4085550101", True),
        (("###-###-####",), "408-555-01", False),
        ((), "+1 (408) 555-0101", True),
    ],
)
def test_phone_numbers_must_fit_a_mask_of_the_instance(masks: tuple[str, ...], number: str, accepted: bool) -> None:
    ann = account("ANN", primary_contact={"last_name": "Ann", "phones": [{"type": "HOME", "number": number}]})
    document = order([bundle(1, "ANN", "ANN", "BP")], accounts=[ann])
    policy = replace(customers.POLICY, phone_masks=masks)
    if accepted:
        assert keys(planned(document, policy=policy)) == ["account:ANN"]
    else:
        assert [reason for reason, _ in refused(document, policy=policy)] == [Reason.PHONE_FORMAT_INVALID]


@pytest.mark.spec("customer-sync:S22")
def test_the_bill_address_by_email_is_not_sent_for_a_card() -> None:
    card = {"number": "4111111111111111", "expiry_month": 4, "expiry_year": 2030, "holder_name": "Ann Card"}
    plan = planned(one_profile(payment_method="Credit Card", card=card, email_bill_to="bills@example.com"))
    assert "EMAIL_ADDR" not in get(call_of(plan, "account:ANN"), "PAYINFO[0].INHERITED_INFO.CC_INFO[0]")
    assert "bills@example.com" not in str(call_of(plan, "account:ANN"))


@pytest.mark.spec("customer-sync:S23")
def test_each_payment_method_sends_its_own_attributes_only() -> None:
    debit = {"account_number": "123456789", "routing_number": "021000021"}
    plan = planned(one_profile(payment_method="Automatic Debit", bill_media="Paper", debit=debit))
    assert "DELIVERY_PREFER" not in get(call_of(plan, "account:ANN"), "PAYINFO[0].INHERITED_INFO.DD_INFO[0]")
    card = {"number": "4111111111111111", "expiry_month": 4, "expiry_year": 2030, "holder_name": "Card Holder"}
    for of_another in ({"debit": debit | {"account_name": "Debit Name"}}, {"card": card}):
        plan = planned(one_profile(payment_method="Bill Me", **of_another))
        call = call_of(plan, "account:ANN")
        assert list(get(call, "PAYINFO[0].INHERITED_INFO")) == ["INV_INFO"]
        assert not {"DEBIT_NUM", "DEBIT_EXP", "BANK_NO"} & set(get(call, "PAYINFO[0].INHERITED_INFO.INV_INFO[0]"))
        for sent in ("123456789", "021000021", "4111111111111111", "Debit Name", "Card Holder"):
            assert sent not in str(call)


@pytest.mark.spec("customer-sync:S26")
def test_a_profile_that_lives_on_another_instance_is_refused() -> None:
    facts = Facts(units_elsewhere={"BP": ("BRM_01",)})
    second = replace(customers.POLICY, system_id="BRM_02")
    assert refused(one_profile(), facts, second) == [(Reason.ROUTE_PROFILE_CONFLICT, "order.billing_profiles[0]")]
    without_care = replace(second, billing_care_enabled=False)
    assert keys(planned(one_profile(), facts, without_care)) == ["account:ANN"]


@pytest.mark.spec("customer-sync:S27")
def test_auto_debit_with_account_and_routing_number_alone_is_accepted() -> None:
    debit = {"account_number": "123456789", "routing_number": "021000021"}
    call = call_of(planned(one_profile(payment_method="Automatic Debit", debit=debit)), "account:ANN")
    details = get(call, "PAYINFO[0].INHERITED_INFO.DD_INFO[0]")
    assert (details["DEBIT_NUM"], details["BANK_NO"], details["NAME"]) == ("123456789", "021000021", "Payer, Ann")
    assert "TYPE" not in details
    assert get(call, "BILLINFO[0].PAY_TYPE") == coded(METHODS, "DIRECTDEBIT")
    named = planned(one_profile(payment_method="Automatic Debit", debit=debit | {"account_name": "Ann Bank"}))
    assert get(call_of(named, "account:ANN"), "PAYINFO[0].INHERITED_INFO.DD_INFO[0].NAME") == "Ann Bank"


@pytest.mark.spec("customer-sync:P1", "customer-sync:T1")
def test_scott_is_paid_by_two_parents_and_below_the_first() -> None:
    plan = planned(orders.order(orders.SPLIT))
    assert keys(plan) == ["account:1-DUNCAN", "account:1-CATHY", "account:1-SCOTT", "accountgroup:1-DUNCAN"]
    units = call_of(plan, "account:1-SCOTT")["BILLINFO"].values()
    assert [(unit["PAY_TYPE"], unit["PARENT_BILLINFO_OBJ"]) for unit in units] == [
        (10007, Ref("billinfo(BP-DUNCAN-SCOTT)")),
        (10007, Ref("billinfo(BP-CATHY-SCOTT)")),
    ]
    assert "PAYINFO" not in call_of(plan, "account:1-SCOTT")
    assert [(each.parent_id, each.member_ids) for each in plan.parentings] == [("1-DUNCAN", ("1-SCOTT",))]


@pytest.mark.spec("customer-sync:P2")
def test_a_paying_child_has_a_unit_of_its_own_and_one_below_its_parent() -> None:
    document = order([bundle(1, "SCOTT", "DUNCAN", "BP-DS"), bundle(2, "SCOTT", "SCOTT", "BP-SS")])
    plan = planned(document)
    call = call_of(plan, "account:SCOTT")
    units = [(unit["BILLINFO_ID"], unit["PAY_TYPE"], unit.get("PARENT_BILLINFO_OBJ")) for unit in call["BILLINFO"].values()]
    assert units == [("BP-SS", 10001, None), ("SCOTT|DUNCAN|BP-DS", 10007, Ref("billinfo(BP-DS)"))]
    assert list(call["PAYINFO"]) == [0]
    assert [(each.parent_id, each.member_ids) for each in plan.parentings] == [("DUNCAN", ("SCOTT",))]


@pytest.mark.spec("customer-sync:P8")
def test_without_service_level_balance_groups_the_profile_alone_cannot_change() -> None:
    line = bundle(1, "SA", "BA", "BP2", action="UPDATE", prior={"billing_profile_id": "BP1"})
    without = replace(customers.POLICY, service_level_balance_groups=False)
    assert refused(order([line]), policy=without) == [
        (Reason.PAYING_PARENT_CHANGE_INCOMPLETE, "order.lines[0].billing_profile")
    ]
    assert planned(order([line])).plan.steps, "with them it can"


@pytest.mark.spec("customer-sync:P9")
def test_a_family_plan_makes_one_payer_with_three_units_and_two_children() -> None:
    plan = planned(orders.order(orders.FAMILY))
    assert keys(plan) == ["account:1-DENISE", "account:1-MICHELLE", "account:1-JESSICA", "accountgroup:1-DENISE"]
    units = call_of(plan, "account:1-DENISE")["BILLINFO"].values()
    assert [unit["BILLINFO_ID"] for unit in units] == ["BP-DENISE-DENISE", "BP-DENISE-MICHELLE", "BP-DENISE-JESSICA"]
    for child in ("1-MICHELLE", "1-JESSICA"):
        assert [unit["PAY_TYPE"] for unit in call_of(plan, f"account:{child}")["BILLINFO"].values()] == [10007]


@pytest.mark.spec("customer-sync:P10")
def test_nothing_is_planned_for_customers_that_are_in_place() -> None:
    document = orders.order(orders.SPLIT)
    again = planned(document, customers.after(planned(document)))
    assert again.plan.is_empty
    assert not again.plan.claims
    assert {entity.outcome for entity in again.entities} == {EntityOutcome.EXISTED}


def changed(**values: Any) -> Any:
    return order([bundle(1, "SA", "BA", "BP", **values)])


@pytest.mark.spec("customer-sync:P11")
def test_a_new_profile_of_the_same_payer_gets_a_unit_of_its_own_and_the_parent_stays() -> None:
    base = orders.order(orders.SPLIT)
    known = customers.after(planned(base))
    line = bundle(1, "1-SCOTT", "1-CATHY", "BP-NEW", action="UPDATE", prior={"billing_profile_id": "BP-CATHY-SCOTT"})
    plan = planned(order([line], order_id="ORD-9"), known)
    assert keys(plan) == ["billinfo:BP-NEW", "nonpaying:1-SCOTT|1-CATHY|BP-NEW"]
    assert not plan.parentings


@pytest.mark.spec("customer-sync:P12")
def test_a_payer_change_without_prior_value_changes_nothing_and_warns() -> None:
    known = customers.after(planned(changed()))
    line = bundle(1, "SA", "BA2", "BP2", action="UPDATE")
    plan = planned(order([line]), known)
    assert keys(plan) == ["account:BA2"]
    assert not plan.parentings
    assert [notice.reason for notice in plan.warnings] == [Reason.PAYER_STATE_DIFFERS]


def test_accounts_cannot_be_below_each_other() -> None:
    document = order([bundle(1, "A", "B", "BP-B"), bundle(2, "B", "A", "BP-A")])
    assert [reason for reason, _ in refused(document)] == [Reason.HIERARCHY_CYCLE]


def test_an_account_does_not_come_below_one_that_billing_has_below_it() -> None:
    first = customers.after(planned(order([bundle(1, "A", "B", "BP-B"), bundle(2, "B", "B", "BP-B")])))
    second = customers.after(planned(order([bundle(3, "B", "C", "BP-C")]), first), first)
    for child, known in (("B", first), ("C", second)):
        found = refused(order([bundle(4, child, "A", "BP-A")]), known)
        assert found == [(Reason.HIERARCHY_CYCLE, "order.lines")]


def test_accounts_that_pay_for_each_other_without_being_below_each_other_are_created_in_turn() -> None:
    lines = [bundle(1, "A", "C", "BP-C"), bundle(2, "A", "B", "BP-B"), bundle(3, "B", "A", "BP-A")]
    assert "nonpaying:A|B|BP-B" in keys(planned(order(lines)))

"""Acceptance scenarios of order-time customer sync, as far as the plan shows them (customer-sync 16, 5.5, 2.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import customers
import orders
import pytest
from customers import account, bundle, order, planned, profile

from libs.brm.flist import get
from libs.errors import O2CError, Reason
from libs.plan.model import Ref
from services.customer_sync.domain.model import EntityOutcome, Facts, Policy, SyncPlan

COMMIT = "PCM_OP_CUST_COMMIT_CUSTOMER"


def call_of(plan: SyncPlan, key: str) -> dict[str, Any]:
    return next(step.call.input for step in plan.plan.steps if step.key == key)


def keys(plan: SyncPlan) -> list[str]:
    return [step.key for step in plan.plan.steps]


def refused(document: Any, facts: Facts | None = None, policy: Policy = customers.POLICY) -> list[tuple[Reason, str]]:
    with pytest.raises(O2CError) as caught:
        planned(document, facts, policy)
    return [(violation.reason, violation.field) for violation in caught.value.violations]


def one_profile(**values: Any) -> Any:
    return order([bundle(1, "ANN", "ANN", "BP")], profiles=[profile("BP", "ANN", **values)])


@pytest.mark.spec("customer-sync:S1")
def test_a_new_residential_account_paying_by_bill_me_is_created_whole_in_one_call() -> None:
    plan = planned(one_profile(bill_media="Email", email_bill_to="bills@example.com"))
    call = call_of(plan, "account:ANN")
    assert [step.call.opcode for step in plan.plan.steps] == [COMMIT]
    assert get(call, "ACCTINFO[0].ACCOUNT_NO") == Ref("common(account:ANN)")
    assert "COMPANY" not in get(call, "NAMEINFO[1]")
    assert [unit["BILLINFO_ID"] for unit in call["BILLINFO"].values()] == ["BP"]
    invoice = get(call, "PAYINFO[0].INHERITED_INFO.INV_INFO[0]")
    assert (invoice["NAME"], invoice["DELIVERY_PREFER"], invoice["EMAIL_ADDR"]) == ("Payer, Ann", 0, "bills@example.com")


@pytest.mark.spec("customer-sync:S2")
def test_a_new_business_account_carries_its_company_name_and_corporate_rules() -> None:
    lines = [bundle(1, "ACME", "ACME", "BP")]
    alone = planned(order(lines, accounts=[account("ACME", type="BUSINESS", name="Acme Ltd")]))
    assert get(call_of(alone, "account:ACME"), "NAMEINFO[1].COMPANY") == "Acme Ltd"
    assert get(call_of(alone, "account:ACME"), "ACCTINFO[0].BUSINESS_TYPE") == 2
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
    assert get(call, "BILLINFO[0].PAY_TYPE") == 10003


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
    assert [reason for reason, _ in refused(document)] == [Reason.BILL_FREQUENCY_MISMATCH]


@pytest.mark.spec("customer-sync:S10")
def test_a_promotion_line_of_the_same_account_adds_nothing() -> None:
    promotion = {"line_id": "P", "action": "ADD", "product_type": "PROMOTION", "billing_account": {"account_id": "ANN"}}
    lines = [bundle(1, "ANN", "ANN", "BP")]
    assert planned(order([promotion, *lines])).plan.claims == planned(order(lines)).plan.claims
    assert keys(planned(order([promotion, *lines]))) == ["account:ANN"]


def promoted(**values: Any) -> Any:
    promotion = {"line_id": "P", "action": "ADD", "product_type": "PROMOTION", "billing_account": {"account_id": "BA2"}}
    return order([promotion, bundle(1, "BA1", "BA1", "BP1")], **values)


@pytest.mark.spec("customer-sync:S11")
def test_an_account_named_by_a_promotion_alone_is_created_with_a_default_bill_me_unit() -> None:
    plan = planned(promoted())
    call = call_of(plan, "account:BA2")
    assert keys(plan) == ["account:BA2", "account:BA1"]
    assert (get(call, "BILLINFO[0].BILLINFO_ID"), get(call, "BILLINFO[0].PAY_TYPE")) == ("DEFAULT-BA2", 10001)
    assert {entity.crm_id for entity in plan.entities} == {"BA1", "BA2", "BP1"}


def test_an_account_named_by_a_promotion_alone_gets_its_primary_profile_else_its_first() -> None:
    first, primary = profile("BP-A", "BA2"), profile("BP-B", "BA2", is_primary=True)
    of_bundle = profile("BP1", "BA1")
    for profiles, expected in (([of_bundle, first, primary], "BP-B"), ([of_bundle, first], "BP-A")):
        call = call_of(planned(promoted(profiles=profiles)), "account:BA2")
        assert [unit["BILLINFO_ID"] for unit in call["BILLINFO"].values()] == [expected]


@pytest.mark.spec("customer-sync:S12")
def test_a_customer_account_that_neither_uses_nor_pays_is_not_created() -> None:
    document = order([bundle(1, "SA", "BA", "BP")], customer_account=account("CA"))
    assert "account:CA" not in keys(planned(document))


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
    assert (violation.metadata["map"], violation.metadata["value"]) == ("ADDRESS_COUNTRYID", "Atlantis")


@pytest.mark.spec("customer-sync:S18")
def test_without_salutation_none_is_sent_and_an_unknown_one_is_left_out_with_a_warning() -> None:
    assert "SALUTATION" not in get(call_of(planned(one_profile()), "account:ANN"), "NAMEINFO[1]")
    baron = account("ANN", primary_contact={"last_name": "Ann", "salutation": "Baron"})
    plan = planned(order([bundle(1, "ANN", "ANN", "BP")], accounts=[baron]))
    assert "SALUTATION" not in get(call_of(plan, "account:ANN"), "NAMEINFO[1]")
    assert [notice.metadata["map"] for notice in plan.warnings] == ["CONTACT_SALUTATION"]


@pytest.mark.spec("customer-sync:S19")
def test_four_kinds_of_phone_become_four_entries() -> None:
    phones = [{"type": kind, "number": "408-555-010" + str(at)} for at, kind in enumerate(("HOME", "WORK", "FAX", "MOBILE"))]
    ann = account("ANN", primary_contact={"last_name": "Ann", "phones": phones})
    call = call_of(planned(order([bundle(1, "ANN", "ANN", "BP")], accounts=[ann])), "account:ANN")
    expected = [customers.POLICY.value_maps.find("PHONENUMBER_TYPE", kind, "COMMON", "BRM_01") for kind in
                ("HOME", "WORK", "FAX", "MOBILE")]  # fmt: skip
    assert [str(phone["TYPE"]) for phone in get(call, "NAMEINFO[1].PHONES").values()] == expected


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


@pytest.mark.spec("customer-sync:S23")
def test_each_payment_method_sends_its_own_attributes_only() -> None:
    debit = {"account_number": "123456789", "routing_number": "021000021"}
    plan = planned(one_profile(payment_method="Automatic Debit", bill_media="Paper", debit=debit))
    assert "DELIVERY_PREFER" not in get(call_of(plan, "account:ANN"), "PAYINFO[0].INHERITED_INFO.DD_INFO[0]")
    plan = planned(one_profile(payment_method="Bill Me", debit=debit))
    inherited = get(call_of(plan, "account:ANN"), "PAYINFO[0].INHERITED_INFO")
    assert list(inherited) == ["INV_INFO"]
    assert not {"DEBIT_NUM", "BANK_NO"} & set(inherited["INV_INFO"][0])


@pytest.mark.spec("customer-sync:S24")
def test_sponsorship_lines_count_from_release_12_on() -> None:
    line = bundle(1, "ANN", "ANN", "BP", product_type="SPONSORSHIP", billing_type="SPONSORSHIP")
    assert keys(planned(order([line]))) == []
    assert keys(planned(order([line]), policy=replace(customers.POLICY, sponsorship_contributes=True))) == ["account:ANN"]


@pytest.mark.spec("customer-sync:S25")
def test_each_kind_of_line_contributes_what_the_guide_says() -> None:
    kinds = ("SERVICE_BUNDLE", "ITEM", "SUBSCRIPTION", "DISCOUNT")
    lines = [bundle(at, f"A{at}", f"A{at}", f"BP{at}", billing_type=kind) for at, kind in enumerate(kinds, 1)]
    lines.append({"line_id": "P", "action": "ADD", "product_type": "PROMOTION", "billing_account": {"account_id": "BA5"}})
    lines.append(bundle(6, "BA6", "BA6", "BP6", product_type="SPECIAL_RATING", billing_type="SPECIAL_RATING"))
    plan = planned(order(lines, profiles=[profile(f"BP{at}", f"A{at}") for at in range(1, 5)]))
    assert keys(plan) == ["account:A1", "account:A2", "account:A3", "account:A4", "account:BA5"]
    units = [entity.crm_id for entity in plan.entities if entity.kind == "BILL_UNIT"]
    assert units == ["BP1", "BP2", "BP3", "BP4"]


@pytest.mark.spec("customer-sync:S26")
def test_a_profile_that_lives_on_another_instance_is_refused() -> None:
    facts = Facts(units_elsewhere={"BP": ("BRM_01",)})
    second = replace(customers.POLICY, system_id="BRM_02")
    assert [reason for reason, _ in refused(one_profile(), facts, second)] == [Reason.ROUTE_PROFILE_CONFLICT]
    without_care = replace(second, billing_care_enabled=False)
    assert keys(planned(one_profile(), facts, without_care)) == ["account:ANN"]


@pytest.mark.spec("customer-sync:S27")
def test_auto_debit_with_account_and_routing_number_alone_is_accepted() -> None:
    debit = {"account_number": "123456789", "routing_number": "021000021"}
    call = call_of(planned(one_profile(payment_method="Automatic Debit", debit=debit)), "account:ANN")
    details = get(call, "PAYINFO[0].INHERITED_INFO.DD_INFO[0]")
    assert (details["DEBIT_NUM"], details["BANK_NO"], details["NAME"]) == ("123456789", "021000021", "Payer, Ann")
    assert "TYPE" not in details


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
    call = call_of(planned(document), "account:SCOTT")
    assert [(unit["BILLINFO_ID"], unit["PAY_TYPE"]) for unit in call["BILLINFO"].values()] == [
        ("BP-SS", 10001),
        ("SCOTT|DUNCAN|BP-DS", 10007),
    ]
    assert list(call["PAYINFO"]) == [0]


@pytest.mark.spec("customer-sync:P8")
def test_without_service_level_balance_groups_the_profile_alone_cannot_change() -> None:
    line = bundle(1, "SA", "BA", "BP2", action="UPDATE", prior={"billing_profile_id": "BP1"})
    assert [
        reason for reason, _ in refused(order([line]), policy=replace(customers.POLICY, service_level_balance_groups=False))
    ] == [Reason.PAYING_PARENT_CHANGE_INCOMPLETE]


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


@pytest.mark.spec("customer-sync:S9", "customer-sync:T2", "customer-sync:T4", "customer-sync:T6", "customer-sync:T10")
@pytest.mark.parametrize("action", ["NONE", "DELETE", "SUSPEND", "RESUME", "MOVE_DELETE"])
def test_other_actions_are_ignored(action: str) -> None:
    plan = planned(changed(action=action))
    assert plan.plan.is_empty
    assert not plan.entities


def test_a_line_must_name_its_accounts_and_profile() -> None:
    line = {"line_id": "L1", "action": "ADD", "product_type": "SERVICE_BUNDLE", "billing_type": "SERVICE_BUNDLE"}
    assert refused(order([line])) == [
        (Reason.SERVICE_ACCOUNT_MISSING, "order.lines[0].service_account.account_id"),
        (Reason.BILLING_ACCOUNT_MISSING, "order.lines[0].billing_account.account_id"),
        (Reason.BILLING_PROFILE_MISSING, "order.lines[0].billing_profile.billing_profile_id"),
    ]


def test_a_profile_belongs_to_one_billing_account() -> None:
    document = order([bundle(1, "A", "A", "BP"), bundle(2, "B", "B", "BP")])
    path = "order.lines[1].billing_profile.billing_profile_id"
    assert refused(document) == [(Reason.PROFILE_NOT_OF_BILLING_ACCOUNT, path)]


def test_accounts_cannot_be_below_each_other() -> None:
    document = order([bundle(1, "A", "B", "BP-B"), bundle(2, "B", "A", "BP-A")])
    assert [reason for reason, _ in refused(document)] == [Reason.HIERARCHY_CYCLE]


def test_accounts_that_pay_for_each_other_without_being_below_each_other_are_created_in_turn() -> None:
    lines = [bundle(1, "A", "C", "BP-C"), bundle(2, "A", "B", "BP-B"), bundle(3, "B", "A", "BP-A")]
    assert "nonpaying:A|B|BP-B" in keys(planned(order(lines)))

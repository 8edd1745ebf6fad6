"""Which lines of an order name which customers (customer-sync 2.2, 16), as far as the plan shows it."""

from __future__ import annotations

from typing import Any

import pytest
from customers import account, bundle, call_of, coded, keys, order, planned, profile, refused

from libs.config import BillingSystem, local_settings
from libs.errors import Reason
from services.customer_sync.config import Settings


@pytest.mark.spec("customer-sync:S10")
def test_a_promotion_line_of_the_same_account_adds_nothing() -> None:
    promotion = {"line_id": "P", "action": "ADD", "product_type": "PROMOTION", "billing_account": {"account_id": "ANN"}}
    lines = [bundle(1, "ANN", "ANN", "BP")]
    alone, both = planned(order(lines)), planned(order([promotion, *lines]))
    assert keys(both) == ["account:ANN"]
    assert [step.call for step in both.plan.steps] == [step.call for step in alone.plan.steps]
    assert (both.plan.claims, both.entities) == (alone.plan.claims, alone.entities)


def promoted(**values: Any) -> Any:
    promotion = {"line_id": "P", "action": "ADD", "product_type": "PROMOTION", "billing_account": {"account_id": "BA2"}}
    return order([promotion, bundle(1, "BA1", "BA1", "BP1")], **values)


@pytest.mark.spec("customer-sync:S11")
def test_an_account_named_by_a_promotion_alone_is_created_with_a_default_bill_me_unit() -> None:
    plan = planned(promoted(profiles=[profile("BP1", "BA1", bill_frequency="Quarterly")]))
    assert keys(plan) == ["account:BA2", "account:BA1"]
    (unit,) = call_of(plan, "account:BA2")["BILLINFO"].values()
    (record,) = call_of(plan, "account:BA2")["PAYINFO"].values()
    bill_me = coded("CUSTOMERPARTY_PAYPROFILE_PAYMETHODECODE", "INVOICE")
    assert (unit["BILLINFO_ID"], unit["PAY_TYPE"], record["PAY_TYPE"]) == ("DEFAULT-BA2", bill_me, bill_me)
    assert unit["BILL_WHEN"] == coded("CUSTOMERPARTY_BILLPROFILE_FREQUENCYCODE", "QUARTERLY"), "as often as who pays (Q6)"
    assert [each["BILLINFO_ID"] for each in call_of(plan, "account:BA1")["BILLINFO"].values()] == ["BP1"]
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
    plan = planned(document)
    assert keys(plan) == ["account:BA", "account:SA", "accountgroup:BA"]
    assert "CA" not in {claim.crm_id for claim in plan.plan.claims}


@pytest.mark.spec("customer-sync:S24")
def test_sponsorship_lines_count_from_release_12_on() -> None:
    line = bundle(1, "ANN", "ANN", "BP", product_type="SPONSORSHIP", billing_type="SPONSORSHIP")
    assert keys(planned(order([line]))) == []
    for release, expected in (("11.3", []), ("12.x", ["account:ANN"])):
        settings = local_settings(Settings, compat_release=release)
        policy = settings.targets([BillingSystem(code="BRM_01", endpoint="http://brm")]).policy_of("BRM_01")
        assert keys(planned(order([line]), policy=policy)) == expected


@pytest.mark.spec("customer-sync:S25")
def test_each_kind_of_line_contributes_what_the_guide_says() -> None:
    kinds = ("SERVICE_BUNDLE", "ITEM", "SUBSCRIPTION", "DISCOUNT")
    lines = [bundle(at, f"A{at}", f"A{at}", f"BP{at}", billing_type=kind) for at, kind in enumerate(kinds, 1)]
    lines.append({"line_id": "P", "action": "ADD", "product_type": "PROMOTION", "billing_account": {"account_id": "BA5"}})
    lines.append(bundle(6, "BA6", "BA6", "BP6", product_type="SPECIAL_RATING", billing_type="SPECIAL_RATING"))
    plan = planned(order(lines, profiles=[profile(f"BP{at}", f"A{at}") for at in range(1, 5)]))
    assert keys(plan) == ["account:A1", "account:A2", "account:A3", "account:A4", "account:BA5"]
    for at in range(1, 5):
        call = call_of(plan, f"account:A{at}")
        assert [unit["BILLINFO_ID"] for unit in call["BILLINFO"].values()] == [f"BP{at}"]
        assert [record["NAME"] for record in call["PAYINFO"].values()] == [f"BP{at}"]
    for kind in ("BILL_UNIT", "PAYMENT_RECORD"):
        assert [entity.crm_id for entity in plan.entities if entity.kind == kind] == ["BP1", "BP2", "BP3", "BP4"]
    assert [unit["BILLINFO_ID"] for unit in call_of(plan, "account:BA5")["BILLINFO"].values()] == ["DEFAULT-BA5"]
    assert not {"BA6", "BP6"} & {claim.crm_id for claim in plan.plan.claims}


@pytest.mark.parametrize(
    "action",
    [
        pytest.param("NONE", marks=pytest.mark.spec("customer-sync:T2", "customer-sync:T6", "customer-sync:T10")),
        pytest.param("DELETE", marks=pytest.mark.spec("customer-sync:S9", "customer-sync:T4")),
        pytest.param("SUSPEND", marks=pytest.mark.spec("customer-sync:S9")),
        "RESUME",
        "MOVE_DELETE",
    ],
)
def test_other_actions_are_ignored(action: str) -> None:
    plan = planned(order([bundle(1, "SA", "BA", "BP", action=action)]))
    assert plan.plan.is_empty
    assert not (plan.entities or plan.plan.claims or plan.warnings)


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

"""Plans of updates as text: what an edit in the CRM makes of customers that billing has. REGENERATE=1 rewrites them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from customers import POLICY, account, profile
from google.protobuf.json_format import ParseDict

from libs.brm.codes import PayType
from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from libs.grpckit.enum_names import expand_enums
from libs.pb.crm.v1.crm_pb2 import CrmAccount
from libs.plan.model import Plan
from libs.plan.render import render_plan
from services.customer_sync.domain.model import CrmCustomer, Facts
from services.customer_sync.domain.special_rating import SpecialRatingList, StoredList, plan_special_rating
from services.customer_sync.domain.update.model import Asset, CustomerUpdate, Known, ServedGroup, State
from services.customer_sync.domain.update.planner import plan_customer_update
from services.customer_sync.domain.update.survey import survey_update
from services.customer_sync.mappers import to_domain_customer

HERE = Path(__file__).parent
CARD = {"number": "4111111111111111", "expiry_month": 12, "expiry_year": 2031, "holder_name": "Ann Payer"}
ANN, UNIT, RECORD = (
    Poid("0.0.0.1", kind, number) for kind, number in (("/account", 11), ("/billinfo", 12), ("/payinfo/cc", 13))
)


def customer(details: dict[str, Any], *profiles: dict[str, Any]) -> CrmCustomer:
    document = {"account": details, "billing_profiles": list(profiles)}
    return to_domain_customer(ParseDict(expand_enums(document, CrmAccount.DESCRIPTOR, "crm"), CrmAccount()))


def in_billing(**given: Any) -> State:
    """Ann as billing has her: one unit, paid by a card that ends in 1111."""
    contact = {"FIRST_NAME": "Ann", "LAST_NAME": "Ann", "ADDRESS": "1 Main Street", "CITY": "Springfield"}
    contact |= {"STATE": "CA", "ZIP": "90001", "COUNTRY": "USA", "SALUTATION": "Ms."}
    card = {"NAME": "Ann Payer", "ADDRESS": "1 Main Street", "CITY": "Springfield", "STATE": "CA", "ZIP": "90001"}
    card |= {"COUNTRY": "USA", "DEBIT_NUM": "XXXXXXXXXXXX1111", "DEBIT_EXP": "0130"}
    unit: Flist = {"POID": UNIT, "BILLINFO_ID": "BP", "PAY_TYPE": PayType.CREDIT_CARD, "PAYINFO_OBJ": RECORD, "BILL_WHEN": 1}
    stored = {"NAMEINFO": Array({1: contact}), "BUSINESS_TYPE": 1, "CURRENCY": 840, "STATUS": 10100}
    records = {str(RECORD): {"POID": RECORD, "NAME": "BP", "CC_INFO": Array.of(card)}}
    return State(account=stored, units={"BP": unit}, records=records, **given)


def planned(family: dict[str, CrmCustomer], state: State, policy: Any = POLICY, **links: Any) -> Plan:
    accounts = {name: f"0.0.0.1 /account {11 + number} 0" for number, name in enumerate(family)}
    known = Known(str(ANN), Facts(accounts=accounts, **links))
    update = CustomerUpdate("SEBL_01", "ANN")
    return plan_customer_update(update, survey_update(update, family, known, policy), known, state, policy).plan


LINKS = {"bill_units": {"BP": str(UNIT)}, "payment_records": {"BP": str(RECORD)}}


def edited_contact_and_card() -> Plan:
    """Married, moved, a new card: the salutation is empty now, the number as before."""
    contact = {
        "contact_id": "C",
        "first_name": "Ann",
        "last_name": "Reed",
        "phones": [{"type": "MOBILE", "number": "4085550101"}],
    }
    details = account("ANN", primary_contact=contact)
    details["primary_address"]["city"] = "Ogden"
    return planned(
        {"ANN": customer(details, profile("BP", "ANN", payment_method="Credit Card", card=CARD))}, in_billing(), **LINKS
    )


def another_payment_method() -> Plan:
    """From the card to an invoice, sent quarterly."""
    bill_me = profile("BP", "ANN", bill_frequency="Quarterly")
    return planned(
        {
            "ANN": customer(
                account("ANN", primary_contact={"first_name": "Ann", "last_name": "Ann", "salutation": "Ms."}), bill_me
            )
        },
        in_billing(),
        **LINKS,
    )


def moved_below_another_payer() -> Plan:
    """A company's employee moves to Sales, which pays for her mobile from now on; her other unit stays as it is."""
    company = {"type": "BUSINESS"}
    family = {
        "ANN": customer(account("ANN", parent_account_id="SALES", **company, **{"class": "SERVICE"})),
        "SALES": customer(account("SALES", **company), profile("BP-SALES", "SALES", is_primary=True)),
        "IT": customer(account("IT", **company)),
    }
    old: Flist = {
        "POID": UNIT,
        "BILLINFO_ID": "ANN|IT|BP-IT",
        "PAY_TYPE": PayType.NONPAYING,
        "BAL_GRP_OBJ": Poid("0.0.0.1", "/balance_group", 20),
    }
    served = ServedGroup("0.0.0.1 /balance_group 20 0", ("0.0.0.1 /service/telco/gsm 30 0",), is_default=True)
    state = State(
        account={
            **in_billing().account,
            "BUSINESS_TYPE": 2,
            "NAMEINFO": Array(
                {
                    1: {
                        "LAST_NAME": "Ann",
                        "FIRST_NAME": "Ann",
                        "COMPANY": "ANN name",
                        "ADDRESS": "1 Main Street",
                        "CITY": "Springfield",
                        "STATE": "CA",
                        "ZIP": "90001",
                        "COUNTRY": "USA",
                    }
                }
            ),
        },
        units={"ANN|IT|BP-IT": old},
        parent_id="IT",
        groups={"IT": "0.0.0.1 /group/billing 40 0"},
        balance_groups={"ANN|IT|BP-IT": (served,)},
    )
    return planned(
        family, state, bill_units={"BP-SALES": "0.0.0.1 /billinfo 50 0"}, account_groups={"IT": "0.0.0.1 /group/billing 40 0"}
    )


def inactivated() -> Plan:
    """Inactive in the CRM while a service is active; what follows is billing's business."""
    policy = replace(POLICY, account_status_sync=True)
    details = account("ANN", status="Inactive", primary_contact={"first_name": "Ann", "last_name": "Ann", "salutation": "Ms."})
    return planned({"ANN": customer(details)}, in_billing(assets=(Asset("0.0.0.1 /service/telco/gsm 30 0", "AST-1"),)), policy)


def special_rating_list() -> Plan:
    """Three numbers become two."""
    entries = Array({at: {"NAME": "number", "VALUE": number} for at, number in enumerate(("5550101", "5550102", "5550103"))})
    stored = StoredList("AST-FRIENDS", "", "0.0.0.1 /profile/serv_extrating 60 0", {"ACCOUNT_OBJ": ANN, "DATA_ARRAY": entries})
    wanted = SpecialRatingList("SEBL_01", "LIST-1", ("5550101", "5550104"), ("AST-FRIENDS",))
    return plan_special_rating(wanted, [stored], "BRM_01", "0.0.0.1").plan


PLANS = (edited_contact_and_card, another_payment_method, moved_below_another_payer, inactivated, special_rating_list)


@pytest.mark.parametrize("scenario", PLANS, ids=lambda scenario: scenario.__name__)
def test_the_plan_of_an_edit_reads_as_reviewed(scenario: Any) -> None:
    path = HERE / f"edit_{scenario.__name__}.txt"
    text = f"{scenario.__doc__}\n\n{render_plan(scenario())}"
    if os.environ.get("REGENERATE"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")

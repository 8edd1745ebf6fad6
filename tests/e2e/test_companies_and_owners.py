"""Companies and legal owners through the whole suite: the CRM says who stands above and who answers; billing has both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orders
import pytest
from google.protobuf.json_format import MessageToDict
from suite import RunningSuite, running_suite

from libs.pb.order.v1 import order_pb2

OWNER = "1-HOLDING"


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    settings = {"O2C_CUSTOMER_SYNC_LEGAL_GROUP": "true"}
    with running_suite(tmp_path_factory.mktemp("company"), **settings) as running:
        yield running


def company() -> order_pb2.Order:
    """The family of the first example as a company, which a holding owns."""
    order = orders.order(orders.FAMILY)
    for account in order.accounts:
        account.type = order_pb2.ACCOUNT_TYPE_BUSINESS
        account.parent_account_id = OWNER if account.account_id == "1-DENISE" else "1-DENISE"
    return order


def in_the_crm(order: order_pb2.Order) -> dict[str, Any]:
    """Its customers as the CRM has them, and the holding above."""
    document: dict[str, Any] = MessageToDict(order, preserving_proto_field_name=True)
    holding = {**document["accounts"][0], "account_id": OWNER, "name": "Holding", "parent_account_id": ""}
    return {"accounts": [*document["accounts"], holding], "billing_profiles": document["billing_profiles"]}


def test_the_accounts_above_a_company_come_into_billing_with_its_first_order(suite: RunningSuite) -> None:
    order = company()
    suite.clients.crm().load(in_the_crm(order))
    suite.complete(order)
    brm = suite.clients.sandbox("BRM_01")
    names = {str(each["POID"]).split()[2]: each["NAMEINFO"]["1"]["COMPANY"] for each in brm.objects("/account")}
    below = {
        names[str(group["PARENT"]).split()[2]]: {
            names[str(each["ACCOUNT_OBJ"]).split()[2]] for each in group["MEMBERS"].values()
        }
        for group in brm.objects("/group/billing")
    }
    denise = next(account.name for account in order.accounts if account.account_id == "1-DENISE")
    others = {account.name for account in order.accounts} - {denise}
    assert below == {"Holding": {denise}, denise: others}
    assert not suite.broken_invariants()


def test_a_legal_owner_who_is_named_on_an_order_answers_for_those_who_pay(suite: RunningSuite) -> None:
    order = orders.order(orders.SPLIT)
    order.owner_account.account_id = "1-LISA"
    known = in_the_crm(order)
    lisa = {**known["accounts"][0], "account_id": "1-LISA", "name": "Lisa"}
    primary = {**known["billing_profiles"][0], "billing_profile_id": "BP-LISA", "account_id": "1-LISA", "is_primary": True}
    suite.clients.crm().load({"accounts": [lisa], "billing_profiles": [primary]})
    suite.complete(order)
    brm = suite.clients.sandbox("BRM_01")
    units = {str(each["POID"]).split()[2]: each["BILLINFO_ID"] for each in brm.objects("/billinfo")}
    (group,) = brm.objects("/group/collections_targets")
    members = {units[str(each["BILLINFO_OBJ"]).split()[2]] for each in group["MEMBERS"].values()}
    assert (units[str(group["BILLINFO_OBJ"]).split()[2]], members) == ("BP-LISA", {"BP-DUNCAN-SCOTT", "BP-CATHY-SCOTT"})
    assert not suite.broken_invariants()

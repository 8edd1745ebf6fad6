"""Small orders about customers, for tests of customer sync."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from libs.brm.poid import Poid
from libs.dvm import COMMON, ValueMaps
from libs.errors import O2CError, Reason
from libs.grpckit.enum_names import expand_enums
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from libs.pb.order.v1.order_pb2 import Order
from sandbox.crm.store import CrmStore
from services.customer_sync.domain.inquiry import answered, inquiry_of
from services.customer_sync.domain.model import Command, CrmCustomer, Facts, Policy, SyncPlan
from services.customer_sync.domain.planner import plan_sync_order_customers
from services.customer_sync.mappers import to_domain_command, to_domain_customer

POLICY = Policy(system_id="BRM_01", value_maps=ValueMaps.load())


def coded(name: str, word: str, policy: Policy = POLICY) -> int:
    """The number that the instance's value map has for a word of the suite (3.6: numbers are data)."""
    return int(policy.value_maps.translate(name, word, COMMON, policy.system_id))


def recoded(name: str, word: str, code: str) -> Policy:
    """The policy of a site whose value map has another code for a word, the suite's or the CRM's."""
    one = POLICY.value_maps.get(name)
    assert one is not None
    at = one.columns.index(POLICY.system_id)
    rows = tuple((*row[:at], code, *row[at + 1 :]) if word in row[:at] else row for row in one.rows)
    assert rows != one.rows
    return replace(POLICY, value_maps=POLICY.value_maps.replaced_by(ValueMaps([replace(one, rows=rows)])))


def keys(plan: SyncPlan) -> list[str]:
    """Its steps."""
    return [step.key for step in plan.plan.steps]


def call_of(plan: SyncPlan, key: str) -> dict[str, Any]:
    """What a step of the plan asks BRM."""
    return next(step.call.input for step in plan.plan.steps if step.key == key)


def refused(document: Order, facts: Facts | None = None, policy: Policy = POLICY) -> list[tuple[Reason, str]]:
    """Reason and field of everything that is wrong with an order."""
    with pytest.raises(O2CError) as caught:
        planned(document, facts, policy)
    return [(violation.reason, violation.field) for violation in caught.value.violations]


def account(account_id: str, **values: Any) -> dict[str, Any]:
    """A residential account with everything billing requires."""
    contact = {"contact_id": f"CON-{account_id}", "first_name": "Ann", "last_name": account_id.title()}
    return {
        "account_id": account_id,
        "name": f"{account_id} name",
        "type": "RESIDENTIAL",
        "class": "BILLING",
        "currency": "USD",
        "primary_contact": contact,
        "primary_address": address(account_id),
        **values,
    }


def address(owner: str) -> dict[str, Any]:
    return {
        "address_id": f"ADR-{owner}",
        "street": "1 Main Street",
        "city": "Springfield",
        "state": "CA",
        "country": "USA",
        "postal_code": "90001",
    }


def profile(profile_id: str, account_id: str, **values: Any) -> dict[str, Any]:
    """A Bill Me profile, monthly."""
    return {
        "billing_profile_id": profile_id,
        "name": profile_id,
        "account_id": account_id,
        "payment_method": "Bill Me",
        "bill_frequency": "Monthly",
        "bill_media": "Paper",
        "contact": {"contact_id": f"CON-{account_id}", "first_name": "Ann", "last_name": "Payer"},
        "address": address(account_id),
        **values,
    }


def bundle(number: int, sa: str, ba: str, bp: str, **values: Any) -> dict[str, Any]:
    """A service bundle line."""
    return {
        "line_id": f"L{number}",
        "action": "ADD",
        "product_type": "SERVICE_BUNDLE",
        "billing_type": "SERVICE_BUNDLE",
        "billing_service_type": "/service/telco/gsm",
        "service_account": {"account_id": sa},
        "billing_account": {"account_id": ba},
        "billing_profile": {"billing_profile_id": bp},
        **values,
    }


def order(
    lines: list[dict[str, Any]],
    accounts: list[dict[str, Any]] | None = None,
    profiles: list[dict[str, Any]] | None = None,
    **values: Any,
) -> Order:
    """An order; accounts and profiles that the lines name and that are not given are made up in full."""
    named = {part["account_id"]: part for part in accounts or []}
    known = {part["billing_profile_id"]: part for part in profiles or []}
    for line in lines:
        for role in ("service_account", "billing_account"):
            account_id = line.get(role, {}).get("account_id", "")
            if account_id:
                named.setdefault(account_id, account(account_id))
        profile_id = line.get("billing_profile", {}).get("billing_profile_id", "")
        if profile_id and line.get("billing_account"):
            known.setdefault(profile_id, profile(profile_id, line["billing_account"]["account_id"]))
    document = {
        "order_id": "ORD-1",
        "order_number": "1",
        "revision": 1,
        "source_system": "SEBL_01",
        "order_date": "2027-01-01T00:00:00Z",
        "currency": "USD",
        "accounts": list(named.values()),
        "billing_profiles": list(known.values()),
        "lines": lines,
        **values,
    }
    return ParseDict(expand_enums(document, Order.DESCRIPTOR, "order"), Order())


def request(document: Order, request_id: str = "", system_id: str = "BRM_01", **values: Any) -> pb.SyncOrderCustomersRequest:
    return pb.SyncOrderCustomersRequest(request_id=request_id, target_system_id=system_id, order=document, **values)


def command(document: Order, system_id: str = "BRM_01") -> Command:
    return to_domain_command(request(document), system_id)


def planned(
    document: Order, facts: Facts | None = None, policy: Policy = POLICY, crm: Mapping[str, Any] | None = None
) -> SyncPlan:
    """The plan for an order, with nothing known unless facts are given; ``crm`` holds what the CRM answers when asked."""
    asked = command(document, policy.system_id)
    if crm is not None:
        asked = answered(asked, inquiry_of(asked, policy), crm_customers(crm), frozenset())
    return plan_sync_order_customers(asked, facts or Facts(), policy)


def crm_customers(crm: Mapping[str, Any]) -> dict[str, CrmCustomer]:
    """Customers as the CRM stand-in would give them, of a document that can be loaded into it."""
    store = CrmStore()
    store.load(crm)
    ids = [part["account_id"] for part in crm["accounts"]]
    return {each: to_domain_customer(store.message(each, with_billing_profiles=True)) for each in ids}


def after(plan: SyncPlan, facts: Facts | None = None) -> Facts:
    """What is known once a plan has run: every object it yields is cross-referenced, every member has its parent."""
    known = facts or Facts()
    tables = {
        "CUSTOMERPARTY_ACCOUNTID": "accounts",
        "CUSTOMERPARTY_DEFAULTBALANCEGROUPID": "balance_groups",
        "CUSTOMERPARTY_BILLPROFILEID": "bill_units",
        "CUSTOMERPARTY_PAYPROFILEID": "payment_records",
        "NONPAYING_BILLINFO": "nonpaying_units",
        "ACCOUNTGROUP_ID": "account_groups",
        "PAYMENT_ID": "payments",
        "LEGALGROUP_ID": "legal_groups",
    }
    found: dict[str, dict[str, str]] = {name: dict(getattr(known, name)) for name in tables.values()}
    number = sum(len(ids) for ids in found.values())
    for step in plan.plan.steps:
        for output in step.yields:
            if output.link is not None:
                number += 1
                found[tables[output.link.table]][output.link.crm_id] = f"0.0.0.1 /object {number} 0"
        for each in step.gone:
            del found[tables[each.table]][each.crm_id]
    below = {member: parenting.parent_id for parenting in plan.parentings for member in parenting.member_ids}
    legal = {change.profile_id: change for change in plan.legal_changes}
    owners = {**known.legal_owners, **{profile_id: change.owner_id for profile_id, change in legal.items()}}
    return Facts(
        **found,
        parents={**known.parents, **below},
        posted={**known.posted, **{payment.payment_id: payment for payment in plan.payments}},
        account_payers={**known.account_payers, **dict(plan.account_payers)},
        legal_owners=owners,
        legal_accounts={**known.legal_accounts, **{profile_id: change.account_id for profile_id, change in legal.items()}},
        legal_parents={**known.legal_parents, **{parent.owner_id: parent.profile_id for parent in plan.legal_parents}},
        legal_members=_members(owners, found["bill_units"]),
    )


def _members(owners: Mapping[str, str], units: Mapping[str, str]) -> dict[str, frozenset[Poid]]:
    """Legal owner to the units in his group."""
    members: dict[str, set[Poid]] = {}
    for profile_id, owner_id in owners.items():
        if owner_id:
            members.setdefault(owner_id, set()).add(Poid.parse(units[profile_id]))
    return {owner_id: frozenset(found) for owner_id, found in members.items()}

"""Acme Networks as the CRM knows it (customer-sync 6.6, figures 18-3 to 18-5): Acme -> Accounting -> {IT, Marketing}; Marketing
-> {Amelia, Jacob}; IT -> Jennifer -> {Charles, Lily}. Accounting pays, people use."""

from __future__ import annotations

from typing import Any

from customers import account, bundle, order, profile

from libs.pb.order.v1.order_pb2 import Order

TREE = {
    "ACME": "",
    "ACCOUNTING": "ACME",
    "IT": "ACCOUNTING",
    "MARKETING": "ACCOUNTING",
    "AMELIA": "MARKETING",
    "JACOB": "MARKETING",
    "JENNIFER": "IT",
    "CHARLES": "JENNIFER",
    "LILY": "JENNIFER",
}
CLASSES = {"ACME": "CUSTOMER", "ACCOUNTING": "BILLING", "IT": "CUSTOMER", "MARKETING": "CUSTOMER"}


def company(account_id: str, **values: Any) -> dict[str, Any]:
    """One of its accounts, with everything billing requires."""
    role = CLASSES.get(account_id, "SERVICE")
    parts = {"type": "BUSINESS", "class": role, "parent_account_id": TREE[account_id], "name": f"Acme {account_id.title()}"}
    return account(account_id, **(parts | values))


CRM: dict[str, Any] = {
    "accounts": [company(account_id) for account_id in TREE],
    "billing_profiles": [profile("AccBP", "ACCOUNTING", is_primary=True, bill_frequency="Quarterly")],
}
"""What is loaded into the CRM."""


def ordered(*people: str, customer: str = "ACME", **values: Any) -> Order:
    """A mobile for each of them, paid by Accounting; the order describes the people and names all others by id alone."""
    described = [company(person) for person in people] + [{"account_id": "ACCOUNTING"}]
    lines = [bundle(number, person, "ACCOUNTING", "AccBP") for number, person in enumerate(people, 1)]
    parts = {"customer_account": {"account_id": customer}, "accounts": described}
    return order(lines, profiles=[{"billing_profile_id": "AccBP"}], **(parts | values))

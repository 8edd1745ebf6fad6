"""What the demo must show, as data: the guide's families, to the cent."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class ExampleOrder:
    """One submission of the story."""

    number: str
    title: str
    file: str
    order_id: str
    again: bool = False
    """The same document once more, under a fresh request id: nothing may happen."""


ORDERS = (
    ExampleOrder("1", "Denise's family", "order-1-denise-family.json", "ORD-1001"),
    ExampleOrder("2", "Scott's split bill", "order-2-scott-split-bill.json", "ORD-1002"),
    ExampleOrder("3", "Priya, two BRM instances", "order-3-priya-two-instances.json", "ORD-1003"),
    ExampleOrder("4", "order 1 once more", "order-1-denise-family.json", "ORD-1001", again=True),
    ExampleOrder("5", "Michelle adds voicemail", "order-5-michelle-adds-voicemail.json", "ORD-1005"),
)


@dataclass(frozen=True, slots=True)
class ExpectedBill:
    """First bill of one billing profile."""

    account: str
    profile: str
    system_id: str
    amount: Decimal
    sum_of: str
    """How the amount comes about."""


BILLS = (
    ExpectedBill("1-DENISE", "BP-DENISE-DENISE", "BRM_01", Decimal("94.00"), "25 + 30 − 3 + 40 + 2"),
    ExpectedBill("1-DENISE", "BP-DENISE-MICHELLE", "BRM_01", Decimal("60.00"), "25 + 30 + 5"),
    ExpectedBill("1-DENISE", "BP-DENISE-JESSICA", "BRM_01", Decimal("55.00"), "25 + 30"),
    ExpectedBill("1-DUNCAN", "BP-DUNCAN-SCOTT", "BRM_01", Decimal("45.00"), "45"),
    ExpectedBill("1-CATHY", "BP-CATHY-SCOTT", "BRM_01", Decimal("55.00"), "25 + 30"),
    ExpectedBill("1-PRIYA", "BP-PRIYA-MOBILE", "BRM_01", Decimal("55.00"), "25 + 30"),
    ExpectedBill("1-PRIYA", "BP-PRIYA-HOME", "BRM_02", Decimal("18.00"), "18"),
)
ACCOUNT_TOTALS = {"1-DENISE": Decimal("209.00"), "1-PRIYA": Decimal("73.00")}
NONPAYING = ("1-MICHELLE", "1-JESSICA", "1-SCOTT")
CHANGE_ORDER_WRITES = ("PCM_OP_SUBSCRIPTION_PURCHASE_DEAL",)
FIRST_BILLING = "2027-02-01T00:00:00Z"

"""Calls about one sample customer, for tests of the BRM connector."""

from __future__ import annotations

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.poid import Poid


def commit(number: str = "1-DENISE", *, db: str = "0.0.0.1", unit: str = "BP-DENISE") -> BrmCall:
    """An account with one invoice-paying bill unit."""
    holder = {"holder": "Denise Lee", "address": "1 Main St", "city": "Springfield", "country": "USA"}
    return calls.commit_customer(
        account=calls.AccountInfo(account_no=number),
        names=[calls.NameInfo(last_name="Lee", address="1 Main St", city="Springfield", country="USA")],
        bill_units=[
            calls.BillUnit(
                billinfo_id=unit,
                currency=840,
                payinfo=calls.InvoicePayInfo(name="bill me", **holder),
                balance_group=calls.BalanceGroup(name=f"default {unit}"),
            )
        ],
        db=db,
    )


def wireless(account: Poid, unit: Poid, login: str = "5551001", line: str = "L-1") -> BrmCall:
    """A new service on a balance group of its own, with the offers of :func:`deal`."""
    return calls.modify_customer(
        account,
        balance_groups=[calls.BalanceGroup(name=f"{login} group", billinfo=unit)],
        services=[calls.ServicePurchase(service="/service/telco/gsm", login=login, balance_group=0, deal=deal(line))],
        db=account.db,
    )


def deal(line: str) -> calls.Deal:
    """A monthly product (``<line>.1``), a one-time fee (``.2``) and a discount (``.3``)."""
    return calls.Deal(
        name="Wireless",
        products=(
            calls.ProductPurchase(product="/product 20011", line_id=f"{line}.1"),
            calls.ProductPurchase(product="/product 20014", line_id=f"{line}.2"),
        ),
        discounts=(calls.DiscountPurchase(discount="/discount 20111", line_id=f"{line}.3"),),
    )

"""What BRM has billed is on disk, all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from libs.brm import calls
from libs.brm.client import open_gateway
from libs.brm.flist import get
from libs.config import BillingSystem
from sandbox.testing import RunningSandbox, running_sandbox


def system(sandbox: RunningSandbox) -> BillingSystem:
    return BillingSystem(code="BRM_01", endpoint=sandbox.url())


async def family(sandbox: RunningSandbox) -> None:
    """A payer and a nonpaying child with a wireless service, billed once."""
    names = [calls.NameInfo(last_name="Lee", address="1 Main St", city="Denver", country="USA")]
    invoice = calls.InvoicePayInfo(holder="Lee", address="1 Main St", city="Denver", country="USA")
    async with open_gateway([system(sandbox)]) as gateway:
        paying = calls.BillUnit(billinfo_id="BP", currency=840, bill_day=1, payinfo=invoice)
        account = calls.AccountInfo(account_no="payer")
        payer = await gateway.call("BRM_01", calls.commit_customer(account=account, names=names, bill_units=[paying]))
        nonpaying = calls.BillUnit(billinfo_id="child", currency=840, parent=get(payer, "BILLINFO[0].POID"))
        account = calls.AccountInfo(account_no="child")
        child = await gateway.call("BRM_01", calls.commit_customer(account=account, names=names, bill_units=[nonpaying]))
        deal = calls.Deal(name="Wireless", products=(calls.ProductPurchase(product="/product 20011", line_id="L"),))
        service = calls.ServicePurchase(service="/service/telco/gsm", login="5550001", deal=deal)
        await gateway.call("BRM_01", calls.modify_customer(child["POID"], services=[service]))
    await sandbox.admin().set_clock("2027-02-01T00:00:00Z")
    await sandbox.admin().run_job("bill")


async def state(sandbox: RunningSandbox) -> dict[str, list[dict[str, Any]]]:
    return {class_: await sandbox.admin().objects(class_) for class_ in ("/bill", "/billinfo", "/item", "/balance_group")}


async def test_bills_of_payer_and_child_survive_a_restart_as_they_were(tmp_path: Path) -> None:
    async with running_sandbox(data=tmp_path) as first:
        await family(first)
        before = await state(first)
    async with running_sandbox(data=tmp_path) as second:
        assert await state(second) == before
        assert await second.admin().check_invariants() == []
    made = [bill for bill in before["/bill"] if "END_T" in bill]
    assert [(bill["CURRENT_TOTAL"], bill["SUBORDS_TOTAL"], bill["DUE"]) for bill in made] == [
        ("0.00", "55.00", "55.00"),
        ("55.00", "0.00", "0.00"),
    ]
    assert {unit["NEXT_BILL_T"] for unit in before["/billinfo"]} == {"2027-03-01T00:00:00Z"}

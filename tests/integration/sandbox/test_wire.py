"""The sandbox as any SOAP client sees it: literal bytes, and zeep working from the WSDL."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
import zeep
import zeep.exceptions

CUST, SUBSCRIPTION, READ, AR = "BRMCUSTServices_v2", "BRMSUBSCRIPTIONServices_v2", "BRMReadServices_v2", "BRMARServices_v2"


async def test_literal_request_creates_an_account_with_linked_parts(wire: Any, commit_customer: Any) -> None:
    answer = await wire.post(CUST, commit_customer("A-1"))
    assert answer.status == 200, answer.body
    account = answer.text("PCM_OP_CUST_COMMIT_CUSTOMER_outputFlist/POID")
    assert account is not None and account.startswith("0.0.0.1 /account 100")
    for array, element in (("BILLINFO", "0"), ("PAYINFO", "3"), ("BAL_INFO", "5")):
        (found,) = answer.root.xpath(f"//*[local-name()='{array}']")
        assert found.get("elem") == element, "answers use the element ids of the request"
    read = await wire.post(READ, f"<b:PCM_OP_READ_OBJ_inputFlist><b:POID>{account}</b:POID></b:PCM_OP_READ_OBJ_inputFlist>")
    assert (read.text("NAMEINFO/FIRST_NAME"), read.text("NAMEINFO/LAST_NAME")) == ("José", "O'Neil & Co")
    assert read.text("EFFECTIVE_T") == "2027-01-01T00:00:00Z"


async def test_specification_example_buys_for_a_service(wire: Any, commit_customer: Any) -> None:
    created = await wire.post(CUST, commit_customer("A-1"))
    account = created.text("POID")
    service = await wire.post(
        CUST,
        f"""<b:PCM_OP_CUST_MODIFY_CUSTOMER_inputFlist><b:POID>/plan -1</b:POID><b:ACCOUNT_OBJ>{account}</b:ACCOUNT_OBJ>
        <b:PROGRAM_NAME>t</b:PROGRAM_NAME><b:SERVICES elem="0"><b:SERVICE_OBJ>0.0.0.1 /service/telco/gsm -1 0</b:SERVICE_OBJ>
        <b:LOGIN>5550001</b:LOGIN></b:SERVICES></b:PCM_OP_CUST_MODIFY_CUSTOMER_inputFlist>""",
    )
    answer = await wire.post(
        SUBSCRIPTION,
        f"""<b:PCM_OP_SUBSCRIPTION_PURCHASE_DEAL_inputFlist>
        <b:flags>0</b:flags><b:POID>{account}</b:POID><b:PROGRAM_NAME>o2c-billing</b:PROGRAM_NAME>
        <b:SERVICE_OBJ>{service.text("SERVICES/SERVICE_OBJ")}</b:SERVICE_OBJ>
        <b:DEAL_INFO><b:POID>0.0.0.1 /deal -1 0</b:POID><b:NAME>line 2.1</b:NAME>
          <b:PRODUCTS elem="7"><b:PRODUCT_OBJ>0.0.0.1 /product 20011 0</b:PRODUCT_OBJ><b:QUANTITY>1.000000000000000</b:QUANTITY>
          <b:STATUS>1</b:STATUS><b:STATUS_FLAGS>0</b:STATUS_FLAGS><b:CYCLE_END_T>0</b:CYCLE_END_T></b:PRODUCTS></b:DEAL_INFO>
        </b:PCM_OP_SUBSCRIPTION_PURCHASE_DEAL_inputFlist>""",
    )
    assert answer.status == 200, answer.body
    (product,) = answer.root.xpath("//*[local-name()='PRODUCTS']")
    assert product.get("elem") == "7"
    summary = await wire.post(
        AR,
        f"<b:PCM_OP_AR_GET_ACCT_BAL_SUMMARY_inputFlist><b:POID>{account}</b:POID></b:PCM_OP_AR_GET_ACCT_BAL_SUMMARY_inputFlist>",
    )
    assert summary.text("PENDINGBILL_DUE") == "55.00"


async def test_refusal_is_a_fault_with_the_error_buffer(wire: Any, commit_customer: Any) -> None:
    await wire.post(CUST, commit_customer("A-1"))
    answer = await wire.post(CUST, commit_customer("A-1"))
    assert answer.status == 500
    assert answer.text("faultcode") == "env:Server"
    assert "err 10:PIN_ERR_DUPLICATE" in (answer.text("faultstring") or "")
    detail = [answer.text(f"ebuf/{name}") for name in ("errno", "class", "field", "location", "opcode")]
    assert detail == [
        "PIN_ERR_DUPLICATE",
        "PIN_ERRCLASS_APPLICATION",
        "PIN_FLD_ACCOUNT_NO",
        "PIN_ERRLOC_FM",
        "PCM_OP_CUST_COMMIT_CUSTOMER",
    ]


@pytest.mark.parametrize(
    "payload",
    [
        "<b:PCM_OP_NO_SUCH_inputFlist/>",
        "<b:PCM_OP_READ_OBJ_inputFlist><b:NO_SUCH_FIELD>1</b:NO_SUCH_FIELD></b:PCM_OP_READ_OBJ_inputFlist>",
        "<b:PCM_OP_READ_OBJ_inputFlist><b:POID>nonsense</b:POID></b:PCM_OP_READ_OBJ_inputFlist>",
        "<b:PCM_OP_ACT_FIND_inputFlist><b:POID>/service -1</b:POID></b:PCM_OP_ACT_FIND_inputFlist>",
        "",
    ],
)
async def test_requests_the_front_end_cannot_read_are_client_faults(wire: Any, payload: str) -> None:
    answer = await wire.post(READ, payload)
    assert (answer.status, answer.text("faultcode")) == (500, "env:Client")


async def test_an_opcode_nobody_has_heard_of_is_named_in_a_client_fault(wire: Any) -> None:
    answer = await wire.post(
        CUST, "<b:PCM_OP_CUST_JUGGLE_inputFlist><b:POID>0.0.0.1 /x 1 0</b:POID></b:PCM_OP_CUST_JUGGLE_inputFlist>"
    )
    parts = [answer.text(name) for name in ("faultcode", "ebuf/errno", "ebuf/opcode")]
    assert parts == ["env:Client", "PIN_ERR_BAD_OPCODE", "PCM_OP_CUST_JUGGLE"]


@pytest.mark.parametrize("megabytes", [3, 10])
async def test_a_request_of_more_than_two_megabytes_is_a_client_fault_and_does_nothing(wire: Any, megabytes: int) -> None:
    answer = await wire.post(CUST, "<b:X>" + "x" * (megabytes * 2**20) + "</b:X>")
    assert (answer.text("faultcode"), "2097152" in answer.text("faultstring")) == ("env:Client", True)
    assert (await wire.post(CUST, "<b:nothing/>")).text("faultcode") == "env:Client", "and the server goes on"


async def test_entities_are_not_expanded(wire: Any) -> None:
    body = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'
    url = f"{wire.sandbox.url()}/metro/jaxws/{READ}"
    async with wire.http.post(url, data=body) as response:
        text = await response.text()
    assert response.status == 500 and "root:" not in text


@pytest.mark.spec("brm:8.17")
async def test_instances_do_not_see_each_other(wire: Any, commit_customer: Any) -> None:
    first = await wire.post(CUST, commit_customer("SAME"))
    second = await wire.post(CUST, commit_customer("SAME", "0.0.0.2"), "BRM_02")
    assert (first.status, second.status) == (200, 200)
    assert second.text("POID").startswith("0.0.0.2 /account")
    mixed = await wire.post(CUST, commit_customer("OTHER", "0.0.0.2"), "BRM_01")
    assert mixed.text("ebuf/errno") == "PIN_ERR_WRONG_DATABASE"
    read = await wire.post(
        READ, f"<b:PCM_OP_READ_OBJ_inputFlist><b:POID>{first.text('POID')}</b:POID></b:PCM_OP_READ_OBJ_inputFlist>", "BRM_02"
    )
    assert read.text("ebuf/errno") == "PIN_ERR_WRONG_DATABASE"
    for name in ("BRM_01", "BRM_02"):
        assert len(await wire.sandbox.admin(name).objects("/account", ACCOUNT_NO="SAME")) == 1
        assert await wire.sandbox.admin(name).objects("/account", ACCOUNT_NO="OTHER") == []


async def test_one_of_twenty_parallel_creates_wins(wire: Any, commit_customer: Any) -> None:
    answers = await asyncio.gather(*(wire.post(CUST, commit_customer("A-1")) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [200] + [500] * 19
    assert {answer.text("ebuf/errno") for answer in answers if answer.status == 500} == {"PIN_ERR_DUPLICATE"}
    assert len(await wire.sandbox.admin().objects("/account")) == 1


async def test_fifty_writers_on_one_account_lose_nothing(wire: Any, commit_customer: Any) -> None:
    account = (await wire.post(CUST, commit_customer("A-1"))).text("POID")
    payload = f"""<b:PCM_OP_SUBSCRIPTION_PURCHASE_DEAL_inputFlist><b:POID>{account}</b:POID><b:PROGRAM_NAME>t</b:PROGRAM_NAME>
        <b:DEAL_INFO><b:POID>/deal -1</b:POID><b:PRODUCTS elem="0"><b:PRODUCT_OBJ>/product 20041</b:PRODUCT_OBJ>
        <b:QUANTITY>1</b:QUANTITY></b:PRODUCTS></b:DEAL_INFO></b:PCM_OP_SUBSCRIPTION_PURCHASE_DEAL_inputFlist>"""
    answers = await asyncio.gather(*(wire.post(SUBSCRIPTION, payload) for _ in range(50)))
    assert {answer.status for answer in answers} == {200}
    (item,) = await wire.sandbox.admin().objects("/item")
    assert item["DUE"] == "100.00"
    assert await wire.sandbox.admin().check_invariants() == []


def _zeep(url: str, service: str) -> Any:
    return zeep.Client(f"{url}/metro/jaxws/{service}?wsdl").service


async def test_zeep_works_from_the_wsdl_from_account_to_bill(sandbox: Any) -> None:
    url, admin = sandbox.url(), sandbox.admin()

    def customer_to_bill() -> None:
        cust, bill, ar = (_zeep(url, name) for name in (CUST, "BRMBillServices_v2", AR))
        created = cust.pcmOpCustCommitCustomer(
            POID="0.0.0.1 /plan -1 0",
            PROGRAM_NAME="zeep",
            ACCTINFO=[{"elem": "0", "POID": "0.0.0.1 /account -1 0", "ACCOUNT_NO": "Z-1", "CURRENCY": 840}],
            NAMEINFO=[{"elem": "1", "LAST_NAME": "Zed", "ADDRESS": "1 A St", "CITY": "B", "COUNTRY": "US"}],
            BILLINFO=[
                {
                    "elem": "0",
                    "POID": "0.0.0.1 /billinfo -1 0",
                    "PAY_TYPE": 10001,
                    "ACTG_FUTURE_DOM": 1,
                    "PAYINFO": [{"elem": "0"}],
                }
            ],
            PAYINFO=[{"elem": "0", "POID": "0.0.0.1 /payinfo/invoice -1 0", "PAY_TYPE": 10001}],
            SERVICES=[
                {
                    "elem": "0",
                    "SERVICE_OBJ": "0.0.0.1 /service/telco/gsm -1 0",
                    "LOGIN": "555",
                    "DEALS": [
                        {
                            "elem": "0",
                            "POID": "0.0.0.1 /deal -1 0",
                            "PRODUCTS": [{"elem": "0", "PRODUCT_OBJ": "0.0.0.1 /product 20011 0", "QUANTITY": Decimal(1)}],
                        }
                    ],
                }
            ],
        )
        unit = created.BILLINFO[0].POID
        admin.client.set_clock("2027-02-01T00:00:00Z")
        made = bill.pcmOpBillMakeBill(POID=unit, PROGRAM_NAME="zeep")
        assert made.RESULTS[0].BILL_NO == "B1-1"
        due = ar.pcmOpArGetBalSummary(POID=unit)["OPENBILL_DUE"]
        assert due == Decimal("55.00")
        (shown,) = ar.pcmOpArGetBills(POID=unit).RESULTS
        assert shown["TOTAL_DUE"] == Decimal("55.00")
        items = ar.pcmOpArGetBillItems(POID=shown.POID).RESULTS
        assert sorted(item.ITEM_TOTAL for item in items) == [Decimal("25.00"), Decimal("30.00")]

    await asyncio.to_thread(customer_to_bill)
    assert await admin.check_invariants() == []


async def test_zeep_raises_the_fault(sandbox: Any) -> None:
    def find() -> None:
        with pytest.raises(zeep.exceptions.Fault, match="PIN_ERR_NOT_FOUND"):
            _zeep(sandbox.url(), "BRMACTServices_v2").pcmOpActFind(POID="0.0.0.1 /service -1 0", LOGIN="nobody")

    await asyncio.to_thread(find)


async def test_wsdl_lists_what_is_served(sandbox: Any) -> None:
    admin = sandbox.admin()
    offered = set((await admin.capabilities())["opcodes"])
    assert len(offered) >= 37
    async with aiohttp.ClientSession() as http:
        for service in (await admin.capabilities())["services"]:
            async with http.get(f"{sandbox.url()}/metro/jaxws/{service}?WSDL") as response:
                assert response.status == 200
                text = await response.text()
            assert 'style="document"' in text and f'name="{service}"' in text
        async with http.get(f"{sandbox.url()}/metro/jaxws/NoService?wsdl") as response:
            assert response.status == 404


async def test_every_stored_class_can_be_read_over_the_wire(wire: Any, commit_customer: Any) -> None:
    created = await wire.post(CUST, commit_customer("A-1"))
    await wire.post(
        CUST,
        f"""<b:PCM_OP_CUST_MODIFY_CUSTOMER_inputFlist><b:POID>/plan -1</b:POID>
        <b:ACCOUNT_OBJ>{created.text("POID")}</b:ACCOUNT_OBJ><b:PROGRAM_NAME>t</b:PROGRAM_NAME>
        <b:SERVICES elem="0"><b:SERVICE_OBJ>0.0.0.1 /service/voip -1 0</b:SERVICE_OBJ><b:DEALS elem="0">
        <b:PRODUCTS elem="0"><b:PRODUCT_OBJ>/product 20031</b:PRODUCT_OBJ><b:QUANTITY>2</b:QUANTITY></b:PRODUCTS>
        <b:DISCOUNTS elem="0"><b:DISCOUNT_OBJ>/discount 20112</b:DISCOUNT_OBJ></b:DISCOUNTS></b:DEALS>
        </b:SERVICES></b:PCM_OP_CUST_MODIFY_CUSTOMER_inputFlist>""",
    )
    store = wire.sandbox.instance().store
    rows = store.sql("SELECT min(id), type FROM object GROUP BY type").fetchall()
    assert len(rows) > 15
    for object_id, type_ in rows:
        payload = f"<b:PCM_OP_READ_OBJ_inputFlist><b:POID>{type_} {object_id}</b:POID></b:PCM_OP_READ_OBJ_inputFlist>"
        assert (await wire.post(READ, payload)).status == 200, type_

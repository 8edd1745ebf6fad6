"""A sandbox on a free port, and plain HTTP to speak to it with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from lxml import etree

from sandbox.testing import RunningSandbox, running_sandbox

NAMESPACE = "http://xmlns.oracle.com/BRM/schemas/BusinessOpcodes"
ENVELOPE = (
    '<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/" xmlns:b="{namespace}">'
    "<env:Body>{payload}</env:Body></env:Envelope>"
)


class Answer:
    """An HTTP answer with XML inside; ``text("POID")`` is the text at a path of local names."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body
        self.root = etree.fromstring(body)

    def text(self, path: str) -> str | None:
        steps = "/".join(f"*[local-name()='{step}']" for step in path.split("/"))
        found = self.root.xpath(f"//{steps}")
        return found[0].text if found else None

    def texts(self, name: str) -> list[str]:
        return [element.text for element in self.root.iter(f"{{{NAMESPACE}}}{name}")]


class Wire:
    """Posts literal SOAP bytes."""

    def __init__(self, sandbox: RunningSandbox, http: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.http = http

    @staticmethod
    def envelope(payload: str) -> bytes:
        return ENVELOPE.format(namespace=NAMESPACE, payload=payload).encode()

    async def post(self, service: str, payload: str, instance: str = "BRM_01", **headers: str) -> Answer:
        body = self.envelope(payload)
        url = f"{self.sandbox.url(instance)}/metro/jaxws/{service}"
        async with self.http.post(url, data=body, headers={"Content-Type": "text/xml", **headers}) as response:
            return Answer(response.status, await response.read())


@pytest.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    async with running_sandbox(("BRM_01", "BRM_02")) as running:
        yield running


@pytest.fixture
async def wire(sandbox: RunningSandbox) -> AsyncIterator[Any]:
    async with aiohttp.ClientSession() as http:
        yield Wire(sandbox, http)


@pytest.fixture
def make_wire() -> Any:
    """A wire to a sandbox the test starts itself: ``make_wire(sandbox, http)``."""
    return Wire


def _commit(number: str, db: str = "0.0.0.1") -> str:
    return f"""
<b:PCM_OP_CUST_COMMIT_CUSTOMER_inputFlist>
  <b:flags>0</b:flags>
  <b:POID>{db} /plan -1 0</b:POID>
  <b:PROGRAM_NAME>wire-test</b:PROGRAM_NAME>
  <b:ACCTINFO elem="0">
    <b:POID>{db} /account -1 0</b:POID><b:ACCOUNT_NO>{number}</b:ACCOUNT_NO><b:CURRENCY>840</b:CURRENCY>
  </b:ACCTINFO>
  <b:NAMEINFO elem="1">
    <b:FIRST_NAME>Jos\u00e9</b:FIRST_NAME><b:LAST_NAME>O&apos;Neil &amp; Co</b:LAST_NAME>
    <b:ADDRESS>1 Main St</b:ADDRESS><b:CITY>Springfield</b:CITY><b:COUNTRY>US</b:COUNTRY>
  </b:NAMEINFO>
  <b:BILLINFO elem="0">
    <b:POID>{db} /billinfo -1 0</b:POID><b:BILLINFO_ID>BP-{number}</b:BILLINFO_ID><b:PAY_TYPE>10001</b:PAY_TYPE>
    <b:ACTG_FUTURE_DOM>1</b:ACTG_FUTURE_DOM><b:PAYINFO elem="3"/><b:BAL_INFO elem="5"/>
  </b:BILLINFO>
  <b:PAYINFO elem="3"><b:POID>{db} /payinfo/invoice -1 0</b:POID><b:PAY_TYPE>10001</b:PAY_TYPE></b:PAYINFO>
  <b:BAL_INFO elem="5"><b:POID>{db} /balance_group -1 0</b:POID><b:NAME>main</b:NAME><b:BILLINFO elem="0"/></b:BAL_INFO>
</b:PCM_OP_CUST_COMMIT_CUSTOMER_inputFlist>"""


@pytest.fixture
def commit_customer() -> Any:
    """The literal request that creates an account: ``commit_customer("A-1")``."""
    return _commit

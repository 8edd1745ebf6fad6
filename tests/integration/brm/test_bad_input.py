"""Bad input on the wire: the documented fault, the connector's typed error, no crash, nothing half written."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from libs.brm import calls
from libs.brm.auth import BearerToken
from libs.brm.client import SoapGateway
from libs.brm.codec import decode_response, encode_request
from libs.brm.conformance_calls import throw_away_customer
from libs.brm.dialect import Dialect
from libs.brm.ebuf import SoapFault
from libs.brm.errors import BrmError
from libs.brm.poid import Poid
from libs.brm.specs import opcode
from libs.brm.transport import Instance
from libs.errors import Reason
from sandbox.settings import SandboxSettings
from sandbox.testing import RunningSandbox, running_sandbox

DIALECT = Dialect()
COMMIT = opcode("PCM_OP_CUST_COMMIT_CUSTOMER")
GOOD = encode_request(throw_away_customer("A-1", "0.0.0.1"), DIALECT)
TOKEN = "the right one"


@pytest.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    async with running_sandbox(("BRM_01",), settings=SandboxSettings(strict_xsd=True, token=TOKEN)) as running:
        yield running


def gateway(sandbox: RunningSandbox, token: str = TOKEN) -> SoapGateway:
    return SoapGateway([Instance.of("BRM_01", sandbox.url("BRM_01"), "0.0.0.1", auth=BearerToken(token))])


async def post(sandbox: RunningSandbox, body: bytes, token: str = TOKEN) -> tuple[int, bytes]:
    headers = {**DIALECT.headers(COMMIT), "Authorization": f"Bearer {token}"}
    url = sandbox.url("BRM_01") + DIALECT.path(COMMIT)
    async with aiohttp.ClientSession() as http, http.post(url, data=body, headers=headers) as response:
        return response.status, await response.read()


async def assert_untouched(sandbox: RunningSandbox) -> None:
    """Nothing was stored, and the endpoint goes on as if nothing had happened."""
    admin = sandbox.admin("BRM_01")
    assert await admin.objects("/account") == await admin.objects("/billinfo") == await admin.objects("/balance_group") == []
    assert await admin.check_invariants() == []
    async with gateway(sandbox) as good:
        assert await good.call("BRM_01", throw_away_customer("A-1", "0.0.0.1"))


BAD_BODIES = {
    "malformed XML": (GOOD[:-40], "Client"),
    "no XML at all": (b"\x00\xff garbage", "Client"),
    "unknown opcode": (GOOD.replace(b"PCM_OP_CUST_COMMIT_CUSTOMER", b"PCM_OP_CUST_NO_SUCH_THING"), "Client"),
    "unknown field": (GOOD.replace(b":BUSINESS_TYPE>", b":NO_SUCH_FIELD>"), "Client"),
    "field out of order": (
        GOOD.replace(b"<b:POID>0.0.0.1 /plan -1 0</b:POID>", b"").replace(
            b"</b:PCM_OP_CUST_COMMIT_CUSTOMER_inputFlist>",
            b"<b:POID>0.0.0.1 /plan -1 0</b:POID></b:PCM_OP_CUST_COMMIT_CUSTOMER_inputFlist>",
        ),
        "Client",
    ),
    "wrong POID class": (GOOD.replace(b"/account -1", b"/billinfo -1"), "Server"),
    "no POID": (GOOD.replace(b"0.0.0.1 /account -1 0", b"an account"), "Client"),
}


@pytest.mark.parametrize("what", BAD_BODIES)
async def test_a_bad_request_is_a_documented_fault_and_leaves_nothing(sandbox: RunningSandbox, what: str) -> None:
    body, side = BAD_BODIES[what]
    assert body != GOOD
    status, answer = await post(sandbox, body)
    assert status == 500
    assert f"env:{side}</faultcode>".encode() in answer
    with pytest.raises(SoapFault):
        decode_response(COMMIT.name, answer, DIALECT)
    await assert_untouched(sandbox)


async def test_ten_megabytes_are_refused_and_leave_nothing(sandbox: RunningSandbox) -> None:
    status, _ = await post(sandbox, GOOD.replace(b"Conformance", b"x" * 10_000_000))
    assert status in (413, 500)
    await assert_untouched(sandbox)


async def test_a_wrong_token_is_a_configuration_error_and_leaves_nothing(sandbox: RunningSandbox) -> None:
    status, answer = await post(sandbox, GOOD, token="a wrong one")
    assert status == 401
    assert b"a wrong one" not in answer
    async with gateway(sandbox, "a wrong one") as stranger:
        with pytest.raises(BrmError) as refusal:
            await stranger.call("BRM_01", throw_away_customer("A-1", "0.0.0.1"))
    assert refusal.value.reason is Reason.BRM_ERROR
    await assert_untouched(sandbox)


async def test_what_brm_refuses_comes_as_a_typed_error_that_names_the_field(sandbox: RunningSandbox) -> None:
    async with gateway(sandbox) as connector:
        with pytest.raises(BrmError) as wrong_class:
            await connector.call("BRM_01", calls.set_billinfo(Poid("0.0.0.1", "/service", 1), (calls.BillUnit(bill_when=1),)))
        with pytest.raises(BrmError) as other_database:
            await connector.call("BRM_01", calls.read_obj(Poid("0.0.0.9", "/account", 10_000)))
    assert wrong_class.value.reason is Reason.BRM_REJECTED
    assert other_database.value.name == "PIN_ERR_WRONG_DATABASE"
    metadata = other_database.value.violations[0].metadata
    assert {"brm_error", "brm_field", "opcode", "system"} <= metadata.keys()
    await assert_untouched(sandbox)

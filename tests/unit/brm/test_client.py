"""The client against a front end that does what the test says: endpoints, pool, deadlines, breaker, credentials."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from libs import retry
from libs.brm import calls
from libs.brm.auth import BasicAuth, BearerToken, BearerTokenFile
from libs.brm.call import BrmCall
from libs.brm.client import SoapGateway
from libs.brm.codec import Dialect, encode_client_fault, encode_response
from libs.brm.codes import Status
from libs.brm.errors import BrmError, BrmOutcomeUnknown
from libs.brm.flist import Array
from libs.brm.instance_client import WRITES
from libs.brm.poid import Poid
from libs.brm.specs import Timeout
from libs.brm.transport import Instance
from libs.errors import Reason
from tests.support.front import ACCOUNT, OUTPUT, READ, WRITE, Act, Front, fault, hang_up, slow, status


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with retry.testing(attempts=5):
        yield


@pytest.fixture
def closed_port() -> Iterator[str]:
    """An address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


async def failing(gateway: SoapGateway, call: BrmCall) -> BrmError:
    with pytest.raises(BrmError) as error:
        await gateway.call("BRM_01", call)
    return error.value


async def test_the_request_goes_to_the_service_of_its_opcode(front: Front) -> None:
    async with SoapGateway([front.instance()]) as gateway:
        assert await gateway.call("BRM_01", WRITE) == OUTPUT
    request = front.requests[0]
    assert (request.method, request.path) == ("POST", "/metro/jaxws/BRMCUSTServices_v2")
    assert request.headers["SOAPAction"] == '"pcmOpCustSetStatus"'
    assert request.headers["Content-Type"] == "text/xml; charset=utf-8"


async def test_an_endpoint_may_already_hold_the_path_and_a_site_may_rename_services(front: Front) -> None:
    dialect = Dialect(service_map={"BRMCUSTServices_v2": "BRMCustService_v2"})
    instance = Instance.of("BRM_01", f"{front.address}/metro/jaxws/", "0.0.0.1", dialect=dialect)
    async with SoapGateway([instance]) as gateway:
        await gateway.call("BRM_01", WRITE)
    assert front.requests[0].path == "/metro/jaxws/BRMCustService_v2"


async def test_writes_go_on_to_the_next_endpoint_when_nothing_was_sent(front: Front, closed_port: str) -> None:
    instance = Instance.of("BRM_01", f"{closed_port}, {front.address}", "0.0.0.1")
    async with SoapGateway([instance]) as gateway:
        assert await gateway.call("BRM_01", WRITE) == OUTPUT
        assert await gateway.call("BRM_01", WRITE) == OUTPUT
    assert len(front.requests) == 2


async def test_writes_go_on_to_the_next_endpoint_after_503(front: Front) -> None:
    front.acts = [status(503)]
    instance = Instance.of("BRM_01", f"{front.address}/a,{front.address}/b", "0.0.0.1")
    async with SoapGateway([instance]) as gateway:
        await gateway.call("BRM_01", WRITE)
        await gateway.call("BRM_01", WRITE)
    assert [request.path[:2] for request in front.requests] == ["/a", "/b", "/b"], "an endpoint that failed is tried last"


async def test_writes_do_not_go_on_once_anything_was_sent(front: Front) -> None:
    front.acts = [hang_up]
    instance = Instance.of("BRM_01", f"{front.address}/a,{front.address}/b", "0.0.0.1")
    async with SoapGateway([instance]) as gateway:
        with pytest.raises(BrmOutcomeUnknown):
            await gateway.call("BRM_01", WRITE)
    assert len(front.requests) == 1


async def test_nobody_listening_is_unavailable_not_unknown(closed_port: str) -> None:
    async with SoapGateway([Instance.of("BRM_01", closed_port, "0.0.0.1")]) as gateway:
        error = await failing(gateway, WRITE)
    assert error.reason is Reason.BRM_UNAVAILABLE
    assert error.retry_after is not None
    assert gateway.calls[WRITE.opcode] == WRITES.limit


@pytest.mark.parametrize(
    "act", [status(500), status(502), status(504), status(200, "half"), hang_up, fault("STREAM_IO"), fault("")]
)
async def test_a_write_without_a_clear_answer_is_unknown_and_made_once(front: Front, act: Act) -> None:
    front.acts = [act]
    async with SoapGateway([front.instance()]) as gateway:
        with pytest.raises(BrmOutcomeUnknown) as error:
            await gateway.call("BRM_01", WRITE)
    assert error.value.violations[0].metadata["opcode"] == WRITE.opcode
    assert len(front.requests) == 1


@pytest.mark.parametrize("act", [status(500), status(503), hang_up, fault("STREAM_IO"), fault("DEADLOCK"), fault("NO_MEM")])
async def test_a_read_is_made_three_times_at_most(front: Front, act: Act) -> None:
    front.acts = [act] * 2
    async with SoapGateway([front.instance()]) as gateway:
        assert await gateway.call("BRM_01", READ) == OUTPUT
        front.acts = [act] * 3
        await failing(gateway, READ)
    assert len(front.requests) == 6


@pytest.mark.parametrize(
    ("code", "reason", "requests"),
    [
        (401, Reason.BRM_ERROR, 1),
        (403, Reason.BRM_ERROR, 1),
        (404, Reason.BRM_CAPABILITY_MISSING, 1),
        (413, Reason.BRM_ERROR, 1),
        (429, Reason.BRM_BUSY, 5),
        (503, Reason.BRM_UNAVAILABLE, 5),
    ],
)
async def test_a_front_end_that_refuses_did_nothing(front: Front, code: int, reason: Reason, requests: int) -> None:
    front.acts = [status(code)] * 5
    async with SoapGateway([front.instance()]) as gateway:
        assert (await failing(gateway, WRITE)).reason is reason
    assert len(front.requests) == requests


async def test_a_client_fault_is_our_bug(front: Front) -> None:
    async def invalid(request: web.Request) -> web.Response:
        return web.Response(status=500, body=encode_client_fault("schema says no", Dialect()), content_type="text/xml")

    front.acts = [invalid]
    async with SoapGateway([front.instance()]) as gateway:
        error = await failing(gateway, WRITE)
    assert error.reason is Reason.BRM_ERROR
    assert "schema says no" in str(error)


async def test_a_timeout_of_a_write_is_unknown_and_of_a_read_a_timeout(front: Front) -> None:
    instance = front.instance(timeouts={Timeout.READ: 0.05, Timeout.WRITE: 0.05, Timeout.LONG: 0.05})
    async with SoapGateway([instance]) as gateway:
        front.acts = [slow(5)] * 4
        with pytest.raises(BrmOutcomeUnknown):
            await gateway.call("BRM_01", WRITE)
        assert (await failing(gateway, READ)).reason is Reason.BRM_TIMEOUT


async def test_a_deadline_without_room_sends_nothing(front: Front) -> None:
    async with SoapGateway([front.instance()], time_left=lambda: 0.4) as gateway:
        assert (await failing(gateway, WRITE)).reason is Reason.BRM_TIMEOUT
    assert front.requests == []


async def test_a_write_whose_turn_does_not_come_within_the_deadline_is_not_sent(front: Front) -> None:
    front.acts = [slow(0.5)]
    left = iter([30.0] * 3)
    async with SoapGateway([front.instance()], time_left=lambda: next(left, 0.6)) as gateway, asyncio.TaskGroup() as group:
        first = group.create_task(gateway.call("BRM_01", WRITE))
        await asyncio.sleep(0.1)
        left = iter(())
        assert (await failing(gateway, WRITE)).reason is Reason.BRM_TIMEOUT
        assert not first.done() and len(front.requests) == 1


async def test_retries_stop_when_the_deadline_is_too_near(front: Front) -> None:
    left = iter([10.0, 10.0, 10.0, 0.0])
    front.acts = [fault("DEADLOCK")] * 5
    async with SoapGateway([front.instance()], time_left=lambda: next(left, 0.0)) as gateway:
        assert (await failing(gateway, WRITE)).reason is Reason.BRM_CONFLICT
    assert len(front.requests) == 1


async def test_a_full_pool_is_busy_after_a_short_wait(front: Front) -> None:
    front.acts = [slow(0.3)] * 2
    instance = front.instance(max_connections=2, pool_wait=0.05)
    async with SoapGateway([instance]) as gateway:
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(gateway.call("BRM_01", READ))
            await asyncio.sleep(0.05)
            error = await failing(gateway, READ)
        assert error.reason is Reason.BRM_BUSY
        assert await gateway.call("BRM_01", READ) == OUTPUT
    assert front.busiest == 2


async def test_writes_of_one_account_go_one_by_one_and_of_others_side_by_side(front: Front) -> None:
    front.acts = [slow(0.02)] * 3
    other = calls.set_status(Poid("0.0.0.1", "/account", 10_001), Status.INACTIVE)
    async with SoapGateway([front.instance()]) as gateway:
        await asyncio.gather(*(gateway.call("BRM_01", WRITE) for _ in range(3)))
        assert front.busiest == 1
        front.acts = [slow(0.02)] * 2
        await asyncio.gather(gateway.call("BRM_01", WRITE), gateway.call("BRM_01", other))
        assert front.busiest == 2


async def test_after_many_transport_failures_nothing_is_sent_until_a_probe_succeeds(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    from libs.brm.breaker import Breaker

    now = [0.0]
    monkeypatch.setattr("libs.brm.instance_client.Breaker", lambda: Breaker(clock=lambda: now[0]))
    async with SoapGateway([front.instance()]) as gateway:
        front.acts = [status(500)] * 20
        for _ in range(20):
            with pytest.raises(BrmOutcomeUnknown):
                await gateway.call("BRM_01", WRITE)
        sent = len(front.requests)
        assert (await failing(gateway, WRITE)).reason is Reason.BRM_UNAVAILABLE
        assert len(front.requests) == sent
        now[0] = 6.0
        front.acts = [status(500)]
        await failing(gateway, WRITE)
        assert front.requests[-1].method == "GET"
        now[0] = 12.0
        assert await gateway.call("BRM_01", WRITE) == OUTPUT


@pytest.mark.parametrize(
    ("auth", "header"), [(BasicAuth("o2c", "ü"), "Basic bzJjOsO8"), (BearerToken("t0ken"), "Bearer t0ken")]
)
async def test_credentials_travel(front: Front, auth: BasicAuth | BearerToken, header: str) -> None:
    async with SoapGateway([front.instance(auth=auth)]) as gateway:
        await gateway.call("BRM_01", WRITE)
    assert front.requests[0].headers["Authorization"] == header


async def test_a_refused_token_is_read_again_once(front: Front, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old\n")

    async def expired(request: web.Request) -> web.Response:
        path.write_text("new\n")
        return web.Response(status=401)

    front.acts = [expired]
    async with SoapGateway([front.instance(auth=BearerTokenFile(path))]) as gateway:
        assert await gateway.call("BRM_01", WRITE) == OUTPUT
    assert [request.headers["Authorization"] for request in front.requests] == ["Bearer old", "Bearer new"]


async def test_a_site_may_store_its_searches(front: Front) -> None:
    search = calls.find_account_by_number("1-A")

    async def found(request: web.Request) -> web.Response:
        return web.Response(body=encode_response(search.opcode, {"RESULTS": Array.of(OUTPUT)}, Dialect()))

    front.acts = [found]
    stored = {calls.SEARCHES["account_by_number"].template: 901}
    async with SoapGateway([front.instance(stored_searches=stored)]) as gateway:
        await gateway.call("BRM_01", search)
    assert b"<b:POID>0.0.0.1 /search 901 0</b:POID>" in front.bodies[0]
    assert b"TEMPLATE" not in front.bodies[0]


async def test_a_text_refusal_inside_a_success_is_a_refusal(front: Front) -> None:
    async def refused(request: web.Request) -> web.Response:
        body = encode_response(WRITE.opcode, OUTPUT, Dialect()).decode()
        told = body.replace("</b:PCM", "<b:RESULT>0</b:RESULT><b:DESCR>Partial AR amount is over the limit</b:DESCR></b:PCM")
        return web.Response(text=told, content_type="text/xml")

    front.acts = [refused]
    async with SoapGateway([front.instance()]) as gateway:
        error = await failing(gateway, WRITE)
    assert error.reason is Reason.BRM_REJECTED
    assert "Partial AR amount is over the limit" in error.violations[0].message


@pytest.mark.spec("brm:8.7")
async def test_a_bill_unit_change_that_brm_swallowed_is_not_applied(front: Front) -> None:
    unit, payinfo, stale = (Poid("0.0.0.1", f"/{name}", 10_001) for name in ("billinfo", "payinfo/cc", "payinfo/invoice"))
    change = calls.update_customer(ACCOUNT, bill_units=[calls.BillUnit(poid=unit, payinfo=payinfo, bill_when=3)])

    def stored(value: Poid) -> Act:
        async def act(request: web.Request) -> web.Response:
            return web.Response(body=encode_response(READ.opcode, {"POID": unit, "PAYINFO_OBJ": value}, Dialect()))

        return act

    async def accepted(request: web.Request) -> web.Response:
        return web.Response(body=encode_response(change.opcode, OUTPUT, Dialect()))

    front.acts = [accepted, stored(stale), accepted, stored(payinfo)]
    async with SoapGateway([front.instance()]) as gateway:
        assert (await failing(gateway, change)).reason is Reason.BRM_NOT_APPLIED
        assert await gateway.call("BRM_01", change) == OUTPUT


async def test_a_call_that_cannot_be_written_sends_nothing(front: Front) -> None:
    async with SoapGateway([front.instance()]) as gateway:
        error = await failing(gateway, BrmCall(WRITE.opcode, {"POID": ACCOUNT, "NOPE": 1}))
    assert error.reason is Reason.BRM_ERROR
    assert "NOPE" in str(error)
    assert front.requests == []


async def test_calculating_a_purchase_is_a_read(front: Front) -> None:
    deal = calls.Deal(products=(calls.ProductPurchase(product="/product 20011"),))
    calculation = calls.purchase_deal(ACCOUNT, deal, calculate_only=True)

    async def total(request: web.Request) -> web.Response:
        return web.Response(body=encode_response(calculation.opcode, OUTPUT, Dialect()))

    front.acts = [hang_up, total]
    async with SoapGateway([front.instance()]) as gateway:
        assert await gateway.call("BRM_01", calculation) == OUTPUT

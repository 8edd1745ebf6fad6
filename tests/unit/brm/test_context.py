"""What BRM and its front ends are told about the call a request is made for, and whether an instance counts as healthy."""

from __future__ import annotations

import pytest

from libs.brm import instance_client
from libs.brm.call import BrmCall
from libs.brm.client import SoapGateway, open_gateway
from libs.brm.codec import Dialect, decode_request
from libs.brm.errors import BrmError
from libs.brm.health import health_checks
from libs.brm.specs import Timeout
from libs.config import BillingSystem
from libs.grpckit.context import Call, enter, outgoing, scope
from tests.support.front import READ, WRITE, Front, fault, hang_up, proper, slow, status

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_a_request_carries_the_request_id_and_the_trace_of_the_running_call(front: Front) -> None:
    async with open_gateway([BillingSystem(code="BRM_01", endpoint=front.address)]) as gateway:
        with scope(request_id="REQ-7"):
            enter(Call("REQ-7", trace=TRACE))
            await gateway.call("BRM_01", READ)
            await gateway.call("BRM_01", WRITE)
    for request in front.requests:
        assert (request.headers["x-request-id"], request.headers["traceparent"]) == ("REQ-7", TRACE)
    read, write = (decode_request(body, Dialect()).input for body in front.bodies)
    assert "CORRELATION_ID" not in read
    assert write["CORRELATION_ID"] == "REQ-7", "and BRM keeps it with the event"


async def test_outside_of_calls_nothing_is_made_up(front: Front) -> None:
    async with open_gateway([BillingSystem(code="BRM_01", endpoint=front.address)]) as gateway:
        await gateway.call("BRM_01", WRITE)
    assert not {"x-request-id", "traceparent"} & {name.lower() for name in front.requests[0].headers}
    assert "CORRELATION_ID" not in decode_request(front.bodies[0], Dialect()).input


async def test_a_correlation_id_that_the_plan_gives_stays(front: Front) -> None:
    given = BrmCall(WRITE.opcode, WRITE.input | {"CORRELATION_ID": "ORDER-1"})
    async with SoapGateway([front.instance()], headers=lambda: {"x-request-id": "R" * 300}) as gateway:
        await gateway.call("BRM_01", given)
        await gateway.call("BRM_01", WRITE)
    assert [decode_request(body, Dialect()).input["CORRELATION_ID"] for body in front.bodies] == ["ORDER-1", "R" * 255]


@pytest.mark.parametrize("request_id", ["a\r\nEvil: 1", "ü"])
def test_a_request_id_that_is_no_header_is_kept_to_ourselves(request_id: str) -> None:
    with scope(request_id=request_id):
        assert outgoing() == {}


async def test_an_instance_that_answered_a_read_is_healthy_without_being_asked(front: Front) -> None:
    async with SoapGateway([front.instance()]) as gateway:
        await gateway.call("BRM_01", READ)
        assert await gateway.healthy("BRM_01")
    assert len(front.requests) == 1


async def test_at_the_start_a_wsdl_is_enough(front: Front) -> None:
    front.acts = [status(200), status(503)]
    async with SoapGateway([front.instance()]) as gateway:
        assert await gateway.healthy("BRM_01")
        assert not await gateway.healthy("BRM_01")
    assert [request.method for request in front.requests] == ["GET", "GET"]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start is long ago."""
    monkeypatch.setattr(instance_client, "QUIET_SECONDS", 0.0)


@pytest.mark.usefixtures("later")
async def test_a_silent_instance_is_asked_for_its_wsdl_and_a_read(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    front.acts = [proper, status(200), fault("NOT_FOUND")]
    async with SoapGateway([front.instance()]) as gateway:
        await gateway.call("BRM_01", WRITE)
        assert await gateway.healthy("BRM_01"), "a write tells nothing about reads"
        assert [request.method for request in front.requests] == ["POST", "GET", "POST"]
        monkeypatch.setattr(instance_client, "HEALTHY_SECONDS", -1.0)
        assert not await gateway.healthy("BRM_01"), "what was answered long ago does not count"


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize(
    ("acts", "healthy"),
    [
        ([status(200), fault("NOT_FOUND")], True),
        ([status(200), fault("BAD_VALUE")], True),
        ([status(503)], False),
        ([hang_up], False),
        ([status(200), hang_up], False),
        ([status(200), status(500)], False),
        ([status(200), slow(3600)], False),
    ],
    ids=["no such object", "refused", "no WSDL", "WSDL cut", "read cut", "read failed", "read too slow"],
)
async def test_an_instance_is_healthy_when_it_answers_whatever_it_says(front: Front, acts: list, healthy: bool) -> None:
    front.acts = acts
    instance = front.instance(timeouts=dict.fromkeys(Timeout, 0.2))
    async with SoapGateway([instance]) as gateway:
        assert await gateway.healthy("BRM_01") is healthy


async def test_each_instance_has_a_health_name_of_its_own() -> None:
    systems = [BillingSystem(code="BRM_01", endpoint="http://127.0.0.1:9"), BillingSystem(code="BRM_02")]
    async with open_gateway(systems) as gateway:
        checks = health_checks(gateway, systems)
        assert list(checks) == ["brm.BRM_01"]
        assert await checks["brm.BRM_01"]() is False
        with pytest.raises(BrmError):
            await gateway.healthy("BRM_02")

"""What a site's settings change about calls."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import brm_samples
import pytest
from aiohttp import web

from libs.brm import calls, startup
from libs.brm.auth import BearerToken
from libs.brm.client import SoapGateway
from libs.brm.codec import Dialect, encode_response
from libs.brm.errors import BrmError, BrmOutcomeUnknown
from libs.brm.flist import Flist
from libs.brm.poid import Poid
from libs.errors import Reason
from tests.support.front import ACCOUNT, READ, Act, Front, hang_up


async def test_a_lost_write_is_looked_for_as_often_as_the_site_says(front: Front) -> None:
    create = calls.bill_group_create(ACCOUNT, name="Acme")
    nothing = encode_response("PCM_OP_SEARCH", {}, Dialect())

    async def search(request: web.Request) -> web.Response:
        return web.Response(body=nothing)

    front.acts = [hang_up, *[search] * 9]
    async with SoapGateway([front.instance(settle_delays=(0.0, 0.0, 0.0, 0.0))]) as gateway:
        with pytest.raises(BrmOutcomeUnknown):
            await gateway.call("BRM_01", create)
        assert await gateway.settle("BRM_01", create) is None
        assert gateway.calls == {create.opcode: 1, "PCM_OP_SEARCH": 4}


async def test_a_token_that_would_break_the_request_is_not_sent(front: Front) -> None:
    async with SoapGateway([front.instance(auth=BearerToken("x\r\nEvil: 1"))]) as gateway:
        with pytest.raises(BrmError, match="line break"):
            await gateway.call("BRM_01", READ)
    assert front.requests == []


async def test_an_action_that_only_says_something_has_been_refused(front: Front) -> None:
    """Where a site leaves RESULT out of the refusals of 3.3."""
    adjust = calls.ar_event_adjustment(ACCOUNT, ["/event/x 1"], brm_samples.credit())
    said, item = {"POID": ACCOUNT, "DESCR": "Partial AR amount is over the limit"}, Poid("0.0.0.1", "/item/adjustment", 9)

    def answering(output: Flist) -> Act:
        async def act(request: web.Request) -> web.Response:
            return web.Response(body=encode_response(adjust.opcode, output, Dialect()))

        return act

    front.acts = [answering(said), answering(said | {"ITEM_OBJ": item}), answering({"POID": ACCOUNT})]
    async with SoapGateway([front.instance()]) as gateway:
        with pytest.raises(BrmError, match="over the limit") as refused:
            await gateway.call("BRM_01", adjust)
        assert (await gateway.call("BRM_01", adjust))["ITEM_OBJ"] == item, "a remark on something that was made"
        assert await gateway.call("BRM_01", adjust) == {"POID": ACCOUNT}
    assert refused.value.reason is Reason.BRM_REJECTED
    assert {"brm_error", "brm_field", "opcode", "system"} == set(refused.value.violations[0].metadata)


async def test_what_an_instance_offers_is_asked_again_when_it_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Instance:
        async def probe(self, system_id: str) -> frozenset[str]:
            asked.append(system_id)
            if len(asked) == 3:
                raise asyncio.CancelledError
            return frozenset()

        def missing(self, system_id: str, opcodes: Iterable[str]) -> frozenset[str]:
            return frozenset()

    monkeypatch.setattr(startup, "DELAYS", (0.0,))
    with pytest.raises(asyncio.CancelledError):
        await startup.watch_capabilities(Instance(), "BRM_01", (), every=0.0)
    assert asked == ["BRM_01"] * 3


@pytest.mark.parametrize("reason", [Reason.BRM_REJECTED, Reason.BRM_ERROR, Reason.BRM_NOT_APPLIED])
def test_metadata_always_has_room_for_brms_error_and_field(reason: Reason) -> None:
    error = BrmError(reason, "no", system_id="BRM_01", opcode="PCM_OP_X")
    assert error.violations[0].metadata == {"system": "BRM_01", "opcode": "PCM_OP_X", "brm_error": "", "brm_field": ""}

"""What a site's settings change about calls."""

from __future__ import annotations

import pytest
from aiohttp import web

from libs.brm import calls
from libs.brm.auth import BearerToken
from libs.brm.client import SoapGateway
from libs.brm.codec import Dialect, encode_response
from libs.brm.errors import BrmError, BrmOutcomeUnknown
from tests.support.front import ACCOUNT, READ, Front, hang_up


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

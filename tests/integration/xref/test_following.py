"""Services that hold value maps in memory: they see edits soon, and a flow sees none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import grpc.aio
import pytest

from libs.config import BillingSystem, local_settings
from libs.dvm import COMMON, standard_maps
from libs.dvm.client import followed_value_maps
from libs.errors import O2CError, Reason
from libs.grpckit.channel import open_channel
from libs.pb.xref.v1 import value_maps_pb2 as pb
from libs.pb.xref.v1.value_maps_pb2_grpc import ValueMapServiceStub
from services.xref.config import Settings
from services.xref.server import running_xref


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[grpc.aio.Channel]:
    """The xref service, by a channel to it."""
    systems = [BillingSystem(code="BRM_01")]
    async with running_xref(local_settings(Settings), systems) as address, open_channel(address) as found:
        yield found


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    async with (
        running_xref(local_settings(Settings), [BillingSystem(code="BRM_01")]) as address,
        open_channel(address) as found,
    ):
        yield found


async def edit(channel: grpc.aio.Channel, cell: str) -> None:
    stub = ValueMapServiceStub(channel)
    known = await stub.GetValueMap(pb.GetValueMapRequest(name="CONTACT_SALUTATION"))
    known.map.rows[0].cells[2] = cell
    await stub.PutValueMap(pb.PutValueMapRequest(map=known.map, expected_version=known.version.version))


async def test_the_first_answer_holds_every_map(channel: grpc.aio.Channel) -> None:
    known = await followed_value_maps(channel).current()
    assert known.maps.maps == standard_maps().maps and known.revision == len(standard_maps().maps)


async def test_an_edit_arrives_by_itself_and_a_flow_keeps_what_it_began_with(channel: grpc.aio.Channel) -> None:
    following = followed_value_maps(channel)
    stub = ValueMapServiceStub(channel)
    async with following.followed(0.01), asyncio.timeout(10):
        flow = await following.current()
        await edit(channel, "Herr")
        while (await following.current()).maps.find("CONTACT_SALUTATION", "MR", COMMON, "BRM_01") != "Herr":
            await stub.ListValueMaps(pb.ListValueMapsRequest(page_size=1))  # lets the background ask, too
        assert flow.maps.find("CONTACT_SALUTATION", "MR", COMMON, "BRM_01") == "Mr."
        now = await following.current()
        assert now.maps.get("CURRENCY_CODE") is flow.maps.get("CURRENCY_CODE"), "only what changed is fetched"


async def test_without_the_service_the_first_question_is_refused_and_a_later_one_keeps_what_is_known() -> None:
    async with open_channel("127.0.0.1:1") as nowhere:
        with pytest.raises(O2CError) as caught:
            await followed_value_maps(nowhere).current()
        assert caught.value.violations[0].reason is Reason.XREF_UNAVAILABLE
    async with (
        running_xref(local_settings(Settings), [BillingSystem(code="BRM_01")]) as address,
        open_channel(address) as there,
    ):
        following = followed_value_maps(there)
        known = await following.current()
    assert await following.current() is known

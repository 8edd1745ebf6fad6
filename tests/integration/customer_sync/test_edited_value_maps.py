"""Value maps that an administrator edits reach the next order; a deployment with a file of its own goes by that."""

from __future__ import annotations

import asyncio
from pathlib import Path

import customer_suite
import grpc
from customer_suite import Suite
from customers import account, address, bundle, order, request

from libs.errors import Reason
from libs.grpckit.channel import open_channel
from libs.grpckit.status import from_rpc_error
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from libs.pb.order.v1.order_pb2 import Order
from libs.pb.xref.v1 import value_maps_pb2
from libs.pb.xref.v1.value_maps_pb2_grpc import ValueMapServiceStub

COUNTRIES = "ADDRESS_COUNTRYID"


def from_atlantis(name: str) -> Order:
    """An order for a new account in a country that no delivered map lists."""
    moved = account(name, primary_address=address(name) | {"country": "Atlantis"})
    return order([bundle(1, name, name, f"P-{name}")], [moved])


async def add_atlantis(suite: Suite) -> None:
    async with open_channel(suite.xref_address) as channel:
        stub = ValueMapServiceStub(channel)
        known = await stub.GetValueMap(value_maps_pb2.GetValueMapRequest(name=COUNTRIES))
        texts = {"COMMON": "ATL", "SEBL_01": "Atlantis", "BRM_01": "ATLANTIS"}
        known.map.rows.add(cells=[texts.get(column, "") for column in known.map.columns])
        put = value_maps_pb2.PutValueMapRequest(map=known.map, expected_version=known.version.version, comment="it rose again")
        await stub.PutValueMap(put)


async def refusals(suite: Suite, document: Order) -> set[tuple[Reason, str]]:
    try:
        await suite.sync(request(document, validate_only=True))
    except grpc.aio.AioRpcError as error:
        return {(one.reason, one.field) for one in from_rpc_error(error).violations}
    return set()


async def test_a_country_added_to_its_map_is_understood_by_the_next_order() -> None:
    unmapped = {(Reason.DVM_UNMAPPED, "order.accounts[0].primary_address.country")}
    async with customer_suite.running_suite(site_poll_seconds=0.02) as suite:
        assert await refusals(suite, from_atlantis("ANN")) == unmapped
        await add_atlantis(suite)
        async with asyncio.timeout(10):
            while await refusals(suite, from_atlantis("ANN")):
                continue
        answer = await suite.sync(request(from_atlantis("ANN"), "R1"))
        assert answer.outcome == pb.SYNC_OUTCOME_OK
        (sent,) = [call for call in await suite.brm.calls() if call["opcode"].endswith("COMMIT_CUSTOMER")]
        assert "ATLANTIS" in str(sent)


async def test_a_deployment_with_a_file_of_its_own_goes_by_that(tmp_path: Path) -> None:
    own = tmp_path / "maps.toml"
    own.write_text(
        f'[{COUNTRIES}]\ncolumns = ["COMMON", "SEBL_01", "BRM_01"]\nrows = [["ATL", "Atlantis", "ATLANTIS"]]\n',
        encoding="utf-8",
    )
    async with customer_suite.running_suite(value_maps_file=own) as suite:
        american = {(Reason.DVM_UNMAPPED, "order.billing_profiles[0].address.country")}
        assert await refusals(suite, from_atlantis("ANN")) == american, "its map knows Atlantis and no other country"

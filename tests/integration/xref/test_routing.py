"""Routing as a service: decisions from what is cross-referenced, a routing table that changes while it runs, new instances.

BRM_01 sells W, BRM_02 sells B, both sell P.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from libs.config import BillingSystem, SettingsError, local_settings
from libs.errors import CODES, O2CError, Reason
from libs.grpckit.channel import open_channel
from libs.grpckit.status import from_rpc_error, from_status
from libs.pb.xref.v1 import routing_pb2 as pb
from libs.pb.xref.v1 import value_maps_pb2 as maps_pb
from libs.pb.xref.v1.routing_pb2_grpc import RoutingServiceStub
from libs.pb.xref.v1.value_maps_pb2_grpc import ValueMapServiceStub
from libs.xref.client import GrpcXref, Mode, XrefKey, XrefWrite
from services.xref.config import Settings
from services.xref.server import running_xref

SYSTEMS = (BillingSystem(code="BRM_01"), BillingSystem(code="BRM_02"))
PRODUCTS = {"W": ("BRM_01",), "B": ("BRM_02",), "P": ("BRM_01", "BRM_02")}
CARE = pb.ROUTE_OPERATION_CARE_QUERY


class Serving:
    """The xref service with its stubs."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.routing = RoutingServiceStub(channel)
        self.maps = ValueMapServiceStub(channel)
        self.xref = GrpcXref(channel)

    async def know(self, table: str, crm_id: str, *systems: str) -> None:
        """Cross-reference an object in these instances."""
        key = XrefKey(table, "SEBL_01", crm_id)
        await self.xref.get_or_create([key])
        class_ = {"ITEM_ITEMID": "/product", "CUSTOMERPARTY_ACCOUNTID": "/account"}.get(table, "/billinfo")
        number = int.from_bytes(crm_id.encode())
        writes = [XrefWrite(*key, system, f"0.0.0.{int(system[-2:])} {class_} {number} 0", Mode.LINK) for system in systems]
        await self.xref.populate(writes)

    async def catalogue(self) -> None:
        for product, systems in PRODUCTS.items():
            await self.know("ITEM_ITEMID", product, *systems)

    async def resolve(self, *subjects: pb.RouteSubject) -> list[pb.RouteResult]:
        answer = await self.routing.ResolveRoutes(pb.ResolveRoutesRequest(subjects=subjects))
        return list(answer.results)

    async def table(self) -> pb.GetRoutingTableResponse:
        answer: pb.GetRoutingTableResponse = await self.routing.GetRoutingTable(pb.GetRoutingTableRequest())
        return answer


@contextlib.asynccontextmanager
async def serving(
    url: str = "sqlite://:memory:", systems: tuple[BillingSystem, ...] = SYSTEMS, **more: Any
) -> AsyncIterator[Serving]:
    settings = local_settings(Settings, database_url=url, routing_poll_seconds=0.02, **more)
    async with running_xref(settings, systems) as address, open_channel(address) as channel:
        yield Serving(channel)


@pytest.fixture
async def site(database_url: str) -> AsyncIterator[Serving]:
    async with serving(database_url) as running:
        yield running


def line(name: str, product: str, profile: str = "", **more: Any) -> pb.RouteSubject:
    subject = pb.OrderLineSubject(billable=True, product_id=product, product_required=True, billing_profile_id=profile, **more)
    return pb.RouteSubject(subject_id=name, order_line=subject)


def asks(operation: int, name: str = "it", **more: str) -> pb.RouteSubject:
    return pb.RouteSubject(subject_id=name, operation=pb.OperationSubject(operation=operation, **more))


def reason(result: pb.RouteResult) -> Reason:
    return from_status(result.error).violations[0].reason


async def failure(call: Awaitable[Any]) -> O2CError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = from_rpc_error(caught.value)
    assert caught.value.code().name == CODES[error.violations[0].reason]
    return error


# --- ResolveRoutes -------------------------------------------------------------------------------------------------------


async def test_every_subject_is_answered_in_order_with_evidence_or_its_own_error(site: Serving) -> None:
    await site.catalogue()
    await site.know("CUSTOMERPARTY_ACCOUNTID", "A", "BRM_01", "BRM_02")
    results = await site.resolve(
        line("L1", "W", "BP1"),
        asks(pb.ROUTE_OPERATION_ACCOUNT_UPDATE, "account", account_id="A"),
        line("L2", "P", "BP2"),
        line("L3", "Z", "BP3"),
    )
    assert [result.subject_id for result in results] == ["L1", "account", "L2", "L3"]
    assert (list(results[0].system_ids), results[0].decided_by) == (["BRM_01"], "E4 product W is known in BRM_01")
    assert [(step.rank, list(step.candidates)) for step in results[0].steps] == [("E4", ["BRM_01"])]
    assert list(results[1].system_ids) == ["BRM_01", "BRM_02"]
    ambiguous = from_status(results[2].error).violations[0]
    assert (ambiguous.reason, ambiguous.metadata["candidates"]) == (Reason.ROUTE_AMBIGUOUS, "BRM_01,BRM_02")
    assert results[2].steps[0].text == "product P is known in BRM_01, BRM_02"
    assert reason(results[3]) is Reason.ROUTE_PRODUCT_NOT_SYNCED


async def test_promotions_bundles_traits_and_recorded_decisions_travel_on_the_wire(site: Serving) -> None:
    await site.catalogue()
    results = await site.resolve(
        pb.RouteSubject(
            subject_id="promotion",
            order_line=pb.OrderLineSubject(billable=True, components=pb.LineIds(line_ids=["1", "2", "3"])),
        ),
        line("1", "W", "BP1", group="1"),
        line("2", "P", "BP1", group="1"),
        line("3", "P", "BP2", recorded_system_ids=["BRM_02"], target_system_id="BRM_01"),
    )
    assert [list(result.system_ids) for result in results] == [["BRM_01", "BRM_02"], ["BRM_01"], ["BRM_01"], ["BRM_02"]]
    assert results[3].decided_by == "recorded line 3 is in fulfilment in BRM_02"


async def test_the_answer_of_a_large_bundle_grows_with_its_lines_and_not_with_their_square(site: Serving) -> None:
    """Every line carries the evidence of its bundle, whose assets are all known."""
    await site.catalogue()
    keys = [XrefKey("INSTALLEDPRODUCT_ID", "SEBL_01", f"A{number}") for number in range(800)]
    await site.xref.get_or_create(keys)
    await site.xref.populate([XrefWrite(*key, "BRM_01", f"s-{key.ref_value}", kind="SERVICE") for key in keys])
    sizes = []
    for count in (400, 800):
        lines = [line(f"L{n}", "P", "BP", group="L0", asset_integration_id=f"A{n}", position=n) for n in range(count)]
        results = await site.resolve(*lines)
        assert {tuple(result.system_ids) for result in results} == {("BRM_01",)}
        sizes.append(sum(result.ByteSize() for result in results))
    assert sizes[1] < 2.1 * sizes[0], sizes


async def test_a_price_list_needs_a_value_for_the_instance_once_the_map_has_rows(site: Serving) -> None:
    await site.catalogue()
    asked = line("L", "W", "BP", price_list="Premium")
    assert not (await site.resolve(asked))[0].HasField("error")
    rows = [maps_pb.ValueMapRow(cells=["PREMIUM", "Premium", "", "Premium plan"])]
    price_lists = maps_pb.ValueMap(name="PRICELIST", columns=["COMMON", "SEBL_01", "BRM_01", "BRM_02"], rows=rows)
    await site.maps.PutValueMap(maps_pb.PutValueMapRequest(map=price_lists, expected_version=1))
    (result,) = await site.resolve(asked)
    assert reason(result) is Reason.PRICE_LIST_UNKNOWN and list(result.system_ids) == ["BRM_01"]


async def test_what_is_wrong_with_the_request_is_named_at_once(site: Serving) -> None:
    subjects = [
        pb.RouteSubject(subject_id="", order_line=pb.OrderLineSubject()),
        line("1", "W"),
        line("1", "W"),
        pb.RouteSubject(subject_id="2"),
        asks(0, "3"),
        asks(CARE, "4"),
        asks(99, "5"),
    ]
    error = await failure(site.routing.ResolveRoutes(pb.ResolveRoutesRequest(subjects=subjects)))
    assert [(one.reason, one.field) for one in error.violations] == [
        (Reason.ENUM_UNKNOWN, "subjects[6].operation.operation"),
        (Reason.FIELD_MISSING, "subjects[0].subject_id"),
        (Reason.FIELD_MISSING, "subjects[2].subject_id"),
        (Reason.FIELD_MISSING, "subjects[3].subject"),
        (Reason.FIELD_MISSING, "subjects[4].operation.operation"),
        (Reason.FIELD_MISSING, "subjects[5].operation.billing_profile_id"),
    ]
    many = pb.ResolveRoutesRequest(subjects=[asks(CARE, str(at)) for at in range(10_001)])
    assert (await failure(site.routing.ResolveRoutes(many))).violations[0].reason is Reason.XREF_BATCH_TOO_LARGE
    unknown = pb.ResolveRoutesRequest(subjects=[line("1", "W")], source_system="SEBL_09")
    error = await failure(site.routing.ResolveRoutes(unknown))
    assert [(one.reason, one.field) for one in error.violations] == [(Reason.XREF_COLUMN_UNKNOWN, "source_system")]


async def test_an_empty_request_is_an_empty_answer(site: Serving) -> None:
    assert await site.resolve() == []


# --- other operations ----------------------------------------------------------------------------------------------------


async def test_an_account_is_updated_in_every_instance_that_knows_it(site: Serving) -> None:
    await site.know("CUSTOMERPARTY_ACCOUNTID", "BOTH", "BRM_01", "BRM_02")
    await site.know("CUSTOMERPARTY_ACCOUNTID", "NONE")
    both, none, never = await site.resolve(
        *(asks(pb.ROUTE_OPERATION_ACCOUNT_UPDATE, name, account_id=name) for name in ("BOTH", "NONE", "NEVER"))
    )
    assert list(both.system_ids) == ["BRM_01", "BRM_02"]
    for nothing in (none, never):
        assert not nothing.system_ids and not nothing.HasField("error") and nothing.decided_by.endswith("nothing to do")


@pytest.mark.spec("xref-and-routing:RT17", "xref-and-routing:RT18")
async def test_billing_care_needs_exactly_one_instance_of_a_profile(site: Serving) -> None:
    await site.know("CUSTOMERPARTY_BILLPROFILEID", "BP2", "BRM_02")
    await site.know("CUSTOMERPARTY_BILLPROFILEID", "ORDERED")
    await site.know("CUSTOMERPARTY_BILLPROFILEID", "BP1", "BRM_01", "BRM_02")
    one, never, waiting, several, elsewhere = await site.resolve(
        asks(CARE, "1", billing_profile_id="BP2"),
        asks(CARE, "2", billing_profile_id="NEVER"),
        asks(CARE, "3", billing_profile_id="ORDERED"),
        asks(CARE, "4", billing_profile_id="BP1"),
        asks(CARE, "5", billing_profile_id="BP2", system_id="BRM_01"),
    )
    assert (list(one.system_ids), one.decided_by) == (["BRM_02"], "E3 billing profile BP2 is known in BRM_02")
    assert [reason(result) for result in (never, waiting, several, elsewhere)] == [
        Reason.BILLING_PROFILE_NOT_FOUND,
        Reason.ROUTE_PROFILE_NOT_SYNCED,
        Reason.ROUTE_PROFILE_AMBIGUOUS,
        Reason.ROUTE_TARGET_MISMATCH,
    ]


@pytest.mark.spec("xref-and-routing:RT19")
async def test_an_id_of_another_instance_is_foreign_and_its_system_named(site: Serving) -> None:
    await site.know("CUSTOMERPARTY_BILLPROFILEID", "BP1", "BRM_01")
    operation = pb.ROUTE_OPERATION_CARE_OBJECT
    own, foreign = await site.resolve(
        asks(operation, "own", billing_profile_id="BP1", object_id="0.0.0.1 /bill 4711 0"),
        asks(operation, "foreign", billing_profile_id="BP1", object_id="0.0.0.2 /bill 4711 0"),
    )
    assert list(own.system_ids) == ["BRM_01"]
    assert reason(foreign) is Reason.OBJECT_FOREIGN and "BRM_02" in foreign.error.message


# --- the routing table ---------------------------------------------------------------------------------------------------

TABLE = """
[[rules]]
name = "business goes to two"
system = "BRM_02"
when = { segment = ["Business"] }
"""


async def until(site: Serving, holds: Any) -> pb.GetRoutingTableResponse:
    """The first table of which ``holds`` is true; the test's own timeout ends a wait in vain."""
    while True:
        table = await site.table()
        if holds(table):
            return table


async def test_a_changed_rule_decides_without_a_restart_and_a_wrong_table_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "routing.toml"
    file.write_text("")
    async with serving(routing_file=file) as site:
        await site.catalogue()
        asked = line("L", "P", "BP", traits={"segment": "Business"})
        assert reason((await site.resolve(asked))[0]) is Reason.ROUTE_AMBIGUOUS
        first = await site.table()
        file.write_text(TABLE)
        second = await until(site, lambda table: table.version != first.version)
        (result,) = await site.resolve(asked)
        assert (list(result.system_ids), result.decided_by) == (
            ["BRM_02"],
            "E5 rule 1 (business goes to two) sends it to BRM_02",
        )
        assert [(rule.name, rule.system_id) for rule in second.rules] == [("business goes to two", "BRM_02")]
        file.write_text(TABLE.replace("BRM_02", "BRM_07") + 'speed = "high"\n[more]\n')
        refused = await until(site, lambda table: table.refused)
        assert refused.version == second.version
        assert "rules[0].system: BRM_07 is no billing system" in refused.refused and "more: no such key" in refused.refused
        assert list((await site.resolve(asked))[0].system_ids) == ["BRM_02"]
        file.write_text("")
        assert (await until(site, lambda table: not table.refused)).version == first.version


async def test_processes_with_the_same_table_have_the_same_version(tmp_path: Path) -> None:
    file = tmp_path / "routing.toml"
    file.write_text(TABLE)
    async with serving(routing_file=file) as here, serving(routing_file=file) as there:
        assert (await here.table()).version == (await there.table()).version


async def test_a_service_does_not_start_with_a_wrong_table(tmp_path: Path) -> None:
    file = tmp_path / "routing.toml"
    file.write_text(
        'default_system = "BRM_05"\nbilling_care_enabled = "yes"\n[[rules]]\nsystem = "BRM_01"\nwhen = { color = ["red"] }\n'
    )
    with pytest.raises(SettingsError) as caught:
        async with serving(routing_file=file):
            pass
    for said in ("default_system: BRM_05 is no billing system", "billing_care_enabled: true or false", "rules[0].when.color"):
        assert said in str(caught.value)


# --- new instances -------------------------------------------------------------------------------------------------------

THIRD = """
[[billing_systems]]
code = "BRM_01"
[[billing_systems]]
code = "BRM_02"
[[billing_systems]]
code = "BRM_03"
"""


async def test_a_new_instance_gets_columns_and_stays_disabled_until_it_has_its_value_maps(
    database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "routing.toml"
    file.write_text(THIRD)
    async with serving(database_url, systems=SYSTEMS, routing_file=file) as site:
        third = (await site.table()).instances[2]
        assert (third.code, third.enabled, third.listed_enabled) == ("BRM_03", False, True)
        assert any("CURRENCY_CODE has no BRM_03 value for USD" in problem for problem in third.problems)
        await site.know("ITEM_ITEMID", "T", "BRM_03")
        (stamped,) = await site.resolve(line("L", "T", "BP", target_system_id="BRM_03"))
        assert reason(stamped) is Reason.ROUTE_SYSTEM_DISABLED

        examined = await site.routing.ValidateSystem(pb.ValidateSystemRequest(system_id="BRM_03"))
        assert not examined.passed and not examined.enabled
        for empty in examined.empty_cells:
            current = (await site.maps.GetValueMap(maps_pb.GetValueMapRequest(name=empty.map))).map
            at = list(current.columns).index("BRM_01")
            current.columns.append("BRM_03")
            for row in current.rows:
                row.cells.append(row.cells[at])
            await site.maps.PutValueMap(maps_pb.PutValueMapRequest(map=current, expected_version=1, comment="a third BRM"))
        checked = await site.routing.ValidateSystem(pb.ValidateSystemRequest(system_id="BRM_03", validate_only=True))
        assert checked.passed and not checked.enabled and not checked.problems
        passed = await site.routing.ValidateSystem(pb.ValidateSystemRequest(system_id="BRM_03"))
        assert passed.passed and passed.enabled
        assert list((await site.resolve(line("L", "T", "BP")))[0].system_ids) == ["BRM_03"]
    async with serving(database_url, systems=SYSTEMS, routing_file=file) as site:
        assert (await site.table()).instances[2].enabled, "what has passed stays so"


async def test_an_instance_that_passes_in_one_process_takes_part_in_all(database_url: str, tmp_path: Path) -> None:
    moved = (SYSTEMS[0], BillingSystem(code="BRM_02", db_no="0.0.0.9"))
    async with serving(database_url) as before:
        await before.know("CUSTOMERPARTY_ACCOUNTID", "A", "BRM_02")
    async with serving(database_url, systems=moved) as here, serving(database_url, systems=moved) as there:
        assert not (await there.table()).instances[1].enabled
        key = XrefKey("CUSTOMERPARTY_ACCOUNTID", "SEBL_01", "A")
        await here.xref.populate([XrefWrite(*key, "BRM_02", "0.0.0.9 /account 7 0", Mode.UPDATE)])
        await here.routing.ValidateSystem(pb.ValidateSystemRequest(system_id="BRM_02"))
        taken = await until(there, lambda table: table.instances[1].enabled)
        assert taken.version == (await here.table()).version and not taken.instances[1].problems


async def test_a_code_leads_to_another_brm_only_when_nothing_of_the_old_one_is_left(database_url: str) -> None:
    async with serving(database_url) as site:
        await site.know("CUSTOMERPARTY_ACCOUNTID", "A", "BRM_02")
    moved = (SYSTEMS[0], BillingSystem(code="BRM_02", db_no="0.0.0.9"))
    async with serving(database_url, systems=moved) as site:
        second = (await site.table()).instances[1]
        assert not second.enabled and "led to database 0.0.0.2" in second.problems[0]
        refused = await site.routing.ValidateSystem(pb.ValidateSystemRequest(system_id="BRM_02"))
        assert not refused.passed
        key = XrefKey("CUSTOMERPARTY_ACCOUNTID", "SEBL_01", "A")
        await site.xref.populate([XrefWrite(*key, "BRM_02", "0.0.0.9 /account 7 0", Mode.UPDATE)])
        passed = await site.routing.ValidateSystem(pb.ValidateSystemRequest(system_id="BRM_02"))
        assert passed.passed and passed.enabled
    async with serving(database_url, systems=moved) as site:
        assert (await site.table()).instances[1].enabled


async def test_a_code_without_any_values_may_lead_elsewhere_at_once(database_url: str) -> None:
    async with serving(database_url):
        pass
    async with serving(database_url, systems=(SYSTEMS[0], BillingSystem(code="BRM_02", db_no="0.0.0.9"))) as site:
        assert (await site.table()).instances[1].enabled


async def test_an_unknown_instance_is_not_examined(site: Serving) -> None:
    error = await failure(site.routing.ValidateSystem(pb.ValidateSystemRequest(system_id="BRM_09")))
    assert [(one.reason, one.field) for one in error.violations] == [(Reason.ROUTE_SYSTEM_UNKNOWN, "system_id")]

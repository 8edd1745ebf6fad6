"""Value maps as a service: translations, edits with versions, files; on each database, across restarts and processes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from pydantic import SecretStr

from libs.config import BillingSystem, local_settings
from libs.db import Database
from libs.dvm import COMMON, ValueMap, ValueMaps, standard_maps
from libs.dvm.aia import write_map
from libs.errors import CODES, O2CError, Reason
from libs.grpckit.channel import open_channel
from libs.grpckit.status import from_rpc_error, from_status
from libs.pb.xref.v1 import value_maps_pb2 as pb
from libs.pb.xref.v1.value_maps_pb2_grpc import ValueMapServiceStub
from services.xref.config import Settings
from services.xref.domain.model import Audit
from services.xref.domain.value_maps import Write
from services.xref.server import running_xref
from services.xref.value_map_store import ValueMapStore, ValueMapVersionRecord

SYSTEMS = (BillingSystem(code="BRM_01"), BillingSystem(code="BRM_02"))
PRICES = pb.ValueMap(
    name="PRICELIST",
    purpose="price lists of the site",
    columns=["COMMON", "SEBL_01", "BRM_01", "BRM_02"],
    rows=[pb.ValueMapRow(cells=["PREMIUM", "Premium Consumer", "Premium", ""])],
)


@contextlib.asynccontextmanager
async def serving(url: str, **more: Any) -> AsyncIterator[ValueMapServiceStub]:
    settings = local_settings(Settings, database_url=url, **more)
    async with running_xref(settings, SYSTEMS) as address, open_channel(address) as channel:
        yield ValueMapServiceStub(channel)


@pytest.fixture
async def maps(database_url: str) -> AsyncIterator[ValueMapServiceStub]:
    async with serving(database_url) as stub:
        yield stub


@pytest.fixture
async def in_memory() -> AsyncIterator[ValueMapServiceStub]:
    """For what is refused before any database is asked."""
    async with serving("sqlite://:memory:") as stub:
        yield stub


async def failure(call: Awaitable[Any]) -> O2CError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = from_rpc_error(caught.value)
    assert caught.value.code().name == CODES[error.violations[0].reason]
    return error


async def edit(maps: ValueMapServiceStub, crm: str, expected: int, **more: Any) -> pb.PutValueMapResponse:
    changed = pb.ValueMap()
    changed.CopyFrom(PRICES)
    changed.rows[0].cells[1] = crm
    answer: pb.PutValueMapResponse = await maps.PutValueMap(
        pb.PutValueMapRequest(map=changed, expected_version=expected, **more)
    )
    return answer


async def translated(maps: ValueMapServiceStub, value: str, revision: int = 0) -> str:
    request = pb.TranslateRequest(
        map="PRICELIST", system_from="SEBL_01", system_to="BRM_01", values=[value], missing=2, revision=revision
    )
    answer = await maps.Translate(request)
    return str(answer.results[0].value)


# --- Translate -----------------------------------------------------------------------------------------------------------


async def test_a_batch_is_translated_with_a_result_per_value_in_order(maps: ValueMapServiceStub) -> None:
    request = pb.TranslateRequest(
        map="CUSTOMERPARTY_ACCOUNTTYPECODE",
        system_from="SEBL_01",
        system_to="BRM_01",
        values=["Business", "Home", "Residential"],
    )
    answer = await maps.Translate(request)
    assert [result.value for result in answer.results] == ["2", "", "1"]
    missing = from_status(answer.results[1].error).violations[0]
    assert (missing.reason, missing.field) == (Reason.DVM_UNMAPPED, "values[1]")
    expected = {"map": "CUSTOMERPARTY_TYPECODE", "value": "Home", "column": "BRM_01", "system": "BRM_01"}
    assert {key: missing.metadata[key] for key in expected} == expected
    assert not answer.results[0].HasField("error") and answer.version == 1


async def test_a_missing_optional_value_is_left_out_with_a_warning(maps: ValueMapServiceStub) -> None:
    request = pb.TranslateRequest(
        map="CONTACT_SALUTATION",
        system_from="SEBL_01",
        system_to="BRM_02",
        values=["Sir"],
        missing=pb.MISSING_VALUE_RULE_OPTIONAL,
    )
    (result,) = (await maps.Translate(request)).results
    assert (result.value, result.warning.reason, result.HasField("error")) == ("", "DVM_UNMAPPED", False)
    assert result.warning.metadata["value"] == "Sir"


async def test_an_open_map_says_that_it_handed_a_value_on(maps: ValueMapServiceStub) -> None:
    request = pb.TranslateRequest(map="STATE", system_from="SEBL_01", system_to="BRM_01", values=["California", "Hessen"])
    results = (await maps.Translate(request)).results
    assert [(one.value, one.passed_through) for one in results] == [("CA", False), ("Hessen", True)]


async def test_a_column_that_a_map_does_not_have_yet_maps_nothing(maps: ValueMapServiceStub) -> None:
    request = pb.TranslateRequest(map="CURRENCY_CODE", system_from="COMMON", system_to="BRM_03", values=["USD"])
    (result,) = (await maps.Translate(request)).results
    assert from_status(result.error).violations[0].metadata["column"] == "BRM_03"


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"map": "NO_SUCH"}, Reason.XREF_TABLE_UNKNOWN, "map"),
        ({"system_from": "SEBL_09"}, Reason.XREF_COLUMN_UNKNOWN, "system_from"),
        ({"system_to": ""}, Reason.XREF_COLUMN_UNKNOWN, "system_to"),
        ({"values": ["USD", ""]}, Reason.XREF_VALUE_EMPTY, "values[1]"),
        ({"values": ["x" * 257]}, Reason.XREF_VALUE_INVALID, "values[0]"),
        ({"values": ["USD"] * 1001}, Reason.XREF_BATCH_TOO_LARGE, "values"),
        ({"missing": 7}, Reason.ENUM_UNKNOWN, "missing"),
        ({"revision": 10_000}, Reason.RANGE_INVALID, "revision"),
        ({"revision": -1}, Reason.RANGE_INVALID, "revision"),
    ],
)
async def test_translate_names_what_it_refuses(
    in_memory: ValueMapServiceStub, change: dict[str, Any], reason: Reason, field: str
) -> None:
    request = {"map": "CURRENCY_CODE", "system_from": "COMMON", "system_to": "BRM_01", "values": ["USD"], **change}
    error = await failure(in_memory.Translate(pb.TranslateRequest(**request)))
    assert [(one.reason, one.field) for one in error.violations] == [(reason, field)]


# --- editing -------------------------------------------------------------------------------------------------------------


async def test_an_edit_is_a_version_with_who_when_and_why(maps: ValueMapServiceStub) -> None:
    made = await edit(maps, "Premium", 1, comment="the CRM renamed it")
    assert (made.changed, made.version.version) == (True, 2)
    listed = (await maps.ListValueMapVersions(pb.ListValueMapVersionsRequest(name="PRICELIST"))).versions
    assert [(one.version, one.comment) for one in listed] == [(2, "the CRM renamed it"), (1, "delivered")]
    assert listed[1].changed_by == "o2c" and listed[0].changed_at.seconds > 0
    before = await maps.GetValueMap(pb.GetValueMapRequest(name="PRICELIST", version=1))
    assert not before.map.rows and before.version.version == 1
    now = await maps.GetValueMap(pb.GetValueMapRequest(name="PRICELIST"))
    assert now.map.rows[0].cells[1] == "Premium"


async def test_a_flow_keeps_to_the_revision_it_began_with(maps: ValueMapServiceStub) -> None:
    began = (await edit(maps, "Premium", 1)).version.revision
    await edit(maps, "Platinum", 2)
    assert await translated(maps, "Premium") == ""
    assert await translated(maps, "Platinum") == "Premium"
    assert await translated(maps, "Premium", revision=began) == "Premium"
    assert await translated(maps, "Platinum", revision=began) == ""
    pinned = await maps.GetValueMap(pb.GetValueMapRequest(name="PRICELIST", revision=began))
    assert pinned.version.version == 2


async def test_an_edit_of_an_older_version_is_refused_and_changes_nothing(maps: ValueMapServiceStub) -> None:
    await edit(maps, "Premium", 1)
    error = await failure(edit(maps, "Platinum", 1))
    assert [(one.reason, one.field) for one in error.violations] == [(Reason.XREF_VERSION_CONFLICT, "expected_version")]
    assert await translated(maps, "Premium") == "Premium"
    new = await failure(maps.PutValueMap(pb.PutValueMapRequest(map=PRICES, expected_version=0)))
    assert new.violations[0].reason is Reason.XREF_VERSION_CONFLICT


async def test_the_same_map_again_makes_no_version(maps: ValueMapServiceStub) -> None:
    await edit(maps, "Premium", 1)
    again = await edit(maps, "Premium", 1)
    assert (again.changed, again.version.version) == (False, 2)


async def test_a_call_that_comes_again_is_answered_as_before_even_after_another_edit(maps: ValueMapServiceStub) -> None:
    first = await edit(maps, "Premium", 1, request_id="edit-1")
    await edit(maps, "Platinum", 2)
    assert await edit(maps, "Premium", 1, request_id="edit-1") == first
    assert await translated(maps, "Platinum") == "Premium"
    error = await failure(edit(maps, "Gold", 3, request_id="edit-1"))
    assert error.violations[0].reason is Reason.IDEMPOTENCY_CONFLICT


async def test_checking_an_edit_writes_nothing_and_names_empty_cells(maps: ValueMapServiceStub) -> None:
    checked = await edit(maps, "Premium", 1, validate_only=True)
    assert (checked.changed, checked.version.version) == (True, 2)
    (empty,) = checked.empty_cells
    assert (empty.map, empty.column, list(empty.common_values)) == ("PRICELIST", "BRM_02", ["PREMIUM"])
    assert (await maps.GetValueMap(pb.GetValueMapRequest(name="PRICELIST"))).version.version == 1


async def test_every_violation_of_an_edit_is_named_and_nothing_is_written(maps: ValueMapServiceStub) -> None:
    broken = pb.ValueMap(
        name="PRICELIST",
        aliases=["STATE"],
        columns=["COMMON", "SEBL_01"],
        rows=[pb.ValueMapRow(cells=["A"]), pb.ValueMapRow(cells=["", "b"])],
    )
    error = await failure(maps.PutValueMap(pb.PutValueMapRequest(map=broken, expected_version=1, comment="x" * 501)))
    fields = ["comment", "map.rows[0]", "map.rows[1].cells[0]", "map.aliases"]
    assert [one.field for one in error.violations] == fields
    assert (await maps.GetValueMap(pb.GetValueMapRequest(name="PRICELIST"))).version.version == 1


async def test_lists_come_in_pages(maps: ValueMapServiceStub) -> None:
    names, token = [], ""
    while True:
        page = await maps.ListValueMaps(pb.ListValueMapsRequest(page_size=7, page_token=token))
        names += [one.version.name for one in page.maps]
        token = page.next_page_token
        if not token:
            break
    assert names == [one.name for one in standard_maps().maps]
    for crm in "abc":
        await edit(maps, crm, "abc".index(crm) + 1)
    first = await maps.ListValueMapVersions(pb.ListValueMapVersionsRequest(name="PRICELIST", page_size=3))
    rest = await maps.ListValueMapVersions(
        pb.ListValueMapVersionsRequest(name="PRICELIST", page_size=3, page_token=first.next_page_token)
    )
    assert [one.version for one in (*first.versions, *rest.versions)] == [4, 3, 2, 1]
    assert not rest.next_page_token


@pytest.mark.parametrize(
    ("call", "reason", "field"),
    [
        (("ListValueMaps", pb.ListValueMapsRequest(page_size=-1)), Reason.RANGE_INVALID, "page_size"),
        (("ListValueMaps", pb.ListValueMapsRequest(page_token="?")), Reason.PAGE_TOKEN_INVALID, "page_token"),
        (("ListValueMapVersions", pb.ListValueMapVersionsRequest(name="NO")), Reason.XREF_TABLE_UNKNOWN, "name"),
        (
            ("ListValueMapVersions", pb.ListValueMapVersionsRequest(name="STATE", page_token="²")),
            Reason.PAGE_TOKEN_INVALID,
            "page_token",
        ),
        (("GetValueMap", pb.GetValueMapRequest(name="NO")), Reason.XREF_TABLE_UNKNOWN, "name"),
        (("GetValueMap", pb.GetValueMapRequest(name="STATE", version=-1)), Reason.RANGE_INVALID, "version"),
        (("GetValueMap", pb.GetValueMapRequest(name="STATE", version=9)), Reason.XREF_VALUE_NOT_FOUND, "version"),
        (("GetValueMap", pb.GetValueMapRequest(name="STATE", version=1, revision=1)), Reason.RANGE_INVALID, "version"),
        (("ExportValueMap", pb.ExportValueMapRequest(name="STATE", version=9)), Reason.XREF_VALUE_NOT_FOUND, "version"),
        (("ExportValueMap", pb.ExportValueMapRequest(name="STATE", version=-1)), Reason.RANGE_INVALID, "version"),
        (("ImportValueMaps", pb.ImportValueMapsRequest()), Reason.XREF_IMPORT_INVALID, "documents"),
    ],
)
async def test_the_other_calls_name_what_they_refuse(
    in_memory: ValueMapServiceStub, call: tuple[str, Any], reason: Reason, field: str
) -> None:
    error = await failure(getattr(in_memory, call[0])(call[1]))
    assert [(one.reason, one.field) for one in error.violations] == [(reason, field)]


# --- files ---------------------------------------------------------------------------------------------------------------


async def test_an_exported_map_is_imported_again_without_a_change(maps: ValueMapServiceStub) -> None:
    documents = [(await maps.ExportValueMap(pb.ExportValueMapRequest(name=one.name))).document for one in standard_maps().maps]
    answer = await maps.ImportValueMaps(pb.ImportValueMapsRequest(documents=documents))
    assert [one.changed for one in answer.maps] == [False] * len(documents)


async def test_an_imported_map_keeps_its_aliases_and_whether_it_is_open(maps: ValueMapServiceStub) -> None:
    document = (await maps.ExportValueMap(pb.ExportValueMapRequest(name="CUSTOMERPARTY_TYPECODE"))).document
    edited = document.replace(b"<cell>Residential</cell>", b"<cell>Consumer</cell>")
    await maps.ImportValueMaps(pb.ImportValueMapsRequest(documents=[edited], expected_versions={"CUSTOMERPARTY_TYPECODE": 1}))
    now = (await maps.GetValueMap(pb.GetValueMapRequest(name="CUSTOMERPARTY_ACCOUNTTYPECODE"))).map
    assert (now.rows[0].cells[1], now.confidence) == ("Consumer", "cells of the site")


async def test_one_wrong_file_and_nothing_is_imported(maps: ValueMapServiceStub) -> None:
    good = ValueMap("PRICELIST", (COMMON, "BRM_01"), (("A", "1"),))
    documents = [write_map(good), b"<dvm", write_map(good)[:-3]]
    error = await failure(maps.ImportValueMaps(pb.ImportValueMapsRequest(documents=documents)))
    assert [(one.reason, one.field) for one in error.violations] == [
        (Reason.XREF_IMPORT_INVALID, "documents[1]"),
        (Reason.XREF_IMPORT_INVALID, "documents[2]"),
    ]
    twice = await failure(maps.ImportValueMaps(pb.ImportValueMapsRequest(documents=[documents[0]] * 2)))
    assert "documents[1].name" in [one.field for one in twice.violations]
    other = await failure(
        maps.ImportValueMaps(pb.ImportValueMapsRequest(documents=documents[:1], expected_versions={"STATE": 1}))
    )
    assert [one.field for one in other.violations] == ["expected_versions[STATE]"]
    stale = await failure(
        maps.ImportValueMaps(pb.ImportValueMapsRequest(documents=documents[:1], expected_versions={"PRICELIST": 7}))
    )
    assert [one.reason for one in stale.violations] == [Reason.XREF_VERSION_CONFLICT]
    assert (await maps.GetValueMap(pb.GetValueMapRequest(name="PRICELIST"))).version.version == 1


# --- several processes, restarts -----------------------------------------------------------------------------------------


async def test_edits_survive_a_restart_and_the_next_delivery(database_url: str) -> None:
    async with serving(database_url) as maps:
        await edit(maps, "Premium", 1)
    async with serving(database_url) as maps:
        assert await translated(maps, "Premium") == "Premium"
        page = await maps.ListValueMaps(pb.ListValueMapsRequest())
        assert page.revision == len(standard_maps().maps) + 1, "a start delivers nothing twice"


async def test_a_new_release_replaces_what_nobody_edited(db: Database) -> None:
    await db.create_tables([ValueMapVersionRecord])
    store = ValueMapStore(db)
    columns = (COMMON, "BRM_01")
    await store.deliver(ValueMaps([ValueMap("KEPT", columns, (("A", "1"),)), ValueMap("EDITED", columns, (("A", "1"),))]))
    own = ValueMap("EDITED", columns, (("A", "7"),))
    await store.put(lambda known: [Write(own)], Audit("admin", ""), "ours")
    newer = [ValueMap("KEPT", columns, (("A", "2"),)), ValueMap("EDITED", columns, (("A", "2"),)), ValueMap("NEW", columns, ())]
    assert await store.deliver(ValueMaps(newer)) == 2
    now = (await ValueMapStore(db).current()).maps()
    assert (now.find("KEPT", "A", COMMON, "BRM_01"), now.find("EDITED", "A", COMMON, "BRM_01")) == ("2", "7")
    assert now.get("NEW") is not None


async def test_two_processes_see_each_others_edits_at_once_and_number_them_in_one_order(database_url: str) -> None:
    async with serving(database_url) as here, serving(database_url) as there:
        made = await edit(here, "Premium", 1)
        assert await translated(there, "Premium") == "Premium"

        async def own_map(maps: ValueMapServiceStub, name: str) -> int:
            new = pb.ValueMap(name=name, columns=["COMMON", "BRM_01"])
            return int((await maps.PutValueMap(pb.PutValueMapRequest(map=new))).version.revision)

        calls = [own_map((here, there)[at % 2], f"MAP_{at}") for at in range(8)]
        revisions = await asyncio.gather(*calls)
        first = made.version.revision + 1
        assert sorted(revisions) == list(range(first, first + 8))


async def test_of_concurrent_edits_of_one_version_one_wins(database_url: str) -> None:
    async with serving(database_url) as here, serving(database_url) as there:
        calls = [edit((here, there)[at % 2], f"name {at}", 1) for at in range(8)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        won = [one for one in outcomes if isinstance(one, pb.PutValueMapResponse)]
        lost = [from_rpc_error(one) for one in outcomes if isinstance(one, grpc.aio.AioRpcError)]
        assert (len(won), len(lost)) == (1, 7)
        assert {error.violations[0].reason for error in lost} == {Reason.XREF_VERSION_CONFLICT}


async def test_whole_maps_come_with_what_changed_since(maps: ValueMapServiceStub) -> None:
    everything = await maps.BatchGetValueMaps(pb.BatchGetValueMapsRequest())
    assert [one.map.name for one in everything.maps] == [one.name for one in standard_maps().maps]
    await edit(maps, "Premium", 1)
    since = await maps.BatchGetValueMaps(pb.BatchGetValueMapsRequest(since_revision=everything.revision))
    assert [one.map.name for one in since.maps] == ["PRICELIST"]
    assert since.revision == everything.revision + 1


async def test_only_those_with_the_role_edit_maps_and_the_version_names_them(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "access.toml"
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("keeper", "orders")}
    file.write_text(
        f"""
        [clients.keeper]
        token_sha256 = "{digests["keeper"]}"
        roles = ["maps"]
        [clients.orders]
        token_sha256 = "{digests["orders"]}"
        roles = ["ids"]
        [roles]
        maps = ["/o2c.xref.v1.ValueMapService/*"]
        ids = ["/o2c.xref.v1.ValueMapService/Translate"]
        """
    )
    settings = local_settings(Settings, database_url=database_url, access_file=file)
    async with running_xref(settings, SYSTEMS) as address:
        async with open_channel(address, local_settings(token=SecretStr("orders"))) as channel:
            orders = ValueMapServiceStub(channel)
            assert await translated(orders, "Premium") == ""
            assert (await failure(edit(orders, "Premium", 1))).violations[0].reason is Reason.ROLE_MISSING
        async with open_channel(address, local_settings(token=SecretStr("keeper"))) as channel:
            assert (await edit(ValueMapServiceStub(channel), "Premium", 1)).version.changed_by == "keeper"

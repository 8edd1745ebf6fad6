"""Several server processes on one database, as in production."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from xref_processes import servers

from libs.pb.xref.v1 import xref_pb2 as pb
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceStub

ACCOUNT = "CUSTOMERPARTY_ACCOUNTID"


@pytest.fixture
async def stubs(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[XrefServiceStub, ...]]:
    """Two processes that start at the same time on the same empty database."""
    async with servers(database_url, tmp_path) as running:
        yield running


@pytest.mark.spec("xref-and-routing:XR15")
async def test_two_processes_agree_on_every_row_however_they_race(stubs: tuple[XrefServiceStub, ...]) -> None:
    """One start of the processes, several races: starting is what costs."""
    await one_key_gets_exactly_one_id(stubs)
    await overlapping_batches_get_the_same_ids(stubs)
    await one_value_goes_to_one_row(stubs)
    await appended_values_all_stay(stubs)
    await a_table_registered_in_one_is_known_in_the_other(stubs)


async def one_key_gets_exactly_one_id(stubs: tuple[XrefServiceStub, ...]) -> None:
    for callers, ref in ((50, "A50"), (100, "A9")):
        request = pb.GetOrCreateRequest(table=ACCOUNT, ref_column="SEBL_01", ref_value=ref)
        answers = await asyncio.gather(*[stubs[number % 2].GetOrCreate(request) for number in range(callers)])
        assert len({answer.value for answer in answers}) == 1
        assert [answer.created for answer in answers].count(True) == 1


async def overlapping_batches_get_the_same_ids(stubs: tuple[XrefServiceStub, ...]) -> None:
    keys = [pb.Key(table=ACCOUNT, ref_column="SEBL_01", ref_value=f"B{number}") for number in range(200)]
    batches = [keys, keys[::-1], keys[50:150], [*keys[150:50:-1], keys[7], keys[7]]] * 2
    calls = [stubs[n % 2].BatchGetOrCreate(pb.BatchGetOrCreateRequest(keys=batch)) for n, batch in enumerate(batches)]
    seen: dict[str, set[str]] = {}
    created = 0
    for batch, answer in zip(batches, await asyncio.gather(*calls), strict=True):
        created += sum(result.created for result in answer.results)
        for key, result in zip(batch, answer.results, strict=True):
            seen.setdefault(key.ref_value, set()).add(result.value)
    assert all(len(values) == 1 for values in seen.values())
    assert len(seen) == created == 200
    assert len(set().union(*seen.values())) == 200


async def one_value_goes_to_one_row(stubs: tuple[XrefServiceStub, ...]) -> None:
    """Forty rows want the same billing id; and one row is offered forty ids."""
    links = [
        pb.PopulateRequest(
            table=ACCOUNT,
            ref_column="SEBL_01",
            ref_value=f"B{number}",
            column="BRM_01",
            value="shared",
            mode=pb.POPULATE_MODE_LINK,
        )
        for number in range(40)
    ]
    calls = [stubs[n % 2].BatchPopulate(pb.BatchPopulateRequest(items=[link])) for n, link in enumerate(links)]
    results = [answer.results[0] for answer in await asyncio.gather(*calls)]
    assert sum(result.changed for result in results) == 1
    assert sum(result.HasField("error") for result in results) == 39
    offers = [
        pb.PopulateRequest(
            table=ACCOUNT, ref_column="SEBL_01", ref_value="A9", column="BRM_01", value=f"p{number}", mode=pb.POPULATE_MODE_LINK
        )
        for number in range(40)
    ]
    calls = [stubs[n % 2].BatchPopulate(pb.BatchPopulateRequest(items=[offer])) for n, offer in enumerate(offers)]
    results = [answer.results[0] for answer in await asyncio.gather(*calls)]
    assert sum(result.changed for result in results) == 1


async def appended_values_all_stay(stubs: tuple[XrefServiceStub, ...]) -> None:
    key = {"table": "INSTALLEDPRODUCT_ID", "ref_column": "SEBL_01", "ref_value": "AST-1"}
    await stubs[0].GetOrCreate(pb.GetOrCreateRequest(**key))
    links = [
        pb.PopulateRequest(**key, column="BRM_01", value=f"0.0.0.1 /product {n} 0", kind="PRODUCT", mode=pb.POPULATE_MODE_LINK)
        for n in range(16)
    ]
    await asyncio.gather(*[stubs[n % 2].Populate(link) for n, link in enumerate(links)])
    for stub in stubs:
        row = (await stub.BatchLookup(pb.BatchLookupRequest(keys=[pb.Key(**key)], columns=["BRM_01"]))).rows[0]
        assert sorted(cell.value for cell in row.cells) == sorted(link.value for link in links)


async def a_table_registered_in_one_is_known_in_the_other(stubs: tuple[XrefServiceStub, ...]) -> None:
    table = pb.Table(name="NEW_TABLE", columns=["SEBL_01", "BRM_01"])
    await stubs[0].RegisterTable(pb.RegisterTableRequest(table=table))
    answer = await stubs[1].GetOrCreate(pb.GetOrCreateRequest(table="NEW_TABLE", ref_column="SEBL_01", ref_value="N1"))
    assert answer.created

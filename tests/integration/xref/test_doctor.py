"""The doctor between cross-references and BRM: every planted fault is found, nothing else is, and what can be repaired is."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import grpc.aio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xref_clinic import ACCOUNT, ASSET, FAULTS, PROFILE, Clinic, Report, clinic, seen
from xref_tables import import_rows, refusal, row, running_service

from libs.config import BillingSystem
from libs.grpckit.status import from_rpc_error, from_status
from libs.pb.xref.v1 import maintenance_pb2 as pb
from libs.pb.xref.v1 import xref_pb2
from libs.xref.brm_objects import BrmClass
from libs.xref.model import Mode, XrefKey, XrefWrite
from sandbox.testing import running_sandbox
from services.xref import brm_reader
from services.xref.doctor_store import DoctorStore
from services.xref.domain.doctor import BrmObject


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[Clinic]:
    async with clinic(database_url) as ready:
        yield ready


@pytest.fixture
async def lone(tmp_path: Path) -> AsyncIterator[Clinic]:
    """On SQLite alone, for what does not depend on the database."""
    async with clinic(f"sqlite://{tmp_path}/x.db") as ready:
        yield ready


async def test_nothing_is_found_where_nothing_is_wrong(house: Clinic) -> None:
    await house.customers(7)
    await house.customers(3, "BRM_02")
    assert await house.examined() == []
    assert await house.examined("BRM_02") == []


async def test_every_kind_of_fault_is_found_and_nothing_else(house: Clinic) -> None:
    await house.customers(3)
    await house.customers(2, "BRM_02")
    planted: Report = set()
    for plant in FAULTS:
        planted |= await plant(house)
    assert {kind for kind, _, _ in planted} == {
        pb.FindingKind.Name(number).removeprefix("FINDING_KIND_") for number in range(1, 9)
    }
    findings = await house.examined()
    assert seen(findings) == planted
    assert len(findings) == len(planted)
    assert all(finding.evidence for finding in findings)
    repairable = [finding for finding in findings if finding.repair]
    left = [finding for finding in findings if not finding.repair]
    before = await house.service.content()
    assert set(await house.repaired(repairable, validate_only=True)) == {"changed"}
    assert await house.service.content() == before
    assert await house.repaired(repairable) == ["changed"] * len(repairable)
    after = await house.service.content()
    assert await house.repaired(repairable) == ["same"] * len(repairable)
    assert await house.service.content() == after
    assert seen(await house.examined()) == seen(left)
    assert seen(left) >= {each for each in planted if each[:2] == ("ORPHAN", ASSET)}


async def refused_findings(house: Clinic, findings: list[pb.Finding]) -> list[str]:
    """Reasons for which repairs are refused; nothing may be written."""
    before = await house.service.content()
    answer = await house.service.maintenance.Repair(pb.RepairRequest(findings=findings))
    assert await house.service.content() == before
    return [str(from_status(result.error).violations[0].reason) for result in answer.results]


async def test_a_finding_that_no_longer_holds_is_refused_and_nothing_is_written(house: Clinic) -> None:
    planted = [plant for plant in FAULTS if plant is not Clinic.orphan]
    for plant in planted:
        await plant(house)
    findings = [finding for finding in await house.examined() if finding.repair]
    for finding in findings:  # each as if it had been found in the row of another customer
        (other,) = await house.customers(1)
        finding.key = {ACCOUNT: other.number, PROFILE: f"{other.number}-bp", ASSET: f"a-{other.number}"}[finding.table]
        if finding.other_key:
            finding.other_key = other.number
        if finding.repair == pb.REPAIR_ACTION_REMOVE:
            finding.value = {ACCOUNT: other.account, PROFILE: other.billinfo, ASSET: other.service}[finding.table]
            finding.object = finding.value
    assert set(await refused_findings(house, findings)) == {"XREF_VERSION_CONFLICT"}


async def test_a_value_that_has_come_alive_is_not_removed(lone: Clinic) -> None:
    (made,) = await lone.customers(1)
    claim = pb.Finding(
        kind=pb.FINDING_KIND_DANGLING,
        system="BRM_01",
        table=ACCOUNT,
        key_column="COMMON",
        key=made.number,
        value=made.account,
        repair=pb.REPAIR_ACTION_REMOVE,
    )
    assert await refused_findings(lone, [claim]) == ["XREF_VERSION_CONFLICT"]


async def test_a_repair_that_does_not_fit_its_finding_is_refused(lone: Clinic) -> None:
    await lone.orphan()
    findings = await lone.examined()
    service = next(finding for finding in findings if finding.table == ASSET)
    assert await refused_findings(lone, [service]) == ["XREF_MODE_INVALID"]  # a person has to say whose service it is
    account = next(finding for finding in findings if finding.table == ACCOUNT)
    account.repair = pb.REPAIR_ACTION_REMOVE
    assert await refused_findings(lone, [account]) == ["XREF_MODE_INVALID"]
    account.repair, account.system = pb.REPAIR_ACTION_ADD_ROW, "BRM_09"
    assert await refused_findings(lone, [account]) == ["ROUTE_SYSTEM_UNKNOWN"]
    account.system, account.table = "BRM_01", "SALESORDER_ID"
    assert await refused_findings(lone, [account]) == ["XREF_TABLE_UNKNOWN"]
    account.kind = 99  # type: ignore[assignment]
    found = await refusal(lone.service.maintenance.Repair(pb.RepairRequest(findings=[service, account, pb.Finding()])))
    assert [(reason, field) for reason, field, _ in found] == [
        ("XREF_MODE_INVALID", "findings[1].kind"),
        ("XREF_MODE_INVALID", "findings[2].kind"),
    ]
    found = await refusal(lone.service.maintenance.Repair(pb.RepairRequest(findings=[service] * 1001)))
    assert [(reason, field) for reason, field, _ in found] == [("XREF_BATCH_TOO_LARGE", "findings")]


async def test_a_repair_is_in_the_history_with_who_and_why(house: Clinic) -> None:
    await house.stale()
    (finding,) = await house.examined()
    assert await house.repaired([finding]) == ["changed"]
    asked = xref_pb2.ListHistoryRequest(table=ACCOUNT, column="COMMON", value=finding.key)
    change = (await house.service.stub.ListHistory(asked)).changes[-1]
    assert (change.old_value, change.new_value, change.method) == (finding.value, finding.object, "Repair")
    assert (change.origin.service, change.origin.reason) == ("operator", "doctor")


async def test_one_of_two_crossed_rows_alone_is_not_moved(lone: Clinic) -> None:
    await lone.crossed()
    one, _ = await lone.examined()
    assert await refused_findings(lone, [one]) == ["XREF_TARGET_OCCUPIED"]


async def test_a_run_goes_on_behind_its_cursor_without_repeating_itself(house: Clinic) -> None:
    for plant in FAULTS:
        await plant(house)
    whole = await house.examined()
    for stop in (1, len(whole) // 2, len(whole) - 1):
        first, cursor = [], ""
        async for answer in house.service.maintenance.Reconcile(pb.ReconcileRequest(system="BRM_01")):
            if answer.HasField("finding"):
                first.append(answer.finding)
                cursor = answer.cursor
            if len(first) == stop:
                break
        assert first + await house.examined(cursor=cursor) == whole


async def test_only_the_tables_asked_for_are_reported(lone: Clinic) -> None:
    planted: Report = set()
    for plant in FAULTS:
        planted |= await plant(lone)
    for table in (ACCOUNT, PROFILE, ASSET):
        assert seen(await lone.examined(tables=[table])) == {each for each in planted if each[1] == table}


async def test_what_cannot_be_examined_is_refused_by_name(lone: Clinic) -> None:
    cases = {
        "ROUTE_SYSTEM_UNKNOWN system": {"system": "BRM_09"},
        "XREF_TABLE_UNKNOWN tables[1]": {"tables": [ACCOUNT, "NO_TABLE"]},
        "XREF_TABLE_UNKNOWN tables[0]": {"tables": ["SALESORDER_ID"]},
        "XREF_VALUE_INVALID db_numbers[0]": {"db_numbers": ["first"]},
        "PAGE_TOKEN_INVALID cursor": {"cursor": "x"},
    }
    for expected, more in cases.items():
        stream = lone.service.maintenance.Reconcile(pb.ReconcileRequest(**{"system": "BRM_01", **more}))
        ((reason, field, _),) = await refusal(stream.read())
        assert f"{reason} {field}" == expected


async def test_a_service_without_an_endpoint_serves_and_says_so(tmp_path: Path) -> None:
    async with running_service(f"sqlite://{tmp_path}/x.db", [BillingSystem(code="BRM_01")]) as service:
        stream = service.maintenance.Reconcile(pb.ReconcileRequest(system="BRM_01"))
        ((reason, field, message),) = await refusal(stream.read())
        assert (reason, field) == ("ROUTE_SYSTEM_DISABLED", "system")
        assert "no endpoint" in message


async def test_a_brm_that_is_down_ends_the_run_by_name(lone: Clinic) -> None:
    await lone.customers(1)
    fault = lone.brm().faults.add({"action": "http_503", "match": {"opcode": "PCM_OP_SEARCH"}})
    stream = lone.service.maintenance.Reconcile(pb.ReconcileRequest(system="BRM_01"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in stream:
            pass
    assert from_rpc_error(caught.value).violations[0].reason == "BRM_UNAVAILABLE"
    lone.brm().faults.remove(fault.id)
    assert await lone.examined() == []


async def test_a_value_of_a_schema_that_does_not_exist_dangles(lone: Clinic) -> None:
    await import_rows(lone.service, [row(COMMON="g1", SEBL_01="1-1", BRM_01="0.0.0.77 /account 5 0")])
    await import_rows(lone.service, [row(COMMON="g2", SEBL_01="1-2", BRM_01="no id at all")])
    await import_rows(lone.service, [row(COMMON="g3", SEBL_01="1-3", BRM_01="0.0.0.1 /billinfo 5 0")])
    findings = await lone.examined()
    assert seen(findings) == {
        ("DANGLING", ACCOUNT, each) for each in ("0.0.0.77 /account 5 0", "no id at all", "0.0.0.1 /billinfo 5 0")
    }
    assert await lone.repaired(findings) == ["changed"] * 3
    assert await lone.examined() == []


async def test_a_value_of_another_instance_goes_where_it_belongs(lone: Clinic) -> None:
    await lone.wrong_instance()
    (finding,) = await lone.examined()
    assert finding.repair == pb.REPAIR_ACTION_MOVE_COLUMN
    assert await lone.repaired([finding]) == ["changed"]
    key = XrefKey(ACCOUNT, "COMMON", finding.key)
    values = (await lone.service.xref.lookup([key]))[key]
    assert (values.value("BRM_01"), values.value("BRM_02")) == ("", finding.value)
    assert await lone.examined() == await lone.examined("BRM_02") == []


async def test_where_an_own_object_exists_it_takes_the_place_of_the_foreign_value(lone: Clinic) -> None:
    (made,) = await lone.customers(1)
    foreign = made.account.replace("0.0.0.1", "0.0.0.2")
    await lone.write(XrefWrite(ACCOUNT, "COMMON", made.number, "BRM_01", foreign, Mode.UPDATE))
    (finding,) = await lone.examined()
    assert (finding.kind, finding.proposed_value) == (pb.FINDING_KIND_WRONG_INSTANCE, made.account)
    assert await lone.repaired([finding, finding]) == ["changed", "same"]
    assert await lone.examined() == []


async def test_instances_that_share_a_database_number_are_told_apart_by_what_they_hold(tmp_path: Path) -> None:
    async with running_sandbox(("BRM_01",)) as one, running_sandbox(("BRM_01",)) as two:
        both = (("BRM_01", one), ("BRM_02", two))
        systems = [BillingSystem(code=code, endpoint=brm.url(), db_no="0.0.0.1") for code, brm in both]
        async with running_service(f"sqlite://{tmp_path}/x.db", systems) as service:
            first, second = Clinic(one, service), Clinic(two, service)
            await first.customers(1)
            made = [second.create(number=f"g{number}") for number in range(5, 9)][-1]  # ids that BRM_01 has not given yet
            await import_rows(service, [row(COMMON="g8", SEBL_01="1-8", BRM_01=made.account)])
            wrong = [finding for finding in await first.examined(tables=[ACCOUNT]) if finding.key == "g8"]
            assert seen(wrong) == {("WRONG_INSTANCE", ACCOUNT, made.account)}
            assert await first.repaired(wrong) == ["changed"]


async def test_what_a_flow_links_during_a_run_is_no_fault(lone: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """A customer is recorded after the values were read and before BRM is: its objects are found, and looked at again."""
    await lone.customers(2)
    made = lone.create()
    load = DoctorStore.load

    async def load_and_link(self: DoctorStore, *given: Any) -> None:
        await load(self, *given)
        await lone.known(made)

    monkeypatch.setattr(DoctorStore, "load", load_and_link)
    assert await lone.examined() == []


async def test_a_schema_that_is_asked_for_and_missing_is_an_error(lone: Clinic) -> None:
    await lone.customers(1)
    assert await lone.examined(db_numbers=["0.0.0.1"]) == []
    stream = lone.service.maintenance.Reconcile(pb.ReconcileRequest(system="BRM_01", db_numbers=["0.0.0.1", "0.0.0.9"]))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in stream:
            pass
    assert str(from_rpc_error(caught.value).violations[0].reason).startswith("BRM_")


async def test_objects_of_a_second_schema_are_compared_like_those_of_the_first(
    lone: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sandbox has one schema, so the second one is added where pages are read."""
    ask = brm_reader.BrmReader._range
    second = [BrmObject(at, "/account", "0.0.0.3", f"g{at}") for at in (500, 501)]

    async def both(self: brm_reader.BrmReader, system: str, db: str, declared: BrmClass, *of: int) -> list[BrmObject]:
        if db != "0.0.0.3":
            return await ask(self, system, db, declared, *of)
        return [each for each in second if declared.name == "/account" and of[0] <= each.id <= of[1]]

    monkeypatch.setattr(brm_reader.BrmReader, "_range", both)
    await lone.customers(2)
    values = {"g500": "0.0.0.3 /account 500 0", "g600": "0.0.0.3 /account 600 0", "g501": "0.0.0.1 /account 999999 0"}
    await import_rows(lone.service, [row(COMMON=key, SEBL_01=f"1-{key}", BRM_01=value) for key, value in values.items()])
    assert seen(await lone.examined()) == {
        ("DANGLING", ACCOUNT, values["g600"]),
        ("STALE", ACCOUNT, "0.0.0.3 /account 501 0"),
    }


async def test_pages_follow_ids_however_they_are_spread(lone: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brm_reader, "PAGE", 4)
    monkeypatch.setattr(brm_reader, "WIDTH", 8)
    planted: Report = set()
    await lone.customers(9)
    planted |= await lone.orphan()
    planted |= await lone.dangling()
    assert seen(await lone.examined()) == planted


@settings(max_examples=5, deadline=None)
@given(st.lists(st.sampled_from(FAULTS), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_whatever_is_planted_is_found_and_nothing_else(plants: list[Any], chance: Random) -> None:
    async def live() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with clinic(f"sqlite://{folder}/x.db") as house:
                planted: Report = set()
                for plant in plants:
                    await house.customers(chance.randint(0, 2))
                    planted |= await plant(house)
                findings = await house.examined()
                assert seen(findings) == planted
                assert len(findings) == len(planted)
                some = [each for each in findings if each.repair and each.kind != pb.FINDING_KIND_CROSSED]
                some = chance.sample(some, chance.randint(0, len(some)))
                assert await house.repaired(some) == ["changed"] * len(some)
                left = [each for each in findings if each not in some]
                assert seen(await house.examined()) == seen(left)

    asyncio.run(live())

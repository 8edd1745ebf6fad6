"""Orders that race for the same customers on several processes over one database; a holder that dies (customer-sync 2.6)."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import customer_suite
import grpc
import pytest
from customers import bundle, order, request

from libs.errors import Reason
from libs.grpckit.status import from_rpc_error
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from libs.pb.order.v1.order_pb2 import Order
from libs.xref.model import XrefKey

COMMIT = "PCM_OP_CUST_COMMIT_CUSTOMER"


def created(answers: list[pb.SyncOrderCustomersResponse]) -> list[tuple[int, str]]:
    """Kind and CRM id of everything that these answers say they created."""
    return [(e.kind, e.crm_id) for answer in answers for e in answer.entities if e.outcome == pb.ENTITY_OUTCOME_CREATED]


def racing(number: int, child: str) -> Order:
    """An order of its own in which a parent of its own pays for ``child``."""
    line = bundle(number, child, f"PA-{number}", f"BP-{number}")
    return order([line], order_id=f"ORD-{number}", order_number=str(number))


@pytest.mark.spec("customer-sync:LK1", "customer-sync:LK2")
async def test_orders_that_race_on_three_processes_create_each_object_once(database_url: str, tmp_path: Path) -> None:
    """One start of the processes, two races: starting is what costs."""
    async with (
        customer_suite.running_suite(database_url=database_url) as suite,
        customer_suite.pod(suite, tmp_path, "one", database_url) as (_, one),
        customer_suite.pod(suite, tmp_path, "two", database_url) as (_, two),
    ):
        stubs = (suite.stub, one, two)
        same = order([bundle(1, "KID", "PA", "BP")])
        calls = [stubs[n % 3].SyncOrderCustomers(request(same, f"SAME-{n}" if n % 2 else "SAME")) for n in range(50)]
        answers = await asyncio.gather(*calls)
        assert {answer.outcome for answer in answers} == {pb.SYNC_OUTCOME_OK}
        assert sorted(await suite.writes()) == ["BILL_GROUP_CREATE", "CUST_COMMIT_CUSTOMER", "CUST_COMMIT_CUSTOMER"]
        fresh = [answer for answer in answers if not answer.replayed]
        assert len(created(fresh)) == len(set(created(fresh)))

        rivals = [stubs[n % 3].SyncOrderCustomers(request(racing(n, "HEIR"), f"RACE-{n}")) for n in range(1, 4)]
        answers = await asyncio.gather(*rivals)
        assert {answer.outcome for answer in answers} == {pb.SYNC_OUTCOME_OK}
        heir = {e.brm_id for a in answers for e in a.entities if (e.crm_id, e.kind) == ("HEIR", pb.ENTITY_KIND_ACCOUNT)}
        assert len(heir) == 1
        units = await suite.brm.objects("/billinfo", ACCOUNT_OBJ=heir.pop())
        assert {unit["BILLINFO_ID"] for unit in units} == {f"HEIR|PA-{n}|BP-{n}" for n in range(1, 4)}
        groups = await suite.brm.objects("/group/billing")
        assert len(groups) == 2, "one of KID's parent, one of the first of HEIR's payers"
        assert await suite.brm.check_invariants() == []


@pytest.mark.spec("customer-sync:LK3")
async def test_who_waits_too_long_is_refused_and_a_killed_holder_is_followed(database_url: str, tmp_path: Path) -> None:
    document = order([bundle(1, "KID", "PA", "BP")])
    async with (
        customer_suite.running_suite(database_url=database_url) as suite,
        customer_suite.another_process(suite, database_url, lock_wait_seconds=0.05) as hasty,
        customer_suite.pod(suite, tmp_path, "victim", database_url) as (process, victim),
    ):
        fault = await suite.brm.add_fault("delay_after:30000", times=1, opcode=COMMIT)
        held = asyncio.ensure_future(victim.SyncOrderCustomers(request(document, "R1")))
        await suite.brm.wait_until_fired(fault["id"])

        sibling = order([bundle(1, "SIS", "PA", "BP"), bundle(2, "SIS", "SIS", "BP-SIS")], order_id="ORD-2")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await hasty.SyncOrderCustomers(request(sibling, "R2"))
        assert caught.value.code() is grpc.StatusCode.ABORTED
        refused = from_rpc_error(caught.value)
        assert [violation.reason for violation in refused.violations] == [Reason.LOCK_TIMEOUT]
        assert refused.retry_after
        assert len(await suite.brm.objects("/account")) == 1, "PA, by the holder; nothing of the order that was refused"
        refused_keys = [
            XrefKey("CUSTOMERPARTY_ACCOUNTID", "SEBL_01", "SIS"),
            XrefKey("CUSTOMERPARTY_BILLPROFILEID", "SEBL_01", "BP-SIS"),
        ]
        assert not any((await suite.xref.lookup(refused_keys)).values())

        process.kill()
        await process.wait()
        with contextlib.suppress(grpc.aio.AioRpcError):
            await held
        answers = await asyncio.gather(suite.sync(request(document, "R1")), suite.sync(request(sibling, "R2")))
        assert [answer.outcome for answer in answers] == [pb.SYNC_OUTCOME_OK] * 2
        assert len(await suite.brm.objects("/account")) == 3
        assert len(await suite.brm.objects("/group/billing")) == 1
        assert await suite.brm.check_invariants() == []

"""Laws of synchronisation against billing itself: random families of orders, each law at every one of them.

A case is built from its number, so that one that fails can be made again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import brm_view
import customer_suite
import customers
import grpc
import pytest
import suite as suites
from customer_suite import Suite

from libs.brm.client import SoapGateway
from libs.brm.specs import opcode
from libs.grpckit.status import from_rpc_error
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from libs.pb.order.v1.order_pb2 import Order
from libs.plan import leases
from libs.plan.journal import Journal
from libs.xref.client import GrpcXref

CASES = range(16)
PEOPLE = ("A", "B", "C", "D")
CREATED, EXISTED, UPDATED = pb.ENTITY_OUTCOME_CREATED, pb.ENTITY_OUTCOME_EXISTED, pb.ENTITY_OUTCOME_UPDATED
HARMLESS = {EXISTED, pb.ENTITY_OUTCOME_SKIPPED}


@pytest.fixture
async def suite(tmp_path: Path) -> AsyncIterator[Suite]:
    site = tmp_path / "site.toml"
    site.write_text("[limits]\nsettle_delays = [0.0]\n")  # the sandbox is never late
    async with customer_suite.running_suite(dialect_file=str(site)) as running:
        yield running
        assert await running.brm.check_invariants() == []


def lines_of(random: Random, suffix: str, count: int = 5) -> list[dict[str, Any]]:
    """Services among four people; who is paid for never pays, so that nobody ends up below himself."""
    payers, paid_for = PEOPLE[:2], PEOPLE[2:]
    made = []
    for number in range(random.randint(1, count)):
        user = random.choice(PEOPLE)
        payer = user if user in payers or random.random() < 0.3 else random.choice(payers)
        names = (f"{user}{suffix}", f"{payer}{suffix}", f"BP-{payer}{suffix}-{random.randint(1, 2)}")
        made.append(customers.bundle(number, *names))
    assert set(paid_for).isdisjoint(payers)
    return made


def order_of(lines: list[dict[str, Any]], number: str, **values: Any) -> Order:
    return customers.order(lines, order_id=f"ORD-{number}", order_number=number, **values)


async def calls(suite: Suite) -> list[dict[str, Any]]:
    return await suite.brm.calls(limit=100_000)


async def sync(suite: Suite, document: Order, request_id: str) -> pb.SyncOrderCustomersResponse:
    answer = await suite.sync(customers.request(document, request_id))
    assert answer.outcome in (pb.SYNC_OUTCOME_OK, pb.SYNC_OUTCOME_OK_WITH_WARNINGS), answer
    return answer


async def test_what_is_shown_is_what_is_done_and_done_again_it_is_nothing(suite: Suite) -> None:
    """validate_only equals execution, call by call, but for ids that did not exist; the second time there is no call."""
    for number in CASES:
        document = order_of(lines_of(Random(number), f"-{number}"), str(number))
        shown = await suite.sync(customers.request(document, validate_only=True))
        before = await calls(suite)
        done = await sync(suite, document, f"R{number}")
        made = (await calls(suite))[len(before) :]
        planned = suites.planned_calls([shown.plan])
        happened = suites.made_calls({"BRM_01": made})
        assert len(planned) == len(happened), number
        left = list(happened)
        for call in planned:
            (found, *_) = [each for each in left if call.fits(each)] or [None]
            assert found is not None, (number, call)
            left.remove(found)
        wanted = [(e.kind, e.crm_id, e.outcome) for e in shown.entities]
        assert wanted == [(e.kind, e.crm_id, e.outcome) for e in done.entities]

        held, mark = await brm_view.look(suite), len(await calls(suite))
        again = await sync(suite, document, f"AGAIN{number}")
        assert len(await calls(suite)) == mark, number
        assert {entity.outcome for entity in again.entities} == {EXISTED}
        assert await brm_view.look(suite) == held


async def test_what_is_refused_is_refused_alike_when_shown_and_when_done_and_leaves_nothing(suite: Suite) -> None:
    for number in CASES:
        random = Random(number)
        document = order_of(lines_of(random, f"-{number}"), str(number))
        broken = random.choice(list(document.accounts))
        broken.ClearField(random.choice(("primary_contact", "primary_address", "type")))
        refusals = []
        for options in ({"validate_only": True}, {}):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await suite.sync(customers.request(document, f"R{number}", **options))
            refusals.append([(each.reason, each.field) for each in from_rpc_error(caught.value).violations])
        assert refusals[0] == refusals[1]
    assert await calls(suite) == []


async def test_an_order_with_more_customers_creates_the_difference_only(suite: Suite) -> None:
    for number in CASES:
        random = Random(number)
        first = lines_of(random, f"-{number}")
        await sync(suite, order_of(first, f"{number}"), f"R{number}")
        held = await brm_view.look(suite)
        more = [{**line, "line_id": f"M{at}"} for at, line in enumerate(lines_of(random, f"-{number}", 8))]
        answer = await sync(suite, order_of(first + more, f"{number}-MORE"), f"MORE{number}")
        now = await brm_view.look(suite)
        for account, units in held.units.items():
            assert units <= now.units[account], "nothing goes away"
        assert {child: now.parents[child] for child in held.parents} == held.parents, "the first payer stays the parent"
        new = {unit for account, units in now.units.items() for unit in units - held.units.get(account, set())}
        said = {e.crm_id for e in answer.entities if e.outcome == CREATED and e.kind in UNITS}
        assert said == {unit.partition(" -> ")[0] for unit in new}


UNITS = (pb.ENTITY_KIND_BILL_UNIT, pb.ENTITY_KIND_NONPAYING_BILL_UNIT)


async def test_a_change_of_payer_that_is_taken_back_restores_who_is_below_whom_and_takes_nothing_away(suite: Suite) -> None:
    for number in CASES:
        random = Random(number)
        child, old, new = (f"{name}-{number}" for name in ("KID", "OLD", "NEW"))
        count = random.randint(1, 4)
        base = [customers.bundle(at, child, old, f"BP-{old}", asset_integration_id=f"AST-{number}-{at}") for at in range(count)]
        await sync(suite, order_of(base, f"{number}"), f"R{number}")
        before = await brm_view.look(suite)
        changed = base if random.random() < 0.7 else base[:1]
        prior = {"billing_account_id": old, "billing_profile_id": f"BP-{old}"}
        swapped = {"billing_account_id": new, "billing_profile_id": f"BP-{new}"}
        there = [_change(line, new, prior) for line in changed]
        back = [_change(line, old, swapped) for line in changed]
        await sync(suite, order_of(there, f"{number}", revision=2), f"THERE{number}")
        mark = len(await calls(suite))
        await sync(suite, order_of(back, f"{number}", revision=3), f"BACK{number}")
        creates = [
            call for call in (await calls(suite))[mark:] if call["opcode"].endswith(("CREATE_BILLINFO", "COMMIT_CUSTOMER"))
        ]
        assert creates == [], "what was there before the change is used again"
        after = await brm_view.look(suite)
        assert after.parents == before.parents, number
        for account, units in before.units.items():
            assert units <= after.units[account]


def _change(line: dict[str, Any], payer: str, prior: dict[str, str]) -> dict[str, Any]:
    now = {"billing_account": {"account_id": payer}, "billing_profile": {"billing_profile_id": f"BP-{payer}"}}
    return {**line, **now, "action": "UPDATE", "prior": prior}


@dataclass(slots=True)
class Death:
    """A process that stops in the middle: from then on it neither calls nor writes."""

    at: int = -1
    """Number of the BRM write at which it dies; never when negative."""
    after: bool = False
    """Whether BRM still gets that call."""
    dead: bool = False
    writes: int = 0


class Died(Exception):
    """What the caller of a dead process notices."""


@pytest.fixture
def death(monkeypatch: pytest.MonkeyPatch) -> Death:
    """Lets the service die around a BRM write; what it held counts as held by a dead process."""
    state = Death()
    call = SoapGateway.call

    async def dying_call(self: SoapGateway, system_id: str, brm_call: Any) -> Any:
        check(state)
        if opcode(brm_call.opcode).is_read:
            return await call(self, system_id, brm_call)
        state.writes += 1
        fatal = state.writes == state.at + 1
        if not fatal or state.after:
            answer = await call(self, system_id, brm_call)
        state.dead = state.dead or fatal
        check(state)
        return answer

    monkeypatch.setattr(SoapGateway, "call", dying_call)
    for owner, name in ((Journal, "record"), (GrpcXref, "populate"), (GrpcXref, "get_or_create"), (leases.Leases, "release")):
        monkeypatch.setattr(owner, name, _dying(getattr(owner, name), state))
    monkeypatch.setattr(leases, "_is_gone", lambda holder: True)
    return state


def check(state: Death) -> None:
    if state.dead:
        raise Died


def _dying(method: Any, state: Death) -> Any:
    async def call(*arguments: Any, **options: Any) -> Any:
        check(state)
        return await method(*arguments, **options)

    return call


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
async def test_a_crash_at_any_call_and_the_same_order_again_make_each_effect_once(
    suite: Suite, death: Death, after: bool
) -> None:
    for number in (0, 9, 16):
        steps, at = 1, 0
        while at < steps:
            name = f"{number}-{at}-{after}"
            there = lines_of(Random(number), f"-{name}", 3)
            await sync(suite, order_of(there, f"{name}-THERE"), f"THERE{name}")
            more = [{**line, "line_id": f"M{at}"} for at, line in enumerate(lines_of(Random(number), f"-{name}", 9))]
            document = order_of(there + more, name)
            shown = await suite.sync(customers.request(document, validate_only=True))
            steps = len(shown.plan.calls)
            death.at, death.after, death.dead, death.writes = at, after, False, 0
            with pytest.raises(grpc.aio.AioRpcError):
                await suite.sync(customers.request(document, f"R{name}"))
            death.at, death.dead = -1, False
            answer = await sync(suite, document, f"R{name}")
            assert {entity.outcome for entity in answer.entities} <= {CREATED, EXISTED, UPDATED, pb.ENTITY_OUTCOME_LINKED}
            units = Counter(each["BILLINFO_ID"] for each in await suite.brm.objects("/billinfo", limit=10_000))
            said = {entity.crm_id for entity in answer.entities if entity.kind in UNITS}
            assert said <= units.keys() and set(units.values()) == {1}, (name, "each unit once")
            numbers = Counter(each["ACCOUNT_NO"] for each in await suite.brm.objects("/account", limit=10_000))
            assert set(numbers.values()) == {1}, (name, "each account once")
            again = await sync(suite, document, f"AGAIN{name}")
            assert {entity.outcome for entity in again.entities} == {EXISTED}
            at += 1
        assert steps > 2, "a case worth its time"

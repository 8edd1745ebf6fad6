"""Whatever is asked, in whatever order and with whatever failing: the books balance (check 8.14)."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from brm_instance import Brm
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from random_calls import Chaos

from libs.brm.call import BrmCall
from libs.brm.codec import encode_response
from libs.brm.dialect import Dialect
from sandbox import chaos
from sandbox.chaos import Dropped, HalfReply, HttpFailure, Restarted
from sandbox.clock import ClockMode
from sandbox.errors import BrmFault
from sandbox.faults import KINDS
from sandbox.jobs import JOBS, run_job
from sandbox.money_jobs import inject_usage
from sandbox.opcodes.base import visible
from sandbox.settings import SandboxSettings

OPERATIONS = 1000
AT_ONCE = 10
"""Operations of one step: hypothesis chooses their seed, so that it can drop steps but need not choose every detail."""
FAULTS = (
    "delay:0", "delay_dist:0", "delay_after:0", "drop_before", "drop_after", "half_reply", "http_503", "http_401",
    "http_500_html", "err:STORAGE", "err:DEADLOCK", "err_after:STREAM_EOF", "pymt_phantom", "billinfo_noop",
    "transfer_no_poids", "uniqueness_leak", "partial:0", "mask", "stale_read:50", "pool_exhaust:0", "readonly",
    "clock_skew:86400", "unexposed:PCM_OP_BILL_FIND", "restart",
)  # fmt: skip
OFTEN = {
    "billinfo_noop": {"opcode": "PCM_OP_CUST_UPDATE_CUSTOMER", "probability": 0.3},
    "stale_read:50": {"opcode": "PCM_OP_AR_GET_*", "probability": 0.3},
    "pymt_phantom": {"opcode": "PCM_OP_PYMT_COLLECT", "probability": 0.1},
    "transfer_no_poids": {"opcode": "PCM_OP_SUBSCRIPTION_SERVICE_BALGRP_TRANSFER", "probability": 0.3},
}
"""Faults that concern few opcodes."""
ITEMS = {"payment", "payment/reversal", "adjustment", "dispute", "settlement", "writeoff", "refund", "usage", "cycle_forward"}


class Books(RuleBasedStateMachine):
    """An instance that is asked at random, by calls, jobs and usage, while every kind of fault strikes at random."""

    seen: Counter[str] = Counter()
    """What all runs together have come across: outcomes, opcodes done, faults fired, classes of items, schedules."""

    def __init__(self) -> None:
        super().__init__()
        zone = SandboxSettings(allow_partial=True, tax_rates={"service": Decimal("0.19")}, time_zone="Europe/Berlin")
        self.brm = Brm(settings=zone)
        self.asked = 0
        self.loop = asyncio.Runner()

    @initialize(seed=st.integers(0, 2**16))
    def faults(self, seed: int) -> None:
        self.chaos = Chaos(self.brm, seed)
        rare = {"probability": 0.01}
        self.rules = [self.brm.instance.faults.add({"action": each, "match": OFTEN.get(each, rare)}) for each in FAULTS]

    @rule(seed=st.integers(0, 2**16))
    def operate(self, seed: int) -> None:
        self.chaos.dice.seed(f"{seed}:{self.asked}")  # the same seed again is another choice
        self.loop.run(self._operate())

    async def _operate(self) -> None:
        for _ in range(AT_ONCE):
            self.asked += 1
            kind = self.chaos.dice.random()
            if kind < 0.02:
                await run_job(self.brm.instance, self.chaos.dice.choice(sorted(JOBS)))
            elif kind < 0.05:
                self._use()
            else:
                await self._call()

    def _use(self) -> None:
        service = self.brm.instance.reader().find(self.chaos.any("/service"))
        quantity, amount = self.chaos.dice.randrange(1, 200), self.chaos.dice.randrange(500) / 100
        content = {"service": service["LOGIN"] if service else "?", "quantity": quantity, "amount": amount, "resource": 1000101}
        try:
            inject_usage(self.brm.instance, content)
            self.seen["done:usage"] += 1
        except BrmFault as fault:
            self.seen[fault.name] += 1

    async def _call(self) -> None:
        opcode, flist = self.chaos.next()
        try:
            await self.brm.instance.serve(BrmCall(f"PCM_OP_{opcode}", {"PROGRAM_NAME": "chaos", **flist}))
            self.seen[f"done:{opcode}"] += 1
        except BrmFault as fault:
            assert "INV-" not in fault.descr or fault.error_class.value == "APPLICATION", f"{opcode}: {fault}"
            self.seen[fault.name] += 1
        except (Dropped, HalfReply, HttpFailure, Restarted) as cut:
            self.seen[type(cut).__name__] += 1

    @invariant()
    def books_balance_now_and_then(self) -> None:
        if self.asked % 200 == 0:
            assert self.brm.instance.check_invariants() == []

    def teardown(self) -> None:
        brm = self.brm
        assert brm.instance.check_invariants() == []
        assert events_explain_balances(brm)
        for flist in brm.instance.reader().of_class(""):
            encode_response("PCM_OP_READ_OBJ", visible(flist), Dialect())
            self.seen[f"object:{flist['POID'].type}"] += 1
        self.seen.update(f"fired:{fault.action.kind}" for fault in self.rules for _ in range(fault.fired))
        brm.instance.faults.clear()
        brm.instance.set_clock(ClockMode.FROZEN, brm.instance.clock.now() + timedelta(days=62))
        failed = {failure["poid"]: failure["error"] for failure in self.loop.run(run_job(brm.instance, "bill")).failures}
        self.loop.close()
        assert [poid for poid in failed if "/schedule" not in poid] == [], f"what cannot be billed stays unbilled: {failed}"
        assert brm.job("bill").results == 0, "a second bill run has nothing to bill"
        assert brm.instance.check_invariants() == []
        brm.instance.close()


def events_explain_balances(brm: Any) -> bool:
    """The sum of all event impacts is every balance, to the cent and to the minute, and nothing else is."""
    sums: dict[tuple[int, int], Decimal] = {}
    for event in brm.instance.reader().of_class("/event"):
        for impact in (event.get("BAL_IMPACTS") or {}).values():
            key = (impact["BAL_GRP_OBJ"].id, impact["RESOURCE_ID"])
            sums[key] = sums.get(key, Decimal(0)) + impact["AMOUNT"]
    held = {
        (group["POID"].id, resource): sum((part["CURRENT_BAL"] for part in balance["SUB_BALANCES"].values()), Decimal(0))
        for group in brm.instance.reader().of_class("/balance_group")
        for resource, balance in (group.get("BALANCES") or {}).items()
    }
    return {key: amount for key, amount in sums.items() if amount} == {key: amount for key, amount in held.items() if amount}


def told_again(*seeds: int) -> Counter[str]:
    """Histories that are the same whenever they are told. What hypothesis draws also depends on which modules are imported."""
    Books.seen = Counter()
    for seed in seeds:
        dice, books = random.Random(seed), Books()
        books.faults(seed=dice.randrange(2**16))
        for _ in range(OPERATIONS // AT_ONCE):
            books.operate(seed=dice.randrange(2**16))
            books.books_balance_now_and_then()
        books.teardown()
    return Books.seen


def explore(examples: int) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Books,
        settings=settings(
            max_examples=examples,
            stateful_step_count=OPERATIONS // AT_ONCE,
            deadline=None,
            phases=(Phase.generate,),  # a history of a thousand calls does not shrink in reasonable time
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.spec("brm:8.14")
def test_books_balance_after_a_thousand_random_calls_with_random_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaos, "POOL_WAIT", 0.001)
    seen = told_again(1, 2, 3)
    assert {key.removeprefix("fired:") for key in seen if key.startswith("fired:")} == KINDS, "every kind of fault struck"
    done = {key.removeprefix("done:") for key in seen if key.startswith("done:")}
    assert len(done) > 45, sorted(done)
    assert sum(seen[f"done:{each}"] for each in done) > OPERATIONS
    assert len(ITEMS & {key.removeprefix("object:/item/") for key in seen}) >= len(ITEMS) - 2
    for what in ("object:/schedule", "object:/trial_bill", "object:/collections_scenario", "object:/group/sharing/discounts"):
        assert seen[what], what


@pytest.mark.slow
def test_books_balance_in_many_more_random_histories(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaos, "POOL_WAIT", 0.001)
    explore(40)

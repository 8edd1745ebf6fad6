"""Laws of edits against billing itself: a family of accounts in two instances, edited at random.

A case is built from its number, so that one that fails can be made again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import suite as suites
from customer_edits import Customers, account_event, another_aggregator, open_customers, reasons
from customers import account, bundle, profile
from update_deaths import Death, Fate, MortalGateway, mortal

from libs.brm.poid import Poid
from libs.brm.specs import opcode
from libs.clock import FrozenClock
from libs.errors import Reason
from services.customer_sync.aggregator import CLAIM_SECONDS
from services.customer_sync.domain.update.model import Change, ChangeKind, CustomerUpdate, UpdateOutcome

FEW, MANY = range(8), range(100, 230)
SYSTEMS = ("BRM_01", "BRM_02")
CARD = {"number": "4111111111111111", "expiry_month": 1, "expiry_year": 2030, "holder_name": "Ann Card"}
DEBIT = {"account_number": "000123456789", "routing_number": "021000021", "account_type": "Savings"}
MAPS = """
[CONTACT_SALUTATION]
columns = ["COMMON", "SEBL_01", "BRM_01", "BRM_02"]
rows = [["MR", "Mr.", "Mr.", "MISTER"], ["MS", "Ms.", "Ms.", ""]]
"""
"""The second instance calls things otherwise."""
OPTIONS: Mapping[str, Any] = {"enable_account_status_sync": True}
KEYS: Mapping[str, Any] = {"mark_keys": ["k" * 40]}
"""Of the process that dies: what it wrote down tells card details apart."""


@pytest.fixture
async def customers(tmp_path: Path) -> AsyncIterator[Customers]:
    (tmp_path / "maps.toml").write_text(MAPS)
    options = {**OPTIONS, "value_maps_file": str(tmp_path / "maps.toml")}
    async with open_customers(*SYSTEMS, **options) as found:
        yield found


async def a_family(customers: Customers, random: Random, suffix: str) -> list[str]:
    """Four accounts that orders brought to one instance, most of them to the other one, too; one is paid by another."""
    names = [f"{name}{suffix}" for name in "ABCD"]
    kind = random.choice(("BUSINESS", "BUSINESS", "RESIDENTIAL"))
    above = dict(zip(names, ("", names[0], names[1], ""), strict=True))
    classes = dict(zip(names, ("BILLING", "CUSTOMER", "SERVICE", "BILLING"), strict=True))
    people = {
        name: account(name, type=kind, parent_account_id=above[name], status="Active", **{"class": classes[name]})
        for name in names
    }
    for system_id, at in zip(SYSTEMS, (1, 2), strict=True):
        wanted = names if at == 1 else [name for name in names if random.random() < 0.7]
        lines = [bundle(number, name, name, f"BP-{name}-{at}") for number, name in enumerate(wanted)]
        lines += [bundle(9, names[2], names[0], f"BP-{names[0]}-{at}")] if names[0] in wanted and names[2] in wanted else []
        profiles = [profile(f"BP-{name}-{at}", name, is_primary=at == 1) for name in wanted]
        if lines:
            await customers.ordered(lines, list(people.values()), profiles, system_id)
    if random.random() < 0.6:
        unit = await customers.id_of("NONPAYING_BILLINFO", f"{names[2]}|{names[0]}|BP-{names[0]}-1")
        await customers.bought(names[2], unit, f"AST{suffix}", f"555{int(suffix[1:]):07d}")
    return names


def edit(customers: Customers, random: Random, names: list[str]) -> str:
    """Edit an account, or its profiles, in a few places, sensibly or not; the account."""
    one = random.choice((names[2], *names))
    mine = [key for key, record in customers.crm.billing_profiles.items() if record["account_id"] == one]
    for _ in range(random.choice((1, 1, 2, 4))):
        if random.random() < 0.55:
            customers.crm.edit_account(one, random.choice(_account_edits(names)))
        elif mine:
            customers.crm.edit_billing_profile(random.choice(mine), random.choice(PROFILE_EDITS))
    return one


def _account_edits(names: list[str]) -> list[dict[str, Any]]:
    phones = [{"type": "WORK", "number": "4085550101"}, {"type": "HOME", "number": "4085550102"}]
    return [
        {"primary_contact": {"last_name": "Reed", "salutation": "Ms."}},
        {"primary_contact": {"salutation": "Mr.", "phones": phones}},
        {"primary_contact": {"first_name": None, "phones": phones[:1]}},
        {"primary_contact": {"last_name": ""}},
        {"primary_address": {"city": "Boston", "state": "MA"}},
        {"primary_address": {"country": "Atlantis"}},
        {"status": "Inactive"},
        {"status": "Odd"},
        {"currency": "EUR"},
        *({"parent_account_id": name} for name in ("", *names, names[3], names[3])),
    ]


PROFILE_EDITS: list[dict[str, Any]] = [
    {"payment_method": "Credit Card", "card": CARD, "debit": None},
    {"payment_method": "Automatic Debit", "debit": DEBIT, "card": None},
    {"payment_method": "Credit Card", "card": {**CARD, "number": "XXXXXXXXXXXX1111"}, "debit": None},
    {"payment_method": "Barter"},
    {"bill_frequency": "Quarterly"},
    {"billing_day": 15},
    {"billing_day": 31},
    {"name": "Other", "bill_media": "Email", "email_bill_to": "a@x.org"},
    {"address": {"city": "Boston"}},
    {"contact": {"last_name": "Else"}},
]


class Writes:
    """Writes to all instances since this was made."""

    def __init__(self, customers: Customers, marks: Mapping[str, int]) -> None:
        self._customers = customers
        self._marks = marks

    @classmethod
    async def of(cls, customers: Customers) -> Writes:
        return cls(customers, {code: len(await _calls(customers, code)) for code in SYSTEMS})

    async def made(self) -> list[suites.Call]:
        found = {code: (await _calls(self._customers, code))[mark:] for code, mark in self._marks.items()}
        writes = {code: [call for call in calls if not opcode(call["opcode"]).is_read] for code, calls in found.items()}
        return [in_order(call) for call in suites.made_calls(writes)]


def in_order(call: suites.Call) -> suites.Call:
    """The call with its fields sorted: on the wire they stand in BRM's order, in a plan in the planner's."""
    return replace(call, lines=tuple(sorted(call.lines)))


async def _calls(customers: Customers, system_id: str) -> list[dict[str, Any]]:
    return await customers.suite.sandbox.admin(system_id).calls(limit=1_000_000)


async def shown_done_and_done_again(customers: Customers, number: int) -> str:
    """validate_only equals execution, call by call; the second time there is no write."""
    random = Random(number)
    names = await a_family(customers, random, f"-{number}")
    ends = []
    for _ in range(3):
        event = account_event(edit(customers, random, names))
        shown = await customers.tell(event, validate_only=True)
        writes = await Writes.of(customers)
        done = await customers.tell(event)
        assert reasons(shown) == reasons(done)
        left = await writes.made()
        for call in map(in_order, suites.planned_calls(shown.plans)):
            found = next((each for each in left if call.fits(each)), None)
            assert found is not None, (call, left)
            left.remove(found)
        assert left == [], "more than was shown"
        writes = await Writes.of(customers)
        again = await customers.tell(event)
        assert await writes.made() == []
        assert reasons(again) == reasons(done)
        ends.append("written" if shown.plans else "refused" if done.errors else "nothing to do")
    return ends[0]


async def cut_short_and_finished(customers: Customers, number: int) -> str:
    """A process that dies at any write, and the same again: each effect once."""
    random, clock = Random(number), FrozenClock(datetime(2027, 1, 1, tzinfo=UTC))
    names = await a_family(customers, random, f"-{number}")
    update = CustomerUpdate("SEBL_01", edit(customers, random, names), (Change(ChangeKind.ACCOUNT),))
    fate = Fate(-1, random.choice(("before the call", "after it", "before its outcome is written")))
    gateway = MortalGateway(customers.gateway, fate)
    reached = {"gateway": gateway, "journal_of": mortal(fate)}
    async with another_aggregator(customers, "sqlite://:memory:", clock, **reached, **OPTIONS, **KEYS) as dying:
        plans = [each.plan for each in await dying.plan([update]) if each.plan is not None]
        count = sum(len(plan.steps) for plan in plans)
        if count == 0:
            return "nothing to do"
        records = sum(output.path.startswith("PAYINFO") for plan in plans for step in plan.steps for output in step.yields)
        before, fate.at = await kept(customers, "/payinfo"), random.randrange(count)
        with contextlib.suppress(Death, BaseExceptionGroup):
            await dying.run_now([update])
        assert fate.over
        await asyncio.gather(*instances_in_work(), return_exceptions=True)
        fate.over, fate.at = False, -1
        clock.advance(timedelta(seconds=CLAIM_SECONDS))
        outcomes = await dying.run_due()
        assert {str(each.reason) for one in outcomes for error in one.errors for each in error.violations} <= REFUSED
        assert await kept(customers, "/payinfo") == before + records, "each new record once"
        assert not await twice(customers)
        writes = await Writes.of(customers)
        again: list[UpdateOutcome] = await dying.run_now([update])
        assert await writes.made() == []
        assert all(each.entities == () for each in again)
    return "finished"


REFUSED = {str(each) for each in Reason if not str(each).startswith(("BRM_", "INTERNAL"))}
"""What one instance may refuse while the other is updated."""


def instances_in_work() -> list[asyncio.Task[Any]]:
    """What is still under way for an instance when the work on another one has died: it dies with its next step."""
    return [task for task in asyncio.all_tasks() if "_update_one" in getattr(task.get_coro(), "__qualname__", "")]


async def kept(customers: Customers, kind: str) -> int:
    """How many objects of a kind the instances hold together."""
    return sum([len(await customers.suite.sandbox.admin(code).objects(kind, limit=1_000_000)) for code in SYSTEMS])


async def twice(customers: Customers) -> list[tuple[str, str]]:
    """Bill units by id, and hierarchy groups by owner, that an instance has more than once."""
    found: Counter[tuple[str, str]] = Counter()
    for code in SYSTEMS:
        admin = customers.suite.sandbox.admin(code)
        found.update((code, each["BILLINFO_ID"]) for each in await admin.objects("/billinfo", limit=1_000_000))
        owners = [Poid.parse(each["PARENT"]) for each in await admin.objects("/group/billing", limit=1_000_000)]
        found.update((code, str(owner)) for owner in owners)
    return [key for key, count in found.items() if count > 1]


async def ends(law: Any, customers: Customers, numbers: range) -> Counter[str]:
    """How often each end was met. Raises what a case raises, naming it."""
    found = Counter[str]()
    for number in numbers:
        try:
            found[await law(customers, number)] += 1
        except Exception as error:
            error.add_note(f"case {number}")
            raise
    return found


async def test_what_is_shown_of_an_edit_is_what_is_done_and_done_again_it_is_nothing(customers: Customers) -> None:
    found = await ends(shown_done_and_done_again, customers, FEW)
    assert found["written"] > len(FEW) / 3
    assert found["refused"]


async def test_an_edit_that_is_cut_short_at_any_write_and_made_again_has_each_effect_once(customers: Customers) -> None:
    found = await ends(cut_short_and_finished, customers, FEW)
    assert found["finished"] > len(FEW) / 3


@pytest.mark.slow
@pytest.mark.parametrize("law", [shown_done_and_done_again, cut_short_and_finished])
async def test_so_it_is_for_very_many_edits_in_billing(customers: Customers, law: Any) -> None:
    assert len(await ends(law, customers, MANY)) > 1

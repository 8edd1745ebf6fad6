"""Forgetting at an age: what is finished goes, what somebody may still need stays, on both databases."""

from __future__ import annotations

import asyncio
import time

import pytest

from libs.brm.poid import Poid
from libs.db import Database
from libs.db.purge import BATCH, DAY_US, Ageing, purge, purge_forever
from libs.errors import O2CError, Reason
from libs.metrics import REGISTRY
from libs.plan.journal import Answer, Entry, EntryState, Journal
from libs.plan.purge import ageing_of
from libs.tasks import cancelled

NOW = time.time_ns() // 1000
OLD, YOUNG = NOW - 91 * DAY_US, NOW - 89 * DAY_US
DONE = Entry("a", EntryState.DONE, "f", {"thing(a)": Poid("0.0.0.1", "/thing", 1)})


async def journal_of(db: Database, moment: int) -> Journal:
    """A journal that takes every moment for this one."""
    await Journal.open(db)
    return Journal(db, lambda: moment)


def purged(what: str) -> float:
    return REGISTRY.get_sample_value("o2c_purged_total", {"what": what}) or 0.0


def unsettled(what: str) -> tuple[float, int]:
    """How many there are, and the age of the oldest in whole days."""
    count, days = (REGISTRY.get_sample_value(name, {"what": what}) for name in ("o2c_unsettled", "o2c_unsettled_oldest_days"))
    assert count is not None and days is not None
    return count, int(days)


async def test_old_answers_are_forgotten_and_young_ones_are_not(db: Database) -> None:
    for moment, name in ((OLD, "old"), (YOUNG, "young")):
        await (await journal_of(db, moment)).keep(Answer("M", name, "f", b"body"))
    counted = purged("answers")
    await purge(ageing_of(db, 90, 90, 400))
    journal = await Journal.open(db)
    assert [await journal.answer("M", name, "f") for name in ("old", "young")] == [None, b"body"]
    assert purged("answers") - counted == 1


async def test_more_than_one_batch_is_forgotten_at_once(db: Database) -> None:
    journal = await journal_of(db, OLD)
    for number in range(BATCH + 1):
        await journal.record(f"run/{number:04}", [DONE])
    _, steps, _ = ageing_of(db, 90, 90, 400)
    before = db.commits
    assert await steps.forget(NOW - 90 * DAY_US) == BATCH + 1
    assert db.commits - before == 2


async def test_a_finished_run_is_forgotten_at_its_age(db: Database) -> None:
    for moment, name in ((OLD, "old"), (YOUNG, "young")):
        await (await journal_of(db, moment)).record(name, [DONE, Entry("b", EntryState.DONE, "f")])
    await purge(ageing_of(db, 90, 90, 90))
    journal = await Journal.open(db)
    assert [len(await journal.load(name)) for name in ("old", "young")] == [0, 2]


@pytest.mark.parametrize(
    "other",
    [
        Entry("b", EntryState.INTENDED, ""),
        Entry("b", EntryState.DONE, "f", {"thing(b)": "1"}, linked=False),
    ],
)
async def test_a_run_that_somebody_has_to_go_on_with_is_kept_whole_whatever_its_age(db: Database, other: Entry) -> None:
    await (await journal_of(db, OLD)).record("run", [DONE, other])
    await purge(ageing_of(db, 90, 90, 90))
    assert await (await Journal.open(db)).load("run") == {"a": DONE, "b": other}


async def test_a_run_with_a_failed_step_is_kept_for_longer_and_told_until_then(db: Database) -> None:
    refused = Entry("b", EntryState.FAILED, "f", reason="BRM_REJECTED")
    unknown = Entry("c", EntryState.INTENDED, "")
    await (await journal_of(db, OLD)).record("refused", [DONE, refused])
    await (await journal_of(db, OLD)).record("both", [refused, unknown])
    await (await journal_of(db, NOW - 20 * DAY_US)).record("young", [refused])
    await purge(ageing_of(db, 30, 30, 92))
    journal = await Journal.open(db)
    assert set(await journal.load("refused")) == {"a", "b"}
    assert unsettled("failed_runs") == (2, 91) and unsettled("unknown_runs") == (1, 91)
    before = purged("failed_steps")
    await purge(ageing_of(db, 30, 30, 90))
    assert [len(await journal.load(name)) for name in ("refused", "both", "young")] == [0, 2, 1]
    assert purged("failed_steps") - before == 2
    assert unsettled("failed_runs") == (1, 20) and unsettled("unknown_runs") == (1, 91)
    await journal.record("both", [Entry("c", EntryState.FAILED, "")])
    await journal.record("young", [Entry("b", EntryState.DONE, "f")])
    await purge(ageing_of(db, 30, 30, 90))
    assert unsettled("failed_runs") == (1, 0) and unsettled("unknown_runs") == (0, 0)


async def test_a_run_that_was_taken_up_again_is_kept_whole(db: Database) -> None:
    await (await journal_of(db, OLD)).record("run", [DONE])
    await (await journal_of(db, YOUNG)).record("run", [Entry("b", EntryState.DONE, "f")])
    await purge(ageing_of(db, 90, 90, 90))
    assert set(await (await Journal.open(db)).load("run")) == {"a", "b"}


async def test_where_nothing_is_old_nothing_is_written(db: Database) -> None:
    await (await journal_of(db, YOUNG)).record("run", [DONE], Answer("M", "young", "f", b""))
    before = db.commits
    await purge(ageing_of(db, 90, 90, 90))
    assert db.commits == before


async def test_the_purge_goes_on_with_the_rest_and_comes_again_when_the_database_was_away() -> None:
    asked: list[str] = []
    again = asyncio.Event()

    async def away(before: int) -> int:
        asked.append("away")
        if asked.count("away") > 1:
            again.set()
        raise O2CError.of(Reason.STORE_UNAVAILABLE, "away")

    async def there(before: int) -> int:
        asked.append("there")
        return 0

    job = asyncio.create_task(purge_forever([Ageing("x", 1, away), Ageing("y", 1, there)], minutes=0.0001))
    async with asyncio.timeout(10):
        await again.wait()
    await cancelled(job)
    assert job.cancelled() and asked[:3] == ["away", "there", "away"]

"""How background tasks end."""

from __future__ import annotations

import asyncio

import pytest

from libs.tasks import abandoned, cancelled


async def waits(for_ever: asyncio.Event, told: list[str], name: str) -> None:
    try:
        await for_ever.wait()
    finally:
        told.append(name)


async def fails(message: str) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        raise ValueError(message)


async def test_all_tasks_are_told_before_any_is_waited_for() -> None:
    told: list[str] = []
    first_may_end = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await first_may_end.wait()
            told.append("slow")

    async def lets_it_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            told.append("other")
            first_may_end.set()

    tasks = [asyncio.create_task(slow()), asyncio.create_task(lets_it_end())]
    await asyncio.sleep(0)
    await cancelled(*tasks)  # would never end if the second were told after the first had ended
    assert told == ["other", "slow"] and all(task.cancelled() for task in tasks)


async def test_what_a_task_failed_with_is_raised_once_all_have_ended_and_dropped_where_nobody_wants_it() -> None:
    told: list[str] = []

    def begun() -> list[asyncio.Task[None]]:
        told.clear()
        return [asyncio.create_task(each) for each in (fails("one"), fails("two"), waits(asyncio.Event(), told, "last"))]

    tasks = begun()
    await asyncio.sleep(0)
    with pytest.raises(ValueError, match="one"):
        await cancelled(*tasks)
    assert told == ["last"]
    tasks = begun()
    await asyncio.sleep(0)
    await abandoned(*tasks)
    assert told == ["last"] and all(task.done() for task in tasks)
    await cancelled()


async def test_who_waits_for_the_end_can_be_cancelled_too() -> None:
    may_end = asyncio.Event()

    async def stubborn() -> None:
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    waiter = asyncio.create_task(cancelled(task))
    await asyncio.sleep(0)
    waiter.cancel()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert task.done()

"""Keyed locks: one holder per key, no deadlock, a named error for who waits too long."""

from __future__ import annotations

import asyncio

import pytest

from libs.errors import O2CError, Reason
from libs.plan.locks import KeyLocks


async def test_holders_of_a_common_key_take_turns_in_order_of_arrival() -> None:
    locks, seen = KeyLocks(), []

    async def work(name: str, keys: list[str]) -> None:
        async with locks.hold(keys, 5):
            seen.append(f"{name} in")
            await asyncio.sleep(0)
            seen.append(f"{name} out")

    await asyncio.gather(work("1", ["b", "a"]), work("2", ["a", "b"]), work("3", ["a", "c"]))
    assert seen == ["1 in", "1 out", "2 in", "2 out", "3 in", "3 out"]


async def test_holders_of_different_keys_do_not_wait() -> None:
    locks = KeyLocks()
    async with locks.hold(["a"], 0.05), locks.hold(["b"], 0.05):
        pass


@pytest.mark.spec("customer-sync:LK3")
async def test_waiting_too_long_ends_in_lock_timeout_with_nothing_held() -> None:
    locks = KeyLocks()
    async with locks.hold(["b"], 1):
        with pytest.raises(O2CError) as caught:
            async with locks.hold(["a", "b"], 0.01):
                raise AssertionError("never held")
        assert caught.value.violations[0].reason is Reason.LOCK_TIMEOUT
        assert caught.value.violations[0].metadata["key"] == "b"
        assert caught.value.retry_after is not None
        async with locks.hold(["a"], 0.01):
            pass
    async with locks.hold(["a", "b"], 0.01):
        pass


async def test_a_cancelled_waiter_leaves_nothing_behind() -> None:
    locks = KeyLocks()
    async with locks.hold(["a"], 1):
        waiter = asyncio.create_task(locks.hold(["a"], 60).__aenter__())
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
    async with locks.hold(["a"], 0.01):
        pass

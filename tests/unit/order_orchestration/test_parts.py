"""The parts around the rules: mappers, sealing, pages and the embedded engine."""

from __future__ import annotations

import asyncio

import pytest
from cryptography.fernet import Fernet

from libs.errors import O2CError, Reason
from libs.grpckit.walk import unknown_enums
from libs.pb.order.v1 import order_pb2 as pb
from services.order_orchestration.engine import InProcessEngine
from services.order_orchestration.mappers.order import SentLine, to_component_order, to_domain_order
from services.order_orchestration.mappers.sensitive import extract, restore
from services.order_orchestration.persistence.store import DueOrder
from services.order_orchestration.vault import Vault


def card_order() -> pb.Order:
    order = pb.Order(order_id="O")
    card = order.billing_profiles.add(billing_profile_id="BP").card
    card.number, card.security_code, card.expiry_month, card.expiry_year = "4111111111111111", "123", 12, 2030
    debit = order.lines.add(line_id="1").billing_profile.debit
    debit.account_number, debit.routing_number = "000123456789", "021000021"
    return order


def test_sensitive_fields_are_taken_out_wherever_they_stand_and_put_back_the_same() -> None:
    order, original = card_order(), card_order()
    secrets = extract(order)
    text = str(order)
    for value in ("4111111111111111", '123"', "000123456789", "021000021", "2030"):
        assert value not in text
    assert order.billing_profiles[0].card.number == "************1111"
    restore(order, secrets)
    assert order == original


def test_unknown_enum_numbers_are_named_with_their_path() -> None:
    order = pb.Order(fulfillment_mode=77)  # type: ignore[arg-type]
    order.lines.add().pricing.commit_type = 42  # type: ignore[assignment]
    found = unknown_enums(order, "order")
    assert [(one.reason, one.field) for one in found] == [
        (Reason.ENUM_UNKNOWN, "order.fulfillment_mode"),
        (Reason.ENUM_UNKNOWN, "order.lines[0].pricing.commit_type"),
    ]


def test_the_vault_opens_what_it_sealed_also_after_a_key_change() -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    secrets = extract(card_order())
    token = Vault([old]).seal(secrets)
    assert Vault([new, old]).open(token) == secrets
    assert Vault([new, old]).fingerprint(b"x", secrets) == Vault([old]).fingerprint(b"x", secrets)
    with pytest.raises(O2CError):
        Vault([new]).open(token)
    with pytest.raises(O2CError):
        Vault([]).seal(secrets)


def test_a_fingerprint_tells_card_numbers_apart_without_giving_them_away() -> None:
    vault, other = Vault([Fernet.generate_key().decode()]), Vault([Fernet.generate_key().decode()])
    one, two = [(["a"], "4111111111111111")], [(["a"], "4222222222221111")]
    assert vault.fingerprint(b"x", one) != vault.fingerprint(b"x", two)
    assert vault.fingerprint(b"x", one) != other.fingerprint(b"x", one)


def test_a_component_gets_what_its_lines_inherit_and_details_that_stood_on_other_lines() -> None:
    order = pb.Order(order_id="O")
    order.lines.add(line_id="1").service_account.name = "Denise"
    order.lines[0].service_account.account_id = "A"
    order.lines.add(line_id="2")
    domain, _ = to_domain_order(order)
    line = domain.lines[1]
    object.__setattr__(line, "service_account", "A")
    sent = to_component_order(order, "BRM_01", 7, [SentLine(line, "Gold")])
    assert [one.line_id for one in sent.lines] == ["2"]
    assert (sent.lines[0].service_account.account_id, sent.lines[0].price_list) == ("A", "Gold")
    assert (sent.lines[0].target_system_id, sent.priority) == ("BRM_01", 7)
    assert [account.name for account in sent.accounts] == ["Denise"]


async def nothing_due(overdue: float, most: int) -> list[DueOrder]:
    return []


@pytest.mark.spec("order-orchestration:OO-PR-01", "order-orchestration:G3")
async def test_one_worker_dispatches_by_priority_then_in_order_of_arrival() -> None:
    ran: list[str] = []
    gate = asyncio.Event()

    async def advance(order_id: str) -> None:
        await gate.wait()
        ran.append(order_id)

    engine = InProcessEngine(nothing_due, workers=1)
    await engine.start(advance)
    await engine.wake("first", 0)
    await asyncio.sleep(0)
    for priority in (3, 9, 0, 5, 9, 7, 1, 5, 8, 2):
        await engine.wake(f"{priority}-{len(engine._queued)}", priority)
    gate.set()
    await asyncio.sleep(0.05)
    await engine.stop()
    assert ran == ["first", "9-1", "9-4", "8-8", "7-5", "5-3", "5-7", "3-0", "2-9", "1-6", "0-2"]


@pytest.mark.spec("order-orchestration:OO-PR-02")
async def test_an_urgent_order_does_not_interrupt_one_that_has_started() -> None:
    ran: list[str] = []

    async def advance(order_id: str) -> None:
        ran.append(f"begin {order_id}")
        await asyncio.sleep(0.02)
        ran.append(f"end {order_id}")

    engine = InProcessEngine(nothing_due, workers=1)
    await engine.start(advance)
    await engine.wake("low", 0)
    await asyncio.sleep(0.005)
    await engine.wake("urgent", 9)
    await asyncio.sleep(0.08)
    await engine.stop()
    assert ran == ["begin low", "end low", "begin urgent", "end urgent"]


async def test_an_order_never_has_two_passes_at_once_and_none_is_lost() -> None:
    running, most, passes = 0, 0, 0

    async def advance(order_id: str) -> None:
        nonlocal running, most, passes
        running, passes = running + 1, passes + 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    engine = InProcessEngine(nothing_due, workers=4)
    await engine.start(advance)
    await engine.wake("o", 5)
    await asyncio.sleep(0.002)
    for _ in range(5):
        await engine.wake("o", 5)
    await asyncio.sleep(0.08)
    await engine.stop()
    assert (most, passes) == (1, 2)


async def test_a_pass_that_raises_or_asks_for_it_is_repeated_later() -> None:
    answers: list[object] = [RuntimeError("database away"), 0.01, None]
    passes = 0

    async def advance(order_id: str) -> float | None:
        nonlocal passes
        passes += 1
        answer = answers.pop(0)
        if isinstance(answer, RuntimeError):
            raise answer
        return answer  # type: ignore[return-value]

    engine = InProcessEngine(nothing_due, error_delay=0.01)
    await engine.start(advance)
    await engine.wake("o", 5)
    await asyncio.sleep(0.1)
    await engine.stop()
    assert passes == 3

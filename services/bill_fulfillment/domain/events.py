"""Pricing events: lines that carry the price of one charge of the product they stand below (bill-fulfillment.md 2.1, R-2.6).

They become part of their product's line before anything is decided, and are answered with what becomes of it. Which charge an
event prices is told by its price type (R-7.18).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from libs.errors import Reason, Violation
from libs.order_actions import Cell, cell
from services.bill_fulfillment.domain.classification import base_kind
from services.bill_fulfillment.domain.kinds import OFFERS
from services.bill_fulfillment.domain.model import Action, Decision, Kind, Line, Outcome, Pricing
from services.bill_fulfillment.domain.pricing import Overrides, changed_overrides, check_pricing, overrides

_PRODUCTS: Final = OFFERS | {Kind.SIMPLE_BUNDLE}


def merge_events(lines: Iterable[Line]) -> tuple[Line, ...]:
    """The lines with their events inside. A product that only its events change is updated by them; an event without a product
    stays a line of its own, to be refused."""
    by_id = {line.line_id: line for line in lines}
    events: dict[str, list[Line]] = {}
    for line in by_id.values():
        parent = by_id.get(line.parent_id)
        if _acts(line) and parent is not None and base_kind(parent) in _PRODUCTS:
            events.setdefault(parent.line_id, []).append(line)
    inside = {event.line_id for found in events.values() for event in found}
    return tuple(_with(line, events.get(line.line_id, ())) for line in by_id.values() if line.line_id not in inside)


def with_events(decisions: Iterable[Decision], lines: Iterable[Line]) -> tuple[Decision, ...]:
    """A decision for each of the ``lines`` asked, in their order: events as their products."""
    found = {decision.line.line_id: decision for decision in decisions}
    for decision in list(found.values()):
        for event in decision.line.events:
            found[event.line_id] = Decision(event, Kind.EVENT, decision.outcome, violations=_of_product(decision))
    return tuple(found[line.line_id] for line in lines)


def event_violations(line: Line) -> Iterator[Violation]:
    """Contradictory prices of events, and two prices of one charge."""
    priced = set(overrides(line.pricing, one_time=False))
    for event in line.events:
        yield from check_pricing(event)
        places = set(overrides(event.pricing, one_time=False))
        if places & priced:
            message = f"line {event.line_id} prices a charge of line {line.line_id} that has a price already"
            yield Violation(
                Reason.PRICING_INVALID, message, f"order.lines[{event.position}].pricing", {"line_ids": event.line_id}
            )
        priced |= places


def event_overrides(line: Line) -> Overrides:
    """The overrides that the events of a new product ask for."""
    found: Overrides = {}
    for event in line.events:
        if event.action is not Action.DELETE:
            found |= overrides(event.pricing, one_time=False)
    return found


def changed_event_overrides(line: Line) -> Overrides:
    """The overrides to set, and to clear, so that the events take effect on a product that is there."""
    found: Overrides = {}
    for event in line.events:
        before = Pricing() if event.action is Action.ADD else event.prior.pricing or event.pricing
        after = Pricing(list_price=event.pricing.list_price) if event.action is Action.DELETE else event.pricing
        found |= changed_overrides(before, after, one_time=False)
    return found


def _acts(line: Line) -> bool:
    return line.action is not Action.NONE and cell(base_kind(line), line.action) is Cell.WITH_PARENT


def _with(line: Line, events: Iterable[Line]) -> Line:
    inside = tuple(events)
    if not inside:
        return line
    if line.action is Action.NONE:
        return replace(line, action=Action.UPDATE, mode=inside[0].mode, events=inside)
    return replace(line, events=inside)


def _of_product(decision: Decision) -> tuple[Violation, ...]:
    """Why an event fails: its product does."""
    message = f"not done, as line {decision.line.line_id} failed: "
    failed = decision.outcome in (Outcome.FAILED, Outcome.SKIPPED_DEPENDENCY)
    return tuple(replace(each, message=message + each.message, field="") for each in decision.violations[:1] if failed)

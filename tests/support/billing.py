"""Bill fulfillment's planner as test data: short ways to say order lines, and a world that remembers what plans did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

from libs.brm.poid import Poid
from libs.order_actions import ITEMS
from libs.plan.model import Plan, Ref
from services.bill_fulfillment.domain.ledger import payload_hash
from services.bill_fulfillment.domain.model import (
    Action,
    AssetRecord,
    BillingType,
    Command,
    Dates,
    Decision,
    Facts,
    LedgerLine,
    Line,
    Mode,
    ObjectKind,
    Outcome,
    Payer,
    Policy,
    ProductType,
    Result,
    State,
)
from services.bill_fulfillment.domain.moves import as_moved
from services.bill_fulfillment.domain.planner import plan_fulfillment_order_billing

NOW = datetime(2030, 1, 10, tzinfo=UTC)
ANN = Payer("Ann", "Ann", "AnnBP")
TELEPHONY = "/service/telco/gsm/telephony"

_numbers = count(1)


def day(text: str) -> datetime:
    """A UTC midnight: ``2030-01-09``."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def line(line_id: str, action: Action = Action.ADD, **fields: Any) -> Line:
    """A line of Ann's."""
    fields.setdefault("payer", ANN)
    fields.setdefault("product_id", f"PROD-{line_id}")
    fields.setdefault("product_name", f"Product {line_id}")
    return Line(line_id=line_id, action=action, **fields)


def promotion(line_id: str, action: Action = Action.ADD, asset: str = "pr1", **fields: Any) -> Line:
    return line(line_id, action, asset=asset, product_type=ProductType.PROMOTION, **fields)


def bundle(line_id: str, action: Action = Action.ADD, asset: str = "sb1", **fields: Any) -> Line:
    fields.setdefault("service_type", TELEPHONY)
    fields.setdefault("service_id", "5551001")
    return line(line_id, action, asset=asset, billing_type=BillingType.SERVICE_BUNDLE, **fields)


def subscription(line_id: str, action: Action = Action.ADD, asset: str = "pd1", **fields: Any) -> Line:
    return line(line_id, action, asset=asset, billing_type=BillingType.SUBSCRIPTION, **fields)


def discount(line_id: str, action: Action = Action.ADD, asset: str = "ds1", **fields: Any) -> Line:
    return line(line_id, action, asset=asset, billing_type=BillingType.DISCOUNT, **fields)


def friends(line_id: str, action: Action = Action.ADD, asset: str = "ff1", **fields: Any) -> Line:
    """A special rating: friends and family, of list L1 unless told."""
    fields.setdefault("product_name", "My Social Circle")
    fields.setdefault("special_rating_list", "L1")
    return line(line_id, action, asset=asset, billing_type=BillingType.SPECIAL_RATING, **fields)


def event(line_id: str, action: Action = Action.ADD, **fields: Any) -> Line:
    """A pricing event."""
    return line(line_id, action, billing_type=BillingType.EVENT, **fields)


def item(line_id: str, action: Action = Action.ADD, **fields: Any) -> Line:
    return line(line_id, action, billing_type=BillingType.ITEM, **fields)


def at_once(text: str) -> Dates:
    """Purchase, cycle and usage start on one day."""
    return Dates(purchase=day(text), cycle_start=day(text), usage_start=day(text))


def command(*lines: Line, revision: int = 1, order: str = "ORD-1", now: datetime = NOW, **fields: Any) -> Command:
    """An order bound for BRM_01."""
    placed = tuple(replace(one, position=position) for position, one in enumerate(lines))
    return Command(
        order_id=f"{order}-{revision}",
        order_number=order,
        revision=revision,
        source_system="SEBL_01",
        system_id="BRM_01",
        lines=placed,
        now=now,
        **fields,
    )


class World:
    """Facts that grow: :meth:`bill` plans an order and applies what it would have done, as BRM and the ledger would."""

    def __init__(self, policy: Policy | None = None, facts: Facts | None = None) -> None:
        self.policy = policy or Policy()
        self.facts = facts or customers("Ann", "Bob", "Scott", "Duncan", "Cathy")
        self._ledgers: dict[str, tuple[Mapping[str, LedgerLine], int]] = {}

    def plan(self, order: Command) -> Result:
        """The plan for ``order``, the ledger opened at its page."""
        lines, latest = self._ledgers.get(order.ledger_order, ({}, 0))
        self.facts = replace(self.facts, lines=lines, latest_revision=latest)
        return plan_fulfillment_order_billing(order, self.facts, self.policy)

    def bill(self, order: Command) -> Result:
        """Plan ``order``, then let the world be as if all its calls had succeeded."""
        self.facts = with_products(self.facts, order.lines)
        result = self.plan(order)
        self.facts = applied(self.facts, order, result)
        self._ledgers[order.ledger_order] = (self.facts.lines, self.facts.latest_revision)
        return result


def customers(*names: str) -> Facts:
    """Self-paying accounts ``Ann`` with bill unit ``AnnBP``, known to BRM."""
    return Facts(
        accounts={name: poid("/account") for name in names},
        bill_units={f"{name}BP": poid("/billinfo") for name in names},
    )


def poid(type_: str) -> Poid:
    """Some object that exists."""
    return Poid("0.0.0.1", type_, next(_numbers))


def with_products(facts: Facts, lines: Sequence[Line]) -> Facts:
    """Every product of ``lines`` synchronised with BRM."""
    known = dict(facts.products)
    for one in lines:
        known.setdefault(one.product_id, poid("/discount" if one.billing_type is BillingType.DISCOUNT else "/product"))
    return replace(facts, products=known)


def applied(facts: Facts, order: Command, result: Result) -> Facts:
    """The facts after every step of the plan succeeded."""
    facts = as_moved(facts, result.moved)
    ids = {output.name: _object(output.name) for step in result.plan.steps for output in step.yields}
    installed, assets, lines = dict(facts.installed), dict(facts.assets), dict(facts.lines)
    for decision in result.decisions:
        if decision.outcome in (Outcome.IGNORED, Outcome.FAILED, Outcome.SKIPPED_DEPENDENCY) or decision.state is State.NONE:
            continue
        refs = _known(decision, ids)
        one = decision.line
        lines[one.ledger_key] = LedgerLine(
            decision.state, one.mode, order.revision, one.action, payload_hash(one), refs, decision.dates
        )
        if decision.kind not in ITEMS:
            before = assets.get(one.asset, AssetRecord(State.NONE))
            assets[one.asset] = AssetRecord(decision.state, {**before.refs, **refs}, decision.dates, one.price_list)
            installed |= {(one.asset, kind): value for kind, value in refs.items() if kind is not ObjectKind.BALANCE_GROUP}
        for (asset, kind), handle in decision.renewed.items():
            new = ids[handle.name] if isinstance(handle, Ref) else handle
            installed[asset, kind] = new
            assets[asset] = replace(assets[asset], refs={**assets[asset].refs, kind: new})
    for move in result.moved:
        installed = {key: value for key, value in installed.items() if key[0] != move.old}
        assets.pop(move.old, None)
    known = {asset for asset, _ in installed} | (facts.known_assets - {move.old for move in result.moved})
    return replace(
        facts,
        installed=installed,
        assets=assets,
        lines=lines,
        known_assets=frozenset(known),
        common_ids={asset: f"common of {asset}" for asset in known},
        latest_revision=order.revision,
    )


def _known(decision: Decision, ids: Mapping[str, Poid]) -> dict[ObjectKind, Poid]:
    return {
        kind: ids[handle.name] if isinstance(handle, Ref) else handle
        for kind, handle in decision.objects.items()
        if not isinstance(handle, Ref) or handle.name in ids
    }


def _object(name: str) -> Poid:
    kind = name.partition("(")[0]
    types = {
        "bundle": "/purchased_bundle",
        "service": "/service",
        "balgrp": "/balance_group",
        "discount": "/purchased_discount",
        "profile": "/profile/serv_extrating",
    }
    return poid(types.get(kind, "/purchased_product"))


def calls(plan: Plan) -> list[str]:
    """The opcodes of a plan in order, without their prefixes: ``SET_BUNDLE``."""
    return [short(step.call.opcode) for step in plan.steps]


def short(opcode: str) -> str:
    """An opcode of fulfillment without its prefixes."""
    return opcode.removeprefix("PCM_OP_").removeprefix("SUBSCRIPTION_").removeprefix("CUST_")


def outcomes(result: Result) -> list[Outcome]:
    return [decision.outcome for decision in result.decisions]


def reasons(result: Result) -> list[str]:
    """Reasons of every violation, in order."""
    return [violation.reason.value for decision in result.decisions for violation in decision.violations]


def warnings(result: Result) -> list[str]:
    """Reason and field of every warning, in order: ``ATTRIBUTE_NOT_COMMUNICATED:quantity``."""
    return [
        f"{notice.reason}:{notice.metadata['field']}" if "field" in notice.metadata else notice.reason.value
        for decision in result.decisions
        for notice in decision.notices
    ]


def initiated(one: Line) -> Line:
    return replace(one, mode=Mode.INITIATE)

"""From an order's lines to billing calls: a pure function of the order, what is known, and the deployment's switches."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

from libs.brm.poid import Poid
from services.bill_fulfillment.domain.admission import admit
from services.bill_fulfillment.domain.assembly import Assembly
from services.bill_fulfillment.domain.changes import change
from services.bill_fulfillment.domain.creation import create
from services.bill_fulfillment.domain.draft import Situation
from services.bill_fulfillment.domain.events import merge_events, with_events
from services.bill_fulfillment.domain.isolation import isolate
from services.bill_fulfillment.domain.ledger import recall
from services.bill_fulfillment.domain.model import Action, Command, Decision, Facts, Outcome, Policy, Result
from services.bill_fulfillment.domain.moves import RENAMED_ONLY, as_moved, moved_by, xref_moves
from services.bill_fulfillment.domain.payers import new_payers, one_payer_per_account
from services.bill_fulfillment.domain.references import item_name
from services.bill_fulfillment.domain.resolution import resolve
from services.bill_fulfillment.domain.revision import revise


def plan_fulfillment_order_billing(command: Command, facts: Facts, policy: Policy) -> Result:
    """One decision per line and the calls they need (bill-fulfillment.md 1-7, 9).

    After an attempt that was cut short the plan is the same again, as far as that attempt got; so its steps are recognised,
    settled or skipped, and nothing is made twice.

    Never raises for a well-formed command: what cannot be done is a violation on its line, and other roots go on.
    """
    asked, command = command.lines, replace(command, lines=merge_events(command.lines))
    moves = moved_by(command)
    result = _plan(command, _as_before(command, as_moved(facts, moves), policy), policy)
    going_on = {decision.line.asset for decision in result.decisions if _goes_on(decision)}
    moving = tuple(each for each in moves if each.new in going_on)
    plan = replace(result.plan, moves=xref_moves(facts, moving)) if moving else result.plan
    return Result(with_events(result.decisions, asked), plan, moving)


def _goes_on(decision: Decision) -> bool:
    """Whether the asset goes by its new id: its line is not refused."""
    ignored = decision.outcome is Outcome.IGNORED and decision.kind in RENAMED_ONLY
    return decision.outcome in (Outcome.PROCESSED, Outcome.XREF_ONLY) or ignored


def _plan(command: Command, facts: Facts, policy: Policy) -> Result:
    situation = Situation(command, facts, policy)
    drafts = admit(situation)
    recall(drafts.values(), situation)
    resolve(drafts, situation)
    revise(drafts, situation)
    one_payer_per_account(drafts.values(), situation)
    isolate(drafts)
    assembly = Assembly(situation, drafts, new_payers(drafts.values()))
    create(assembly)
    change(assembly)
    return Result(tuple(draft.decision() for draft in drafts.values()), assembly.plan())


def _as_before(command: Command, facts: Facts, policy: Policy) -> Facts:
    """The facts as the earlier attempt had them: without the cross-references that it wrote itself.

    Cross-references follow each wave of calls, the ledger comes last; so what an asset has in the cross-references but not in
    the ledger may be the attempt's own work. It is, when the plan without it contains a step the attempt journaled. What such
    a step made only in part stays visible: the plan then goes on from what is there.
    """
    if not facts.attempted:
        return facts
    unrecorded = {line.asset for line in command.lines if line.action is Action.ADD} - facts.assets.keys()
    hypothetical = _plan(command, _without(facts, unrecorded), policy)
    own: set[str] = set()
    bought: dict[str, Poid] = {}
    items = {item_name(line.line_id).name: line.line_id for line in command.lines}
    for step in hypothetical.plan.steps:
        attempt = facts.attempted.get(step.key)
        if attempt is None:
            continue
        links = {output.name: output.link.crm_id for output in step.yields if output.link is not None}
        if attempt.is_open or links.keys() <= attempt.outputs.keys():
            own |= set(links.values())
        else:
            bought |= {items[name]: poid for name, poid in attempt.outputs.items() if name in items}
    return replace(_without(facts, own), bought_items=bought)


def _without(facts: Facts, assets: Set[str]) -> Facts:
    return replace(facts, installed={key: handle for key, handle in facts.installed.items() if key[0] not in assets})

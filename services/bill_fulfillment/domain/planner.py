"""From an order's lines to billing calls: a pure function of the order, what is known, and the deployment's switches."""

from __future__ import annotations

from services.bill_fulfillment.domain.admission import admit
from services.bill_fulfillment.domain.assembly import Assembly
from services.bill_fulfillment.domain.changes import change
from services.bill_fulfillment.domain.creation import create
from services.bill_fulfillment.domain.draft import Situation
from services.bill_fulfillment.domain.isolation import isolate
from services.bill_fulfillment.domain.ledger import recall
from services.bill_fulfillment.domain.model import Command, Facts, Policy, Result
from services.bill_fulfillment.domain.resolution import resolve
from services.bill_fulfillment.domain.revision import revise


def plan_fulfillment_order_billing(command: Command, facts: Facts, policy: Policy) -> Result:
    """One decision per line and the calls they need (bill-fulfillment.md 1-7).

    Never raises for a well-formed command: what cannot be done is a violation on its line, and other roots go on.
    """
    situation = Situation(command, facts, policy)
    drafts = admit(situation)
    recall(drafts.values(), situation)
    resolve(drafts, situation)
    revise(drafts, situation)
    isolate(drafts)
    assembly = Assembly(situation, drafts)
    create(assembly)
    change(assembly)
    return Result(tuple(draft.decision() for draft in drafts.values()), assembly.plan())

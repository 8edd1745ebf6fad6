"""Bill units in collections: the engine's opcode, what people do to scenarios and actions, promises to pay (4.11)."""

from __future__ import annotations

from datetime import datetime

from libs.brm.flist import Array, Flist
from sandbox.billing import promises
from sandbox.billing.collections import (
    ActionStatus,
    Outcome,
    active_scenario,
    add_action,
    leave,
    pending_actions,
    process,
    start,
    take,
)
from sandbox.billing.debts import debts_of, total
from sandbox.billing.ledger import Occurrence, record
from sandbox.errors import BrmFault
from sandbox.opcodes.base import visible
from sandbox.opcodes.registry import Context, done, opcode, program_of, required
from sandbox.store.sqlite import Tx

SLIP_FOLLOWERS = 1
"""Bit of FLAGS in RESCHEDULE_ACTION and ADD_ACTION: later pending actions move by as many days."""
CANCEL_FOLLOWERS = 2
"""Bit of FLAGS: later pending actions are canceled."""


def _of_class(tx: Tx, flist: Flist, class_: str) -> Flist:
    stored = tx.get(required(flist, "POID"), error="NOT_FOUND")
    if not (stored["POID"].type + "/").startswith(class_ + "/"):
        raise BrmFault("BAD_POID_TYPE", "POID", f"{stored['POID']} is no {class_}")
    return stored


def _scenario_of_unit(tx: Tx, flist: Flist) -> Flist:
    unit = _of_class(tx, flist, "/billinfo")
    scenario = active_scenario(tx, unit["POID"])
    if scenario is None:
        raise BrmFault("BAD_VALUE", "POID", f"{unit['POID']} is not in collections")
    return scenario


def _event(tx: Tx, about: Flist, what: str, program: str) -> Flist:
    return record(tx, about["ACCOUNT_OBJ"], None, Occurrence("/event/collections", what, tx.now, tx.now, program))


def _answer(flist: Flist, outcome: Outcome) -> Flist:
    answer = done(flist["POID"], outcome.events)
    return {**answer, "SCENARIO_OBJ": outcome.scenario} if outcome.scenario is not None else answer


@opcode("PCM_OP_COLLECTIONS_PROCESS_BILLINFO")
def process_billinfo(ctx: Context, flist: Flist) -> Flist:
    """Look at one bill unit as the daily run does; SCENARIO_OBJ is the scenario it is in afterwards."""
    program = program_of(flist)
    unit = _of_class(ctx.tx, flist, "/billinfo")
    return _answer(flist, process(ctx.tx, unit["POID"], program, ctx.settings))


@opcode("PCM_OP_COLLECTIONS_EXEMPT_BILLINFO")
def exempt_billinfo(ctx: Context, flist: Flist) -> Flist:
    """Keep a bill unit out of collections (1), taking it out if it is in, or look at it again (0)."""
    tx, program = ctx.tx, program_of(flist)
    unit = _of_class(tx, flist, "/billinfo")
    exempt = int(required(flist, "EXEMPT_FROM_COLLECTIONS"))
    outcome = Outcome()
    if int(unit.get("EXEMPT_FROM_COLLECTIONS") or 0) == exempt:
        return {"POID": unit["POID"]}
    tx.edit(unit["POID"])["EXEMPT_FROM_COLLECTIONS"] = exempt
    if exempt and (scenario := active_scenario(tx, unit["POID"])) is not None:
        leave(tx, scenario, program, outcome)
    outcome.events.append(_event(tx, unit, "Exempt from collections" if exempt else "No longer exempt", program))
    return done(unit["POID"], outcome.events)


@opcode("PCM_OP_COLLECTIONS_REPLACE_SCENARIO")
def replace_scenario(ctx: Context, flist: Flist) -> Flist:
    """End a scenario and begin another one on the same bill unit, with the same overdue date."""
    tx, program = ctx.tx, program_of(flist)
    scenario = _of_class(tx, flist, "/collections_scenario")
    config = tx.get(required(flist, "CONFIG_SCENARIO_OBJ"), "CONFIG_SCENARIO_OBJ")
    if config["POID"].type != "/config/collections/scenario":
        raise BrmFault("BAD_POID_TYPE", "CONFIG_SCENARIO_OBJ", f"{config['POID']} is no scenario definition")
    if scenario.get("EXIT_T") is not None:
        raise BrmFault("BAD_VALUE", "POID", "the scenario has ended")
    if scenario["CONFIG_SCENARIO_OBJ"] == config["POID"]:
        return {"POID": scenario["POID"], "SCENARIO_OBJ": scenario["POID"]}
    outcome = Outcome()
    leave(tx, scenario, program, outcome)
    start(tx, tx.get(scenario["BILLINFO_OBJ"]), config, scenario["OVERDUE_T"], program, outcome)
    return _answer(flist, outcome)


@opcode("PCM_OP_COLLECTIONS_ASSIGN_AGENT")
def assign_agent(ctx: Context, flist: Flist) -> Flist:
    """Give a scenario (named itself or by its bill unit) with its pending actions, or a single action, to an agent."""
    tx, program = ctx.tx, program_of(flist)
    named = tx.get(required(flist, "POID"), error="NOT_FOUND")
    target = _scenario_of_unit(tx, flist) if named["POID"].type == "/billinfo" else named
    if not target["POID"].type.startswith(("/collections_scenario", "/collections_action")):
        raise BrmFault("BAD_POID_TYPE", "POID", f"{target['POID']} has no agent")
    agent = {name: flist[name] for name in ("AGENT_OBJ", "AGENT_NAME") if flist.get(name) is not None}
    if not agent:
        raise BrmFault("MISSING_ARG", "AGENT_OBJ", "name an agent")
    is_scenario = target["POID"].type == "/collections_scenario"
    for each in (target, *(pending_actions(tx, target["POID"]) if is_scenario else ())):
        tx.edit(each["POID"]).update(agent)
    return done(flist["POID"], [_event(tx, target, "Assigned to an agent", program)])


def _pending(tx: Tx, flist: Flist) -> Flist:
    """An action that is still to be taken, or has failed; BAD_VALUE @STATUS for a final one."""
    action = _of_class(tx, flist, "/collections_action")
    if action["STATUS"] not in (ActionStatus.PENDING, ActionStatus.ERROR):
        raise BrmFault("BAD_VALUE", "STATUS", f"the action is {ActionStatus(action['STATUS']).name.lower()}")
    return action


@opcode("PCM_OP_COLLECTIONS_SET_ACTION_STATUS")
def set_action_status(ctx: Context, flist: Flist) -> Flist:
    """Mark an action canceled (1), completed (2) or failed (3); a final status stays, the same again is a no-op."""
    tx, program = ctx.tx, program_of(flist)
    action = _of_class(tx, flist, "/collections_action")
    status = required(flist, "STATUS")
    if status not in tuple(ActionStatus):
        raise BrmFault("BAD_VALUE", "STATUS", f"{status} is no action status")
    if action["STATUS"] == status:
        return {"POID": action["POID"]}
    changed = tx.edit(_pending(tx, flist)["POID"])
    changed["STATUS"] = int(status)
    if status != ActionStatus.PENDING:
        changed["ACTION_T"] = tx.now
    if flist.get("NOTES"):
        changed["NOTES"] = flist["NOTES"]
    what = f"{action['ACTION_NAME']} {ActionStatus(status).name.lower()}"
    return done(action["POID"], [_event(tx, action, what, program)])


@opcode("PCM_OP_COLLECTIONS_TAKE_ACTION")
def take_action(ctx: Context, flist: Flist) -> Flist:
    """Perform an action now, whenever it is due; one that is completed stays so."""
    tx, program = ctx.tx, program_of(flist)
    action = _of_class(tx, flist, "/collections_action")
    if action["STATUS"] == ActionStatus.COMPLETED:
        return {"POID": action["POID"]}
    return done(action["POID"], take(tx, _pending(tx, flist)["POID"], program))


def _followers(tx: Tx, scenario: Flist, action: Flist, flags: int, old: datetime, new: datetime) -> None:
    """Cancel the pending actions due after one, or slip them as if from ``old`` to ``new``."""
    for other in pending_actions(tx, scenario["POID"]):
        if other["POID"] == action["POID"] or other["DUE_T"] < action["DUE_T"]:
            continue
        if flags & CANCEL_FOLLOWERS:
            tx.edit(other["POID"])["STATUS"] = int(ActionStatus.CANCELED)
        elif flags & SLIP_FOLLOWERS:
            tx.edit(other["POID"])["DUE_T"] = tx.calendar.moved(other["DUE_T"], old, new)


@opcode("PCM_OP_COLLECTIONS_RESCHEDULE_ACTION")
def reschedule_action(ctx: Context, flist: Flist) -> Flist:
    """Move a pending action to another day; FLAGS 1 slips those after it as far, FLAGS 2 cancels them."""
    tx, program = ctx.tx, program_of(flist)
    action = _pending(tx, flist)
    due = required(flist, "DUE_T")
    if action["DUE_T"] == due and action["STATUS"] == ActionStatus.PENDING:
        return {"POID": action["POID"]}
    _followers(tx, tx.get(action["SCENARIO_OBJ"]), action, flist.get("FLAGS") or 0, action["DUE_T"], due)
    tx.edit(action["POID"]).update(DUE_T=due, STATUS=int(ActionStatus.PENDING))
    return done(action["POID"], [_event(tx, action, f"{action['ACTION_NAME']} rescheduled", program)])


@opcode("PCM_OP_COLLECTIONS_INSERT_ACTION")
@opcode("PCM_OP_COLLECTIONS_ADD_ACTION")
def collections_add_action(ctx: Context, flist: Flist) -> Flist:
    """One more action of a running scenario; FLAGS 1 slips those after it by DAYS, FLAGS 2 cancels them."""
    tx, program = ctx.tx, program_of(flist)
    scenario = _of_class(tx, flist, "/collections_scenario")
    if scenario.get("EXIT_T") is not None:
        raise BrmFault("BAD_VALUE", "POID", "the scenario has ended")
    action = add_action(tx, scenario, required(flist, "CONFIG_ACTION_OBJ"), required(flist, "DUE_T"), flist.get("AMOUNT"))
    slipped = tx.calendar.add_days(action["DUE_T"], flist.get("DAYS") or 0)
    _followers(tx, scenario, action, flist.get("FLAGS") or 0, action["DUE_T"], slipped)
    events = [_event(tx, action, f"{action['ACTION_NAME']} added", program)]
    return {**done(scenario["POID"], events), "ACTION_OBJ": action["POID"]}


@opcode("PCM_OP_COLLECTIONS_INVOKE_PROMISE_TO_PAY")
def invoke_promise_to_pay(ctx: Context, flist: Flist) -> Flist:
    """Accept installments for the overdue amount (or AMOUNT): MILESTONES of them, DAYS apart, the first DUE_DAYS after
    EFFECTIVE_T. Pending actions wait until the day after the last one. BAD_VALUE @POID while there is a promise.
    """
    tx, program = ctx.tx, program_of(flist)
    scenario = _scenario_of_unit(tx, flist)
    if promises.active_promise(tx, scenario["POID"]) is not None:
        raise BrmFault("BAD_VALUE", "POID", "there is a promise already")
    amount = flist.get("AMOUNT") or total(debts_of(tx, scenario["BILLINFO_OBJ"]))
    count, days = flist.get("MILESTONES") or 1, flist.get("DAYS") or 30
    if amount <= 0 or count < 1 or days < 1:
        raise BrmFault("BAD_VALUE", "AMOUNT", "a promise is a positive amount in one or more installments")
    parts = promises.installments(amount, count, flist.get("MILESTONE_AMOUNT"))
    if parts[-1] <= 0:
        raise BrmFault("BAD_VALUE", "MILESTONE_AMOUNT", "the installments are more than the amount")
    due_days = flist.get("DUE_DAYS")
    start = tx.calendar.day_of(required(flist, "EFFECTIVE_T"))
    first = tx.calendar.add_days(start, days if due_days is None else due_days)
    dues = [tx.calendar.add_days(first, days * index) for index in range(count)]
    promise = promises.invoke(tx, scenario, amount, dues, parts, required(flist, "SPEC_NAME"))
    promises.shift(tx, pending_actions(tx, scenario["POID"]), tx.calendar.add_days(dues[-1], 1))
    shown = [{**visible(promise), "DUE_T": each["DUE_T"], "AMOUNT": each["AMOUNT"]} for each in promise["_milestones"].values()]
    answer = done(flist["POID"], [_event(tx, promise, "Promise to pay", program)])
    return {**answer, "SCENARIO_OBJ": scenario["POID"], "ACTIONS": Array.of(*shown)}


@opcode("PCM_OP_COLLECTIONS_REVOKE_PROMISE_TO_PAY")
def revoke_promise_to_pay(ctx: Context, flist: Flist) -> Flist:
    """End the promise of a bill unit; actions go on the next day. No promise any more counts as revoked."""
    tx, program = ctx.tx, program_of(flist)
    scenario = _scenario_of_unit(tx, flist)
    promise = promises.active_promise(tx, scenario["POID"])
    if promise is None:
        return {"POID": flist["POID"]}
    promises.revoke(tx, promise["POID"])
    promises.shift(tx, pending_actions(tx, scenario["POID"]), tx.calendar.add_days(tx.calendar.day_of(tx.now), 1))
    return done(flist["POID"], [_event(tx, promise, "Promise to pay revoked", program)])


@opcode("PCM_OP_COLLECTIONS_UPDATE_ACTION_PAYMENT_DETAILS")
def update_action_payment_details(ctx: Context, flist: Flist) -> Flist:
    """Note what came in for a promise (AMOUNT, in all) where the bills do not show it."""
    tx, program = ctx.tx, program_of(flist)
    action = _pending(tx, flist)
    if action["POID"].type != promises.CLASS:
        raise BrmFault("BAD_POID_TYPE", "POID", f"{action['POID']} is no promise to pay")
    if flist.get("AMOUNT") is not None:
        tx.edit(action["POID"])["RECVD"] = flist["AMOUNT"]
    if flist.get("NOTES"):
        tx.edit(action["POID"])["NOTES"] = flist["NOTES"]
    return done(action["POID"], [_event(tx, action, "Payment details", program)])

"""The collections engine: who is overdue, which scenario applies, what its actions do, when a bill unit is out again.

Rules: dates by day, days late counted from the due date of the bill with which the overdue amount reached the scenario's
entry amount; entry at ``>=`` amount and ``>=`` days; all actions are made on entry; members of a collections group and
exempt units are never in; members' debts count for the parent of their group.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from typing import Final

from libs.brm.flist import Flist
from libs.brm.poid import Poid
from sandbox.billing import promises
from sandbox.billing.debts import Debt, debts_of, group_of_member, total
from sandbox.billing.ledger import Occurrence, record
from sandbox.billing.status import set_status
from sandbox.billing.units import groups_of_unit, is_nonpaying
from sandbox.codes import State, StatusFlag
from sandbox.money import ZERO
from sandbox.settings import SandboxSettings
from sandbox.store.sqlite import Tx

PAY_TYPES: Final = range(10001, 10007)
"""Pay types that collections looks at."""


class ActionStatus(IntEnum):
    PENDING = 0
    CANCELED = 1
    COMPLETED = 2
    ERROR = 3


class ActionMode(IntEnum):
    """Who performs an action when it is due."""

    MANUAL = 1
    SYSTEM = 2


class ActionType(IntEnum):
    CUSTOM = 0
    REMINDER = 1
    DUNNING_LETTER = 2
    INACTIVATE_SERVICES = 3
    CLOSE_SERVICES = 4
    PROMISE_TO_PAY = 5
    WRITE_OFF = 6
    LATE_FEE = 7
    REFER_OUTSIDE = 8


SYSTEM_TYPES: Final = frozenset(
    {ActionType.REMINDER, ActionType.DUNNING_LETTER, ActionType.INACTIVATE_SERVICES, ActionType.CLOSE_SERVICES}
)
"""What the engine can do by itself; everything else is for people."""


@dataclass(slots=True)
class Outcome:
    """What one look at a bill unit changed."""

    scenario: Poid | None = None
    events: list[Flist] = field(default_factory=list)
    changes: list[tuple[str, Poid]] = field(default_factory=list)
    """(kind of change, scenario or action), such as ``SCENARIO_ENTERED``."""


def is_skipped(tx: Tx, unit: Flist) -> bool:
    """Whether collections never looks at a bill unit: exempt, nonpaying, another is liable, or an unlisted pay type."""
    if unit.get("EXEMPT_FROM_COLLECTIONS") or is_nonpaying(unit) or unit["PAY_TYPE"] not in PAY_TYPES:
        return True
    return group_of_member(tx, unit["POID"]) is not None


def active_scenario(tx: Tx, unit: Poid) -> Flist | None:
    """The scenario a bill unit is in."""
    found = tx.by_key("/collections_scenario.active_of_unit", unit)
    return found[0] if found else None


def pending_actions(tx: Tx, scenario: Poid) -> list[Flist]:
    """Actions still to be taken, earliest first; a promise is none of them."""
    found = tx.by_key("/collections_action.pending_of_scenario", scenario)
    return sorted(
        (each for each in found if each["POID"].type != promises.CLASS), key=lambda action: (action["DUE_T"], action["POID"].id)
    )


def process(tx: Tx, unit_poid: Poid, program: str, settings: SandboxSettings) -> Outcome:
    """Look at one bill unit: it stays out, enters, stays in (due actions are taken) or leaves."""
    outcome = Outcome()
    unit = tx.get(unit_poid)
    scenario = active_scenario(tx, unit_poid)
    if is_skipped(tx, unit):
        if scenario is not None:
            leave(tx, scenario, program, outcome)
        return outcome
    debts = debts_of(tx, unit_poid)
    if scenario is None:
        scenario = _enter(tx, unit, debts, program, settings, outcome)
    elif total(debts) <= _exit_amount(tx, scenario) or promises.is_kept(tx, scenario["POID"]):
        leave(tx, scenario, program, outcome)
        return outcome
    elif scenario["OVERDUE_AMOUNT"] != total(debts):
        tx.edit(scenario["POID"])["OVERDUE_AMOUNT"] = total(debts)
        outcome.changes.append(("AMOUNT_CHANGED", scenario["POID"]))
    if scenario is None:
        return outcome
    outcome.scenario = scenario["POID"]
    if (broken := promises.break_overdue(tx, scenario["POID"])) is not None:
        outcome.changes.append(("ACTION_STATUS_CHANGED", broken["POID"]))
        outcome.events.append(_event(tx, broken, "Promise to pay broken", program))
        outcome.changes += promises.shift(
            tx, pending_actions(tx, scenario["POID"]), tx.calendar.add_days(tx.calendar.day_of(tx.now), 1)
        )
    for action in pending_actions(tx, scenario["POID"]):
        if tx.calendar.day_of(action["DUE_T"]) <= tx.now and _mode(tx, action) == ActionMode.SYSTEM:
            outcome.events += take(tx, action["POID"], program)
            outcome.changes.append(("ACTION_STATUS_CHANGED", action["POID"]))
    return outcome


def _exit_amount(tx: Tx, scenario: Flist) -> Decimal:
    amount: Decimal = tx.get(scenario["CONFIG_SCENARIO_OBJ"]).get("EXIT_AMOUNT") or ZERO
    return amount


def _mode(tx: Tx, action: Flist) -> int:
    config = tx.find(action["CONFIG_ACTION_OBJ"])
    return int(config["COLLECTIONS_ACTION_MODE"]) if config is not None else ActionMode.MANUAL


def _enter(tx: Tx, unit: Flist, debts: list[Debt], program: str, settings: SandboxSettings, outcome: Outcome) -> Flist | None:
    if total(debts) < settings.collections_minimum:
        return None
    fitting = [(config, since) for config in _scenarios_for(tx, unit) if (since := _late_since(tx, config, debts))]
    if not fitting:
        return None
    config, since = max(fitting, key=lambda each: (each[0]["ENTRY_AMOUNT"], each[0].get("SEVERITY") or 0, each[0]["POID"].id))
    return start(tx, unit, config, since, program, outcome)


def _scenarios_for(tx: Tx, unit: Flist) -> Iterator[Flist]:
    """Scenarios without a profile, and those whose profile's VALUE is the account's business type."""
    kind = str(tx.get(unit["ACCOUNT_OBJ"])["BUSINESS_TYPE"])
    for config in tx.of_class("/config/collections/scenario"):
        profile = config.get("CONFIG_PROFILE_OBJ")
        if profile is None or ((stored := tx.find(profile)) is not None and stored.get("VALUE") == kind):
            yield config


def _late_since(tx: Tx, config: Flist, debts: list[Debt]) -> datetime | None:
    """The overdue date by which a scenario applies; ``None`` when amount or days are not reached."""
    reached = ZERO
    for debt in debts:
        reached += debt.amount
        if reached >= config["ENTRY_AMOUNT"]:
            late = tx.calendar.days_between(debt.due, tx.now)
            return debt.due if late >= (config.get("ENTRY_DAYS") or 0) else None
    return None


def start(tx: Tx, unit: Flist, config: Flist, since: datetime, program: str, outcome: Outcome) -> Flist:
    """Put a bill unit into a scenario: all its actions are made now, due counted from the entry date."""
    overdue = total(debts_of(tx, unit["POID"]))
    entry = tx.calendar.add_days(tx.calendar.day_of(since), config.get("ENTRY_DAYS") or 0)
    scenario = tx.create(
        "/collections_scenario",
        {
            "NAME": config["NAME"],
            "ACCOUNT_OBJ": unit["ACCOUNT_OBJ"],
            "BILLINFO_OBJ": unit["POID"],
            "CONFIG_SCENARIO_OBJ": config["POID"],
            "STATUS": 0,
            "ENTRY_T": entry,
            "ENTRY_AMOUNT": overdue,
            "OVERDUE_AMOUNT": overdue,
            "OVERDUE_T": since,
        },
    )
    tx.edit(unit["POID"]).update(SCENARIO_OBJ=scenario["POID"], COLLECTION_DATE=entry)
    outcome.scenario = scenario["POID"]
    outcome.changes.append(("SCENARIO_ENTERED", scenario["POID"]))
    outcome.events.append(_event(tx, scenario, f"Entered {config['NAME']}", program))
    for step in (config.get("ACTIONS") or {}).values():
        due = tx.calendar.add_days(entry, step["DUE_DAYS"])
        action = add_action(tx, scenario, step["CONFIG_ACTION_OBJ"], due, overdue)
        outcome.changes.append(("ACTION_CREATED", action["POID"]))
    return scenario


def add_action(tx: Tx, scenario: Flist, config: Poid, due: datetime, amount: Decimal | None) -> Flist:
    """One more action of a scenario."""
    definition = tx.get(config, "CONFIG_ACTION_OBJ")
    return tx.create(
        "/collections_action",
        {
            "SCENARIO_OBJ": scenario["POID"],
            "ACCOUNT_OBJ": scenario["ACCOUNT_OBJ"],
            "BILLINFO_OBJ": scenario["BILLINFO_OBJ"],
            "CONFIG_ACTION_OBJ": definition["POID"],
            "ACTION_NAME": definition["ACTION_NAME"],
            "ACTION_TYPE": definition["ACTION_TYPE"],
            "AGENT_OBJ": scenario.get("AGENT_OBJ"),
            "AGENT_NAME": scenario.get("AGENT_NAME"),
            "STATUS": ActionStatus.PENDING,
            "DUE_T": due,
            "AMOUNT": amount,
        },
    )


def leave(tx: Tx, scenario: Flist, program: str, outcome: Outcome) -> None:
    """Take a bill unit out: pending actions and promises are canceled."""
    unit = tx.edit(scenario["BILLINFO_OBJ"])
    unit.pop("SCENARIO_OBJ", None)
    unit.pop("COLLECTION_DATE", None)
    tx.edit(scenario["POID"]).update(EXIT_T=tx.now, STATUS=1, OVERDUE_AMOUNT=total(debts_of(tx, unit["POID"])))
    kept = promises.finish(tx, scenario["POID"])
    for action in pending_actions(tx, scenario["POID"]):
        tx.edit(action["POID"])["STATUS"] = int(ActionStatus.CANCELED)
        outcome.changes.append(("ACTION_STATUS_CHANGED", action["POID"]))
    outcome.changes += [("ACTION_STATUS_CHANGED", each) for each in kept]
    outcome.changes.append(("SCENARIO_EXITED", scenario["POID"]))
    outcome.events.append(_event(tx, scenario, "Left collections", program))
    outcome.scenario = None


def take(tx: Tx, action_poid: Poid, program: str) -> list[Flist]:
    """Perform an action now; the events of what it did."""
    action = tx.edit(action_poid)
    events = []
    match action["ACTION_TYPE"]:
        case ActionType.INACTIVATE_SERVICES:
            events += _services_to(tx, action["BILLINFO_OBJ"], State.INACTIVE, program)
        case ActionType.CLOSE_SERVICES:
            events += _services_to(tx, action["BILLINFO_OBJ"], State.CLOSED, program)
    action.update(STATUS=int(ActionStatus.COMPLETED), ACTION_T=tx.now)
    return [*events, _event(tx, action, f"Took {action['ACTION_NAME']}", program)]


def _services_to(tx: Tx, unit: Poid, state: State, program: str) -> list[Flist]:
    """Suspend or close the services that a bill unit bills."""
    events: list[Flist] = []
    for group in groups_of_unit(tx, unit):
        for service in tx.by_key("/service.BAL_GRP_OBJ", group["POID"]):
            if service["STATUS"] not in (state, State.CLOSED):
                events += set_status(tx, service, state, int(StatusFlag.DEBT), program)
    return events


def _event(tx: Tx, about: Flist, what: str, program: str) -> Flist:
    occurrence = Occurrence("/event/collections", what, tx.now, tx.now, program)
    return record(tx, about["ACCOUNT_OBJ"], None, occurrence)

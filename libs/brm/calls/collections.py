"""Collections: the engine, its actions, promises to pay (specification 4.11). Money in the bill unit's currency.

Groups and the definitions the engine works by are in ``collections_groups`` and ``collections_config``. Cancel actions with
these calls only: deleting a schedule behind an action does not cancel the action [MOS 1603335.1].
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from libs.brm.call import BrmCall
from libs.brm.calls.values import PROGRAM_NAME, PoidLike, audit, given, given_poid, merged, new, poid
from libs.brm.codes import CollectionsActionStatus, FollowUps
from libs.brm.flist import Flist
from libs.brm.poid import DEFAULT_DB


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A promise to pay; other actions pause while it holds."""

    effective: datetime
    spec: str
    """Name of the promise's specification."""
    amount: Decimal | None = None
    """All that is overdue when ``None``."""
    milestones: int | None = None
    """Number of part payments."""
    days_between: int | None = None
    milestone_amount: Decimal | None = None
    days_to_pay: int | None = None
    """Until all is paid, when there are no milestones."""

    def flist(self) -> Flist:
        """Fields of INVOKE_PROMISE_TO_PAY."""
        return given(
            EFFECTIVE_T=self.effective,
            SPEC_NAME=self.spec,
            AMOUNT=self.amount,
            MILESTONES=self.milestones,
            DAYS=self.days_between,
            MILESTONE_AMOUNT=self.milestone_amount,
            DUE_DAYS=self.days_to_pay,
        )


def collections_process_billinfo(
    billinfo: PoidLike, *, program_name: str = PROGRAM_NAME, descr: str = "", at: datetime | None = None
) -> BrmCall:
    """Run the engine on one bill unit: enter, update or leave a scenario, take due actions. Output: ``SCENARIO_OBJ``.

    Repeating: no further effect at the same time. Source: [MOS 1581149.1].
    """
    return _write("PROCESS_BILLINFO", billinfo, {}, audit(program_name, descr, at))


def collections_get_active_scenarios(
    *,
    agent: PoidLike | None = None,
    scenario: PoidLike | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    threshold: int | None = None,
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Bill units in collections, by agent, kind of scenario, time of entry: ``RESULTS[]``. A read. [recall]"""
    fields = given_poid(AGENT_OBJ=agent, CONFIG_SCENARIO_OBJ=scenario) | given(START_T=start, END_T=end, THRESHOLD=threshold)
    return _read("GET_ACTIVE_SCENARIOS", new("/collections_scenario", db), fields)


def collections_get_billinfos(
    *,
    agent: PoidLike | None = None,
    scenario: PoidLike | None = None,
    min_amount: Decimal | None = None,
    max_amount: Decimal | None = None,
    min_days: int | None = None,
    max_days: int | None = None,
    threshold: int | None = None,
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Bill units with something overdue, by amount and days: ``RESULTS[]``. A read. [recall]"""
    fields = given_poid(AGENT_OBJ=agent, SCENARIO_OBJ=scenario) | given(
        MIN_AMOUNT=min_amount, MAX_AMOUNT=max_amount, MIN_DAYS=min_days, MAX_DAYS=max_days, THRESHOLD=threshold
    )
    return _read("GET_BILLINFOS", new("/billinfo", db), fields)


def collections_get_scenario_detail(scenario: PoidLike) -> BrmCall:
    """One bill unit's stay in collections with its ``ACTIONS[]``. A read. [recall]"""
    return _read("GET_SCENARIO_DETAIL", scenario, {})


def collections_get_action_history(
    target: PoidLike, *, start: datetime | None = None, end: datetime | None = None, threshold: int | None = None
) -> BrmCall:
    """Actions of a scenario or a bill unit, taken and planned: ``RESULTS[]``. A read. [recall]"""
    return _read("GET_ACTION_HISTORY", target, given(START_T=start, END_T=end, THRESHOLD=threshold))


def collections_get_agents_actions(
    *,
    agent: PoidLike | None = None,
    status: CollectionsActionStatus | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    threshold: int | None = None,
    db: str = DEFAULT_DB,
) -> BrmCall:
    """An agent's worklist: ``RESULTS[]`` of actions. A read. [recall]"""
    fields = given_poid(AGENT_OBJ=agent) | given(STATUS=status, START_T=start, END_T=end, THRESHOLD=threshold)
    return _read("GET_AGENTS_ACTIONS", new("/collections_action", db), fields)


def collections_get_aggregation_info(
    *, start: datetime | None = None, end: datetime | None = None, db: str = DEFAULT_DB
) -> BrmCall:
    """Counts and amounts over all bill units in collections: ``RESULTS[]``. A read. [recall]"""
    return _read("GET_AGGREGATION_INFO", new("/collections_scenario", db), given(START_T=start, END_T=end))


def collections_calc_aging_buckets(
    billinfo: PoidLike, *, days: int | None = None, count: int | None = None, at: datetime | None = None
) -> BrmCall:
    """What is overdue by age, in ``count`` buckets of ``days``: ``BUCKETS[]``. A read. Name [OG 15.1 ch.8]."""
    return _read("CALC_AGING_BUCKETS", billinfo, given(DAYS=days, COUNT=count, END_T=at))


def collections_set_action_status(
    action: PoidLike,
    status: CollectionsActionStatus,
    *,
    notes: str = "",
    program_name: str = PROGRAM_NAME,
    descr: str = "",
) -> BrmCall:
    """Mark an action as done, cancelled or pending.

    Repeating: no further effect. Source: codes [BCR], fields [recall].
    """
    return _write("SET_ACTION_STATUS", action, {"STATUS": status} | given(NOTES=notes), audit(program_name, descr))


def collections_reschedule_action(
    action: PoidLike,
    due: datetime,
    *,
    follow_ups: FollowUps = FollowUps.KEEP,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
) -> BrmCall:
    """Give an action another due time; those after it keep theirs, slip along, or are cancelled.

    Repeating: no further effect. Source: REST twin [BCR].
    """
    fields = {"DUE_T": due} | given(FLAGS=int(follow_ups) or None)
    return _write("RESCHEDULE_ACTION", action, fields, audit(program_name, descr))


def collections_add_action(
    scenario: PoidLike,
    definition: PoidLike,
    due: datetime,
    *,
    amount: Decimal | None = None,
    slip_days: int | None = None,
    follow_ups: FollowUps = FollowUps.KEEP,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
) -> BrmCall:
    """Put an action of a definition into a scenario. Output: ``ACTION_OBJ``.

    Repeating: adds another! Natural key: scenario, definition and due time. Source: name [OG 15.1 ch.8], REST twin [BCR].
    """
    fields = merged(
        {"CONFIG_ACTION_OBJ": poid(definition), "DUE_T": due},
        given(AMOUNT=amount, DAYS=slip_days, FLAGS=int(follow_ups) or None),
    )
    return _write("ADD_ACTION", scenario, fields, audit(program_name, descr))


def collections_take_action(action: PoidLike, *, program_name: str = PROGRAM_NAME, descr: str = "") -> BrmCall:
    """Carry an action out now.

    Repeating: no further effect on an action done already. Source: [recall].
    """
    return _write("TAKE_ACTION", action, {}, audit(program_name, descr))


def collections_assign_agent(
    target: PoidLike,
    *,
    agent: PoidLike | None = None,
    agent_name: str = "",
    program_name: str = PROGRAM_NAME,
    descr: str = "",
) -> BrmCall:
    """Make an agent responsible for a scenario or an action.

    Repeating: no further effect. Source: name [OG 15.1 ch.8].
    """
    fields = given_poid(AGENT_OBJ=agent) | given(AGENT_NAME=agent_name)
    return _write("ASSIGN_AGENT", target, fields, audit(program_name, descr))


def collections_exempt_billinfo(
    billinfo: PoidLike,
    exempt: bool = True,
    *,
    notes: str = "",
    program_name: str = PROGRAM_NAME,
    descr: str = "",
) -> BrmCall:
    """Take a bill unit out of collections and keep it out, or let it in again.

    Repeating: no further effect. Source: REST twin [BCR].
    """
    fields = {"EXEMPT_FROM_COLLECTIONS": int(exempt)} | given(NOTES=notes)
    return _write("EXEMPT_BILLINFO", billinfo, fields, audit(program_name, descr))


def collections_replace_scenario(
    scenario: PoidLike, definition: PoidLike, *, program_name: str = PROGRAM_NAME, descr: str = ""
) -> BrmCall:
    """Go on with the scenario of another definition. Output: ``SCENARIO_OBJ``, the new one.

    Repeating: no further effect, the old scenario has ended. Source: [recall].
    """
    return _write("REPLACE_SCENARIO", scenario, {"CONFIG_SCENARIO_OBJ": poid(definition)}, audit(program_name, descr))


def collections_invoke_promise_to_pay(
    billinfo: PoidLike, promise: Promise, *, program_name: str = PROGRAM_NAME, descr: str = ""
) -> BrmCall:
    """Note that a customer promised to pay. Output: ``ACTIONS[]``, the milestones.

    Repeating: a second promise, or refused! Natural key: bill unit, specification and effective time. Source: REST twin [BCR].
    """
    return _write("INVOKE_PROMISE_TO_PAY", billinfo, promise.flist(), audit(program_name, descr))


def collections_revoke_promise_to_pay(
    billinfo: PoidLike, *, spec: str = "", notes: str = "", program_name: str = PROGRAM_NAME, descr: str = ""
) -> BrmCall:
    """Take the promise back: the scenario goes on.

    Repeating: no further effect. Source: REST twin [BCR].
    """
    return _write("REVOKE_PROMISE_TO_PAY", billinfo, given(SPEC_NAME=spec, NOTES=notes), audit(program_name, descr))


def collections_update_action_payment_details(
    action: PoidLike,
    *,
    amount: Decimal | None = None,
    due: datetime | None = None,
    notes: str = "",
    program_name: str = PROGRAM_NAME,
    descr: str = "",
) -> BrmCall:
    """Change amount or due time of a promise's milestone.

    Repeating: no further effect. Source: [recall].
    """
    fields = given(AMOUNT=amount, DUE_T=due, NOTES=notes)
    return _write("UPDATE_ACTION_PAYMENT_DETAILS", action, fields, audit(program_name, descr))


def _read(what: str, target: PoidLike, fields: Flist) -> BrmCall:
    return BrmCall(f"PCM_OP_COLLECTIONS_{what}", {"POID": poid(target)} | fields)


def _write(what: str, target: PoidLike, fields: Flist, audited: Flist) -> BrmCall:
    return BrmCall(f"PCM_OP_COLLECTIONS_{what}", merged({"POID": poid(target)}, audited, fields))

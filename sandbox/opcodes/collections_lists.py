"""Worklists and figures of collections (4.11): reads only."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from libs.brm.flist import Array, Flist
from sandbox.billing.collections import active_scenario
from sandbox.billing.debts import debts_of
from sandbox.errors import BrmFault
from sandbox.money import ZERO
from sandbox.opcodes.base import visible
from sandbox.opcodes.registry import Context, opcode, required
from sandbox.store.sqlite import Tx

_BUCKET_DAYS = 30
_BUCKETS = 4


def _listed(flist: Flist, found: list[Flist]) -> Flist:
    limit = flist.get("THRESHOLD") or len(found)
    answer: Flist = {"POID": flist["POID"], "RESULT_COUNT": len(found)}
    return {**answer, "RESULTS": Array.of(*map(visible, found[:limit]))} if found else answer


def _matches(found: Flist, flist: Flist, *names: str, time: str = "") -> bool:
    """Whether the filters that are given hold; START_T and END_T are a span of the field ``time``."""
    if any(flist.get(name) is not None and found.get(name) != flist[name] for name in names):
        return False
    start, end = flist.get("START_T"), flist.get("END_T")
    at = found.get(time)
    return not time or at is None or ((start is None or at >= start) and (end is None or at < end))


@opcode("PCM_OP_COLLECTIONS_GET_ACTIVE_SCENARIOS")
def get_active_scenarios(ctx: Context, flist: Flist) -> Flist:
    """Scenarios that run; filters: agent, definition, entry date in [START_T, END_T)."""
    active = [each for each in ctx.tx.of_class("/collections_scenario") if each.get("EXIT_T") is None]
    names = ("AGENT_OBJ", "CONFIG_SCENARIO_OBJ")
    return _listed(flist, [each for each in active if _matches(each, flist, *names, time="ENTRY_T")])


@opcode("PCM_OP_COLLECTIONS_GET_BILLINFOS")
def get_billinfos(ctx: Context, flist: Flist) -> Flist:
    """Bill units in collections; filters: scenario, agent, overdue amount and days."""
    tx = ctx.tx
    rows = []
    for scenario in tx.of_class("/collections_scenario"):
        if scenario.get("EXIT_T") is not None or not _matches(scenario, flist, "AGENT_OBJ"):
            continue
        days = tx.calendar.days_between(scenario["OVERDUE_T"], tx.now)
        spans = ((flist.get("MIN_AMOUNT"), flist.get("MAX_AMOUNT"), scenario["OVERDUE_AMOUNT"]),
                 (flist.get("MIN_DAYS"), flist.get("MAX_DAYS"), days))  # fmt: skip
        inside = all((low is None or value >= low) and (high is None or value <= high) for low, high, value in spans)
        if inside and flist.get("SCENARIO_OBJ") in (None, scenario["POID"]):
            shown = {name: scenario[name] for name in ("BILLINFO_OBJ", "ACCOUNT_OBJ", "OVERDUE_AMOUNT", "OVERDUE_T")}
            rows.append({**shown, "SCENARIO_OBJ": scenario["POID"], "EXEMPT_FROM_COLLECTIONS": 0})
    return _listed(flist, rows)


def _actions(tx: Tx, poid_of: Flist) -> list[Flist]:
    """Actions of a scenario, or of all scenarios a bill unit ever was in, by due date."""
    key = "BILLINFO_OBJ" if poid_of["POID"].type == "/billinfo" else "SCENARIO_OBJ"
    found = tx.by_key(f"/collections_action.{key}", poid_of["POID"])
    return sorted(found, key=lambda action: (action["DUE_T"], action["POID"].id))


def _scenario(tx: Tx, flist: Flist) -> Flist:
    """The scenario named by POID, or the running one of a bill unit."""
    named = tx.get(required(flist, "POID"), error="NOT_FOUND")
    scenario = active_scenario(tx, named["POID"]) if named["POID"].type == "/billinfo" else named
    if scenario is None or scenario["POID"].type != "/collections_scenario":
        raise BrmFault("NOT_FOUND", "POID", f"{named['POID']} has no scenario")
    return scenario


@opcode("PCM_OP_COLLECTIONS_GET_SCENARIO_DETAIL")
def get_scenario_detail(ctx: Context, flist: Flist) -> Flist:
    """A scenario with all its actions."""
    scenario = _scenario(ctx.tx, flist)
    return {**visible(scenario), "ACTIONS": Array.of(*map(visible, _actions(ctx.tx, scenario)))}


@opcode("PCM_OP_COLLECTIONS_GET_ACTION_HISTORY")
def get_action_history(ctx: Context, flist: Flist) -> Flist:
    """Actions of a scenario or bill unit changed in [START_T, END_T)."""
    target = ctx.tx.get(required(flist, "POID"), error="NOT_FOUND")
    return _listed(flist, [each for each in _actions(ctx.tx, target) if _matches(each, flist, time="MOD_T")])


@opcode("PCM_OP_COLLECTIONS_GET_AGENTS_ACTIONS")
def get_agents_actions(ctx: Context, flist: Flist) -> Flist:
    """Actions of an agent (of every agent without one), due in [START_T, END_T)."""
    found = [
        each for each in ctx.tx.of_class("/collections_action") if _matches(each, flist, "AGENT_OBJ", "STATUS", time="DUE_T")
    ]
    return _listed(flist, sorted(found, key=lambda action: (action["DUE_T"], action["POID"].id)))


@opcode("PCM_OP_COLLECTIONS_GET_AGGREGATION_INFO")
def get_aggregation_info(ctx: Context, flist: Flist) -> Flist:
    """Running scenarios by definition: how many bill units, how much overdue."""
    counts: dict[str, int] = defaultdict(int)
    amounts: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for scenario in ctx.tx.of_class("/collections_scenario"):
        if scenario.get("EXIT_T") is None and _matches(scenario, flist, time="ENTRY_T"):
            counts[scenario["NAME"]] += 1
            amounts[scenario["NAME"]] += scenario["OVERDUE_AMOUNT"]
    rows = [{"NAME": name, "COUNT": counts[name], "AMOUNT": amounts[name]} for name in sorted(counts)]
    return {"POID": flist["POID"], **({"RESULTS": Array.of(*rows)} if rows else {})}


@opcode("PCM_OP_COLLECTIONS_CALC_AGING_BUCKETS")
def calc_aging_buckets(ctx: Context, flist: Flist) -> Flist:
    """Overdue amounts of a bill unit by age: COUNT buckets of DAYS each, the last one open."""
    tx = ctx.tx
    unit = tx.get(required(flist, "POID"), error="NOT_FOUND")
    days, count = flist.get("DAYS") or _BUCKET_DAYS, flist.get("COUNT") or _BUCKETS
    today = flist.get("END_T") or tx.now
    sums = [ZERO] * count
    for debt in debts_of(tx, unit["POID"]):
        late = tx.calendar.days_between(debt.due, today)
        if late > 0:
            sums[min((late - 1) // days, count - 1)] += debt.amount
    buckets = [{"MIN_DAYS": index * days + 1, "MAX_DAYS": (index + 1) * days, "AMOUNT": sums[index]} for index in range(count)]
    del buckets[-1]["MAX_DAYS"]
    return {"POID": unit["POID"], "BUCKETS": Array.of(*buckets)}

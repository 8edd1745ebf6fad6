"""Runs a plan and says what became of each line: BRM first, then cross-references, then ledger and answer in one commit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from libs.brm.gateway import BrmGateway
from libs.brm.poid import Poid
from libs.db import Transaction
from libs.errors import O2CError, Reason, Violation
from libs.order_actions import ITEMS, SERVICES
from libs.plan.alone import Alone
from libs.plan.journal import Answer, Journal
from libs.plan.leases import Lease
from libs.plan.model import Ref
from libs.plan.result import RunResult, StepResult, StepState
from libs.plan.run import run
from libs.xref.client import Origin, XrefPort
from services.bill_fulfillment.answers import to_wire_response
from services.bill_fulfillment.domain.ledger import payload_hash
from services.bill_fulfillment.domain.model import (
    Action,
    AssetRecord,
    BillingDates,
    Command,
    Decision,
    Facts,
    Handle,
    Kind,
    LedgerLine,
    ObjectKind,
    Outcome,
    Policy,
    Result,
    State,
)
from services.bill_fulfillment.domain.moves import as_moved
from services.bill_fulfillment.domain.planner import plan_fulfillment_order_billing
from services.bill_fulfillment.domain.special_rating import REFUSALS
from services.bill_fulfillment.lookup import Lookup, run_key
from services.bill_fulfillment.persistence import AssetEntry, LedgerStore, LineEntry, Writing, write

MAX_ROUNDS: Final = 3
"""Plans for one request: a step that finds more in BRM than the facts knew asks for a new plan."""

_SYSTEM_CODES: Final = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED"})
"""Failures of the world rather than of the order: the call fails, what is done stays done, and the caller tries again."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The request an outcome answers: stored with it, so that the same request gets the same answer."""

    method: str
    request_id: str
    fingerprint: str


class Executor:
    """Takes one order at a time through facts, plan and calls."""

    def __init__(
        self,
        *,
        lookup: Lookup,
        store: LedgerStore,
        journal: Journal,
        alone: Alone,
        gateway: BrmGateway,
        xref: XrefPort,
        concurrency: int,
    ) -> None:
        self._lookup = lookup
        self._store = store
        self._journal = journal
        self._alone = alone
        self._gateway = gateway
        self._xref = xref
        self._concurrency = concurrency

    async def execute(self, command: Command, policy: Policy, asked: Asked) -> tuple[Decision, ...]:
        """What became of each line.

        Raises O2CError for failures of the world (BRM_UNAVAILABLE, BRM_OUTCOME_UNKNOWN, XREF_UNAVAILABLE, …), after writing
        down what is done, and LOCK_TIMEOUT while another request, here or in another process, works on the order or one of
        its service accounts.
        """
        return await self._alone.run(_lock_keys(command), partial(self._execute_alone, command, policy, asked))

    async def _execute_alone(self, command: Command, policy: Policy, asked: Asked, lease: Lease) -> tuple[Decision, ...]:
        """Facts, plan and calls, as long as nobody else works on the same. Raises LeaseLost when somebody does."""
        for _ in range(MAX_ROUNDS):
            facts = await self._lookup.gather(command, {}, policy)
            result = plan_fulfillment_order_billing(command, facts, policy)
            facts = as_moved(facts, result.moved)
            outcome = await self._run(command, facts, result, asked, lease)
            if not _is_stale(result, outcome):
                return await self._conclude(command, facts, result, outcome)
        message = f"order {command.ledger_order} changes in {command.system_id} while it is being billed"
        raise O2CError.of(Reason.BRM_CONFLICT, message, retry_after=1.0, key=command.ledger_order)

    async def _run(self, command: Command, facts: Facts, result: Result, asked: Asked, lease: Lease) -> RunResult:
        def finish(outcome: RunResult) -> Answer | None:
            if _is_stale(result, outcome) or _failures_of_the_world(outcome):
                return None
            decisions = outcomes(result, outcome)
            writing = _writing(command, facts, result, decisions)
            lost = any(decision.outcome in (Outcome.FAILED, Outcome.SKIPPED_DEPENDENCY) for decision in decisions)
            request_id = "" if lost else asked.request_id  # what failed may be sent again as it is, once the cause is gone

            async def write_and_release(tx: Transaction) -> None:
                await write(tx, writing)
                await lease.release(tx)

            return Answer(asked.method, request_id, asked.fingerprint, writing.body, also=write_and_release)

        return await run(
            result.plan,
            run_key=run_key(command),
            journal=self._journal,
            gateway=self._gateway,
            xref=self._xref,
            source_system=command.source_system,
            concurrency=self._concurrency,
            finish=finish,
            guard=lease.guard,
            origin=Origin(flow=asked.method, message_id=command.order_id),
        )

    async def _conclude(self, command: Command, facts: Facts, result: Result, outcome: RunResult) -> tuple[Decision, ...]:
        decisions = outcomes(result, outcome)
        failures = _failures_of_the_world(outcome)
        if failures:
            await self._store.write(_writing(command, facts, result, decisions))
            violations = [violation for failure in failures for violation in failure.violations]
            retries = [failure.retry_after for failure in failures if failure.retry_after is not None]
            raise O2CError(*violations, retry_after=max(retries, default=None))
        return decisions


def outcomes(result: Result, outcome: RunResult) -> tuple[Decision, ...]:
    """The decisions after the fact: failed where a step failed, objects with their ids."""
    serving: dict[str, list[StepResult]] = defaultdict(list)
    for step in result.plan.steps:
        for line_id in step.line_ids:
            serving[line_id].append(outcome.steps[step.key])
    return tuple(_after(decision, serving[decision.line.line_id], outcome.bindings) for decision in result.decisions)


def _after(decision: Decision, steps: list[StepResult], bindings: Mapping[str, object]) -> Decision:
    objects = {kind: _bound(handle, bindings) for kind, handle in decision.objects.items()}
    known = {kind: handle for kind, handle in objects.items() if isinstance(handle, Poid)}
    renewed = {key: poid for key, handle in decision.renewed.items() if isinstance(poid := _bound(handle, bindings), Poid)}
    decision = replace(decision, renewed=renewed)
    failed = next((step for step in steps if step.error is not None), None)
    if failed is not None and failed.error is not None:
        violations = tuple(_of_line(violation, decision) for violation in failed.error.violations)
        return replace(decision, outcome=Outcome.FAILED, state=State.FAILED, violations=violations, objects=known)
    if any(step.state is StepState.SKIPPED for step in steps):
        return replace(decision, outcome=Outcome.SKIPPED_DEPENDENCY, state=State.FAILED, objects=known)
    return replace(decision, objects=known)


def _of_line(violation: Violation, decision: Decision) -> Violation:
    line, reason, metadata = decision.line, violation.reason, {**violation.metadata, "line_ids": decision.line.line_id}
    if decision.kind is Kind.SPECIAL_RATING and line.action is Action.ADD:
        said = violation.metadata.get("brm_error", ""), violation.metadata.get("brm_field", "")
        reason = REFUSALS.get(said, reason)
        metadata |= {"product_kind": decision.kind.value, "action": line.action.value} if said in REFUSALS else {}
    return replace(violation, reason=reason, metadata=metadata)


def _bound(handle: Handle, bindings: Mapping[str, object]) -> Handle:
    if not isinstance(handle, Ref):
        return handle
    value = bindings.get(handle.name, handle)
    return value if isinstance(value, Poid | Ref) else Poid.parse(str(value))


def _is_stale(result: Result, outcome: RunResult) -> bool:
    """Whether a step found its object in BRM but not all that belongs to it. Items and balance groups may leave no trace."""
    for step in result.plan.steps:
        done = outcome.steps[step.key]
        linked = {output.name for output in step.yields if output.link is not None}
        if done.state is StepState.PARTIAL and not linked <= done.outputs.keys():
            return True
    return False


def _failures_of_the_world(outcome: RunResult) -> tuple[O2CError, ...]:
    return tuple(error for _, error in outcome.errors if error.violations[0].code in _SYSTEM_CODES)


def _lock_keys(command: Command) -> set[str]:
    """The order itself, and every account whose services it touches: one writer per service account (rule R22)."""
    system_id = command.system_id
    accounts = {line.payer.service_account for line in command.lines} - {""}
    accounts |= {line.prior.service_account for line in command.lines if line.prior.service_account}
    return {f"{system_id}:order:{command.ledger_order}", *(f"{system_id}:account:{account}" for account in accounts)}


def _writing(command: Command, facts: Facts, result: Result, decisions: tuple[Decision, ...]) -> Writing:
    settled = [
        decision
        for decision in decisions
        if decision.outcome is not Outcome.IGNORED and decision.state is not State.NONE and decision.kind is not Kind.EVENT
    ]
    return Writing(
        order_id=command.order_id,
        order_key=command.ledger_order,
        system_id=command.system_id,
        revision=command.revision,
        at=command.now,
        body=to_wire_response(command, decisions).SerializeToString(),
        lines=[_line_entry(command, decision) for decision in settled],
        assets=_asset_entries(command, facts, settled),
        renamed_assets=[(each.old, each.new) for each in result.moved],
        closed_services=[
            decision.line.asset
            for decision in settled
            if decision.kind in SERVICES and decision.state is State.CANCELLED and decision.outcome is Outcome.PROCESSED
        ],
    )


def _line_entry(command: Command, decision: Decision) -> LineEntry:
    line = decision.line
    refs = {kind: handle for kind, handle in decision.objects.items() if isinstance(handle, Poid)}
    reason = decision.violations[0].reason.value if decision.violations else ""
    entry = LedgerLine(decision.state, line.mode, command.revision, line.action, payload_hash(line), refs, decision.dates)
    return LineEntry(line.ledger_key, entry, reason)


def _asset_entries(command: Command, facts: Facts, settled: Sequence[Decision]) -> list[AssetEntry]:
    """States of the assets on the lines, and of offers that BRM made anew although their lines say nothing."""
    entries = {entry.asset: entry for decision in settled if (entry := _asset_entry(command, facts, decision)) is not None}
    for decision in settled:
        known = {part.asset: part.record for part in facts.parts.get(decision.line.asset, ())}
        for (asset, kind), poid in decision.renewed.items():
            if asset not in entries and asset in known and isinstance(poid, Poid):
                record = known[asset]
                entries[asset] = AssetEntry(asset, replace(record, refs={**record.refs, kind: poid}), decision.line.asset)
    return list(entries.values())


def _asset_entry(command: Command, facts: Facts, decision: Decision) -> AssetEntry | None:
    line = decision.line
    if decision.kind in ITEMS or not line.asset or decision.state is State.FAILED:
        return None
    known = facts.assets.get(line.asset, AssetRecord(State.NONE))
    new: dict[ObjectKind, Poid] = {kind: handle for kind, handle in decision.objects.items() if isinstance(handle, Poid)}
    price_list = line.price_list or known.price_list or command.price_list
    dates = known.dates if decision.dates == BillingDates() else decision.dates
    record = AssetRecord(decision.state, {**known.refs, **new}, dates, price_list)
    return AssetEntry(line.asset, record, decision.owner_asset)

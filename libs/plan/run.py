"""Runs a plan: wave by wave, each effect once, every outcome known or named unknown.

Order of a wave: intentions of the wave are journaled together with the outcomes of the wave before (one commit), the calls
are made side by side within limits, the ids they yield are cross-referenced beside them (:mod:`libs.plan.link`), and only when
all are, the steps are done.
A crash between any two of these heals on the next run with the same ``run_key``:

==============================  ==================================================================
crash                           next run
==============================  ==================================================================
before the commit               nothing happened; the step is made
after it, before or in a call   the step is *intended*: settled in BRM, adopted or made
after the call or the links     the same: settled, adopted, linked again (linking is idempotent)
after the outcome's commit      the step is *done*: its outputs are used again, no call
after the end of the run        the steps are *closed*: what is asked for again is made again if it is gone
==============================  ==================================================================

A cancelled run (the caller went away) is better off than a crashed one: before it ends it journals what it knows, so that
only the calls that were cut short have to be settled.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from libs.brm.call import BrmCall
from libs.brm.errors import BrmError, BrmOutcomeUnknown
from libs.brm.flist import Flist, get
from libs.brm.gateway import BrmGateway
from libs.errors import O2CError, Reason
from libs.plan.journal import Answer, Entry, EntryState, Journal, fingerprint_of, stored_outputs
from libs.plan.link import Linker
from libs.plan.model import Plan, PlanError, Step, Yield, bind, dependencies, references, waves
from libs.plan.result import How, RunResult, StepResult, StepState

if TYPE_CHECKING:
    from libs.db import Transaction
    from libs.xref.client import XrefPort
    from libs.xref.model import Origin

A_MOMENT: Final = 0.001
"""Seconds in which a remote call gets from its task to the wire, before something that takes long is computed."""
MAX_TRIES: Final = 2
"""A call of unknown outcome that provably had no effect is made once more."""
TOLD_AT_ONCE: Final = 2
"""Of how many steps ``meanwhile`` is told when one has ended, newest first: those that ended before COMMON ids were there catch
up."""

Meanwhile = Callable[["StepResult", Mapping[str, Any]], None]
"""Makes what can be made of a step that has ended, and of every name that has a value by then, its own and COMMON ids among
them. It raises nothing: that would cut the wave short."""


async def run(
    plan: Plan,
    *,
    run_key: str,
    journal: Journal,
    gateway: BrmGateway,
    xref: XrefPort,
    source_system: str = "SEBL_01",
    concurrency: int = 32,
    finish: Callable[[RunResult], Answer | None] | None = None,
    meanwhile: Meanwhile | None = None,
    guard: Callable[[Transaction], Awaitable[None]] | None = None,
    origin: Origin | None = None,
) -> RunResult:
    """Make every call of ``plan`` that has not been made.

    ``run_key`` names the attempt's intent and must be the same when the request is tried again. ``finish`` may turn the
    result into the request's answer, which is then stored in the commit of the last outcomes; ``meanwhile`` is told of most
    steps that have ended, while BRM works on others, so that ``finish`` has less to do. A plan of *n* waves costs *n* + 1
    commits. ``guard`` takes part in each of them, see :mod:`libs.plan.leases`; what it raises ends the run before the
    next call. ``origin`` is kept with every cross-reference that the run changes: in which flow, and for which order.

    Failing steps do not raise; they are in the result. Raises :class:`PlanError` for a plan that cannot be run (before
    anything is written) and ``O2CError`` when the journal or the cross-references cannot be written.
    """
    needs = references(plan)
    graph = dependencies(plan, needs)
    rounds = waves(plan, graph)
    _check_bound(plan, needs)
    claims = frozenset(claim.name for claim in plan.claims)
    linker = Linker(xref, source_system, plan, origin)
    runner = _Runner(plan, needs, graph, run_key, journal, gateway, linker, concurrency, guard, meanwhile, claims=claims)
    return await runner.run(rounds, finish)


def _check_bound(plan: Plan, needs: Mapping[str, frozenset[str]]) -> None:
    known = {claim.name for claim in plan.claims} | {output.name for step in plan.steps for output in step.yields}
    for key, names in needs.items():
        if unknown := names - known:
            raise PlanError(f"{key} needs {min(unknown)}, which nothing yields")


@dataclass(slots=True)
class _Ready:
    """A step all of whose references have a value. Its call is drawn up when it is needed, between the calls of others."""

    step: Step
    bindings: Mapping[str, Any]
    """Values of references; empty when its call has none, which most calls of a large order have not."""
    _call: BrmCall | None = None
    _fingerprint: str = ""
    stored: str = ""
    """Its outputs as the journal stores them, if it was called."""

    @property
    def call(self) -> BrmCall:
        if self._call is None:
            call = self.step.call
            self._call = BrmCall(call.opcode, bind(call.input, self.bindings), call.flags) if self.bindings else call
        return self._call

    @property
    def fingerprint(self) -> str:
        """Of the bound call; worked out when it is first read."""
        self._fingerprint = self._fingerprint or fingerprint_of(self.call)
        return self._fingerprint

    def write_down(self, outputs: Mapping[str, Any]) -> None:
        """Work out now what the journal will hold of it, while others are on their way."""
        _ = self.fingerprint
        self.stored = stored_outputs(outputs)


class _Made(NamedTuple):
    """Steps of a wave that have ended: those called now, and those an earlier attempt made and could not link."""

    fresh: Sequence[_Ready] = ()
    unlinked: Sequence[_Ready] = ()


@dataclass(slots=True)
class _Runner:
    plan: Plan
    needs: Mapping[str, frozenset[str]]
    graph: Mapping[str, frozenset[str]]
    run_key: str
    journal: Journal
    gateway: BrmGateway
    linker: Linker
    concurrency: int
    guard: Callable[[Transaction], Awaitable[None]] | None = None
    meanwhile: Meanwhile | None = None
    bindings: dict[str, Any] = field(default_factory=dict)
    results: dict[str, StepResult] = field(default_factory=dict)
    claims: frozenset[str] = frozenset()
    """Names that have a value before the first call is made."""
    unstarted: int = 0
    """Lanes of the running wave that have not begun."""
    unended: int = 0
    begun: set[str] = field(default_factory=set)
    """Steps that BRM may have heard of in this run."""
    untold: list[str] = field(default_factory=list)
    """Steps that have ended, and that ``meanwhile`` has not been told of."""
    all_claimed: bool = False
    """Whether ``bindings`` hold all COMMON ids."""
    calls: int = 0

    async def run(self, rounds: Sequence[Sequence[Step]], finish: Callable[[RunResult], Answer | None] | None) -> RunResult:
        async with self.linker:
            await self.linker.move()
            last = await self._rounds(rounds)
            self.bindings.update(await self.linker.claimed())
            linking = asyncio.ensure_future(self._link_and_conclude(*last))
            try:
                await asyncio.sleep(A_MOMENT)  # the last links get on their way; the answer is made meanwhile
                result = RunResult({step.key: self.results[step.key] for step in self.plan.steps}, self.bindings, self.calls)
                answer = finish(result) if finish else None
                outcomes = await linking
            except BaseException:
                linking.cancel()
                raise
        await self._record(outcomes, answer, closes=answer is not None and result.complete)
        return result

    async def _rounds(self, rounds: Sequence[Sequence[Step]]) -> _Made:
        """Every wave; what the last one made, which is not linked nor written yet."""
        first = rounds[0][: self.concurrency] if rounds else ()
        self.linker.claim(self._needed(first), self._needed(self.plan.steps))
        await asyncio.sleep(A_MOMENT)  # they get on their way; the journal is read meanwhile
        earlier = await self.journal.load(self.run_key) if rounds else {}
        if earlier:  # what was done is recognised by calls with their ids
            self.bindings.update(await self.linker.called_claimed())
        unsettled = frozenset(key for key, entry in earlier.items() if entry.state is EntryState.INTENDED)
        made = _Made()
        for wave in rounds:
            outcomes = await self._link_and_conclude(*made)
            ready = self._ready(wave)
            reused = {item.step.key for item in ready if self._reuse(item, earlier.get(item.step.key))}
            fresh = [item for item in ready if item.step.key not in reused]
            intents = [Entry(item.step.key, EntryState.INTENDED, "") for item in fresh if item.step.key not in unsettled]
            await self._record([*outcomes, *intents])
            await self._perform(fresh, unsettled)
            unlinked = [item for item in ready if item.step.key in reused and not earlier[item.step.key].linked]
            made = _Made(fresh, unlinked)
        return made

    def _needed(self, steps: Iterable[Step]) -> frozenset[str]:
        return frozenset().union(*(self.needs[step.key] for step in steps))

    async def _record(self, entries: Sequence[Entry], answer: Answer | None = None, *, closes: bool = False) -> None:
        await self.journal.record(self.run_key, entries, answer, guard=self.guard, closes=closes)

    def _ready(self, wave: Sequence[Step]) -> list[_Ready]:
        """The steps of a wave that can be made; the others are skipped."""
        ready: list[_Ready] = []
        bound = self.bindings.keys() | self.claims
        for step in wave:
            made = all(self.results[key].state in (StepState.DONE, StepState.PARTIAL) for key in self.graph[step.key])
            if made and self.needs[step.key] <= bound:
                ready.append(_Ready(step, self.bindings if self.needs[step.key] else {}))
            else:
                self.results[step.key] = StepResult(step.key, StepState.SKIPPED)
        return ready

    def _reuse(self, item: _Ready, entry: Entry | None) -> bool:
        """Whether an earlier attempt did exactly this; if so its outputs count."""
        if entry is None or entry.state is not EntryState.DONE or entry.fingerprint != item.fingerprint:
            return False
        self._conclude(item.step, entry.outputs, How.REUSED)
        return True

    def _conclude(self, step: Step, outputs: Mapping[str, Any], how: How) -> None:
        whole = all(item.optional or item.name in outputs for item in step.yields)
        state = StepState.DONE if whole else StepState.PARTIAL
        self.results[step.key] = StepResult(step.key, state, how, outputs)
        self.bindings.update(outputs)

    async def _perform(self, fresh: Sequence[_Ready], unsettled: frozenset[str]) -> None:
        """All calls of a wave: lanes side by side, the steps of one lane one after the other."""
        slots = asyncio.Semaphore(self.concurrency)
        lanes: dict[str, list[_Ready]] = {}
        for item in fresh:
            lanes.setdefault(item.step.lane or f"\0{item.step.key}", []).append(item)
        self.unstarted = self.unended = len(lanes)
        try:
            self.bindings.update(await self.linker.first_claimed())
            async with asyncio.TaskGroup() as group:
                for items in lanes.values():
                    group.create_task(self._lane(items, unsettled, slots))
        except BaseException as error:
            with contextlib.suppress(O2CError):  # what cut the wave short matters more
                await asyncio.shield(self._record(self._interrupted(fresh, unsettled)))
            raise _refusal_in(error) from None

    def _interrupted(self, fresh: Sequence[_Ready], unsettled: frozenset[str]) -> list[Entry]:
        """What is known of a wave that was cut short: outcomes, not linked yet, and steps that were never sent."""
        ended = [item for item in fresh if item.step.key in self.results]
        unsent = [item for item in fresh if item.step.key not in self.results.keys() | self.begun | unsettled]
        return [*self._entries(ended, linked=False), *(Entry(item.step.key, EntryState.FAILED, "") for item in unsent)]

    async def _lane(self, items: Sequence[_Ready], unsettled: frozenset[str], slots: asyncio.Semaphore) -> None:
        for number, item in enumerate(items):
            async with slots:
                if number == 0:
                    self._lane_begun()
                if not self.needs[item.step.key] <= self.bindings.keys():
                    self.bindings.update(await self.linker.called_claimed())
                if item.step.key in unsettled:
                    await self._settle_then_make(item.step, item.call)
                else:
                    await self._make(item.step, item.call)
            self.linker.add(item.step, self.results[item.step.key].outputs)
            if self.results[item.step.key].state is StepState.DONE:
                self.linker.end(item.step, self.results[item.step.key].outputs)
            item.write_down(self.results[item.step.key].outputs)
            self._tell_of(item.step.key)
        self._lane_ended()

    def _tell_of(self, key: str) -> None:
        """Have something made of steps that have ended, once all COMMON ids are there."""
        self.untold.append(key)
        claimed = self.linker.claimed_already
        if self.meanwhile is None or claimed is None:
            return
        if not self.all_claimed:
            self.bindings.update(claimed)
            self.all_claimed = True
        for _ in range(min(TOLD_AT_ONCE, len(self.untold))):
            self.meanwhile(self.results[self.untold.pop()], self.bindings)

    def _lane_begun(self) -> None:
        """Link what is there when two rounds of calls are left, and when one is, so that linking ends soon after the calls."""
        self.unstarted -= 1
        if self.unstarted in {self.concurrency, 0}:
            self.linker.send_rest()

    def _lane_ended(self) -> None:
        """Once more when a quarter of the last round is left."""
        self.unended -= 1
        if self.unended == self.concurrency // 4:
            self.linker.send_rest()

    async def _settle_then_make(self, step: Step, call: BrmCall) -> None:
        """A step an earlier attempt left behind: adopt its effect, or make it once it is proven to have had none."""
        try:
            found = await self.gateway.settle(self.plan.system_id, call)
        except O2CError as error:  # still unknown, however the look-up failed
            self._fail(step, StepState.UNKNOWN, error)
            return
        if found is None:
            await self._make(step, call)
        else:
            self._conclude(step, _yielded(step.yields, found), How.ADOPTED)

    async def _make(self, step: Step, call: BrmCall) -> None:
        system_id = self.plan.system_id
        self.begun.add(step.key)
        for _ in range(MAX_TRIES):
            try:
                self.calls += 1
                output = await self.gateway.call(system_id, call)
            except BrmOutcomeUnknown:
                try:
                    found = await self.gateway.settle(system_id, call)
                except O2CError as error:
                    return self._fail(step, StepState.UNKNOWN, error)
                if found is None:
                    continue
                return self._conclude(step, _yielded(step.yields, found), How.ADOPTED)
            except BrmError as error:
                found = await self._duplicate_of(call, error)
                if found is None:
                    return self._fail(step, StepState.FAILED, error)
                return self._conclude(step, _yielded(step.yields, found), How.ADOPTED)
            else:
                return self._conclude(step, _yielded(step.yields, output), How.CALLED)
        gone = O2CError.of(
            Reason.BRM_UNAVAILABLE,
            f"{call.opcode} did not reach {system_id} in {MAX_TRIES} tries",
            retry_after=1.0,
            system=system_id,
            opcode=call.opcode,
        )
        return self._fail(step, StepState.FAILED, gone)

    async def _duplicate_of(self, call: BrmCall, error: BrmError) -> Flist | None:
        """What BRM refused to make twice. Another process, or an attempt nobody remembers, made it (customer-sync 2.6)."""
        if not error.duplicate:
            return None
        try:
            return await self.gateway.settle(self.plan.system_id, call)
        except O2CError:  # the refusal is the better explanation
            return None

    def _fail(self, step: Step, state: StepState, error: O2CError) -> None:
        self.results[step.key] = StepResult(step.key, state, How.CALLED, error=error)

    async def _link_and_conclude(self, fresh: Sequence[_Ready], unlinked: Sequence[_Ready]) -> list[Entry]:
        """Cross-reference what the wave yielded, and what an earlier attempt could not; the journal entries of these steps, to
        be written with the next commit."""
        for item in unlinked:
            self.linker.add(item.step, self.results[item.step.key].outputs)
            self.linker.end(item.step, self.results[item.step.key].outputs)
        changed = [*fresh, *unlinked]
        try:
            await self.linker.settle()
        except O2CError:
            await self._record(self._entries(changed, linked=False))
            raise
        return self._entries(changed, linked=True)

    def _entries(self, items: Sequence[_Ready], *, linked: bool) -> list[Entry]:
        """Outcomes for the journal. A step of unknown outcome has none: it stays intended."""
        entries = (self._entry(item, linked=linked) for item in items)
        return [entry for entry in entries if entry is not None]

    def _entry(self, item: _Ready, *, linked: bool) -> Entry | None:
        key, fingerprint = item.step.key, item.fingerprint
        result = self.results[key]
        if result.state is StepState.UNKNOWN:
            return None
        if result.state is StepState.FAILED:
            reason = result.error.violations[0].reason.value if result.error else ""
            return Entry(key, EntryState.FAILED, fingerprint, reason=reason)
        return Entry(key, EntryState.DONE, fingerprint, result.outputs, linked, text=item.stored)


def _refusal_in(error: BaseException) -> BaseException:
    """What a lane raised, when it is cross-references that cannot be had; else the error itself."""
    if isinstance(error, BaseExceptionGroup):
        refusals, others = error.split(O2CError)
        if refusals is not None and others is None:
            return _refusal_in(refusals.exceptions[0])
    return error


def _yielded(yields: Sequence[Yield], output: Mapping[str, Any]) -> dict[str, Any]:
    """The ids a step was made for; those the output lacks are left out."""
    found = {item.name: get(output, item.path) for item in yields}
    return {name: value for name, value in found.items() if value is not None}

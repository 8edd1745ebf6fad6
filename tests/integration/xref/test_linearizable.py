"""Two server processes behave as one: every history of concurrent calls could have happened one call after the other."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import grpc.aio
from linearizability import Operation, linearization
from xref_calls import ACCOUNT, LINK, UPDATE, crm
from xref_processes import servers

from libs.grpckit.status import from_rpc_error
from libs.pb.xref.v1 import xref_pb2 as pb
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceStub

GROUPS, WORKERS, CALLS = 12, 6, 9
"""Objects that share no value, each worked on by all workers; calls per worker and group."""

Row = frozenset[tuple[str, str]]
State = tuple[frozenset[Row], frozenset[str]]
"""The rows of one group, and the COMMON ids used so far."""
Call = tuple[str, ...]


def holder(rows: frozenset[Row], cell: tuple[str, str]) -> Row | None:
    return next((row for row in rows if cell in row), None)


def put(state: State, old: Row | None, new: Row) -> State:
    """The state with one row in the place of another; a row needs two values."""
    rows = state[0] - {old} if old else state[0]
    return (rows | {new} if len(new) > 1 else rows, state[1])


def apply(state: State, call: Call, answer: str) -> State | None:
    """The sequential model, written from the specification: the state after a call answered so."""
    kind, *arguments = call
    if kind == "get_or_create":
        row = holder(state[0], ("SEBL_01", arguments[0]))
        value, created = answer.split()
        if row is not None:
            return state if created == "False" and ("COMMON", value) in row else None
        if created == "False" or value in state[1]:
            return None
        return put((state[0], state[1] | {value}), None, frozenset({("SEBL_01", arguments[0]), ("COMMON", value)}))
    if kind == "lookup":
        row = holder(state[0], ("SEBL_01", arguments[0]))
        return state if answer == (dict(row or ()).get("BRM_01") or "-") else None
    if kind == "delete":
        row = holder(state[0], ("BRM_01", arguments[0]))
        if row is None:
            return state if answer == "XREF_VALUE_NOT_FOUND" else None
        return put(state, row, row - {("BRM_01", arguments[0])}) if answer == "ok" else None
    if kind == "delete_row":
        row = holder(state[0], ("SEBL_01", arguments[0]))
        if row is None:
            return state if answer == "XREF_VALUE_NOT_FOUND" else None
        return put(state, row, row - {("SEBL_01", arguments[0])}) if answer == "ok" else None
    expected, after = _written(state, kind, *arguments)
    return after if answer == expected else None


def _written(state: State, kind: str, ref: str, value: str) -> tuple[str, State]:
    """Answer and state of a LINK or UPDATE of BRM_01."""
    row = holder(state[0], ("SEBL_01", ref))
    if row is None:
        return "XREF_REF_NOT_FOUND", state
    present = dict(row).get("BRM_01")
    if kind == "link" and present:
        return "XREF_TARGET_OCCUPIED", state
    if kind == "update" and not present:
        return "XREF_TARGET_EMPTY", state
    if present == value:
        return "ok", state
    if holder(state[0], ("BRM_01", value)) is not None:
        return "XREF_VALUE_NOT_UNIQUE", state
    return "ok", put(state, row, frozenset({cell for cell in row if cell[0] != "BRM_01"} | {("BRM_01", value)}))


def random_call(chance: random.Random, group: int) -> Call:
    ref, value = f"A{group}-{chance.randrange(2)}", f"p{group}-{chance.randrange(3)}"
    kind = chance.choice(("get_or_create", "lookup", "lookup", "link", "link", "update", "delete", "delete_row"))
    if kind in ("link", "update"):
        return kind, ref, value
    return (kind, value) if kind == "delete" else (kind, ref)


async def perform(stub: XrefServiceStub, call: Call) -> str:
    kind, *arguments = call
    try:
        if kind == "get_or_create":
            made = await stub.GetOrCreate(pb.GetOrCreateRequest(**crm(arguments[0])))
            return f"{made.value} {made.created}"
        if kind == "lookup":
            found = await stub.Lookup(pb.LookupRequest(**crm(arguments[0]), column="BRM_01"))
            return found.value or "-"
        if kind in ("delete", "delete_row"):
            column = "BRM_01" if kind == "delete" else "SEBL_01"
            await stub.MarkForDelete(pb.MarkForDeleteRequest(table=ACCOUNT, column=column, value=arguments[0]))
            return "ok"
        mode = LINK if kind == "link" else UPDATE
        await stub.Populate(pb.PopulateRequest(**crm(arguments[0]), column="BRM_01", value=arguments[1], mode=mode))
        return "ok"
    except grpc.aio.AioRpcError as error:
        return str(from_rpc_error(error).violations[0].reason)


async def recorded(stubs: tuple[XrefServiceStub, ...], chance: random.Random) -> list[list[Operation]]:
    """Histories of each group, of workers that call both processes at the same time."""
    clock: Iterator[int] = itertools.count()
    histories: list[list[Operation]] = [[] for _ in range(GROUPS)]

    async def work(worker: int, group: int, calls: list[Call]) -> None:
        for call in calls:
            began = next(clock)
            answer = await perform(stubs[worker % len(stubs)], call)
            histories[group].append(Operation(call, answer, began, next(clock)))

    for group in range(GROUPS):
        plans = [[random_call(chance, group) for _ in range(CALLS)] for _ in range(WORKERS)]
        await asyncio.gather(*[work(worker, group, calls) for worker, calls in enumerate(plans)])
    return histories


def explained(history: list[Operation], model: Callable[[State, Call, str], State | None] = apply) -> bool:
    return linearization(history, (frozenset[Row](), frozenset[str]()), model) is not None


async def test_the_history_of_two_processes_is_linearizable(database_url: str, tmp_path: Path) -> None:
    async with servers(database_url, tmp_path) as stubs:
        histories = await recorded(stubs, random.Random(1))
    answers = {operation.answer for history in histories for operation in history}
    assert {"ok", "-", "XREF_REF_NOT_FOUND", "XREF_VALUE_NOT_FOUND"} <= answers, "the calls met too little of one another"
    for history in histories:
        assert len(history) == WORKERS * CALLS
        overlapping = sum(a.began < b.began < a.ended for a, b in itertools.permutations(history, 2))
        assert overlapping > len(history)
        assert explained(history)
    for history in histories[:3]:  # had one call been answered with an id that nobody made, there would be no such order
        at = next(at for at, operation in enumerate(history) if operation.answer.endswith("True"))
        strange = replace(history[at], answer="00000000-0000-4000-8000-000000000000 False")
        assert not explained([*history[:at], strange, *history[at + 1 :]])

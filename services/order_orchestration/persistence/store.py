"""Reads and writes orders. Every write of an order is one commit, and carries the journal of what it changed."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from libs.db import Database, Row
from services.order_orchestration.domain.changes import Change, changes
from services.order_orchestration.domain.progress import MICROSECONDS, ComponentStatus, LineStatus, OrderStatus
from services.order_orchestration.domain.recognition import KnownOrder, Submission
from services.order_orchestration.domain.states import LineState, OrderState
from services.order_orchestration.persistence import columns
from services.order_orchestration.persistence import statements as sql


class StaleOrder(Exception):
    """Another pass wrote the order meanwhile; what this one learned is discarded, the other one goes on."""


@dataclass(frozen=True, slots=True)
class LineFacts:
    """What intake decided about a line."""

    price_list: str
    systems: tuple[str, ...]
    decided_by: str
    """The evidence that placed it, as it stood then: a later edit of the routing table changes nothing about it."""
    candidates: tuple[str, ...] = ()
    """Instances that were open before, sorted."""
    evidence: tuple[str, ...] = ()
    """Everything that was weighed."""


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An accepted order, about to be stored."""

    submission: Submission
    document: bytes
    """Serialised, card and bank numbers masked."""
    sealed: str
    priority: int
    status: OrderStatus
    lines: Mapping[str, LineFacts]
    asset_ids: Mapping[str, str]
    """Asset of each line."""


@dataclass(frozen=True, slots=True)
class OrderHead:
    """An order without its lines. Times are epoch microseconds."""

    order_id: str
    order_number: str
    revision: int
    state: OrderState
    priority: int
    intake_sequence: int
    received_at: int
    updated_at: int
    last_sequence: int
    notices: str


@dataclass(frozen=True, slots=True)
class LoadedOrder:
    """An order as read, to be advanced or shown."""

    head: OrderHead
    source_system: str
    status: OrderStatus
    lines: Mapping[str, LineFacts]
    claimed: bool
    version: int
    document: bytes
    sealed: str


@dataclass(frozen=True, slots=True)
class DueOrder:
    """An order that wants to be advanced."""

    order_id: str
    priority: int
    intake_sequence: int
    due_at: int


class OrderStore:
    """The repository over one database."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def find_known(self, submission: Submission) -> list[KnownOrder]:
        """Orders that share request id, document id or number with the submission."""
        rows = await self._db.all(
            sql.FIND_KNOWN,
            request_id=submission.request_id,
            order_id=submission.order_id,
            order_number=submission.order_number,
        )
        return [_known(*row) for row in rows]

    async def open_assets(self, asset_ids: Sequence[str]) -> dict[str, str]:
        """Which of the assets have an open line on an order in flight, and that order's number."""
        if not asset_ids:
            return {}
        return dict(await self._db.all(sql.OPEN_ASSETS, rows=[(one,) for one in sorted(set(asset_ids))]))

    async def insert(self, new: NewOrder, now: int) -> int | None:
        """Store everything in one commit; its intake sequence, or ``None`` when the same order was taken meanwhile."""
        submission, status = new.submission, new.status
        entries = list(changes(None, status))
        async with self._db.begin() as tx:
            row = await tx.one(
                sql.INSERT_ORDER,
                order_id=submission.order_id,
                request_id=submission.request_id,
                source_system=submission.source_system,
                order_number=submission.order_number,
                revision=submission.revision,
                content_hash=submission.content_hash,
                state=str(status.state),
                all_or_none=status.all_or_none,
                priority=new.priority,
                now=now,
                last_sequence=len(entries),
                notices=columns.dump_notices(status.notices),
            )
            if row is None:
                return None
            order_id = submission.order_id
            document = base64.b64encode(new.document).decode()
            await tx.run(
                sql.INSERT_DOCUMENT,
                order_id=order_id,
                content_hash=submission.content_hash,
                document=document,
                sealed=new.sealed,
            )
            await tx.run(sql.INSERT_LINES, rows=_line_rows(new))
            parts = [_component_row(order_id, at, one) for at, one in enumerate(status.components.values())]
            if parts:
                await tx.run_many(sql.INSERT_COMPONENT, parts)
            await tx.run(sql.INSERT_JOURNAL, **_journal_row(order_id, 1, entries, now))
        sequence: int = row[0]
        return sequence

    async def load(self, order_id: str) -> LoadedOrder | None:
        """The whole order, or ``None`` when there is none."""
        row = await self._db.one(sql.LOAD_ORDER, order_id=order_id)
        if row is None:
            return None
        (_, source, number, revision, state, all_or_none, priority, received, updated, claimed, last, version, notices) = row[
            :13
        ]
        intake_sequence, document, sealed = row[13:]
        line_rows = await self._db.all(sql.LOAD_LINES, order_id=order_id)
        found = [columns.load_component(*cells) for cells in await self._db.all(sql.LOAD_COMPONENTS, order_id=order_id)]
        lines = {
            line_id: LineStatus(LineState(line_state), columns.load_objects(objects), columns.load_violations(errors))
            for line_id, line_state, _, _, _, _, objects, errors in line_rows
        }
        status = OrderStatus(
            state=OrderState(state),
            all_or_none=all_or_none,
            lines=lines,
            components={one.key: one for one in found},
            notices=columns.load_notices(notices),
        )
        head = OrderHead(order_id, number, revision, status.state, priority, intake_sequence, received, updated, last, notices)
        facts = {
            line_id: LineFacts(price_list, tuple(systems.split()), decided_by, *columns.load_evidence(evidence))
            for line_id, _, price_list, systems, decided_by, evidence, _, _ in line_rows
        }
        return LoadedOrder(head, source, status, facts, claimed, version, base64.b64decode(document), sealed)

    async def save(self, order: LoadedOrder, after: OrderStatus, now: int, due_at: int) -> LoadedOrder:
        """Write what changed, in one commit, and wipe the seal when nothing needs it. Raises :class:`StaleOrder`.

        ``due_at``: when the order wants to be looked at again, 0 for never.
        """
        before, order_id = order.status, order.head.order_id
        entries = list(changes(before, after))
        last_sequence = order.head.last_sequence + len(entries)
        wipe = bool(order.sealed) and not after.needs_secrets
        async with self._db.begin() as tx:
            notices = columns.dump_notices(after.notices)
            written = await tx.run(
                sql.UPDATE_ORDER,
                state=str(after.state),
                now=now,
                due_at=due_at,
                notices=notices,
                last_sequence=last_sequence,
                order_id=order_id,
                version=order.version,
            )
            if written != 1:
                raise StaleOrder(order_id)
            rows = _changed_lines(order_id, before, after)
            if rows:
                await tx.run(sql.UPDATE_LINES, rows=rows)
            moved = [one for key, one in after.components.items() if one != before.components[key]]
            if moved:
                await tx.run_many(sql.UPDATE_COMPONENT, [_component_update(order_id, one) for one in moved])
            if entries:
                await tx.run(sql.INSERT_JOURNAL, **_journal_row(order_id, order.head.last_sequence + 1, entries, now))
            if wipe:
                await tx.run(sql.WIPE, order=order_id)
        return _as_saved(order, after, now, last_sequence, notices, "" if wipe else order.sealed)

    async def due(self, until: int, most: int) -> list[DueOrder]:
        """Orders due until then, most urgent first, in intake order among equals."""
        return [DueOrder(*row) for row in await self._db.all(sql.DUE, until=until, most=most)]

    async def newest_document(self, order_number: str) -> str | None:
        """Id of the newest document with that number."""
        row = await self._db.one(sql.NEWEST_DOCUMENT, order_number=order_number)
        return None if row is None else str(row[0])

    async def state(self, order_id: str) -> OrderState | None:
        """State of an order, or ``None`` when there is none."""
        row = await self._db.one(sql.ORDER_STATE, order_id=order_id)
        return None if row is None else OrderState(row[0])

    async def list_orders(self, states: Sequence[str], before: int, most: int) -> list[OrderHead]:
        """Orders taken before the given intake sequence, newest first; no states means all."""
        if states:
            rows = await self._db.all(sql.LIST_STATES, states=list(states), before=before, most=most)
        else:
            rows = await self._db.all(sql.LIST_ALL, before=before, most=most)
        return [_head(row) for row in rows]

    async def journal(self, order_id: str, after: int) -> list[tuple[int, int, Change]]:
        """Changes after a sequence: sequence, time in epoch microseconds, change."""
        found = []
        for first, time, text in await self._db.all(sql.JOURNAL_AFTER, order_id=order_id, after=after):
            for at, change in enumerate(columns.load_changes(text)):
                if first + at > after:
                    found.append((first + at, time, change))
        return found


def _known(
    request_id: str,
    order_id: str,
    source: str,
    number: str,
    revision: int,
    content_hash: str,
    state: str,
    intake_sequence: int,
) -> KnownOrder:
    return KnownOrder(request_id, order_id, source, number, revision, content_hash, OrderState(state), intake_sequence)


def _head(row: Row) -> OrderHead:
    order_id, number, revision, state, *rest = row
    return OrderHead(order_id, number, revision, OrderState(state), *rest)


def _line_rows(new: NewOrder) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for at, (line_id, line) in enumerate(new.status.lines.items()):
        facts = new.lines[line_id]
        systems = " ".join(facts.systems)
        evidence = columns.dump_evidence(facts.candidates, facts.evidence)
        cells = (new.asset_ids[line_id], str(line.state), facts.price_list, systems, facts.decided_by, evidence)
        rows.append((new.submission.order_id, line_id, at, *cells))
    return rows


def _component_row(order_id: str, position: int, component: ComponentStatus) -> dict[str, object]:
    return {
        "order_id": order_id,
        "function": str(component.key.function),
        "system_id": component.key.system_id,
        "position": position,
        "state": str(component.state),
        "attempts": component.attempts,
        "due_at": component.due_at,
        "plan": columns.dump_plan(component),
        "result": columns.dump_result(component),
    }


def _component_update(order_id: str, component: ComponentStatus) -> dict[str, object]:
    return {
        "order": order_id,
        "function_": str(component.key.function),
        "system": component.key.system_id,
        "state": str(component.state),
        "attempts": component.attempts,
        "due_at": component.due_at,
        "result": columns.dump_result(component),
    }


def _changed_lines(order_id: str, before: OrderStatus, after: OrderStatus) -> list[tuple[str, ...]]:
    return [
        (order_id, line_id, str(line.state), columns.dump_objects(line.objects), columns.dump_violations(line.errors))
        for line_id, line in after.lines.items()
        if line is not before.lines[line_id] and line != before.lines[line_id]
    ]


def _journal_row(order_id: str, first: int, entries: Sequence[Change], now: int) -> dict[str, object]:
    return {
        "order_id": order_id,
        "first_sequence": first,
        "last_sequence": first + len(entries) - 1,
        "time": now,
        "changes": columns.dump_changes(entries),
    }


def _as_saved(order: LoadedOrder, after: OrderStatus, now: int, last_sequence: int, notices: str, sealed: str) -> LoadedOrder:
    old = order.head
    head = OrderHead(
        old.order_id,
        old.order_number,
        old.revision,
        after.state,
        old.priority,
        old.intake_sequence,
        old.received_at,
        now,
        last_sequence,
        notices,
    )
    return LoadedOrder(head, order.source_system, after, order.lines, True, order.version + 1, order.document, sealed)


__all__ = ["MICROSECONDS", "DueOrder", "LineFacts", "LoadedOrder", "NewOrder", "OrderHead", "OrderStore", "StaleOrder"]

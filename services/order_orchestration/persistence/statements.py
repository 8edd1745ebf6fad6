"""The SQL of orchestration, compiled once per database."""

from __future__ import annotations

from sqlalchemy import bindparam, insert, select, update

from libs.db import Statement
from services.order_orchestration.persistence.tables import ComponentRow, OrderDocument, OrderJournal, OrderLineRow, SalesOrder

ORDER = SalesOrder.__table__  # type: ignore[attr-defined]
DOCUMENT = OrderDocument.__table__  # type: ignore[attr-defined]
LINE = OrderLineRow.__table__  # type: ignore[attr-defined]
COMPONENT = ComponentRow.__table__  # type: ignore[attr-defined]
JOURNAL = OrderJournal.__table__  # type: ignore[attr-defined]

_KNOWN = (
    "SELECT request_id, order_id, source_system, order_number, revision, content_hash, state, intake_sequence"
    " FROM sales_order WHERE request_id = :request_id OR order_id = :order_id OR order_number = :order_number"
    " ORDER BY intake_sequence"
)
FIND_KNOWN = Statement(sqlite=_KNOWN, postgresql=_KNOWN)

_COLUMNS = (
    "order_id, request_id, source_system, order_number, revision, content_hash, state, all_or_none, priority,"
    " received_at, updated_at, due_at, claimed, last_sequence, version, notices"
)
_INSERT = (
    f"INSERT INTO sales_order ({_COLUMNS}) VALUES (:order_id, :request_id, :source_system, :order_number, :revision,"
    " :content_hash, :state, :all_or_none, :priority, :now, :now, :now, false, :last_sequence, 1, :notices)"
    " ON CONFLICT DO NOTHING RETURNING intake_sequence"
)
INSERT_ORDER = Statement(sqlite=_INSERT, postgresql=_INSERT)
INSERT_DOCUMENT = Statement(insert(DOCUMENT).values({c.name: bindparam(c.name) for c in DOCUMENT.columns}))
INSERT_COMPONENT = Statement(insert(COMPONENT).values({c.name: bindparam(c.name) for c in COMPONENT.columns}))
INSERT_JOURNAL = Statement(insert(JOURNAL).values({c.name: bindparam(c.name) for c in JOURNAL.columns}))
INSERT_LINES = Statement(
    batch="INSERT INTO order_line"
    " (order_id, line_id, position, asset_id, state, price_list, systems, decided_by, evidence, objects, errors)"
    " SELECT order_id, line_id, position, asset_id, state, price_list, systems, decided_by, evidence, '[]', '[]'"
    " FROM {rows} AS r",
    columns={
        "order_id": "text",
        "line_id": "text",
        "position": "bigint",
        "asset_id": "text",
        "state": "text",
        "price_list": "text",
        "systems": "text",
        "decided_by": "text",
        "evidence": "text",
    },
)

OPEN_ASSETS = Statement(
    batch="SELECT l.asset_id, o.order_number FROM {rows} AS r JOIN order_line AS l ON l.asset_id = r.asset_id"
    " JOIN sales_order AS o ON o.order_id = l.order_id"
    " WHERE l.state NOT IN ('COMPLETE', 'CANCELLED', 'REJECTED', 'NOT_APPLICABLE')"
    " AND o.state NOT IN ('REJECTED', 'COMPLETED', 'PARTIAL', 'FAILED', 'CANCELLED', 'ABORTED', 'SUPERSEDED')",
    columns={"asset_id": "text"},
)

LOAD_ORDER = Statement(
    select(
        ORDER.c.order_id,
        ORDER.c.source_system,
        ORDER.c.order_number,
        ORDER.c.revision,
        ORDER.c.state,
        ORDER.c.all_or_none,
        ORDER.c.priority,
        ORDER.c.received_at,
        ORDER.c.updated_at,
        ORDER.c.claimed,
        ORDER.c.last_sequence,
        ORDER.c.version,
        ORDER.c.notices,
        ORDER.c.intake_sequence,
        DOCUMENT.c.document,
        DOCUMENT.c.sealed,
    )
    .join(DOCUMENT, DOCUMENT.c.order_id == ORDER.c.order_id)
    .where(ORDER.c.order_id == bindparam("order_id"))
)
LOAD_LINES = Statement(
    select(
        LINE.c.line_id,
        LINE.c.state,
        LINE.c.price_list,
        LINE.c.systems,
        LINE.c.decided_by,
        LINE.c.evidence,
        LINE.c.objects,
        LINE.c.errors,
    )
    .where(LINE.c.order_id == bindparam("order_id"))
    .order_by(LINE.c.position)
)
LOAD_COMPONENTS = Statement(
    select(
        COMPONENT.c.function,
        COMPONENT.c.system_id,
        COMPONENT.c.state,
        COMPONENT.c.attempts,
        COMPONENT.c.due_at,
        COMPONENT.c.plan,
        COMPONENT.c.result,
    )
    .where(COMPONENT.c.order_id == bindparam("order_id"))
    .order_by(COMPONENT.c.position)
)
NEWEST_DOCUMENT = Statement(
    select(ORDER.c.order_id)
    .where(ORDER.c.order_number == bindparam("order_number"))
    .order_by(ORDER.c.revision.desc(), ORDER.c.intake_sequence.desc())
    .limit(1)
)
ORDER_STATE = Statement(select(ORDER.c.state).where(ORDER.c.order_id == bindparam("order_id")))

_UPDATE = (
    "UPDATE sales_order SET state = :state, updated_at = :now, due_at = :due_at, claimed = true, notices = :notices,"
    " last_sequence = :last_sequence, version = version + 1 WHERE order_id = :order_id AND version = :version"
)
UPDATE_ORDER = Statement(sqlite=_UPDATE, postgresql=_UPDATE)
UPDATE_LINES = Statement(
    batch="UPDATE order_line SET state = r.state, objects = r.objects, errors = r.errors FROM {rows} AS r"
    " WHERE order_line.order_id = r.order_id AND order_line.line_id = r.line_id",
    columns={"order_id": "text", "line_id": "text", "state": "text", "objects": "text", "errors": "text"},
)
UPDATE_COMPONENT = Statement(
    update(COMPONENT)
    .where(
        COMPONENT.c.order_id == bindparam("order"),
        COMPONENT.c.function == bindparam("function_"),
        COMPONENT.c.system_id == bindparam("system"),
    )
    .values(state=bindparam("state"), attempts=bindparam("attempts"), due_at=bindparam("due_at"), result=bindparam("result"))
)
WIPE = Statement(update(DOCUMENT).where(DOCUMENT.c.order_id == bindparam("order")).values(sealed=""))

DUE = Statement(
    select(ORDER.c.order_id, ORDER.c.priority, ORDER.c.intake_sequence, ORDER.c.due_at)
    .where(ORDER.c.due_at > 0, ORDER.c.due_at <= bindparam("until"))
    .order_by(ORDER.c.priority.desc(), ORDER.c.intake_sequence)
    .limit(bindparam("most"))
)
_LIST = (
    "SELECT order_id, order_number, revision, state, priority, intake_sequence, received_at, updated_at, last_sequence, notices"
    " FROM sales_order WHERE intake_sequence < :before AND ({states}) ORDER BY intake_sequence DESC LIMIT :most"
)
LIST_ALL = Statement(sqlite=_LIST.format(states="true"), postgresql=_LIST.format(states="true"))
LIST_STATES = Statement(
    sqlite=_LIST.format(states="state IN (SELECT value FROM json_each(:states))"),
    postgresql=_LIST.format(states="state = ANY(:states::text[])"),
)
JOURNAL_AFTER = Statement(
    select(JOURNAL.c.first_sequence, JOURNAL.c.time, JOURNAL.c.changes)
    .where(JOURNAL.c.order_id == bindparam("order_id"), JOURNAL.c.last_sequence > bindparam("after"))
    .order_by(JOURNAL.c.last_sequence)
)

"""What is forgotten of orders, and what never is.

A finished order goes whole: document, lines, components, history. It goes together with all other documents of its number, and
only when every one of them is finished and old, because a later revision is recognised by the earlier ones. An order in any
other state is kept, whatever its age, for whoever resolves it (order-orchestration.md 23).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from libs.db import Database, Statement
from libs.db.purge import Ageing, Unsettled
from services.order_orchestration.domain.states import FINAL_ORDERS, OrderState

BATCH: Final = 50
"""Orders of one commit: each may have thousands of lines."""
_FINAL: Final = ", ".join(f"'{state}'" for state in sorted(FINAL_ORDERS))
_OLD_TEXT: Final = (
    f"SELECT order_id FROM sales_order AS o WHERE o.state IN ({_FINAL}) AND o.updated_at < :before"
    " AND NOT EXISTS (SELECT 1 FROM sales_order AS n WHERE n.order_number = o.order_number"
    f" AND (n.updated_at >= :before OR n.state NOT IN ({_FINAL})))"
    " ORDER BY o.intake_sequence LIMIT :size"
)
_OLD: Final = Statement(sqlite=_OLD_TEXT, postgresql=_OLD_TEXT)
_PARTS: Final = tuple(
    Statement(
        batch=f"DELETE FROM {table} WHERE order_id IN (SELECT k.order_id FROM {{rows}} AS k)", columns={"order_id": "text"}
    )
    for table in ("order_journal", "component", "order_line", "order_document")
)
_HEADS: Final = Statement(
    batch="DELETE FROM sales_order WHERE order_id IN (SELECT k.order_id FROM {rows} AS k)", columns={"order_id": "text"}
)
_WAITING_TEXT: Final = "SELECT state, count(*), min(updated_at) FROM sales_order WHERE state = 'IN_FALLOUT' GROUP BY state"
_WAITING: Final = Statement(sqlite=_WAITING_TEXT, postgresql=_WAITING_TEXT)


def ageing_of(db: Database, order_days: int) -> Ageing:
    """Orders, by the days since they were finished. A finished order never changes again, so none is taken up meanwhile."""

    async def forget(before: int) -> int:
        forgotten = 0
        while rows := await db.all(_OLD, before=before, size=BATCH):
            order_ids = [(row[0],) for row in rows]
            async with db.begin() as tx:
                for part in _PARTS:
                    await tx.run(part, rows=order_ids)
                forgotten += await tx.run(_HEADS, rows=order_ids)
        return forgotten

    async def unsettled() -> Mapping[str, Unsettled]:
        found = {state: Unsettled(count, since) for state, count, since in await db.all(_WAITING)}
        return {"fallout_orders": found.get(str(OrderState.IN_FALLOUT), Unsettled(0, 0))}

    return Ageing("orders", order_days, forget, unsettled)

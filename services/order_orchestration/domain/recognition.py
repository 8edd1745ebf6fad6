"""Which order a document is: a replay, a new order, or one that is refused (order-orchestration.md 4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from libs.errors import O2CError, Reason, Violation
from services.order_orchestration.domain.states import FINAL_ORDERS, OrderState


@dataclass(frozen=True, slots=True)
class Submission:
    """What identifies a submitted document."""

    request_id: str
    request_id_given: bool
    """False when it was made up from source system, number and revision."""
    order_id: str
    source_system: str
    order_number: str
    revision: int
    content_hash: str

    def same_document(self, known: KnownOrder) -> bool:
        """Whether the other one has the same number, revision and content."""
        return (self.source_system, self.order_number, self.revision, self.content_hash) == (
            known.source_system,
            known.order_number,
            known.revision,
            known.content_hash,
        )


@dataclass(frozen=True, slots=True)
class KnownOrder:
    """An order taken before that shares request id, document id or number with the submission."""

    request_id: str
    order_id: str
    source_system: str
    order_number: str
    revision: int
    content_hash: str
    state: OrderState
    intake_sequence: int


def recognise(submission: Submission, known: Sequence[KnownOrder]) -> KnownOrder | None:
    """The order this is a replay of, or ``None`` for an order to take.

    Raises IDEMPOTENCY_CONFLICT (the same request or document id with other content), REVISION_STALE, ORDER_ALREADY_OPEN (a
    revision of an order in flight, not offered yet) or ORDER_ALREADY_CLOSED. Rejected documents do not count.
    """
    counted = [order for order in known if order.state is not OrderState.REJECTED]
    for order in counted:
        if submission.same_document(order):
            return order
    for order in counted:
        if submission.request_id_given and order.request_id == submission.request_id:
            message = f"request id {submission.request_id} was used for other content, order {order.order_number}"
            raise O2CError.of(Reason.IDEMPOTENCY_CONFLICT, message, field="request_id", request_id=submission.request_id)
    same_number = [
        order
        for order in counted
        if (order.source_system, order.order_number) == (submission.source_system, submission.order_number)
    ]
    _refuse_known_number(submission, same_number)
    for order in counted:
        if order.order_id == submission.order_id:
            message = f"document id {submission.order_id} already names revision {order.revision} of order {order.order_number}"
            raise O2CError.of(Reason.IDEMPOTENCY_CONFLICT, message, field="order.order_id", request_id=submission.request_id)
    return None


def _refuse_known_number(submission: Submission, same_number: Sequence[KnownOrder]) -> None:
    meta = {"order_number": submission.order_number, "revision": str(submission.revision)}
    for order in same_number:
        if order.state in FINAL_ORDERS:
            continue
        if order.revision >= submission.revision:
            message = f"revision {order.revision} of order {submission.order_number} is in flight already"
            raise O2CError(Violation(Reason.REVISION_STALE, message, "order.revision", meta))
        message = (
            f"revision {order.revision} of order {submission.order_number} is in flight; revising an open order is not "
            "offered yet: wait until it is complete and change its assets with a new order"
        )
        raise O2CError(Violation(Reason.ORDER_ALREADY_OPEN, message, "order.revision", meta))
    if same_number:
        message = f"order {submission.order_number} is {same_number[-1].state}; change its assets with a new order number"
        raise O2CError(Violation(Reason.ORDER_ALREADY_CLOSED, message, "order.order_number", meta))

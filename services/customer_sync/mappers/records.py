"""Records of calls: what was asked out of any request, what came of it out of any answer, and both onto the wire."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from libs.clock import from_micros
from libs.errors import O2CError, Reason, Violation
from libs.grpckit.status import from_status, to_status
from libs.ids import new_id
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from libs.pb.customer_sync.v1 import inspection_pb2
from libs.pb.customer_sync.v1.customer_update_pb2 import SyncCustomerUpdateRequest, SyncCustomerUpdateResponse
from libs.pb.customer_sync.v1.special_rating_pb2 import SyncSpecialRatingListRequest, SyncSpecialRatingListResponse
from libs.pb.order.v1 import order_pb2
from services.customer_sync.domain.record import SHORT, Record, Selection
from services.customer_sync.mappers.fingerprint import fingerprint_of

SYNC_ORDER_CUSTOMERS: Final = "SyncOrderCustomers"
SYNC_CUSTOMER_UPDATE: Final = "SyncCustomerUpdate"
SYNC_SPECIAL_RATING_LIST: Final = "SyncSpecialRatingList"
_PREFIX: Final = "SYNC_OUTCOME_"


Response = pb.SyncOrderCustomersResponse | SyncCustomerUpdateResponse | SyncSpecialRatingListResponse
"""What a synchronising RPC answers. All have an outcome, entities, warnings, errors and the id of their record under the same
numbers, so that a record is read as the first of them."""
R = TypeVar("R", bound=Response)


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as it is recorded."""

    sync_id: str
    method: str
    request_id: str
    fingerprint: str
    subject_id: str
    account_ids: tuple[str, ...]
    revision: int = 0
    system_id: str = ""


def to_asked_order(request: pb.SyncOrderCustomersRequest) -> Asked:
    """SyncOrderCustomers as it is recorded. Total: whatever is wrong with the request is said later."""
    order = request.order
    return Asked(
        sync_id=new_id(),
        method=SYNC_ORDER_CUSTOMERS,
        request_id=request.request_id,
        fingerprint=fingerprint_of(request),
        subject_id=order.order_id.strip()[:SHORT],
        account_ids=tuple(dict.fromkeys(_account_ids(order))),
        revision=order.revision,
        system_id=request.target_system_id[:SHORT],
    )


def to_asked_update(request: SyncCustomerUpdateRequest) -> Asked:
    """SyncCustomerUpdate as it is recorded: about the first account it names."""
    account_ids = tuple(dict.fromkeys(each.account_id.strip()[:SHORT] for each in request.events if each.account_id.strip()))
    return Asked(
        sync_id=new_id(),
        method=SYNC_CUSTOMER_UPDATE,
        request_id=request.request_id,
        fingerprint=fingerprint_of(request),
        subject_id=next(iter(account_ids), ""),
        account_ids=account_ids,
    )


def to_asked_list(request: SyncSpecialRatingListRequest) -> Asked:
    """SyncSpecialRatingList as it is recorded: about the list."""
    return Asked(
        sync_id=new_id(),
        method=SYNC_SPECIAL_RATING_LIST,
        request_id=request.request_id,
        fingerprint=fingerprint_of(request),
        subject_id=request.list_id.strip()[:SHORT],
        account_ids=(),
    )


def _account_ids(order: order_pb2.Order) -> Iterator[str]:
    named = [order.customer_account, order.service_account, order.billing_account, order.owner_account]
    for line in order.lines:
        named += (line.service_account, line.billing_account, line.owner_account)
    yield from (account.account_id.strip()[:SHORT] for account in named if account.account_id.strip())


def to_record(asked: Asked, answer: Response, *, suppressed: bool) -> Record:
    """A call and its answer, ended now."""
    return Record(
        sync_id=asked.sync_id,
        method=asked.method,
        request_id=asked.request_id[:SHORT],
        subject_id=asked.subject_id,
        revision=asked.revision,
        system_id=asked.system_id,
        account_ids=asked.account_ids,
        outcome=pb.SyncOutcome.Name(answer.outcome).removeprefix(_PREFIX),
        suppressed=suppressed,
        body=answer.SerializeToString(),
        ended_at=time.time_ns() // 1000,
    )


def to_refusal_record(asked: Asked, error: O2CError, *, suppressed: bool) -> Record:
    """A call that was refused as a whole."""
    status = to_status(error, asked.request_id[:SHORT])
    return to_record(
        asked, pb.SyncOrderCustomersResponse(outcome=pb.SYNC_OUTCOME_FAILED, errors=[status]), suppressed=suppressed
    )


def to_domain_errors(answer: Response) -> list[O2CError]:
    """What an answer says went wrong."""
    return [from_status(status) for status in answer.errors]


def to_suppressed(kind: type[R], asked: Asked) -> R:
    """The answer that tells nothing but where the record is."""
    answer = kind()
    answer.outcome, answer.sync_id = pb.SYNC_OUTCOME_SUPPRESSED, asked.sync_id
    return answer


def to_replay(kind: type[R], record: Record) -> R:
    """The answer of an earlier call, marked as a repetition."""
    answer = kind()
    answer.ParseFromString(record.body)
    answer.replayed = True
    return answer


def to_wire_record(record: Record) -> inspection_pb2.SyncRecord:
    """A record onto the wire."""
    answer = pb.SyncOrderCustomersResponse.FromString(record.body)
    ended_at = Timestamp()
    ended_at.FromDatetime(from_micros(record.ended_at))
    return inspection_pb2.SyncRecord(
        sync_id=record.sync_id,
        method=record.method,
        request_id=record.request_id,
        subject_id=record.subject_id,
        revision=record.revision,
        system_id=record.system_id,
        account_ids=record.account_ids,
        outcome=pb.SyncOutcome.Value(_PREFIX + record.outcome),
        suppressed=record.suppressed,
        entities=answer.entities,
        warnings=answer.warnings,
        errors=answer.errors,
        ended_at=ended_at,
    )


def to_domain_selection(request: inspection_pb2.ListSyncsRequest) -> Selection:
    """Which records a list is for. Raises ENUM_UNKNOWN."""
    O2CError.raise_all(
        Violation(Reason.ENUM_UNKNOWN, f"outcomes[{at}] is {number}, which is no SyncOutcome", f"outcomes[{at}]")
        for at, number in enumerate(request.outcomes)
        if number not in pb.SyncOutcome.values()
    )
    return Selection(
        subject_id=request.subject_id.strip(),
        request_id=request.request_id.strip(),
        account_id=request.account_id.strip(),
        outcomes=tuple(sorted({pb.SyncOutcome.Name(number).removeprefix(_PREFIX) for number in request.outcomes})),
    )

"""Errors on the wire: ``google.rpc.Status`` with ErrorInfo, BadRequest and RetryInfo, and back.

One ErrorInfo per violation (domain ``o2c``), in order. BadRequest has one entry per violation, in the same order, whenever a
violation names a field or there are several; its description reads ``REASON: message``. So an error survives the journey
whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2
from google.rpc.status_pb2 import Status

from libs.errors import O2CError, Reason, Violation

DOMAIN = "o2c"
STATUS_KEY = "grpc-status-details-bin"
DEFAULT_LIMIT = 7_000
"""Bytes of details for a client that did not say more: gRPC clients take 8 KiB of metadata unless configured otherwise."""

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_PLAIN = {
    grpc.StatusCode.UNAVAILABLE: Reason.SERVICE_UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Reason.DEADLINE_TOO_SHORT,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Reason.OVERLOADED,
    grpc.StatusCode.UNAUTHENTICATED: Reason.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED: Reason.ROLE_MISSING,
}
"""What a bare gRPC code of a transport or a foreign server amounts to; any other is INTERNAL_ERROR."""
_RETRY_SECONDS = 1.0


def to_status(error: O2CError, request_id: str = "", limit: int = 0) -> Status:
    """The wire form. With ``limit`` bytes, violations that do not fit are left out and counted in the message."""
    status = violations_to_status(error.violations, retry_after=error.retry_after, request_id=request_id)
    if not limit or status.ByteSize() <= limit:
        return status
    kept = len(error.violations)
    while kept > 1 and status.ByteSize() > limit:
        # Estimated from the size so far, so that a thousand violations need few rounds.
        kept = max(1, min(kept - 1, kept * limit // status.ByteSize()))
        status = violations_to_status(error.violations[:kept], retry_after=error.retry_after, request_id=request_id)
        status.message = f"{error.violations[0].message} ({len(error.violations) - 1} more, {kept - 1} of them in the details)"
    return status


def violations_to_status(violations: Iterable[Violation], *, retry_after: float | None = None, request_id: str = "") -> Status:
    """Status of one line of an answer, or of a whole call. The first violation gives code and message."""
    found = tuple(violations)
    first = found[0]
    rest = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    status = Status(code=code_pb2.Code.Value(first.code), message=first.message + rest)
    for violation in found:
        metadata = dict(violation.metadata)
        if request_id:
            metadata.setdefault("request_id", request_id)
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason=violation.reason, domain=DOMAIN, metadata=metadata))
    if len(found) > 1 or first.field:
        bad = error_details_pb2.BadRequest()
        for violation in found:
            description = f"{violation.reason}: {violation.message}"
            bad.field_violations.add(field=violation.field, description=description, reason=violation.reason)
        status.details.add().Pack(bad)
    if retry_after is not None:
        delay = Duration()
        delay.FromMicroseconds(round(retry_after * 1_000_000))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def from_status(status: Status) -> O2CError:
    """The error of a status: of our own making whole, of a foreign one by its code."""
    infos = [info for info in _unpacked(status.details, error_details_pb2.ErrorInfo) if info.domain == DOMAIN]
    retry = _unpacked(status.details, error_details_pb2.RetryInfo)
    retry_after = retry[0].retry_delay.ToMicroseconds() / 1_000_000 if retry else None
    if not infos or any(info.reason not in Reason.__members__ for info in infos):
        return _plain(_CODES.get(status.code, grpc.StatusCode.UNKNOWN), status.message)
    fields = [entry for bad in _unpacked(status.details, error_details_pb2.BadRequest) for entry in bad.field_violations]
    violations = []
    for at, info in enumerate(infos):
        reason = Reason(info.reason)
        field, message = "", status.message
        if len(fields) == len(infos):
            field, message = fields[at].field, fields[at].description.removeprefix(f"{reason}: ")
        violations.append(Violation(reason, message, field, dict(info.metadata)))
    return O2CError(*violations, retry_after=retry_after)


def from_rpc_error(error: grpc.RpcError, service: str = "") -> O2CError:
    """The error that a failed RPC (of an asyncio or a blocking stub) stands for.

    One of our services' errors comes back whole. A bare code becomes SERVICE_UNAVAILABLE (with ``service`` in its
    metadata), DEADLINE_TOO_SHORT, OVERLOADED, UNAUTHENTICATED, ROLE_MISSING or INTERNAL_ERROR.
    """
    failed: Any = error
    for key, value in failed.trailing_metadata() or ():
        if key == STATUS_KEY:
            return from_status(Status.FromString(value))
    return _plain(failed.code(), failed.details() or "", service)


def _plain(code: grpc.StatusCode, details: str, service: str = "") -> O2CError:
    reason = _PLAIN.get(code, Reason.INTERNAL_ERROR)
    again = _RETRY_SECONDS if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED) else None
    metadata: Mapping[str, str] = {"service": service} if service else {}
    return O2CError(Violation(reason, details or code.name, "", metadata), retry_after=again)


def _unpacked(details: Iterable[AnyMessage], kind: type[Any]) -> list[Any]:
    found = []
    for detail in details:
        if detail.Is(kind.DESCRIPTOR):
            message = kind()
            detail.Unpack(message)
            found.append(message)
    return found

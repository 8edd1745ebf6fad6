"""The one interceptor of every server: context, deadline, access, load limit, metrics, access log and error rendering.

Fused on purpose: four interceptors cost a quarter of a small RPC, this one an eighth. Each method's handler is wrapped
once and kept.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc
import grpc.aio
from google.rpc.status_pb2 import Status

from libs.errors import O2CError, Reason
from libs.grpckit import context as calls
from libs.grpckit import status as statuses
from libs.grpckit.auth import Access
from libs.grpckit.nul import Suspect, suspecting
from libs.grpckit.tally import RPCS
from libs.ids import new_request_id
from libs.logs import AccessLog

REQUEST_ID_KEY = "x-request-id"
TRACE_KEY = "traceparent"
ERROR_LIMIT_KEY = "x-error-limit"
"""Metadata by which a client says how many bytes of error details it takes."""
MAX_ERROR_LIMIT = 1 << 20
PUSHBACK_KEY = "grpc-retry-pushback-ms"
OVERLOAD_RETRY_SECONDS = 1.0

_SERIOUS = frozenset({"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DATA_LOSS"})
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_log = logging.getLogger("o2c.rpc")

Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]
Context = grpc.aio.ServicerContext[Any, Any]


class Interceptor(grpc.aio.ServerInterceptor):
    """Wraps every handler of a server, health and reflection excepted."""

    def __init__(
        self,
        *,
        access_log: AccessLog | None = None,
        access: Access | None = None,
        max_in_flight: int = 1000,
        min_time_left: float = 0.01,
    ) -> None:
        self.access_log = access_log
        self.access = access
        self.max_in_flight = max_in_flight
        self.min_time_left = min_time_left
        self.in_flight = 0
        self._handlers: dict[str, Any] = {}

    async def intercept_service(self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method: str = handler_call_details.method
        handler = self._handlers.get(method)
        if handler is None:
            handler = await continuation(handler_call_details)
            if handler is not None and not method.startswith("/grpc."):
                handler = self._handlers[method] = self._wrapped(method, handler)
        return handler

    def _wrapped(self, method: str, handler: Any) -> Any:
        wrap = _Method(self, method)
        ends = handler.request_deserializer, handler.response_serializer
        if handler.request_deserializer is not None and not handler.request_streaming:
            ends = suspecting(handler.request_deserializer), handler.response_serializer
        if handler.request_streaming and handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(wrap.stream(handler.stream_stream), *ends)
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(wrap.unary(handler.stream_unary), *ends)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(wrap.stream(handler.unary_stream), *ends)
        return grpc.unary_unary_rpc_method_handler(wrap.unary(handler.unary_unary), *ends)


class _Method:
    """One method of a server: its bound metrics and what is done around each call."""

    def __init__(self, kit: Interceptor, method: str) -> None:
        self._kit = kit
        self._method = method
        self._tally = RPCS.method(method)

    def unary(self, handle: Callable[[Any, Context], Awaitable[Any]]) -> Callable[[Any, Context], Awaitable[Any]]:
        if not inspect.iscoroutinefunction(handle):
            return self._unimplemented

        async def call(request: Any, context: Context) -> Any:
            visit = _Visit(self, context)
            try:
                visit.admit()
                answer = await handle(request.cleared() if type(request) is Suspect else request, context)
            except BaseException as error:
                await visit.failed(error)
                raise
            visit.done("OK")
            return answer

        return call

    def stream(self, handle: Callable[[Any, Context], AsyncIterator[Any]]) -> Callable[[Any, Context], Any]:
        if not inspect.isasyncgenfunction(handle):
            return self._unimplemented

        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            visit = _Visit(self, context)
            try:
                visit.admit()
                async for answer in handle(request.cleared() if type(request) is Suspect else request, context):
                    yield answer
            except BaseException as error:
                await visit.failed(error)
                raise
            visit.done("OK")

        return call

    async def _unimplemented(self, _: Any, context: Context) -> None:
        _Visit(self, context).done("UNIMPLEMENTED")
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{self._method} is not offered")

    def record(self, call: calls.Call, code: str, seconds: float, reasons: tuple[str, ...]) -> None:
        """Count and log one finished call."""
        self._tally.add(code, seconds)
        if self._kit.access_log is not None:
            line: dict[str, Any] = {
                "method": self._method,
                "code": code,
                "ms": round(seconds * 1000, 2),
                "request_id": call.request_id,
            }
            if reasons:
                line["reasons"] = reasons
            if call.caller:
                line["caller"] = call.caller
            if call.trace:
                line["trace_id"] = call.trace.split("-")[1]
            self._kit.access_log.write(line, warn=code in _SERIOUS)


class _Visit:
    """One call, from its arrival to its answer."""

    __slots__ = ("_call", "_context", "_error_limit", "_kit", "_method", "_remaining", "_started", "_token")

    def __init__(self, method: _Method, context: Context) -> None:
        self._started = time.monotonic()
        self._method = method
        self._kit = method._kit
        self._context = context
        self._token = ""
        self._error_limit = statuses.DEFAULT_LIMIT
        request_id = trace = ""
        for key, value in context.invocation_metadata() or ():
            if key == REQUEST_ID_KEY:
                request_id = str(value)[:128]
            elif key == TRACE_KEY:
                trace = str(value) if calls.is_trace(str(value)) else ""
            elif key == "authorization":
                self._token = str(value)
            elif key == ERROR_LIMIT_KEY and str(value).isdecimal():
                self._error_limit = min(int(value), MAX_ERROR_LIMIT)
        self._remaining = context.time_remaining()
        deadline = None if self._remaining is None else self._started + self._remaining
        self._call = calls.Call(request_id or new_request_id(), deadline, method._method, "", trace)
        calls.enter(self._call)
        context.set_trailing_metadata(((REQUEST_ID_KEY, self._call.request_id),))
        self._kit.in_flight += 1
        RPCS.in_flight += 1

    def admit(self) -> None:
        """Raise unless this call may be worked on."""
        kit, method = self._kit, self._call.method
        if kit.access is not None:
            caller = kit.access.admit(method, self._token, self._context.auth_context)
            self._call = calls.Call(self._call.request_id, self._call.deadline, method, caller, self._call.trace)
            calls.enter(self._call)
        if self._remaining is not None and self._remaining < kit.min_time_left:
            milliseconds = str(round(self._remaining * 1000))
            message = "less time is left than the work needs"
            raise O2CError.of(Reason.DEADLINE_TOO_SHORT, message, method=method, remaining_ms=milliseconds)
        if kit.in_flight > kit.max_in_flight:
            message = "too many calls in work"
            raise O2CError.of(Reason.OVERLOADED, message, retry_after=OVERLOAD_RETRY_SECONDS, method=method)

    def done(self, code: str, reasons: tuple[str, ...] = ()) -> None:
        """Account for the call."""
        self._kit.in_flight -= 1
        RPCS.in_flight -= 1
        self._method.record(self._call, code, time.monotonic() - self._started, reasons)

    async def failed(self, error: BaseException) -> None:
        """Account for the failure and put it on the wire. Returns only for what gRPC itself must see."""
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            late = self._call.deadline is not None and time.monotonic() >= self._call.deadline
            self.done("DEADLINE_EXCEEDED" if late else "CANCELLED")
            return
        if isinstance(error, grpc.aio.AbortError) or not isinstance(error, Exception):
            self.done(grpc.StatusCode.UNKNOWN.name)
            return
        named = self._named(error)
        status = statuses.to_status(named, self._call.request_id, self._error_limit)
        self.done(_CODES[status.code].name, tuple(dict.fromkeys(violation.reason for violation in named.violations)))
        await self._abort(status, named.retry_after)

    def _named(self, error: Exception) -> O2CError:
        if isinstance(error, O2CError):
            return error
        if isinstance(error, grpc.aio.AioRpcError):
            return statuses.from_rpc_error(error)
        if isinstance(error, ExceptionGroup) and not error.split(O2CError)[1]:
            return _merged(error)
        # The text of an unforeseen error may hold anything, so it goes to the log and not to the caller.
        _log.error("unexpected error in %s", self._call.method, exc_info=error)
        return O2CError.of(
            Reason.INTERNAL_ERROR, "unexpected error; the log has it under this request id", method=self._call.method
        )

    async def _abort(self, status: Status, retry_after: float | None) -> None:
        pushback = "-1" if retry_after is None else str(round(retry_after * 1000))
        metadata = (
            (REQUEST_ID_KEY, self._call.request_id),
            (PUSHBACK_KEY, pushback),
            (statuses.STATUS_KEY, status.SerializeToString()),
        )
        await self._context.abort(_CODES[status.code], status.message, trailing_metadata=metadata)


def _merged(group: ExceptionGroup[Exception]) -> O2CError:
    """What several tasks refused at once, as one refusal: a handler may leave a task group as it is."""
    refusals = [each for each in _leaves(group) if isinstance(each, O2CError)]
    return O2CError(*(one for each in refusals for one in each.violations), retry_after=refusals[0].retry_after)


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for each in group.exceptions:
        if isinstance(each, ExceptionGroup):
            yield from _leaves(each)
        else:
            yield each

"""What the running call knows about itself: its request id, its deadline, its caller.

Context variables carry it, so it follows into tasks that a handler starts.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import NamedTuple


class Call(NamedTuple):
    """The call in work. A tuple, because every RPC makes one."""

    request_id: str = ""
    """Correlation id of metadata ``x-request-id``; not the idempotency key of a request message."""
    deadline: float | None = None
    """On the scale of ``time.monotonic()``; ``None`` when the caller set none."""
    method: str = ""
    """Full name, ``/o2c.xref.v1.XrefService/Lookup``."""
    caller: str = ""
    """Name of the authenticated client; empty when access control is off."""
    trace: str = ""
    """The caller's ``traceparent`` (W3C Trace Context), passed on as it came; empty when the caller is not traced."""


_NONE = Call()
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[Call] = ContextVar("o2c_call", default=_NONE)


def current_call() -> Call:
    """The running call, or an empty one outside of calls."""
    return _current.get()


def current_request_id() -> str:
    """The running call's correlation id, or an empty string."""
    return _current.get().request_id


def time_left() -> float | None:
    """Seconds until the running call's deadline, never negative; ``None`` when it has no deadline."""
    deadline = _current.get().deadline
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def is_trace(text: str) -> bool:
    """Whether a text is a ``traceparent``."""
    return _TRACEPARENT.fullmatch(text) is not None


def outgoing() -> dict[str, str]:
    """What another system is told about the running call, as headers: its request id and, when there is one, its trace.

    Tracing needs no more than this: whoever records spans (a proxy, a sidecar, the other system) finds the trace in the
    requests that this process makes, and its id in the log lines.
    """
    call = _current.get()
    headers = {"traceparent": call.trace} if call.trace else {}
    if call.request_id and call.request_id.isascii() and call.request_id.isprintable():
        headers["x-request-id"] = call.request_id
    return headers


def enter(call: Call) -> None:
    """Make ``call`` the running one, for the rest of this task."""
    _current.set(call)


@contextlib.contextmanager
def scope(*, request_id: str = "", timeout: float | None = None, caller: str = "") -> Iterator[Call]:
    """Run background work as if it were a call: with a request id of its own, and ``timeout`` seconds to do it.

    Work that a handler starts and that outlives its call needs this too, or it would inherit the call's deadline.
    """
    call = Call(request_id, None if timeout is None else time.monotonic() + timeout, "", caller)
    token = _current.set(call)
    try:
        yield call
    finally:
        _current.reset(token)


def log_fields() -> dict[str, str]:
    """The running call's fields for log lines."""
    call = _current.get()
    fields = {"request_id": call.request_id} if call.request_id else {}
    return fields | {"trace_id": call.trace.split("-")[1]} if call.trace else fields

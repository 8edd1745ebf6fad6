"""Logs as JSON lines: the application's through :mod:`logging`, the access log through a buffer that costs a microsecond.

Nothing here prints a request or an answer. Whoever must show a message uses :mod:`libs.grpckit.redact`.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

FLUSH_SECONDS = 0.1
BUFFER_LINES = 512

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object per record: time, level, logger, message, what ``extra`` holds, and the fields of the context."""

    def __init__(self, service: str, context: Callable[[], Mapping[str, Any]]) -> None:
        super().__init__()
        self._service = service
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
            **self._context(),
        }
        line.update({name: value for name, value in vars(record).items() if name not in _STANDARD})
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def configure(service: str, level: str = "INFO", context: Callable[[], Mapping[str, Any]] = dict) -> None:
    """Send the application log to standard error as JSON. ``context()`` gives fields of the running call."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service, context))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


class AccessLog:
    """Buffered JSON lines. Flushed every 100 ms, when the buffer is full, on a line that warns, and on :meth:`flush`."""

    def __init__(self, service: str, stream: TextIO | None = None) -> None:
        self._service = service
        self._stream = stream
        self._lines: list[dict[str, Any]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._lock = threading.Lock()

    def write(self, fields: dict[str, Any], *, warn: bool = False) -> None:
        """Add a line; ``warn`` brings out everything at once. Lines are rendered together, which takes a fraction each."""
        fields["time"] = time.time()
        fields["service"] = self._service
        self._lines.append(fields)
        if warn or len(self._lines) >= BUFFER_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write out what is buffered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        with self._lock:
            lines, self._lines = self._lines, []
            if lines:
                stream = self._stream or sys.stderr
                stream.write(b"\n".join(map(orjson.dumps, lines)).decode() + "\n")
                stream.flush()

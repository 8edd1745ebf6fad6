"""Metrics on prometheus-client: names start with ``o2c_``, and every one is described by its help text.

Labels are bound once, outside hot paths: ``labels()`` costs three times what counting does.
"""

from __future__ import annotations

from http.server import HTTPServer
from threading import Thread

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, start_http_server

__all__ = ["REGISTRY", "Counter", "Endpoint", "Gauge", "Histogram"]


class Endpoint:
    """``/metrics`` over HTTP, in a thread of its own."""

    def __init__(self, host: str, port: int) -> None:
        server, thread = start_http_server(port, host)
        self._server: HTTPServer = server
        self._thread: Thread = thread
        self.port: int = server.server_port

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

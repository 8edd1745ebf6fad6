"""Channels to other services: retries as data, deadlines and request ids handed on."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from libs.config import ServiceSettings
from libs.errors import O2CError, Reason
from libs.grpckit.context import current_call, time_left
from libs.grpckit.interceptor import ERROR_LIMIT_KEY, MAX_ERROR_LIMIT, REQUEST_ID_KEY, TRACE_KEY
from libs.grpckit.tls import channel_credentials

MAX_MESSAGE_BYTES = 32 << 20
MARGIN_SECONDS = 0.02
"""Kept back from the caller's deadline, for the way home."""
MAX_RECONNECT_MS = 400
"""Less, with its 20 percent of chance, than the attempts of one call are apart in all (``service_config.json``: 0.56 s at
least), so that a call to a service that has come back reaches it, however long it was away."""

Continuation = Callable[..., Any]
Details = grpc.aio.ClientCallDetails

_HERE = Path(__file__).resolve()
_SERVICE_CONFIGS = (_HERE.with_name("service_config.json"), _HERE.parents[2] / "protos/service_config.json")


@cache
def service_config() -> str:
    """Retry and balancing rules, the same for every client of the suite."""
    return next(path for path in _SERVICE_CONFIGS if path.exists()).read_text()


def channel_options() -> list[tuple[str, Any]]:
    """Options that suit every channel to the suite, blocking or not."""
    return [
        ("grpc.service_config", service_config()),
        ("grpc.enable_retries", 1),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_metadata_size", 2 * MAX_ERROR_LIMIT),
        ("grpc.absolute_max_metadata_size", 2 * MAX_ERROR_LIMIT),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", MAX_RECONNECT_MS),
    ]


def open_channel(target: str, settings: ServiceSettings | None = None) -> grpc.aio.Channel:
    """A channel to ``target`` (``host:port`` or any gRPC target) for asyncio stubs; close it when done.

    Every call on it carries the running call's request id, and gets what is left of the running call's deadline minus
    20 ms unless it asks for less. ``settings`` gives TLS files and the bearer token; without TLS files only loopback targets
    are allowed unless ``plaintext`` is set.
    """
    token = settings.token.get_secret_value() if settings is not None and settings.token else ""
    interceptors: list[grpc.aio.ClientInterceptor] = [
        kind(token) for kind in (_UnaryClient, _StreamClient, _StreamUnaryClient, _StreamStreamClient)
    ]
    credentials = channel_credentials(settings, target)
    if credentials is None:
        return grpc.aio.insecure_channel(target, channel_options(), interceptors=interceptors)
    return grpc.aio.secure_channel(target, credentials, channel_options(), interceptors=interceptors)


def budget(timeout: float | None = None) -> float | None:
    """Seconds a call made now may take: ``timeout``, or less when the running call's deadline is nearer; ``None``: no limit.

    Raises DEADLINE_TOO_SHORT when nothing is left.
    """
    left = time_left()
    if left is None:
        return timeout
    left -= MARGIN_SECONDS
    if left <= 0:
        raise O2CError.of(Reason.DEADLINE_TOO_SHORT, "no time is left to call another service", remaining_ms="0")
    return left if timeout is None else min(left, timeout)


class _Client:
    def __init__(self, token: str) -> None:
        self._fixed: tuple[tuple[str, str], ...] = ((ERROR_LIMIT_KEY, str(MAX_ERROR_LIMIT)),)
        if token:
            self._fixed += (("authorization", f"Bearer {token}"),)

    def details(self, details: Details) -> Details:
        metadata = [*(details.metadata or ()), *self._fixed]
        call = current_call()
        for key, value in ((REQUEST_ID_KEY, call.request_id), (TRACE_KEY, call.trace)):
            if value and all(given != key for given, _ in metadata):
                metadata.append((key, value))
        return Details(
            details.method, budget(details.timeout), grpc.aio.Metadata(*metadata), details.credentials, details.wait_for_ready
        )


class _UnaryClient(_Client, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(self.details(details), request)


class _StreamClient(_Client, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Callable[..., Any], details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(self.details(details), request)


class _StreamUnaryClient(_Client, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self, continuation: Callable[..., Any], details: grpc.aio.ClientCallDetails, requests: Any
    ) -> Any:
        return await continuation(self.details(details), requests)


class _StreamStreamClient(_Client, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: Callable[..., Any], details: grpc.aio.ClientCallDetails, requests: Any
    ) -> Any:
        return await continuation(self.details(details), requests)

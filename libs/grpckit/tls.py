"""Encryption of what goes over the network. Plaintext stays on the loopback interface unless a setting allows more."""

from __future__ import annotations

import ipaddress

import grpc
import grpc.aio

from libs.config import ServiceSettings, SettingsError


def host_of(address: str) -> str:
    """Host of ``host:port``, ``[v6]:port`` or a gRPC target with a scheme."""
    bare = address.rpartition("/")[2] if "://" in address else address.removeprefix("dns:").removeprefix("ipv4:")
    return bare.rpartition(":")[0].strip("[]") or bare


def is_loopback(address: str) -> bool:
    """Whether the address cannot be reached from another machine."""
    if address.startswith("unix:"):
        return True
    host = host_of(address)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bind(server: grpc.aio.Server, settings: ServiceSettings) -> int:
    """Open the server's port; its number. Raises ``SettingsError`` for plaintext that was not asked for."""
    if settings.tls_certificate and settings.tls_key:
        authorities = settings.tls_ca.read_bytes() if settings.tls_ca else None
        pair = (settings.tls_key.read_bytes(), settings.tls_certificate.read_bytes())
        credentials = grpc.ssl_server_credentials([pair], authorities, require_client_auth=authorities is not None)
        return server.add_secure_port(settings.listen, credentials)
    _check_plaintext(settings, settings.listen)
    return server.add_insecure_port(settings.listen)


def channel_credentials(settings: ServiceSettings | None, target: str) -> grpc.ChannelCredentials | None:
    """Credentials towards ``target``; ``None`` means plaintext. Raises ``SettingsError`` for plaintext not asked for."""
    if settings is not None and settings.tls_ca:
        key = settings.tls_key.read_bytes() if settings.tls_key else None
        chain = settings.tls_certificate.read_bytes() if settings.tls_certificate else None
        return grpc.ssl_channel_credentials(settings.tls_ca.read_bytes(), key, chain)
    _check_plaintext(settings, target)
    return None


def _check_plaintext(settings: ServiceSettings | None, address: str) -> None:
    if settings is not None and not settings.plaintext and not is_loopback(address):
        raise SettingsError(f"{address} is beyond this machine: give TLS files, or allow plaintext with O2C_…_PLAINTEXT=true")

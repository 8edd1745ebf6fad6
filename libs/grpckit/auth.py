"""Who may call what. Off unless an access file is given; then everything not granted is refused.

The file (TOML)::

    [clients.crm]
    token_sha256 = "9f86d081…"          # hex SHA-256 of the bearer token
    roles = ["orders"]

    [clients.orchestrator]
    certificate = "order-orchestration.o2c"   # common name or DNS name of the client certificate
    roles = ["billing"]

    [roles]
    orders = ["/o2c.order_orchestration.v1.OrderIntakeService/*", "/o2c.order_orchestration.v1.OrdersService/GetOrder"]
    billing = ["/o2c.bill_fulfillment.v1.BillFulfillmentService/*"]
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from libs.config import SettingsError
from libs.errors import O2CError, Reason

AuthContext = Callable[[], Mapping[str, Iterable[bytes]]]
_NAME_PROPERTIES = ("x509_common_name", "x509_subject_alternative_name")


@dataclass(frozen=True, slots=True)
class Client:
    """Someone who may call."""

    name: str
    roles: frozenset[str]


class Access:
    """The grants of one service."""

    def __init__(
        self,
        tokens: Mapping[str, Client],
        certificates: Mapping[str, Client],
        grants: Mapping[str, frozenset[str]] | None,
        allowed_certificates: frozenset[str] = frozenset(),
    ) -> None:
        self._tokens = tokens
        self._certificates = certificates
        self._grants = grants
        """Roles by method; ``/package.Service/*`` stands for all of a service's. ``None``: no roles, only certificates."""
        self._allowed_certificates = allowed_certificates

    @classmethod
    def load(cls, file: Path | None, allowed_certificates: Iterable[str] = ()) -> Access | None:
        """The grants of a file; ``None`` when neither it nor certificate names are given. Raises ``SettingsError``."""
        allowed = frozenset(allowed_certificates)
        if file is None:
            return cls({}, {}, None, allowed) if allowed else None
        with file.open("rb") as stream:
            content = tomllib.load(stream)
        roles: dict[str, list[str]] = content.get("roles", {})
        tokens: dict[str, Client] = {}
        certificates: dict[str, Client] = {}
        for name, entry in content.get("clients", {}).items():
            unknown = set(entry.get("roles", ())) - roles.keys()
            if unknown or not ("token_sha256" in entry or "certificate" in entry):
                raise SettingsError(
                    f"{file}: client {name}: "
                    + (f"unknown roles {sorted(unknown)}" if unknown else "no token_sha256 or certificate")
                )
            client = Client(name, frozenset(entry.get("roles", ())))
            if "token_sha256" in entry:
                tokens[entry["token_sha256"].lower()] = client
            if "certificate" in entry:
                certificates[entry["certificate"]] = client
        grants: dict[str, set[str]] = {}
        for role, methods in roles.items():
            for method in methods:
                grants.setdefault(method, set()).add(role)
        return cls(tokens, certificates, {method: frozenset(found) for method, found in grants.items()}, allowed)

    def admit(self, method: str, authorization: str, auth_context: AuthContext) -> str:
        """Name of the caller. Raises UNAUTHENTICATED for an unknown one, ROLE_MISSING for one that may not call ``method``."""
        names = _certificate_names(auth_context())
        if self._allowed_certificates and not self._allowed_certificates.intersection(names):
            raise O2CError.of(Reason.UNAUTHENTICATED, "the client certificate is not one of those allowed", method=method)
        if self._grants is None:
            return names[0] if names else ""
        client = self._client(authorization, names)
        if client is None:
            raise O2CError.of(Reason.UNAUTHENTICATED, "no valid bearer token or client certificate", method=method)
        wanted = self._grants.get(method, frozenset()) | self._grants.get(method.rpartition("/")[0] + "/*", frozenset())
        if not wanted & client.roles:
            role = ",".join(sorted(wanted)) or "none"
            raise O2CError.of(Reason.ROLE_MISSING, f"{client.name} has no role for this method", method=method, role=role)
        return client.name

    def _client(self, authorization: str, names: tuple[str, ...]) -> Client | None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer":
            # A lookup by digest compares no secret byte by byte.
            return self._tokens.get(hashlib.sha256(token.strip().encode()).hexdigest())
        return next((self._certificates[name] for name in names if name in self._certificates), None)


def _certificate_names(properties: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(value.decode() for key in _NAME_PROPERTIES for value in properties.get(key, ()))

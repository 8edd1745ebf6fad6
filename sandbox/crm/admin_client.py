"""A client of the CRM's admin interface, plain and synchronous, for commands and tests."""

from __future__ import annotations

import urllib.parse
from typing import Any

from sandbox.admin_client import request_json
from sandbox.crm.store import LOADED, ORDER_FIELDS


class CrmAdminClient:
    """``CrmAdminClient("http://127.0.0.1:8080")``. Every method raises :class:`sandbox.admin_client.AdminError`."""

    def __init__(self, address: str, *, timeout: float = 60.0) -> None:
        """``address`` is where the sandbox listens for HTTP; ``timeout`` is per request, in seconds."""
        self.base = f"{address.rstrip('/')}/crm/sandbox/v1"
        self._timeout = timeout

    def accounts(self) -> list[dict[str, Any]]:
        """Every account, in the order model's shape."""
        found: list[dict[str, Any]] = self._request("GET", "accounts")["accounts"]
        return found

    def billing_profiles(self) -> list[dict[str, Any]]:
        """Every billing profile, in the order model's shape."""
        found: list[dict[str, Any]] = self._request("GET", "billing_profiles")["billing_profiles"]
        return found

    def load(self, document: dict[str, Any]) -> dict[str, Any]:
        """Add or replace the ``accounts`` and ``billing_profiles`` of a document, all or nothing; an order is one."""
        rest = ORDER_FIELDS.difference(LOADED)  # not looked at, and perhaps large; names that no order has are refused
        return self._request("POST", "load", {name: part for name, part in document.items() if name not in rest})

    def edit_account(self, account_id: str, /, **changes: Any) -> dict[str, Any]:
        """JSON merge patch: ``edit_account("1-ABC", primary_contact={"last_name": "Reed"}, parent_account_id=None)``."""
        return self._request("PATCH", f"accounts/{urllib.parse.quote(account_id, safe='')}", changes)

    def edit_billing_profile(self, profile_id: str, /, **changes: Any) -> dict[str, Any]:
        """The same for a billing profile."""
        return self._request("PATCH", f"billing_profiles/{urllib.parse.quote(profile_id, safe='')}", changes)

    def remove_account(self, account_id: str) -> None:
        self._request("DELETE", f"accounts/{urllib.parse.quote(account_id, safe='')}")

    def remove_billing_profile(self, profile_id: str) -> None:
        self._request("DELETE", f"billing_profiles/{urllib.parse.quote(profile_id, safe='')}")

    def reset(self) -> None:
        """Forget all customers."""
        self._request("POST", "reset")

    def calls(self) -> dict[str, int]:
        """How often each method of the contract was called."""
        found: dict[str, int] = self._request("GET", "calls")["calls"]
        return found

    def change_faults(self, **faults: Any) -> dict[str, Any]:
        """``change_faults(down=True, times=2)``, ``change_faults(delay_ms=200)``; without arguments all is well again."""
        return self._request("PUT", "faults", faults)

    def _request(self, method: str, path: str, content: dict[str, Any] | None = None) -> dict[str, Any]:
        return request_json(method, f"{self.base}/{path}", content, self._timeout)

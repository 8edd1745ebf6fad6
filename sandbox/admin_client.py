"""A client of the admin interface, plain and synchronous, for commands and tests."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any

from libs.errors import Reason, Violation


class AdminError(Exception):
    """The sandbox refused a request or could not be reached."""

    def __init__(self, message: str, violations: Sequence[Violation]) -> None:
        super().__init__(message)
        self.violations = tuple(violations)
        """What is wrong, by reason and field of the request; SERVICE_UNAVAILABLE when nobody answered."""


class AdminClient:
    """Talks to one instance: ``AdminClient("http://127.0.0.1:8080", "BRM_01")``."""

    def __init__(self, address: str, instance: str, *, timeout: float = 60.0) -> None:
        """``address`` is where the sandbox listens; ``timeout`` is per request, in seconds."""
        self.base = f"{address.rstrip('/')}/{instance}/sandbox/v1"
        self._timeout = timeout

    def capabilities(self) -> dict[str, Any]:
        return self._request("GET", "capabilities")

    def reset(self) -> None:
        self._request("POST", "reset")

    def objects(self, class_: str, /, limit: int = 1000, **where: str) -> list[dict[str, Any]]:
        """Objects of a class whose fields read as given: ``objects("/account", ACCOUNT_NO="1-ABC")``."""
        query = [("class", class_), ("limit", str(limit)), *(("where", f"{name}={value}") for name, value in where.items())]
        return self._list("objects", "objects", query)

    def object(self, poid: str) -> dict[str, Any]:
        """One object by POID text; raises :class:`AdminError` when it is not stored."""
        return self._request("GET", f"objects/{urllib.parse.quote(poid)}")

    def events(self, since: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        """Events in commit order; each carries its number as ``seq``."""
        return self._list("events", "events", [("since", str(since)), ("limit", str(limit))])

    def calls(self, since: int = 0, opcode: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
        """Opcode calls received; each carries its number as ``seq`` and flists as text."""
        query = [("since", str(since)), ("limit", str(limit)), *([("opcode", opcode)] if opcode else [])]
        return self._list("calls", "calls", query)

    def clock(self) -> dict[str, Any]:
        return self._request("GET", "clock")

    def set_clock(self, at: str | None, mode: str = "frozen", *, force: bool = False) -> dict[str, Any]:
        """Move BRM's clock; ``force`` allows going back."""
        return self._request("PUT", "clock", {"mode": mode, "at": at, "force": force})

    def run_job(self, name: str, threads: int = 1) -> dict[str, Any]:
        """Run ``bill``, ``collections``, ``deferred`` or ``expire``, by so many workers, and return its counts."""
        return self._request("POST", f"jobs/{_segment(name)}/run", {"threads": threads})

    def add_fault(self, action: str, *, times: int = 0, **match: Any) -> dict[str, Any]:
        """``add_fault("drop_after", opcode="PCM_OP_CUST_*", nth=1)``; returns the fault with its id."""
        return self._request("POST", "faults", {"action": action, "times": times, "match": match})

    def faults(self) -> list[dict[str, Any]]:
        """Fault rules with ``fired`` counts."""
        return self._list("faults", "faults", [])

    def remove_fault(self, fault_id: int) -> None:
        self._request("DELETE", f"faults/{fault_id}")

    def clear_faults(self) -> None:
        self._request("DELETE", "faults")

    def outbox(self, after: int = 0) -> list[dict[str, Any]]:
        """Messages of the instance numbered above ``after``; each carries its number as ``seq``."""
        return self._list("outbox", "messages", [("after", str(after))])

    def load_fixture(self, name: str) -> dict[str, str]:
        """Reset to a ready-made set of customers; POIDs of accounts by number and of services by login."""
        made: dict[str, str] = self._request("POST", f"fixtures/{_segment(name)}")["made"]
        return made

    def settings(self) -> dict[str, Any]:
        """The switches of the instance."""
        return self._request("GET", "settings")

    def change_settings(self, /, **changes: Any) -> dict[str, Any]:
        """Change switches: ``change_settings(strict_xsd=True)``."""
        return self._request("PUT", "settings", changes)

    def add_usage(self, service: str, **usage: Any) -> dict[str, Any]:
        """Rate usage of a service (login or POID): ``quantity``, ``amount``, ``resource``, ``start``; returns the event."""
        return self._request("POST", "usage", {"service": service, **usage})

    def check_invariants(self) -> list[dict[str, str]]:
        """Broken invariants of the whole store; empty when all is well."""
        violations: list[dict[str, str]] = self._request("POST", "invariants/check")["violations"]
        return violations

    def _list(self, path: str, key: str, query: list[tuple[str, str]]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._request("GET", f"{path}?{urllib.parse.urlencode(query)}")[key]
        return rows

    def _request(self, method: str, path: str, content: dict[str, Any] | None = None) -> dict[str, Any]:
        return request_json(method, f"{self.base}/{path}", content, self._timeout)


def _segment(text: str) -> str:
    """A text as one part of a path."""
    return urllib.parse.quote(text, safe="")


def request_json(method: str, url: str, content: dict[str, Any] | None, timeout: float) -> dict[str, Any]:
    """One request of an admin interface and its answer. Raises :class:`AdminError`."""
    data = json.dumps(content).encode() if content is not None else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        body = error.read().decode(errors="replace")
        raise AdminError(f"{method} {url}: {error.code} {body}", _violations(body)) from error
    except (urllib.error.URLError, OSError) as error:
        message, address = f"{method} {url}: {error}", urllib.parse.urlsplit(url).netloc
        wrong = Violation(Reason.SERVICE_UNAVAILABLE, f"no sandbox answers at {address}", "", {"service": "sandbox"})
        raise AdminError(message, [wrong]) from error
    except ValueError as error:  # an answer that is no JSON
        message = f"{method} {url}: what answers there is no sandbox"
        raise AdminError(message, [Violation(Reason.SERVICE_UNAVAILABLE, message, "", {"service": "sandbox"})]) from error


def _violations(body: str) -> list[Violation]:
    """What an answer says went wrong."""
    try:
        return [
            Violation(Reason(each["reason"]), each["message"], each["field"], {"field": each["field"]})
            for each in json.loads(body)["violations"]
        ]
    except (ValueError, KeyError, TypeError):
        return [Violation(Reason.BRM_REJECTED, body)]


def instances_at(address: str, timeout: float = 60.0) -> list[str]:
    """Names of the instances that a sandbox serves. Raises :class:`AdminError`."""
    return list(request_json("GET", address, None, timeout)["instances"])

"""The admin interface: HTTP and JSON below ``/<INSTANCE>/sandbox/v1/`` (5.9)."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from aiohttp import web

from libs.brm.flist import Flist
from libs.brm.poid import Poid, PoidError
from libs.brm.specs import OPCODES
from libs.errors import O2CError, Reason, Violation
from sandbox.clock import ClockMode, ClockMovedBack, parse_moment
from sandbox.errors import BrmFault
from sandbox.faults import FaultSpecError
from sandbox.fixtures import FIXTURES, load
from sandbox.http.replies import body_of, json_response, problem, refusal
from sandbox.instance import Instance
from sandbox.jobs import JOBS, MAX_THREADS, run_job
from sandbox.money_jobs import inject_usage
from sandbox.opcodes.base import visible
from sandbox.opcodes.search import Condition, candidates
from sandbox.outbox import messages_after
from sandbox.settings import SettingsError, changed_settings
from sandbox.store.keys import key_text

_LIMIT: Final = 1000
_USAGE_FIELDS: Final = {"SERVICE_OBJ": "service", "RESOURCE_ID": "resource"}
"""What a field at fault is called in a request to rate usage."""
_WHERE: Final = re.compile(r"\s*([A-Z0-9_.\[\]]+)\s*=\s*(.*?)\s*")


def plain(value: Any) -> Any:
    """An flist value as JSON: POIDs, decimals and times as text, arrays as objects keyed by element id, documents as text or
    base64."""
    if isinstance(value, dict):
        return {str(name): plain(element) for name, element in value.items()}
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Poid | Decimal):
        return str(value)
    if isinstance(value, bytes):
        return _readable(value)
    return value


def _readable(value: bytes) -> str:
    """Binary data as text where it is text, else in base64."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    if not text:
        return default
    if not text.isdigit():
        raise O2CError.of(Reason.RANGE_INVALID, f"a number from 0 is expected, not {text!r}", field=name)
    return int(text)


def _moment(given: Any) -> datetime | None:
    """The moment a request names, if it names one. Raises RANGE_INVALID."""
    if not given:
        return None
    try:
        return parse_moment(str(given))
    except ValueError:
        message = f"a time such as 2027-02-01T00:00:00Z is expected, not {given!r}"
        raise O2CError.of(Reason.RANGE_INVALID, message, field="at") from None


def _threads(content: dict[str, Any]) -> int:
    """How many workers a request asks for. Raises JSON_MALFORMED, RANGE_INVALID."""
    wrong = [Violation(Reason.JSON_MALFORMED, "only threads can be asked for", name) for name in content if name != "threads"]
    threads = content.get("threads", 1)
    if type(threads) is not int or not 1 <= threads <= MAX_THREADS:
        message = f"threads is a whole number from 1 to {MAX_THREADS}, not {threads!r}"
        wrong.append(Violation(Reason.RANGE_INVALID, message, "threads"))
    O2CError.raise_all(wrong)
    return int(threads)


def _unknown(what: str, name: Any, known: Iterable[str], status: int = 404, field: str = "name") -> web.Response:
    return refusal(status, Reason.ENUM_UNKNOWN, f"no {what} {name!r}; there are {', '.join(sorted(known))}", field)


class Admin:
    """Admin handlers of one instance."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def routes(self) -> list[web.RouteDef]:
        base = f"/{self._instance.name}/sandbox/v1"
        return [
            web.get(f"{base}/capabilities", self.capabilities),
            web.post(f"{base}/reset", self.reset),
            web.post(f"{base}/fixtures/{{name}}", self.load_fixture),
            web.get(f"{base}/outbox", self.outbox),
            web.get(f"{base}/settings", self.settings),
            web.put(f"{base}/settings", self.change_settings),
            web.get(f"{base}/objects", self.objects),
            web.get(f"{base}/objects/{{poid:.+}}", self.one_object),
            web.get(f"{base}/events", self.events),
            web.get(f"{base}/calls", self.calls),
            web.get(f"{base}/clock", self.clock),
            web.put(f"{base}/clock", self.set_clock),
            web.post(f"{base}/jobs/{{name}}/run", self.run_job),
            web.get(f"{base}/faults", self.faults),
            web.post(f"{base}/faults", self.add_fault),
            web.delete(f"{base}/faults", self.clear_faults),
            web.delete(f"{base}/faults/{{id:\\d+}}", self.remove_fault),
            web.post(f"{base}/usage", self.usage),
            web.post(f"{base}/invariants/check", self.check_invariants),
        ]

    async def capabilities(self, _: web.Request) -> web.Response:
        """Instance, database number, opcodes offered, jobs and extensions."""
        services = {spec.service for spec in OPCODES.values() if spec.name in self._instance.offered}
        return json_response(
            {
                "instance": self._instance.name,
                "db": self._instance.db,
                "opcodes": sorted(self._instance.offered),
                "services": sorted(services),
                "jobs": sorted(JOBS),
                "extensions": {"txn": self._instance.settings.transactions},
            }
        )

    async def reset(self, _: web.Request) -> web.Response:
        self._instance.reset()
        return json_response({"reset": True})

    async def load_fixture(self, request: web.Request) -> web.Response:
        """Reset, then make one of the ready-made sets of customers."""
        name = request.match_info["name"]
        if name not in FIXTURES:
            return _unknown("fixture", name, FIXTURES)
        return json_response({"fixture": name, "made": load(self._instance, name)})

    async def outbox(self, request: web.Request) -> web.Response:
        """Messages after number ``after``, oldest first."""
        found = messages_after(self._instance.reader(), _number(request, "after", 0), _number(request, "limit", _LIMIT))
        return json_response({"messages": [{"seq": seq, **plain(visible(message))} for seq, message in found]})

    async def settings(self, _: web.Request) -> web.Response:
        return json_response(plain(asdict(self._instance.settings)))

    async def change_settings(self, request: web.Request) -> web.Response:
        """Change switches: ``{"strict_xsd": true}``; 400 for unknown names and values that do not fit, 409 for what stays."""
        try:
            wanted = changed_settings(self._instance.settings, await body_of(request))
            self._instance.change_settings(wanted)
        except SettingsError as error:
            return problem(400, *error.violations)
        except ValueError as error:
            return refusal(409, Reason.FIELD_IMMUTABLE, str(error), "time_zone")
        return json_response(plain(asdict(self._instance.settings)))

    async def objects(self, request: web.Request) -> web.Response:
        """Objects of a class (and its subclasses) with ``where=FIELD=value`` (repeatable, all must hold)."""
        type_ = request.query.get("class", "")
        if not type_.startswith("/"):
            return refusal(400, Reason.RANGE_INVALID, f"a class is a name such as /account, not {type_!r}", "class")
        wanted: list[tuple[tuple[str, ...], str]] = []
        for text in request.query.getall("where", []):
            match = _WHERE.fullmatch(text)
            if match is None:
                return refusal(400, Reason.RANGE_INVALID, f"FIELD=value is expected, not {text!r}", "where")
            wanted.append((tuple(match[1].split(".")), match[2]))
        tx = self._instance.reader()
        exact = [Condition(path, "=", self._keyed(value)) for path, value in wanted if len(path) == 1]
        limit = _number(request, "limit", _LIMIT)
        found = [
            flist
            for flist in candidates(tx, type_, exact)
            if (flist["POID"].type + "/").startswith(type_.rstrip("/") + "/") and all(_has(flist, *each) for each in wanted)
        ]
        return json_response({"objects": [plain(visible(flist)) for flist in found[:limit]], "total": len(found)})

    def _keyed(self, text: str) -> Any:
        poid = _poid(text, self._instance.db)
        return poid if poid is not None else text

    async def one_object(self, request: web.Request) -> web.Response:
        """One object, by POID text or by bare id."""
        text = request.match_info["poid"]
        poid = _poid(text, self._instance.db)
        if poid is None and not text.isdigit():
            return refusal(400, Reason.RANGE_INVALID, f"a POID or an id is expected, not {text!r}", "poid")
        tx = self._instance.reader()
        flist = tx.find(poid) if poid is not None else self._instance.store.read(int(text))
        if flist is None:
            return refusal(404, Reason.BRM_REJECTED, f"{text} is not stored", "poid")
        return json_response(plain(visible(flist)))

    async def events(self, request: web.Request) -> web.Response:
        """Events in commit order after number ``since``."""
        rows = self._instance.store.events_since(_number(request, "since", 0), _number(request, "limit", _LIMIT))
        return json_response({"events": [{"seq": seq, **plain(visible(flist))} for seq, flist in rows]})

    async def calls(self, request: web.Request) -> web.Response:
        """Opcode calls after number ``since``; ``opcode`` keeps one opcode."""
        records = self._instance.calls.since(_number(request, "since", 0), 10**9)
        opcode = request.query.get("opcode")
        kept = [record for record in records if opcode in (None, record.opcode)]
        return json_response(
            {"calls": [record.to_json() for record in kept[: _number(request, "limit", _LIMIT)]], "total": len(kept)}
        )

    async def clock(self, _: web.Request) -> web.Response:
        return json_response(self._instance.clock.to_json())

    async def set_clock(self, request: web.Request) -> web.Response:
        """``{"mode": "frozen", "at": "2027-02-01T00:00:00Z", "force": false}``; 409 when time would go back."""
        content = await body_of(request)
        mode = content.get("mode", ClockMode.FROZEN)
        if mode not in list(ClockMode):
            return _unknown("mode", mode, ClockMode, 400, "mode")
        try:
            at = _moment(content.get("at"))
            self._instance.set_clock(ClockMode(mode), at, force=bool(content.get("force", False)))
        except ClockMovedBack as error:
            return refusal(409, Reason.RANGE_INVALID, str(error), "at")
        return json_response(self._instance.clock.to_json())

    async def run_job(self, request: web.Request) -> web.Response:
        """Run a job, with ``{"threads": 4}`` by so many workers; its counts."""
        name = request.match_info["name"]
        if name not in JOBS:
            return _unknown("job", name, JOBS)
        threads = _threads(await body_of(request))
        return json_response((await run_job(self._instance, name, threads)).to_json())

    async def faults(self, _: web.Request) -> web.Response:
        return json_response({"faults": [fault.to_json() for fault in self._instance.faults.faults]})

    async def add_fault(self, request: web.Request) -> web.Response:
        try:
            fault = self._instance.faults.add(await body_of(request))
        except FaultSpecError as error:
            return refusal(400, Reason.RANGE_INVALID, str(error), error.field)
        return json_response(fault.to_json(), 201)

    async def clear_faults(self, _: web.Request) -> web.Response:
        self._instance.faults.clear()
        return json_response({"faults": []})

    async def remove_fault(self, request: web.Request) -> web.Response:
        removed = self._instance.faults.remove(int(request.match_info["id"]))
        if not removed:
            return refusal(404, Reason.RANGE_INVALID, f"no fault {request.match_info['id']}", "id")
        return json_response({"removed": True})

    async def usage(self, request: web.Request) -> web.Response:
        """Rate usage: ``{"service": login or POID, "quantity": 120, "amount": "6.00", "resource": 1000101, "start": …}``."""
        try:
            event = inject_usage(self._instance, await body_of(request))
        except BrmFault as fault:
            status, field = 409 if fault.name != "NOT_FOUND" else 404, _USAGE_FIELDS.get(fault.field, "")
            return refusal(status, Reason.BRM_REJECTED, str(fault), field)
        return json_response(plain(visible(event)), 201)

    async def check_invariants(self, _: web.Request) -> web.Response:
        violations = self._instance.check_invariants()
        return json_response({"ok": not violations, "violations": [violation.to_json() for violation in violations]})


def _poid(text: str, db: str) -> Poid | None:
    try:
        return Poid.parse(text.replace("+", " "), db)
    except PoidError:
        return None


def _has(flist: Flist, path: tuple[str, ...], text: str) -> bool:
    """Whether the value at a path reads as ``text``; arrays match when any element does."""
    value: Any = flist.get(path[0])
    if len(path) == 1:
        if isinstance(value, Poid):
            return text in (str(value), f"{value.type} {value.id}", f"{value.db} {value.type} {value.id}", str(value.id)) or (
                text.rsplit(" ", 1)[0] == f"{value.db} {value.type} {value.id}"
            )
        return value is not None and text in (key_text(value), str(plain(value)))
    groups = value.values() if isinstance(value, dict) and all(isinstance(each, dict) for each in value.values()) else [value]
    return any(isinstance(group, dict) and _has(group, path[1:], text) for group in groups)

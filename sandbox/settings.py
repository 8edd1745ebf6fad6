"""Switches of one instance (spec: "the sandbox model"); defaults are BRM's usual behaviour."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from libs.errors import Reason, Violation
from sandbox.timeline import Calendar, zone_named


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    free_login_on_close: bool = False
    """Whether closing a service frees its login for another one (INV-02)."""
    allow_reopen: bool = False
    """Whether a closed account may become active again (5.6)."""
    strict_rev: bool = False
    """Whether a write that names an old revision of its target is refused (5.4)."""
    strict_xsd: bool = False
    """Whether a request whose fields are unknown, missing or out of order is refused before any opcode runs (M5)."""
    transactions: bool = False
    """Whether TRANS_OPEN, TRANS_COMMIT and TRANS_ABORT are offered (header ``X-BRM-Txn``)."""
    transaction_idle_seconds: float = 60.0
    """An open transaction nobody uses for so long is aborted."""
    base_writes: bool = False
    """Whether WRITE_FLDS, CREATE_OBJ and DELETE_OBJ are offered."""
    token: str = ""
    """Bearer token a SOAP request must carry; empty asks for none."""
    allow_header_faults: bool = False
    """Whether the header ``X-Sandbox-Fault`` injects a fault into its own request."""
    allow_partial: bool = False
    """Whether the fault ``partial:<k>`` may be used: it breaks the rule that a call is all or nothing."""
    transfer_no_poids: bool = True
    """Whether SERVICE_BALGRP_TRANSFER keeps the new offers' POIDs to itself, as BRM does (3.3)."""
    outbox_detail: bool = False
    """Whether the collections job adds an outbox entry per change beside the one per run."""
    merge_short_first: bool = True
    """Whether a first cycle of fewer than 15 days is merged into the next one (5.5 step 9)."""
    time_zone: str = "UTC"
    """Billing time zone: business dates are midnight there (1.6). It stays once an instance has bill units."""
    uniqueness_leak: bool = False
    """Whether unique names are reserved in a commit of their own, which stays when the call fails (5.4)."""
    collections_minimum: int = 0
    """Overdue amount below which a bill unit is never looked at, whatever its scenarios say."""
    tax_rates: Mapping[str, Decimal] = field(default_factory=dict)
    """Tax on charges by tax code, as a fraction (0.1 for 10 %), added when a bill closes; codes not listed are free of tax."""

    transitions: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Ids of the bundles and packages that TRANSITION_DEAL and TRANSITION_PLAN may lead to, by the id they lead from."""

    @property
    def calendar(self) -> Calendar:
        """The calendar of the billing time zone."""
        return Calendar(zone_named(self.time_zone))


class SettingsError(ValueError):
    """Switches that there are not, and values they do not take: all of them, each with its name."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(each.message for each in violations))
        self.violations = tuple(violations)


def changed_settings(settings: SandboxSettings, changes: Mapping[str, Any]) -> SandboxSettings:
    """The settings with some changed; values may be given as text. Raises :class:`SettingsError`."""
    values: dict[str, Any] = {}
    wrong: list[Violation] = []
    for name, given in changes.items():
        if name not in SandboxSettings.__dataclass_fields__:
            message = f"no setting {name!r}; there are {', '.join(SandboxSettings.__dataclass_fields__)}"
            wrong.append(Violation(Reason.ENUM_UNKNOWN, message, name, {"field": name, "value": str(given)}))
            continue
        try:
            values[name] = _converted(name, given, type(getattr(settings, name)))
        except ValueError as error:
            wrong.append(Violation(Reason.RANGE_INVALID, str(error), name, {"field": name}))
    if wrong:
        raise SettingsError(wrong)
    return replace(settings, **values)


def _rates(given: Mapping[str, Any]) -> dict[str, Decimal]:
    return {str(code): Decimal(str(rate)) for code, rate in given.items()}


def _transitions(given: Mapping[str, Any]) -> dict[int, tuple[int, ...]]:
    return {int(old): tuple(int(new) for new in allowed) for old, allowed in given.items()}


_EXAMPLES: Final = {"tax_rates": '{"service": "0.19"}', "transitions": '{"20201": [21001]}'}
_MAPPINGS: Final[Mapping[str, Callable[[Mapping[str, Any]], Mapping[Any, Any]]]] = {
    "tax_rates": _rates,
    "transitions": _transitions,
}


def _converted(name: str, given: Any, kind: type) -> Any:
    if kind is bool:
        known = {"true": True, "false": False, "1": True, "0": False}
        if str(given).lower() not in known:
            raise ValueError(f"{name} is true or false, not {given!r}")
        return known[str(given).lower()]
    if kind is dict:
        try:
            pairs = json.loads(given) if isinstance(given, str) else given
            return _MAPPINGS[name](dict(pairs.items()))
        except (AttributeError, TypeError, ValueError, ArithmeticError):
            raise ValueError(f"{name} is an object such as {_EXAMPLES[name]}, not {given!r}") from None
    if kind is str:
        text = str(given)
        if name == "time_zone":
            zone_named(text)
        return text
    what = f"{name} is a {'whole number' if kind is int else 'number'} from 0, not {given!r}"
    if isinstance(given, bool):
        raise ValueError(what)
    try:
        number = kind(given)
    except (TypeError, ValueError, ArithmeticError):
        raise ValueError(what) from None
    if not 0 <= number < float("inf"):
        raise ValueError(what)
    return number

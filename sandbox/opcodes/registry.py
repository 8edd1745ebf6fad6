"""The table of opcode functions and what each call gets to work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.errors import BrmFault
from sandbox.settings import SandboxSettings
from sandbox.store.sqlite import Tx


@dataclass(slots=True)
class Context:
    """One opcode call: its transaction, its opcode flags and the instance's switches."""

    tx: Tx
    flags: int = 0
    settings: SandboxSettings = field(default_factory=SandboxSettings)
    injected: frozenset[str] = frozenset()
    """Faults that change what the opcode itself does and are active on this call, by kind: ``pymt_phantom``,
    ``transfer_no_poids``."""
    discard: bool = False
    """Set by an opcode that only calculated: the transaction is rolled back after a normal answer."""


OpcodeFunction = Callable[[Context, Flist], Flist]
REGISTRY: Final[dict[str, OpcodeFunction]] = {}


def opcode(name: str) -> Callable[[OpcodeFunction], OpcodeFunction]:
    """Register the function that serves an opcode."""

    def register(function: OpcodeFunction) -> OpcodeFunction:
        REGISTRY[name] = function
        return function

    return register


def required(flist: Flist, name: str) -> Any:
    """A mandatory field; raises MISSING_ARG."""
    value = flist.get(name)
    if value is None or value == "":
        raise BrmFault("MISSING_ARG", name, f"{name} is required")
    return value


def required_array(flist: Flist, name: str) -> Array:
    """A mandatory array with at least one element; raises MISSING_ARG."""
    array = flist.get(name)
    if not array:
        raise BrmFault("MISSING_ARG", name, f"{name} needs at least one element")
    return Array({element: body or {} for element, body in array.items()})


def elements(flist: Flist, name: str) -> dict[int | str, Flist]:
    """The elements of an optional array; an element without a body counts as empty."""
    return {element: body or {} for element, body in (flist.get(name) or {}).items()}


def account_of(tx: Tx, flist: Flist, name: str = "POID") -> Flist:
    """The stored account a call is about; raises MISSING_ARG, BAD_POID_TYPE or NONEXISTANT_POID."""
    poid = required(flist, name)
    if poid.type != "/account":
        raise BrmFault("BAD_POID_TYPE", name, f"{poid} is no account")
    return tx.get(poid, name)


def program_of(flist: Flist) -> str:
    """Who called, as it is kept on events."""
    return str(required(flist, "PROGRAM_NAME"))


def effective_time(tx: Tx, flist: Flist) -> datetime:
    """When a change takes effect: END_T, else START_T, else now."""
    when: datetime = flist.get("END_T") or flist.get("START_T") or tx.now
    return when


def results(events: list[Flist]) -> Array:
    """RESULTS of a write: the events it caused."""
    return Array.of(*({"POID": event["POID"], "DESCR": event.get("NAME", "")} for event in events))


def done(poid: Poid, events: list[Flist]) -> Flist:
    """The usual answer of a write: the object and the events."""
    answer: Flist = {"POID": poid}
    if events:
        answer["RESULTS"] = results(events)
    return answer

"""A world to run plans in: billing in memory that fails as told, cross-references, a journal, and plans for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from libs.brm.call import BrmCall
from libs.brm.ebuf import EBuf
from libs.brm.errors import BrmError, BrmOutcomeUnknown
from libs.brm.flist import Flist
from libs.brm.poid import Poid
from libs.db import Database
from libs.errors import Reason
from libs.plan.journal import Journal
from libs.plan.model import Claim, Plan, Ref, Step, XrefLink, Yield
from libs.plan.result import RunResult
from libs.plan.run import run
from libs.xref.fake import FakeXref
from libs.xref.model import XrefKey

ACCOUNTS = "CUSTOMERPARTY_ACCOUNTID"


class Billing:
    """A billing system in memory: creates objects under natural keys, fails as told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.objects: dict[str, Poid] = {}
        self.called: list[str] = []
        self.settled: list[str] = []
        self.fail: dict[str, list[str]] = {}
        """Natural key to what goes wrong, call by call: ``refuse``, ``lose`` (before), ``cut`` (after), ``crash``, ``hang``."""
        self.heard: Callable[[], None] = lambda: None
        """Called with every call."""
        self.blind = False
        self.hanging = asyncio.Event()
        self.running = 0
        self.most = 0

    async def call(self, system_id: str, call: BrmCall) -> Flist:
        key = str(call.input["KEY"])
        self.called.append(key)
        self.heard()
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        failing = self.fail.get(key)
        failure = failing.pop(0) if failing else ""
        if failure == "hang":
            self.hanging.set()
            await asyncio.Event().wait()
        if failure == "refuse":
            raise self._error("PIN_ERR_BAD_VALUE")
        if failure == "lose":
            raise BrmOutcomeUnknown("lost", system_id=system_id, opcode=call.opcode)
        if key in self.objects:
            raise self._error("PIN_ERR_DUPLICATE")
        self.objects[key] = Poid("0.0.0.1", "/thing", 100 + len(self.objects))
        if failure == "cut":
            raise BrmOutcomeUnknown("cut", system_id=system_id, opcode=call.opcode)
        if failure == "crash":
            raise Crash
        return {"POID": self.objects[key]}

    async def settle(self, system_id: str, call: BrmCall) -> Flist | None:
        key = str(call.input["KEY"])
        self.settled.append(key)
        if self.blind:
            raise BrmError(Reason.BRM_UNAVAILABLE, "down", system_id=system_id, opcode=call.opcode)
        return {"POID": self.objects[key]} if key in self.objects else None

    @staticmethod
    def _error(name: str) -> BrmError:
        return BrmError(Reason.BRM_REJECTED, name, system_id="BRM_01", opcode="OP", ebuf=EBuf(error=name))


class Crash(Exception):
    """The process dies here."""


def step(key: str, *needs: str, lane: str = "", link: bool = True, after: tuple[str, ...] = ()) -> Step:
    """A step that creates ``key`` and needs the objects of other steps."""
    fields: dict[str, Any] = {"KEY": key} | {f"NEEDS_{need}": Ref(f"thing({need})") for need in needs}
    made = Yield(f"thing({key})", "POID", XrefLink(ACCOUNTS, key) if link else None)
    return Step(key, f"make {key}", BrmCall("OP", fields), (made,), lane, after)


def plan(*steps: Step, claims: bool = True) -> Plan:
    claimed = tuple(Claim(ACCOUNTS, each.key, f"common({each.key})") for each in steps) if claims else ()
    return Plan("BRM_01", steps, claimed)


CHAIN = plan(step("a"), step("b", "a"), step("c", "a"), step("d", "b", "c"))


class World:
    """Everything around a run."""

    def __init__(self, db: Database, journal: Journal) -> None:
        self.db = db
        self.journal = journal
        self.billing = Billing()
        self.xref = FakeXref()

    async def run(self, made: Plan = CHAIN, **options: Any) -> RunResult:
        return await run(made, run_key="K", journal=self.journal, gateway=self.billing, xref=self.xref, **options)

    async def linked(self, *keys: str) -> dict[str, str]:
        wanted = [XrefKey(ACCOUNTS, "SEBL_01", key) for key in keys]
        return {key.ref_value: row.value("BRM_01") for key, row in (await self.xref.lookup(wanted)).items()}

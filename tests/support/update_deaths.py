"""Processes that die in the middle of an update: they neither call nor write anything down from then on."""

from __future__ import annotations

from libs.brm.call import BrmCall
from libs.brm.flist import Flist
from libs.brm.gateway import BrmGateway
from libs.brm.specs import OPCODES
from libs.db import Database
from libs.plan.journal import Journal


class Death(BaseException):
    """The process ends here."""


class Fate:
    """When a process dies: at a write, or with the commit after it."""

    def __init__(self, at: int, when: str) -> None:
        self.at = at
        self.when = when
        self.writes = 0
        self.over = False

    def die(self) -> None:
        self.over = True
        raise Death


class MortalGateway:
    """Reaches BRM until its time has come; nothing is written after that."""

    def __init__(self, gateway: BrmGateway, fate: Fate) -> None:
        self._gateway = gateway
        self._fate = fate

    async def call(self, system_id: str, call: BrmCall) -> Flist:
        if self._fate.over:
            raise Death
        if OPCODES[call.opcode].kind == "read":
            return await self._gateway.call(system_id, call)
        mine = self._fate.writes == self._fate.at
        self._fate.writes += 1
        if mine and self._fate.when == "before the call":
            self._fate.die()
        output = await self._gateway.call(system_id, call)
        if mine and self._fate.when == "after it":
            self._fate.die()
        self._fate.over = self._fate.over or mine
        return output

    async def settle(self, system_id: str, call: BrmCall) -> Flist | None:
        return await self._gateway.settle(system_id, call)


class MortalJournal(Journal):
    """A dead process writes nothing down."""

    fate: Fate

    async def record(self, *args: object, **kwargs: object) -> None:
        if self.fate.over:
            raise Death
        await super().record(*args, **kwargs)  # type: ignore[arg-type]


def mortal(fate: Fate):  # type: ignore[no-untyped-def]
    async def open_journal(db: Database) -> Journal:
        journal: MortalJournal = await MortalJournal.open(db)  # type: ignore[assignment]
        journal.fate = fate
        return journal

    return open_journal

"""Transactions that span several calls (2.5): opened, used and ended by id, lost when left alone.

Between two calls an open transaction holds no lock: its changes wait in memory, everybody else reads what is committed.
Whoever changes the same objects meanwhile wins; the open transaction then fails with DEADLOCK and is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final

from sandbox.errors import BrmFault
from sandbox.store.sqlite import Tx

OPEN: Final = "PCM_OP_TRANS_OPEN"
COMMIT: Final = "PCM_OP_TRANS_COMMIT"
ABORT: Final = "PCM_OP_TRANS_ABORT"
OPCODES: Final = frozenset({OPEN, COMMIT, ABORT})
STEPS: Final = frozenset({"PCM_OP_STEP_SEARCH", "PCM_OP_STEP_NEXT", "PCM_OP_STEP_END"})
"""Opcodes that work in an open transaction only: the cursor belongs to it."""


@dataclass(slots=True)
class _Open:
    tx: Tx
    used: float


class OpenTransactions:
    """The open transactions of one instance by id."""

    def __init__(self, idle_seconds: float = 60.0, now: Callable[[], float] = monotonic) -> None:
        self.idle_seconds = idle_seconds
        self._now = now
        self._open: dict[str, _Open] = {}
        self._lost: set[str] = set()
        self._next = 1

    def open(self, tx: Tx) -> str:
        """Keep a transaction; its id."""
        id_ = f"txn-{self._next}"
        self._next += 1
        self._open[id_] = _Open(tx, self._now())
        return id_

    def take(self, id_: str) -> Tx:
        """The transaction, out of the table until :meth:`keep`; raises TRANS_LOST or TRANS_NOT_OPEN."""
        self._expire()
        if id_ in self._open:
            return self._open.pop(id_).tx
        if id_ in self._lost:
            raise BrmFault("TRANS_LOST", "TRANS_ID", f"transaction {id_} was aborted", location="DM")
        raise BrmFault("TRANS_NOT_OPEN", "TRANS_ID", f"there is no transaction {id_!r}", location="CM")

    def keep(self, id_: str, tx: Tx) -> None:
        """Put a transaction back after a call."""
        tx.suspend()
        self._open[id_] = _Open(tx, self._now())

    def lose(self, id_: str) -> None:
        """Remember that a transaction ended by itself."""
        self._lost.add(id_)

    def lose_all(self) -> None:
        """What a restart does."""
        self._lost.update(self._open)
        self._open.clear()

    def _expire(self) -> None:
        for id_ in [id_ for id_, each in self._open.items() if self._now() - each.used > self.idle_seconds]:
            del self._open[id_]
            self._lost.add(id_)

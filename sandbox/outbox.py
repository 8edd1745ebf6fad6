"""Messages an instance has for the world, in order; readers remember the number they have seen."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from libs.brm.flist import Flist
from libs.brm.poid import Poid
from sandbox.store.sqlite import Tx

_CLASS: Final = "/outbox"


def publish(tx: Tx, kind: str, **fields: object) -> Flist:
    """Append a message."""
    return tx.create(_CLASS, {"NAME": kind, "_seq": tx.next_number("outbox"), **fields})


def collections_changed(tx: Tx, start: datetime, end: datetime, changes: list[tuple[str, Poid]], *, detail: bool) -> None:
    """CollectionsInfoChange of one run: the window ``[start, end)`` of its changes, and each change when asked for."""
    publish(tx, "CollectionsInfoChange", START_T=start, END_T=end)
    if detail:
        for kind, poid in changes:
            publish(tx, kind, OBJECT=poid, START_T=start, END_T=end)


def messages_after(tx: Tx, seq: int, limit: int) -> list[tuple[int, Flist]]:
    """Messages numbered above ``seq``, oldest first, each with its number."""
    found = [(message["_seq"], message) for message in tx.of_class(_CLASS) if message["_seq"] > seq]
    return found[:limit]

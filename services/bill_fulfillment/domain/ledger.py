"""What the ledger says before anything else is asked: lines done already, lines changed behind our back, stale revisions.

bill-fulfillment.md 11.2, R-11.6, R-11.7 and R-11.10.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import astuple, replace

from libs.errors import Reason
from services.bill_fulfillment.domain.draft import Draft, Situation
from services.bill_fulfillment.domain.model import LedgerLine, Line, Outcome


def payload_hash(line: Line) -> str:
    """Hash of everything billing reads of a line; its place in the request does not count. What later versions read besides
    counts where it is given: the ledger outlives versions."""
    events = tuple(replace(event, position=0) for event in line.events)
    *content, move_from, entries, events = astuple(replace(line, position=0, events=events))
    given = (*content, *(each for each in (move_from, entries, events) if each))
    return hashlib.sha256(repr(given).encode()).hexdigest()[:32]


def is_known(draft: Draft, situation: Situation) -> bool:
    """Whether the ledger has an answer to the line: the same was done before, or the revision had it with other content."""
    line = draft.line
    entry = situation.facts.lines.get(line.ledger_key)
    if entry is None or not entry.reached or entry.mode is not line.mode:
        return False
    return entry.revision == situation.command.revision or _is_repeated(entry, line)


def _is_repeated(entry: LedgerLine, line: Line) -> bool:
    return entry.action is line.action and entry.payload_hash == payload_hash(line)


def recall(drafts: Iterable[Draft], situation: Situation) -> None:
    """Settle or refuse the lines that the ledger knows, those included that seem to be where they should be."""
    stale = situation.command.revision < situation.facts.latest_revision
    for draft in drafts:
        if draft.outcome not in (None, Outcome.NO_CHANGE):
            continue
        if stale:
            message = f"revision {situation.facts.latest_revision} of the order was processed before"
            draft.refuse(
                Reason.REVISION_STALE,
                message,
                order_number=situation.command.order_number,
                revision=str(situation.facts.latest_revision),
            )
        else:
            _recall_one(draft, situation)


def _recall_one(draft: Draft, situation: Situation) -> None:
    line = draft.line
    entry = situation.facts.lines.get(line.ledger_key)
    if entry is None or not entry.reached or entry.mode is not line.mode:
        return
    if _is_repeated(entry, line):
        draft.settle(Outcome.NO_CHANGE, draft.state)
        draft.objects.update(entry.refs)
        draft.dates = entry.dates
    elif entry.revision == situation.command.revision:
        message = f"line {line.line_id} was processed with other content in revision {entry.revision}; raise the revision"
        draft.refuse(Reason.IDEMPOTENCY_CONFLICT, message)

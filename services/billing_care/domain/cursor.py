"""Page tokens: signed cursors (R5.1). A token that was not made here, for this query, and lately, is refused."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import astuple
from datetime import UTC, date, datetime, timedelta

from libs.errors import O2CError, Reason
from services.billing_care.domain.model import Cursor, Scope

_SIGNATURE_BYTES = 16


def fingerprint(scope: Scope, only_open: bool, max_records: int) -> str:
    """What selects the rows of a list, in short. The page size does not."""
    text = json.dumps([*astuple(scope), only_open, max_records], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def encode(cursor: Cursor, key: bytes) -> str:
    """The token of a cursor."""
    day, db, number = cursor.last
    fields = [day.isoformat(), db, number, cursor.served, cursor.query, int(cursor.as_of.timestamp())]
    body = json.dumps(fields, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_sign(body, key) + body).decode().rstrip("=")


def decode(token: str, key: bytes, *, query: str, now: datetime, life: timedelta) -> Cursor:
    """The cursor of a token; PAGE_TOKEN_INVALID when it is forged, expired or was made for another query."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raise _invalid("it is not one of ours") from None
    signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _sign(body, key)):
        raise _invalid("it is not one of ours")
    day, db, number, served, made_for, as_of = json.loads(body)
    cursor = Cursor((date.fromisoformat(day), db, number), served, made_for, datetime.fromtimestamp(as_of, UTC))
    if cursor.query != query:
        raise _invalid("it was made for another query")
    if now - cursor.as_of > life:
        raise _invalid("it has expired; start again from the first page")
    return cursor


def _sign(body: bytes, key: bytes) -> bytes:
    return hmac.new(key, body, hashlib.sha256).digest()[:_SIGNATURE_BYTES]


def _invalid(why: str) -> O2CError:
    return O2CError.of(Reason.PAGE_TOKEN_INVALID, f"the page token cannot be used: {why}", field="page_token")

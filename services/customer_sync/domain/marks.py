"""Marks: what was sent last of each part of a customer, kept so that an edit of something else asks BRM nothing.

A mark is a hash over what BRM is sent. Card and bank numbers take part with the digits that any masked form shows; whether they
are the same for all that is told by marks under a key (:mod:`services.customer_sync.domain.secret_marks`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

import orjson

from libs.brm import calls as brm
from libs.brm.text import mask
from libs.plan.late import Late


class PartKind(StrEnum):
    """Parts of a customer that are compared, and sent, as a whole."""

    ACCOUNT = "ACCOUNT"
    """Company, primary contact, primary address; with them type and currency, which never change."""
    PROFILE = "BILLING_PROFILE"
    """A billing profile: bill unit and payment record. Earlier versions kept ``PROFILE``, with all numbers in the hash."""
    SECRET = "SECRET"
    """Card or bank details of a billing profile, marked under a key."""
    FREQUENCY = "BILL_FREQUENCY"
    """How many months one bill is for, by the change of a billing profile that was sent last. BRM shows it from the next bill
    on; until then nothing tells that it waits."""
    STATUS = "STATUS"
    SEEN = "SEEN"
    """Of an account: when the CRM had last changed it, in epoch microseconds, by the state that was applied last."""
    LIST = "LIST"
    """The special rating list of an asset."""


PartKey = tuple[PartKind, str]
"""A part: its kind and its CRM id."""
NOT_KNOWN: Final = ""
"""Stands for the mark of a part while it is being sent; no part has it."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A part that a step sends, or without one, that BRM has already."""

    step_key: str
    part: PartKey
    late_mark: Late[str]
    """Its mark, worked out when it is first read."""

    @property
    def mark(self) -> str:
        return self.late_mark.value


def account_mark(coded: Mapping[str, Any], name: brm.NameInfo) -> str:
    """The mark of an account, from its coded values and its contact block."""
    return mark_of([coded, name.flist()])


def profile_mark(record: brm.PayInfo, schedule: Mapping[str, Any], db: str) -> str:
    """The mark of a billing profile, from its payment record, frequency and bill day. The security code takes no part."""
    shown = replace(record, security_code="") if isinstance(record, brm.CardPayInfo) else record
    return mark_of([shown.flist(db), schedule])


def list_mark(list_id: str, numbers: Iterable[str], brm_id: str) -> str:
    """The mark of a special rating list, from its CRM id, its active numbers in any order, and the profile that holds it."""
    return mark_of([list_id, sorted(numbers), brm_id])


def mark_of(content: Any) -> str:
    """The mark of a part: flists, texts and numbers."""
    return hashlib.sha256(orjson.dumps(mask(content), default=str, option=_STABLE)).hexdigest()[:32]


_STABLE: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS

"""Whether card or bank details are those that were sent last, told without keeping them (docs/adr/0010).

Two cards may look alike once their numbers are masked, and billing shows no more than that. A mark is an HMAC-SHA-256 of what
was sent under a key of the site. It tells whether the values are the same; without the key it tells nothing, although card
numbers are few enough to be tried out one by one. The security code takes no part: it must not be kept in any form.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

import orjson

from libs.brm import calls as brm

_LETTERS: Final = {"DEBIT_NUM": "n", "DEBIT_EXP": "e", "BANK_NO": "b"}
"""What of a payment record is marked, with the letter by which a mark says that it took part."""
_WITH_SECRETS: Final = (brm.CardPayInfo, brm.DebitPayInfo)
IN_DOUBT: Final = "?"
"""Stands for the mark while a record is being sent: what BRM has if that is cut short, nobody knows."""
_MASKED: Final = re.compile(r"[*#]|[Xx]{4}|^[^A-WYZa-wyz]*[Xx][^A-WYZa-wyz]*$")


class Verdict(StrEnum):
    """What a mark tells of the values that a payment record should have."""

    SAME = "SAME"
    """They are as they were sent last, or there are none."""
    OTHER = "OTHER"
    UNKNOWN = "UNKNOWN"
    """There is no mark, or one under a key that the site does not have, or one that covers other fields: billing is asked."""


@dataclass(frozen=True, slots=True)
class SecretMarker:
    """The keys of a site by their ids, newest first; none: nothing is marked. Never shown."""

    keys: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, keys: Iterable[bytes]) -> SecretMarker:
        """Marks with the first key; recognises marks of all."""
        return cls(tuple((hmac.digest(key, b"id of a mark key", "sha256").hex()[:8], key) for key in keys))

    def mark(self, profile_id: str, record: brm.PayInfo) -> str:
        """``key id.letters.HMAC``; empty without key, or for a record without secrets, or with masked ones only.

        The profile takes part, so that marks do not tell who shares a card.
        """
        secrets = _secrets(record) if self.keys else {}
        if not secrets:
            return ""
        key_id, key = self.keys[0]
        return f"{key_id}.{_letters(secrets)}.{_digest(key, profile_id, record, secrets)}"

    def judge(self, kept: str, profile_id: str, record: brm.PayInfo) -> tuple[str, Verdict]:
        """The mark to have once BRM has the record, and what ``kept`` tells about it."""
        if not isinstance(record, _WITH_SECRETS):
            return "", Verdict.SAME
        secrets = _secrets(record)
        if not secrets:
            return kept, Verdict.SAME  # BRM keeps what it has, and so does the mark
        if not self.keys:
            return "", Verdict.UNKNOWN
        mark = self.mark(profile_id, record)
        if kept in (mark, IN_DOUBT):
            return mark, Verdict.SAME if kept == mark else Verdict.OTHER
        key_id, _, rest = kept.partition(".")
        letters, _, digest = rest.partition(".")
        key = dict(self.keys).get(key_id)
        if key is None or letters != _letters(secrets):
            return mark, Verdict.UNKNOWN
        same = hmac.compare_digest(digest, _digest(key, profile_id, record, secrets))
        return mark, Verdict.SAME if same else Verdict.OTHER


def is_masked(value: str) -> bool:
    """Whether a card or bank number came with signs hidden (``XXXXXXXXXXXX1111``, ``****``): it tells too little to be sent.

    An X among other letters is meant, as in a bank code that ends in ``XXX``, unless four are together.
    """
    return not value.isdigit() and _MASKED.search(value) is not None


def without_masked(record: brm.PayInfo) -> brm.PayInfo:
    """The record without numbers that came masked: BRM keeps those it has."""
    match record:
        case brm.CardPayInfo():
            return replace(record, number=_shown(record.number))
        case brm.DebitPayInfo():
            return replace(record, number=_shown(record.number), bank_no=_shown(record.bank_no))
        case _:
            return record


def _shown(value: str) -> str:
    return "" if is_masked(value) else value


def _secrets(record: brm.PayInfo) -> Mapping[str, str]:
    """Field of BRM to value, of those that are shown."""
    if not isinstance(record, _WITH_SECRETS):
        return {}
    return {name: value for name, value in record.details().items() if name in _LETTERS and not is_masked(value)}


def _letters(secrets: Iterable[str]) -> str:
    return "".join(_LETTERS[name] for name in secrets)


def _digest(key: bytes, profile_id: str, record: brm.PayInfo, secrets: Mapping[str, str]) -> str:
    return hmac.digest(key, orjson.dumps([profile_id, record.part, secrets]), "sha256").hex()

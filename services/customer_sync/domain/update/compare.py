"""What of a part is different in BRM (customer-sync 9.3). Card and bank numbers are compared as far as they can be seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from libs.brm import calls as brm
from libs.brm.flist import Array, Flist
from libs.brm.text import SENSITIVE
from libs.errors import Reason, Violation
from services.customer_sync.domain.marks import PartKind
from services.customer_sync.domain.model import Account
from services.customer_sync.domain.secret_marks import without_masked
from services.customer_sync.domain.update.model import Known, ProfilePart

CONTACT_FIELDS: Final = (
    "SALUTATION", "FIRST_NAME", "LAST_NAME", "TITLE", "COMPANY", "ADDRESS", "CITY", "STATE", "ZIP", "COUNTRY", "EMAIL_ADDR",
)  # fmt: skip
"""What of a contact block the CRM is the master of, phones aside."""
RECORD_FIELDS: Final = ("NAME", "ADDRESS", "CITY", "STATE", "ZIP", "COUNTRY", "EMAIL_ADDR")
"""Texts of a payment record that the CRM may empty."""
UNSEEN: Final = "SECURITY_ID"
"""Never stored, so there is nothing to compare."""
_HIDDEN: Final = frozenset("Xx*#")


def changes_frequency(part: ProfilePart, unit: Flist, known: Known) -> bool:
    """Whether the bill frequency has to be sent: BRM shows another one, or an earlier change waits for the next bill."""
    shown = str(unit.get("BILL_WHEN"))
    sent = known.sent.get((PartKind.FREQUENCY, part.profile.profile_id), shown)
    return not part.is_scheduled and not shown == sent == str(part.months)


def immutable(account: Account, business_type: int | None, currency: int | None, stored: Flist) -> Iterator[Violation]:
    """FIELD_IMMUTABLE: BRM does not change an account's currency; type and currency stay what they were (9.3)."""
    for field, wanted, have in (
        ("type", business_type, stored.get("BUSINESS_TYPE")),
        ("currency", currency, stored.get("CURRENCY")),
    ):
        if wanted is not None and have is not None and wanted != have:
            path = f"{account.path}.{field}"
            message = f"the {field} of account {account.account_id} cannot change once it is in billing"
            metadata = {"entity": "account", "crm_id": account.account_id, "field": path, "value": str(wanted)}
            yield Violation(Reason.FIELD_IMMUTABLE, message, path, metadata)


def contact_of(account: Flist) -> Flist:
    """The primary contact block of an account: the first slot."""
    blocks = account.get("NAMEINFO") or {}
    return blocks.get(1) or {}


def contact_change(stored: Flist, wanted: brm.NameInfo) -> brm.NameInfo | None:
    """The contact block to send, with the fields to empty; ``None`` when BRM has it like that."""
    fields = wanted.flist()
    phones = phones_of(fields)
    phones_differ = Counter(phones) != Counter(phones_of(stored))
    if not phones_differ and all(_text(stored, name) == _text(fields, name) for name in CONTACT_FIELDS):
        return None
    # BRM merges the elements it is given, wherever others have put theirs: a phone that is gone is emptied where it stands.
    held = [at for at, phone in (stored.get("PHONES") or {}).items() if phone and phone.get("PHONE")] if phones_differ else []
    gone = tuple(at for at in held if at >= len(wanted.phones))
    return replace(wanted, emptied_phones=gone, emptied=emptied(stored, fields, CONTACT_FIELDS))


def phones_of(contact: Flist) -> list[tuple[str, int]]:
    """Numbers and types, blank ones left out."""
    found = [phone or {} for phone in (contact.get("PHONES") or {}).values()]
    return [(phone["PHONE"], int(phone.get("TYPE") or 0)) for phone in found if phone.get("PHONE")]


def emptied(stored: Flist, wanted: Flist, names: Iterable[str]) -> tuple[str, ...]:
    """Fields that hold something in BRM and nothing in the CRM."""
    return tuple(name for name in names if _text(stored, name) and not _text(wanted, name))


def record_change(stored: Flist, part: ProfilePart) -> brm.PayInfo | None:
    """The payment record to send, whole; ``None`` when BRM has it like that. For a record of the same method.

    Numbers that came masked from the CRM are neither compared nor sent. Others that are not the ones sent last go out whatever
    BRM's masked values show.
    """
    record = without_masked(part.record)
    wanted = record.inherited()[record.part][0]
    known = _own_part(stored, record.part)
    alike = (_alike(name, known.get(name), value) for name, value in wanted.items() if name != UNSEEN)
    # A name that the CRM does not give is not emptied, so it cannot differ.
    same = record.name in ("", _text(stored, "NAME")) and all(alike)
    gone = emptied(known, wanted, RECORD_FIELDS)
    if same and not gone and not part.resend:
        return None
    return replace(record, poid=stored["POID"], emptied=gone)


def _own_part(stored: Flist, name: str) -> Flist:
    """The part of a payment record that only its kind has; some sites show it below INHERITED_INFO."""
    groups: Mapping[Any, Any] = stored.get(name) or (stored.get("INHERITED_INFO") or {}).get(name) or Array()
    return next((each for each in groups.values() if each), {})


def _alike(name: str, stored: Any, wanted: Any) -> bool:
    return seen_alike(stored, wanted) if name in SENSITIVE else _plain(stored) == _plain(wanted)


def seen_alike(stored: Any, wanted: Any) -> bool:
    """Equal as far as the stored number shows: of ``XXXXXXXXXXXX1111`` the length and the last digits."""
    have, want = ("" if value is None else str(value) for value in (stored, wanted))
    if not set(have) & _HIDDEN or have == want:
        return have == want
    if not any(sign.isalnum() and sign not in _HIDDEN for sign in have):
        return True  # hidden altogether
    return len(have) == len(want) and all(shown in _HIDDEN or shown == sign for shown, sign in zip(have, want, strict=True))


def _plain(value: Any) -> str:
    return "" if value is None else str(int(value) if isinstance(value, int) else value)


def _text(flist: Flist, name: str) -> str:
    return str(flist.get(name) or "")

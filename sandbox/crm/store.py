"""The CRM's customers: accounts, each with its contacts, addresses and parent, and billing profiles.

Records are JSON objects in the order model's shape (``o2c.order.v1`` AccountRef, BillingProfileRef; enum names may be short).
An account may also have ``contacts`` and ``addresses``, those that are not primary; the suite is told of the primary ones only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from libs.errors import O2CError, Reason
from libs.grpckit.enum_names import expand_enums
from libs.grpckit.wire import json_to_message
from libs.pb.crm.v1 import crm_pb2
from libs.pb.order.v1 import order_pb2

Record = dict[str, Any]

OWN_PARTS: Final[dict[str, tuple[type[order_pb2.Contact] | type[order_pb2.Address], str]]] = {
    "contacts": (order_pb2.Contact, "contact_id"),
    "addresses": (order_pb2.Address, "address_id"),
}
"""What an account has here and not in the order model: message and key of the elements."""


def _system_time() -> datetime:
    return datetime.now(UTC)


class CrmStore:
    """Accounts and billing profiles by id. With a file, every change is on disk when the method returns."""

    def __init__(self, path: Path | None = None, now: Callable[[], datetime] = _system_time) -> None:
        self._path = path
        self._now = now
        self._changed = datetime.fromtimestamp(0, UTC)
        self.accounts: dict[str, Record] = {}
        self.billing_profiles: dict[str, Record] = {}
        self._modified: dict[str, str] = {}
        if path is not None and path.exists():
            stored = json.loads(path.read_text(encoding="utf-8"))
            self.accounts, self.billing_profiles = stored["accounts"], stored["billing_profiles"]
            self._modified = stored["modified"]

    def load(self, document: Mapping[str, Any]) -> None:
        """Add or replace the ``accounts`` and ``billing_profiles`` of a document; an order is one. All of it, or O2CError."""
        accounts = [_account_record(record) for record in _records(document, "accounts")]
        profiles = [_profile_record(record) for record in _records(document, "billing_profiles")]
        for record in accounts:
            self.accounts[record["account_id"]] = record
            self._touch(record["account_id"])
        for record in profiles:
            self.billing_profiles[record["billing_profile_id"]] = record
            self._touch(record["account_id"])
        self._save()

    def edit_account(self, account_id: str, changes: Mapping[str, Any]) -> Record:
        """Merge ``changes`` into an account (JSON merge patch, RFC 7396: ``null`` removes), making it if it is not there.

        Raises O2CError: JSON_MALFORMED or ENUM_UNKNOWN; then nothing has changed.
        """
        record = _account_record(_merged(self.accounts.get(account_id, {}), {**changes, "account_id": account_id}))
        self.accounts[account_id] = record
        self._touch(account_id)
        self._save()
        return record

    def edit_billing_profile(self, profile_id: str, changes: Mapping[str, Any]) -> Record:
        """The same for a billing profile."""
        known = self.billing_profiles.get(profile_id, {})
        record = _profile_record(_merged(known, {**changes, "billing_profile_id": profile_id}))
        self.billing_profiles[profile_id] = record
        self._touch(record["account_id"])
        self._save()
        return record

    def remove_account(self, account_id: str) -> bool:
        """Whether there was one. Its billing profiles go with it."""
        known = self.accounts.pop(account_id, None)
        mine = [key for key, record in self.billing_profiles.items() if record["account_id"] == account_id]
        for profile_id in mine:
            del self.billing_profiles[profile_id]
        self._save()
        return known is not None

    def remove_billing_profile(self, profile_id: str) -> bool:
        """Whether there was one."""
        known = self.billing_profiles.pop(profile_id, None)
        if known is not None:
            self._touch(known["account_id"])
            self._save()
        return known is not None

    def reset(self) -> None:
        """Forget all customers."""
        self.accounts, self.billing_profiles, self._modified = {}, {}, {}
        self._save()

    def above(self, account_id: str) -> list[str]:
        """The accounts above one, nearest first; ends at the root, at an account that is not here, and in a cycle."""
        found = [account_id]
        while (parent := self.accounts.get(found[-1], {}).get("parent_account_id", "")) and parent not in found:
            found.append(parent)
        return found[1:]

    def below(self, account_id: str) -> list[str]:
        """The accounts right below one."""
        return [key for key, record in self.accounts.items() if record.get("parent_account_id") == account_id]

    def message(self, account_id: str, *, with_billing_profiles: bool) -> crm_pb2.CrmAccount:
        """An account as the contract has it."""
        record = {key: value for key, value in self.accounts[account_id].items() if key not in OWN_PARTS}
        answer = crm_pb2.CrmAccount(account=json_to_message(record, order_pb2.AccountRef))
        answer.modified_at.FromJsonString(self._modified[account_id])
        if with_billing_profiles:
            mine = (record for record in self.billing_profiles.values() if record["account_id"] == account_id)
            answer.billing_profiles.extend(json_to_message(record, order_pb2.BillingProfileRef) for record in mine)
        return answer

    def _touch(self, account_id: str) -> None:
        """Every change is later than the one before, however fast they follow each other."""
        self._changed = max(self._now(), self._changed + timedelta(microseconds=1))
        self._modified[account_id] = self._changed.isoformat().replace("+00:00", "Z")

    def _save(self) -> None:
        if self._path is None:
            return
        stored = {"accounts": self.accounts, "billing_profiles": self.billing_profiles, "modified": self._modified}
        partial = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        partial.write_text(json.dumps(stored), encoding="utf-8")
        partial.replace(self._path)


def _records(document: Mapping[str, Any], name: str) -> Iterable[Record]:
    found = document.get(name, [])
    if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
        raise O2CError.of(Reason.JSON_MALFORMED, f"{name} is a list of objects", field=name)
    return found


def _account_record(given: Mapping[str, Any]) -> Record:
    """The record with enum names written out, if it fits the contract."""
    record: Record = expand_enums(dict(given), order_pb2.AccountRef.DESCRIPTOR, "account")
    for name, (kind, key) in OWN_PARTS.items():
        for part in _records(record, name):
            json_to_message(expand_enums(part, kind.DESCRIPTOR, name), kind)
            _required(part, key)
        record[name] = [expand_enums(part, kind.DESCRIPTOR, name) for part in record.get(name, [])]
    json_to_message({key: value for key, value in record.items() if key not in OWN_PARTS}, order_pb2.AccountRef)
    _required(record, "account_id")
    return record


def _profile_record(given: Mapping[str, Any]) -> Record:
    record: Record = expand_enums(dict(given), order_pb2.BillingProfileRef.DESCRIPTOR, "billing_profile")
    json_to_message(record, order_pb2.BillingProfileRef)
    _required(record, "billing_profile_id")
    _required(record, "account_id")
    return record


def _required(record: Mapping[str, Any], name: str) -> None:
    if not record.get(name):
        raise O2CError.of(Reason.JSON_MALFORMED, f"{name} is missing", field=name)


def _merged(known: Any, changes: Mapping[str, Any]) -> Record:
    """``known`` after a JSON merge patch."""
    result: Record = deepcopy(known) if isinstance(known, dict) else {}
    for name, value in changes.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            result[name] = _merged(result.get(name), value)
        else:
            result[name] = deepcopy(value)
    return result

"""The CRM's customers: accounts, each with its contacts, addresses and parent, and billing profiles.

Records are JSON objects in the order model's shape (``o2c.order.v1`` AccountRef, BillingProfileRef; enum names may be short).
An account may also have ``contacts`` and ``addresses``, those that are not primary; the suite is told of the primary ones only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from libs.errors import O2CError, Reason, Violation
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
Fitted = order_pb2.AccountRef | order_pb2.BillingProfileRef | order_pb2.Contact | order_pb2.Address
LOADED: Final = ("accounts", "billing_profiles")
ORDER_FIELDS: Final = frozenset(name for field in order_pb2.Order.DESCRIPTOR.fields for name in (field.name, field.json_name))


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
        """Add or replace the ``accounts`` and ``billing_profiles`` of a document; an order is one.

        All of it, or O2CError with what is wrong in every record: FIELD_MISSING, JSON_MALFORMED, ENUM_UNKNOWN.
        """
        wrong = list(_not_of_an_order(document))
        accounts = _checked(document, "accounts", _account_record, wrong)
        profiles = _checked(document, "billing_profiles", _profile_record, wrong)
        O2CError.raise_all(wrong)
        for record in accounts:
            self.accounts[record["account_id"]] = record
            self._touch(record["account_id"])
        for record in profiles:
            self.billing_profiles[record["billing_profile_id"]] = record
            self._touch(record["account_id"])
        self._save()

    def edit_account(self, account_id: str, changes: Mapping[str, Any]) -> Record:
        """Merge ``changes`` into an account (JSON merge patch, RFC 7396: ``null`` removes).

        Raises O2CError: CRM_ACCOUNT_NOT_FOUND, FIELD_IMMUTABLE for another id, FIELD_MISSING, JSON_MALFORMED or ENUM_UNKNOWN;
        then nothing has changed.
        """
        if account_id not in self.accounts:
            message = f"the CRM has no account {account_id}"
            raise O2CError.of(Reason.CRM_ACCOUNT_NOT_FOUND, message, field="account_id", kind="account", id=account_id)
        _keeps(changes, "account_id", account_id)
        record = _account_record(_merged(self.accounts[account_id], changes), "")
        self.accounts[account_id] = record
        self._touch(account_id)
        self._save()
        return record

    def edit_billing_profile(self, profile_id: str, changes: Mapping[str, Any]) -> Record:
        """The same for a billing profile, BILLING_PROFILE_NOT_FOUND."""
        if profile_id not in self.billing_profiles:
            message, name = f"the CRM has no billing profile {profile_id}", "billing_profile_id"
            raise O2CError.of(Reason.BILLING_PROFILE_NOT_FOUND, message, field=name, kind="billing_profile", id=profile_id)
        _keeps(changes, "billing_profile_id", profile_id)
        record = _profile_record(_merged(self.billing_profiles[profile_id], changes), "")
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


def _not_of_an_order(document: Mapping[str, Any]) -> Iterator[Violation]:
    """What no order has, such as a name misspelt; and whether there is anything to load."""
    if not any(name in document for name in LOADED):
        yield Violation(Reason.FIELD_MISSING, f"neither {' nor '.join(LOADED)} is there", LOADED[0], {"field": LOADED[0]})
    for name in document:
        if name not in ORDER_FIELDS:
            message = f"there is no field {name}; what is loaded is {' and '.join(LOADED)}, and an order may be around them"
            yield Violation(Reason.JSON_MALFORMED, message, name, {"field": name})


def _checked(
    document: Mapping[str, Any], name: str, read: Callable[[Record, str], Record], wrong: list[Violation]
) -> list[Record]:
    """The records of a list that fit; what is wrong with the others goes to ``wrong``."""
    found = []
    try:
        for at, given in enumerate(_records(document, name, "")):
            try:
                found.append(read(given, f"{name}[{at}]."))
            except O2CError as error:
                wrong += error.violations
    except O2CError as error:
        wrong += error.violations
    return found


def _records(document: Mapping[str, Any], name: str, path: str) -> list[Record]:
    found = document.get(name, [])
    if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
        raise _wrong(Reason.JSON_MALFORMED, f"{name} is a list of objects", path + name)
    return found


def _account_record(given: Mapping[str, Any], path: str) -> Record:
    """The record with enum names written out, if it fits the contract; ``path`` is before its fields in errors."""
    own = {name: value for name, value in given.items() if name not in OWN_PARTS}
    record = _fitting(own, order_pb2.AccountRef, path)
    _required(record, "account_id", path)
    for name, (kind, key) in OWN_PARTS.items():
        record[name] = []
        for at, part in enumerate(_records(given, name, path)):
            record[name].append(_fitting(part, kind, f"{path}{name}[{at}]."))
            _required(part, key, f"{path}{name}[{at}].")
    return record


def _profile_record(given: Mapping[str, Any], path: str) -> Record:
    record = _fitting(given, order_pb2.BillingProfileRef, path)
    _required(record, "billing_profile_id", path)
    _required(record, "account_id", path)
    return record


def _fitting(given: Mapping[str, Any], kind: type[Fitted], path: str) -> Record:
    """The record with enum names written out. Raises O2CError when it does not fit the message."""
    try:
        record: Record = expand_enums(dict(given), kind.DESCRIPTOR, "")
        json_to_message(record, kind)
    except O2CError as error:
        raise O2CError(*(_below(each, path) for each in error.violations)) from error
    return record


def _below(violation: Violation, path: str) -> Violation:
    field = (path + violation.field.lstrip(".")).removesuffix(".")
    return replace(violation, field=field, metadata={**violation.metadata, "field": field})


def _required(record: Mapping[str, Any], name: str, path: str) -> None:
    if not record.get(name):
        raise _wrong(Reason.FIELD_MISSING, f"{name} is missing", path + name)


def _keeps(changes: Mapping[str, Any], name: str, value: str) -> None:
    if changes.get(name, value) != value:
        raise _wrong(Reason.FIELD_IMMUTABLE, f"{name} stays {value}: it names the record", name)


def _wrong(reason: Reason, message: str, field: str) -> O2CError:
    return O2CError.of(reason, message, field=field)


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

"""What the conformance check asks: sound requests that read, unsound ones, and a customer to throw away."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.calls.searches import search
from libs.brm.codec import encode_request
from libs.brm.dialect import Dialect
from libs.brm.poid import Poid
from libs.brm.specs import FieldType, field_spec

ABSENT_ID: Final = 1
"""An id below those that BRM assigns."""
ODD_CHARACTERS: Final = 'Zoë <&> "\'" 漢字 \U0001f600'
"""Text that escaping, encodings and databases like to spoil (M13)."""
_FLAGS_AND_TEMPLATE: Final = re.compile(
    rb"((?:<b:|&lt;)FLAGS(?:>|&gt;)0(?:</b:|&lt;/)FLAGS(?:>|&gt;))((?:<b:|&lt;)TEMPLATE.*?/(?:b:)?TEMPLATE(?:>|&gt;))"
)
_LATER: Final = datetime(2999, 1, 1, tzinfo=UTC)
_OWNERS: Final = {
    "PARENT": "/account",
    "PARENT_BILLINFO_OBJ": "/billinfo",
    "AR_BILLINFO_OBJ": "/billinfo",
    "BAL_GRP_OBJ": "/balance_group",
}
"""Classes of POID fields that are not named after them."""


def searches_without_match(db: str) -> Iterator[tuple[str, BrmCall]]:
    """Each search the connector makes, for something that is not there."""
    for name, found_by in calls.SEARCHES.items():
        yield name, search(found_by, [_absent(field, db) for field in found_by.fields], db=db)
    yield "account_by_number, odd characters", calls.find_account_by_number(ODD_CHARACTERS, db=db)


def _absent(field: str, db: str) -> Any:
    """A value of a field that no object has."""
    known = field_spec(field)
    match known.type if known else None:
        case FieldType.POID:
            return Poid(db, _OWNERS.get(field) or f"/{field.removesuffix('_OBJ').lower()}", ABSENT_ID)
        case FieldType.TSTAMP:
            return _LATER
        case FieldType.INT | FieldType.ENUM:
            return 2
    return f"CONFORMANCE-{uuid.uuid4()}"


def definitions(db: str) -> tuple[BrmCall, ...]:
    """Reads that need no customer."""
    return (
        calls.collections_config_get_actions(db=db),
        calls.collections_config_get_scenarios(db=db),
        calls.collections_config_get_profiles(db=db),
    )


def reads_of(account: Poid, unit: Poid, group: Poid) -> tuple[BrmCall, ...]:
    """Reads of a customer who has no service, no bill and owes nothing."""
    return (
        calls.read_obj(account),
        calls.read_flds(account, ("ACCOUNT_NO", "STATUS")),
        calls.ar_get_acct_bal_summary(account),
        calls.ar_get_bal_summary(unit),
        calls.ar_get_acct_bills(account),
        calls.ar_get_bills(unit),
        calls.ar_get_acct_items(account),
        calls.ar_get_items(unit),
        calls.ar_get_bill_items(unit),
        calls.ar_get_acct_action_items(account),
        calls.ar_get_action_items(unit),
        calls.ar_get_disputes(unit),
        calls.bal_get_balances(account, balance_group=group),
        calls.bal_get_bal_grp_and_svc(unit),
        calls.bal_get_acct_bal_grp_and_svc(account),
        calls.bill_group_get_parent(account),
        calls.bill_group_get_children(account),
        calls.get_purchased_offerings(account),
        calls.collections_get_active_scenarios(db=account.db),
    )


def unsound(db: str, dialect: Dialect) -> dict[str, bytes]:
    """Requests that must be refused, by rule; all of them go to the service of READ_OBJ."""
    good = encode_request(calls.read_obj(Poid(db, "/account", ABSENT_ID)), dialect)
    find = encode_request(calls.act_find("/service/telco/gsm", "NOBODY", db=db), dialect)
    return {
        "unknown-opcode": good.replace(b"PCM_OP_READ_OBJ_inputFlist", b"PCM_OP_NO_SUCH_THING_inputFlist"),
        "malformed-xml": good[: len(good) // 2],
        "no-dtd": b'<!DOCTYPE x [<!ENTITY e "expanded">]>' + good.split(b"?>", 1)[-1].replace(b"/account", b"/&e;"),
        "other-database": encode_request(calls.read_obj(Poid("9.9.9.9", "/account", ABSENT_ID)), dialect),
        "no-poid": good.replace(f"{db} /account {ABSENT_ID} 0".encode(), b"nonsense"),
        "no-such-class": encode_request(calls.read_obj(Poid(db, "/no_such_class", ABSENT_ID)), dialect),
        "wrong-service": find,
    }


def out_of_order(body: bytes) -> bytes:
    """A search whose ``FLAGS`` stands behind its ``TEMPLATE``, as elements or as text."""
    return _FLAGS_AND_TEMPLATE.sub(rb"\2\1", body)


def throw_away_customer(number: str, db: str, profile: str = "profile", first_name: str = "Conformance") -> BrmCall:
    """A customer with one bill unit, paid by invoice."""
    person = calls.NameInfo(
        first_name=first_name,
        last_name="Check",
        address="1 Test Street",
        city="Testville",
        state="CA",
        zip="94065",
        country="USA",
    )
    unit = calls.BillUnit(billinfo_id=f"{number}-{profile}", payinfo=calls.InvoicePayInfo(holder="Check, Conformance"))
    account = calls.AccountInfo(account_no=number)
    return calls.commit_customer(account=account, names=(person,), bill_units=(unit,), db=db)

"""Laws of updates: what was brought about is not brought about again, and masked values are compared as far as they show."""

from __future__ import annotations

from typing import Any

from customers import account, profile
from google.protobuf.json_format import ParseDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.brm import calls as brm
from libs.brm.flist import Array
from libs.grpckit.enum_names import expand_enums
from libs.pb.crm.v1.crm_pb2 import CrmAccount
from sandbox.masking import masked
from services.customer_sync.domain.update.compare import contact_change, phones_of, record_change, seen_alike
from services.customer_sync.domain.update.model import ProfilePart
from services.customer_sync.mappers import to_domain_customer

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXTS = st.sampled_from(["", "", "Ann", "Reed", "1 Main St", "Springfield", "X", "CA", "90001"])
NUMBERS = st.text("0123456789", min_size=5, max_size=19)

contacts = st.builds(
    brm.NameInfo,
    last_name=TEXTS,
    first_name=TEXTS,
    salutation=TEXTS,
    company=TEXTS,
    city=TEXTS,
    email=TEXTS,
    phones=st.lists(st.builds(brm.Phone, number=st.sampled_from(["111", "222", "333"])), max_size=3).map(tuple),
)


def applied(stored: dict[str, Any], change: brm.NameInfo) -> dict[str, Any]:
    """A contact block after BRM took a change: fields given replace, elements of arrays by their id."""
    fields = change.flist()
    phones = Array({**(stored.get("PHONES") or {}), **(fields.get("PHONES") or {})})
    return {**stored, **fields, "PHONES": phones}


@QUICK
@given(contacts, contacts)
def test_a_contact_block_that_was_sent_is_not_sent_again(before: brm.NameInfo, wanted: brm.NameInfo) -> None:
    stored = before.flist()
    change = contact_change(stored, wanted)
    if change is not None:
        stored = applied(stored, change)
    assert contact_change(stored, wanted) is None
    assert sorted(phones_of(stored)) == sorted(phones_of(wanted.flist()))


@QUICK
@given(NUMBERS, NUMBERS)
def test_a_masked_number_is_another_one_only_if_what_shows_of_it_is(stored: str, wanted: str) -> None:
    alike = len(stored) == len(wanted) and stored[-4:] == wanted[-4:]
    assert seen_alike(masked(stored), wanted) == alike
    assert seen_alike(stored, wanted) == (stored == wanted)
    assert seen_alike("****", wanted)


@QUICK
@given(NUMBERS, TEXTS, TEXTS, st.sampled_from(["0130", "1231"]))
def test_a_payment_record_that_was_sent_is_not_sent_again(number: str, holder: str, city: str, expiry: str) -> None:
    record = brm.CardPayInfo(name="BP", holder=holder, city=city, number=number, expiry=expiry, security_code="737")
    own = next(iter(record.inherited()["CC_INFO"].values()))
    kept = {name: masked(value) if name == "DEBIT_NUM" else value for name, value in own.items() if name != "SECURITY_ID"}
    stored = {"POID": "0.0.0.1 /payinfo/cc 7 0", "NAME": "BP", "CC_INFO": Array.of(kept)}
    part = ProfilePart(to_domain_customer(customer()).profiles[0], "CREDITCARD", 10003, record, 1, None)
    assert record_change(stored, part) is None


def customer() -> CrmAccount:
    """Ann with one billing profile, as the CRM tells of her."""
    document = {"account": account("ANN"), "billing_profiles": [profile("BP", "ANN")]}
    return ParseDict(expand_enums(document, CrmAccount.DESCRIPTOR, "crm"), CrmAccount())

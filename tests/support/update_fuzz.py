"""Edits as nobody would make them: a family of accounts, damaged in the CRM, against whatever billing may have of it.

An edit is built from a random source alone, so that a number is enough to make it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from random import Random
from typing import Any, Final

import update_billing
from customers import POLICY, account, profile
from google.protobuf.json_format import ParseDict
from google.protobuf.timestamp_pb2 import Timestamp
from order_fuzz import TEXTS, damage, messages

from libs.dvm import ValueMaps
from libs.errors import O2CError
from libs.grpckit.enum_names import expand_enums
from libs.pb.crm.v1.crm_pb2 import CrmAccount
from libs.pb.order.v1 import order_pb2
from services.customer_sync.aggregator import family_of
from services.customer_sync.domain import calls
from services.customer_sync.domain.marks import PartKey, PartKind
from services.customer_sync.domain.model import CrmCustomer, Facts, PayerKey, Policy
from services.customer_sync.domain.secret_marks import SecretMarker
from services.customer_sync.domain.update.model import Change, ChangeKind, CustomerUpdate, Known, State, Survey
from services.customer_sync.domain.update.survey import survey_update
from services.customer_sync.mappers import to_domain_customer

ME: Final = "ANN"
"""The account that is edited."""
PEOPLE: Final = (ME, "PA", "GRAN", "TOP", "KID", "BOY", "AUNT")
SOURCE: Final = "SEBL_01"
ODD_PARENTS: Final = ("", ME, "KID", "AUNT", "GONE", " ", "ü" * 300)
METHODS: Final = (
    "Bill Me",
    "BILL_ME",
    "Credit Card",
    "Automatic Debit",
    "Cash",
    "Check",
    "Wire Transfer",
    "Purchase Order",
    "",
)
USUAL: Final = ("Bill Me",) * 3 + ("Credit Card", "Automatic Debit")
FREQUENCIES: Final = ("Monthly", "Monthly", "Quarterly", "Annually", "Never", "")
STATUSES: Final = ("Active", "Active", "Inactive", "Closed", "Terminated", "Odd", "")
CARDS: Final = ("4111111111111111", "4222222222221111", "5500000000000004", "4111", "", "411111111111111x", "****", "XXXX1111")
BANKS: Final = ("000123456789", "999123456789", "12", "", "0001 2345", "X", "XXXXXXXX6789")
PHONES: Final = ("4085550199", "4085550199", "408-555-0101", "+1 (408) 555.0101", "555", "abc", "", "٣٤٥", "1" * 40)
EVERYTHING_OFF: Final = {"corporate_account_type": "", "warn_if_active_assets": False, "billing_care_enabled": False}


@dataclass(frozen=True, slots=True)
class Edit:
    """What an update meets."""

    update: CustomerUpdate
    family: Mapping[str, CrmCustomer]
    known: Known
    state: State
    policy: Policy


def edit_of(random: Random) -> Edit:
    """An edited account with its relatives as the CRM has them, and what is known of it in one instance."""
    policy = random.choice(policies())
    before = dict(_accounts(random))
    edited = {name: _copy(customer) for name, customer in before.items()}
    for _ in range(random.choice((0, 0, 1, 1, 2, 3, 6))):
        _edit(random, edited[random.choice((ME, ME, ME, *edited))])
    if random.random() < 0.2:
        edited[ME].account.status = random.choice(STATUSES)
    for name, customer in edited.items():
        customer.account.account_id = name
    then, now = (_family(found, random) for found in (before, edited))
    update = CustomerUpdate(SOURCE, ME, tuple(_changes(random)))
    links = _links(random, {**then, **now}, policy)
    seen = _seen(update, then, links, policy)
    state = update_billing.state_of(random, seen, links, policy, list({**then, **now}))
    links = replace(links, parents=_remembered(random, state.parent_id, then))
    sent = dict(_sent(random, seen))
    return Edit(update, now, Known(links.accounts[ME], links, sent), state, policy)


def _family(found: Mapping[str, CrmAccount], random: Random) -> dict[str, CrmCustomer]:
    """The account, everybody above it and right below it, in any order, as the CRM may tell of them."""
    customers = {name: to_domain_customer(customer) for name, customer in found.items()}
    family = list(family_of(ME, customers).items())
    random.shuffle(family)
    return dict(family)


@cache
def policies() -> tuple[Policy, ...]:
    """Two instances, every switch on and off, and value maps of sites that code otherwise or leave cells empty."""
    return tuple(_policies())


def _policies() -> Iterator[Policy]:
    maps = (POLICY.value_maps, *_odd_maps())
    for number in range(96):
        yield Policy(
            system_id=("BRM_01", "BRM_02")[number % 2],
            db=("0.0.0.1", "0.0.0.2")[number % 2],
            value_maps=maps[0 if number % 4 else number // 4 % len(maps)],
            corporate_account_type=("BUSINESS", "RESIDENTIAL", "business", "")[number // 2 % 4],
            billing_care_enabled=number % 3 != 0,
            service_level_balance_groups=number % 5 > 1,
            legal_groups=number % 7 == 1,
            thirty_one_day_billing=number % 5 == 0,
            phone_masks=((), ("###-###-####",), ("(999) 999-9999", "###-###-####"))[number % 3],
            account_status_sync=number % 7 > 2,
            warn_if_active_assets=number % 5 != 3,
            strict_inactivation=number % 4 == 1,
            marker=SecretMarker.of([b"k" * 32]) if number % 5 else SecretMarker(),
        )
    yield replace(POLICY, **EVERYTHING_OFF)


def _odd_maps() -> Iterator[ValueMaps]:
    """The maps of a site: other codes in BRM_02, cells that are empty, frequencies that BRM does not take."""
    for name, word, code in (
        ("CUSTOMERPARTY_TYPECODE", "BUSINESS", "1"),
        ("CURRENCY_CODE", "USD", ""),
        ("CURRENCY_CODE", "USD", "99999999999"),
        ("CUSTOMERPARTY_PAYPROFILE_PAYMETHODECODE", "INVOICE", ""),
        ("CUSTOMERPARTY_PAYPROFILE_PAYMETHODECODE", "INVOICE", "10018"),
        ("CUSTOMERPARTY_PAYPROFILE_PAYMETHODECODE", "CREDITCARD", "10099"),
        ("CUSTOMERPARTY_PAYPROFILE_PAYMETHODECODE", "SUBORDINATE", ""),
        ("CUSTOMERPARTY_BILLPROFILE_FREQUENCYCODE", "MONTHLY", "36"),
        ("CUSTOMERPARTY_BILLPROFILE_FREQUENCYCODE", "QUARTERLY", "0"),
        ("CUSTOMERPARTY_BILLPROFILE_FREQUENCYCODE", "QUARTERLY", ""),
        ("CUSTOMERPARTY_BILLPROFILE_FREQUENCYCODE", "QUARTERLY", "three"),
        ("CUSTOMERPARTY_STATUSCODE", "INACTIVE", ""),
        ("CUSTOMERPARTY_STATUSCODE", "INACTIVE", "10199"),
        ("CUSTOMERPARTY_STATUSCODE", "INACTIVE", "off"),
        ("CUSTOMERPARTY_PAYPROFILE_DELIVERYPREF", "POSTAL", "17"),
        ("CUSTOMERPARTY_PAYPROFILE_BANKACCOUNTTYPE", "CHECKING", ""),
        ("PHONENUMBER_TYPE", "WORK", ""),
    ):
        one = POLICY.value_maps.get(name)
        assert one is not None
        common = one.columns.index("COMMON")
        rows = tuple(
            tuple(
                code if column.startswith("BRM_") and row[common] == word else cell
                for column, cell in zip(one.columns, row, strict=True)
            )
            for row in one.rows
        )
        yield POLICY.value_maps.replaced_by(ValueMaps([replace(one, rows=rows)]))


@cache
def _plain(name: str, business: bool) -> CrmAccount:
    """An account with four billing profiles."""
    kind = {"type": "BUSINESS"} if business else {}
    phones = [{"type": "WORK", "number": "4085550101"}, {"type": "HOME", "number": "4085550102"}]
    made = account(name, status="Active", **kind)
    made["primary_contact"] |= {"phones": phones, "email": f"{name}@x.org"}
    profiles = [profile(f"BP-{name}-{at}", name) for at in range(4)]
    document = {"account": made, "billing_profiles": profiles}
    return ParseDict(expand_enums(document, CrmAccount.DESCRIPTOR, "crm"), CrmAccount())


def _copy(customer: CrmAccount) -> CrmAccount:
    made = CrmAccount()
    made.CopyFrom(customer)
    return made


def _accounts(random: Random) -> Iterator[tuple[str, CrmAccount]]:
    """Those of a family, as they were brought to billing: well-formed, but for a tree that may go round or end nowhere."""
    business = random.random() < 0.5
    chain = {ME: "PA", "PA": "GRAN", "GRAN": "TOP", "KID": ME, "BOY": ME}
    deep = {f"UP{at}": f"UP{at + 1}" for at in range(random.choice((47, 48, 49, 60)))} if random.random() < 0.01 else {}
    for name in (*PEOPLE, *deep):
        if name != ME and not deep and random.random() < 0.2:
            continue
        made = _copy(_plain(name if name in PEOPLE else "TOP", business or random.random() < 0.05))
        made.account.account_id = name
        made.account.parent_account_id = {**chain, **deep}.get(name, "UP0" if deep else "")
        if not deep and random.random() < 0.3:
            made.account.parent_account_id = random.choice(("", "", *PEOPLE, *ODD_PARENTS))
        setattr(made.account, "class", random.choice(CLASSES))
        del made.billing_profiles[random.choice((1, 1, 2, 3, 4)) if name in PEOPLE else 1 :]
        for one in made.billing_profiles:
            _pay(random, one, random.choice(USUAL))
            one.is_primary = random.random() < 0.6
        if random.random() < 0.5:
            made.modified_at.CopyFrom(Timestamp(seconds=1_800_000_000 + random.randint(0, 100)))
        yield name, made


CLASSES: Final = (
    order_pb2.ACCOUNT_CLASS_CUSTOMER,
    order_pb2.ACCOUNT_CLASS_BILLING,
    order_pb2.ACCOUNT_CLASS_BILLING,
    order_pb2.ACCOUNT_CLASS_SERVICE,
)


def _pay(random: Random, one: order_pb2.BillingProfileRef, method: str) -> None:
    """Have a profile paid by a method, with what the method takes, and perhaps what another one does."""
    one.payment_method = method
    if method == "Credit Card" or random.random() < 0.05:
        one.card.number, one.card.expiry_month, one.card.expiry_year = CARDS[0], 7, 2030
        one.card.holder_name, one.card.security_code = "Ann Card", random.choice(("", "737"))
    if method == "Automatic Debit" or random.random() < 0.05:
        one.debit.account_number, one.debit.routing_number = BANKS[0], "021000021"
        one.debit.account_name, one.debit.account_type = (
            random.choice(("", "Ann Bank")),
            random.choice(("", "Checking", "Savings")),
        )


def _edit(random: Random, customer: CrmAccount) -> None:
    """One edit of what people edit, well or badly, or of anything whatever."""
    person, profiles = customer.account, list(customer.billing_profiles)
    one = random.choice(profiles) if profiles else customer.billing_profiles.add(billing_profile_id="BP-NEW")
    match random.randrange(16):
        case 0:
            person.parent_account_id = random.choice((*PEOPLE, *ODD_PARENTS))
        case 1:
            person.status = random.choice(STATUSES)
        case 2:
            person.primary_contact.last_name = random.choice(("Reed", "", "é", *TEXTS))
        case 3:
            person.primary_address.state, person.primary_address.country = random.choice(
                (("NY", "USA"), ("", "CAN"), ("ZZ", ""))
            )
        case 4:
            _edit_phones(random, person)
        case 5:
            person.currency, person.type = random.choice((("EUR", 1), ("USD", 2), ("XXX", 1), ("", 0), ("USD", 1)))
        case 6 | 7:
            _pay(random, one, random.choice((*METHODS, *USUAL)))
        case 8:
            one.bill_frequency, one.billing_day = random.choice(FREQUENCIES), random.choice((0, 1, 15, 28, 29, 31, 32, -1))
        case 9:
            one.card.number, one.card.expiry_month = random.choice(CARDS), random.choice((7, 8, 0, 13, -1))
            one.card.expiry_year = random.choice((2030, 2031, 30, 0))
        case 10:
            one.debit.account_number, one.debit.account_type = random.choice(BANKS), random.choice(("Savings", "Odd", ""))
        case 11:
            one.name, one.bill_media = random.choice(("Other", "", *TEXTS)), random.choice(("Email", "Paper", "Drum", ""))
        case 12:
            one.is_primary, one.address.city = random.random() < 0.5, random.choice(("", "Boston"))
        case 13:
            customer.billing_profiles.append(one) if random.random() < 0.3 else customer.billing_profiles.remove(one)
        case _:
            damage(random, random.choice(list(messages(customer))))


def _edit_phones(random: Random, person: Any) -> None:
    phones = person.primary_contact.phones
    if phones and random.random() < 0.4:
        del phones[random.randrange(len(phones))]
    if not phones or random.random() < 0.7:
        phones.add(type=random.choice((0, 1, 2, 3, 4, 4)), number=random.choice(PHONES))


def _changes(random: Random) -> Iterator[Change]:
    for _ in range(random.choice((0, 1, 1, 2))):
        yield Change(random.choice(list(ChangeKind)), random.choice(("", "BP-ANN-0", "CON-ANN", "ü" * 300)))


def _links(random: Random, family: Mapping[str, CrmCustomer], policy: Policy) -> Facts:
    """Cross-references: the account's own, and of its relatives and of all profiles those that an order brought."""
    share = random.choice((0.6, 0.9, 1.0))
    numbers = iter(range(10, 10_000))

    def some(names: Any, kind: str, at: float = share) -> dict[str, str]:
        return {
            name: f"{policy.db} {kind} {number} 0" for name, number in zip(names, numbers, strict=False) if random.random() < at
        }

    profiles = {one.profile_id: name for name, each in family.items() for one in each.profiles if one.profile_id}
    own = [profile_id for profile_id, name in profiles.items() if name == ME]
    payers = [PayerKey(ME, name, profile_id).crm_id for profile_id, name in profiles.items() if name != ME]
    accounts = some(family, "/account") | {ME: f"{policy.db} /account 1 0"}
    units = some(profiles, "/billinfo")
    records = some(own, random.choice(("/payinfo/invoice", "/payinfo/cc")))
    found = Facts(
        accounts=accounts,
        bill_units=units,
        payment_records=records,
        nonpaying_units=some(payers, "/billinfo", 0.5),
        account_groups=some(family, "/group/billing", 0.5),
        account_payers={ME: random.choice(PEOPLE)} if random.random() < 0.4 else {},
    )
    tables = {calls.ACCOUNTS: accounts, calls.BILL_UNITS: units, calls.PAYMENT_RECORDS: records}
    common = {(table, name): f"common-{name}" for table, names in tables.items() for name in names if random.random() < 0.9}
    return replace(found, common_ids=common)


def _seen(update: CustomerUpdate, family: Mapping[str, CrmCustomer], links: Facts, policy: Policy) -> Survey | None:
    """What billing was sent of the account before the edit; ``None`` where the instance took nothing of the kind."""
    try:
        return survey_update(update, family, Known(links.accounts[ME], links), replace(policy, account_status_sync=True))
    except O2CError:
        return None


def _sent(random: Random, seen: Survey | None) -> Iterator[tuple[PartKey, str]]:
    """Marks: of all that was sent, of some of it, of another state, or none."""
    share, stale = random.choice((0.0, 0.5, 1.0, 1.0)), random.choice((0.0, 0.0, 0.3))
    for key, mark in (seen.marks if seen is not None else {}).items():
        if random.random() < share:
            yield key, "0" * 32 if random.random() < stale else mark
    if random.random() < 0.5:
        yield (PartKind.SEEN, ME), str(int(datetime(2027, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000)


def _remembered(random: Random, parent_id: str, family: Mapping[str, CrmCustomer]) -> dict[str, str]:
    """Where the account was put: as BRM has it, somewhere else, or nobody wrote it down."""
    where = random.choice((parent_id, parent_id, random.choice(("", *family)), None))
    return {} if where is None else {ME: where}

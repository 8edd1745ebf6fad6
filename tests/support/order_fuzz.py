"""Orders as nobody would send them: well-formed ones, damaged field by field through the contract's own descriptors."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, Final

from customers import account, bundle, order, profile
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from libs.dvm import ValueMaps
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from services.customer_sync.domain import calls
from services.customer_sync.domain.collation import Collation
from services.customer_sync.domain.model import Facts, Policy

PEOPLE: Final = ("A", "B", "C", "D", "E")
METHODS: Final = ("Bill Me",) * 6 + ("Credit Card", "Automatic Debit")
FREQUENCIES: Final = ("Monthly",) * 20 + ("Quarterly",)
ACTIONS: Final = ("ADD", "ADD", "ADD", "UPDATE", "MOVE_ADD", "DELETE", "SUSPEND", "RESUME", "MOVE_DELETE", "NONE")
KINDS: Final = ("SERVICE_BUNDLE", "SUBSCRIPTION", "ITEM", "DISCOUNT", "SPONSORSHIP", "SPECIAL_RATING", "UNSPECIFIED")
PAYMENTS: Final = ("CASH", "CHECK", "WIRE_TRANSFER", "CREDIT_CARD", "AUTO_DEBIT", "Shells")
TEXTS: Final = (
    "", " ", "\t\n", "0", "-1", "A", "B", "BP-A-1", "A|B|BP-A-1", "Monthly", "USD", "USA", "CA", "New",
    "ü" * 300, "\u202eabc", "a\u0301", "👩‍👩‍👧", "\ufffe", "\x00", "\x1b[31m", "]]>", "<a&b>", "'; DROP TABLE x; --",
    "{}", "${x}", "%s%n", "x" * 5_000, "٣٤٥", "ﬀ", "\u2028", "null", "NaN", "4111111111111111",
)  # fmt: skip
INTEGERS: Final = (0, 1, -1, 2, 12, 13, 28, 29, 31, 32, 99, 2_026, 2**31 - 1, -(2**31))
LARGE: Final = (*INTEGERS, 2**63 - 1, -(2**63), 253_402_300_799, 253_402_300_800)
POLICIES: Final = tuple(
    Policy(
        system_id="BRM_01",
        value_maps=ValueMaps.load(),
        billing_care_enabled=number % 2 == 0,
        corporate_account_type=("", "BUSINESS", "RESIDENTIAL")[number % 3],
        service_level_balance_groups=number % 5 > 1,
        sponsorship_contributes=number % 7 == 0,
        thirty_one_day_billing=number % 4 == 0,
        phone_masks=((), ("###-###-####",))[number % 2],
        legal_groups=number % 3 == 1,
        owner_from_customer_account=number % 4 < 3,
        strict_single_owner=number % 4 < 2,
        customer_account_contributes=number % 6 == 1,
        account_level_payer_lock=number % 4 != 3,
        order_time_refresh=number % 5 == 4,
    )
    for number in range(24)
)


def request_of(random: Random) -> pb.SyncOrderCustomersRequest:
    """A request: now and then as it should be, mostly damaged in some places."""
    made = pb.SyncOrderCustomersRequest(target_system_id="BRM_01", order=order(_lines(random), *_parties(random)))
    for number in range(random.choice((0, 0, 0, 0, 1, 2))):
        payment = made.order.payments.add(payment_id=f"PAY-{number}", status=random.choice(("New", "New", "Submitted")))
        payment.billing_profile_id = random.choice(("BP-A-1", "BP-B-1", "BP-Z"))
        payment.method, payment.amount.units = random.choice(PAYMENTS), random.choice((10, 10, 10, 0))
        payment.amount.currency_code = random.choice(("USD", "USD", "USD", "EUR"))
        payment.date.seconds, payment.reference = 1_800_000_000, random.choice(("R-1", "R-1", ""))
    for _ in range(random.choice((0, 0, 1, 1, 2, 5))):
        damage(random, random.choice(list(messages(made.order))))
    return made


def facts_of(random: Random, collation: Collation) -> Facts:
    """A world that already holds some of what the order needs, consistent or not."""
    share = random.choice((0.0, 0.0, 0.3, 0.7, 1.0))

    def some(names: Any, kind: str) -> dict[str, str]:
        return {name: f"0.0.0.1 {kind} {number} 0" for number, name in enumerate(names, 10) if random.random() < share}

    keys = [key.crm_id for key in collation.payers]
    units = some(collation.profiles, "/billinfo")
    legal = [name for name in units if random.random() < 0.5]
    groups = some(collation.accounts, "/group/billing")
    elsewhere = {name: ("BRM_02",) for name in collation.profiles if random.random() < share / 4}
    return Facts(
        accounts=some(collation.accounts, "/account"),
        balance_groups=some(collation.accounts, "/balance_group"),
        bill_units=units,
        payment_records=some(collation.profiles, "/payinfo/invoice"),
        nonpaying_units=some(keys, "/billinfo"),
        account_groups=groups,
        unlinked_groups=frozenset(name for name in groups if random.random() < 0.2),
        common_ids={(calls.ACCOUNTS, name): f"common-{name}" for name in collation.accounts if random.random() < share},
        units_elsewhere=elsewhere,
        parents={name: random.choice(PEOPLE) for name in collation.accounts if random.random() < share / 2},
        legal_groups=some(PEOPLE, "/group/collections_targets"),
        legal_owners={name: random.choice(("", *PEOPLE)) for name in legal},
        legal_accounts={name: collation.profiles[name] for name in legal},
        legal_parents={name: f"BP-{name}-1" for name in PEOPLE if random.random() < share / 2},
        legal_only_here=frozenset(name for name in PEOPLE if random.random() < share / 2),
        account_payers={name: random.choice(PEOPLE) for name in collation.accounts if random.random() < share / 2},
        frequencies={name: frozenset({1}) for name in collation.accounts if random.random() < share},
    )


def _lines(random: Random) -> list[dict[str, Any]]:
    made = []
    for number in range(random.choice((0, 1, 1, 2, 3, 5, 8))):
        payer = random.choice(PEOPLE)
        line = bundle(number, random.choice(PEOPLE), payer, f"BP-{payer}-{random.randint(1, 2)}")
        line |= {"action": random.choice(ACTIONS), "billing_type": random.choice(KINDS)}
        if random.random() < 0.2:
            line |= {"product_type": "PROMOTION"}
        if random.random() < 0.3:
            prior = {"billing_account_id": random.choice(PEOPLE), "billing_profile_id": f"BP-{random.choice(PEOPLE)}-1"}
            line["prior"] = prior | ({"service_account_id": random.choice(PEOPLE)} if random.random() < 0.3 else {})
        if random.random() < 0.2:
            line["owner_account"] = {"account_id": random.choice(PEOPLE)}
        made.append(line)
    return made


def _parties(random: Random) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Accounts and profiles; some business, some below others, some paid by card or bank."""
    accounts = [
        account(
            name,
            type=random.choice(("RESIDENTIAL",) * 9 + ("BUSINESS",)),
            parent_account_id=random.choice(("", "", *PEOPLE)),
        )
        for name in PEOPLE
        if random.random() < 0.99
    ]
    profiles = [
        profile(
            f"BP-{name}-{number}",
            name,
            bill_frequency=random.choice(FREQUENCIES),
            is_primary=number == 1,
            **_paid(random),
        )
        for name in PEOPLE
        for number in (1, 2)
        if random.random() < 0.99
    ]
    return accounts, profiles


def _paid(random: Random) -> dict[str, Any]:
    method = random.choice(METHODS)
    card = {"number": "4111111111111111", "expiry_month": 7, "expiry_year": 2030, "holder_name": "A"}
    debit = {"account_number": "000123456789", "routing_number": "021000021"}
    details = {"Credit Card": {"card": card}, "Automatic Debit": {"debit": debit}}
    return {"payment_method": method, **details.get(method, {})}


def messages(message: Message) -> Iterator[Message]:
    """The message and all inside it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for item in value if field.is_repeated else [value]:
            yield from messages(item)


def damage(random: Random, message: Any) -> None:
    """Change one field into something else that the wire can carry."""
    field: FieldDescriptor = random.choice(message.DESCRIPTOR.fields)
    if field.is_repeated:
        values = getattr(message, field.name)
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            message.ClearField(field.name)
        elif random.random() < 0.4 or not values:
            values.add()
        elif random.random() < 0.5:
            values.append(random.choice(list(values)))
        else:
            del values[random.randrange(len(values))]
    elif field.message_type is not None:
        if random.random() < 0.5:
            message.ClearField(field.name)
        else:
            getattr(message, field.name).SetInParent()
    elif field.type == FieldDescriptor.TYPE_STRING:
        setattr(message, field.name, random.choice(TEXTS))
    elif field.type == FieldDescriptor.TYPE_BOOL:
        setattr(message, field.name, random.random() < 0.5)
    elif field.type == FieldDescriptor.TYPE_ENUM:
        setattr(message, field.name, random.choice((0, 1, 2, 3, 7, 99, -1)))
    elif field.type in (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_SINT64):
        setattr(message, field.name, random.choice(LARGE))
    elif field.type == FieldDescriptor.TYPE_INT32:
        setattr(message, field.name, random.choice(INTEGERS))

"""What a billing instance has of an account when an update looks, and what it has once a plan was carried out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

from customers import profile
from google.protobuf.json_format import ParseDict

from libs.brm.codes import PayType
from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from libs.pb.order.v1.order_pb2 import BillingProfileRef
from libs.plan.model import Step
from sandbox.masking import masked
from services.customer_sync.domain import calls
from services.customer_sync.domain.model import Facts, Policy, Profile
from services.customer_sync.domain.update.model import Asset, Known, ProfilePart, ServedGroup, State, Survey, UpdatePlan
from services.customer_sync.mappers.party import to_domain_profile

STRANGER: Final = "0.0.0.1 /account 999 0"
ASSETS: Final = (Asset("0.0.0.1 /service/x 1 0"), Asset("0.0.0.1 /service/x 2 0", "AST-2"))
NOTHING: Final = State()
PARTS: Final = ("INV_INFO", "CC_INFO", "DD_INFO")
OTHER_PHONES: Final = Array({1: None, 4: {"PHONE": "5559999", "TYPE": 2}, 7: {"PHONE": "", "TYPE": 1}, 9: {"PHONE": "5550102"}})


def state_of(random: Random, sent: Survey | None, links: Facts, policy: Policy, family: Sequence[str]) -> State:
    """What an instance has that was sent something, and in which others may have changed it since."""
    units, records = dict[str, Flist](), dict[str, Flist]()
    for number, part in enumerate(sent.profiles if sent is not None else (), 1):
        record = _record(random, part, links, number, policy.db)
        if random.random() < 0.97:
            records[str(record["POID"])] = record
        if random.random() < 0.97:
            units[part.profile.profile_id] = _paying(random, part, links, record["POID"])
    for number, (key, poid) in enumerate(links.nonpaying_units.items(), 500):
        if random.random() < 0.7:
            units[key] = _nonpaying(key, poid, number, policy.db)
    for number, key in enumerate(("ANN|GONE|BP-GONE", "ANN|PA|BP-PA-0"), 700):
        if random.random() < 0.2:
            units.setdefault(key, _nonpaying(key, f"{policy.db} /billinfo {number} 0", number, policy.db))
    parent_id = random.choice(("", "", STRANGER, *links.accounts))
    groups = dict(links.account_groups)
    groups |= {name: f"{policy.db} /group/billing {80 + at} 0" for at, name in enumerate(family) if random.random() < 0.2}
    groups |= {parent_id: groups.get(parent_id, f"{policy.db} /group/billing 79 0")} if parent_id else {}
    return State(
        account=_account(random, sent),
        units=units,
        records=records,
        parent_id=parent_id,
        groups=groups,
        unlinked_groups=frozenset(groups.keys() & links.accounts.keys() - links.account_groups.keys()),
        balance_groups=dict(_served_units(random, units)),
        assets=tuple(random.sample(ASSETS, random.randint(0, 2))),
        related=tuple(_related(random)),
    )


def _account(random: Random, sent: Survey | None) -> Flist:
    if sent is None or sent.name is None:
        return random.choice(({}, {"STATUS": 10100}))
    block = sent.name.flist()
    for _ in range(random.choice((0, 0, 1, 3))):
        name = random.choice(("SALUTATION", "TITLE", "CITY", "EMAIL_ADDR", "LAST_NAME", "PHONES", "COMPANY"))
        if random.random() < 0.4:
            block.pop(name, None)
        else:
            block[name] = OTHER_PHONES if name == "PHONES" else "Other"
    blocks = random.choice((Array(), Array({1: None}), *(Array({1: block, 2: {"LAST_NAME": "Second"}}),) * 30))
    coded = {"BUSINESS_TYPE": sent.business_type, "CURRENCY": sent.currency}
    status = random.choice((sent.status, sent.status, 10100, 10102))
    return {"NAMEINFO": blocks, "STATUS": status, **{name: value for name, value in coded.items() if value is not None}}


def _record(random: Random, part: ProfilePart, links: Facts, at: int, db: str) -> Flist:
    """The payment record of a profile: masked or not, where the cross-reference points or elsewhere."""
    own = dict(part.record.inherited()[part.record.part][0])
    own.pop("SECURITY_ID", None)
    if "DEBIT_NUM" in own:
        own["DEBIT_NUM"] = random.choice((own["DEBIT_NUM"], *(masked(own["DEBIT_NUM"]),) * 4, "XXXX", "", None))
    if random.random() < 0.2:
        own[random.choice(list(own))] = random.choice(("", "Other", None))
    linked = links.payment_records.get(part.profile.profile_id)
    poid = linked if linked is not None and random.random() < 0.8 else f"{db} {part.record.type} {40 + at} 0"
    name = part.record.part if random.random() < 0.95 else random.choice(PARTS)
    groups = {name: random.choice((Array.of(own),) * 10 + (Array(), Array({0: None})))}
    inherited = groups if random.random() < 0.5 else {"INHERITED_INFO": groups}
    return {"POID": Poid.parse(poid), "NAME": part.profile.name, "PAY_TYPE": part.pay_type, **inherited}


def _paying(random: Random, part: ProfilePart, links: Facts, record: Poid) -> Flist:
    """The bill unit of a profile."""
    unit: Flist = {
        "POID": Poid.parse(links.bill_units[part.profile.profile_id]),
        "BILLINFO_ID": part.profile.profile_id,
        "BILL_WHEN": random.choice((part.months,) * 4 + (3,)),
        "ACTG_CYCLE_DOM": random.choice((part.bill_day, 1)) or 1,
        "ACTG_FUTURE_DOM": random.choice((0, 0, 0, 15, part.bill_day or 0)),
        "PAY_TYPE": random.choice((part.pay_type,) * 6 + (10001, 10011, 10007)),
        "PAYINFO_OBJ": record,
    }
    if random.random() < 0.05:
        del unit[random.choice(("PAYINFO_OBJ", "BILL_WHEN", "PAY_TYPE", "ACTG_CYCLE_DOM"))]
    return unit


def _nonpaying(key: str, poid: str, number: int, db: str) -> Flist:
    """A bill unit that somebody else pays."""
    group = Poid.parse(f"{db} /balance_group {number} 0")
    return {"POID": Poid.parse(poid), "BILLINFO_ID": key, "PAY_TYPE": 10007, "BILL_WHEN": 1, "BAL_GRP_OBJ": group}


def _served_units(random: Random, units: Mapping[str, Flist]) -> Iterator[tuple[str, tuple[ServedGroup, ...]]]:
    """Nonpaying units with services: in the unit's default balance group, in others, or both."""
    for key, unit in units.items():
        default = unit.get("BAL_GRP_OBJ")
        if unit.get("PAY_TYPE") != PayType.NONPAYING or default is None or random.random() < 0.3:
            continue
        number = default.id * 10
        own = (ServedGroup(str(default), (f"0.0.0.1 /service/x {number} 0",), is_default=True),)
        services = tuple(f"0.0.0.1 /service/y {number + at} 0" for at in range(random.randint(1, 3)))
        others = (ServedGroup(f"0.0.0.1 /balance_group {number} 0", services, is_default=False),)
        yield key, random.choice((own, others, own + others))


def _related(random: Random) -> Iterator[Profile]:
    """Profiles of those who pay for the account or are paid by it."""
    for at in range(random.choice((0, 0, 1, 2))):
        made = profile(f"BP-REL-{at}", "REL", bill_frequency=random.choice(("Monthly", "Monthly", "Quarterly", "Never", "")))
        yield to_domain_profile(ParseDict(made, BillingProfileRef()), f"crm.billing_profiles[BP-REL-{at}]")


def after(plan: UpdatePlan, known: Known, state: State) -> tuple[Known, State]:
    """What is known, without what this service writes down itself, and what billing has, once every step was carried out."""
    links, stage = known.links, _Stage(state)
    tables = {
        calls.PAYMENT_RECORDS: dict(links.payment_records),
        calls.NONPAYING_UNITS: dict(links.nonpaying_units),
        calls.ACCOUNT_GROUPS: dict(links.account_groups),
    }
    for relink in plan.relinks:
        tables[relink.table][relink.crm_id] = relink.brm_id
    for step in plan.plan.steps:
        stage.take(step)
        for output in step.yields:
            if output.link is not None:
                tables[output.link.table][output.link.crm_id] = str(stage.made[output.path])
    links = replace(
        links,
        payment_records=tables[calls.PAYMENT_RECORDS],
        nonpaying_units=tables[calls.NONPAYING_UNITS],
        account_groups=tables[calls.ACCOUNT_GROUPS],
    )
    return replace(known, links=links), stage.state


@dataclass(slots=True)
class _Stage:
    """An instance that carries out calls: as much of BRM as updates use."""

    state: State
    made: dict[str, Poid] = None  # type: ignore[assignment]
    """What the latest call answers, by path."""
    last: int = 10_000

    def take(self, step: Step) -> None:
        """Carry out one call."""
        self.made = {}
        for output in step.yields:
            self.last += 1
            self.made[output.path] = Poid("0.0.0.1", "/made", self.last)
        kind, _, name = step.key.partition(":")
        given, state = step.call.input, self.state
        match kind:
            case "update":
                self._update(given)
            case "accountgroup":
                parent_id = name if given.get("MEMBERS") else state.parent_id
                self.state = replace(state, parent_id=parent_id, groups={**state.groups, name: str(self.made["POID"])})
            case "accountgroup-members" | "accountgroup-moved":
                assert state.groups.get(name) is not None
                self.state = replace(state, parent_id=name)
            case "accountgroup-left":
                assert state.parent_id == name
                self.state = replace(state, parent_id="")
            case "nonpaying":
                fields = {"PAY_TYPE": 10007, "POID": self.made["POID"], "BAL_GRP_OBJ": self.made["BAL_INFO[0].POID"]}
                self.state = replace(state, units={**state.units, name: fields})
            case "payer":
                left = {key: tuple(each for each in found if each.group != name) for key, found in state.balance_groups.items()}
                self.state = replace(state, balance_groups=left)
            case "status":
                self.state = replace(state, account={**state.account, "STATUS": given["STATUSES"][0]["STATUS"]})
            case _:
                raise AssertionError(step.key)

    def _update(self, given: Flist) -> None:
        account, records, units = dict(self.state.account), dict(self.state.records), dict(self.state.units)
        for slot, block in (given.get("NAMEINFO") or {}).items():
            stored = (account.get("NAMEINFO") or {}).get(slot) or {}
            phones = {**(stored.get("PHONES") or {}), **(block.get("PHONES") or {})}
            blocks = {**(account.get("NAMEINFO") or {}), slot: {**stored, **block, "PHONES": Array(phones)}}
            account["NAMEINFO"] = Array(blocks)
        poids = {}
        for at, record in (given.get("PAYINFO") or {}).items():
            poids[at] = self.made.get(f"PAYINFO[{at}].POID", record["POID"])
            records[str(poids[at])] = {**_merged(records.get(str(poids[at]), {}), record), "POID": poids[at]}
        for wanted in (given.get("BILLINFO") or {}).values():
            key, unit = next((key, unit) for key, unit in units.items() if unit["POID"] == wanted["POID"])
            changed = {name: wanted[name] for name in ("BILL_WHEN", "PAY_TYPE") if name in wanted}
            if "ACTG_FUTURE_DOM" in wanted:
                changed["ACTG_FUTURE_DOM"] = wanted["ACTG_FUTURE_DOM"]
            if "PAYINFO" in wanted:
                changed["PAYINFO_OBJ"] = poids[next(iter(wanted["PAYINFO"]))]
            units[key] = {**unit, **changed}
        self.state = replace(self.state, account=account, records=records, units=units)


def _merged(stored: Flist, given: Flist) -> Flist:
    """A payment record with what a call gives of it; numbers are kept masked."""
    ((name, elements),) = given["INHERITED_INFO"].items()
    known: Any = stored.get(name) or (stored.get("INHERITED_INFO") or {}).get(name) or Array()
    own = {**next((each for each in known.values() if each), {}), **elements[0]}
    own.pop("SECURITY_ID", None)
    if own.get("DEBIT_NUM"):
        own["DEBIT_NUM"] = masked(own["DEBIT_NUM"])
    kept = {field: value for field, value in given.items() if field != "INHERITED_INFO"}
    return {**stored, **kept, name: Array.of(own)}

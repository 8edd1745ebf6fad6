"""The BRM calls of customer sync, drawn up from CRM objects (customer-sync 12).

References (``account(1-ABC)``, ``billinfo(BP-1)``) stand for objects that do not exist yet; objects of earlier orders stand as
POIDs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

from libs.brm import calls as brm
from libs.brm.call import BrmCall
from libs.brm.codes import PayType
from libs.plan.late import Late, LateCall
from libs.plan.model import Ref, XrefLink, Yield
from services.customer_sync.domain import attributes
from services.customer_sync.domain.attributes import PAYMENT_METHODS, Translator
from services.customer_sync.domain.groups import GroupAction, GroupChange
from services.customer_sync.domain.marks import NOT_KNOWN, PartKey, PartKind, account_mark, profile_mark
from services.customer_sync.domain.model import Account, Contact, Facts, PayerKey, Profile
from services.customer_sync.domain.places import ADDRESSES, CONTACTS, FAXES, MAILS, PHONES, places_of
from services.customer_sync.domain.rules import BILL_ME, method_of, pay_type_of

PROGRAM_NAME: Final = "o2c customer sync"
"""What BRM's audit trail calls this service."""
LEGAL_PREFIX: Final = "LEGAL-"
"""Before the COMMON id of its owner in the name of a legal group (customer-sync 7.1). No group is looked up by its name: BRM
finds it by its parent, and groups of earlier versions have other names."""
STAND_IN: Final = "DEFAULT-"
"""Before the account's id in the id of a bill unit that no billing profile of the CRM stands behind (Q7)."""
SUBORDINATE: Final = "SUBORDINATE"
"""Payment method of a bill unit that another one pays."""

ACCOUNTS: Final = "CUSTOMERPARTY_ACCOUNTID"
BILL_UNITS: Final = "CUSTOMERPARTY_BILLPROFILEID"
PAYMENT_RECORDS: Final = "CUSTOMERPARTY_PAYPROFILEID"
BALANCE_GROUPS: Final = "CUSTOMERPARTY_DEFAULTBALANCEGROUPID"
NONPAYING_UNITS: Final = "NONPAYING_BILLINFO"
ACCOUNT_GROUPS: Final = "ACCOUNTGROUP_ID"
ASSETS: Final = "INSTALLEDPRODUCT_ID"
PAYMENTS: Final = "PAYMENT_ID"
LEGAL_GROUPS: Final = "LEGALGROUP_ID"


def account_ref(account_id: str) -> str:
    return f"account({account_id})"


def unit_ref(profile_id: str) -> str:
    return f"billinfo({profile_id})"


def bill_day_ref(profile_id: str) -> str:
    """The day of month that BRM chooses for a bill unit of which the CRM has none (3.7)."""
    return f"billday({profile_id})"


def payment_ref(profile_id: str) -> str:
    return f"payinfo({profile_id})"


def balance_group_ref(account_id: str) -> str:
    return f"balgrp({account_id})"


def nonpaying_ref(key: PayerKey) -> str:
    return f"nonpaying({key.crm_id})"


def payment_event_ref(payment_id: str) -> str:
    return f"payment({payment_id})"


def legal_group_ref(owner_id: str) -> str:
    return f"legalgroup({owner_id})"


def payer_of_unit(billinfo_id: str) -> str:
    """Who pays for a bill unit by its id in BRM; empty for one that pays for itself."""
    key = PayerKey.of(billinfo_id)
    return key.billing_account_id if key is not None else ""


def group_ref(account_id: str) -> str:
    return f"accountgroup({account_id})"


_COMMON_KINDS: Final = {
    ACCOUNTS: "account",
    BILL_UNITS: "billing_profile",
    PAYMENT_RECORDS: "payment_record",
    BALANCE_GROUPS: "balance_group",
    NONPAYING_UNITS: "nonpaying",
    ACCOUNT_GROUPS: "account_group",
    CONTACTS: "contact",
    ADDRESSES: "address",
    PHONES: "phone",
    FAXES: "fax",
    MAILS: "mail",
    PAYMENTS: "payment",
    LEGAL_GROUPS: "legal_group",
}


def common_ref(table: str, crm_id: str) -> str:
    """Name of the COMMON id of an object: ``common(account:1-ABC)``."""
    return f"common({_COMMON_KINDS[table]}:{crm_id})"


@dataclass(frozen=True, slots=True)
class PayingUnit:
    """A bill unit that pays for itself. ``standing_in``: made for an account that has no profile on the order (Q7)."""

    profile: Profile
    standing_in: bool = False


@dataclass(frozen=True, slots=True)
class NonpayingUnit:
    """A bill unit that another one pays. ``payer`` is ``None`` when the order gives no details of the paying profile."""

    key: PayerKey
    payer: Profile | None


@dataclass(frozen=True, slots=True)
class Caller:
    """Draws up calls for one instance."""

    translate: Translator
    facts: Facts
    order_date: datetime | None
    """Effective date of what is created (customer-sync 12)."""
    program: str = PROGRAM_NAME
    """Who calls and for what, as BRM's audit trail has it."""
    sent: dict[PartKey, Late[str]] = field(default_factory=dict)
    """Marks of what the calls drawn up so far send."""

    def create_account(
        self, account: Account, paying: Sequence[PayingUnit], nonpaying: Sequence[NonpayingUnit]
    ) -> tuple[BrmCall, tuple[Yield, ...]]:
        """One call: account, bill units, payment records, and a balance group per unit, all or nothing."""
        coded = self.translate.fill(attributes.ACCOUNT, account, account.path, "account", account.account_id)
        currency = coded.get("currency")
        units = [self._paying(unit.profile, account, currency) for unit in paying]
        units += [self._nonpaying(unit, currency) for unit in nonpaying]
        name = attributes.name_info(account, self.translate)
        self.sent[PartKind.ACCOUNT, account.account_id] = Late(partial(account_mark, coded, name))
        number = Ref(common_ref(ACCOUNTS, account.account_id))
        info = brm.AccountInfo(account_no=number, **coded)
        draw = partial(
            brm.commit_customer,
            account=info,
            names=[name],
            bill_units=units,
            program_name=self.program,
            at=self.order_date,
            db=self.translate.policy.db,
        )
        payers = (unit.parent.name for unit in units if isinstance(unit.parent, Ref))
        call = LateCall.of("PCM_OP_CUST_COMMIT_CUSTOMER", draw, (number.name, *payers))
        return call, _account_yields(account, name, paying, nonpaying)

    def refresh(self, account: Account, name: brm.NameInfo) -> tuple[BrmCall, tuple[Yield, ...]]:
        """One call: company, primary contact and primary address of an account that exists. The next edit compares it."""
        self.sent[PartKind.ACCOUNT, account.account_id] = Late.known(NOT_KNOWN)
        call = brm.update_customer(
            self.facts.accounts[account.account_id],
            names={1: name},
            program_name=self.program,
            at=self.order_date,
            db=self.translate.policy.db,
        )
        return call, (updated_account(account, name),)

    def add_paying_unit(self, account: Account, unit: PayingUnit) -> tuple[BrmCall, tuple[Yield, ...]]:
        """One call: bill unit, its payment record and balance group, on an account that exists."""
        profile_id = unit.profile.profile_id
        yields = (
            Yield(unit_ref(profile_id), "POID", XrefLink(BILL_UNITS, profile_id)),
            Yield(payment_ref(profile_id), "PAYINFO[0].POID", XrefLink(PAYMENT_RECORDS, profile_id)),
            *_chosen_day(unit.profile, "ACTG_CYCLE_DOM"),
        )
        return self._add_unit(account, self._paying(unit.profile, account, self._currency(account))), yields

    def add_nonpaying_unit(self, account: Account, unit: NonpayingUnit) -> tuple[BrmCall, tuple[Yield, ...]]:
        """One call: a unit paid by another, on an account that exists or is created first."""
        yields = (Yield(nonpaying_ref(unit.key), "POID", XrefLink(NONPAYING_UNITS, unit.key.crm_id)),)
        return self._add_unit(account, self._nonpaying(unit, self._currency(account))), yields

    def change_group(self, change: GroupChange) -> tuple[BrmCall, tuple[Yield, ...]]:
        """One call: make the group of a parent account, or let members join it, move to it, leave it.

        A group that BRM has without cross-reference gets one by its first change.
        """
        owner_id, known = change.parent_id, self.facts.account_groups.get(change.parent_id)
        accounts = [self.account(member) for member in change.member_ids]
        group, members = known or Ref(group_ref(owner_id)), [brm.GroupMember(account=account) for account in accounts]
        match change.action:
            case GroupAction.CREATE:
                owner, name, db = self.account(owner_id), f"ACCOUNT-{owner_id}", self.translate.policy.db
                call = brm.bill_group_create(owner, accounts, name=name, program_name=self.program, db=db)
            case GroupAction.JOIN:
                call = brm.bill_group_add_member(group, members, program_name=self.program)
            case GroupAction.MOVE:
                call = brm.bill_group_move_member(group, members, program_name=self.program)
            case GroupAction.LEAVE:
                call = brm.bill_group_delete_member(group, members, program_name=self.program)
        link = Yield(group_ref(owner_id), "POID", XrefLink(ACCOUNT_GROUPS, owner_id))
        is_new = change.action is GroupAction.CREATE or (known is not None and owner_id in self.facts.unlinked_groups)
        return call, (link,) if is_new else ()

    def legal_group_name(self, owner_id: str) -> str | Ref:
        """What the group of a legal owner is called, who may be made by the same plan."""
        known = self.facts.common_ids.get((ACCOUNTS, owner_id))
        return f"{LEGAL_PREFIX}{known}" if known else Ref(common_ref(ACCOUNTS, owner_id), LEGAL_PREFIX)

    def account(self, account_id: str) -> str | Ref:
        """An account, wherever it comes from: its POID, or the name it goes by until it exists."""
        return self.facts.accounts.get(account_id) or Ref(account_ref(account_id))

    def unit(self, profile_id: str) -> str | Ref:
        """The bill unit of a profile, likewise."""
        return self.facts.bill_units.get(profile_id) or Ref(unit_ref(profile_id))

    def _currency(self, account: Account) -> int | None:
        filled = self.translate.fill(attributes.CURRENCY, account, account.path, "account", account.account_id)
        return filled.get("currency")

    def _add_unit(self, account: Account, unit: brm.BillUnit) -> BrmCall:
        return brm.create_billinfo(
            self.account(account.account_id),
            unit,
            program_name=self.program,
            at=self.order_date,
            db=self.translate.policy.db,
        )

    def _schedule(self, profile: Profile) -> dict[str, Any]:
        """Frequency and bill day."""
        attributes.check_frequency(profile, self.translate)
        return self.translate.fill(attributes.BILL_UNIT, profile, profile.path, "billing_profile", profile.profile_id)

    def _paying(self, profile: Profile, account: Account, currency: int | None) -> brm.BillUnit:
        name = method_of(profile, self.translate.source_system, self.translate.policy) or BILL_ME
        country = account.address.country if account.address else ""
        record = attributes.payment_record(profile, PAYMENT_METHODS[name], country, self.translate)
        schedule = self._schedule(profile)
        mark = Late(partial(profile_mark, record, schedule, self.translate.policy.db))
        self.sent[PartKind.PROFILE, profile.profile_id] = mark
        if secret := self.translate.policy.marker.mark(profile.profile_id, record):
            self.sent[PartKind.SECRET, profile.profile_id] = Late.known(secret)
        return brm.BillUnit(
            billinfo_id=profile.profile_id, currency=currency, payinfo=record, pay_type=self._pay_type(name), **schedule
        )

    def _nonpaying(self, unit: NonpayingUnit, currency: int | None) -> brm.BillUnit:
        """Frequency and day are the payer's: a paying hierarchy shares them. Those of a payer that is in billing may be others
        than the CRM has, until its next bill; BRM gives the unit the ones that count."""
        payer_id = unit.key.billing_profile_id
        schedule = self._schedule(unit.payer) if unit.payer and payer_id not in self.facts.bill_units else {}
        return brm.BillUnit(
            billinfo_id=unit.key.crm_id,
            currency=currency,
            parent=self.unit(payer_id),
            pay_type=self._pay_type(SUBORDINATE),
            **schedule,
        )

    def _pay_type(self, method: str) -> PayType | None:
        """The method's code in this instance; ``None`` (with a finding) when the value map has none."""
        return pay_type_of(method, self.translate.policy, self.translate.findings.violations)


def updated_account(account: Account, name: brm.NameInfo) -> Yield:
    """An account whose contact block a call replaces: what has a place in it."""
    return Yield(account_ref(account.account_id), "POID", optional=True, inside=places_of(account, name))


def _account_yields(
    account: Account, name: brm.NameInfo, paying: Sequence[PayingUnit], nonpaying: Sequence[NonpayingUnit]
) -> tuple[Yield, ...]:
    account_id = account.account_id
    inside = places_of(account, name)
    yields = [
        Yield(account_ref(account_id), "ACCTINFO[0].POID", XrefLink(ACCOUNTS, account_id), inside=inside),
        Yield(balance_group_ref(account_id), "BAL_INFO[0].POID", XrefLink(BALANCE_GROUPS, account_id)),
    ]
    for index, unit in enumerate(paying):
        profile_id = unit.profile.profile_id
        unit_link = None if unit.standing_in else XrefLink(BILL_UNITS, profile_id)
        record_link = None if unit.standing_in else XrefLink(PAYMENT_RECORDS, profile_id)
        yields.append(Yield(unit_ref(profile_id), f"BILLINFO[{index}].POID", unit_link))
        yields.append(Yield(payment_ref(profile_id), f"PAYINFO[{index}].POID", record_link))
        yields += () if unit.standing_in else _chosen_day(unit.profile, f"BILLINFO[{index}].ACTG_CYCLE_DOM")
    for index, other in enumerate(nonpaying, len(paying)):
        link = XrefLink(NONPAYING_UNITS, other.key.crm_id)
        yields.append(Yield(nonpaying_ref(other.key), f"BILLINFO[{index}].POID", link))
    return tuple(yields)


def _chosen_day(profile: Profile, path: str) -> tuple[Yield, ...]:
    """What BRM chose where the CRM leaves the bill day to it. Some instances do not say."""
    return () if profile.billing_day else (Yield(bill_day_ref(profile.profile_id), path, optional=True),)


def default_profile(account: Account, frequency: str) -> Profile:
    """A Bill Me profile for an account that has none: its primary contact and address, the given frequency (Q6, Q7)."""
    return Profile(
        profile_id=f"{STAND_IN}{account.account_id}",
        path=account.path,
        name=account.name,
        account_id=account.account_id,
        payment_method="Bill Me",
        bill_frequency=frequency,
        contact=account.contact or Contact(),
        address=account.address,
        is_primary=True,
    )

"""Accounts, contacts, bill units and payment methods as frozen values. Units: money in the account's currency, times aware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar

from libs.brm.calls.values import PoidLike, Text, given, given_poid, merged, new, poid
from libs.brm.codes import (
    AccountingType,
    BankAccountType,
    BusinessType,
    Delivery,
    PayType,
    PhoneType,
)
from libs.brm.flist import Array, Flist
from libs.brm.poid import DEFAULT_DB


@dataclass(frozen=True, slots=True)
class Phone:
    """One phone number of a contact."""

    number: str
    type: PhoneType = PhoneType.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class NameInfo:
    """A contact with its address (``NAMEINFO[n]``). Last name, address, city and country are required by default [MC]."""

    last_name: str = ""
    first_name: str = ""
    middle_name: str = ""
    salutation: str = ""
    title: str = ""
    company: str = ""
    address: str = ""
    city: str = ""
    state: str = ""
    zip: str = ""
    country: str = ""
    email: str = ""
    contact_type: str = ""
    phones: tuple[Phone, ...] = ()
    emptied: tuple[str, ...] = ()
    """For a change: fields to empty, by BRM's names, such as ``SALUTATION``."""
    emptied_phones: tuple[int, ...] = ()
    """For a change: elements of ``PHONES`` to empty, beyond those of ``phones``."""

    def flist(self) -> Flist:
        """``NAMEINFO`` element."""
        fields = given(
            SALUTATION=self.salutation,
            FIRST_NAME=self.first_name,
            MIDDLE_NAME=self.middle_name,
            LAST_NAME=self.last_name,
            TITLE=self.title,
            COMPANY=self.company,
            ADDRESS=self.address,
            CITY=self.city,
            STATE=self.state,
            ZIP=self.zip,
            COUNTRY=self.country,
            EMAIL_ADDR=self.email,
            CONTACT_TYPE=self.contact_type,
        )
        fields |= dict.fromkeys(self.emptied, "")
        phones: dict[int | str, Flist] = {
            at: {"PHONE": phone.number, "TYPE": phone.type} for at, phone in enumerate(self.phones)
        }
        phones |= {at: {"PHONE": "", "TYPE": PhoneType.UNKNOWN} for at in self.emptied_phones}
        if phones:
            fields["PHONES"] = Array(phones)
        return fields


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountInfo:
    """The account itself (``ACCTINFO[0]``)."""

    account_no: Text
    """Natural key: the COMMON id, or a symbol for it."""
    business_type: BusinessType = BusinessType.CONSUMER
    currency: int = 840
    """ISO 4217 number."""
    currency_secondary: int | None = None
    locale: str = ""
    """``en_US``; the server's default when empty."""

    def flist(self, db: str) -> Flist:
        """``ACCTINFO`` element."""
        return {"POID": new("/account", db)} | given(
            ACCOUNT_NO=self.account_no,
            BUSINESS_TYPE=self.business_type,
            CURRENCY=self.currency,
            CURRENCY_SECONDARY=self.currency_secondary,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PayInfo:
    """What every payment method has: a holder and an address."""

    name: str = ""
    """Name of the record in BRM; shown to agents."""
    holder: str = ""
    address: str = ""
    city: str = ""
    state: str = ""
    zip: str = ""
    country: str = ""
    email: str = ""
    payment_term: int | None = None
    emptied: tuple[str, ...] = ()
    """For a change: fields of the method's own part to empty, by BRM's names, such as ``EMAIL_ADDR``."""
    poid: PoidLike | None = None
    """The existing record to change; ``None`` creates one."""

    type: ClassVar[str] = "/payinfo"
    pay_type: ClassVar[PayType] = PayType.UNDEFINED
    part: ClassVar[str] = ""

    def details(self) -> Flist:
        """The fields of the method's own part, besides holder and address."""
        return {}

    def inherited(self) -> Flist:
        """``INHERITED_INFO``: the part that only this kind of payment record has."""
        base = given(
            NAME=self.holder,
            ADDRESS=self.address,
            CITY=self.city,
            STATE=self.state,
            ZIP=self.zip,
            COUNTRY=self.country,
            EMAIL_ADDR=self.email,
        )
        return {self.part: Array.of(base | dict.fromkeys(self.emptied, "") | self.details())}

    def flist(self, db: str) -> Flist:
        """``PAYINFO`` element."""
        return {
            "POID": poid(self.poid) if self.poid is not None else new(self.type, db),
            **given(NAME=self.name, PAY_TYPE=self.pay_type, PAYMENT_TERM=self.payment_term),
            "INHERITED_INFO": self.inherited(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoicePayInfo(PayInfo):
    """Bill me: an invoice is sent."""

    delivery: Delivery = Delivery.POSTAL
    delivery_descr: str = ""
    """Where to, when that is neither the address nor the e-mail address."""

    type: ClassVar[str] = "/payinfo/invoice"
    pay_type: ClassVar[PayType] = PayType.INVOICE
    part: ClassVar[str] = "INV_INFO"

    def details(self) -> Flist:
        return given(DELIVERY_PREFER=self.delivery, DELIVERY_DESCR=self.delivery_descr)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPayInfo(PayInfo):
    """Credit card. Number, expiry and code are sensitive: never log or store this value."""

    number: str = field(default="", repr=False)
    expiry: str = field(default="", repr=False)
    """``MMYY``."""
    security_code: str = field(default="", repr=False)

    type: ClassVar[str] = "/payinfo/cc"
    pay_type: ClassVar[PayType] = PayType.CREDIT_CARD
    part: ClassVar[str] = "CC_INFO"

    def details(self) -> Flist:
        return given(DEBIT_NUM=self.number, DEBIT_EXP=self.expiry, SECURITY_ID=self.security_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class DebitPayInfo(PayInfo):
    """Direct debit from a bank account. The numbers are sensitive: never log or store this value."""

    number: str = field(default="", repr=False)
    bank_no: str = field(default="", repr=False)
    account_type: BankAccountType = BankAccountType.CHECKING

    type: ClassVar[str] = "/payinfo/dd"
    pay_type: ClassVar[PayType] = PayType.DIRECT_DEBIT
    part: ClassVar[str] = "DD_INFO"

    def details(self) -> Flist:
        return given(DEBIT_NUM=self.number, BANK_NO=self.bank_no, TYPE=self.account_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceGroup:
    """A balance group (``BAL_INFO[k]``)."""

    name: str = ""
    """Natural key within the account."""
    billinfo: PoidLike | None = None
    """Bill unit it belongs to, unless the call itself links them."""
    credit_limits: Mapping[int, Decimal] = field(default_factory=dict)
    """Resource id (currency: ISO 4217 number) to limit."""
    poid: PoidLike | None = None
    """The existing group; ``None`` creates one."""

    def flist(self, db: str) -> Flist:
        """``BAL_INFO`` element."""
        limits = Array({resource: {"CREDIT_LIMIT": limit} for resource, limit in self.credit_limits.items()})
        return {
            "POID": poid(self.poid) if self.poid is not None else new("/balance_group", db),
            **given(NAME=self.name),
            **given_poid(BILLINFO_OBJ=self.billinfo),
            **({"LIMIT": limits} if limits else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BillUnit:
    """A bill unit (``BILLINFO[n]``). For a change set ``poid`` and only what changes; ``None`` and empty are left alone."""

    billinfo_id: Text = ""
    """Natural key within the account."""
    pay_type: PayType | None = None
    """``None`` takes the pay type of ``payinfo`` when that is given."""
    currency: int | None = None
    bill_when: int | None = None
    """Months per bill: 1, 2, 3 or 12."""
    accounting: AccountingType | None = None
    bill_day: int | None = None
    """Day of month, 1 to 31; the server's choice when ``None``."""
    parent: PoidLike | None = None
    """Paying parent's bill unit; with it the unit is nonpaying."""
    ar_unit: PoidLike | None = None
    """Bill unit that holds the receivables: the nearest paying ancestor's. Defaults to ``parent``."""
    payinfo: PayInfo | PoidLike | None = None
    """A new payment method to create along with the unit, or an existing one."""
    balance_group: BalanceGroup | None = None
    """Default balance group to create along with the unit."""
    business_profile: PoidLike | None = None
    poid: PoidLike | None = None
    """The existing unit; ``None`` creates one."""

    @property
    def effective_pay_type(self) -> PayType | None:
        """The pay type to send."""
        if self.pay_type is not None:
            return self.pay_type
        if self.parent is not None:
            return PayType.NONPAYING
        return self.payinfo.pay_type if isinstance(self.payinfo, PayInfo) else None

    def flist(self, db: str) -> Flist:
        """``BILLINFO`` element without its links."""
        existing = self.payinfo if self.payinfo is not None and not isinstance(self.payinfo, PayInfo) else None
        return merged(
            {"POID": poid(self.poid) if self.poid is not None else new("/billinfo", db)},
            given(
                BILLINFO_ID=self.billinfo_id,
                PAY_TYPE=self.effective_pay_type,
                CURRENCY=self.currency,
                BILL_WHEN=self.bill_when,
                ACTG_TYPE=self.accounting,
                ACTG_FUTURE_DOM=self.bill_day,
            ),
            given_poid(
                BUSINESS_PROFILE_OBJ=self.business_profile,
                PARENT_BILLINFO_OBJ=self.parent,
                AR_BILLINFO_OBJ=self.ar_unit if self.ar_unit is not None else self.parent,
                PAYINFO_OBJ=existing,
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMember:
    """An account in, or to be put into, another account's hierarchy group."""

    account: PoidLike
    bill_units: tuple[BillUnit, ...] = ()
    """Bill units (with ``poid``) whose payer changes along with the membership."""

    def flist(self, db: str = DEFAULT_DB) -> Flist:
        """``MEMBERS`` element."""
        member: Flist = {"ACCOUNT_OBJ": poid(self.account)}
        if self.bill_units:
            wanted = ("POID", "PARENT_BILLINFO_OBJ", "PAY_TYPE", "PAYINFO_OBJ")
            units = ({name: value for name, value in unit.flist(db).items() if name in wanted} for unit in self.bill_units)
            member["BILLINFO"] = Array.of(*units)
        return member

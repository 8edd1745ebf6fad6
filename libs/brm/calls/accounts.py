"""Parts of an account on their own (specification 4.1). Common arguments as in ``customer``.

COMMIT_CUSTOMER and UPDATE_CUSTOMER do most of this in one transaction; prefer them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from libs.brm.call import BrmCall
from libs.brm.calls.customer import commit_customer
from libs.brm.calls.parties import AccountInfo, BillUnit, NameInfo, PayInfo
from libs.brm.calls.values import PROGRAM_NAME, PoidLike, audit, given, given_poid, merged, poid
from libs.brm.codes import BusinessType
from libs.brm.flist import Array, Flist
from libs.brm.poid import DEFAULT_DB


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxExemption:
    """A certificate that frees an account from a part of a tax (``EXEMPTIONS[n]``) [recall]."""

    certificate: str
    percent: Decimal | None = None
    """How much is exempt, 100 = all."""
    type: int | None = None
    """Tax jurisdiction, by the tax software's numbering."""
    start: datetime | None = None
    end: datetime | None = None

    def flist(self) -> Flist:
        """``EXEMPTIONS`` element."""
        return given(CERTNUM=self.certificate, PERCENT=self.percent, TYPE=self.type, START_T=self.start, END_T=self.end)


def create_customer(
    *,
    account: AccountInfo,
    names: Sequence[NameInfo],
    bill_units: Sequence[BillUnit],
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
    db: str = DEFAULT_DB,
) -> BrmCall:
    """The inner part of COMMIT_CUSTOMER: creates the same objects, buys nothing. For tests and tools; flows commit.

    Repeating: refused as DUPLICATE @ACCOUNT_NO; natural key ``account.account_no``. Source: [recall].
    """
    commit = commit_customer(
        account=account, names=names, bill_units=bill_units, program_name=program_name, descr=descr, at=at, db=db
    )
    return replace(commit, opcode="PCM_OP_CUST_CREATE_CUSTOMER")


def create_acct(
    account: AccountInfo,
    *,
    names: Sequence[NameInfo] = (),
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Create the bare account, with its default bill unit and balance group only. Output: ``POID``.

    Repeating: refused as DUPLICATE @ACCOUNT_NO; natural key ``account.account_no``. Source: [recall].
    """
    contacts = Array.of(*(name.flist() for name in names), start=1)
    return BrmCall(
        "PCM_OP_CUST_CREATE_ACCT",
        merged(
            account.flist(db),
            audit(program_name, descr, at),
            {"NAMEINFO": contacts} if contacts else {},
            {"LOCALES": Array({1: {"LOCALE": account.locale}})} if account.locale else {},
        ),
    )


def set_acctinfo(
    account: PoidLike,
    *,
    account_no: str = "",
    currency_secondary: int | None = None,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
) -> BrmCall:
    """Change what the account itself holds: its number, its secondary currency (ISO 4217 number).

    Repeating: no further effect. Source: [recall].
    """
    info = given(ACCOUNT_NO=account_no, CURRENCY_SECONDARY=currency_secondary)
    return _change("SET_ACCTINFO", account, {"ACCTINFO": Array.of(info)}, audit(program_name, descr, at))


def set_nameinfo(
    account: PoidLike,
    names: Mapping[int, NameInfo],
    *,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
) -> BrmCall:
    """Change contacts by their slot (1 = first), field by field.

    Repeating: no further effect. Source: [recall].
    """
    contacts = Array({slot: name.flist() for slot, name in names.items()})
    return _change("SET_NAMEINFO", account, {"NAMEINFO": contacts}, audit(program_name, descr, at))


def set_locale(account: PoidLike, locale: str, *, program_name: str = PROGRAM_NAME, descr: str = "") -> BrmCall:
    """Set the language, ``en_US``.

    Repeating: no further effect. Source: [recall].
    """
    return _change("SET_LOCALE", account, {"LOCALES": Array({1: {"LOCALE": locale}})}, audit(program_name, descr))


def set_business_type(
    account: PoidLike, business_type: BusinessType, *, program_name: str = PROGRAM_NAME, descr: str = ""
) -> BrmCall:
    """Set whether the account is a consumer's or a business's.

    Repeating: no further effect. Source: [recall].
    """
    return _change("SET_BUSINESS_TYPE", account, {"BUSINESS_TYPE": business_type}, audit(program_name, descr))


def set_taxinfo(
    account: PoidLike,
    *,
    vat_certificate: str = "",
    incorporated: bool | None = None,
    resident: bool | None = None,
    exemptions: Sequence[TaxExemption] = (),
    program_name: str = PROGRAM_NAME,
    descr: str = "",
) -> BrmCall:
    """Set what taxation depends on. Given ``exemptions`` replace those with the same position.

    Repeating: no further effect. Source: [recall].
    """
    flags = {"INCORPORATED_FLAG": incorporated, "RESIDENCE_FLAG": resident}
    fields = given(VAT_CERT=vat_certificate, **{name: int(flag) for name, flag in flags.items() if flag is not None})
    if exemptions:
        fields["EXEMPTIONS"] = Array.of(*(exemption.flist() for exemption in exemptions))
    return _change("SET_TAXINFO", account, fields, audit(program_name, descr))


def delete_billinfo(
    billinfo: PoidLike, *, account: PoidLike | None = None, program_name: str = PROGRAM_NAME, descr: str = ""
) -> BrmCall:
    """Delete a bill unit that has no balance group, no bill and is not the account's default. Orders never do this.

    Repeating: NOT_FOUND, which settling takes as done. Source: [recall].
    """
    return _change("DELETE_BILLINFO", billinfo, given_poid(ACCOUNT_OBJ=account), audit(program_name, descr))


def set_payinfo(
    account: PoidLike,
    payinfos: Sequence[PayInfo],
    *,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Change payment methods of an account. Each needs its ``poid``.

    Repeating: no further effect. Source: [recall].
    """
    methods = Array.of(*(payinfo.flist(db) for payinfo in payinfos))
    return _change("SET_PAYINFO", account, {"PAYINFO": methods}, audit(program_name, descr))


def delete_payinfo(payinfo: PoidLike, *, program_name: str = PROGRAM_NAME, descr: str = "") -> BrmCall:
    """Delete a payment method that no bill unit uses; refused as BAD_VALUE when one does.

    Repeating: NOT_FOUND, which counts as done. Source: [OG], [recall].
    """
    return _change("DELETE_PAYINFO", payinfo, {}, audit(program_name, descr))


def _change(opcode: str, target: PoidLike, fields: Flist, audited: Flist) -> BrmCall:
    return BrmCall(f"PCM_OP_CUST_{opcode}", merged({"POID": poid(target)}, audited, fields))

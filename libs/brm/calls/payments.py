"""Payments (specification 4.8). Money in the charge's currency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from libs.brm.call import BrmCall
from libs.brm.calls.parties import CardPayInfo, DebitPayInfo
from libs.brm.calls.receivables import Allocation
from libs.brm.calls.values import PROGRAM_NAME, PoidLike, audit, given, given_poid, merged, poid
from libs.brm.codes import ChargeCommand, PayType
from libs.brm.flist import Array, Flist


@dataclass(frozen=True, slots=True, kw_only=True)
class Cash:
    """Cash in hand."""

    receipt_no: str = ""
    """The charge's token when empty."""

    @property
    def pay_type(self) -> PayType:
        return PayType.CASH

    def inherited(self, token: str) -> Flist:
        """``INHERITED_INFO`` of the payment."""
        return {"CASH_INFO": Array.of({"RECEIPT_NO": self.receipt_no or token})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A paper check. The account number is sensitive."""

    check_no: str = ""
    """The charge's token when empty."""
    bank_code: str = ""
    bank_account_no: str = field(default="", repr=False)

    @property
    def pay_type(self) -> PayType:
        return PayType.CHECK

    def inherited(self, token: str) -> Flist:
        """``INHERITED_INFO`` of the payment."""
        details = given(BANK_CODE=self.bank_code, BANK_ACCOUNT_NO=self.bank_account_no)
        return {"CHECK_INFO": Array.of({"CHECK_NO": self.check_no or token} | details)}


@dataclass(frozen=True, slots=True, kw_only=True)
class WireTransfer:
    """A bank transfer received."""

    transfer_id: str = ""
    """The charge's token when empty."""
    bank_code: str = ""

    @property
    def pay_type(self) -> PayType:
        return PayType.WIRE_TRANSFER

    def inherited(self, token: str) -> Flist:
        """``INHERITED_INFO`` of the payment."""
        return {"WTRANSFER_INFO": Array.of({"WTRANSFER_ID": self.transfer_id or token} | given(BANK_CODE=self.bank_code))}


@dataclass(frozen=True, slots=True)
class ByMethod:
    """Charge a card or a bank account; by what BRM has on file when it is given without numbers."""

    method: CardPayInfo | DebitPayInfo

    @property
    def pay_type(self) -> PayType:
        return self.method.pay_type

    def inherited(self, token: str) -> Flist:
        """``INHERITED_INFO`` of the payment."""
        return self.method.inherited()


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """One payment to post, or one charge of a card or bank account (``CHARGES[n]``)."""

    account: PoidLike
    amount: Decimal
    currency: int
    """ISO 4217 number."""
    token: str
    """Goes into ``TRANS_ID`` and ``DESCR``, where a lost call is found again: made from the order's payment, never reused."""
    by: Cash | Check | WireTransfer | ByMethod
    billinfo: PoidLike | None = None
    """The account's default bill unit when ``None``; a nonpaying one's payer gets it."""
    at: datetime | None = None
    bills: Sequence[Allocation] = ()
    """What it pays, before the oldest open items."""
    items: Sequence[Allocation] = ()
    command: ChargeCommand = ChargeCommand.PAYMENT
    hold: bool = False
    """Leave it unallocated."""

    def flist(self) -> Flist:
        """``CHARGES`` element."""
        return merged(
            {"ACCOUNT_OBJ": poid(self.account)},
            given_poid(BILLINFO_OBJ=self.billinfo),
            {"AMOUNT": self.amount, "CURRENCY": self.currency, "PAY_TYPE": self.by.pay_type, "COMMAND": self.command},
            {"TRANS_ID": self.token},
            given(SELECT_STATUS=1 if self.hold else None),
            {
                "PAYMENT": merged(
                    {"DESCR": self.token}, given(EFFECTIVE_T=self.at), {"INHERITED_INFO": self.by.inherited(self.token)}
                )
            },
            {"BILLS": Array.of(*(bill.flist() for bill in self.bills))} if self.bills else {},
            {"ITEMS": Array.of(*(item.flist() for item in self.items))} if self.items else {},
        )


def pymt_collect(
    payments: Sequence[Payment],
    *,
    owner: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
) -> BrmCall:
    """Post payments received, or charge cards and bank accounts.

    ``owner`` is any account of the schema, by default the first payment's. ``payments[n]`` becomes ``CHARGES[n]``; output:
    ``RESULTS[n]`` with ``ITEM_OBJ``. A payment is allocated to ``bills`` and ``items`` first, then to the oldest open items;
    what is left stays on its item.

    A charge that fails is told in ``RESULTS[n].DESCR`` only [MOS 753382.1], and may have been stored, unallocated
    [MOS 1303193.1]: the gateway looks it up by its token, allocates it, and never posts it again.

    Repeating: may post again! Natural key: bill unit and ``token``. Source: [MOS 753382.1], [MOS 2021496.1].
    """
    if not payments:
        raise ValueError("no payment to post")
    return BrmCall(
        "PCM_OP_PYMT_COLLECT",
        merged(
            {"POID": poid(owner if owner is not None else payments[0].account)},
            audit(program_name, descr, at),
            {"CHARGES": Array.of(*(payment.flist() for payment in payments))},
        ),
    )

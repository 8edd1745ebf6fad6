"""One-off charges, grants and usage (specification 4.4). Money in the account's currency.

None of these has an idempotency of its own: ``token`` (255 bytes) goes into ``DESCR``, where a lost call is found again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from libs.brm.call import BrmCall
from libs.brm.calls.values import PROGRAM_NAME, PoidLike, audit, given, given_poid, merged, new, poid
from libs.brm.flist import ASSIGN, Array, Flist
from libs.brm.poid import DEFAULT_DB


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """What an event does to one balance (``BAL_IMPACTS[n]``)."""

    resource_id: int
    """Currency: its ISO 4217 number."""
    amount: Decimal
    """Positive: the customer owes it, or uses it up."""
    balance_group: PoidLike | None = None
    gl_id: int | None = None
    tax_code: str = ""

    def flist(self) -> Flist:
        """``BAL_IMPACTS`` element."""
        return merged(
            given_poid(BAL_GRP_OBJ=self.balance_group),
            {"RESOURCE_ID": self.resource_id, "AMOUNT": self.amount},
            given(GL_ID=self.gl_id, TAX_CODE=self.tax_code),
        )


def bill_debit(
    account: PoidLike,
    amounts: Mapping[int, Decimal],
    *,
    token: str,
    balance_group: PoidLike | None = None,
    service: PoidLike | None = None,
    billinfo: PoidLike | None = None,
    valid_from: datetime | None = None,
    valid_to: datetime | None = None,
    program_name: str = PROGRAM_NAME,
    at: datetime | None = None,
) -> BrmCall:
    """Debit (positive) or grant (negative) amounts by resource id. A currency becomes an item, others go to the balance.

    ``valid_from`` and ``valid_to`` bound the sub-balance a grant makes. Output: ``RESULTS[]`` with the event.

    Repeating: debits again! Natural key: account and ``token``. Source: [MOS 843861.1].
    """
    validity = given(VALID_FROM=valid_from, VALID_TO=valid_to)
    return BrmCall(
        "PCM_OP_BILL_DEBIT",
        merged(
            {"POID": poid(account)},
            given_poid(BAL_GRP_OBJ=balance_group, SERVICE_OBJ=service, BILLINFO_OBJ=billinfo),
            audit(program_name, token, at),
            {"DEBIT": Array({resource: {"BAL_OPERAND": amount} for resource, amount in amounts.items()})},
            {"SUB_BALANCES": Array({ASSIGN: validity})} if validity else {},
        ),
    )


def act_usage(
    account: PoidLike,
    event_type: str,
    *,
    token: str,
    service: PoidLike | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    quantity: Decimal | None = None,
    impacts: Sequence[Impact] = (),
    fields: Mapping[str, object] | None = None,
    program_name: str = PROGRAM_NAME,
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Rate and store one event of a class, ``/event/activity/penalty``; with ``impacts`` it counts as rated already.

    ``fields`` are further fields of the event's class. Output: ``RESULTS[]`` with the event.

    Repeating: charges again! Natural key: account and ``token``. Source: [recall].
    """
    event = merged(
        {"POID": new(event_type, db), "ACCOUNT_OBJ": poid(account)},
        given_poid(SERVICE_OBJ=service),
        given(START_T=start, END_T=end, DESCR=token, NET_QUANTITY=quantity),
        {"BAL_IMPACTS": Array.of(*(impact.flist() for impact in impacts))} if impacts else {},
        fields or {},
    )
    return BrmCall("PCM_OP_ACT_USAGE", merged({"POID": poid(account)}, audit(program_name, token), {"EVENT": event}))

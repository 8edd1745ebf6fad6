"""Balances, invoices and price lists (specification 4.7, 4.9, 4.12).

A positive currency balance is what the customer owes. Other resources: a grant is negative and rises towards zero with use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from libs.brm.call import BrmCall
from libs.brm.calls.values import PROGRAM_NAME, PoidLike, audit, given, given_poid, merged, new, poid
from libs.brm.codes import BalanceDetail
from libs.brm.flist import Array, Flist
from libs.brm.poid import DEFAULT_DB


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """New validity of one sub-balance."""

    balance_group: PoidLike
    resource_id: int
    element_id: int
    """Element id of the sub-balance."""
    valid_from: datetime | None = None
    valid_to: datetime | None = None

    def flist(self) -> Flist:
        """``SUB_BALANCES`` element."""
        return {
            "BAL_GRP_OBJ": poid(self.balance_group),
            "RESOURCE_ID": self.resource_id,
            "ELEMENT_ID": self.element_id,
        } | given(VALID_FROM=self.valid_from, VALID_TO=self.valid_to)


def bal_get_balances(
    account: PoidLike,
    *,
    balance_group: PoidLike | None = None,
    service: PoidLike | None = None,
    billinfo: PoidLike | None = None,
    resources: Sequence[int] = (),
    detail: BalanceDetail = BalanceDetail.TOTALS,
    start: datetime | None = None,
    end: datetime | None = None,
) -> BrmCall:
    """Balances of a group, the account's default one when none is named: ``BALANCES[resource id]``.

    ``start`` and ``end`` ask for another time than now; only sub-balances valid then count. ``resources`` empty: all.

    A read. Source: [MOS 2941370.1], [recall].
    """
    return BrmCall(
        "PCM_OP_BAL_GET_BALANCES",
        merged(
            {"POID": poid(account)},
            given_poid(BAL_GRP_OBJ=balance_group, SERVICE_OBJ=service, BILLINFO_OBJ=billinfo),
            given(FLAGS=int(detail) or None, START_T=start, END_T=end),
            {"BALANCES": Array(dict.fromkeys(resources))} if resources else {},
        ),
    )


def bal_get_bal_grp_and_svc(billinfo: PoidLike, *, threshold: int | None = None) -> BrmCall:
    """Balance groups of one bill unit with their services: ``BAL_INFO[]``, ``FLAGS`` 1 on the default group.

    A read. Source: [OG 13], [recall].
    """
    return BrmCall("PCM_OP_BAL_GET_BAL_GRP_AND_SVC", {"POID": poid(billinfo)} | given(THRESHOLD=threshold))


def bal_get_acct_bal_grp_and_svc(
    account: PoidLike, billinfo: PoidLike | None = None, *, threshold: int | None = None
) -> BrmCall:
    """Balance groups of an account, or one of its bill units, with their services: ``BAL_INFO[]``.

    A read. Source: [OG 13], [recall].
    """
    fields = {"POID": poid(account)} | given_poid(BILLINFO_OBJ=billinfo) | given(THRESHOLD=threshold)
    return BrmCall("PCM_OP_BAL_GET_ACCT_BAL_GRP_AND_SVC", fields)


def bal_change_validity(
    account: PoidLike, validities: Sequence[Validity], *, program_name: str = PROGRAM_NAME, descr: str = ""
) -> BrmCall:
    """Change from when to when sub-balances are valid.

    Repeating: no further effect. Source: a public example, [recall].
    """
    parts = Array.of(*(validity.flist() for validity in validities))
    return BrmCall(
        "PCM_OP_BAL_CHANGE_VALIDITY", merged({"POID": poid(account)}, audit(program_name, descr), {"SUB_BALANCES": parts})
    )


def inv_view_invoice(target: PoidLike, *, type_str: str = "text/html", threshold: int | None = None) -> BrmCall:
    """The document of an invoice, or of the invoice of a bill: ``BUFFER`` and its ``TYPE_STR``. NOT_FOUND when there is none.

    A read. Source: [recall].
    """
    return BrmCall("PCM_OP_INV_VIEW_INVOICE", {"POID": poid(target)} | given(TYPE_STR=type_str, THRESHOLD=threshold))


def price_get_price_list(*, modified_since: datetime | None = None, db: str = DEFAULT_DB) -> BrmCall:
    """The catalogue as a tree: ``PRODUCTS[]``, ``DISCOUNTS[]``, ``SPONSORS[]``, ``DEALS[]``, ``PLANS[]``.

    A read, and a long one. Source: [recall].
    """
    return BrmCall("PCM_OP_PRICE_GET_PRICE_LIST", {"POID": new("/", db)} | given(MOD_T=modified_since))

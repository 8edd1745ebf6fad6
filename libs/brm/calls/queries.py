"""Reading receivables: summaries, bills, items, actions (specification 4.6).

The ``acct`` variants cover all bill units of an account or one of them, the others exactly one [MAR 8]. ``threshold`` is the
most rows to return; ``RESULT_COUNT`` tells how many there are.
"""

from __future__ import annotations

from datetime import datetime

from libs.brm.call import BrmCall
from libs.brm.calls.values import PoidLike, given, given_poid, poid
from libs.brm.codes import ItemStatus
from libs.brm.flist import Flist


def ar_get_acct_bal_summary(account: PoidLike, billinfo: PoidLike | None = None) -> BrmCall:
    """What an account owes over all its bill units, or one: open and pending bills, unapplied, disputed. A read. [AIA]"""
    return BrmCall("PCM_OP_AR_GET_ACCT_BAL_SUMMARY", {"POID": poid(account)} | given_poid(BILLINFO_OBJ=billinfo))


def ar_get_bal_summary(billinfo: PoidLike) -> BrmCall:
    """What one bill unit owes: as :func:`ar_get_acct_bal_summary`. A read. [MAR 8]"""
    return BrmCall("PCM_OP_AR_GET_BAL_SUMMARY", {"POID": poid(billinfo)})


def ar_get_acct_bills(
    account: PoidLike,
    billinfo: PoidLike | None = None,
    *,
    status: ItemStatus | None = None,
    include_children: bool | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    threshold: int | None = None,
) -> BrmCall:
    """Bills of an account over all its bill units, or one: ``RESULTS[]``, latest first. A read. [MAR 8]"""
    fields = _query(status, include_children, start, end, threshold)
    return BrmCall("PCM_OP_AR_GET_ACCT_BILLS", {"POID": poid(account)} | given_poid(BILLINFO_OBJ=billinfo) | fields)


def ar_get_bills(
    billinfo: PoidLike,
    *,
    ar_billinfo: PoidLike | None = None,
    status: ItemStatus | None = None,
    include_children: bool | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    threshold: int | None = None,
) -> BrmCall:
    """Bills of one bill unit: ``RESULTS[]``, latest first. A read. [MAR 8]"""
    fields = _query(status, include_children, start, end, threshold)
    return BrmCall("PCM_OP_AR_GET_BILLS", {"POID": poid(billinfo)} | given_poid(AR_BILLINFO_OBJ=ar_billinfo) | fields)


def ar_get_bill_items(
    target: PoidLike,
    *,
    ar_billinfo: PoidLike | None = None,
    service: PoidLike | None = None,
    poid_type: str = "",
    status: ItemStatus | None = None,
    include_children: bool | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    threshold: int | None = None,
) -> BrmCall:
    """Items of a bill, or of a bill unit (then also pending ones, by ``status``): ``RESULTS[]``. A read. [MAR 8]

    ``poid_type`` keeps items of one class only, ``/item/payment``.
    """
    fields = _query(status, include_children, start, end, threshold)
    return BrmCall(
        "PCM_OP_AR_GET_BILL_ITEMS",
        {"POID": poid(target)}
        | given_poid(AR_BILLINFO_OBJ=ar_billinfo, SERVICE_OBJ=service)
        | given(POID_TYPE=poid_type)
        | fields,
    )


def ar_get_item_detail(item: PoidLike) -> BrmCall:
    """One item with its related items, ``TRANSFERS[]`` and ``EVENTS[]``; NOT_FOUND when there is none. A read. [recall]"""
    return BrmCall("PCM_OP_AR_GET_ITEM_DETAIL", {"POID": poid(item)})


def ar_get_acct_items(
    account: PoidLike,
    billinfo: PoidLike | None = None,
    *,
    service: PoidLike | None = None,
    poid_type: str = "",
    status: ItemStatus | None = None,
    include_children: bool | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    threshold: int | None = None,
) -> BrmCall:
    """Items of an account, pending ones by ``status``: ``RESULTS[]``. A read. [MAR 8]"""
    fields = _query(status, include_children, start, end, threshold)
    return BrmCall(
        "PCM_OP_AR_GET_ACCT_ITEMS",
        {"POID": poid(account)} | given_poid(BILLINFO_OBJ=billinfo, SERVICE_OBJ=service) | given(POID_TYPE=poid_type) | fields,
    )


def ar_get_items(
    billinfo: PoidLike,
    *,
    ar_billinfo: PoidLike | None = None,
    service: PoidLike | None = None,
    poid_type: str = "",
    status: ItemStatus | None = None,
    include_children: bool | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    threshold: int | None = None,
) -> BrmCall:
    """Items of one bill unit: ``RESULTS[]``. A read. [MAR 8]"""
    fields = _query(status, include_children, start, end, threshold)
    return BrmCall(
        "PCM_OP_AR_GET_ITEMS",
        {"POID": poid(billinfo)}
        | given_poid(AR_BILLINFO_OBJ=ar_billinfo, SERVICE_OBJ=service)
        | given(POID_TYPE=poid_type)
        | fields,
    )


def ar_get_acct_action_items(
    account: PoidLike,
    billinfo: PoidLike | None = None,
    *,
    ar_billinfo: PoidLike | None = None,
    poid_type: str = "",
    status: ItemStatus | None = None,
    include_children: bool | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    threshold: int | None = None,
) -> BrmCall:
    """Payments, adjustments, disputes and the like of an account: ``RESULTS[]``, one class by ``poid_type``. A read. [MAR 8]"""
    fields = _query(status, include_children, start, end, threshold)
    return BrmCall(
        "PCM_OP_AR_GET_ACCT_ACTION_ITEMS",
        {"POID": poid(account)}
        | given_poid(BILLINFO_OBJ=billinfo, AR_BILLINFO_OBJ=ar_billinfo)
        | given(POID_TYPE=poid_type)
        | fields,
    )


def ar_get_action_items(
    billinfo: PoidLike,
    *,
    ar_billinfo: PoidLike | None = None,
    poid_type: str = "",
    status: ItemStatus | None = None,
    include_children: bool | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    threshold: int | None = None,
) -> BrmCall:
    """Payments, adjustments, disputes and the like of one bill unit: ``RESULTS[]``. A read. [MOS 2173260.1]"""
    fields = _query(status, include_children, start, end, threshold)
    return BrmCall(
        "PCM_OP_AR_GET_ACTION_ITEMS",
        {"POID": poid(billinfo)} | given_poid(AR_BILLINFO_OBJ=ar_billinfo) | given(POID_TYPE=poid_type) | fields,
    )


def ar_get_disputes(
    target: PoidLike,
    *,
    billinfo: PoidLike | None = None,
    status: ItemStatus | None = None,
    include_children: bool | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    threshold: int | None = None,
) -> BrmCall:
    """Dispute items of a bill unit or a bill: ``RESULTS[]``. A read. [recall]"""
    fields = _query(status, include_children, start, end, threshold)
    return BrmCall("PCM_OP_AR_GET_DISPUTES", {"POID": poid(target)} | given_poid(BILLINFO_OBJ=billinfo) | fields)


def ar_get_dispute_details(dispute: PoidLike, *, threshold: int | None = None) -> BrmCall:
    """One dispute with its ``ITEMS[]`` and ``EVENTS[]``. A read. [recall]"""
    return BrmCall("PCM_OP_AR_GET_DISPUTE_DETAILS", {"POID": poid(dispute)} | given(THRESHOLD=threshold))


def ar_resource_aggregation(target: PoidLike, *, threshold: int | None = None) -> BrmCall:
    """Totals of an item or a bill by resource, currencies aside: ``RESULTS[]`` with ``RESOURCE_ID``. A read. [recall]"""
    return BrmCall("PCM_OP_AR_RESOURCE_AGGREGATION", {"POID": poid(target)} | given(THRESHOLD=threshold))


def _query(
    status: ItemStatus | None,
    include_children: bool | None,
    start: datetime | None,
    end: datetime | None,
    threshold: int | None,
) -> Flist:
    children = None if include_children is None else int(include_children)
    mask = None if status is None else int(status)
    return given(STATUS=mask, INCLUDE_CHILDREN=children, START_T=start, END_T=end, THRESHOLD=threshold)

"""Accounts, bill units, payment methods, balance groups, services (specification 4.1).

Common arguments: ``program_name`` names us in BRM's audit trail (60 bytes), ``descr`` says why (255 bytes), ``at`` is the
effective time (the server's present when ``None``), ``db`` the database number of the instance. "Repeating" says what a second
identical call does; all writes of unknown outcome go through :mod:`libs.brm.reconcile`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from libs.brm.call import BrmCall
from libs.brm.calls.offers import Deal, ServiceChange, ServicePurchase
from libs.brm.calls.parties import AccountInfo, BalanceGroup, BillUnit, NameInfo, PayInfo
from libs.brm.calls.values import PROGRAM_NAME, PoidLike, Text, audit, given, merged, new, poid
from libs.brm.codes import BusinessType, Status, StatusFlags
from libs.brm.flist import Array, Flist
from libs.brm.poid import DEFAULT_DB


def commit_customer(
    *,
    account: AccountInfo,
    names: Sequence[NameInfo],
    bill_units: Sequence[BillUnit],
    services: Sequence[ServicePurchase] = (),
    deals: Sequence[Deal] = (),
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Create an account with its bill units, payment methods, balance groups and services, all or nothing.

    The n-th bill unit becomes ``BILLINFO[n]``; its new payment method ``PAYINFO[n]`` and its default balance group
    ``BAL_INFO[n]``, created even if none is given. The first unit's group is the account's default. The output names what was
    created under the same element ids: ``POID`` (account), ``BILLINFO[n].POID``, ``PAYINFO[n].POID``, ``BAL_INFO[n].POID``,
    ``SERVICES[s].SERVICE_OBJ``, ``SERVICES[s].PRODUCTS[p].OFFERING_OBJ``, ``SERVICES[s].DISCOUNTS[d].OFFERING_OBJ``.
    ``names[n]`` becomes ``NAMEINFO[n + 1]``.

    Repeating: refused as DUPLICATE @ACCOUNT_NO; natural key ``account.account_no``. Source: [OG], fields [recall].
    """
    units: Array = Array()
    payinfos: Array = Array()
    groups: Array = Array()
    for index, unit in enumerate(bill_units):
        fields = unit.flist(db)
        if isinstance(unit.payinfo, PayInfo):
            payinfos[index] = unit.payinfo.flist(db)
            fields["PAYINFO"] = Array({index: None})
        fields["BAL_INFO"] = Array({index: None})
        group = unit.balance_group or BalanceGroup()
        groups[index] = group.flist(db) | {"BILLINFO": Array({index: None})}
        units[index] = fields
    info = account.flist(db) | ({"BAL_INFO": Array({0: None})} if units else {})
    return BrmCall(
        "PCM_OP_CUST_COMMIT_CUSTOMER",
        merged(
            {"POID": new("/plan", db)},
            audit(program_name, descr, at),
            {"ACCTINFO": Array.of(info), "NAMEINFO": Array.of(*(name.flist() for name in names), start=1)},
            {"LOCALES": Array({1: {"LOCALE": account.locale}})} if account.locale else {},
            _arrays(BILLINFO=units, PAYINFO=payinfos, BAL_INFO=groups),
            _arrays(SERVICES=_services(services, db), DEALS=_deals(deals, db)),
        ),
    )


def modify_customer(
    account: PoidLike,
    *,
    services: Sequence[ServicePurchase] = (),
    balance_groups: Sequence[BalanceGroup] = (),
    deals: Sequence[Deal] = (),
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Add services with their purchases, account-level offers and balance groups to an account, all or nothing.

    ``balance_groups[k]`` becomes ``BAL_INFO[k]`` (name its bill unit in ``BalanceGroup.billinfo``), ``services[s]`` becomes
    ``SERVICES[s]``; outputs use the same element ids, as for :func:`commit_customer`. Account-level offers of ``deals`` come
    back as ``PRODUCTS[p]`` and ``DISCOUNTS[d]``.

    Repeating: refused as DUPLICATE @LOGIN; natural key: service class and login, then the line ids of the offers.
    Source: [OG 13], fields [recall].
    """
    groups = Array.of(*(group.flist(db) for group in balance_groups))
    return BrmCall(
        "PCM_OP_CUST_MODIFY_CUSTOMER",
        merged(
            {"POID": new("/plan", db), "ACCOUNT_OBJ": poid(account)},
            audit(program_name, descr, at),
            _arrays(BAL_INFO=groups, SERVICES=_services(services, db), DEALS=_deals(deals, db)),
        ),
    )


def update_customer(
    account: PoidLike,
    *,
    names: Mapping[int, NameInfo] | None = None,
    bill_units: Sequence[BillUnit] = (),
    payinfos: Sequence[PayInfo] = (),
    business_type: BusinessType | None = None,
    locale: str = "",
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Change several parts of an account at once. Only what is given changes; ``names`` goes by contact slot (1 = first).

    A bill unit may come with a new payment method, which takes the place of its present one. Output: ``PAYINFO[n].POID``,
    first those of ``payinfos``, then the new ones in the order of their bill units.

    Beware: BRM may ignore the bill unit part without an error [MOS 2187812.1]; read it back.

    Repeating: no further effect, but that a new payment method would be made again; it is found by the pay type of its unit.
    Source: [recall], [MOS 2187812.1].
    """
    methods = [payinfo.flist(db) for payinfo in payinfos]
    units = []
    for unit in bill_units:
        fields = unit.flist(db)
        if isinstance(unit.payinfo, PayInfo):
            fields["PAYINFO"] = Array({len(methods): None})
            methods.append(unit.payinfo.flist(db))
        units.append(fields)
    return BrmCall(
        "PCM_OP_CUST_UPDATE_CUSTOMER",
        merged(
            {"POID": poid(account)},
            audit(program_name, descr, at),
            given(BUSINESS_TYPE=business_type),
            _arrays(
                NAMEINFO=Array({slot: name.flist() for slot, name in (names or {}).items()}),
                LOCALES=Array({1: {"LOCALE": locale}}) if locale else Array(),
                BILLINFO=Array.of(*units),
                PAYINFO=Array.of(*methods),
            ),
        ),
    )


def set_billinfo(
    account: PoidLike,
    bill_units: Sequence[BillUnit],
    *,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
) -> BrmCall:
    """Change bill units of an account: payer, payment method, frequency, bill day. Each unit needs its ``poid``.

    Frequency and day take effect at the next cycle. Giving ``parent`` makes a unit nonpaying.

    Repeating: no further effect. Source: [recall].
    """
    units = Array.of(*(unit.flist(DEFAULT_DB) for unit in bill_units))
    return BrmCall(
        "PCM_OP_CUST_SET_BILLINFO", merged({"POID": poid(account)}, audit(program_name, descr, at), {"BILLINFO": units})
    )


def create_billinfo(
    account: PoidLike,
    unit: BillUnit,
    *,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Create a bill unit on an existing account, with its payment method (new or existing) and default balance group.

    Output: ``POID``, ``PAYINFO[0].POID`` if one was created, ``BAL_INFO[0].POID``.

    Repeating: refused as DUPLICATE @BILLINFO_ID; natural key: account and ``billinfo_id``. Source: [recall].
    """
    fields = unit.flist(db)
    if isinstance(unit.payinfo, PayInfo):
        fields["PAYINFO"] = Array.of(unit.payinfo.flist(db))
    fields["BAL_INFO"] = Array.of((unit.balance_group or BalanceGroup()).flist(db))
    return BrmCall(
        "PCM_OP_CUST_CREATE_BILLINFO",
        merged({"POID": fields.pop("POID"), "ACCOUNT_OBJ": poid(account)}, audit(program_name, descr, at), fields),
    )


def create_payinfo(
    account: PoidLike,
    payinfo: PayInfo,
    *,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Create a payment method on an existing account. Output: ``POID``.

    Repeating: creates another one, harmless until attached; natural key: account, kind, name and last four digits.
    Source: [recall].
    """
    fields = payinfo.flist(db)
    return BrmCall(
        "PCM_OP_CUST_CREATE_PAYINFO",
        merged({"POID": fields.pop("POID"), "ACCOUNT_OBJ": poid(account)}, audit(program_name, descr), fields),
    )


def create_bal_grp(
    account: PoidLike,
    group: BalanceGroup,
    *,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Create a balance group on a bill unit. Output: ``POID``.

    Repeating: may create another; natural key: account and ``group.name``. Source: [recall].
    """
    fields = group.flist(db) | given(EFFECTIVE_T=at)
    return BrmCall(
        "PCM_OP_CUST_CREATE_BAL_GRP",
        merged({"POID": fields.pop("POID"), "ACCOUNT_OBJ": poid(account)}, audit(program_name, descr), fields),
    )


def set_status(
    target: PoidLike,
    status: Status,
    *,
    flags: StatusFlags = StatusFlags.MANUAL,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
) -> BrmCall:
    """Set the status of an account, service or bill unit; an account's cascades to all it owns.

    Repeating: no further effect. Source: [OG 9], [recall].
    """
    statuses = Array.of({"STATUS": status, "STATUS_FLAGS": flags})
    return BrmCall(
        "PCM_OP_CUST_SET_STATUS", merged({"POID": poid(target)}, audit(program_name, descr, at), {"STATUSES": statuses})
    )


def update_services(
    account: PoidLike,
    changes: Sequence[ServiceChange],
    *,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
) -> BrmCall:
    """Change services: login, status (cascades to their offers), balance group. Output: ``SERVICES[s].SERVICE_OBJ``.

    Repeating: no further effect. Source: [recall].
    """
    services = Array.of(*(change.flist() for change in changes))
    return BrmCall(
        "PCM_OP_CUST_UPDATE_SERVICES", merged({"POID": poid(account)}, audit(program_name, descr, at), {"SERVICES": services})
    )


def act_find(service_type: str, login: Text, *, db: str = DEFAULT_DB) -> BrmCall:
    """Find a service by class and login. Output: ``POID`` of the service, ``ACCOUNT_OBJ``; NOT_FOUND when there is none.

    A read. Source: [OG 9].
    """
    return BrmCall("PCM_OP_ACT_FIND", {"POID": new(service_type, db), "LOGIN": login})


def _services(services: Sequence[ServicePurchase], db: str) -> Array:
    return Array.of(*(service.flist(db) for service in services))


def _deals(deals: Sequence[Deal], db: str) -> Array:
    return Array.of(*(deal.flist(db) for deal in deals))


def _arrays(**arrays: Array) -> Flist:
    return {name: array for name, array in arrays.items() if array}

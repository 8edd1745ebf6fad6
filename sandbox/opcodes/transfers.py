"""Services that change balance group or owner, and subscriptions as a whole (4.3)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.cycles import catch_up
from sandbox.billing.ledger import Occurrence, record
from sandbox.billing.status import set_status
from sandbox.billing.transfer import Transfer, offers_answer, transfer_service
from sandbox.billing.units import create_group, default_unit
from sandbox.codes import State, StatusFlag
from sandbox.errors import BrmFault
from sandbox.opcodes.balance_groups import move_service
from sandbox.opcodes.registry import (
    Context,
    account_of,
    done,
    effective_time,
    opcode,
    program_of,
    required,
    required_array,
)
from sandbox.opcodes.schedules import defer, defer_each, deferred, future
from sandbox.store.sqlite import Tx

BALGRP_TRANSFER: Final = "PCM_OP_SUBSCRIPTION_SERVICE_BALGRP_TRANSFER"
TRANSFER_SUBSCRIPTION: Final = "PCM_OP_SUBSCRIPTION_TRANSFER_SUBSCRIPTION"
CANCEL_SUBSCRIPTION: Final = "PCM_OP_SUBSCRIPTION_CANCEL_SUBSCRIPTION"
_NOTICE = "/event/notification/service_balgrp_transfer/data"


def _service(tx: Tx, poid: Poid, owner: Flist) -> Flist:
    service = tx.get(poid, "SERVICE_OBJ", "NOT_FOUND")
    if service["ACCOUNT_OBJ"] != owner["POID"]:
        raise BrmFault("NOT_FOUND", "SERVICE_OBJ", f"{poid} belongs to another account")
    if service["STATUS"] == State.CLOSED:
        raise BrmFault("BAD_VALUE", "SERVICE_OBJ", f"{poid} is closed")
    return service


def _target_unit(tx: Tx, account: Flist, flist: Flist) -> Flist:
    """The bill unit to move to: the one named, else the account's default one."""
    named = flist.get("BILLINFO_OBJ")
    unit = tx.get(named, "BILLINFO_OBJ") if named is not None else default_unit(tx, account)
    if unit["ACCOUNT_OBJ"] != account["POID"]:
        raise BrmFault("BAD_VALUE", "BILLINFO_OBJ", f"{unit['POID']} belongs to another account")
    return unit


def _makes_group(flist: Flist) -> bool:
    """Whether the call asks for a new group, by ``/balance_group -1``."""
    wanted = flist.get("TO_BAL_GRP_OBJ")
    return wanted is not None and bool(wanted.is_new)


def _target_group(tx: Tx, account: Flist, flist: Flist, service: Flist | None = None) -> Flist:
    """The group to move to: the one named, a new one for ``/balance_group -1``, else the default of the bill unit. A new one
    has the name of the group that ``service`` leaves."""
    unit, wanted = _target_unit(tx, account, flist), flist.get("TO_BAL_GRP_OBJ")
    if _makes_group(flist):
        return create_group(tx, account, unit, tx.get(service["BAL_GRP_OBJ"])["NAME"] if service is not None else None)
    group = tx.get(wanted if wanted is not None else unit["BAL_GRP_OBJ"], "TO_BAL_GRP_OBJ")
    if group["ACCOUNT_OBJ"] != account["POID"]:
        raise BrmFault("BAD_VALUE", "TO_BAL_GRP_OBJ", f"{group['POID']} belongs to another account")
    return group


def _check_target(tx: Tx, account: Flist, flist: Flist) -> None:
    """Whether there is a place to move to, without making one."""
    if _makes_group(flist):
        _target_unit(tx, account, flist)
    else:
        _target_group(tx, account, flist)


def _is_there(tx: Tx, service: Flist, account: Flist, flist: Flist) -> bool:
    """Whether the service already is where it shall go; ``/balance_group -1`` then needs no further group."""
    if service["ACCOUNT_OBJ"] != account["POID"]:
        return False
    wanted, unit = flist.get("TO_BAL_GRP_OBJ"), flist.get("BILLINFO_OBJ")
    group = tx.get(service["BAL_GRP_OBJ"])
    if wanted is not None and not wanted.is_new:
        return bool(group["POID"] == wanted)
    target = tx.get(unit, "BILLINFO_OBJ") if unit is not None else default_unit(tx, account)
    return bool(group["BILLINFO_OBJ"] == target["POID"] and (wanted is not None or group["POID"] == target["BAL_GRP_OBJ"]))


def _move(ctx: Context, service: Flist, account: Flist, group: Flist, flist: Flist) -> Transfer:
    """Move within the account, or to another one; pending charges are billed where they arose."""
    tx, program, when = ctx.tx, program_of(flist), effective_time(ctx.tx, flist)
    for unit in (tx.get(service["BAL_GRP_OBJ"])["BILLINFO_OBJ"], group["BILLINFO_OBJ"]):
        catch_up(tx, unit)
    moved = Transfer()
    if service["ACCOUNT_OBJ"] == account["POID"]:
        move_service(tx, tx.get(service["POID"]), group)
    else:
        moved = transfer_service(tx, tx.get(service["POID"]), account["POID"], group, when, program)
    what = Occurrence(_NOTICE, f"Service {service['LOGIN']} moved to {group['NAME']}", tx.now, tx.now, program)
    moved.events.append(record(tx, account["POID"], service["POID"], what))
    return moved


@opcode(BALGRP_TRANSFER)
def service_balgrp_transfer(ctx: Context, flist: Flist) -> Flist:
    """Move services to another balance group of their account, or to another account; with END_T to come, at that time.

    Within an account the service is pointed elsewhere and old balances stay. To another account its offers end and begin
    anew under other POIDs, which the answer holds only when ``transfer_no_poids`` is off. Being there already is success.
    """
    tx = ctx.tx
    source, target = account_of(tx, flist), account_of(tx, flist, "TO_OBJ")
    if target["STATUS"] != State.ACTIVE:
        raise BrmFault("BAD_VALUE", "STATUS", "the target account is not active")
    if (when := future(tx, flist)) is not None:
        return deferred(source["POID"], _moves_ahead(tx, source, target, flist, when))
    silent = ctx.settings.transfer_no_poids or "transfer_no_poids" in ctx.injected
    services, events, group = Array(), [], None
    for element, given in required_array(flist, "SERVICES").items():
        poid = required(given, "SERVICE_OBJ")
        known = tx.get(poid, "SERVICE_OBJ", "NOT_FOUND")
        if _is_there(tx, known, target, flist):
            services[element] = {"SERVICE_OBJ": known["POID"], "BAL_GRP_OBJ": known["BAL_GRP_OBJ"]}
            continue
        service = _service(tx, poid, source)
        group = group or _target_group(tx, target, flist, known)
        moved = _move(ctx, service, target, group, flist)
        events += moved.events
        services[element] = {"SERVICE_OBJ": service["POID"], "BAL_GRP_OBJ": group["POID"]}
        if not silent and moved.products:
            services[element]["PRODUCTS"] = offers_answer(moved.products, "PRODUCT_OBJ")
        if not silent and moved.discounts:
            services[element]["DISCOUNTS"] = offers_answer(moved.discounts, "DISCOUNT_OBJ")
    answer = {**done(source["POID"], events), "SERVICES": services}
    return {**answer, "BAL_GRP_OBJ": next(iter(services.values()))["BAL_GRP_OBJ"]}


def _moves_ahead(tx: Tx, source: Flist, target: Flist, flist: Flist, when: datetime) -> list[Flist]:
    """A schedule for each service that is not there yet; one for all of them where a new group is to hold them together."""
    moving = {}
    for element, given in required_array(flist, "SERVICES").items():
        poid = required(given, "SERVICE_OBJ")
        if not _is_there(tx, tx.get(poid, "SERVICE_OBJ", "NOT_FOUND"), target, flist):
            moving[element] = _service(tx, poid, source)
    _check_target(tx, target, flist)
    if not _makes_group(flist):
        return defer_each(tx, BALGRP_TRANSFER, flist, "SERVICES", moving, when)
    return [defer(tx, BALGRP_TRANSFER, next(iter(moving.values())), flist, when)] if moving else []


@opcode(TRANSFER_SUBSCRIPTION)
def transfer_subscription(ctx: Context, flist: Flist) -> Flist:
    """Move a subscription service, and the services that belong to it, to another account's bill unit; or later, as above."""
    tx = ctx.tx
    source, target = account_of(tx, flist, "FROM_OBJ"), account_of(tx, flist, "TO_OBJ")
    if target["STATUS"] != State.ACTIVE:
        raise BrmFault("BAD_VALUE", "STATUS", "the target account is not active")
    poid = required(flist, "SERVICE_OBJ")
    if tx.get(poid, "SERVICE_OBJ", "NOT_FOUND")["ACCOUNT_OBJ"] == target["POID"]:
        return {"POID": flist["POID"]}
    first = _service(tx, poid, source)
    if (when := future(tx, flist)) is not None:
        _check_target(tx, target, flist)
        return deferred(flist["POID"], [defer(tx, TRANSFER_SUBSCRIPTION, first, flist, when)])
    group = _target_group(tx, target, flist, first)
    events: list[Flist] = []
    for service in (first, *_members(tx, first)):
        events += _move(ctx, service, target, group, flist).events
    return done(flist["POID"], events)


def _members(tx: Tx, service: Flist) -> list[Flist]:
    """Open services that belong to a subscription service."""
    return [each for each in tx.by_key("/service.SUBSCRIPTION_OBJ", service["POID"]) if each["STATUS"] != State.CLOSED]


@opcode(CANCEL_SUBSCRIPTION)
def cancel_subscription(ctx: Context, flist: Flist) -> Flist:
    """Close a subscription service, the services that belong to it, and all their offers; again it is a success."""
    tx, program = ctx.tx, program_of(flist)
    account = account_of(tx, flist)
    service = tx.get(required(flist, "SERVICE_OBJ"), "SERVICE_OBJ", "NOT_FOUND")
    if service["ACCOUNT_OBJ"] != account["POID"]:
        raise BrmFault("NOT_FOUND", "SERVICE_OBJ", f"{service['POID']} belongs to another account")
    if (when := future(tx, flist)) is not None:
        return deferred(account["POID"], [defer(tx, CANCEL_SUBSCRIPTION, service, flist, when)])
    catch_up(tx, tx.get(service["BAL_GRP_OBJ"])["BILLINFO_OBJ"])
    if service["STATUS"] == State.CLOSED:
        return {"POID": account["POID"], "DESCR": "already cancelled"}
    events = set_status(tx, tx.get(service["POID"]), State.CLOSED, int(StatusFlag.MANUAL), program)
    for member in _members(tx, service):
        events += set_status(tx, member, State.CLOSED, int(StatusFlag.DUE_TO_SERVICE), program)
    return done(account["POID"], events)

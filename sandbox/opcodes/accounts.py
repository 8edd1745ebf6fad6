"""Customers: create with everything attached, extend, change (4.1)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.ledger import Occurrence, record
from sandbox.billing.units import check_currency, create_unit, default_unit, units_of
from sandbox.catalogue import plan_deals
from sandbox.codes import PayType, State
from sandbox.errors import BrmFault
from sandbox.opcodes.billunits import change_unit
from sandbox.opcodes.groups import join
from sandbox.opcodes.links import Links, create_payinfo, payinfo_fields
from sandbox.opcodes.purchase import buy_at_account_level, create_service, purchased
from sandbox.opcodes.registry import (
    Context,
    account_of,
    effective_time,
    elements,
    opcode,
    program_of,
    required,
    required_array,
    results,
)
from sandbox.opcodes.schedules import defer, future
from sandbox.opcodes.status import SET_STATUS, apply_statuses, with_results
from sandbox.store.pack import copied
from sandbox.store.sqlite import Tx

_REQUIRED_CONTACT: Final = ("ADDRESS", "CITY", "COUNTRY")
_DEFAULT_CURRENCY: Final = 840


@opcode("PCM_OP_CUST_COMMIT_CUSTOMER")
def commit_customer(ctx: Context, flist: Flist) -> Flist:
    """Create an account with bill units, payment records, balance groups, services and offers, or nothing at all."""
    tx, program = ctx.tx, program_of(flist)
    _check_plan(tx, required(flist, "POID"))
    effective: datetime = flist.get("EFFECTIVE_T") or effective_time(tx, flist)
    ((_, info), *_) = required_array(flist, "ACCTINFO").items()
    if isinstance(wanted := info.get("POID"), Poid) and wanted.type != "/account":
        raise BrmFault("BAD_POID_TYPE", "POID", f"{wanted} is no account")
    account = _create_account(tx, info, flist, effective)
    links = Links(tx, account, effective)
    links.add_payinfos(flist)
    billing = flist if flist.get("BILLINFO") else {**flist, "BILLINFO": Array.of({})}
    if flist.get("BILLINFO"):
        links.add_units(billing)
    else:
        links.units[0] = _default_unit(tx, account, links, effective)
    links.add_groups(billing)
    links.add_default_groups(billing)
    linked = next(iter(info.get("BAL_INFO") or {}), None)
    first_unit = tx.get(next(iter(links.units.values())))
    tx.edit(account["POID"])["BAL_GRP_OBJ"] = links.groups.get(linked) if linked is not None else first_unit["BAL_GRP_OBJ"]
    for given in elements(flist, "GROUP_INFO").values():
        join(tx, account["POID"], required(given, "PARENT"))
    what = Occurrence("/event/customer/register", f"Account {account['ACCOUNT_NO']}", tx.now, tx.now, program)
    events = [record(tx, account["POID"], None, what)]
    answer: Flist = {
        "POID": account["POID"],
        "ACCTINFO": Array.of({"POID": account["POID"], "ACCOUNT_NO": account["ACCOUNT_NO"]}),
        "BILLINFO": Array({element: _unit_answer(tx, poid) for element, poid in links.units.items()}),
    }
    return _attach(ctx, links, flist, answer, events, effective)


def _check_plan(tx: Tx, poid: Poid) -> None:
    """``/plan -1`` (or no plan) buys nothing by itself; another plan must be in the catalogue."""
    if poid.id > 0 and poid.type == "/plan" and plan_deals(tx, poid) is None:
        raise BrmFault("NOT_FOUND", "POID", f"{poid} is not in the catalogue")


def _create_account(tx: Tx, info: Flist, flist: Flist, effective: datetime) -> Flist:
    contacts = required_array(flist, "NAMEINFO")
    for element, contact in contacts.items():
        check_contact(contact, element)
    currency = _DEFAULT_CURRENCY if info.get("CURRENCY") is None else info["CURRENCY"]
    check_currency(currency)
    locale = next(iter(elements(flist, "LOCALES").values()), {}).get("LOCALE")
    account = tx.create(
        "/account",
        {
            "STATUS": int(State.ACTIVE),
            "STATUS_FLAGS": 0,
            "BUSINESS_TYPE": info.get("BUSINESS_TYPE") or 1,
            "CURRENCY": currency,
            "CURRENCY_SECONDARY": info.get("CURRENCY_SECONDARY"),
            "EFFECTIVE_T": effective,
            "LOCALE": locale or "en_US",
            "NAMEINFO": copied(contacts),
            **{name: value for name, value in info.items() if name.startswith("AAC_")},
        },
    )
    number = (info.get("ACCOUNT_NO") or "").strip()
    account["ACCOUNT_NO"] = number or f"{tx.db}-{account['POID'].id}"
    if len(tx.by_key("/account.ACCOUNT_NO", account["ACCOUNT_NO"])) > 1:
        raise BrmFault("DUPLICATE", "ACCOUNT_NO", f"account number {number!r} is taken")
    return account


def check_contact(contact: Flist, element: int | str) -> None:
    """Last name (or company), address, city and country are required by default."""
    rec_id = element if isinstance(element, int) else 0
    if not contact.get("LAST_NAME") and not contact.get("COMPANY"):
        raise BrmFault("MISSING_ARG", "LAST_NAME", "a contact needs a last name", rec_id=rec_id)
    for name in _REQUIRED_CONTACT:
        if not contact.get(name):
            raise BrmFault("MISSING_ARG", name, f"a contact needs {name}", rec_id=rec_id)


def _default_unit(tx: Tx, account: Flist, links: Links, effective: datetime) -> Poid:
    """Rule 13: invoice, monthly, open item, cycle day of creation."""
    payinfo = next(iter(links.payinfos.values()), None)
    if payinfo is None:
        payinfo = create_payinfo(tx, account, {"PAY_TYPE": PayType.INVOICE, "NAME": "Default"})["POID"]
    unit: Poid = create_unit(tx, account, {"PAY_TYPE": PayType.INVOICE}, payinfo, effective)["POID"]
    return unit


def _unit_answer(tx: Tx, poid: Poid) -> Flist:
    unit = tx.get(poid)
    return {"POID": poid, "BILLINFO_ID": unit["BILLINFO_ID"], "ACTG_CYCLE_DOM": unit["ACTG_CYCLE_DOM"]}


def _attach(ctx: Context, links: Links, flist: Flist, answer: Flist, events: list[Flist], when: datetime) -> Flist:
    """Services, offers and profiles of a new or existing customer; completes the answer with what was made."""
    tx = ctx.tx
    program = program_of(flist)
    if links.payinfos:
        answer["PAYINFO"] = Array({element: {"POID": poid} for element, poid in links.payinfos.items()})
    if links.groups:
        answer["BAL_INFO"] = Array(
            {element: {"POID": poid, "NAME": tx.get(poid)["NAME"]} for element, poid in links.groups.items()}
        )
    services = Array()
    for element, given in elements(flist, "SERVICES").items():
        services[element] = create_service(ctx, links, given, program, when, events)
    if services:
        answer["SERVICES"] = services
    for deal in elements(flist, "DEALS").values():
        bought = buy_at_account_level(ctx, links.account, deal, when, program)
        answer.update(purchased(tx, bought))
        events += bought.events
    profiles = Array()
    for element, given in elements(flist, "PROFILES").items():
        profiles[element] = {"PROFILE_OBJ": _create_profile(tx, links.account, given)}
    if profiles:
        answer["PROFILES"] = profiles
    answer["RESULTS"] = results(events)
    return answer


def _create_profile(tx: Tx, account: Flist, given: Flist) -> Poid:
    fields = {
        "ACCOUNT_OBJ": account["POID"],
        "SERVICE_OBJ": given.get("SERVICE_OBJ"),
        "NAME": given.get("NAME"),
        "EFFECTIVE_T": tx.now,
    }
    profile = tx.create(required(given, "PROFILE_OBJ").type, {**fields, **copied(given.get("INHERITED_INFO") or {})})
    poid: Poid = profile["POID"]
    return poid


@opcode("PCM_OP_CUST_MODIFY_CUSTOMER")
def modify_customer(ctx: Context, flist: Flist) -> Flist:
    """Add balance groups, services and offers to an existing account."""
    tx = ctx.tx
    program_of(flist)
    account = account_of(tx, flist, "ACCOUNT_OBJ")
    if account["STATUS"] == State.CLOSED:
        raise BrmFault("BAD_VALUE", "STATUS", "the account is closed")
    when = effective_time(tx, flist)
    links = Links(tx, account, when)
    links.add_groups(flist, default_unit(tx, account)["POID"])
    answer: Flist = {
        "POID": account["POID"],
        "ACCTINFO": Array.of({"POID": account["POID"], "ACCOUNT_NO": account["ACCOUNT_NO"]}),
    }
    return _attach(ctx, links, flist, answer, [], when)


@opcode("PCM_OP_CUST_UPDATE_CUSTOMER")
def update_customer(ctx: Context, flist: Flist) -> Flist:
    """Change names, locale, bill units, payment records and status in one transaction; fields not given stay.

    With END_T in the future the status waits in a schedule, as with SET_STATUS; everything else is changed now.
    """
    tx, program = ctx.tx, program_of(flist)
    account = tx.edit(account_of(tx, flist)["POID"])
    poid = account["POID"]
    events: list[Flist] = []

    def changed(part: str) -> None:
        events.append(record(tx, poid, None, Occurrence(f"/event/customer/{part}", f"Changed {part}", tx.now, tx.now, program)))

    for element, given in elements(flist, "NAMEINFO").items():
        contact = account["NAMEINFO"].setdefault(element, {})
        contact.update(copied(given))
        check_contact(contact, element)
        changed("nameinfo")
    for given in elements(flist, "LOCALES").values():
        account["LOCALE"] = given.get("LOCALE") or account["LOCALE"]
    business_type = flist.get("BUSINESS_TYPE") or next(iter(elements(flist, "ACCTINFO").values()), {}).get("BUSINESS_TYPE")
    if business_type is not None:
        account["BUSINESS_TYPE"] = business_type
    links = Links(tx, account, effective_time(tx, flist))
    links.units = {unit["BILLINFO_ID"]: unit["POID"] for unit in units_of(tx, poid)}
    _update_payinfos(tx, links, flist)
    units = _update_units(tx, links, flist)
    if links.payinfos or units:
        changed("billinfo")
    answer: Flist = {"POID": poid, "RESULTS": results(events)}
    if flist.get("STATUSES"):
        statuses: Flist = {"POID": poid, "PROGRAM_NAME": program, "STATUSES": Array(elements(flist, "STATUSES"))}
        if (when := future(tx, flist)) is not None:
            answer = with_results(answer, events, [defer(tx, SET_STATUS, account, statuses, when)])
        else:
            changes, waiting = apply_statuses(ctx, poid, statuses["STATUSES"], program)
            answer = with_results(answer, events + changes, waiting)
    if units:
        answer["BILLINFO"] = units
    if links.payinfos:
        answer["PAYINFO"] = Array({element: {"POID": each} for element, each in links.payinfos.items()})
    return answer


def _update_payinfos(tx: Tx, links: Links, flist: Flist) -> None:
    for element, given in elements(flist, "PAYINFO").items():
        existing = given.get("POID")
        if existing is None or existing.is_new:
            links.payinfos[element] = create_payinfo(tx, links.account, given)["POID"]
            continue
        stored = tx.edit(tx.get(existing, "PAYINFO")["POID"])
        stored.update(payinfo_fields(stored["POID"].type, given, stored))
        links.payinfos[element] = stored["POID"]


def _update_units(tx: Tx, links: Links, flist: Flist) -> Array:
    changed = Array()
    for element, given in elements(flist, "BILLINFO").items():
        poid = given.get("POID")
        if poid is None or poid.is_new:
            unit = create_unit(tx, links.account, given, links.payinfo_of(given), links.effective)
            links.units = {element: unit["POID"]}
            links.add_default_groups({"BILLINFO": Array({element: given})})
            changed[element] = {"POID": unit["POID"]}
        else:
            changed[element] = {"POID": change_unit(tx, links, given)["POID"]}
    return changed

"""Buying offers, and creating the services they are for (4.1, 4.3)."""

from __future__ import annotations

from datetime import datetime

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.cycles import catch_up
from sandbox.billing.ledger import Debtor, Occurrence, record
from sandbox.billing.limits import check_limits
from sandbox.billing.offers import Purchase, buy_deal, check_owners_active
from sandbox.codes import CALCULATE_ONLY, OfferStatus, State
from sandbox.errors import BrmFault
from sandbox.money import ZERO
from sandbox.opcodes.links import Links, own_fields
from sandbox.opcodes.registry import Context, account_of, effective_time, elements, opcode, program_of, required, results
from sandbox.store.pack import copied
from sandbox.store.sqlite import Tx


@opcode("PCM_OP_SUBSCRIPTION_PURCHASE_DEAL")
def purchase_deal(ctx: Context, flist: Flist) -> Flist:
    """Buy an ad-hoc or catalogue deal for a service, or for the account when no service is named.

    With opcode flag 128 nothing is written; TOTAL then holds the balance impacts per resource. Otherwise a balance that would
    go beyond its credit limit refuses the whole purchase: CREDIT_LIMIT_EXCEEDED.
    """
    tx, program = ctx.tx, program_of(flist)
    account = account_of(tx, flist)
    deal = required(flist, "DEAL_INFO")
    when = effective_time(tx, flist)
    service = flist.get("SERVICE_OBJ")
    if service is not None and not service.is_new:
        bought = _buy(ctx, _debtor_of_service(tx, account, service), deal, when, program)
    else:
        bought = buy_at_account_level(ctx, account, deal, when, program, flist)
    answer: Flist = {"POID": account["POID"], "PACKAGE_ID": bought.package_id}
    if ctx.flags & CALCULATE_ONLY:
        ctx.discard = True
        return {**answer, "TOTAL": _totals(bought.events)}
    return {**answer, **purchased(tx, bought), "RESULTS": results(bought.events)}


def _debtor_of_service(tx: Tx, account: Flist, poid: Poid) -> Debtor:
    service = tx.get(poid, "SERVICE_OBJ")
    if service["ACCOUNT_OBJ"] != account["POID"]:
        raise BrmFault("BAD_VALUE", "SERVICE_OBJ", f"{poid} belongs to another account")
    if service["STATUS"] == State.CLOSED:
        raise BrmFault("BAD_VALUE", "SERVICE_OBJ", f"{poid} is closed")
    return Debtor.of_group(tx, account["POID"], service["POID"], service["BAL_GRP_OBJ"])


def _buy(ctx: Context, debtor: Debtor, deal: Flist, when: datetime, program: str) -> Purchase:
    tx = ctx.tx
    _check_owners(tx, debtor, deal)
    catch_up(tx, debtor.unit["POID"])
    fresh = Debtor.of_group(tx, debtor.account, debtor.service, debtor.group)
    bought = buy_deal(tx, fresh, deal, when, program)
    if not ctx.flags & CALCULATE_ONLY:
        check_limits(tx, bought.events)
    return bought


def _check_owners(tx: Tx, debtor: Debtor, deal: Flist) -> None:
    """INV-09 and INV-10: nothing on a closed account; only offers bought inactive while account or service is suspended."""
    if tx.get(debtor.account)["STATUS"] == State.CLOSED:
        raise BrmFault("BAD_VALUE", "STATUS", "the account is closed")
    bought = [*elements(deal, "PRODUCTS").values(), *elements(deal, "DISCOUNTS").values()]
    if not bought or any(given.get("STATUS") in (None, OfferStatus.ACTIVE) for given in bought):
        check_owners_active(tx, debtor.account, debtor.service)


def buy_at_account_level(
    ctx: Context, account: Flist, deal: Flist, when: datetime, program: str, scope: Flist | None = None
) -> Purchase:
    """Buy for the account itself, billed by BILLINFO_OBJ of the call or of the offers, else by the default bill unit."""
    tx = ctx.tx
    given = next((each for each in elements(deal, "PRODUCTS").values() if each.get("BILLINFO_OBJ")), {})
    named = (scope or {}).get("BILLINFO_OBJ") or given.get("BILLINFO_OBJ")
    group = (scope or {}).get("BAL_GRP_OBJ") or (tx.get(named, "BILLINFO_OBJ")["BAL_GRP_OBJ"] if named else None)
    group = group or tx.get(account["POID"])["BAL_GRP_OBJ"]
    if tx.get(group, "BAL_GRP_OBJ")["ACCOUNT_OBJ"] != account["POID"]:
        raise BrmFault("BAD_VALUE", "BILLINFO_OBJ", "the bill unit belongs to another account")
    return _buy(ctx, Debtor.of_group(tx, account["POID"], None, group), deal, when, program)


def purchased(tx: Tx, bought: Purchase) -> Flist:
    """PRODUCTS and DISCOUNTS of an answer, under the element ids of the input."""
    answer: Flist = {}
    for name, key, offers in (("PRODUCTS", "PRODUCT_OBJ", bought.products), ("DISCOUNTS", "DISCOUNT_OBJ", bought.discounts)):
        if offers:
            answer[name] = Array({element: _offer_answer(tx.get(offer["POID"]), key) for element, offer in offers.items()})
    return answer


def _offer_answer(offer: Flist, key: str) -> Flist:
    answer = {"OFFERING_OBJ": offer["POID"], key: offer[key], "PACKAGE_ID": offer["PACKAGE_ID"], "STATUS": offer["STATUS"]}
    if offer.get("DESCR") is not None:
        answer["DESCR"] = offer["DESCR"]
    return answer


def _totals(events: list[Flist]) -> Array:
    totals = Array()
    for event in events:
        for impact in (event.get("BAL_IMPACTS") or {}).values():
            total = totals.setdefault(impact["RESOURCE_ID"], {"AMOUNT": ZERO})
            total["AMOUNT"] += impact["AMOUNT"]
    return totals


def create_service(ctx: Context, links: Links, given: Flist, program: str, when: datetime, events: list[Flist]) -> Flist:
    """Create (or, with an existing POID, address) a service and buy its deals; DUPLICATE @LOGIN when the login is taken."""
    tx, account = ctx.tx, links.account
    poid = required(given, "SERVICE_OBJ")
    if not poid.is_new:
        service = tx.get(_debtor_of_service(tx, account, poid).service or poid)
    else:
        service = _new_service(tx, links, given, when)
        what = Occurrence("/event/customer/service/create", f"Service {service['LOGIN']}", tx.now, tx.now, program)
        events.append(record(tx, account["POID"], service["POID"], what))
    answer: Flist = {"SERVICE_OBJ": service["POID"], "LOGIN": service["LOGIN"], "BAL_GRP_OBJ": service["BAL_GRP_OBJ"]}
    for deal in elements(given, "DEALS").values():
        bought = _buy(ctx, _debtor_of_service(tx, account, service["POID"]), deal, when, program)
        events += bought.events
        for name, offers in purchased(tx, bought).items():
            known = answer.setdefault(name, Array())
            for key, offer in offers.items():
                known[key if key not in known else max(known) + 1] = offer
    return answer


def _new_service(tx: Tx, links: Links, given: Flist, when: datetime) -> Flist:
    account = links.account
    group = links.group_of(given) or tx.get(account["POID"])["BAL_GRP_OBJ"]
    if tx.get(group)["ACCOUNT_OBJ"] != account["POID"]:
        raise BrmFault("BAD_VALUE", "BAL_GRP_OBJ", f"{group} belongs to another account")
    service = tx.create(
        given["SERVICE_OBJ"].type,
        {
            "ACCOUNT_OBJ": account["POID"],
            "LOGIN": given.get("LOGIN"),
            "SERVICE_ID": given.get("SERVICE_ID"),
            "STATUS": int(State.ACTIVE),
            "STATUS_FLAGS": 0,
            "BAL_GRP_OBJ": group,
            "EFFECTIVE_T": when,
            "ALIAS_LIST": copied(given.get("ALIAS_LIST")),
            **own_fields(given),
        },
    )
    service["LOGIN"] = service.get("LOGIN") or f"{tx.db}-{service['POID'].id}"
    return service

"""What a customer can buy: packages, bundles, and the bundles of a package (4.12)."""

from __future__ import annotations

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.catalogue import deal_products, find_product, is_permitted, plan_deals
from sandbox.errors import BrmFault
from sandbox.opcodes.registry import Context, account_of, opcode, required
from sandbox.store.sqlite import Tx


def _answer(flist: Flist, array: str, rows: list[Flist]) -> Flist:
    kept = rows[: flist.get("THRESHOLD") or len(rows)]
    return {"POID": flist["POID"], **({array: Array.of(*kept)} if kept else {})}


def _row(stored: Flist, field: str) -> Flist:
    kept = {name: stored[name] for name in ("CODE", "NAME", "DESCR") if stored.get(name) is not None}
    return {field: stored["POID"], **kept}


def _permitted(tx: Tx, deal: Poid) -> list[str]:
    """Service classes that the products of a bundle are for."""
    products = (find_product(tx, poid) for poid in deal_products(tx, deal) or ())
    return [product.permitted for product in products if product is not None]


def _deal_row(tx: Tx, deal: Flist) -> Flist:
    """A bundle with the narrowest class it can be bought for."""
    permitted = max(_permitted(tx, deal["POID"]), key=len, default="/account")
    return {**_row(deal, "DEAL_OBJ"), "PERMITTED": permitted}


@opcode("PCM_OP_CUST_POL_GET_PLANS")
def get_plans(ctx: Context, flist: Flist) -> Flist:
    """Packages of the price list, in order of id. There is one list of them: TYPE_STR makes no difference."""
    required(flist, "POID")
    return _answer(flist, "PLANS", [_row(plan, "PLAN_OBJ") for plan in ctx.tx.of_class("/plan")])


@opcode("PCM_OP_CUST_POL_GET_DEALS")
def get_deals(ctx: Context, flist: Flist) -> Flist:
    """Bundles that a service, or an account and any of its services, may buy: those all of whose products fit."""
    tx = ctx.tx
    account = account_of(tx, flist)
    services = tx.by_key("/service.ACCOUNT_OBJ", account["POID"])
    if flist.get("SERVICE_OBJ") is not None:
        services = [tx.get(flist["SERVICE_OBJ"], "SERVICE_OBJ")]
        if services[0]["ACCOUNT_OBJ"] != account["POID"]:
            raise BrmFault("BAD_VALUE", "SERVICE_OBJ", f"{services[0]['POID']} belongs to another account")
    owners = {service["POID"].type for service in services} | ({None} if flist.get("SERVICE_OBJ") is None else set())
    rows = [
        _deal_row(tx, deal)
        for deal in tx.of_class("/deal")
        if any(all(is_permitted(each, owner) for each in _permitted(tx, deal["POID"])) for owner in owners)
    ]
    return _answer(flist, "DEALS", rows)


@opcode("PCM_OP_SUBSCRIPTION_READ_PLAN_DEALS")
def read_plan_deals(ctx: Context, flist: Flist) -> Flist:
    """Bundles of a package, each with the class it is for and, of ACCOUNT_OBJ, the service that could take it; NOT_FOUND."""
    tx = ctx.tx
    deals = plan_deals(tx, required(flist, "POID"))
    if deals is None:
        raise BrmFault("NOT_FOUND", "POID", f"{flist['POID']} is not in the catalogue")
    services: list[Flist] = []
    if flist.get("ACCOUNT_OBJ") is not None:
        services = tx.by_key("/service.ACCOUNT_OBJ", account_of(tx, flist, "ACCOUNT_OBJ")["POID"])
    rows = []
    for deal in deals:
        row = _deal_row(tx, tx.get(deal))
        fitting = next((each["POID"] for each in services if is_permitted(row["PERMITTED"], each["POID"].type)), None)
        rows.append({**row, "SERVICE_OBJ": fitting} if fitting is not None else row)
    return _answer(flist, "DEALS", rows)

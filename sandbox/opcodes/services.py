"""Existing services: find by login, change login, status and balance group (4.1)."""

from __future__ import annotations

from libs.brm.flist import Array, Flist
from sandbox.billing.cycles import catch_up
from sandbox.billing.ledger import Occurrence, record
from sandbox.billing.offers import offers_of
from sandbox.billing.status import set_status
from sandbox.codes import OfferStatus
from sandbox.errors import BrmFault
from sandbox.opcodes.registry import Context, account_of, elements, opcode, program_of, required, required_array, results
from sandbox.store.pack import copied
from sandbox.store.sqlite import Tx


@opcode("PCM_OP_ACT_FIND")
def act_find(ctx: Context, flist: Flist) -> Flist:
    """The service with a login, within the class (and subclasses) of the given POID; NOT_FOUND @LOGIN."""
    type_ = required(flist, "POID").type
    for service in ctx.tx.by_key("/service.LOGIN", required(flist, "LOGIN")):
        stored = service["POID"].type
        if stored == type_ or stored.startswith(type_ + "/"):
            return {name: service[name] for name in ("POID", "ACCOUNT_OBJ", "LOGIN", "STATUS")}
    raise BrmFault("NOT_FOUND", "LOGIN", f"no {type_} with login {flist['LOGIN']!r}")


@opcode("PCM_OP_CUST_UPDATE_SERVICES")
def update_services(ctx: Context, flist: Flist) -> Flist:
    """Change services of an account; suspending, resuming and closing cascade to their offers."""
    tx, program = ctx.tx, program_of(flist)
    account = account_of(tx, flist)
    answer, events = Array(), []
    for element, given in required_array(flist, "SERVICES").items():
        poid = given.get("SERVICE_OBJ") or required(given, "POID")
        service = tx.get(poid, "SERVICE_OBJ", "NOT_FOUND")
        if service["ACCOUNT_OBJ"] != account["POID"]:
            raise BrmFault("NOT_FOUND", "SERVICE_OBJ", f"{poid} belongs to another account")
        catch_up(tx, tx.get(service["BAL_GRP_OBJ"])["BILLINFO_OBJ"])
        events += _change(tx, service, given, program)
        for status in elements(given, "STATUSES").values():
            flags = status.get("STATUS_FLAGS") or 0
            events += set_status(tx, tx.get(service["POID"]), required(status, "STATUS"), flags, program)
        current = tx.get(service["POID"])
        shown = {"POID": current["POID"], "SERVICE_OBJ": current["POID"]}
        answer[element] = {**shown, "LOGIN": current["LOGIN"], "STATUS": current["STATUS"]}
    return {"POID": account["POID"], "SERVICES": answer, **({"RESULTS": results(events)} if events else {})}


def _change(tx: Tx, service: Flist, given: Flist, program: str) -> list[Flist]:
    wanted = {name: given[name] for name in ("LOGIN", "SERVICE_ID", "ALIAS_LIST") if given.get(name) is not None}
    wanted.update(given.get("INHERITED_INFO") or {})
    group = given.get("BAL_GRP_OBJ")
    changes = {name: value for name, value in wanted.items() if service.get(name) != value}
    moves = group is not None and group != service["BAL_GRP_OBJ"]
    if not changes and not moves:
        return []
    changed = tx.edit(service["POID"])
    changed.update(copied(changes))
    if moves and group is not None:
        _move(tx, changed, tx.get(group, "BAL_GRP_OBJ"))
    what = Occurrence("/event/customer/service/modify", f"Service {changed['LOGIN']}", tx.now, tx.now, program)
    return [record(tx, changed["ACCOUNT_OBJ"], changed["POID"], what)]


def _move(tx: Tx, service: Flist, group: Flist) -> None:
    """The service and its offers charge the new group from now on; old balances stay behind."""
    if group["ACCOUNT_OBJ"] != service["ACCOUNT_OBJ"]:
        raise BrmFault("BAD_VALUE", "BAL_GRP_OBJ", f"{group['POID']} belongs to another account")
    service["BAL_GRP_OBJ"] = group["POID"]
    for offer in offers_of(tx, service):
        if offer["STATUS"] != OfferStatus.CANCELLED:
            tx.edit(offer["POID"]).update(BAL_GRP_OBJ=group["POID"], BILLINFO_OBJ=group["BILLINFO_OBJ"])

"""Existing services: find by login, change login, status and balance group (4.1)."""

from __future__ import annotations

from typing import Final

from libs.brm.flist import Array, Flist
from sandbox.billing.cycles import catch_up
from sandbox.billing.ledger import Occurrence, record
from sandbox.errors import BrmFault
from sandbox.opcodes.balance_groups import move_service
from sandbox.opcodes.links import own_fields
from sandbox.opcodes.registry import Context, account_of, elements, opcode, program_of, required, required_array
from sandbox.opcodes.schedules import defer_each, future
from sandbox.opcodes.status import apply_statuses, with_results
from sandbox.store.pack import copied
from sandbox.store.sqlite import Tx

UPDATE_SERVICES: Final = "PCM_OP_CUST_UPDATE_SERVICES"


@opcode("PCM_OP_ACT_FIND")
def act_find(ctx: Context, flist: Flist) -> Flist:
    """The service with a login, within the class (and subclasses) of the given POID; NOT_FOUND @LOGIN."""
    type_ = required(flist, "POID").type
    for service in ctx.tx.by_key("/service.LOGIN", required(flist, "LOGIN")):
        stored = service["POID"].type
        if stored == type_ or stored.startswith(type_ + "/"):
            return {name: service[name] for name in ("POID", "ACCOUNT_OBJ", "LOGIN", "STATUS")}
    raise BrmFault("NOT_FOUND", "LOGIN", f"no {type_} with login {flist['LOGIN']!r}")


@opcode(UPDATE_SERVICES)
def update_services(ctx: Context, flist: Flist) -> Flist:
    """Change services of an account; suspending, resuming and closing cascade to their offers. With END_T in the future all of
    it waits in schedules, one per service."""
    tx, program = ctx.tx, program_of(flist)
    account = account_of(tx, flist)
    given_services = required_array(flist, "SERVICES")
    services = {element: _owned(tx, account, given) for element, given in given_services.items()}
    answer, events, schedules = Array(), list[Flist](), list[Flist]()
    if (when := future(tx, flist)) is not None:
        schedules = defer_each(tx, UPDATE_SERVICES, flist, "SERVICES", services, when)
        return with_results({"POID": account["POID"], "SERVICES": _shown(services)}, events, schedules)
    for element, given in given_services.items():
        service = services[element]
        catch_up(tx, tx.get(service["BAL_GRP_OBJ"])["BILLINFO_OBJ"])
        events += change_service(tx, service, given, program)
        changed, waiting = apply_statuses(ctx, service["POID"], Array(elements(given, "STATUSES")), program)
        events += changed
        schedules += waiting
        answer.update(_shown({element: tx.get(service["POID"])}))
    return with_results({"POID": account["POID"], "SERVICES": answer}, events, schedules)


def _owned(tx: Tx, account: Flist, given: Flist) -> Flist:
    poid = given.get("SERVICE_OBJ") or required(given, "POID")
    service = tx.get(poid, "SERVICE_OBJ", "NOT_FOUND")
    if service["ACCOUNT_OBJ"] != account["POID"]:
        raise BrmFault("NOT_FOUND", "SERVICE_OBJ", f"{poid} belongs to another account")
    return service


def _shown(services: dict[int | str, Flist]) -> Array:
    return Array(
        {
            element: {"POID": each["POID"], "SERVICE_OBJ": each["POID"], "LOGIN": each["LOGIN"], "STATUS": each["STATUS"]}
            for element, each in services.items()
        }
    )


def change_service(tx: Tx, service: Flist, given: Flist, program: str) -> list[Flist]:
    """Change login, number, aliases, balance group and own fields of a service; the event, none when nothing differs."""
    wanted = {name: given[name] for name in ("LOGIN", "SERVICE_ID", "ALIAS_LIST") if given.get(name) is not None}
    wanted.update(own_fields(given))
    group = given.get("BAL_GRP_OBJ")
    changes = {name: value for name, value in wanted.items() if service.get(name) != value}
    moves = group is not None and group != service["BAL_GRP_OBJ"]
    if not changes and not moves:
        return []
    changed = tx.edit(service["POID"])
    changed.update(copied(changes))
    if moves and group is not None:
        target = tx.get(group, "BAL_GRP_OBJ")
        if target["ACCOUNT_OBJ"] != changed["ACCOUNT_OBJ"]:
            raise BrmFault("BAD_VALUE", "BAL_GRP_OBJ", f"{target['POID']} belongs to another account")
        move_service(tx, changed, target)
    what = Occurrence("/event/customer/service/modify", f"Service {changed['LOGIN']}", tx.now, tx.now, program)
    return [record(tx, changed["ACCOUNT_OBJ"], changed["POID"], what)]

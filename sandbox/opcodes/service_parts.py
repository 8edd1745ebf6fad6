"""Building blocks of services: create one by itself, change its login (4.1)."""

from __future__ import annotations

from libs.brm.flist import Flist
from sandbox.billing.ledger import Occurrence, record
from sandbox.codes import State
from sandbox.errors import BrmFault
from sandbox.opcodes.links import Links
from sandbox.opcodes.purchase import create_service
from sandbox.opcodes.registry import Context, account_of, done, effective_time, elements, opcode, program_of, required


@opcode("PCM_OP_CUST_CREATE_SERVICE")
def cust_create_service(ctx: Context, flist: Flist) -> Flist:
    """A service of an account on one of its balance groups, the default one unless named; DUPLICATE @LOGIN."""
    tx, program = ctx.tx, program_of(flist)
    account = account_of(tx, flist, "ACCOUNT_OBJ")
    if account["STATUS"] == State.CLOSED:
        raise BrmFault("BAD_VALUE", "STATUS", "the account is closed")
    events: list[Flist] = []
    given: Flist = {**flist, **next(iter(elements(flist, "SERVICES").values()), {})}
    given["SERVICE_OBJ"] = given.get("SERVICE_OBJ") or required(flist, "POID")
    given.pop("DEALS", None)
    links = Links(tx, account, effective_time(tx, flist))
    made = create_service(ctx, links, given, program, effective_time(tx, flist), events)
    if given.get("SUBSCRIPTION_OBJ") is not None:
        tx.edit(made["SERVICE_OBJ"])["SUBSCRIPTION_OBJ"] = tx.get(given["SUBSCRIPTION_OBJ"], "SUBSCRIPTION_OBJ")["POID"]
    return {**done(made["SERVICE_OBJ"], events), **made}


@opcode("PCM_OP_CUST_SET_LOGIN")
def set_login(ctx: Context, flist: Flist) -> Flist:
    """Change the login of a service; DUPLICATE @LOGIN when another one has it. The same login again is a no-op."""
    tx, program = ctx.tx, program_of(flist)
    given = next(iter(elements(flist, "LOGINS").values()), flist)
    service = tx.get(required(flist, "POID"), error="NOT_FOUND")
    if not service["POID"].type.startswith("/service"):
        raise BrmFault("BAD_POID_TYPE", "POID", f"{service['POID']} is no service")
    login = required(given, "LOGIN")
    if service["LOGIN"] == login:
        return {"POID": service["POID"], "LOGIN": login}
    tx.edit(service["POID"])["LOGIN"] = login
    what = Occurrence("/event/customer/login", f"Login {login}", tx.now, tx.now, program)
    return {**done(service["POID"], [record(tx, service["ACCOUNT_OBJ"], service["POID"], what)]), "LOGIN": login}

"""Building blocks of services: create one by itself, change its login (4.1)."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Final

from libs.brm.flist import Flist
from sandbox.billing.ledger import Occurrence, record
from sandbox.codes import State
from sandbox.errors import BrmFault
from sandbox.opcodes.links import Links
from sandbox.opcodes.purchase import create_service
from sandbox.opcodes.registry import Context, account_of, done, effective_time, elements, opcode, program_of, required
from sandbox.opcodes.services import change_service
from sandbox.store.sqlite import Tx

_SALT: Final = 16
"""Bytes of salt before a password's hash."""


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


def _service(tx: Tx, flist: Flist) -> Flist:
    service = tx.get(required(flist, "POID"), error="NOT_FOUND")
    if not service["POID"].type.startswith("/service"):
        raise BrmFault("BAD_POID_TYPE", "POID", f"{service['POID']} is no service")
    return service


def _is_password(service: Flist, password: str) -> bool:
    stored: bytes | None = service.get("_passwd")
    return stored is not None and hmac.compare_digest(stored[_SALT:], _hashed(password, stored[:_SALT])[_SALT:])


def _hashed(password: str, salt: bytes) -> bytes:
    """Salt and hash of a password; the password itself is not kept."""
    return salt + hashlib.scrypt(password.encode(), salt=salt, n=2**10, r=8, p=1)


@opcode("PCM_OP_CUST_SET_PASSWD")
def set_passwd(ctx: Context, flist: Flist) -> Flist:
    """Change the password of a service, of which only a salted hash is kept; the same again is a no-op."""
    tx, program = ctx.tx, program_of(flist)
    service, password = _service(tx, flist), str(required(flist, "PASSWD_CLEAR"))
    if _is_password(service, password):
        return {"POID": service["POID"]}
    tx.edit(service["POID"])["_passwd"] = _hashed(password, os.urandom(_SALT))
    what = Occurrence("/event/customer/password", "Password", tx.now, tx.now, program)
    return done(service["POID"], [record(tx, service["ACCOUNT_OBJ"], service["POID"], what)])


@opcode("PCM_OP_CUST_INIT_SERVICE")
def init_service(ctx: Context, flist: Flist) -> Flist:
    """Give a service its login, password, number, aliases and own fields; what is not given stays."""
    tx, program = ctx.tx, program_of(flist)
    service = _service(tx, flist)
    if service["STATUS"] == State.CLOSED:
        raise BrmFault("BAD_VALUE", "POID", f"{service['POID']} is closed")
    if flist.get("ACCOUNT_OBJ") not in (None, service["ACCOUNT_OBJ"]):
        raise BrmFault("BAD_VALUE", "ACCOUNT_OBJ", f"{service['POID']} belongs to another account")
    events: list[Flist] = []
    if flist.get("PASSWD_CLEAR"):
        events += elements(set_passwd(ctx, flist), "RESULTS").values()
    names = ("LOGIN", "SERVICE_ID", "ALIAS_LIST", "BAL_GRP_OBJ", "INHERITED_INFO")
    change = {"SERVICE_OBJ": service["POID"], **{name: flist[name] for name in names if flist.get(name) is not None}}
    events += change_service(tx, tx.get(service["POID"]), change, program)
    return done(service["POID"], events)


@opcode("PCM_OP_CUST_SET_LOGIN")
def set_login(ctx: Context, flist: Flist) -> Flist:
    """Change the login of a service; DUPLICATE @LOGIN when another one has it. The same login again is a no-op."""
    tx, program = ctx.tx, program_of(flist)
    given = next(iter(elements(flist, "LOGINS").values()), flist)
    service = _service(tx, flist)
    login = required(given, "LOGIN")
    if service["LOGIN"] == login:
        return {"POID": service["POID"], "LOGIN": login}
    tx.edit(service["POID"])["LOGIN"] = login
    what = Occurrence("/event/customer/login", f"Login {login}", tx.now, tx.now, program)
    return {**done(service["POID"], [record(tx, service["ACCOUNT_OBJ"], service["POID"], what)]), "LOGIN": login}

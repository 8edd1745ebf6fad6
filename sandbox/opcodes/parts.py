"""Single parts of a customer: account data, contacts, locale, business type, tax data; and bare accounts (4.1)."""

from __future__ import annotations

from typing import Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.ledger import Occurrence, record
from sandbox.opcodes.accounts import check_contact, commit_customer
from sandbox.opcodes.registry import (
    Context,
    account_of,
    done,
    elements,
    opcode,
    program_of,
    required,
    required_array,
)
from sandbox.store.pack import copied
from sandbox.store.sqlite import Tx

_ACCOUNT_FIELDS: Final = ("BUSINESS_TYPE", "CURRENCY_SECONDARY")
_FLAT: Final = (*_ACCOUNT_FIELDS, "ACCOUNT_NO", "CURRENCY")
_TAX_FIELDS: Final = ("VAT_CERT", "INCORPORATED_FLAG", "RESIDENCE_FLAG")


def _changed(tx: Tx, account: Poid, part: str, program: str) -> Flist:
    what = Occurrence(f"/event/customer/{part}", f"Changed {part}", tx.now, tx.now, program)
    return done(account, [record(tx, account, None, what)])


def _set(ctx: Context, flist: Flist, wanted: Flist, part: str) -> Flist:
    """Set fields of an account; the same values again change nothing and leave no event."""
    tx, program = ctx.tx, program_of(flist)
    account = account_of(tx, flist)
    changes = {name: value for name, value in wanted.items() if value is not None and account.get(name) != value}
    if not changes:
        return {"POID": account["POID"]}
    tx.edit(account["POID"]).update(copied(changes))
    return _changed(tx, account["POID"], part, program)


@opcode("PCM_OP_CUST_SET_ACCTINFO")
def set_acctinfo(ctx: Context, flist: Flist) -> Flist:
    """Business type, secondary currency, account number and access fields of an account; DUPLICATE @ACCOUNT_NO."""
    given = next(iter(elements(flist, "ACCTINFO").values()), flist)
    number = (given.get("ACCOUNT_NO") or "").strip() or None
    fields = {name: given.get(name) for name in _ACCOUNT_FIELDS}
    fields.update((name, value) for name, value in given.items() if name.startswith("AAC_"))
    return _set(ctx, flist, {**fields, "ACCOUNT_NO": number}, "acctinfo")


@opcode("PCM_OP_CUST_SET_NAMEINFO")
def set_nameinfo(ctx: Context, flist: Flist) -> Flist:
    """Contacts of an account, slot by slot; fields not given stay."""
    tx, program = ctx.tx, program_of(flist)
    account = account_of(tx, flist)
    contacts = copied(account["NAMEINFO"])
    for element, given in required_array(flist, "NAMEINFO").items():
        contacts.setdefault(element, {}).update(copied(given))
        check_contact(contacts[element], element)
    if contacts == account["NAMEINFO"]:
        return {"POID": account["POID"]}
    tx.edit(account["POID"])["NAMEINFO"] = contacts
    return _changed(tx, account["POID"], "nameinfo", program)


@opcode("PCM_OP_CUST_SET_LOCALE")
def set_locale(ctx: Context, flist: Flist) -> Flist:
    """The language of an account's documents."""
    given = next(iter(elements(flist, "LOCALES").values()), flist)
    return _set(ctx, flist, {"LOCALE": required(given, "LOCALE")}, "locale")


@opcode("PCM_OP_CUST_SET_BUSINESS_TYPE")
def set_business_type(ctx: Context, flist: Flist) -> Flist:
    """Whether an account is a consumer's (1) or a business (2)."""
    return _set(ctx, flist, {"BUSINESS_TYPE": required(flist, "BUSINESS_TYPE")}, "business_type")


@opcode("PCM_OP_CUST_SET_TAXINFO")
def set_taxinfo(ctx: Context, flist: Flist) -> Flist:
    """Tax data of an account; exemptions replace those of the same element."""
    exemptions = copied(account_of(ctx.tx, flist).get("EXEMPTIONS") or Array())
    for element, given in elements(flist, "EXEMPTIONS").items():
        exemptions[element] = copied(given)
    fields = {name: flist.get(name) for name in _TAX_FIELDS}
    return _set(ctx, flist, {**fields, "EXEMPTIONS": exemptions or None}, "taxinfo")


@opcode("PCM_OP_CUST_CREATE_ACCT")
def create_acct(ctx: Context, flist: Flist) -> Flist:
    """A bare account with the default bill unit and balance group; account data may be flat or in ACCTINFO."""
    flat = {name: flist[name] for name in _FLAT if flist.get(name) is not None}
    info = {**flat, **next(iter(elements(flist, "ACCTINFO").values()), {})}
    kept = ("PROGRAM_NAME", "START_T", "END_T", "EFFECTIVE_T", "NAMEINFO", "LOCALES")
    plain = {name: flist[name] for name in kept if name in flist}
    plan = Poid(ctx.tx.db, "/plan", -1)
    answer = commit_customer(ctx, {**plain, "POID": plan, "ACCTINFO": Array.of({**info, "POID": required(flist, "POID")})})
    return {"POID": answer["POID"], "ACCOUNT_NO": answer["ACCTINFO"][0]["ACCOUNT_NO"], "RESULTS": answer["RESULTS"]}


@opcode("PCM_OP_CUST_CREATE_CUSTOMER")
def create_customer(ctx: Context, flist: Flist) -> Flist:
    """COMMIT_CUSTOMER without buying anything: deals of the input are left out."""
    services = {element: _undealt(given) for element, given in elements(flist, "SERVICES").items()}
    rest = {name: value for name, value in flist.items() if name != "DEALS"}
    return commit_customer(ctx, {**rest, **({"SERVICES": Array(services)} if services else {})})


def _undealt(given: Flist) -> Flist:
    return {name: value for name, value in given.items() if name != "DEALS"}

"""Extension data of accounts and services, such as friends-and-family lists (``/profile/serv_extrating``, 4.1, 4.3)."""

from __future__ import annotations

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.ledger import Occurrence, record
from sandbox.codes import State
from sandbox.errors import BrmFault
from sandbox.opcodes.registry import Context, account_of, done, elements, opcode, program_of, required, required_array
from sandbox.store.pack import copied
from sandbox.store.sqlite import Tx

_TOP: tuple[str, ...] = ("NAME", "EFFECTIVE_T", "DESCR")


def create(tx: Tx, account: Flist, given: Flist) -> Flist:
    """A profile of an account or one of its services; DUPLICATE @NAME when it has one of that name and class."""
    wanted = required(given, "PROFILE_OBJ")
    if not wanted.type.startswith("/profile"):
        raise BrmFault("BAD_POID_TYPE", "PROFILE_OBJ", f"{wanted} is no profile")
    if account["STATUS"] == State.CLOSED:
        raise BrmFault("BAD_VALUE", "STATUS", "the account is closed")
    service = given.get("SERVICE_OBJ")
    if service is not None and tx.get(service, "SERVICE_OBJ")["ACCOUNT_OBJ"] != account["POID"]:
        raise BrmFault("BAD_VALUE", "SERVICE_OBJ", f"{service} belongs to another account")
    name = given.get("NAME")
    for other in tx.by_key("/profile.ACCOUNT_OBJ", account["POID"]):
        same = (other["POID"].type, other.get("SERVICE_OBJ"), other.get("NAME")) == (wanted.type, service, name)
        if name is not None and same:
            raise BrmFault("DUPLICATE", "NAME", f"there is a profile {name!r}")
    fields: Flist = {"ACCOUNT_OBJ": account["POID"], "SERVICE_OBJ": service, "NAME": name}
    fields["EFFECTIVE_T"] = given.get("EFFECTIVE_T") or tx.now
    return tx.create(wanted.type, {**fields, **copied(given.get("INHERITED_INFO") or {})})


def _modify(tx: Tx, given: Flist) -> Flist:
    """Fields given replace; entries of DATA_ARRAY replace by element id, and an entry without a body goes away."""
    profile = tx.edit(_profile(tx, required(given, "PROFILE_OBJ"))["POID"])
    profile.update({name: given[name] for name in _TOP if given.get(name) is not None})
    for name, value in (given.get("INHERITED_INFO") or {}).items():
        if isinstance(value, Array):
            entries = profile.setdefault(name, Array())
            for element, body in value.items():
                if body:
                    entries[element] = copied(body)
                else:
                    entries.pop(element, None)
        else:
            profile[name] = copied(value)
    return profile


def _profile(tx: Tx, poid: Poid) -> Flist:
    profile = tx.get(poid, "PROFILE_OBJ", "NOT_FOUND")
    if not profile["POID"].type.startswith("/profile"):
        raise BrmFault("BAD_POID_TYPE", "PROFILE_OBJ", f"{profile['POID']} is no profile")
    return profile


def _delete(tx: Tx, poid: Poid) -> Flist:
    profile = _profile(tx, poid)
    for group in tx.by_key("/group.PARENT", profile["ACCOUNT_OBJ"]):
        if any(each.get("PROFILE_OBJ") == profile["POID"] for each in (group.get("PROFILES") or {}).values()):
            raise BrmFault("BAD_VALUE", "PROFILE_OBJ", f"{profile['POID']} is shared by {group['POID']}")
    tx.delete(profile["POID"])
    return profile


def _event(tx: Tx, profile: Flist, what: str, program: str) -> Flist:
    descr = f"{what} profile {profile.get('NAME') or profile['POID'].type}"
    occurrence = Occurrence("/event/customer/profile", descr, tx.now, tx.now, program)
    return record(tx, profile["ACCOUNT_OBJ"], profile.get("SERVICE_OBJ"), occurrence)


def _answer(flist: Flist, made: Array, events: list[Flist]) -> Flist:
    return {**done(flist["POID"], events), "PROFILES": made}


@opcode("PCM_OP_CUST_CREATE_PROFILE")
def create_profile(ctx: Context, flist: Flist) -> Flist:
    """Profiles of an account or its services; DUPLICATE @NAME within (account, service, class)."""
    tx, program = ctx.tx, program_of(flist)
    account = account_of(tx, flist, "ACCOUNT_OBJ")
    made, events = Array(), []
    for element, given in required_array(flist, "PROFILES").items():
        profile = create(tx, account, given)
        made[element] = {"PROFILE_OBJ": profile["POID"]}
        events.append(_event(tx, profile, "Created", program))
    return _answer(flist, made, events)


@opcode("PCM_OP_CUST_MODIFY_PROFILE")
def modify_profile(ctx: Context, flist: Flist) -> Flist:
    """Change profiles; entries given replace those of the same element id."""
    tx, program = ctx.tx, program_of(flist)
    made, events = Array(), []
    for element, given in required_array(flist, "PROFILES").items():
        profile = _modify(tx, given)
        made[element] = {"PROFILE_OBJ": profile["POID"]}
        events.append(_event(tx, profile, "Changed", program))
    return _answer(flist, made, events)


@opcode("PCM_OP_CUST_DELETE_PROFILE")
def delete_profile(ctx: Context, flist: Flist) -> Flist:
    """Delete the profile named by POID; NOT_FOUND when there is none, BAD_VALUE while it is shared."""
    tx, program = ctx.tx, program_of(flist)
    profile = _delete(tx, required(flist, "POID"))
    return done(flist["POID"], [_event(tx, profile, "Deleted", program)])


@opcode("PCM_OP_SUBSCRIPTION_PROVISION_ERA")
def provision_era(ctx: Context, flist: Flist) -> Flist:
    """Create, modify or delete special-rating lists (ACTION ``create``, ``modify``, ``delete``)."""
    tx, program = ctx.tx, program_of(flist)
    action = str(required(flist, "ACTION")).lower()
    account = account_of(tx, flist, "ACCOUNT_OBJ" if flist.get("ACCOUNT_OBJ") else "POID")
    made, events = Array(), []
    for element, given in elements(flist, "PROFILES").items():
        match action:
            case "create":
                profile = create(tx, account, {"SERVICE_OBJ": flist.get("SERVICE_OBJ"), **given})
            case "modify":
                profile = _modify(tx, given)
            case "delete":
                profile = _delete(tx, required(given, "PROFILE_OBJ"))
            case _:
                raise BrmFault("BAD_VALUE", "ACTION", f"{action!r} is none of create, modify, delete")
        made[element] = {"PROFILE_OBJ": profile["POID"]}
        events.append(_event(tx, profile, action.capitalize(), program))
    return _answer(flist, made, events)

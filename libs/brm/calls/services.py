"""Services, profiles and balance groups on their own (specification 4.1). Common arguments as in ``customer``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from libs.brm.call import BrmCall
from libs.brm.calls.parties import BalanceGroup
from libs.brm.calls.values import PROGRAM_NAME, PoidLike, audit, given, given_poid, merged, new, poid
from libs.brm.codes import ListAction
from libs.brm.flist import Array, Flist
from libs.brm.poid import DEFAULT_DB

SPECIAL_RATING: Final = "/profile/serv_extrating"
"""Class of special rating lists of a service, such as friends and family."""

NUMBER: Final = "number"
"""Name of an entry that holds a called number [recall]."""


@dataclass(frozen=True, slots=True)
class ProfileEntry:
    """One entry of a special rating list: a called number, a group of numbers."""

    name: str
    value: str
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    """End-dating an entry is how to take it off."""

    def flist(self) -> Flist:
        """``DATA_ARRAY`` element."""
        return given(NAME=self.name, VALUE=self.value, VALID_FROM=self.valid_from, VALID_TO=self.valid_to)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Extension data of an account or a service (``PROFILES[n]``); for a change only what is given changes."""

    name: str = ""
    """Natural key together with account and service."""
    service: PoidLike | None = None
    label: str = ""
    """Kind of the list, ``FRIENDS_FAMILY``."""
    entries: Mapping[int, ProfileEntry | None] | None = None
    """By element id; a change replaces the entries it names, and removes those for which it names ``None``."""
    status: int | None = None
    effective: datetime | None = None
    type: str = SPECIAL_RATING
    poid: PoidLike | None = None
    """The existing profile; ``None`` creates one."""

    def flist(self, db: str) -> Flist:
        """``PROFILES`` element."""
        info = given(STATUS=self.status)
        if self.label:
            info["EXTRATING"] = {"LABEL": self.label}
        if self.entries:
            info["DATA_ARRAY"] = Array({element: entry and entry.flist() for element, entry in self.entries.items()})
        return merged(
            {"PROFILE_OBJ": poid(self.poid) if self.poid is not None else new(self.type, db)},
            given_poid(SERVICE_OBJ=self.service),
            given(NAME=self.name, EFFECTIVE_T=self.effective),
            {"INHERITED_INFO": info} if info else {},
        )


def create_service(
    account: PoidLike,
    service_type: str,
    login: str,
    *,
    balance_group: PoidLike | None = None,
    subscription: PoidLike | None = None,
    service_id: str = "",
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    at: datetime | None = None,
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Create a bare service; MODIFY_CUSTOMER also buys its offers in the same transaction. Output: ``POID``.

    Repeating: refused as DUPLICATE @LOGIN; natural key: class and login. Source: [recall].
    """
    return BrmCall(
        "PCM_OP_CUST_CREATE_SERVICE",
        merged(
            {"POID": new(service_type, db), "ACCOUNT_OBJ": poid(account)},
            audit(program_name, descr, at),
            given(LOGIN=login, SERVICE_ID=service_id),
            given_poid(BAL_GRP_OBJ=balance_group, SUBSCRIPTION_OBJ=subscription),
        ),
    )


def set_login(
    service: PoidLike, login: str, *, program_name: str = PROGRAM_NAME, descr: str = "", at: datetime | None = None
) -> BrmCall:
    """Change a service's login.

    Repeating: no further effect. Source: [recall].
    """
    return BrmCall(
        "PCM_OP_CUST_SET_LOGIN",
        merged({"POID": poid(service)}, audit(program_name, descr, at), {"LOGINS": Array.of({"LOGIN": login})}),
    )


def create_profile(
    account: PoidLike,
    profiles: Sequence[Profile],
    *,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Create profiles. Output: ``PROFILES[n].PROFILE_OBJ`` under the input's element ids.

    Repeating: creates others; natural key: account, service and name. Source: [recall].
    """
    fields = {"POID": new("/profile", db), "ACCOUNT_OBJ": poid(account)}
    return BrmCall("PCM_OP_CUST_CREATE_PROFILE", merged(fields, audit(program_name, descr), _profiles(profiles, db)))


def modify_profile(
    account: PoidLike,
    profiles: Sequence[Profile],
    *,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Change profiles; each needs its ``poid``. Entries that are given replace those with the same element id.

    Repeating: no further effect. Source: [recall].
    """
    fields = {"POID": new("/profile", db), "ACCOUNT_OBJ": poid(account)}
    return BrmCall("PCM_OP_CUST_MODIFY_PROFILE", merged(fields, audit(program_name, descr), _profiles(profiles, db)))


def delete_profile(profile: PoidLike, *, program_name: str = PROGRAM_NAME, descr: str = "") -> BrmCall:
    """Delete a profile.

    Repeating: NOT_FOUND, which counts as done. Source: [recall].
    """
    return BrmCall("PCM_OP_CUST_DELETE_PROFILE", {"POID": poid(profile)} | audit(program_name, descr))


def provision_era(
    account: PoidLike,
    action: ListAction,
    profiles: Sequence[Profile],
    *,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Create, modify or delete special rating profiles through one opcode. Output as for :func:`create_profile`.

    Repeating: as the opcodes it stands for. Source: [MOS 2208227.1], fields [recall].
    """
    fields = merged({"POID": poid(account)}, audit(program_name, descr), {"ACTION": str(action)}, _profiles(profiles, db))
    return BrmCall("PCM_OP_SUBSCRIPTION_PROVISION_ERA", fields)


def set_bal_grp(
    group: PoidLike,
    *,
    account: PoidLike | None = None,
    billinfo: PoidLike | None = None,
    name: str = "",
    services: Sequence[PoidLike] = (),
    program_name: str = PROGRAM_NAME,
    descr: str = "",
) -> BrmCall:
    """Attach a balance group to a bill unit or to services, or rename it.

    Repeating: no further effect. Source: [OG 13], [recall].
    """
    attached = Array.of(*({"SERVICE_OBJ": poid(service)} for service in services))
    return BrmCall(
        "PCM_OP_CUST_SET_BAL_GRP",
        merged(
            {"POID": poid(group)},
            given_poid(ACCOUNT_OBJ=account),
            audit(program_name, descr),
            given_poid(BILLINFO_OBJ=billinfo),
            given(NAME=name),
            {"SERVICES": attached} if attached else {},
        ),
    )


def modify_bal_grp(
    group: BalanceGroup, *, account: PoidLike | None = None, program_name: str = PROGRAM_NAME, descr: str = ""
) -> BrmCall:
    """Change name or credit limits of the balance group ``group.poid``.

    Repeating: no further effect. Source: [OG 13], [recall].
    """
    fields = {name: value for name, value in group.flist(DEFAULT_DB).items() if name != "BILLINFO_OBJ"}
    return BrmCall("PCM_OP_CUST_MODIFY_BAL_GRP", merged(fields, given_poid(ACCOUNT_OBJ=account), audit(program_name, descr)))


def delete_bal_grp(
    group: PoidLike, *, account: PoidLike | None = None, program_name: str = PROGRAM_NAME, descr: str = ""
) -> BrmCall:
    """Delete a balance group that has zero balances and no service.

    Repeating: NOT_FOUND, which counts as done. Source: [OG 13], [recall].
    """
    fields = {"POID": poid(group)} | given_poid(ACCOUNT_OBJ=account)
    return BrmCall("PCM_OP_CUST_DELETE_BAL_GRP", fields | audit(program_name, descr))


def bill_set_limit_and_cr(
    account: PoidLike,
    group: BalanceGroup,
    *,
    consumption_rules: Mapping[int, int] | None = None,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
) -> BrmCall:
    """Set credit limits of ``group.poid`` and the order in which sub-balances are consumed, both by resource id.

    Repeating: no further effect. Source: [OG 13], [recall].
    """
    fields = group.flist(DEFAULT_DB)
    rules = Array({resource: {"CONSUMPTION_RULE": rule} for resource, rule in (consumption_rules or {}).items()})
    return BrmCall(
        "PCM_OP_BILL_SET_LIMIT_AND_CR",
        merged(
            {"POID": poid(account), "BAL_GRP_OBJ": fields["POID"]},
            audit(program_name, descr),
            {"LIMIT": fields["LIMIT"]} if "LIMIT" in fields else {},
            {"RULES": rules} if rules else {},
        ),
    )


def _profiles(profiles: Sequence[Profile], db: str) -> Flist:
    return {"PROFILES": Array.of(*(profile.flist(db) for profile in profiles))}

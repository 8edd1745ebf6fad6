"""Gathers what is known of an order's legal owners (customer-sync 7): what is remembered, and BRM where a group may end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from libs.brm import calls as brm
from libs.brm.errors import BrmError
from libs.brm.flist import Flist, get
from libs.brm.gateway import BrmGateway
from libs.xref.client import XrefRow
from services.customer_sync.domain import calls
from services.customer_sync.domain.legal import owners_on, ownerships, primary_of_owner
from services.customer_sync.domain.model import Command, Facts, Policy
from services.customer_sync.persistence import Memory


@dataclass(frozen=True, slots=True)
class Remembered:
    """What orders have arranged about the profiles and owners that this one names."""

    owners: Mapping[str, str] = field(default_factory=dict)
    """Billing profile to who answers for its unit; empty for one who left."""
    accounts: Mapping[str, str] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)
    """Owner to the profile whose unit is the parent of his group."""
    candidates: tuple[str, ...] = ()
    """Owners that the order names, and those who answer for its accounts now."""


async def remembered(memory: Memory, command: Command, policy: Policy) -> Remembered:
    """Two queries where legal groups are on and the order names owners; else none."""
    payers = {each.line.billing_account_id for each in ownerships(command, policy)}
    if not payers:
        return Remembered()
    members = await memory.legal.members_of(command.system_id, payers)
    now = (each.owner_id for each in members if each.owner_id)
    candidates = tuple(dict.fromkeys((*owners_on(command, policy), *now)))
    return Remembered(
        owners={each.profile_id: each.owner_id for each in members},
        accounts={each.profile_id: each.account_id for each in members},
        parents=await memory.legal.parents_of(command.system_id, candidates),
        candidates=candidates,
    )


def wanted_of(command: Command, known: Remembered) -> Iterator[tuple[str, str]]:
    """(table, CRM id) of the cross-references that owners need."""
    for owner_id in known.candidates:
        yield calls.LEGAL_GROUPS, owner_id
        yield calls.ACCOUNTS, owner_id
        yield calls.BALANCE_GROUPS, owner_id
        primary = primary_of_owner(command, owner_id)
        if primary is not None:
            yield calls.BILL_UNITS, primary.profile_id
            yield calls.PAYMENT_RECORDS, primary.profile_id


async def with_legal(
    facts: Facts,
    known: Remembered,
    command: Command,
    policy: Policy,
    rows: Mapping[str, XrefRow],
    gateway: BrmGateway,
    *,
    thorough: bool = False,
) -> Facts:
    """The facts with what is known of legal owners; ``rows`` are those of their groups. A group that may lose its last member
    is read, one call each, and with ``thorough`` every one; what was purged from BRM by hand (7.2) counts as none. One that has
    no cross-reference is looked for in BRM (brm F7), where its owner's unit is there."""
    if not known.candidates:
        return facts
    groups = {owner_id: row.value(policy.system_id) for owner_id, row in rows.items() if row.value(policy.system_id)}
    changing = any(each.changes or not policy.strict_single_owner for each in ownerships(command, policy))
    unsure = [*known.owners.values()] if changing else []
    looked_at = [each for each in dict.fromkeys([*unsure, *(known.candidates if thorough else ())]) if each in groups]
    read = await asyncio.gather(*(_read(gateway, policy.system_id, groups[each]) for each in looked_at))
    stored = dict(zip(looked_at, read, strict=True))
    purged = frozenset(owner_id for owner_id, group in stored.items() if group is None)
    groups = {owner_id: group for owner_id, group in groups.items() if owner_id not in purged}
    members = {
        owner_id: frozenset(each["BILLINFO_OBJ"] for each in (group.get("MEMBERS") or {}).values() if each)
        for owner_id, group in stored.items()
        if group is not None
    }
    others = {
        owner_id: set(row.columns) - {"COMMON", command.source_system, policy.system_id} for owner_id, row in rows.items()
    }
    unlinked = await _unlinked(facts, known, command, policy, groups, gateway)
    return replace(
        facts,
        legal_groups=groups | unlinked,
        legal_unlinked=frozenset(unlinked),
        legal_only_here=frozenset(owner_id for owner_id, columns in others.items() if not columns),
        legal_purged=purged,
        legal_owners={profile_id: "" if owner_id in purged else owner_id for profile_id, owner_id in known.owners.items()},
        legal_accounts=known.accounts,
        legal_parents={owner_id: parent for owner_id, parent in known.parents.items() if owner_id not in purged},
        legal_members=members,
    )


async def _read(gateway: BrmGateway, system_id: str, group: str) -> Flist | None:
    """A group, ``None`` if BRM has it no more."""
    try:
        return await gateway.call(system_id, brm.read_obj(group))
    except BrmError as error:
        if error.not_found:
            return None
        raise


async def _unlinked(
    facts: Facts, known: Remembered, command: Command, policy: Policy, groups: Mapping[str, str], gateway: BrmGateway
) -> dict[str, str]:
    """Owners who get a member to the group that BRM has for them without cross-reference: made by hand, or by a migration."""
    joined = {each.owner_id for each in ownerships(command, policy) if each.is_needed}
    owners = [each for each in known.candidates if each in joined and each not in groups]
    primaries = {each: profile.profile_id for each in owners if (profile := primary_of_owner(command, each))}
    units = {each: facts.bill_units[profile_id] for each, profile_id in primaries.items() if profile_id in facts.bill_units}
    searches = (gateway.call(policy.system_id, brm.find_collections_group(unit, db=policy.db)) for unit in units.values())
    found = [get(answer, "RESULTS[0].POID") for answer in await asyncio.gather(*searches)]
    return {owner_id: str(poid) for owner_id, poid in zip(units, found, strict=True) if poid}

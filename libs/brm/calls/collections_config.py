"""What the collections engine works by: definitions of actions, scenarios, profiles (specification 4.11).

Setting a definition that exists (``poid``) changes it; without one it is created, and its name is its natural key.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from libs.brm.call import BrmCall
from libs.brm.calls.values import PROGRAM_NAME, PoidLike, audit, given, given_poid, merged, new
from libs.brm.calls.values import poid as as_poid
from libs.brm.flist import Array, Flist
from libs.brm.poid import DEFAULT_DB

_CONFIG: Final = "/config/collections"


def collections_config_set_action(
    name: str,
    *,
    action_type: int | None = None,
    action_descr: str = "",
    mode: int | None = None,
    poid: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Define an action. ``mode``: whether the system or an agent takes it. Output: ``POID``.

    Repeating: creates another; natural key: the name. Source: [recall].
    """
    info = {"ACTION_NAME": name} | given(ACTION_TYPE=action_type, ACTION_DESCR=action_descr, COLLECTIONS_ACTION_MODE=mode)
    return _set("ACTION", poid, {"CONFIG_INFO": info}, audit(program_name, descr), db)


def collections_config_get_actions(*, threshold: int | None = None, db: str = DEFAULT_DB) -> BrmCall:
    """All defined actions: ``RESULTS[]``. A read. Name [OG 15.1 ch.8]."""
    return _get("GET_ACTIONS", "ACTION", threshold, db)


def collections_config_delete_action(poid: PoidLike, *, program_name: str = PROGRAM_NAME, descr: str = "") -> BrmCall:
    """Delete the definition of an action.

    Repeating: NOT_FOUND, which counts as done. Name [OG 15.1 ch.8].
    """
    return _delete("ACTION", poid, audit(program_name, descr))


def collections_config_set_scenario(
    name: str,
    *,
    actions: Mapping[PoidLike, int],
    entry_days: int | None = None,
    entry_amount: Decimal | None = None,
    exit_amount: Decimal | None = None,
    severity: int | None = None,
    profile: PoidLike | None = None,
    poid: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Define a scenario: when a bill unit enters it (amount, days overdue), leaves it, and its actions by days after entry.

    Repeating: creates another; natural key: the name. Source: [recall], entry amount [MOS 1581149.1].
    """
    steps = Array.of(*({"CONFIG_ACTION_OBJ": as_poid(action), "DUE_DAYS": days} for action, days in actions.items()))
    fields = merged(
        {"NAME": name},
        given_poid(CONFIG_PROFILE_OBJ=profile),
        given(SEVERITY=severity, ENTRY_DAYS=entry_days, ENTRY_AMOUNT=entry_amount, EXIT_AMOUNT=exit_amount),
        {"ACTIONS": steps} if steps else {},
    )
    return _set("SCENARIO", poid, fields, audit(program_name, descr), db)


def collections_config_get_scenarios(*, threshold: int | None = None, db: str = DEFAULT_DB) -> BrmCall:
    """All defined scenarios: ``RESULTS[]``. A read. Name [OG 15.1 ch.8]."""
    return _get("GET_SCENARIOS", "SCENARIO", threshold, db)


def collections_config_get_scenario_detail(poid: PoidLike) -> BrmCall:
    """One defined scenario with its ``ACTIONS[]``. A read. Name [OG 15.1 ch.8]."""
    return BrmCall("PCM_OP_COLLECTIONS_CONFIG_GET_SCENARIO_DETAIL", {"POID": as_poid(poid)})


def collections_config_delete_scenario(poid: PoidLike, *, program_name: str = PROGRAM_NAME, descr: str = "") -> BrmCall:
    """Delete the definition of a scenario.

    Repeating: NOT_FOUND, which counts as done. Name [OG 15.1 ch.8].
    """
    return _delete("SCENARIO", poid, audit(program_name, descr))


def collections_config_set_profile(
    name: str,
    *,
    value: str = "",
    poid: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    descr: str = "",
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Define a collections profile (a customer segment); ``value`` is its criterion.

    Repeating: creates another; natural key: the name. Source: [recall].
    """
    return _set("PROFILE", poid, {"NAME": name} | given(VALUE=value), audit(program_name, descr), db)


def collections_config_get_profiles(*, threshold: int | None = None, db: str = DEFAULT_DB) -> BrmCall:
    """All defined profiles: ``RESULTS[]``. A read. Name [OG 15.1 ch.8]."""
    return _get("GET_PROFILES", "PROFILE", threshold, db)


def collections_config_delete_profile(poid: PoidLike, *, program_name: str = PROGRAM_NAME, descr: str = "") -> BrmCall:
    """Delete the definition of a profile.

    Repeating: NOT_FOUND, which counts as done. Name [OG 15.1 ch.8].
    """
    return _delete("PROFILE", poid, audit(program_name, descr))


def _set(what: str, poid: PoidLike | None, fields: Flist, audited: Flist, db: str) -> BrmCall:
    target = as_poid(poid) if poid is not None else new(f"{_CONFIG}/{what.lower()}", db)
    return BrmCall(f"PCM_OP_COLLECTIONS_CONFIG_SET_{what}", merged({"POID": target}, audited, fields))


def _get(name: str, what: str, threshold: int | None, db: str) -> BrmCall:
    return BrmCall(
        f"PCM_OP_COLLECTIONS_CONFIG_{name}", {"POID": new(f"{_CONFIG}/{what.lower()}", db)} | given(THRESHOLD=threshold)
    )


def _delete(what: str, poid: PoidLike, audited: Flist) -> BrmCall:
    return BrmCall(f"PCM_OP_COLLECTIONS_CONFIG_DELETE_{what}", {"POID": as_poid(poid)} | audited)

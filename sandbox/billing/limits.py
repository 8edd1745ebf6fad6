"""Credit limits of balance groups, and in which order their counted resources are used up (4.1, 4.7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from libs.brm.flist import Array, Flist
from sandbox.billing.ledger import total_at
from sandbox.catalogue import RESOURCES
from sandbox.errors import BrmFault
from sandbox.money import ZERO
from sandbox.store.sqlite import Tx

LIMIT_FIELDS: Final = ("CREDIT_LIMIT", "CREDIT_FLOOR", "CREDIT_THRESHOLDS", "CREDIT_THRESHOLDS_FIXED")
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


def _start(part: Flist) -> float:
    return (part.get("VALID_FROM") or _FIRST).timestamp()


def _end(part: Flist) -> float:
    return (part.get("VALID_TO") or _LAST).timestamp()


_ORDERS: Final[Mapping[int, Callable[[Flist], tuple[float, ...]]]] = {
    0: lambda part: (_end(part),),
    1: lambda part: (_start(part),),
    2: lambda part: (-_start(part),),
    3: lambda part: (_end(part),),
    4: lambda part: (-_end(part),),
    5: lambda part: (_start(part), -_end(part)),
    6: lambda part: (_start(part), _end(part)),
    7: lambda part: (-_start(part), _end(part)),
    8: lambda part: (-_start(part), -_end(part)),
    9: lambda part: (_end(part), _start(part)),
    10: lambda part: (_end(part), -_start(part)),
    11: lambda part: (-_end(part), _start(part)),
    12: lambda part: (-_end(part), -_start(part)),
}
"""CONSUMPTION_RULE: 1 earliest start first, 2 latest start, 3 earliest end, 4 latest end; 5 to 12 break ties of one by the
other. 0, no rule, is the sandbox's own: what ends first is used first. [recall]"""


def set_limits(group: Flist, limits: Mapping[int | str, Flist]) -> None:
    """Set limits by resource; a field given empty is unset.

    Raises BAD_VALUE @LIMIT for a resource that is not in the catalogue, @CREDIT_FLOOR for a floor above its limit.
    """
    for resource, given in limits.items():
        _check_resource(resource, "LIMIT")
        limit: Flist = dict((group.get("LIMIT") or {}).get(resource) or {})
        limit.update({name: given[name] for name in LIMIT_FIELDS if name in given})
        limit = {name: value for name, value in limit.items() if value is not None}
        ceiling, floor = limit.get("CREDIT_LIMIT"), limit.get("CREDIT_FLOOR")
        if ceiling is not None and floor is not None and floor > ceiling:
            raise BrmFault("BAD_VALUE", "CREDIT_FLOOR", f"the floor {floor} is above the limit {ceiling}")
        group["LIMIT"] = Array({**(group.get("LIMIT") or {}), resource: limit})


def set_rules(group: Flist, rules: Mapping[int | str, Flist]) -> None:
    """Set consumption rules by resource; raises BAD_VALUE @RULES or @CONSUMPTION_RULE for unknown ones."""
    for resource, given in rules.items():
        _check_resource(resource, "RULES")
        rule = given.get("CONSUMPTION_RULE")
        if rule not in _ORDERS:
            raise BrmFault("BAD_VALUE", "CONSUMPTION_RULE", f"{rule} is no consumption rule")
        group["RULES"] = Array({**(group.get("RULES") or {}), resource: {"CONSUMPTION_RULE": rule}})


def _check_resource(resource: int | str, array: str) -> None:
    if resource not in RESOURCES:
        raise BrmFault("BAD_VALUE", array, f"{resource} is no resource of the catalogue")


def in_order_of_use(group: Flist, resource: int, parts: Iterable[Flist]) -> list[Flist]:
    """Sub-balances in the order the group's consumption rule uses them up."""
    rule = ((group.get("RULES") or {}).get(resource) or {}).get("CONSUMPTION_RULE", 0)
    return sorted(parts, key=_ORDERS[rule])


def check_limits(tx: Tx, events: Iterable[Flist]) -> None:
    """Raises CREDIT_LIMIT_EXCEEDED when events of a purchase or of usage raise a balance above its credit limit.

    What lowers a balance is always fine, also above the limit; a resource without a limit has none.
    """
    raised: dict[tuple[int, int], Decimal] = {}
    groups = {}
    for event in events:
        for impact in (event.get("BAL_IMPACTS") or {}).values():
            key = (impact["BAL_GRP_OBJ"].id, impact["RESOURCE_ID"])
            raised[key] = raised.get(key, ZERO) + impact["AMOUNT"]
            groups[key[0]] = impact["BAL_GRP_OBJ"]
    for (group_id, resource), amount in raised.items():
        group = tx.get(groups[group_id])
        limit = ((group.get("LIMIT") or {}).get(resource) or {}).get("CREDIT_LIMIT")
        if limit is None or amount <= 0:
            continue
        balance = group["BALANCES"][resource]
        used = total_at(balance["SUB_BALANCES"], tx.now) + balance["RESERVED_AMOUNT"]
        if used > limit:
            raise BrmFault("CREDIT_LIMIT_EXCEEDED", "CREDIT_LIMIT", f"{used} of {RESOURCES[resource]}, the limit is {limit}")

"""The routing table of a site as a document, checked whole. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from libs.routing.model import BillingInstance, RoutingPolicy, RoutingRule
from libs.routing.orders import TRAITS

KEYS = ("default_system", "billing_care_enabled", "rules", "billing_systems")
RULE_KEYS = ("name", "system", "when")
PREFIX = "_prefix"


def table_problems(document: Mapping[str, Any], codes: Sequence[str]) -> list[str]:
    """Everything wrong with a routing table, each with its key, such as ``rules[1].system``; ``codes``: the instances."""
    found = [f"{key}: no such key; known are {', '.join(KEYS)}" for key in document if key not in KEYS]
    found += _system(document.get("default_system", ""), "default_system", codes, empty=True)
    if not isinstance(document.get("billing_care_enabled", True), bool):
        found.append("billing_care_enabled: true or false")
    rules = document.get("rules", [])
    if not isinstance(rules, list):
        return [*found, "rules: a list of tables"]
    for index, rule in enumerate(rules):
        found += _rule_problems(rule, f"rules[{index}]", codes)
    return found


def read_policy(document: Mapping[str, Any], instances: Sequence[BillingInstance], *, billing_care: bool) -> RoutingPolicy:
    """The policy of a document that :func:`table_problems` finds nothing wrong with; ``billing_care`` if it says nothing."""
    rules = tuple(
        RoutingRule(
            rule["system"], {trait: tuple(values) for trait, values in rule.get("when", {}).items()}, rule.get("name", "")
        )
        for rule in document.get("rules", [])
    )
    care = document.get("billing_care_enabled", billing_care)
    return RoutingPolicy(tuple(instances), rules, document.get("default_system", ""), care)


def table_version(policy: RoutingPolicy) -> str:
    """Digest of a table: the same content has the same version, in every process."""
    rules = [
        (rule.name, rule.system, sorted((trait, list(values)) for trait, values in rule.when.items())) for rule in policy.rules
    ]
    instances = [(one.code, one.enabled, one.read_only) for one in policy.instances]
    text = repr((instances, rules, policy.default_system, policy.billing_care_enabled))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _rule_problems(rule: Any, path: str, codes: Sequence[str]) -> Iterator[str]:
    if not isinstance(rule, dict):
        yield f"{path}: a table with {', '.join(RULE_KEYS)}"
        return
    yield from (f"{path}.{key}: no such key; known are {', '.join(RULE_KEYS)}" for key in rule if key not in RULE_KEYS)
    if not isinstance(rule.get("name", ""), str):
        yield f"{path}.name: a text"
    yield from _system(rule.get("system", ""), f"{path}.system", codes, empty=False)
    when = rule.get("when", {})
    if not isinstance(when, dict):
        yield f"{path}.when: a table of traits and the values they may have"
        return
    for trait, values in when.items():
        if trait.removesuffix(PREFIX) not in TRAITS:
            yield f"{path}.when.{trait}: no such trait; known are {', '.join(TRAITS)}, each also with {PREFIX}"
        if not isinstance(values, list) or not values or not all(isinstance(value, str) and value for value in values):
            yield f"{path}.when.{trait}: a list of texts, at least one, none empty"


def _system(value: Any, path: str, codes: Sequence[str], *, empty: bool) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{path}: a system code"
    elif not (value in codes or (empty and not value)):
        yield f"{path}: {value or '(none)'} is no billing system of this site; known are {', '.join(codes) or 'none'}"

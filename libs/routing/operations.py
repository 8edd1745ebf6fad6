"""Routing of whatever is no order line: updates, payments, billing care, messages from BRM (routing rules 11.3). Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from libs.errors import O2CError, Reason, Violation
from libs.routing.model import BillingInstance, Rank, RouteDecision, RoutingPolicy, Step


class Operation(StrEnum):
    """What is to be done about a subject."""

    CUSTOMER_SYNC = "CUSTOMER_SYNC"
    ACCOUNT_UPDATE = "ACCOUNT_UPDATE"
    PROFILE_UPDATE = "PROFILE_UPDATE"
    RATING_LIST = "RATING_LIST"
    PAYMENT = "PAYMENT"
    CARE_QUERY = "CARE_QUERY"
    CARE_ACCOUNT = "CARE_ACCOUNT"
    CARE_OBJECT = "CARE_OBJECT"
    SOURCE_EVENT = "SOURCE_EVENT"
    PRODUCT = "PRODUCT"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be routed."""

    operation: Operation
    key: str = ""
    """CRM id of the account, profile, asset or product that decides."""
    system: str = ""
    """Instance that the request or message names."""
    object_db: str = ""
    """Database number of the BRM object spoken of, such as ``0.0.0.1``."""
    name: str = ""
    """Name in the answer."""
    path: str = "subject"


@dataclass(frozen=True, slots=True)
class Known:
    """What the cross-references know of the key: whether it has a row at all, and the instances with a value."""

    has_row: bool = False
    systems: tuple[str, ...] = ()


def resolve(subject: Subject, known: Known, policy: RoutingPolicy, databases: Mapping[str, str] | None = None) -> RouteDecision:
    """Where the subject goes. ``databases``: database number of each instance, to tell whose object an id is.

    Raises O2CError: ROUTE_TARGET_REQUIRED, ROUTE_SYSTEM_UNKNOWN, ROUTE_SYSTEM_DISABLED, ROUTE_SYSTEM_READ_ONLY,
    ROUTE_TARGET_MISMATCH, ROUTE_SOURCE_UNKNOWN, ROUTE_PROFILE_NOT_SYNCED, ROUTE_PROFILE_AMBIGUOUS, ROUTE_PRODUCT_NOT_SYNCED,
    BILLING_PROFILE_NOT_FOUND, ACCOUNT_NOT_FOUND, ACCOUNT_NOT_IN_BILLING, ASSET_NOT_IN_BILLING, PAYMENT_PROFILE_NOT_SYNCED or
    OBJECT_FOREIGN.
    """
    return _RULES[subject.operation](subject, known, policy, databases or {})


Rule = Callable[[Subject, Known, RoutingPolicy, Mapping[str, str]], RouteDecision]


def _customer_sync(subject: Subject, known: Known, policy: RoutingPolicy, databases: Mapping[str, str]) -> RouteDecision:
    """The target of the request; without one, the only enabled instance."""
    if subject.system:
        _usable(subject, subject.system, policy, writes=True)
        return _decided(subject, (subject.system,), f"{Rank.STAMP} the request names {subject.system}")
    only = _only_enabled(policy)
    if not only:
        codes = ",".join(sorted(policy.enabled))
        message = f"name the target: enabled are {codes or 'none'}"
        raise _refused(Reason.ROUTE_TARGET_REQUIRED, message, f"{subject.path}.system_id", system=codes)
    _usable(subject, only, policy, writes=True)
    return _decided(subject, (only,), f"{only} is the only enabled BRM instance")


def _update(noun: str) -> Rule:
    """Every instance with a value that takes part; none: nothing to do."""

    def rule(subject: Subject, known: Known, policy: RoutingPolicy, databases: Mapping[str, str]) -> RouteDecision:
        # An instance that was switched off keeps its columns for history only, so it gets no updates (rule Q10).
        systems = tuple(system for system in known.systems if system in policy.enabled)
        for system in systems:
            _usable(subject, system, policy, writes=True)
        if not systems:
            return _decided(subject, (), f"no BRM instance knows {noun} {subject.key}: nothing to do")
        return _decided(subject, systems, f"{noun} {subject.key} is known in {', '.join(systems)}", known.systems)

    return rule


def _profile_update(subject: Subject, known: Known, policy: RoutingPolicy, databases: Mapping[str, str]) -> RouteDecision:
    if len(known.systems) > 1 and policy.billing_care_enabled:
        raise _ambiguous(subject, known)
    return _update("billing profile")(subject, known, policy, databases)


def _rating_list(subject: Subject, known: Known, policy: RoutingPolicy, databases: Mapping[str, str]) -> RouteDecision:
    if not known.systems:
        message = f"asset {subject.key} is in no BRM instance"
        path = f"{subject.path}.asset_integration_id"
        raise _refused(Reason.ASSET_NOT_IN_BILLING, message, path, kind="asset", id=subject.key, system="")
    for system in known.systems:
        _usable(subject, system, policy, writes=True)
    text = f"{Rank.ASSET} asset {subject.key} is known in {', '.join(known.systems)}"
    return _decided(subject, known.systems, text)


def _payment(subject: Subject, known: Known, policy: RoutingPolicy, databases: Mapping[str, str]) -> RouteDecision:
    if not known.systems:
        message = f"billing profile {subject.key} is in no billing system; a payment needs one"
        path = f"{subject.path}.billing_profile_id"
        raise _refused(Reason.PAYMENT_PROFILE_NOT_SYNCED, message, path, payment_id="", billing_profile_id=subject.key)
    return _one_profile(subject, known, policy, writes=True)


def _care_query(subject: Subject, known: Known, policy: RoutingPolicy, databases: Mapping[str, str]) -> RouteDecision:
    path = f"{subject.path}.billing_profile_id"
    if not known.has_row:
        message = f"no billing profile {subject.key}"
        raise _refused(Reason.BILLING_PROFILE_NOT_FOUND, message, path, kind="billing_profile", id=subject.key)
    if not known.systems:
        message = f"billing profile {subject.key} is in no billing system yet"
        raise _refused(Reason.ROUTE_PROFILE_NOT_SYNCED, message, path, evidence=subject.key)
    return _one_profile(subject, known, policy, writes=False)


def _care_object(subject: Subject, known: Known, policy: RoutingPolicy, databases: Mapping[str, str]) -> RouteDecision:
    """The profile decides; an id of another instance's database is foreign."""
    decision = _care_query(subject, known, policy, databases)
    (system,) = decision.systems
    own = databases.get(system, "")
    if subject.object_db and own and subject.object_db != own:
        where = next((code for code, number in databases.items() if number == subject.object_db), "no instance of this site")
        message = f"the object is of database {subject.object_db} ({where}); billing profile {subject.key} is in {system}"
        raise _refused(Reason.OBJECT_FOREIGN, message, f"{subject.path}.object_id", id=subject.object_db, system=system)
    return decision


def _care_account(subject: Subject, known: Known, policy: RoutingPolicy, databases: Mapping[str, str]) -> RouteDecision:
    """Every instance; one that is switched off would make the answer incomplete, so it is an error (rule Q21)."""
    path = f"{subject.path}.account_id"
    if not known.has_row:
        raise _refused(Reason.ACCOUNT_NOT_FOUND, f"no account {subject.key}", path, kind="account", id=subject.key)
    if not known.systems:
        codes = ",".join(sorted(one.code for one in policy.instances))
        message = f"account {subject.key} is in no billing system yet"
        raise _refused(Reason.ACCOUNT_NOT_IN_BILLING, message, path, kind="account", id=subject.key, system=codes)
    for system in known.systems:
        _usable(subject, system, policy, writes=False)
    return _decided(subject, known.systems, f"account {subject.key} is known in {', '.join(known.systems)}")


def _source_event(subject: Subject, known: Known, policy: RoutingPolicy, databases: Mapping[str, str]) -> RouteDecision:
    """The instance the message names; without a name, the only enabled one."""
    codes = {one.code for one in policy.instances}
    only = _only_enabled(policy)
    if subject.system in codes:
        _usable(subject, subject.system, policy, writes=False)
        return _decided(subject, (subject.system,), f"the message names {subject.system}")
    if subject.system or not only:
        what = f"names {subject.system}" if subject.system else "names no instance"
        message = f"the message {what}; known: {', '.join(sorted(codes)) or 'none'}"
        raise _refused(Reason.ROUTE_SOURCE_UNKNOWN, message, f"{subject.path}.system_id", system=subject.system)
    return _decided(subject, (only,), f"the message names no instance, and {only} is the only enabled one")


def _product(subject: Subject, known: Known, policy: RoutingPolicy, databases: Mapping[str, str]) -> RouteDecision:
    if not known.systems:
        message = f"product {subject.key} is known in no BRM instance"
        path = f"{subject.path}.product_id"
        raise _refused(Reason.ROUTE_PRODUCT_NOT_SYNCED, message, path, line_ids="", candidates="", evidence="")
    systems = tuple(system for system in known.systems if system in policy.enabled)
    text = f"{Rank.PRODUCT} product {subject.key} is known in {', '.join(known.systems)}"
    if not systems:
        meta = {"line_ids": "", "evidence": text}
        raise _refused(Reason.ROUTE_NOT_FOUND, f"{text}, none of which is enabled", f"{subject.path}.product_id", **meta)
    return _decided(subject, systems, text, known.systems)


def _one_profile(subject: Subject, known: Known, policy: RoutingPolicy, *, writes: bool) -> RouteDecision:
    if len(known.systems) > 1:
        raise _ambiguous(subject, known)
    (system,) = known.systems
    if subject.system and subject.system not in {one.code for one in policy.instances}:
        raise _unknown(subject, policy)
    if subject.system and subject.system != system:
        message = f"billing profile {subject.key} lives in {system}, not in {subject.system}"
        raise _refused(Reason.ROUTE_TARGET_MISMATCH, message, f"{subject.path}.system_id", system=system)
    _usable(subject, system, policy, writes=writes)
    return _decided(subject, (system,), f"{Rank.PROFILE} billing profile {subject.key} is known in {system}")


def _ambiguous(subject: Subject, known: Known) -> O2CError:
    codes = ",".join(known.systems)
    message = f"billing profile {subject.key} is in more than one billing system: {codes}"
    path = f"{subject.path}.billing_profile_id"
    return _refused(Reason.ROUTE_PROFILE_AMBIGUOUS, message, path, evidence=subject.key, candidates=codes)


def _only_enabled(policy: RoutingPolicy) -> str:
    return next(iter(policy.enabled)) if len(policy.enabled) == 1 else ""


def _usable(subject: Subject, system: str, policy: RoutingPolicy, *, writes: bool) -> BillingInstance:
    """The instance, if it takes part, and if it takes writes when that is what is asked."""
    instance = next((one for one in policy.instances if one.code == system), None)
    path = f"{subject.path}.system_id"
    if instance is None:
        raise _unknown(subject, policy, system)
    if not instance.enabled:
        raise _refused(Reason.ROUTE_SYSTEM_DISABLED, f"{system} is disabled", path, candidates=system)
    if writes and instance.read_only:
        raise _refused(Reason.ROUTE_SYSTEM_READ_ONLY, f"{system} only answers queries", path, candidates=system)
    return instance


def _unknown(subject: Subject, policy: RoutingPolicy, system: str = "") -> O2CError:
    known = ", ".join(sorted(one.code for one in policy.instances)) or "none"
    name = system or subject.system
    message = f"{name} is not a BRM instance; known: {known}"
    return _refused(Reason.ROUTE_SYSTEM_UNKNOWN, message, f"{subject.path}.system_id", system=name)


def _refused(reason: Reason, message: str, path: str, **metadata: str) -> O2CError:
    return O2CError(Violation(reason, message, path, metadata))


def _decided(subject: Subject, systems: tuple[str, ...], text: str, candidates: tuple[str, ...] | None = None) -> RouteDecision:
    rank, _, rest = text.partition(" ")
    ranked = rank in tuple(Rank)
    step = Step(rank if ranked else "", rest if ranked else text, systems, systems)
    return RouteDecision(subject.name, systems, text, systems if candidates is None else candidates, (text,), (step,))


_RULES: Mapping[Operation, Rule] = {
    Operation.CUSTOMER_SYNC: _customer_sync,
    Operation.ACCOUNT_UPDATE: _update("account"),
    Operation.PROFILE_UPDATE: _profile_update,
    Operation.RATING_LIST: _rating_list,
    Operation.PAYMENT: _payment,
    Operation.CARE_QUERY: _care_query,
    Operation.CARE_ACCOUNT: _care_account,
    Operation.CARE_OBJECT: _care_object,
    Operation.SOURCE_EVENT: _source_event,
    Operation.PRODUCT: _product,
}

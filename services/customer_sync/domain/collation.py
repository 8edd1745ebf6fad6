"""Which accounts and profiles an order names, and how they relate (guide ch. 10; customer-sync 2.2, 5.1, 5.2).

The collation set is all that customer sync looks at: one look-up gathers what is known of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from libs.errors import Reason, Violation
from services.customer_sync.domain.contributions import Contribution, contribution_of
from services.customer_sync.domain.corporate import corporation_of
from services.customer_sync.domain.groups import depth_of
from services.customer_sync.domain.model import Command, Line, LineKind, PayerKey, Policy
from services.customer_sync.domain.table_10_1 import CHANGING


@dataclass(frozen=True, slots=True)
class Collation:
    """The distinct accounts and profiles of an order. Everything is in line order."""

    accounts: tuple[str, ...] = ()
    profiles: Mapping[str, str] = field(default_factory=dict)
    """Billing profile to the billing account it belongs to."""
    payers: tuple[PayerKey, ...] = ()
    """Who pays for whom, where service and billing account differ."""
    changed_payers: frozenset[PayerKey] = frozenset()
    """Those asked for by a new line, or by a change whose prior values say so."""
    parents: Mapping[str, str] = field(default_factory=dict)
    """Service account to its parent: the first billing account met that is not itself (Q38)."""
    repaid: Mapping[str, str] = field(default_factory=dict)
    """Service account to the first billing account that takes over as its payer, where prior values say that it did (5.3)."""
    replaced: Mapping[PayerKey, PayerKey] = field(default_factory=dict)
    """Nonpaying unit that a change takes a line away from, to the unit it goes to (5.3)."""
    corporate: frozenset[str] = frozenset()
    """Accounts whose place is that of the CRM's hierarchy, not below who pays for them (6)."""
    line_ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Lines that name the account, profile or payer (by CRM id)."""
    violations: tuple[Violation, ...] = ()
    """Lines that do not name what they must (V20) or misuse a profile, and accounts that would be below each other."""

    _profiles_of: Mapping[str, tuple[str, ...]] = field(init=False, repr=False)
    _payers_of: Mapping[str, tuple[PayerKey, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        profiles: dict[str, list[str]] = {}
        for profile_id, owner in self.profiles.items():
            profiles.setdefault(owner, []).append(profile_id)
        payers: dict[str, list[PayerKey]] = {}
        for key in self.payers:
            payers.setdefault(key.service_account_id, []).append(key)
        object.__setattr__(self, "_profiles_of", {owner: tuple(ids) for owner, ids in profiles.items()})
        object.__setattr__(self, "_payers_of", {account_id: tuple(keys) for account_id, keys in payers.items()})

    def profiles_of(self, account_id: str) -> tuple[str, ...]:
        """Profiles of the account used on this order, the first being its default."""
        return self._profiles_of.get(account_id, ())

    def payers_of(self, account_id: str) -> tuple[PayerKey, ...]:
        """Nonpaying units the account needs."""
        return self._payers_of.get(account_id, ())

    @property
    def in_order(self) -> list[str]:
        """Accounts that pay before accounts that are paid for; within these from the root down, and as the lines name them."""
        paid_for = {key.service_account_id for key in self.payers} - self.paying_for_others
        return sorted(self.accounts, key=lambda account_id: (account_id in paid_for, depth_of(account_id, self.parents)))

    @property
    def paying_for_others(self) -> frozenset[str]:
        """Accounts that pay for another one on this order."""
        return frozenset(key.billing_account_id for key in self.payers)


def collate(command: Command, policy: Policy) -> Collation:
    """The collation set, with what can be said against it."""
    violations: list[Violation] = []
    accounts: dict[str, None] = {}
    profiles: dict[str, str] = {}
    lines: list[Line] = []
    for line in command.lines:
        part = contribution_of(line, policy)
        missing = list(_missing(line, part))
        violations += missing
        if missing or not part.billing_account:
            continue
        accounts[line.billing_account_id] = None
        if not part.service_account:
            continue
        accounts[line.service_account_id] = None
        owner = profiles.setdefault(line.billing_profile_id, line.billing_account_id)
        stated = command.profiles[line.billing_profile_id].account_id if line.billing_profile_id in command.profiles else ""
        if owner != line.billing_account_id or stated not in ("", line.billing_account_id):
            violations.append(_not_of_account(line, stated or owner))
        lines.append(line)
    if policy.customer_account_contributes and accounts and command.customer_account_id:
        accounts.setdefault(command.customer_account_id)
    corporation = corporation_of(command, lines, policy)
    corporate = frozenset(corporation.accounts)
    payers = _payers(lines)
    two_level = {child: parent for child, parent in _parents(payers).items() if child not in corporate}
    parents = {**two_level, **corporation.parents}
    line_ids = {**corporation.line_ids, **_line_ids(command.lines, policy)}
    return Collation(
        accounts=tuple(dict.fromkeys((*accounts, *corporation.accounts))),
        profiles=profiles,
        payers=payers,
        changed_payers=frozenset(_changed(lines)),
        parents=parents,
        repaid={child: payer for child, payer in _repaid(lines).items() if child not in corporate},
        replaced=_replaced(lines),
        corporate=corporate,
        line_ids=line_ids,
        violations=(*violations, *corporation.violations, *_cycles(parents, line_ids)),
    )


def _missing(line: Line, part: Contribution) -> Iterable[Violation]:
    """V20: what a contributing line must name."""
    required = (
        (part.service_account, line.service_account_id, Reason.SERVICE_ACCOUNT_MISSING, "service account", "account_id"),
        (part.billing_account, line.billing_account_id, Reason.BILLING_ACCOUNT_MISSING, "billing account", "account_id"),
        (
            part.billing_profile,
            line.billing_profile_id,
            Reason.BILLING_PROFILE_MISSING,
            "billing profile",
            "billing_profile_id",
        ),
    )
    for wanted, value, reason, what, name in required:
        if wanted and not value:
            path = f"{line.path}.{what.replace(' ', '_')}.{name}"
            yield Violation(reason, f"line {line.line_id} names no {what}", path, {"line_ids": line.line_id, "field": path})


def _not_of_account(line: Line, owner: str) -> Violation:
    path = f"{line.path}.billing_profile.billing_profile_id"
    message = f"billing profile {line.billing_profile_id} belongs to account {owner}, not to {line.billing_account_id}"
    metadata = {"entity": "billing_profile", "crm_id": line.billing_profile_id, "field": path, "line_ids": line.line_id}
    return Violation(Reason.PROFILE_NOT_OF_BILLING_ACCOUNT, message, path, metadata)


def _names_payer(line: Line) -> bool:
    return line.service_account_id != line.billing_account_id and (line.kind is LineKind.SERVICE_BUNDLE or line.account_level)


def _payers(lines: list[Line]) -> tuple[PayerKey, ...]:
    """Service bundles and account-level products name a payer; components follow their bundle, or speak when it is absent."""
    found = {line.payer_key: None for line in lines if _names_payer(line)}
    spoken_for = {key.service_account_id for key in found}
    for line in lines:
        if line.service_account_id != line.billing_account_id and line.service_account_id not in spoken_for:
            found[line.payer_key] = None
    return tuple(found)


def _changed(lines: list[Line]) -> Iterable[PayerKey]:
    """Payers that may be put in place: of new lines, and of changes whose prior values differ (5.3, Q14)."""
    for line in lines:
        prior = line.prior
        was = (prior.service_account_id, prior.billing_account_id, prior.billing_profile_id)
        now = (line.service_account_id, line.billing_account_id, line.billing_profile_id)
        if line.action not in CHANGING or any(old is not None and old != new for old, new in zip(was, now, strict=True)):
            yield line.payer_key


def _repaid(lines: list[Line]) -> dict[str, str]:
    """Who takes over as payer of whom: lines of a change whose prior billing account differs."""
    repaid: dict[str, str] = {}
    for line in lines:
        was = line.prior.billing_account_id
        if _names_payer(line) and line.action in CHANGING and was is not None and was != line.billing_account_id:
            repaid.setdefault(line.service_account_id, line.billing_account_id)
    return repaid


def _replaced(lines: list[Line]) -> dict[PayerKey, PayerKey]:
    """Units whose payer a change replaces, within an account: by prior values that differ."""
    replaced: dict[PayerKey, PayerKey] = {}
    for line in lines:
        prior, now = line.prior, line.payer_key
        account, profile = prior.billing_account_id, prior.billing_profile_id
        was = PayerKey(
            line.service_account_id,
            line.billing_account_id if account is None else account,
            line.billing_profile_id if profile is None else profile,
        )
        stays = prior.service_account_id in (None, line.service_account_id)
        if line.action in CHANGING and stays and was != now and was.billing_account_id not in ("", was.service_account_id):
            replaced.setdefault(was, now)
    return replaced


def _parents(payers: Iterable[PayerKey]) -> dict[str, str]:
    parents: dict[str, str] = {}
    for key in payers:
        parents.setdefault(key.service_account_id, key.billing_account_id)
    return parents


def _line_ids(lines: Iterable[Line], policy: Policy) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for line in lines:
        part = contribution_of(line, policy)
        named = {
            line.service_account_id: part.service_account,
            line.billing_profile_id: part.billing_profile,
            line.payer_key.crm_id: part.service_account and part.billing_profile,
        }
        named[line.billing_account_id] = part.billing_account
        for crm_id, contributes in named.items():
            if contributes and crm_id:
                found.setdefault(crm_id, {})[line.line_id] = None
    return {crm_id: tuple(ids) for crm_id, ids in found.items()}


def _cycles(parents: Mapping[str, str], line_ids: Mapping[str, tuple[str, ...]]) -> list[Violation]:
    """Accounts that would end up below themselves."""
    violations: list[Violation] = []
    reported: set[str] = set()
    for start in parents:
        trail: list[str] = []
        at: str | None = start
        while at is not None and at not in trail:
            trail.append(at)
            at = parents.get(at)
        if at == start and start not in reported:
            reported.update(trail)
            message = f"accounts would be below each other: {' under '.join([*trail, start])}"
            lines = {line_id: None for account in trail for line_id in line_ids.get(account, ())}
            metadata = {"account_ids": ",".join(trail), "line_ids": ",".join(lines)}
            violations.append(Violation(Reason.HIERARCHY_CYCLE, message, "order.lines", metadata))
    return violations

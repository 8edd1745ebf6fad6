"""Corporate hierarchies: the accounts above those of an order, up to the root, as the CRM knows them (customer-sync 6).

Where the type of an account says so, the CRM's whole chain counts instead of the two levels of the paying relation. Only the
chains of the order's accounts are looked at: nobody beside or below them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from libs.errors import Reason, Violation
from services.customer_sync.domain.model import Account, Command, Line, Policy

DEEPEST: Final = 50
"""Accounts in one chain (Q26)."""


@dataclass(frozen=True, slots=True)
class Corporation:
    """What the corporate lines of an order say about who is below whom."""

    accounts: tuple[str, ...] = ()
    """Everyone on a chain, roots first."""
    parents: Mapping[str, str] = field(default_factory=dict)
    """Account to the account right above it."""
    line_ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Lines whose chains an account is on."""
    violations: tuple[Violation, ...] = ()


def is_corporate(account: Account | None, policy: Policy) -> bool:
    """Whether an account is of the type whose full hierarchy counts (6.1)."""
    wanted = policy.corporate_account_type.upper()
    return bool(wanted) and account is not None and account.type == wanted


def corporation_of(command: Command, lines: Iterable[Line], policy: Policy) -> Corporation:
    """The chains of all service and billing accounts on corporate lines, and everything that is wrong with them.

    Violations: HIERARCHY_CYCLE, HIERARCHY_TOO_DEEP, HIERARCHY_MULTIPLE_PARENTS (V21), SPLIT_NOT_SUBORDINATE (V22),
    ACCOUNT_TYPE_MIXED (V23), CRM_ACCOUNT_NOT_FOUND.
    """
    relevant = [line for line in lines if _is_corporate_line(command, line, policy)]
    if not relevant:
        return Corporation()
    chains: dict[str, list[str]] = {}
    found: list[Violation] = []
    for line in relevant:
        for account_id in (line.service_account_id, line.billing_account_id):
            if account_id not in chains:
                chains[account_id] = _chain(command, account_id)
                found += _chain_violations(command, account_id, chains[account_id], line)
    found += _split_violations(relevant, chains)
    found += _types_mixed(command, {each for chain in chains.values() for each in chain}, policy)
    line_ids: dict[str, dict[str, None]] = {}
    for line in relevant:
        for each in (*chains[line.service_account_id], *chains[line.billing_account_id]):
            line_ids.setdefault(each, {})[line.line_id] = None
    parents: dict[str, str] = {}
    for chain in chains.values():
        if len(chain) <= DEEPEST and not _closes(command, chain):
            parents.update(pairwise(chain))
    levels = {each: len(chain) - at for chain in chains.values() for at, each in enumerate(chain)}
    return Corporation(
        accounts=tuple(sorted(levels, key=lambda each: levels[each])),
        parents=parents,
        line_ids={each: tuple(ids) for each, ids in line_ids.items()},
        violations=tuple(found),
    )


def _is_corporate_line(command: Command, line: Line, policy: Policy) -> bool:
    return any(is_corporate(command.accounts.get(each), policy) for each in (line.service_account_id, line.billing_account_id))


def _chain(command: Command, account_id: str) -> list[str]:
    """The account and all above it, nearest first; ends where the chain would close or go on for ever."""
    chain = [account_id]
    above = _above(command, account_id)
    while above and above not in chain and len(chain) <= DEEPEST:
        chain.append(above)
        above = _above(command, above)
    return chain


def _above(command: Command, account_id: str) -> str:
    """The parent, by the CRM where it was asked, else by the order."""
    if account_id in command.chain:
        return command.chain[account_id]
    account = command.accounts.get(account_id)
    return account.parent_account_id if account else ""


def _closes(command: Command, chain: list[str]) -> bool:
    return len(chain) <= DEEPEST and _above(command, chain[-1]) in chain


def _chain_violations(command: Command, account_id: str, chain: list[str], line: Line) -> Iterator[Violation]:
    path = _path(command, account_id)
    metadata = {"account_ids": ",".join(chain), "line_ids": line.line_id}
    if len(chain) > DEEPEST:
        message = f"more than {DEEPEST} accounts stand in the chain of account {account_id}"
        yield Violation(Reason.HIERARCHY_TOO_DEEP, message, path, metadata)
    elif _closes(command, chain):
        message = f"the chain of account {account_id} runs in a circle: {' under '.join([*chain, _above(command, chain[-1])])}"
        yield Violation(Reason.HIERARCHY_CYCLE, message, path, metadata)
    for each in chain:
        if each in command.unknown_accounts:
            message = f"the CRM knows no account {each}"
            yield Violation(
                Reason.CRM_ACCOUNT_NOT_FOUND, message, path, {"kind": "account", "id": each, "line_ids": line.line_id}
            )
        named = command.parents_named.get(each, ())
        if len(named) > 1:
            message = f"account {each} is put below {' and '.join(named)}; it has one parent at most"
            yield Violation(Reason.HIERARCHY_MULTIPLE_PARENTS, message, _path(command, each), metadata)


def _split_violations(lines: list[Line], chains: Mapping[str, list[str]]) -> Iterator[Violation]:
    """V22: who is paid for stands below who pays, directly or not."""
    for line in lines:
        sa, ba = line.service_account_id, line.billing_account_id
        if ba not in chains[sa]:
            message = f"account {ba} pays for {sa} on line {line.line_id}, but does not stand above it in the CRM"
            metadata = {"line_ids": line.line_id, "account_ids": f"{sa},{ba}"}
            yield Violation(Reason.SPLIT_NOT_SUBORDINATE, message, f"{line.path}.billing_account", metadata)


def _types_mixed(command: Command, account_ids: set[str], policy: Policy) -> Iterator[Violation]:
    """V23: everyone in a corporate hierarchy, and on an order for one, is of its type."""
    everyone = dict.fromkeys([*sorted(account_ids), *_named(command)])
    for account_id in everyone:
        account = command.accounts.get(account_id)
        if account is not None and account.type and not is_corporate(account, policy):
            message = f"account {account_id} is {account.type.title()} on an order for {policy.corporate_account_type.title()}"
            metadata = {"account_ids": account_id, "entity": "account", "crm_id": account_id}
            yield Violation(Reason.ACCOUNT_TYPE_MIXED, message, f"{account.path}.type", metadata)


def _named(command: Command) -> Iterator[str]:
    for line in command.lines:
        yield from (each for each in (line.service_account_id, line.billing_account_id) if each)


def _path(command: Command, account_id: str) -> str:
    account: Account | None = command.accounts.get(account_id)
    return account.path if account else f"order.accounts[{account_id}]"

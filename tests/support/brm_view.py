"""What a BRM instance holds about customers, in CRM words: who pays for whom, who is below whom, who answers for whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from customer_suite import Suite


@dataclass(frozen=True, slots=True)
class BrmView:
    """A picture of one instance. Accounts, units and groups by CRM ids; a picture equals another when BRM looks the same."""

    units: dict[str, set[str]] = field(default_factory=dict)
    """Account to its bill units: ``BP`` of one that pays for itself, ``SA|BA|BP -> BP`` of one that another unit pays for."""
    payment_records: dict[str, int] = field(default_factory=dict)
    """Account to its number of payment records."""
    parents: dict[str, str] = field(default_factory=dict)
    """Account to the account above it."""
    children: dict[str, set[str]] = field(default_factory=dict)
    """Owner of a hierarchy group to the accounts in it."""
    answers_for: dict[str, set[str]] = field(default_factory=dict)
    """Parent unit of a collections group to its member units."""

    def linked(self, account_id: str) -> tuple[str, set[str]]:
        """Parent (empty: none) and children of an account, as the specification writes ``X{p,c}``."""
        return self.parents.get(account_id, ""), self.children.get(account_id, set())


async def look(suite: Suite, system_id: str = "BRM_01") -> BrmView:
    """The picture of an instance. Accounts go by their last name in capitals, as ``customers.account`` makes them."""
    brm = suite.sandbox.admin(system_id)
    accounts = {_id(each["POID"]): _account_name(each) for each in await brm.objects("/account")}
    units = {_id(each["POID"]): each for each in await brm.objects("/billinfo")}
    names = {poid: str(unit["BILLINFO_ID"]) for poid, unit in units.items()}
    view = BrmView(units={name: set() for name in accounts.values()})
    for poid, unit in units.items():
        payer = unit.get("PARENT_BILLINFO_OBJ")
        shown = f"{names[poid]} -> {names[_id(payer)]}" if payer else names[poid]
        of_account = view.units[accounts[_id(unit["ACCOUNT_OBJ"])]]
        assert shown not in of_account, f"bill unit {shown} is there twice"
        of_account.add(shown)
    for each in await brm.objects("/payinfo"):
        owner = accounts[_id(each["ACCOUNT_OBJ"])]
        view.payment_records[owner] = view.payment_records.get(owner, 0) + 1
    for group in await brm.objects("/group/billing"):
        owner = accounts[_id(group["PARENT"])]
        members = {accounts[_id(each["ACCOUNT_OBJ"])] for each in group["MEMBERS"].values()}
        assert owner not in view.children, f"{owner} has two hierarchy groups"
        assert members.isdisjoint(view.parents), f"{members & set(view.parents)} have two parents"
        view.children[owner] = members
        view.parents.update(dict.fromkeys(members, owner))
    for group in await brm.objects("/group/collections_targets"):
        parent = names[_id(group["BILLINFO_OBJ"])]
        assert parent not in view.answers_for, f"{parent} has two collections groups"
        view.answers_for[parent] = {names[_id(each["BILLINFO_OBJ"])] for each in group["MEMBERS"].values()}
    return view


def _id(poid: Any) -> str:
    return str(poid).split()[2]


def _account_name(account: dict[str, Any]) -> str:
    return str(account["NAMEINFO"]["1"]["LAST_NAME"]).upper()

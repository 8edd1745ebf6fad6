"""Who pays for what, as BRM has it: of a running suite, by ids of the CRM."""

from __future__ import annotations

from typing import Any

from suite import RunningSuite

from libs.brm.poid import Poid

SYSTEM = "BRM_01"


def group_of(suite: RunningSuite, asset: str) -> dict[str, Any]:
    """The balance group of a service."""
    billing = suite.clients.sandbox(SYSTEM)
    return billing.object(billing.object(suite.row("INSTALLEDPRODUCT_ID", asset)[SYSTEM])["BAL_GRP_OBJ"])


def unit_of(suite: RunningSuite, asset: str) -> dict[str, Any]:
    """The bill unit a service is charged on."""
    return suite.clients.sandbox(SYSTEM).object(group_of(suite, asset)["BILLINFO_OBJ"])


def paid_by(suite: RunningSuite, asset: str) -> str:
    """The profile that pays for a service, as its unit says."""
    return str(unit_of(suite, asset)["BILLINFO_ID"]).rpartition("|")[2]


def account_of(suite: RunningSuite, account_id: str) -> Poid:
    return Poid.parse(suite.row("CUSTOMERPARTY_ACCOUNTID", account_id)[SYSTEM])


def parent_of(suite: RunningSuite, account_id: str) -> Poid:
    """The account right above another one."""
    account = account_of(suite, account_id)
    groups = suite.clients.sandbox(SYSTEM).objects("/group/billing")
    (mine,) = [each for each in groups if account in {Poid.parse(m["ACCOUNT_OBJ"]) for m in each["MEMBERS"].values()}]
    return Poid.parse(mine["PARENT"])

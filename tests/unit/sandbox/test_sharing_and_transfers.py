"""Services that move between balance groups and accounts; groups that share allowances and charges."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal as D
from typing import Any

import pytest

from libs.brm.flist import Array
from libs.brm.poid import Poid
from sandbox.billing.sharing import sources_of
from sandbox.billing.usage import Usage, rate
from sandbox.settings import SandboxSettings

VOIP = "/service/voip"
MINUTES = 1000101


def transfer(brm: Any, source: Any, target: Any, service: Poid, **extra: Any) -> Any:
    flist = {"POID": source["POID"], "TO_OBJ": target["POID"], "SERVICES": Array.of({"SERVICE_OBJ": service}), **extra}
    return brm.call("SUBSCRIPTION_SERVICE_BALGRP_TRANSFER", flist)


def test_within_an_account_the_service_moves_and_old_balances_stay(brm: Any) -> None:
    account = brm.account("A-1", "ONE", "TWO")
    first, second = (account["BILLINFO"][index]["POID"] for index in range(2))
    made = brm.service(account, "1", 20011)
    before = {each["POID"] for each in brm.offers(account)}
    extra = {"BILLINFO_OBJ": second, "TO_BAL_GRP_OBJ": brm.poid("/balance_group -1")}
    moved = transfer(brm, account, account, made["SERVICE_OBJ"], **extra)
    assert "RESULTS" not in transfer(brm, account, account, made["SERVICE_OBJ"], **extra), "being there is success"
    assert {each["POID"] for each in brm.offers(account)} == before
    assert brm.read(moved["BAL_GRP_OBJ"])["BILLINFO_OBJ"] == second
    brm.bill_at("2027-03-01T00:00:00Z")
    assert (brm.owes(first)["OPENBILL_DUE"], brm.owes(second)["OPENBILL_DUE"]) == (D(55), D(30))
    assert brm.broken() == set()


@pytest.mark.parametrize("silent", [True, False])
def test_to_another_account_offers_begin_anew_and_are_named_only_when_asked(make_brm: Any, silent: bool) -> None:
    brm = make_brm(settings=SandboxSettings(transfer_no_poids=silent))
    old, new = brm.account("OLD"), brm.account("NEW")
    service = brm.service(old, "1", 20011, 20012, discounts=[20111])["SERVICE_OBJ"]
    before = {each["POID"] for each in brm.offers(old, service)}
    answer = transfer(brm, old, new, service)["SERVICES"][0]
    stored = {each["POID"]: each["STATUS"] for each in brm.offers(new, service)}
    assert set(stored.values()) == {1} and len(stored) == 3 and not before & set(stored)
    assert {each["STATUS"] for each in brm.offers(old, service)} == {3}
    named = {each["OFFERING_OBJ"] for array in ("PRODUCTS", "DISCOUNTS") for each in answer.get(array, {}).values()}
    assert named == (set() if silent else set(stored))
    assert brm.read(service)["ACCOUNT_OBJ"] == new["POID"]
    brm.bill_at("2027-03-01T00:00:00Z")
    # January: the fees paid ahead with credit (27.00) are credited to the old owner and charged to the new one.
    assert brm.owes(old["BILLINFO"][0]["POID"])["OPENBILL_DUE"] == D("29.50"), (
        "purchase fee 25.00, voicemail without credit 4.50"
    )
    assert brm.owes(new["BILLINFO"][0]["POID"])["OPENBILL_DUE"] == D("27.00") + D("31.50")
    assert brm.broken() == set()


@pytest.mark.spec("brm:8.10")
def test_a_service_moved_into_a_nonpaying_unit_leaves_that_unit_nonpaying(brm: Any) -> None:
    payer, source = brm.account("PAYER"), brm.account("SOURCE")
    above = payer["BILLINFO"][0]["POID"]
    child = brm.child("CHILD", above)
    service = brm.service(source, "1", 20021, type_="/service/broadband")["SERVICE_OBJ"]
    transfer(brm, source, child, service, BILLINFO_OBJ=child["BILLINFO"][0]["POID"])
    unit = brm.read(child["BILLINFO"][0]["POID"])
    assert (unit["PAY_TYPE"], unit["PARENT_BILLINFO_OBJ"], unit["AR_BILLINFO_OBJ"]) == (10007, above, above)
    brm.bill_at("2027-03-01T00:00:00Z")
    assert brm.owes(above)["OPENBILL_DUE"] == D(45), "February is the payer's; January was paid by the source"
    assert brm.broken() == set()


def test_what_cannot_move(brm: Any) -> None:
    source, target = brm.account("S"), brm.account("T")
    service = brm.service(source, "1", 20011)["SERVICE_OBJ"]
    flist = {"POID": source["POID"], "TO_OBJ": target["POID"], "SERVICES": Array.of({"SERVICE_OBJ": service})}
    opcode = "SUBSCRIPTION_SERVICE_BALGRP_TRANSFER"
    assert brm.refusal(opcode, {**flist, "POID": target["POID"], "TO_OBJ": source["POID"], "TO_BAL_GRP_OBJ": None,
                                "SERVICES": Array.of({"SERVICE_OBJ": brm.poid("/service 99999")})}) == (
        "NOT_FOUND", "SERVICE_OBJ")  # fmt: skip
    foreign = brm.read(source["POID"])["BAL_GRP_OBJ"]
    assert brm.refusal(opcode, {**flist, "TO_BAL_GRP_OBJ": foreign}) == ("BAD_VALUE", "TO_BAL_GRP_OBJ")
    brm.status(target["POID"], 10102)
    assert brm.refusal(opcode, flist) == ("BAD_VALUE", "STATUS")
    brm.status(target["POID"], 10100)
    brm.status(service, 10103)
    assert brm.refusal(opcode, flist) == ("BAD_VALUE", "SERVICE_OBJ")


def test_a_subscription_moves_and_ends_with_the_services_that_belong_to_it(brm: Any) -> None:
    source, target = brm.account("S"), brm.account("T")
    main = brm.service(source, "1", 20011)["SERVICE_OBJ"]
    given = {"POID": brm.poid(f"{VOIP} -1"), "ACCOUNT_OBJ": source["POID"], "LOGIN": "2", "SUBSCRIPTION_OBJ": main}
    member = brm.call("CUST_CREATE_SERVICE", given)["POID"]
    flist = {"POID": source["POID"], "FROM_OBJ": source["POID"], "TO_OBJ": target["POID"], "SERVICE_OBJ": main}
    brm.call("SUBSCRIPTION_TRANSFER_SUBSCRIPTION", flist)
    assert "RESULTS" not in brm.call("SUBSCRIPTION_TRANSFER_SUBSCRIPTION", flist)
    assert {brm.read(each)["ACCOUNT_OBJ"] for each in (main, member)} == {target["POID"]}
    end = {"POID": target["POID"], "SERVICE_OBJ": main}
    brm.call("SUBSCRIPTION_CANCEL_SUBSCRIPTION", end)
    assert brm.call("SUBSCRIPTION_CANCEL_SUBSCRIPTION", end)["DESCR"] == "already cancelled"
    assert {brm.read(each)["STATUS"] for each in (main, member)} == {10103}
    assert {each["STATUS"] for each in brm.offers(target)} == {3}
    assert brm.broken() == set()


class Family:
    """An owner whose VoIP service has 5000 minutes to share, and a member's VoIP service with 500 of its own."""

    def __init__(self, brm: Any) -> None:
        self.brm = brm
        self.owner, self.member = brm.account("OWNER"), brm.account("MEMBER")
        self.source = brm.service(self.owner, "1", type_=VOIP, discounts=[20112])
        self.user = brm.service(self.member, "2", 20031, type_=VOIP)
        self.service = self.user["SERVICE_OBJ"]
        self.me = {"ACCOUNT_OBJ": self.member["POID"], "SERVICE_OBJ": self.service}

    def create(self, **changes: Any) -> dict[str, Any]:
        return {
            "POID": self.brm.poid("/group/sharing/discounts -1"),
            "PARENT": self.owner["POID"],
            "SERVICE_OBJ": self.source["SERVICE_OBJ"],
            "NAME": "Minutes",
            "MEMBERS": Array.of(self.me),
            "DISCOUNTS": Array.of({"DISCOUNT_OBJ": self.brm.poid("/discount 20112")}),
            **changes,
        }

    def share(self, **changes: Any) -> Poid:
        group: Poid = self.brm.call("SUBSCRIPTION_SHARING_GROUP_CREATE", self.create(**changes))["GROUP_OBJ"]
        return group

    def order(self, action: str, *groups: Poid) -> Any:
        flist = {"POID": self.brm.poid("/ordered_balgrp -1"), "ACTION": action, **self.me}
        return self.brm.call(
            "SUBSCRIPTION_ORDERED_BALGRP", {**flist, "ORDERED_BALGROUPS": Array.of(*({"GROUP_OBJ": each} for each in groups))}
        )

    def tried(self) -> list[Poid]:
        tx = self.brm.instance.reader()
        return [source.balance_group for source in sources_of(tx, tx.get(self.service))]

    def use(self, quantity: str, amount: str = "0", resource: int = MINUTES) -> None:
        usage = Usage(datetime(2027, 1, 1, tzinfo=UTC), D(quantity), D(amount), resource)
        self.brm.instance.transaction(lambda tx: rate(tx, tx.get(self.service), usage))

    def minutes(self, group: Poid) -> D:
        balance: D = self.brm.read(group)["BALANCES"][MINUTES]["CURRENT_BAL"]
        return balance


def test_shared_minutes_are_used_in_the_order_of_the_members_list(brm: Any) -> None:
    family = Family(brm)
    shared, own = family.source["BAL_GRP_OBJ"], family.user["BAL_GRP_OBJ"]
    assert (family.minutes(shared), family.minutes(own)) == (D(-5000), D(-500))
    group = family.share()
    assert family.tried() == [own], "being a member is not enough: the list decides"
    for _ in range(2):
        order = family.order("add", group)
    assert len(order["ORDERED_BALGROUPS"]) == 1
    assert family.tried() == [shared, own]
    family.use("4900")
    assert (family.minutes(shared), family.minutes(own)) == (D(-100), D(-500))
    family.use("300")
    assert (family.minutes(shared), family.minutes(own)) == (D(0), D(-300)), "the own minutes cover what the group cannot"
    family.order("remove", group)
    assert family.tried() == [own]
    brm.bill_at("2027-02-01T00:00:00Z")
    assert family.minutes(shared) == D(-5000), "a new month's minutes"
    assert brm.broken() == set()


def test_a_sponsor_pays_half_of_the_members_charges(brm: Any) -> None:
    family = Family(brm)
    sponsor = {"POID": brm.poid("/group/sharing/charges -1"), "NAME": "Half"}
    group = family.share(**sponsor, DISCOUNTS=None, SPONSORS=Array.of({"SPONSOR_OBJ": brm.poid("/sponsorship 20121")}))
    family.order("create", group)
    family.use("1", "10.00", resource=840)
    brm.bill_at("2027-02-01T00:00:00Z")
    assert brm.owes(family.owner["BILLINFO"][0]["POID"])["OPENBILL_DUE"] == D(5)
    assert brm.owes(family.member["BILLINFO"][0]["POID"])["OPENBILL_DUE"] == D(18) + D(5)
    assert brm.broken() == set()


def test_leaving_a_group_or_deleting_it_prunes_the_members_list(brm: Any) -> None:
    family = Family(brm)
    first, second = family.share(), family.share(NAME="More")
    family.order("create", first, second)
    brm.call("SUBSCRIPTION_SHARING_GROUP_DELETE", {"POID": first, "MEMBERS": Array.of(family.me)})
    assert len(family.tried()) == 2 and brm.read(first)["MEMBERS"] == {}
    brm.call("SUBSCRIPTION_SHARING_GROUP_DELETE", {"POID": second})
    assert len(family.tried()) == 1
    assert brm.refusal("SUBSCRIPTION_SHARING_GROUP_DELETE", {"POID": second}) == ("NOT_FOUND", "POID")
    family.order("delete")
    assert list(brm.instance.reader().of_class("/ordered_balgrp")) == []
    not_in = {"POID": brm.poid("/ordered_balgrp -1"), "ACTION": "add", **family.me}
    not_in["ORDERED_BALGROUPS"] = Array.of({"GROUP_OBJ": first})
    assert brm.refusal("SUBSCRIPTION_ORDERED_BALGRP", not_in) == ("BAD_VALUE", "GROUP_OBJ")
    assert brm.broken() == set()


@pytest.mark.spec("brm:INV-24")
def test_owners_share_what_they_own_with_active_others(brm: Any) -> None:
    family = Family(brm)
    opcode = "SUBSCRIPTION_SHARING_GROUP_CREATE"
    unowned = family.create(DISCOUNTS=Array.of({"DISCOUNT_OBJ": brm.poid("/discount 20113")}))
    assert brm.refusal(opcode, unowned) == ("BAD_VALUE", "DISCOUNT_OBJ")
    itself = {"ACCOUNT_OBJ": family.owner["POID"], "SERVICE_OBJ": family.source["SERVICE_OBJ"]}
    assert brm.refusal(opcode, family.create(MEMBERS=Array.of(itself))) == ("BAD_VALUE", "MEMBERS")
    brm.status(family.service, 10102)
    assert brm.refusal(opcode, family.create()) == ("BAD_VALUE", "MEMBERS")
    brm.status(family.service, 10100)
    group = family.share()
    assert brm.refusal(opcode, family.create()) == ("DUPLICATE", "NAME")
    brm.status(family.service, 10102)
    assert brm.broken() == set(), "a member that is suspended later stays a member"
    brm.status(family.service, 10100)
    stranger = {"POID": group, "PARENT": family.member["POID"]}
    assert brm.refusal("SUBSCRIPTION_SHARING_GROUP_SET_PARENT", stranger) == ("BAD_VALUE", "DISCOUNT_OBJ")
    profile = {"PROFILE_OBJ": brm.poid("/profile/serv_extrating -1"), "NAME": "F"}
    created = {"POID": brm.poid("/profile -1"), "ACCOUNT_OBJ": family.member["POID"], "PROFILES": Array.of(profile)}
    theirs = brm.call("CUST_CREATE_PROFILE", created)["PROFILES"][0]
    kind = {"POID": brm.poid("/group/sharing/profiles -1"), "NAME": "P", "PROFILES": Array.of(theirs), "MEMBERS": None}
    assert brm.refusal(opcode, family.create(**kind)) == ("BAD_VALUE", "PROFILE_OBJ")
    brm.corrupt(group, MEMBERS=Array.of(itself))
    assert "INV-24" in brm.broken()

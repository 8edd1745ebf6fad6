"""Random calls about who shares, is liable, moves and goes: for the property that the books balance whatever is asked."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from libs.brm.flist import Array, Flist

Call = tuple[str, Flist]


class RelationsChaos:
    """Thinks of a random next call; ``pick`` gives some object of a class, or a POID that does not exist."""

    def __init__(self, brm: Any, dice: random.Random, pick: Callable[[str], Any]) -> None:
        self.brm = brm
        self.dice = dice
        self.pick = pick

    def kinds(self) -> list[Callable[[], Call]]:
        return [self.transfer, self.share, self.order, self.liable, self.unliable, self.collect, self.exempt, self.tidy]

    def _stored(self, class_: str) -> Flist:
        """Some object of a class; without one, the names of things that do not exist."""
        nothing = {"POID": self.brm.poid(f"{class_} 99999"), "ACCOUNT_OBJ": self.brm.poid("/account 99999"), "MEMBERS": {}}
        return self.brm.instance.reader().find(self.pick(class_)) or nothing

    def transfer(self) -> Call:
        service = self._stored("/service")
        target = self.dice.choice((service["ACCOUNT_OBJ"], self.pick("/account")))
        flist = {"POID": service["ACCOUNT_OBJ"], "TO_OBJ": target, "SERVICES": Array.of({"SERVICE_OBJ": service["POID"]})}
        return "SUBSCRIPTION_SERVICE_BALGRP_TRANSFER", flist

    def share(self) -> Call:
        discount, member = self._stored("/purchased_discount"), self._stored("/service")
        group = {"POID": self.brm.poid("/group/sharing/discounts -1"), "PARENT": discount["ACCOUNT_OBJ"]}
        members = Array.of({"ACCOUNT_OBJ": member["ACCOUNT_OBJ"], "SERVICE_OBJ": member["POID"]})
        shared = Array.of({"OFFERING_OBJ": discount["POID"]})
        name = f"share {self.dice.randrange(30)}"
        return "SUBSCRIPTION_SHARING_GROUP_CREATE", {**group, "NAME": name, "MEMBERS": members, "DISCOUNTS": shared}

    def order(self) -> Call:
        group, service = self._stored("/group/sharing/discounts"), self._stored("/service")
        if self.dice.random() < 0.2:
            return "SUBSCRIPTION_SHARING_GROUP_DELETE", {"POID": group["POID"]}
        stranger = {"ACCOUNT_OBJ": service["ACCOUNT_OBJ"], "SERVICE_OBJ": service["POID"]}
        member = next(iter(group["MEMBERS"].values()), stranger)
        flist = {"POID": self.brm.poid("/ordered_balgrp -1"), "ACTION": self.dice.choice(("add", "remove")), **member}
        return "SUBSCRIPTION_ORDERED_BALGRP", {**flist, "ORDERED_BALGROUPS": Array.of({"GROUP_OBJ": group["POID"]})}

    def liable(self) -> Call:
        flist = {"POID": self.brm.poid("/group/collections_targets -1"), "BILLINFO_OBJ": self.pick("/billinfo")}
        return "COLLECTIONS_GROUP_CREATE", {**flist, "MEMBERS": Array.of({"BILLINFO_OBJ": self.pick("/billinfo")})}

    def unliable(self) -> Call:
        opcode = self.dice.choice(("ADD_MEMBER", "DELETE_MEMBER", "DELETE"))
        members = {"MEMBERS": Array.of({"BILLINFO_OBJ": self.pick("/billinfo")})} if opcode != "DELETE" else {}
        return f"COLLECTIONS_GROUP_{opcode}", {"POID": self.pick("/group/collections_targets"), **members}

    def collect(self) -> Call:
        return "COLLECTIONS_PROCESS_BILLINFO", {"POID": self.pick("/billinfo")}

    def exempt(self) -> Call:
        flist = {"POID": self.pick("/billinfo"), "EXEMPT_FROM_COLLECTIONS": self.dice.choice((0, 0, 1))}
        return "COLLECTIONS_EXEMPT_BILLINFO", flist

    def tidy(self) -> Call:
        class_, opcode = self.dice.choice(
            (("/payinfo", "DELETE_PAYINFO"), ("/billinfo", "DELETE_BILLINFO"), ("/balance_group", "DELETE_BAL_GRP"))
        )
        return f"CUST_{opcode}", {"POID": self.pick(class_)}

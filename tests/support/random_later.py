"""Random calls about what comes later or is seldom asked: dates ahead, limits, prices, trials, steps of payments."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from libs.brm.flist import Array, Flist

Call = tuple[str, Flist]


class LaterChaos:
    """Thinks of a random next call; ``pick`` gives some object of a class, or a POID that does not exist."""

    def __init__(self, brm: Any, dice: random.Random, pick: Callable[[str], Any]) -> None:
        self.brm = brm
        self.dice = dice
        self.pick = pick

    def kinds(self) -> list[Callable[[], Call]]:
        kinds = [
            self.status_ahead,
            self.offer_ahead,
            self.move_ahead,
            self.closing,
            self.reprice,
            self.limit,
            self.trial,
            self.read,
            self.usage,
        ]
        return [
            *kinds,
            self.receive,
            self.recover,
            self.credit,
            self.move_item,
            self.leave_hierarchy,
            self.profile,
            self.search,
        ]

    def _stored(self, class_: str) -> Flist:
        nothing = {"POID": self.brm.poid(f"{class_} 99999"), "ACCOUNT_OBJ": self.brm.poid("/account 99999")}
        return self.brm.instance.reader().find(self.pick(class_)) or nothing

    def _soon(self) -> datetime:
        now: datetime = self.brm.instance.clock.now()
        return now + timedelta(days=self.dice.randrange(1, 40))

    def _status(self) -> Flist:
        return {"STATUSES": Array.of({"STATUS": self.dice.choice((10100, 10100, 10102, 10102, 10103)), "STATUS_FLAGS": 4})}

    def status_ahead(self) -> Call:
        target = self.pick(self.dice.choice(("/account", "/billinfo", "/service", "/service")))
        return "CUST_SET_STATUS", {"POID": target, **self._status(), "END_T": self._soon()}

    def closing(self) -> Call:
        service = self._stored("/service")
        change = {"SERVICE_OBJ": service["POID"], "STATUSES": Array.of({"STATUS": 10100, "STATUS_FLAGS": 4})}
        if self.dice.random() < 0.3:
            change["STATUSES"][0]["CLOSE_WHEN_T"] = self.dice.choice((None, self._soon()))
        return "CUST_UPDATE_SERVICES", {"POID": service["ACCOUNT_OBJ"], "SERVICES": Array.of(change)}

    def offer_ahead(self) -> Call:
        offer = self._stored("/purchased_product")
        opcode = self.dice.choice(("CANCEL_PRODUCT", "SET_PRODUCT_STATUS"))
        element = {"OFFERING_OBJ": offer["POID"]}
        if opcode != "CANCEL_PRODUCT":
            element["STATUSES"] = Array.of({"STATUS": self.dice.choice((1, 2)), "STATUS_FLAGS": 4})
        flist = {"POID": offer["ACCOUNT_OBJ"], "PRODUCTS": Array.of(element), "END_T": self._soon()}
        return f"SUBSCRIPTION_{opcode}", flist

    def move_ahead(self) -> Call:
        service, target = self._stored("/service"), self._stored("/balance_group")
        move = {"POID": service["ACCOUNT_OBJ"], "TO_OBJ": target["ACCOUNT_OBJ"], "END_T": self._soon()}
        if self.dice.random() < 0.3:
            flist = {**move, "FROM_OBJ": move["POID"], "SERVICE_OBJ": service["POID"]}
            return "SUBSCRIPTION_TRANSFER_SUBSCRIPTION", flist
        if self.dice.random() < 0.7:
            move["TO_BAL_GRP_OBJ"] = self.dice.choice((target["POID"], self.brm.poid("/balance_group -1")))
        return "SUBSCRIPTION_SERVICE_BALGRP_TRANSFER", {**move, "SERVICES": Array.of({"SERVICE_OBJ": service["POID"]})}

    def reprice(self) -> Call:
        if self.dice.random() < 0.3:
            fee = {"NAME": "forward", "AMOUNT": Decimal(self.dice.randrange(20)), "RATE_PLAN_NAME": "Standard"}
            product = {"NAME": "Random", "PERMITTED": "/service", "CYCLE_FEES": Array.of(fee)}
            return "PRICE_SET_PRICE_LIST", {"POID": self.brm.poid("/ 0"), "PRODUCTS": Array.of(product)}
        offer = self._stored("/purchased_product")
        terms = {"CYCLE_FEE_AMT": Decimal(self.dice.randrange(50)), "STATUS_FLAGS": self.dice.choice((0, 0x2000000))}
        element = {"OFFERING_OBJ": offer["POID"], **terms, "CYCLE_DISCOUNT": Decimal("0.1")}
        return "SUBSCRIPTION_SET_PRODINFO", {"POID": offer["ACCOUNT_OBJ"], "PRODUCTS": Array.of(element)}

    def limit(self) -> Call:
        group = self._stored("/balance_group")
        limit = Array({840: {"CREDIT_LIMIT": self.dice.choice((None, Decimal(100), Decimal(400)))}})
        rule = Array({1000101: {"CONSUMPTION_RULE": self.dice.randrange(13)}})
        flist = {"POID": group["ACCOUNT_OBJ"], "BAL_GRP_OBJ": group["POID"], "LIMIT": limit, "RULES": rule}
        return "BILL_SET_LIMIT_AND_CR", flist

    def trial(self) -> Call:
        until = {"END_T": self._soon()} if self.dice.random() < 0.5 else {}
        return "BILL_MAKE_TRIAL_BILL", {"POID": self.pick("/billinfo"), **until}

    def usage(self) -> Call:
        service = self._stored("/service")
        impacts = Array.of({"RESOURCE_ID": 840, "AMOUNT": Decimal(self.dice.randrange(1, 900)) / 100})
        if self.dice.random() < 0.5:
            impacts[1] = {"RESOURCE_ID": 1000101, "AMOUNT": Decimal(self.dice.randrange(1, 60))}
        event = {"POID": self.brm.poid("/event/session -1"), "SERVICE_OBJ": service["POID"], "BAL_IMPACTS": impacts}
        return "ACT_USAGE", {"POID": service["ACCOUNT_OBJ"], "EVENT": event}

    def receive(self) -> Call:
        amount = Decimal(self.dice.randrange(-100, 5000)) / 100
        given = {"AMOUNT": amount, "CURRENCY": 840, "PAY_TYPE": 10011, "TRANS_ID": f"T-{self.dice.randrange(200)}"}
        return "BILL_RCV_PAYMENT", {"POID": self.pick("/account"), **given}

    def recover(self) -> Call:
        account = self.pick("/account")
        charge = {"ACCOUNT_OBJ": account, "PAY_TYPE": 10011, "TRANS_ID": f"T-{self.dice.randrange(200)}"}
        return "PYMT_RECOVER", {"POID": account, "CHARGES": Array.of(charge)}

    def credit(self) -> Call:
        return "AR_BILL_CREDIT_TRANSFER", {"POID": self.pick("/bill"), "BILLS": Array.of({"POID": self.pick("/bill")})}

    def move_item(self) -> Call:
        item = self._stored("/item")
        bills = self.brm.instance.reader().by_key("/bill.BILLINFO_OBJ", item.get("BILLINFO_OBJ") or item["POID"])
        bill = self.dice.choice(bills)["POID"] if bills else self.pick("/bill")
        return "BILL_MOVE_ITEM", {"POID": bill, "ITEMS": Array.of({"POID": item["POID"]})}

    def leave_hierarchy(self) -> Call:
        if self.dice.random() < 0.7:
            members = Array.of({"ACCOUNT_OBJ": self.pick("/account")}, {"ACCOUNT_OBJ": self.pick("/account")})
            group = {"POID": self.brm.poid("/group/billing -1"), "PARENT": self.pick("/account")}
            return "BILL_GROUP_CREATE", {**group, "MEMBERS": members}
        return "BILL_GROUP_REMOVE_PAYING_MEMBERS", {"POID": self.pick("/group/billing")}

    def profile(self) -> Call:
        account = self._stored("/account")
        units = self.brm.instance.reader().by_key("/billinfo.ACCOUNT_OBJ", account["POID"])
        changes: Flist = {"LOCALES": Array.of({"LOCALE": self.dice.choice(("en_US", "de_DE"))})}
        if units:
            changes["BILLINFO"] = Array.of({"POID": units[0]["POID"], "BILLINFO_ID": f"BP-{self.dice.randrange(1000)}"})
        return "CUST_UPDATE_CUSTOMER", {"POID": account["POID"], **changes}

    def read(self) -> Call:
        opcode = self.dice.choice(("READ_OBJ", "AR_GET_BAL_SUMMARY", "AR_GET_BILLS"))
        return opcode, {"POID": self.pick("/billinfo")}

    def search(self) -> Call:
        opcode = self.dice.choice(("BILL_FIND", "SUBSCRIPTION_GET_PURCHASED_OFFERINGS"))
        if opcode == "BILL_FIND":
            return opcode, {"POID": self.brm.poid("/bill -1"), "BILL_NO": f"B1-{self.dice.randrange(1, 90)}"}
        return opcode, {"POID": self.pick("/account")}

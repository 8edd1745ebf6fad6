"""Random calls about customers, services and offers, and everything the neighbouring modules think of."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from typing import Any

from random_later import LaterChaos
from random_money import MoneyChaos
from random_relations import RelationsChaos

from libs.brm.flist import Array, Flist
from sandbox.clock import ClockMode

SERVICES = {
    "/service/telco/gsm": (20011, 20012, 20013, 20014),
    "/service/broadband": (20021, 20022),
    "/service/voip": (20031, 20032),
}


class Chaos:
    """Thinks of a random next call, using what exists."""

    def __init__(self, brm: Any, seed: int) -> None:
        self.brm = brm
        self.dice = random.Random(seed)
        self.number = 0
        self.money = MoneyChaos(brm, self.dice, self.any)
        self.relations = RelationsChaos(brm, self.dice, self.any)
        self.later = LaterChaos(brm, self.dice, self.any)

    def any(self, class_: str) -> Any:
        found = [flist["POID"] for flist in self.brm.instance.reader().of_class(class_)]
        return self.dice.choice(found) if found else self.brm.poid(f"{class_} 99999")

    def next(self) -> tuple[str, Flist]:
        self.number += 1
        kinds = [self.create, self.child, self.service, self.service, self.purchase, self.purchase, self.cancel]
        kinds += [self.status, self.offer_status, self.bill, self.repoint, self.group, self.change_cycle]
        return self.dice.choice([*kinds, *self.money.kinds(), *self.relations.kinds(), *self.later.kinds()])()

    def create(self) -> tuple[str, Flist]:
        months, day = self.dice.choice((1, 1, 3)), self.dice.choice((1, 1, 15, 31))
        number = f"A-{self.dice.randrange(self.number)}"
        fields = {"BILL_WHEN": months, "ACTG_FUTURE_DOM": day, "ACTG_TYPE": self.dice.choice((1, 2))}
        return "CUST_COMMIT_CUSTOMER", self.brm.commit_input(number, f"{number}/1", f"{number}/2", **fields)

    def child(self) -> tuple[str, Flist]:
        fields = {"PAY_TYPE": 10007, "PARENT_BILLINFO_OBJ": self.any("/billinfo"), "ACTG_FUTURE_DOM": None}
        return "CUST_COMMIT_CUSTOMER", self.brm.commit_input(f"C-{self.number}", **fields)

    def service(self) -> tuple[str, Flist]:
        type_ = self.dice.choice(list(SERVICES))
        unit = self.brm.instance.reader().find(self.any("/billinfo"))
        if unit is None:
            return self.create()
        account = {"POID": unit["ACCOUNT_OBJ"], "BILLINFO": Array.of({"POID": unit["POID"]})}
        discounts = [20111] if type_ == "/service/telco/gsm" and self.dice.random() < 0.3 else []
        products = [{"id": self.dice.choice(SERVICES[type_]), "QUANTITY": Decimal(self.dice.choice((1, 1, 3)))}]
        login = f"{self.dice.randrange(self.number + 1)}"
        return "CUST_MODIFY_CUSTOMER", self.brm.service_input(account, login, type_, products=products, discounts=discounts)

    def purchase(self) -> tuple[str, Flist]:
        service = self.brm.instance.reader().find(self.any("/service"))
        if service is None or self.dice.random() < 0.3:
            return "SUBSCRIPTION_PURCHASE_DEAL", {"POID": self.any("/account"), "DEAL_INFO": self.brm.deal(20041)}
        product = self.dice.choice([each for products in SERVICES.values() for each in products])
        later = self.brm.instance.clock.now() + timedelta(days=self.dice.randrange(20))
        deal = self.brm.deal({"id": product, "PURCHASE_START_T": later})
        return "SUBSCRIPTION_PURCHASE_DEAL", {"POID": service["ACCOUNT_OBJ"], "SERVICE_OBJ": service["POID"], "DEAL_INFO": deal}

    def _offer(self) -> tuple[Any, Any]:
        offer = self.brm.instance.reader().find(self.any("/purchased_product"))
        return (offer["ACCOUNT_OBJ"], offer["POID"]) if offer else (self.any("/account"), self.any("/purchased_product"))

    def cancel(self) -> tuple[str, Flist]:
        account, offer = self._offer()
        quantity = self.dice.choice(({}, {"QUANTITY": Decimal(1)}))
        return "SUBSCRIPTION_CANCEL_PRODUCT", {"POID": account, "PRODUCTS": Array.of({"OFFERING_OBJ": offer, **quantity})}

    def offer_status(self) -> tuple[str, Flist]:
        account, offer = self._offer()
        element = {"OFFERING_OBJ": offer, "STATUSES": Array.of({"STATUS": self.dice.choice((1, 2)), "STATUS_FLAGS": 4})}
        return "SUBSCRIPTION_SET_PRODUCT_STATUS", {"POID": account, "PRODUCTS": Array.of(element)}

    def status(self) -> tuple[str, Flist]:
        status = self.dice.choice((10100, 10100, 10102, 10102, 10103)) if self.dice.random() < 0.6 else 10100
        target = self.any(self.dice.choice(("/account", "/service", "/service")))
        return "CUST_SET_STATUS", {"POID": target, "STATUSES": Array.of({"STATUS": status, "STATUS_FLAGS": 4})}

    def bill(self) -> tuple[str, Flist]:
        now = self.brm.instance.clock.now()
        self.brm.instance.set_clock(ClockMode.FROZEN, now + timedelta(days=self.dice.choice((0, 1, 5, 12))))
        return "BILL_MAKE_BILL", {"POID": self.any("/billinfo")}

    def repoint(self) -> tuple[str, Flist]:
        unit = self.brm.instance.reader().find(self.any("/billinfo"))
        if unit is None:
            return self.create()
        change = self.dice.choice(({"PAY_TYPE": 10007, "PARENT_BILLINFO_OBJ": self.any("/billinfo")}, {"PAY_TYPE": 10001}))
        return "CUST_SET_BILLINFO", {"POID": unit["ACCOUNT_OBJ"], "BILLINFO": Array.of({"POID": unit["POID"], **change})}

    def change_cycle(self) -> tuple[str, Flist]:
        unit = self.brm.instance.reader().find(self.any("/billinfo"))
        if unit is None:
            return self.create()
        change = {"POID": unit["POID"], "BILL_WHEN": self.dice.choice((1, 3)), "ACTG_FUTURE_DOM": self.dice.choice((1, 15))}
        return "CUST_SET_BILLINFO", {"POID": unit["ACCOUNT_OBJ"], "BILLINFO": Array.of(change)}

    def group(self) -> tuple[str, Flist]:
        members = Array.of({"ACCOUNT_OBJ": self.any("/account")})
        return "BILL_GROUP_MOVE_MEMBER", {"POID": self.any("/account"), "PARENT": self.any("/account"), "MEMBERS": members}

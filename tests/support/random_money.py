"""Random calls about money, for whoever exists: payments, adjustments, disputes, write-offs, refunds, usage."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

from libs.brm.flist import Array, Flist

_ACTIONS = ("ADJUSTMENT", "DISPUTE", "SETTLEMENT", "WRITEOFF")


class MoneyChaos:
    """Thinks of the next call; ``any_of(class)`` picks a stored object's POID."""

    def __init__(self, brm: Any, dice: random.Random, any_of: Any) -> None:
        self.brm = brm
        self.dice = dice
        self.any = any_of

    def kinds(self) -> list[Any]:
        kinds = [self.pay, self.pay, self.on_bill, self.on_item, self.on_event, self.on_account]
        return [*kinds, self.reverse, self.refund, self.debit, self.bill_now, self.move, self.settle]

    def _amount(self, low: int = -60, high: int = 60) -> Decimal:
        return Decimal(self.dice.randrange(low * 100, high * 100)) / 100

    def _unit(self) -> Flist | None:
        found: Flist | None = self.brm.instance.reader().find(self.any("/billinfo"))
        return found

    def pay(self) -> tuple[str, Flist]:
        unit = self._unit()
        account = unit["ACCOUNT_OBJ"] if unit else self.any("/account")
        charge: Flist = {"ACCOUNT_OBJ": account, "AMOUNT": self._amount(-5, 80), "CURRENCY": 840, "PAY_TYPE": 10011}
        charge["TRANS_ID"] = f"T-{self.dice.randrange(200)}"
        charge["COMMAND"] = int(self.dice.random() < 0.1)
        if unit is not None:
            charge["BILLINFO_OBJ"] = unit["POID"]
        if self.dice.random() < 0.3:
            charge["BILLS"] = Array.of({"POID": self.any("/bill")})
        if self.dice.random() < 0.2:
            charge["SELECT_STATUS"] = 1
        return "PYMT_COLLECT", {"POID": account, "CHARGES": Array.of(charge)}

    def on_bill(self) -> tuple[str, Flist]:
        action = self.dice.choice(_ACTIONS)
        flags = {"FLAGS": self.dice.choice((0, 1, 2))}
        return f"AR_BILL_{action}", {"POID": self.any("/bill"), "AMOUNT": self._amount(), **flags}

    def on_item(self) -> tuple[str, Flist]:
        return f"AR_ITEM_{self.dice.choice(_ACTIONS)}", {"POID": self.any("/item"), "AMOUNT": self._amount()}

    def on_event(self) -> tuple[str, Flist]:
        item = self.brm.instance.reader().find(self.any("/item"))
        events = self.brm.instance.reader().by_key("/event.of_item", item["POID"]) if item else []
        event = self.dice.choice(events)["POID"] if events else self.any("/account")
        info = Array.of({"AMOUNT": self._amount(-30, 10), "FLAGS": self.dice.choice((0, 2, 4))})
        flist = {"POID": self.any("/account"), "EVENTS": Array.of({"POID": event}), "ADJUSTMENT_INFO": info}
        return f"AR_EVENT_{self.dice.choice(_ACTIONS[:3])}", flist

    def on_account(self) -> tuple[str, Flist]:
        flist = {"POID": self.any("/account"), "AMOUNT": self._amount(-20, 10)}
        return self.dice.choice(("AR_ACCOUNT_ADJUSTMENT", "AR_ACCOUNT_ADJUSTMENT", "AR_REVERSE_WRITEOFF")), flist

    def settle(self) -> tuple[str, Flist]:
        disputes = [each for each in self.brm.instance.reader().of_class("/item/dispute") if each.get("DISPUTES")]
        if not disputes:
            return self.on_item()
        claimed = next(iter(self.dice.choice(disputes)["DISPUTES"].values()))
        return "AR_ITEM_SETTLEMENT", {"POID": claimed["ITEM_OBJ"], "AMOUNT": self._amount(1, 30)}

    def reverse(self) -> tuple[str, Flist]:
        amount = {} if self.dice.random() < 0.5 else {"AMOUNT": self._amount(1, 40)}
        return "BILL_REVERSE", {"POID": self.any("/item/payment"), **amount}

    def refund(self) -> tuple[str, Flist]:
        unit = self._unit()
        scope = {"POID": unit["ACCOUNT_OBJ"], "BILLINFO_OBJ": unit["POID"]} if unit else {"POID": self.any("/account")}
        return "BILL_ITEM_REFUND", scope

    def debit(self) -> tuple[str, Flist]:
        resource, amount = self.dice.choice(((840, self._amount(-5, 20)), (1000101, Decimal(-50)), (1000101, Decimal(20))))
        return "BILL_DEBIT", {"POID": self.any("/account"), "DEBIT": Array({resource: {"BAL_OPERAND": amount}})}

    def bill_now(self) -> tuple[str, Flist]:
        return "BILL_MAKE_BILL_NOW", {"POID": self.any("/billinfo")}

    def move(self) -> tuple[str, Flist]:
        return "BILL_ITEM_TRANSFER", {"POID": self.any("/item/payment"), "ITEMS": Array.of({"POID": self.any("/item")})}

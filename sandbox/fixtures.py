"""Ready-made customers (``POST /fixtures/{name}``), made by the same opcodes as everybody's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Final

from libs.brm.call import BrmCall
from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.clock import ClockMode
from sandbox.instance import Instance

_PROGRAM: Final = "sandbox-fixture"
_GSM: Final = "/service/telco/gsm"


class _Maker:
    """Short ways to say what a fixture needs."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self.made: dict[str, str] = {}

    def call(self, opcode: str, flist: Flist) -> Flist:
        return self._instance.execute(BrmCall(f"PCM_OP_{opcode}", {"PROGRAM_NAME": _PROGRAM, **flist}))

    def new(self, type_: str) -> Poid:
        return Poid(self._instance.db, type_, -1)

    def account(self, number: str, *, payer: Poid | None = None) -> Flist:
        """An account with one bill unit on day 1: invoiced, or paid by ``payer``. Keys POID and UNIT."""
        unit: Flist = {"POID": self.new("/billinfo"), "BILLINFO_ID": f"BP-{number}", "PAY_TYPE": 10001, "ACTG_FUTURE_DOM": 1}
        flist: Flist = {"POID": self.new("/plan"), "BILLINFO": Array.of({**unit, "PAYINFO": Array({0: None})})}
        flist["PAYINFO"] = Array.of({"POID": self.new("/payinfo/invoice"), "PAY_TYPE": 10001})
        if payer is not None:
            nonpaying = {"POID": self.new("/billinfo"), "BILLINFO_ID": f"BP-{number}", "PAY_TYPE": 10007}
            flist = {"POID": self.new("/plan"), "BILLINFO": Array.of({**nonpaying, "PARENT_BILLINFO_OBJ": payer})}
        flist["ACCTINFO"] = Array.of({"POID": self.new("/account"), "ACCOUNT_NO": number, "CURRENCY": 840})
        contact = {"LAST_NAME": number, "ADDRESS": "1 Main St", "CITY": "Springfield", "COUNTRY": "US"}
        answer = self.call("CUST_COMMIT_CUSTOMER", {**flist, "NAMEINFO": Array.of(contact, start=1)})
        self.made[number] = str(answer["POID"])
        return {"POID": answer["POID"], "UNIT": answer["BILLINFO"][0]["POID"]}

    def service(self, account: Flist, login: str, type_: str, *products: int, discounts: tuple[int, ...] = ()) -> Flist:
        """A service with a balance group of its own and its offers."""
        deal: Flist = {"POID": self.new("/deal"), "NAME": login}
        for name, key, ids in (("PRODUCTS", "PRODUCT", products), ("DISCOUNTS", "DISCOUNT", discounts)):
            offers = [{f"{key}_OBJ": Poid(self._instance.db, f"/{key.lower()}", id_), "QUANTITY": Decimal(1)} for id_ in ids]
            if offers:
                deal[name] = Array.of(*offers)
        group = {"POID": self.new("/balance_group"), "NAME": login, "BILLINFO_OBJ": account["UNIT"]}
        service = {"SERVICE_OBJ": self.new(type_), "LOGIN": login, "BAL_INFO": Array({0: None}), "DEALS": Array.of(deal)}
        flist = {"POID": self.new("/plan"), "ACCOUNT_OBJ": account["POID"], "BAL_INFO": Array.of(group)}
        answer = self.call("CUST_MODIFY_CUSTOMER", {**flist, "SERVICES": Array.of(service)})
        self.made[login] = str(answer["SERVICES"][0]["SERVICE_OBJ"])
        return {"POID": answer["SERVICES"][0]["SERVICE_OBJ"]}

    def bill(self, unit: Poid) -> None:
        self.call("BILL_MAKE_BILL", {"POID": unit})

    def later(self, days: int) -> None:
        self._instance.set_clock(ClockMode.FROZEN, self._instance.clock.now() + timedelta(days=days))


def _family(make: _Maker) -> None:
    """Denise pays for Michelle and Jessica; each has a mobile phone."""
    denise = make.account("DENISE")
    make.service(denise, "5550001", _GSM, 20011, 20012, 20014, discounts=(20111,))
    for index, name in enumerate(("MICHELLE", "JESSICA"), start=2):
        make.service(make.account(name, payer=denise["UNIT"]), f"555000{index}", _GSM, 20011)


def _business(make: _Maker) -> None:
    """Acme Networks above two branches, which it pays for, in one account hierarchy."""
    acme = make.account("ACME")
    make.service(acme, "acme-hq", "/service/broadband", 20021, 20022)
    members = []
    for number in ("ACME-EAST", "ACME-WEST"):
        branch = make.account(number, payer=acme["UNIT"])
        make.service(branch, number.lower(), "/service/voip", 20031)
        members.append({"ACCOUNT_OBJ": branch["POID"]})
    make.call("BILL_GROUP_CREATE", {"POID": make.new("/group/billing"), "PARENT": acme["POID"], "MEMBERS": Array.of(*members)})


def _overdue(make: _Maker) -> None:
    """A customer whose first bill is about 50 days past due: the clock ends up 110 days later, frozen."""
    late = make.account("LATE")
    make.service(late, "5559999", _GSM, 20011)
    make.later(110)
    make.bill(late["UNIT"])


FIXTURES: Final[Mapping[str, Callable[[_Maker], None]]] = {
    "empty": lambda make: None,
    "family": _family,
    "business": _business,
    "overdue": _overdue,
}


def load(instance: Instance, name: str) -> dict[str, str]:
    """Reset the instance and make a fixture; POIDs of accounts by number and services by login. KeyError: no such one."""
    fixture = FIXTURES[name]
    instance.reset()
    maker = _Maker(instance)
    fixture(maker)
    return maker.made

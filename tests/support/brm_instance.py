"""A BRM instance without HTTP, and short ways to say what an opcode is asked."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from libs.brm.call import BrmCall
from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.clock import ClockMode, VirtualClock, parse_moment
from sandbox.errors import BrmFault
from sandbox.instance import Instance
from sandbox.jobs import run_job
from sandbox.settings import SandboxSettings

GSM = "/service/telco/gsm"
CONTACT = {"LAST_NAME": "Doe", "ADDRESS": "1 Main St", "CITY": "Springfield", "COUNTRY": "US"}


class Brm:
    """Calls opcodes of one in-memory instance."""

    def __init__(self, name: str = "BRM_01", db: str = "0.0.0.1", settings: SandboxSettings | None = None) -> None:
        self.db = db
        self.instance = Instance(name, db, clock=VirtualClock.from_text("2027-01-01T00:00:00Z"), settings=settings)

    def poid(self, text: str) -> Poid:
        return Poid.parse(text, self.db)

    def call(self, opcode: str, flist: Flist, flags: int = 0) -> Flist:
        return self.instance.execute(BrmCall(f"PCM_OP_{opcode}", {"PROGRAM_NAME": "test", **flist}, flags))

    def refusal(self, opcode: str, flist: Flist) -> tuple[str, str]:
        """Error name and field of a call that must fail, and that must change nothing."""
        before = self.count()
        with pytest.raises(BrmFault) as caught:
            self.call(opcode, flist)
        assert self.count() == before, "a refused call left something behind"
        return caught.value.name, caught.value.field

    def count(self) -> int:
        (rows,) = self.instance.store.sql("SELECT count(*) FROM object").fetchone()
        return int(rows)

    def commit_input(self, number: str, *units: str, **unit_fields: Any) -> Flist:
        """Input of COMMIT_CUSTOMER for an account with one invoice bill unit per id."""
        names = units or (f"BP-{number}",)
        unit = {"POID": self.poid("/billinfo -1"), "PAY_TYPE": 10001, "ACTG_FUTURE_DOM": 1, **unit_fields}
        payinfo = {"POID": self.poid("/payinfo/invoice -1"), "PAY_TYPE": 10001}
        pays = unit["PAY_TYPE"] != 10007
        return {
            "POID": self.poid("/plan -1"),
            "ACCTINFO": Array.of({"POID": self.poid("/account -1"), "ACCOUNT_NO": number, "CURRENCY": 840}),
            "NAMEINFO": Array.of(dict(CONTACT), start=1),
            "BILLINFO": Array.of(
                *(
                    {**unit, "BILLINFO_ID": name, **({"PAYINFO": Array({index: None})} if pays else {})}
                    for index, name in enumerate(names)
                )
            ),
            **({"PAYINFO": Array.of(*(dict(payinfo) for _ in names))} if pays else {}),
        }

    def account(self, number: str = "A-1", *units: str, **unit_fields: Any) -> Flist:
        """Create an account; the answer of COMMIT_CUSTOMER."""
        return self.call("CUST_COMMIT_CUSTOMER", self.commit_input(number, *units, **unit_fields))

    def child(self, number: str, payer: Poid, **unit_fields: Any) -> Flist:
        """Create an account whose one bill unit is paid by ``payer``."""
        fields = {"PAY_TYPE": 10007, "PARENT_BILLINFO_OBJ": payer, "ACTG_FUTURE_DOM": None, **unit_fields}
        return self.account(number, f"{number}|{payer.id}", **fields)

    def service_input(
        self, account: Flist, login: str, type_: str = GSM, unit: int = 0, *, products: Any = (), discounts: Any = ()
    ) -> Flist:
        return {
            "POID": self.poid("/plan -1"),
            "ACCOUNT_OBJ": account["POID"],
            "BAL_INFO": Array.of(
                {"POID": self.poid("/balance_group -1"), "NAME": login, "BILLINFO_OBJ": account["BILLINFO"][unit]["POID"]}
            ),
            "SERVICES": Array.of(
                {
                    "SERVICE_OBJ": self.poid(f"{type_} -1"),
                    "LOGIN": login,
                    "BAL_INFO": Array({0: None}),
                    "DEALS": Array.of(self.deal(*products, discounts=discounts)),
                }
            ),
        }

    def service(
        self, account: Flist, login: str, *products: Any, type_: str = GSM, unit: int = 0, discounts: Any = ()
    ) -> Flist:
        """Create a service with its own balance group and buy for it; the SERVICES element of the answer."""
        flist = self.service_input(account, login, type_, unit, products=products, discounts=discounts)
        return self.call("CUST_MODIFY_CUSTOMER", flist)["SERVICES"][0]

    def deal(self, *products: Any, discounts: Any = ()) -> Flist:
        """An ad-hoc deal. A product or discount is its id, or an flist with ``id`` and terms."""
        deal: Flist = {"POID": self.poid("/deal -1"), "NAME": "ad hoc"}
        if products:
            deal["PRODUCTS"] = Array.of(*(self._offer("PRODUCT", each) for each in products))
        if discounts:
            deal["DISCOUNTS"] = Array.of(*(self._offer("DISCOUNT", each) for each in discounts))
        return deal

    def _offer(self, kind: str, given: Any) -> Flist:
        terms = dict(given) if isinstance(given, dict) else {"id": given}
        poid = self.poid(f"/{kind.lower()} {terms.pop('id')}")
        return {f"{kind}_OBJ": poid, "QUANTITY": Decimal(1), **terms}

    def buy(
        self, account: Flist, *products: Any, service: Poid | None = None, discounts: Any = (), flags: int = 0, **extra: Any
    ) -> Flist:
        scope = {"SERVICE_OBJ": service} if service is not None else {}
        flist = {"POID": account["POID"], **scope, "DEAL_INFO": self.deal(*products, discounts=discounts), **extra}
        return self.call("SUBSCRIPTION_PURCHASE_DEAL", flist, flags)

    def read(self, poid: Poid) -> Flist:
        return self.call("READ_OBJ", {"POID": poid})

    def owes(self, unit: Poid) -> Flist:
        return self.call("AR_GET_BAL_SUMMARY", {"POID": unit})

    def bills(self, unit: Poid) -> list[Flist]:
        return list(self.call("AR_GET_BILLS", {"POID": unit}).get("RESULTS", {}).values())

    def clock(self, at: str) -> None:
        self.instance.set_clock(ClockMode.FROZEN, parse_moment(at))

    def job(self, name: str) -> Any:
        report = asyncio.run(run_job(self.instance, name))
        assert report.failures == []
        return report

    def bill_at(self, at: str) -> Any:
        """Move the clock and run billing."""
        self.clock(at)
        return self.job("bill")

    def status(self, poid: Poid, status: int, flags: int = 4) -> Flist:
        return self.call("CUST_SET_STATUS", {"POID": poid, "STATUSES": Array.of({"STATUS": status, "STATUS_FLAGS": flags})})

    def offers(self, account: Flist, service: Poid | None = None) -> list[Flist]:
        scope = {"SERVICE_OBJ": service} if service is not None else {}
        answer = self.call("SUBSCRIPTION_GET_PURCHASED_OFFERINGS", {"POID": account["POID"], **scope})
        return [*answer.get("PRODUCTS", {}).values(), *answer.get("DISCOUNTS", {}).values()]

    def broken(self) -> set[str]:
        """Ids of broken invariants in the whole store."""
        return {violation.id for violation in self.instance.check_invariants()}

    def corrupt(self, poid: Poid, **fields: Any) -> None:
        """Change a stored object behind everybody's back, invariants unchecked."""
        tx = self.instance.reader()
        tx.edit(poid).update(fields)
        tx.commit()

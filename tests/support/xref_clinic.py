"""Two BRM instances, the cross-references of what they hold, and faults planted between them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from xref_tables import Service, import_rows, row, running_service

from libs.brm import calls
from libs.brm.conformance import throw_away_customer
from libs.brm.flist import get
from libs.config import BillingSystem
from libs.pb.xref.v1 import maintenance_pb2 as pb
from libs.pb.xref.v1 import xref_pb2
from libs.xref.model import COMMON, Mode, XrefWrite
from sandbox.instance import Instance
from sandbox.testing import RunningSandbox, running_sandbox

ACCOUNT = "CUSTOMERPARTY_ACCOUNTID"
PROFILE = "CUSTOMERPARTY_BILLPROFILEID"
ASSET = "INSTALLEDPRODUCT_ID"
CODES = ("BRM_01", "BRM_02")
Report = set[tuple[str, str, str]]
"""(kind, table, object or value) of findings."""


@dataclass(frozen=True, slots=True)
class Customer:
    """What BRM made for one customer, in one instance."""

    number: str
    account: str
    billinfo: str
    service: str
    db: str


@dataclass(slots=True)
class Clinic:
    """Makes customers and plants faults. Every planter gives the findings it must lead to."""

    sandbox: RunningSandbox
    service: Service
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def brm(self, code: str = "BRM_01") -> Instance:
        return self.sandbox.instance(code)

    def create(self, code: str = "BRM_01", number: str = "") -> Customer:
        """A customer in BRM that no cross-reference knows."""
        number = number or f"g{next(self.numbers)}"
        brm = self.brm(code)
        made = brm.execute(throw_away_customer(number, brm.db, "bp"))
        account, unit = get(made, "ACCTINFO[0].POID"), get(made, "BILLINFO[0].POID")
        bought = calls.ServicePurchase(service="/service/telco/gsm", login=f"login-{code}-{number}")
        service = get(brm.execute(calls.modify_customer(account, services=(bought,), db=brm.db)), "SERVICES[0].SERVICE_OBJ")
        return Customer(number, str(account), str(unit), str(service), brm.db)

    async def known(self, customer: Customer, code: str = "BRM_01", *, leave: Sequence[str] = ()) -> Customer:
        """Cross-reference a customer, but for the values of some tables."""
        rows = {
            ACCOUNT: row(COMMON=customer.number, SEBL_01=f"1-{customer.number}", **{code: customer.account}),
            PROFILE: row(COMMON=f"c-{customer.number}", SEBL_01=f"{customer.number}-bp", **{code: customer.billinfo}),
            ASSET: row(
                COMMON=f"a-{customer.number}", SEBL_01=f"AST-{customer.number}", **{code: [f"SERVICE:{customer.service}"]}
            ),
        }
        for table, each in rows.items():
            cells = [cell for cell in each.cells if table not in leave or cell.column != code]
            await import_rows(self.service, [type(each)(tuple(cells))], table)
        return customer

    async def customers(self, count: int, code: str = "BRM_01") -> list[Customer]:
        return [await self.known(self.create(code), code) for _ in range(count)]

    async def examined(self, system: str = "BRM_01", **more: Any) -> list[pb.Finding]:
        """Every finding of a run that came to its end."""
        findings, summary = [], None
        async for answer in self.service.maintenance.Reconcile(pb.ReconcileRequest(system=system, **more)):
            if answer.HasField("finding"):
                findings.append(answer.finding)
                assert answer.cursor
            elif answer.HasField("summary"):
                summary = answer.summary
        assert summary is not None
        assert sum(summary.findings.values()) == len(findings)
        return findings

    async def repaired(self, findings: Sequence[pb.Finding], **more: Any) -> list[str]:
        """``changed``, ``same`` or the refusal of each repair."""
        origin = xref_pb2.Origin(service="operator", reason="doctor")
        answer = await self.service.maintenance.Repair(pb.RepairRequest(findings=findings, origin=origin, **more))
        return [_outcome(each) for each in answer.results]

    async def write(self, *writes: XrefWrite) -> None:
        await self.service.xref.populate(writes)

    async def delete(self, table: str, column: str, value: str, *, one_to_many: bool = False) -> None:
        request = xref_pb2.MarkForDeleteRequest(table=table, column=column, value=value, one_of_many=one_to_many)
        await self.service.stub.MarkForDelete(request)

    # -- faults ---------------------------------------------------------------------------------------------------------

    async def orphan(self) -> Report:
        """A customer in BRM that nobody recorded."""
        made = self.create()
        return {
            ("ORPHAN", ACCOUNT, made.account),
            ("ORPHAN", PROFILE, made.billinfo),
            ("ORPHAN", ASSET, made.service),
        }

    async def dangling(self) -> Report:
        """A row whose account BRM does not have."""
        number = f"g{next(self.numbers)}"
        value = f"0.0.0.1 /account {900_000 + int(number[1:])} 0"
        await import_rows(self.service, [row(COMMON=number, SEBL_01=f"1-{number}", BRM_01=value)])
        return {("DANGLING", ACCOUNT, value)}

    async def duplicate_value(self) -> Report:
        """One account in two rows, under another revision."""
        made = (await self.customers(1))[0]
        value = made.account.rsplit(" ", 1)[0] + " 7"
        number = f"g{next(self.numbers)}"
        await import_rows(self.service, [row(COMMON=number, SEBL_01=f"1-{number}", BRM_01=value)])
        return {("DUPLICATE", ACCOUNT, value)}

    async def duplicate_object(self) -> Report:
        """Two bill units with the id of one billing profile."""
        made = (await self.customers(1))[0]
        unit = calls.BillUnit(billinfo_id=f"{made.number}-bp", payinfo=calls.InvoicePayInfo(holder="x"))
        other = self.create(number=f"x{made.number}")
        await self.known(other, leave=())
        second = get(self.brm().execute(calls.create_billinfo(other.account, unit)), "POID")
        return {("DUPLICATE", PROFILE, str(second))}

    async def crossed(self) -> Report:
        """Two rows whose accounts have changed places."""
        one, two = await self.customers(2)
        moves = [(one, "spare"), (two, one.account), (one, two.account)]
        await self.write(*(XrefWrite(ACCOUNT, COMMON, who.number, "BRM_01", value, Mode.UPDATE) for who, value in moves))
        return {("CROSSED", ACCOUNT, one.account), ("CROSSED", ACCOUNT, two.account)}

    async def wrong_instance(self) -> Report:
        """A row that has its account of BRM_02 in the column of BRM_01."""
        made = self.create("BRM_02")
        await import_rows(self.service, [row(COMMON=made.number, SEBL_01=f"1-{made.number}", BRM_01=made.account)])
        await self.known(made, "BRM_02", leave=(ACCOUNT,))
        return {("WRONG_INSTANCE", ACCOUNT, made.account)}

    async def stale(self) -> Report:
        """A row that still has the id its account had before a migration."""
        made = (await self.customers(1))[0]
        before = f"0.0.0.1 /account {800_000 + int(made.number[1:])} 0"
        await self.write(XrefWrite(ACCOUNT, COMMON, made.number, "BRM_01", before, Mode.UPDATE))
        return {("STALE", ACCOUNT, made.account)}

    async def missing(self) -> Report:
        """A row whose bill unit was never linked."""
        made = await self.known(self.create(), leave=(PROFILE,))
        return {("MISSING", PROFILE, made.billinfo)}

    async def tombstoned(self) -> Report:
        """Values that were deleted though their objects live."""
        made = (await self.customers(1))[0]
        await self.delete(ACCOUNT, "BRM_01", made.account)
        await self.delete(ASSET, "BRM_01", made.service)
        return {("TOMBSTONED_BUT_ALIVE", ACCOUNT, made.account), ("TOMBSTONED_BUT_ALIVE", ASSET, made.service)}


FAULTS = (
    Clinic.orphan,
    Clinic.dangling,
    Clinic.duplicate_value,
    Clinic.duplicate_object,
    Clinic.crossed,
    Clinic.wrong_instance,
    Clinic.stale,
    Clinic.missing,
    Clinic.tombstoned,
)


def seen(findings: Sequence[pb.Finding]) -> Report:
    """Findings as planters announce them."""
    by_value = {pb.FINDING_KIND_DANGLING, pb.FINDING_KIND_WRONG_INSTANCE, pb.FINDING_KIND_CROSSED}
    return {
        (
            pb.FindingKind.Name(each.kind).removeprefix("FINDING_KIND_"),
            each.table,
            each.value if each.kind in by_value or (_is_duplicate_value(each)) else each.object,
        )
        for each in findings
    }


def _is_duplicate_value(finding: pb.Finding) -> bool:
    """A duplicate of one object in two rows is told by the value; one of two objects by the object."""
    same = finding.value.split()[:3] == finding.object.split()[:3]
    return finding.kind == pb.FINDING_KIND_DUPLICATE and same


def _outcome(result: pb.RepairResult) -> str:
    if result.HasField("error"):
        return str(result.error.message)
    return "changed" if result.changed else "same"


@contextlib.asynccontextmanager
async def clinic(database_url: str) -> AsyncIterator[Clinic]:
    """A sandbox with two instances, and the service over a database."""
    async with running_sandbox(CODES) as sandbox:
        systems = [BillingSystem(code=code, endpoint=sandbox.url(code)) for code in CODES]
        async with running_service(database_url, systems) as service:
            yield Clinic(sandbox, service)

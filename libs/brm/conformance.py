"""Does an endpoint behave as the connector expects? Asks any BRM web service, sandbox or real, and scores its answers.

By default nothing is written: WSDLs, reads, searches, and requests that must be refused. ``write=True`` also creates a
throw-away customer (its account number starts with ``CONFORMANCE-``) and leaves it closed.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.client import SoapGateway
from libs.brm.codec import CodecError, decode_response, encode_request
from libs.brm.codes import Status
from libs.brm.ebuf import SoapFault
from libs.brm.errors import BrmError
from libs.brm.flist import Flist, get
from libs.brm.needs import NEEDED
from libs.brm.poid import Poid
from libs.brm.specs import OPCODES, opcode
from libs.brm.transport import Instance, Reply, Transport, TransportFailure
from libs.errors import O2CError

READ_OBJ: Final = "PCM_OP_READ_OBJ"
COMMIT: Final = "PCM_OP_CUST_COMMIT_CUSTOMER"
ABSENT_ID: Final = 1
"""An id below those that BRM assigns."""

RULES: Final[Mapping[str, str]] = {
    "exposed": "the WSDL of its service offers the opcode (asked of all, expected of those the suite needs)",
    "answers": "a call comes back with an output the connector can read",
    "not-found": "a read of an object that is not there is refused by name",
    "empty-search": "a search without a match is an empty answer, not an error",
    "unknown-opcode": "a request for an opcode that does not exist is a SOAP fault",
    "malformed-xml": "a body that is no XML is refused, and the endpoint goes on",
    "no-dtd": "a document type definition is refused, its entities never expanded",
    "other-database": "a POID of another database is refused",
    "element-ids": "an output carries the element ids of the input",
    "duplicate": "a second object with the same natural key is refused as DUPLICATE",
    "read-back": "what was written is read back",
    "repeatable": "setting the state an object has already is a success",
}


class Outcome(StrEnum):
    PASS = "PASS"
    FAIL = "FAIL"
    SKIP = "SKIP"
    """Could not be asked, because something it needs is missing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One question and what came of it."""

    opcode: str
    rule: str
    outcome: Outcome
    detail: str = ""


@dataclass(slots=True)
class Report:
    """All findings of one endpoint."""

    system_id: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def score(self) -> tuple[int, int]:
        """Passed, of those asked."""
        asked = [finding for finding in self.findings if finding.outcome is not Outcome.SKIP]
        return sum(finding.outcome is Outcome.PASS for finding in asked), len(asked)

    @property
    def ok(self) -> bool:
        return self.score[0] == self.score[1] > 0

    def scores_by(self, key: Callable[[Finding], str]) -> dict[str, tuple[int, int]]:
        """Passed and asked per opcode or rule: ``scores_by(lambda finding: finding.rule)``."""
        groups: dict[str, Report] = {}
        for finding in self.findings:
            groups.setdefault(key(finding), Report(self.system_id)).findings.append(finding)
        return {name: group.score for name, group in groups.items()}


class Unexpected(Exception):
    """An answer other than the rule asks for."""


async def check(instance: Instance, *, write: bool = False, product: Poid | None = None) -> Report:
    """Ask ``instance`` every question and return the report; never raises for what the endpoint does.

    ``product`` is a product that may be bought on a ``/service/telco/gsm``; without it nothing is bought.
    """
    async with _examiner(instance) as examiner:
        await examiner.ask_capabilities()
        await examiner.ask_reads()
        await examiner.ask_refusals()
        if write:
            await examiner.ask_writes(product)
        return examiner.report


@asynccontextmanager
async def _examiner(instance: Instance) -> AsyncIterator[Examiner]:
    async with SoapGateway([instance]) as gateway:
        transport = Transport(instance)
        try:
            yield Examiner(instance, gateway, transport, Report(instance.system_id))
        finally:
            await transport.close()


@dataclass(slots=True)
class Examiner:
    """Asks one endpoint and notes the findings."""

    instance: Instance
    gateway: SoapGateway
    transport: Transport
    report: Report
    exposed: frozenset[str] = frozenset()

    @property
    def db(self) -> str:
        return self.instance.dialect.db_no

    async def rule(self, opcode_name: str, rule: str, question: Callable[[], Awaitable[Any]]) -> Any:
        """Ask one question; what it answers, ``None`` when it fails or the opcode is not offered."""
        if opcode_name in OPCODES and opcode_name not in self.exposed:
            self.report.findings.append(Finding(opcode_name, rule, Outcome.SKIP, "not exposed"))
            return None
        try:
            answer = await question()
        except (O2CError, TransportFailure, CodecError, SoapFault, Unexpected) as error:
            self.report.findings.append(Finding(opcode_name, rule, Outcome.FAIL, f"{type(error).__name__}: {error}"[:300]))
            return None
        self.report.findings.append(Finding(opcode_name, rule, Outcome.PASS))
        return answer

    async def ask_capabilities(self) -> None:
        try:
            self.exposed = await self.gateway.probe(self.instance.system_id)
        except O2CError as error:
            self.report.findings.append(Finding("(WSDL)", "exposed", Outcome.FAIL, str(error)[:300]))
            return
        for name in OPCODES:
            absent = Outcome.FAIL if name in NEEDED else Outcome.SKIP
            outcome = Outcome.PASS if name in self.exposed else absent
            self.report.findings.append(Finding(name, "exposed", outcome, "" if name in self.exposed else "not in the WSDL"))

    async def ask_reads(self) -> None:
        absent = Poid(self.db, "/account", ABSENT_ID)
        loopback = calls.loopback(db=self.db)
        await self.rule(loopback.opcode, "answers", lambda: self.call(loopback))
        await self.rule(READ_OBJ, "not-found", lambda: self.refused(calls.read_obj(absent), lambda error: error.not_found))
        nobody = calls.find_account_by_number(f"CONFORMANCE-{uuid.uuid4()}", db=self.db)
        await self.rule(nobody.opcode, "empty-search", lambda: self.empty(nobody))

    async def ask_refusals(self) -> None:
        """Requests that no sound endpoint may accept."""
        good = encode_request(calls.read_obj(Poid(self.db, "/account", ABSENT_ID)), self.instance.dialect)
        unknown = good.replace(b"PCM_OP_READ_OBJ_inputFlist", b"PCM_OP_NO_SUCH_THING_inputFlist")
        entity = b'<!DOCTYPE x [<!ENTITY e "expanded">]>' + good.split(b"?>", 1)[-1].replace(b"/account", b"/&e;")
        elsewhere = encode_request(calls.read_obj(Poid("9.9.9.9", "/account", ABSENT_ID)), self.instance.dialect)
        await self.rule(READ_OBJ, "unknown-opcode", lambda: self.fault(unknown))
        await self.rule(READ_OBJ, "malformed-xml", lambda: self.fault(good[: len(good) // 2]))
        await self.rule(READ_OBJ, "no-dtd", lambda: self.fault(entity, forbidden=b"expanded"))
        await self.rule(READ_OBJ, "other-database", lambda: self.fault(elsewhere))

    async def ask_writes(self, product: Poid | None) -> None:
        number = f"CONFORMANCE-{uuid.uuid4()}"
        create = throw_away_customer(number, self.db)
        made = await self.rule(COMMIT, "element-ids", lambda: self.created(create))
        if made is None:
            return
        account = get(made, "POID")
        again = throw_away_customer(number, self.db, profile="another")
        await self.rule(COMMIT, "duplicate", lambda: self.refused(again, lambda error: error.duplicate))
        search = calls.find_account_by_number(number, db=self.db)
        await self.rule(search.opcode, "read-back", lambda: self.found(search, account))
        if product is not None:
            await self.ask_purchase(account, get(made, "BAL_INFO[0].POID"), number, product)
        close = calls.set_status(account, Status.CLOSED)
        await self.rule(close.opcode, "answers", lambda: self.call(close))
        await self.rule(close.opcode, "repeatable", lambda: self.call(close))

    async def ask_purchase(self, account: Poid, group: Poid, number: str, product: Poid) -> None:
        offer = calls.ProductPurchase(product=product, line_id="CONFORMANCE-1")
        deal = calls.Deal(products=(offer,))
        bought = calls.ServicePurchase(service="/service/telco/gsm", login=number, balance_group=group, deal=deal)
        purchase = calls.modify_customer(account, services=(bought,), db=self.db)
        await self.rule(purchase.opcode, "answers", lambda: self.call(purchase))
        again = await self.rule(purchase.opcode, "read-back", lambda: self.gateway.settle(self.instance.system_id, purchase))
        if again is None and self.report.findings[-1].outcome is Outcome.PASS:
            self.report.findings[-1] = Finding(purchase.opcode, "read-back", Outcome.FAIL, "not found by its natural key")

    async def call(self, call: BrmCall) -> Flist:
        return await self.gateway.call(self.instance.system_id, call)

    async def refused(self, call: BrmCall, by_name: Callable[[BrmError], bool]) -> None:
        try:
            await self.call(call)
        except BrmError as error:
            if by_name(error):
                return
            raise Unexpected(f"refused as {error.name or error.reason}") from error
        raise Unexpected("accepted")

    async def empty(self, call: BrmCall) -> None:
        if (await self.call(call)).get("RESULTS"):
            raise Unexpected("found something")

    async def found(self, call: BrmCall, account: Poid) -> None:
        poids = [row.get("POID") for row in (await self.call(call)).get("RESULTS", {}).values()]
        if poids != [account]:
            raise Unexpected(f"found {poids}")

    async def created(self, call: BrmCall) -> Flist:
        output = await self.call(call)
        for path in ("POID", "BILLINFO[0].POID", "PAYINFO[0].POID", "BAL_INFO[0].POID"):
            if not isinstance(get(output, path), Poid):
                raise Unexpected(f"no {path} in the output")
        return output

    async def fault(self, body: bytes, forbidden: bytes = b"") -> None:
        """The request must be answered with a fault the connector can read, or refused by the front end."""
        dialect, spec = self.instance.dialect, opcode(READ_OBJ)
        reply: Reply = await self.transport.post(dialect.path(spec), body, dialect.headers(spec), 10.0)
        if forbidden and forbidden in reply.body:
            raise Unexpected("the entity was expanded")
        if reply.status == 200:
            try:
                decode_response(READ_OBJ, reply.body, dialect)
            except SoapFault:
                return
            raise Unexpected("accepted")
        if reply.status >= 500:
            try:
                decode_response(READ_OBJ, reply.body, dialect)
            except SoapFault:
                return


def throw_away_customer(number: str, db: str, profile: str = "profile") -> BrmCall:
    """A customer with one bill unit, paid by invoice."""
    person = calls.NameInfo(
        first_name="Conformance",
        last_name="Check",
        address="1 Test Street",
        city="Testville",
        state="CA",
        zip="94065",
        country="USA",
    )
    unit = calls.BillUnit(billinfo_id=f"{number}-{profile}", payinfo=calls.InvoicePayInfo(holder="Check, Conformance"))
    account = calls.AccountInfo(account_no=number)
    return calls.commit_customer(account=account, names=(person,), bill_units=(unit,), db=db)

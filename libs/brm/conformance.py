"""Does an endpoint behave as the connector expects? Asks any BRM web service, sandbox or real, and scores its answers.

By default nothing is written: WSDLs, reads, searches, and requests that must be refused. ``write=True`` also creates a
throw-away customer (its account number starts with ``CONFORMANCE-``) and leaves it closed.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Any, Final, Protocol

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.client import SoapGateway
from libs.brm.codec import CodecError, decode_response, encode_request
from libs.brm.codes import Status
from libs.brm.conformance_calls import (
    ABSENT_ID,
    ODD_CHARACTERS,
    definitions,
    out_of_order,
    reads_of,
    searches_without_match,
    throw_away_customer,
    unsound,
)
from libs.brm.ebuf import SoapFault
from libs.brm.errors import BrmError
from libs.brm.flist import Flist, get
from libs.brm.needs import NEEDED
from libs.brm.poid import Poid
from libs.brm.specs import OPCODES, opcode
from libs.brm.transport import Instance, Reply, Transport, TransportFailure
from libs.brm.verdicts import BY_CLASS, BY_NAME
from libs.errors import O2CError

READ_OBJ: Final = "PCM_OP_READ_OBJ"
COMMIT: Final = "PCM_OP_CUST_COMMIT_CUSTOMER"

RULES: Final[Mapping[str, str]] = {
    "exposed": "the WSDL of its service offers the opcode (asked of all, expected of those the suite needs)",
    "answers": "a call comes back with an output the connector can read (M1 to M8)",
    "not-found": "a read of an object that is not there is refused by name",
    "fault-names": "a fault names the error and its class, by which the connector decides (3.1, 3.2)",
    "empty-search": "a search without a match is an empty answer, not an error (asked of each search the connector makes)",
    "times": "a time is understood with an offset and in seconds, as well as in UTC (M9)",
    "field-order": "fields in another order than the schema's are refused or understood, not misread (M5)",
    "unknown-opcode": "a request for an opcode that does not exist is a SOAP fault",
    "wrong-service": "an opcode is refused by the service of another family",
    "malformed-xml": "a body that is no XML is refused, and the endpoint goes on",
    "no-dtd": "a document type definition is refused, its entities never expanded",
    "no-poid": "a text that is no POID is refused",
    "no-such-class": "a POID of a class that does not exist is refused",
    "other-database": "a POID of another database is refused",
    "element-ids": "an output carries the element ids of the input (M2)",
    "duplicate": "a second object with the same natural key is refused as DUPLICATE, and the field is named",
    "read-back": "what was written is read back",
    "settles": "what a call made is found again by its natural key (4.14)",
    "characters": "text comes back as it went, whatever its characters (M13)",
    "decimals": "an amount comes back equal, to the last place (M10)",
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


class Client(Protocol):
    """Who asks: :class:`~libs.brm.client.SoapGateway`, or another client of the same web services."""

    async def call(self, system_id: str, call: BrmCall) -> Flist: ...

    async def settle(self, system_id: str, call: BrmCall) -> Flist | None: ...

    async def probe(self, system_id: str) -> frozenset[str]: ...


async def check(
    instance: Instance, *, write: bool = False, product: Poid | None = None, client: Client | None = None
) -> Report:
    """Ask ``instance`` every question and return the report; never raises for what the endpoint does.

    ``product`` is a product that may be bought on a ``/service/telco/gsm``; without it nothing is bought. Another ``client``
    may ask instead of the connector; what is no sound request is sent as bytes in any case.
    """
    async with _examiner(instance, client) as examiner:
        await examiner.ask_capabilities()
        await examiner.ask_reads()
        await examiner.ask_refusals()
        if write:
            await examiner.ask_writes(product)
        return examiner.report


@asynccontextmanager
async def _examiner(instance: Instance, client: Client | None) -> AsyncIterator[Examiner]:
    async with SoapGateway([instance]) as gateway:
        transport = Transport(instance)
        try:
            yield Examiner(instance, client or gateway, transport, Report(instance.system_id))
        finally:
            await transport.close()


@dataclass(slots=True)
class Examiner:
    """Asks one endpoint and notes the findings."""

    instance: Instance
    gateway: Client
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
        for call in (calls.loopback(db=self.db), *definitions(self.db)):
            await self.rule(call.opcode, "answers", partial(self.call, call))
        await self.rule(READ_OBJ, "not-found", lambda: self.refused(calls.read_obj(absent), lambda error: error.not_found))
        await self.rule(READ_OBJ, "fault-names", lambda: self.refused(calls.read_obj(absent), _names_all))
        for name, search in searches_without_match(self.db):
            await self.rule(search.opcode, "empty-search", partial(self.empty, search, name))

    async def ask_refusals(self) -> None:
        """Requests that no sound endpoint may accept, and some that it may read in one way only."""
        dialect = self.instance.dialect
        for rule, body in unsound(self.db, dialect).items():
            await self.rule(READ_OBJ, rule, partial(self.fault, body, forbidden=b"expanded"))
        window = calls.find_collections_actions(window=(datetime(2999, 1, 1, tzinfo=UTC),) * 2, db=self.db)
        body = encode_request(window, dialect)
        for spelled in (b"2999-01-01T01:00:00+01:00", b"32472144000"):
            other = body.replace(b"2999-01-01T00:00:00Z", spelled)
            await self.rule(window.opcode, "times", partial(self.understood, window, other))
        nobody = calls.find_account_by_number("CONFORMANCE", db=self.db)
        shuffled = out_of_order(encode_request(nobody, dialect))
        await self.rule(nobody.opcode, "field-order", partial(self.understood, nobody, shuffled, or_refused=True))

    async def ask_writes(self, product: Poid | None) -> None:
        number = f"CONFORMANCE-{uuid.uuid4()}"
        create = throw_away_customer(number, self.db, first_name=ODD_CHARACTERS)
        made = await self.rule(COMMIT, "element-ids", lambda: self.created(create))
        if made is None:
            return
        account, unit, group = (get(made, path) for path in ("POID", "BILLINFO[0].POID", "BAL_INFO[0].POID"))
        again = throw_away_customer(number, self.db, profile="another")
        taken = "PIN_FLD_ACCOUNT_NO"
        await self.rule(
            COMMIT, "duplicate", lambda: self.refused(again, lambda error: error.duplicate and error.field == taken)
        )
        await self.rule(COMMIT, "settles", lambda: self.settles(create))
        search = calls.find_account_by_number(number, db=self.db)
        await self.rule(search.opcode, "read-back", lambda: self.found(search, account))
        await self.rule(READ_OBJ, "characters", lambda: self.holds(account, "NAMEINFO[1].FIRST_NAME", ODD_CHARACTERS))
        for read in reads_of(account, unit, group):
            await self.rule(read.opcode, "answers", partial(self.call, read))
        await self.ask_changes(account, group)
        if product is not None:
            await self.ask_purchase(account, group, number, product)
        close = calls.set_status(account, Status.CLOSED)
        await self.rule(close.opcode, "answers", lambda: self.call(close))
        await self.rule(close.opcode, "repeatable", lambda: self.call(close))

    async def ask_changes(self, account: Poid, group: Poid) -> None:
        """State that is set, and shows; it ends as it was."""
        for status in (Status.INACTIVE, Status.ACTIVE):
            change = calls.set_status(account, status)
            await self.rule(change.opcode, "answers", partial(self.call, change))
            await self.rule(change.opcode, "read-back", partial(self.holds, account, "STATUS", int(status)))
        limit = Decimal("1234567.123456")
        raised = calls.bill_set_limit_and_cr(account, calls.BalanceGroup(poid=group, credit_limits={840: limit}))
        await self.rule(raised.opcode, "answers", lambda: self.call(raised))
        balances = calls.bal_get_balances(account, balance_group=group)
        await self.rule(balances.opcode, "decimals", lambda: self.shows(balances, "BALANCES[840].CREDIT_LIMIT", limit))

    async def ask_purchase(self, account: Poid, group: Poid, number: str, product: Poid) -> None:
        offer = calls.ProductPurchase(product=product, line_id="CONFORMANCE-1")
        deal = calls.Deal(products=(offer,))
        bought = calls.ServicePurchase(service="/service/telco/gsm", login=number, balance_group=group, deal=deal)
        purchase = calls.modify_customer(account, services=(bought,), db=self.db)
        made = await self.rule(purchase.opcode, "answers", lambda: self.call(purchase))
        await self.rule(purchase.opcode, "settles", lambda: self.settles(purchase))
        service = get(made or {}, "SERVICES[0].SERVICE_OBJ")
        if service is not None:
            offers = calls.get_purchased_offerings(account, service)
            await self.rule(offers.opcode, "read-back", lambda: self.shows(offers, "PRODUCTS[0].DESCR", "CONFORMANCE-1"))

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

    async def empty(self, call: BrmCall, name: str) -> None:
        if (await self.call(call)).get("RESULTS"):
            raise Unexpected(f"{name} found something")

    async def settles(self, call: BrmCall) -> None:
        if await self.gateway.settle(self.instance.system_id, call) is None:
            raise Unexpected("not found by its natural key")

    async def holds(self, target: Poid, path: str, value: Any) -> None:
        await self.shows(calls.read_obj(target), path, value)

    async def shows(self, call: BrmCall, path: str, value: Any) -> None:
        """``value`` at ``path`` of the output, numbers compared as numbers."""
        found = get(await self.call(call), path)
        if found != value:
            raise Unexpected(f"{path} is {found!r}")

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

    async def fault(self, body: bytes, forbidden: bytes) -> None:
        """The request must be answered with a fault the connector can read, or refused by the front end."""
        reply = await self.send(READ_OBJ, body)
        if forbidden in reply.body:
            raise Unexpected("the entity was expanded")
        if 400 <= reply.status < 500:
            return
        try:
            decode_response(READ_OBJ, reply.body, self.instance.dialect)
        except SoapFault:
            return
        raise Unexpected("accepted")

    async def understood(self, call: BrmCall, body: bytes, *, or_refused: bool = False) -> None:
        """The request must be taken as ``call`` is, which finds nothing."""
        reply = await self.send(call.opcode, body)
        try:
            found = decode_response(call.opcode, reply.body, self.instance.dialect).get("RESULTS")
        except SoapFault as fault:
            if or_refused and fault.is_client:
                return
            raise
        if found:
            raise Unexpected("misread")

    async def send(self, opcode_name: str, body: bytes) -> Reply:
        dialect, spec = self.instance.dialect, opcode(opcode_name)
        return await self.transport.post(dialect.path(spec), body, dialect.headers(spec), 10.0)


def _taken(error: BrmError) -> bool:
    return error.duplicate and error.field == "PIN_FLD_ACCOUNT_NO"


def _names_all(error: BrmError) -> bool:
    return error.ebuf.name in BY_NAME and error.ebuf.class_name in BY_CLASS

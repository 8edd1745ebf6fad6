"""A whole running suite as a test sees it: submit, wait, restart, and a picture of everything that could have changed."""

from __future__ import annotations

import contextlib
import hashlib
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import orders
import pytest

from cli.catalogue import load_products
from cli.connection import Clients
from cli.suite import INSTANCES, Supervisor
from libs.brm.specs import OPCODES
from libs.errors import O2CError
from libs.grpckit.status import from_rpc_error
from libs.pb.common.v1 import common_pb2
from libs.pb.order.v1.order_pb2 import Order
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as oo
from libs.pb.xref.v1 import xref_pb2

CLASSES = (
    "/account",
    "/billinfo",
    "/payinfo",
    "/balance_group",
    "/service",
    "/purchased_product",
    "/purchased_discount",
    "/purchased_bundle",
    "/group/billing",
)
"""What orders create in BRM."""
SECONDS = 30.0
FLIST_LINE = re.compile(r"(\d+)\s+PIN_FLD_(\w+)\s+(\w+) \[(\d+|\*)\] ?(.*)")
FINAL = (oo.ORDER_STATE_COMPLETED, oo.ORDER_STATE_IN_FALLOUT, oo.ORDER_STATE_PARTIAL, oo.ORDER_STATE_FAILED)


RECORDS = frozenset({"customer_sync.sync_record", "customer_sync.sync_account"})
"""What was asked and why it was refused: kept of refused requests, too, and no effect of them."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything a request could have changed; two pictures are equal when nothing did."""

    tables: Mapping[str, str]
    """``<service>.<table>`` to number of rows and a digest of their content."""
    objects: Mapping[str, int]
    """``<instance> <class>`` to number of BRM objects."""
    events: Mapping[str, int]
    """Instance to number of BRM events."""
    writes: Mapping[str, int]
    """Instance to number of opcode calls that were not reads."""


class RunningSuite:
    """A suite that serves, with the example products loaded."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.clients = Clients(supervisor.suite)
        load_products(self.clients.xref, orders.PRODUCTS)

    def submit(self, order: Order, request_id: str = "", *, validate_only: bool = False) -> oo.SubmitOrderResponse:
        """SubmitOrder. Raises O2CError with every violation."""
        request = oo.SubmitOrderRequest(order=order, request_id=request_id, validate_only=validate_only)
        return self.answer(lambda: self.clients.intake.SubmitOrder(request, timeout=SECONDS, wait_for_ready=True))

    def answer(self, call: Callable[[], Any]) -> Any:
        """What a blocking call answers; its refusal as O2CError."""
        try:
            return call()
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error

    def refusal(self, call: Callable[[], Any]) -> set[tuple[str, str]]:
        """Every (reason, field path) of the error details of a call that must be refused."""
        with pytest.raises(O2CError) as caught:
            self.answer(call)
        return {(str(violation.reason), violation.field) for violation in caught.value.violations}

    def view(self, order_id: str) -> oo.OrderView:
        request = oo.GetOrderRequest(order_id=order_id)
        return self.clients.orders.GetOrder(request, timeout=SECONDS, wait_for_ready=True).order

    def settled(self, order_id: str, seconds: float = SECONDS) -> oo.OrderView:
        """The order once it came to rest."""
        deadline = time.monotonic() + seconds
        while (view := self.view(order_id)).state not in FINAL:
            assert time.monotonic() < deadline, f"{order_id} did not come to rest: {view}"
            time.sleep(0.02)
        return view

    def complete(self, order: Order) -> oo.OrderView:
        """Submit an order and see it completed."""
        view = self.settled(self.submit(order).order_id)
        assert view.state == oo.ORDER_STATE_COMPLETED, view
        return view

    def order_ids(self) -> list[str]:
        """Ids of all orders, newest first."""
        answer = self.clients.orders.ListOrders(oo.ListOrdersRequest(page_size=200), timeout=SECONDS)
        return [view.order_id for view in answer.orders]

    def known_ids(self, order: Order) -> list[str]:
        """``table id`` of everything the order names that has a cross-reference row."""
        lookup = xref_pb2.BatchLookupRequest(
            keys=[xref_pb2.Key(table=table, ref_column=order.source_system, ref_value=value) for table, value in own_ids(order)]
        )
        rows = self.clients.xref.BatchLookup(lookup, timeout=SECONDS).rows
        return [f"{table} {value}" for (table, value), row in zip(own_ids(order), rows, strict=True) if row.cells]

    def row(self, table: str, crm_id: str) -> dict[str, str]:
        """The cells of a cross-reference row by column."""
        key = xref_pb2.Key(table=table, ref_column="SEBL_01", ref_value=crm_id)
        answer = self.clients.xref.BatchLookup(xref_pb2.BatchLookupRequest(keys=[key]), timeout=SECONDS)
        return {cell.column: cell.value for cell in answer.rows[0].cells}

    def objects(self) -> Counter[str]:
        """Number of BRM objects by ``<instance> <class>``, without those that are not there."""
        counts = {
            f"{code} {class_}": len(self.clients.sandbox(code).objects(class_, limit=10_000))
            for code in INSTANCES
            for class_ in CLASSES
        }
        return +Counter(counts)

    def marks(self) -> dict[str, int]:
        """Where each instance's call log stands; for :meth:`calls_since`."""
        return {code: max((call["seq"] for call in self.calls(code)), default=0) for code in INSTANCES}

    def calls(self, code: str, since: int = 0) -> list[dict[str, Any]]:
        return self.clients.sandbox(code).calls(since=since, limit=20_000)

    def writes_since(self, marks: Mapping[str, int]) -> dict[str, list[dict[str, Any]]]:
        """Per instance the opcode calls since then that were not reads, oldest first."""
        return {
            code: [call for call in self.calls(code, since) if OPCODES[call["opcode"]].kind != "read"]
            for code, since in marks.items()
        }

    def picture(self) -> Picture:
        home = Path(self.supervisor.home)
        tables = {
            f"{path.stem}.{table}": digest
            for path in sorted(home.glob("*.db"))
            for table, digest in table_digests(path).items()
            if f"{path.stem}.{table}" not in RECORDS
        }
        events = {code: len(self.clients.sandbox(code).events(limit=100_000)) for code in INSTANCES}
        writes = {code: len(calls) for code, calls in self.writes_since(dict.fromkeys(INSTANCES, 0)).items()}
        return Picture(tables, self.objects(), events, writes)

    def broken_invariants(self) -> list[Any]:
        return [broken for code in INSTANCES for broken in self.clients.sandbox(code).check_invariants()]

    def reconnect(self) -> None:
        """Fresh channels, which do not sit out the back-off of broken ones."""
        self.clients.close()
        self.clients = Clients(self.supervisor.suite)

    def restart(self, service: str) -> None:
        """Start a service that was killed, and wait until it serves."""
        self.supervisor.start_service(service)
        self.supervisor.wait_until_serving()
        self.reconnect()


@contextlib.contextmanager
def running_suite(home: Path, **environment: str) -> Iterator[RunningSuite]:
    """A suite of its own, with further settings of its services by environment variable."""
    supervisor = Supervisor(home, environment=environment)
    with supervisor:
        suite = RunningSuite(supervisor)
        try:
            yield suite
        finally:
            suite.clients.close()


def own_ids(order: Order) -> list[tuple[str, str]]:
    """(cross-reference table, CRM id) of everything an order names."""
    ids = [("SALESORDER_ID", order.order_id)]
    ids += [("CUSTOMERPARTY_ACCOUNTID", account.account_id) for account in order.accounts]
    ids += [("CUSTOMERPARTY_BILLPROFILEID", profile.billing_profile_id) for profile in order.billing_profiles]
    ids += [("SALESORDER_LINEID", line.line_id) for line in order.lines]
    ids += [("INSTALLEDPRODUCT_ID", line.asset_integration_id) for line in order.lines]
    return list(dict.fromkeys((table, value) for table, value in ids if value))


def table_digests(path: Path) -> dict[str, str]:
    """Number of rows and digest of the content of every table of an SQLite database."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        contents = {name: sorted(map(repr, connection.execute(f'SELECT * FROM "{name}"'))) for name in names}
    return {
        name: f"{len(rows)} rows, {hashlib.sha256(''.join(rows).encode()).hexdigest()[:12]}" for name, rows in contents.items()
    }


def planned_calls(plans: Iterable[common_pb2.Plan]) -> list[Call]:
    """Every planned call."""
    return [Call(plan.system_id, call.opcode, plain_plan(call.input)) for plan in plans for call in plan.calls]


def made_calls(writes: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[Call]:
    """The calls of :meth:`RunningSuite.writes_since`, without the id of the request that made them."""
    return [Call(code, call["opcode"], _planned(call["input"])) for code, calls in writes.items() for call in calls]


def _planned(flist: str) -> tuple[str, ...]:
    return tuple(line for line in plain_flist(flist) if " CORRELATION_ID " not in line)


@dataclass(frozen=True, slots=True)
class Call:
    """One opcode call, planned or made, in a form in which both can be compared."""

    system_id: str
    opcode: str
    lines: tuple[str, ...]
    """``<depth> NAME value`` per field; a planned value may be ``<...>``, an object that does not exist yet."""

    def fits(self, made: Call) -> bool:
        """Whether ``made`` is what this planned call became: equal but for objects that did not exist yet."""
        same = (self.system_id, self.opcode, len(self.lines)) == (made.system_id, made.opcode, len(made.lines))
        return same and all(
            re.fullmatch(re.sub(r"<[^>]*>", ".+", re.escape(planned)), line)
            for planned, line in zip(self.lines, made.lines, strict=True)
        )


def plain_plan(text: str) -> tuple[str, ...]:
    """A planned input: two blanks of indent per level, ``NAME[0]`` for elements, ``NAME  value`` for fields."""
    found = []
    for line in text.splitlines():
        name, _, value = line.strip().partition(" ")
        found.append(f"{(len(line) - len(line.lstrip())) // 2} {name} {value.strip()}".rstrip())
    return tuple(found)


def plain_flist(text: str) -> tuple[str, ...]:
    """An input as the sandbox logs it: ``<level> PIN_FLD_<NAME> <TYPE> [<element>] <value>``."""
    found = []
    for line in text.splitlines():
        parts = FLIST_LINE.fullmatch(line.strip())
        assert parts, line
        level, name, kind, element, value = parts.groups()
        if kind in ("ARRAY", "SUBSTRUCT"):
            found.append(f"{level} {name}[{element}]" if kind == "ARRAY" else f"{level} {name}")
        else:
            found.append(f"{level} {name} {re.sub(r'^[(][0-9]+[)] ', '', value) if kind == 'TSTAMP' else value}".rstrip())
    return tuple(found)

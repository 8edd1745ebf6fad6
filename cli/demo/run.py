"""The main job as a story: submit the example orders, bill, and look at it as a billing agent would. Checks every figure."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TypeVar

import grpc

from cli.catalogue import load_customers, load_products
from cli.connection import CALL_SECONDS, Clients
from cli.demo.checks import Checks
from cli.demo.expectations import ACCOUNT_TOTALS, BILLS, CHANGE_ORDER_WRITES, FIRST_BILLING, NONPAYING, ORDERS, ExampleOrder
from cli.demo.result import DemoResult, OrderStory
from cli.demo.world import World, read_world
from cli.documents import read_order
from cli.output import amount, job_text
from cli.suite import INSTANCES, Suite, Supervisor
from cli.views import order_state
from libs.errors import O2CError
from libs.grpckit.status import from_rpc_error
from libs.pb.billing_care.v1 import billing_care_pb2 as care
from libs.pb.order.v1.order_pb2 import Order
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as oo

Report = Callable[[str], None]
Answer = TypeVar("Answer")


def run_demo(examples: Path, report: Report) -> DemoResult:
    """Start a suite of its own, run the story, stop the suite. Raises :class:`cli.suite.SuiteError` when it does not start."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="o2c-demo-") as folder, Supervisor(Path(folder), report=report) as suite:
        return tell_story(suite, examples, report, began)


def tell_story(suite: Suite, examples: Path, report: Report, began: float) -> DemoResult:
    """The story in a fresh running suite; ``began`` is when it started, on the monotonic clock."""
    clients = Clients(suite)
    try:
        story = Story(clients, examples, report)
        story.tell()
        return story.result(time.monotonic() - began)
    finally:
        clients.close()


class Story:
    """The demo, step by step, with what each step showed."""

    def __init__(self, clients: Clients, examples: Path, report: Report) -> None:
        self.clients = clients
        self.examples = examples
        self.report = report
        self.checks = Checks()
        self.orders: list[OrderStory] = []
        self.balances: dict[str, care.GetBalanceSummaryResponse] = {}
        self.invoices: dict[str, care.ListInvoicesResponse] = {}
        self.world = World()

    def tell(self) -> None:
        loaded = load_products(self.clients.xref, self.examples / "products.json")
        load_customers(self.clients.crm(), self.examples)
        self.report(f"{loaded} products cross-referenced")
        for example in ORDERS:
            self.attempt(f"order {example.number}", partial(self.submit, example))
        self.bill()
        self.look()
        self.world = read_world(self.clients)

    def submit(self, example: ExampleOrder) -> None:
        """Submit one order, wait for its end, and note the BRM calls it made."""
        order = read_order(self.examples / example.file)
        planned = None if example.again else self.planned_calls(order)
        marks = {code: len(self.clients.sandbox(code).calls()) for code in INSTANCES}
        self.report(f"order {example.number}: {example.title}")
        request_id = f"demo-{example.number}"
        receipt = self.clients.intake.SubmitOrder(
            oo.SubmitOrderRequest(request_id=request_id, order=order), timeout=CALL_SECONDS
        )
        if receipt.replayed:
            self.report(f"order {example.number}: taken before as intake {receipt.intake_sequence}; nothing is done now")
        else:
            self.follow(example, receipt.order_id)
        view = self.clients.orders.GetOrder(oo.GetOrderRequest(order_id=receipt.order_id), timeout=CALL_SECONDS).order
        calls = {code: [call["opcode"] for call in self.clients.sandbox(code).calls()[marks[code] :]] for code in INSTANCES}
        told = OrderStory(example.number, example.title, view, receipt.replayed, calls)
        self.orders.append(told)
        self.check_order(example, told, planned)

    def follow(self, example: ExampleOrder, order_id: str) -> None:
        """Report the order's states until it is final, or waits for an operator to help it on."""
        changes = self.clients.orders.WatchOrder(oo.WatchOrderRequest(order_id=order_id), timeout=CALL_SECONDS)
        for change in changes:
            if change.WhichOneof("change") == "order_state":
                self.report(f"order {example.number}: {order_state(change.order_state)} {change.message}")
                if change.order_state == oo.ORDER_STATE_IN_FALLOUT:
                    changes.cancel()
                    return

    def planned_calls(self, order: Order) -> list[str]:
        answer = self.clients.intake.SubmitOrder(oo.SubmitOrderRequest(order=order, validate_only=True), timeout=CALL_SECONDS)
        return sorted(call.opcode for plan in answer.plans for call in plan.calls)

    def check_order(self, example: ExampleOrder, told: OrderStory, planned: list[str] | None) -> None:
        name, writes = f"order {example.number}", told.writes
        self.checks.that(f"{name} is completed", expected="COMPLETED", found=order_state(told.view.state))
        if planned is None:
            self.checks.that(f"{name} is answered as a replay", expected=True, found=told.replayed)
            self.checks.that(f"{name} makes no BRM call", expected=0, found=sum(len(calls) for calls in told.calls.values()))
        else:
            self.checks.that(f"{name} makes exactly the planned BRM calls", expected=planned, found=sorted(writes))
        if example.number == "5":
            self.checks.that(f"{name} is one purchase and nothing else", expected=list(CHANGE_ORDER_WRITES), found=writes)

    def bill(self) -> None:
        """Move BRM's clock one month on and run billing in every instance."""
        for code in INSTANCES:
            admin = self.clients.sandbox(code)
            admin.set_clock(FIRST_BILLING)
            self.report(f"{code}: clock at {FIRST_BILLING}, bill units billed: {job_text(admin.run_job('bill'))}")

    def look(self) -> None:
        """Ask billing care what an agent would ask, and compare with the guide."""
        for bill in BILLS:
            answer = self.balance(bill.account, bill.profile)
            found = [(item.system_id, amount(item.open_bills_due)) for item in answer.profiles] if answer else []
            self.checks.that(f"{bill.profile} owes {bill.sum_of}", expected=[(bill.system_id, bill.amount)], found=found)
        for account in dict.fromkeys(bill.account for bill in BILLS):
            balance, invoices = self.balance(account), self.bills(account)
            if balance and invoices:
                self.balances[account], self.invoices[account] = balance, invoices
                self.check_invoices(account)
        for account, total in ACCOUNT_TOTALS.items():
            found_total = amount(self.balances[account].total_open_bills_due) if account in self.balances else None
            self.checks.that(f"{account} owes the sum of its profiles", expected=total, found=found_total)
        for account in NONPAYING:
            self.checks.that(f"{account} is nonpaying", expected="ROUTE_NONPAYING_ACCOUNT", found=self.balance_refusal(account))
        for code in INSTANCES:
            broken = self.clients.sandbox(code).check_invariants()
            self.checks.that(f"every invariant of {code} holds", expected=[], found=list(broken))

    def attempt(self, what: str, ask: Callable[[], Answer]) -> Answer | None:
        """The answer; a refusal becomes a check that failed, and the story goes on."""
        try:
            return ask()
        except grpc.RpcError as error:
            refused = "; ".join(f"{violation.reason}: {violation.message}" for violation in from_rpc_error(error).violations)
            self.checks.that(f"{what} is answered for", expected="an answer", found=refused)
            return None

    def balance(self, account: str, profile: str = "") -> care.GetBalanceSummaryResponse | None:
        request = care.GetBalanceSummaryRequest(scope=care.CareScope(account_id=account, billing_profile_id=profile))
        return self.attempt(profile or account, lambda: self.clients.care.GetBalanceSummary(request, timeout=CALL_SECONDS))

    def bills(self, account: str) -> care.ListInvoicesResponse | None:
        request = care.ListInvoicesRequest(scope=care.CareScope(account_id=account))
        return self.attempt(account, lambda: self.clients.care.ListInvoices(request, timeout=CALL_SECONDS))

    def check_invoices(self, account: str) -> None:
        expected = {bill.profile: bill.amount for bill in BILLS if bill.account == account}
        found = {bill.billing_profile_id: amount(bill.amount_due) for bill in self.invoices[account].invoices}
        self.checks.that(f"{account} has one bill per profile", expected=expected, found=found)
        for bill in self.invoices[account].invoices:
            scope = care.CareScope(account_id=account, billing_profile_id=bill.billing_profile_id)
            request = care.GetInvoiceRequest(scope=scope, bill_id=bill.bill_id)
            items = self.clients.care.GetInvoice(request, timeout=CALL_SECONDS).items
            total = sum((amount(item.total) for item in items), Decimal(0))
            claim = f"the items of bill {bill.bill_number} add up to it"
            self.checks.that(claim, expected=expected.get(bill.billing_profile_id), found=total)

    def balance_refusal(self, account: str) -> str:
        try:
            request = care.GetBalanceSummaryRequest(scope=care.CareScope(account_id=account))
            self.clients.care.GetBalanceSummary(request, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            refusal: O2CError = from_rpc_error(error)
            return str(refusal.violations[0].reason)
        return "answered"

    def result(self, seconds: float) -> DemoResult:
        return DemoResult(self.orders, self.checks, self.world, self.balances, self.invoices, seconds)

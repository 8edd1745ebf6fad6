"""What the demo shows at its end: for people as tables and a tree, for programs as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from cli.demo.checks import Checks
from cli.demo.world import World
from cli.output import table, to_dict
from cli.views import balance_table, brm_objects, invoice_table, line_state, order_state, state
from libs.brm.specs import OPCODES
from libs.pb.billing_care.v1 import billing_care_pb2 as care
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as oo


@dataclass(slots=True)
class OrderStory:
    """One submission and what came of it."""

    number: str
    title: str
    view: oo.OrderView
    replayed: bool
    calls: dict[str, list[str]] = field(default_factory=dict)
    """BRM instance to the opcodes it received for this order."""

    @property
    def writes(self) -> list[str]:
        """Opcodes that change something, over all instances."""
        return [opcode for calls in self.calls.values() for opcode in calls if OPCODES[opcode].kind != "read"]


@dataclass(slots=True)
class DemoResult:
    orders: list[OrderStory]
    checks: Checks
    world: World
    balances: Mapping[str, care.GetBalanceSummaryResponse]
    invoices: Mapping[str, care.ListInvoicesResponse]
    seconds: float

    @property
    def ok(self) -> bool:
        return not self.checks.failed

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "seconds": round(self.seconds, 1),
            "checks": [
                {"claim": check.claim, "ok": check.ok, "expected": str(check.expected), "found": str(check.found)}
                for check in self.checks.all
            ],
            "orders": [
                {"number": told.number, "replayed": told.replayed, "calls": told.calls, "order": to_dict(told.view)}
                for told in self.orders
            ],
            "created": self.world.created,
            "cross_references": self.world.xrefs_as_json(),
            "balances": {account: to_dict(answer) for account, answer in self.balances.items()},
            "invoices": {account: to_dict(answer) for account, answer in self.invoices.items()},
        }

    def as_text(self) -> RenderableType:
        parts: list[RenderableType] = [self.orders_table(), Text()]
        parts += [self.lines_table(), Text(), self.world.created_table(), Text()]
        for one in self.world.xref_tables():
            parts += [one, Text()]
        parts += [self.world.tree(), Text()]
        for account, answer in self.balances.items():
            parts += [
                Text(f"What an agent sees of {account}", style="bold"),
                balance_table(answer),
                invoice_table(self.invoices[account].invoices),
                Text(),
            ]
        return Group(*parts, self.verdict())

    def orders_table(self) -> RenderableType:
        rows = [
            (
                told.number,
                told.title,
                told.view.order_id,
                state(order_state(told.view.state)),
                "replay" if told.replayed else "",
                "\n".join(f"{code}: {len(calls)}" for code, calls in told.calls.items() if calls) or "none",
            )
            for told in self.orders
        ]
        return table("Orders", ("Order", "Story", "Document", "State", "", "BRM calls"), rows, flowing=("Story",))

    def lines_table(self) -> RenderableType:
        rows = [
            (
                told.number,
                line.line_number,
                line.product,
                state(line_state(line.state)),
                ", ".join(line.system_ids),
                brm_objects(line),
            )
            for told in self.orders
            if not told.replayed
            for line in told.view.lines
        ]
        return table("Lines", ("Order", "Line", "Product", "State", "BRM", "Created or changed"), rows, flowing=("Product",))

    def verdict(self) -> RenderableType:
        lines = [
            f"[red]✗ {check.claim}[/red]\n    expected {check.expected}\n    found    {check.found}"
            for check in self.checks.failed
        ]
        good = len(self.checks.all) - len(self.checks.failed)
        colour = "green" if self.ok else "red"
        lines.append(f"[bold {colour}]{good} of {len(self.checks.all)} checks hold[/bold {colour}], {self.seconds:.1f} s")
        return Text.from_markup("\n".join(lines))

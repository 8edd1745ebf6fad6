"""What a person sees of orders, plans, cross-references, balances and bills."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from google.type.money_pb2 import Money
from rich.console import Group
from rich.table import Table
from rich.text import Text

from cli.output import amount, short_poid, table
from libs.grpckit.enum_names import short_enum
from libs.pb.billing_care.v1 import billing_care_pb2 as care
from libs.pb.common.v1.common_pb2 import Plan
from libs.pb.order.v1 import order_pb2 as order
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as oo
from libs.pb.xref.v1 import xref_pb2 as xref

BALANCE_AMOUNTS = ("Due now", "In progress", "Unapplied", "Balance")
BALANCE_COLUMNS = ("Billing profile", "Name", "BRM", *BALANCE_AMOUNTS)
STYLES = {"COMPLETED": "green", "COMPLETE": "green", "DONE": "green", "FAILED": "red", "IN_FALLOUT": "red", "REJECTED": "red"}


def state(name: str) -> str:
    style = STYLES.get(name)
    return f"[{style}]{name}[/{style}]" if style else name


def order_state(number: int) -> str:
    return short_enum(oo.OrderState.DESCRIPTOR, number)


def line_state(number: int) -> str:
    return short_enum(oo.LineState.DESCRIPTOR, number)


def brm_objects(line: oo.LineView) -> str:
    """What a line made or changed, one POID to a line; with the instance when there are several."""
    several = len(line.system_ids) > 1
    return "\n".join(f"{item.system_id} " * several + short_poid(item.poid) for item in line.brm_objects)


def order_table(views: Iterable[oo.OrderView]) -> Table:
    rows = [(view.order_number, view.order_id, view.revision, state(order_state(view.state)), view.priority) for view in views]
    return table("Orders", ("Number", "Document", "Revision", "State", "Priority"), rows, right=("Revision", "Priority"))


def order_detail(view: oo.OrderView) -> Group:
    """One order: its lines with what they made in BRM, its components, its errors."""
    lines = [
        (
            line.line_number,
            short_enum(order.LineAction.DESCRIPTOR, line.action),
            line.product,
            state(line_state(line.state)),
            ", ".join(line.system_ids),
            brm_objects(line),
        )
        for line in view.lines
    ]
    components = [
        (
            short_enum(oo.OrderFunction.DESCRIPTOR, item.function),
            item.system_id,
            state(short_enum(oo.ComponentState.DESCRIPTOR, item.state)),
            item.attempts,
            item.error.message,
        )
        for item in view.components
    ]
    title = f"Order {view.order_number} revision {view.revision} ({view.order_id}): {state(order_state(view.state))}"
    parts: list[Table | Text] = [
        table(title, ("Line", "Action", "Product", "State", "BRM", "Created or changed"), lines, flowing=("Product",)),
        Text(),
        table(
            "Components",
            ("Function", "BRM", "State", "Attempts", "Last error"),
            components,
            right=("Attempts",),
            flowing=("Last error",),
        ),
    ]
    problems = [status.message for status in view.errors] + [error.message for line in view.lines for error in line.errors]
    parts += [Text(problem, style="red") for problem in problems]
    parts += [Text(f"warning {notice.reason}: {notice.message}", style="yellow") for notice in view.warnings]
    return Group(*parts)


def plan_text(plans: Iterable[Plan], routes: Iterable[oo.RoutedLine]) -> str:
    """Plans as text: which line goes where and why, then every BRM call in order."""
    blocks = ["Routes"]
    blocks += [f"  {route.line_id:<12} {', '.join(route.system_ids) or '-':<16} {route.decided_by}" for route in routes]
    return "\n".join((*blocks, calls_text(plans)))


def calls_text(plans: Iterable[Plan]) -> str:
    """Every BRM call of plans, in order."""
    blocks, number = [], 0
    for plan in plans:
        blocks.append(
            f"\n{plan.service} in {plan.system_id}: {len(plan.calls) or 'no'} call{'s' if len(plan.calls) != 1 else ''}"
        )
        for call in plan.calls:
            number += 1
            blocks.append(f"\n{number:>3}. {call.title}\n     {call.opcode}   [{call.key}]")
            if call.depends_on:
                blocks.append(f"     after {', '.join(call.depends_on)}")
            blocks += [f"     {line}" for line in call.input.splitlines()]
    return "\n".join(blocks)


def xref_rows(rows: Mapping[str, xref.Row], title: str) -> Text:
    """Rows whole, one cell to a line, so that ids can be copied."""
    text = Text(title, style="bold")
    for key, row in rows.items():
        text.append(f"\n{key}\n", style="not bold cyan")
        width = max((len(cell.column) for cell in row.cells), default=0)
        cells = sorted(row.cells, key=lambda cell: (cell.column != "COMMON", cell.column, cell.kind, cell.value))
        found = "\n".join(f"  {cell.column:<{width}}  {f'{cell.kind} {cell.value}'.strip()}" for cell in cells)
        text.append(found or "  not known", style="not bold")
    return text


def balance_table(answer: care.GetBalanceSummaryResponse) -> Table:
    """What is owed, profile by profile, and in all. Names and unapplied amounts stand there when there are any."""
    optional = {
        "Name": [item.profile_name for item in answer.profiles],
        "Unapplied": [figure(item.unapplied_total) for item in answer.profiles],
    }
    rows = [
        {
            "Billing profile": item.billing_profile_id,
            "Name": item.profile_name,
            "BRM": item.system_id,
            "Due now": figure(item.open_bills_due),
            "In progress": figure(item.pending_due),
            "Unapplied": figure(item.unapplied_total),
            "Balance": figure(item.total_balance),
        }
        for item in answer.profiles
    ]
    if answer.HasField("total_balance") and len(rows) > 1:
        due, balance = figure(answer.total_open_bills_due), figure(answer.total_balance)
        rows.append({"Billing profile": bold("all profiles"), "Due now": bold(due), "Balance": bold(balance)})
    columns = [name for name in BALANCE_COLUMNS if any(cell not in ("", "0.00") for cell in optional.get(name, ["shown"]))]
    title = f"Balance{currencies(item.total_balance for item in answer.profiles)}"
    body = [[row.get(column, "") for column in columns] for row in rows]
    return table(title, columns, body, right=BALANCE_AMOUNTS, flowing=("Name",))


def bold(text: str) -> str:
    return f"[bold]{text}[/bold]"


def date(value: object) -> str:
    year, month, day = getattr(value, "year", 0), getattr(value, "month", 0), getattr(value, "day", 0)
    return f"{year:04d}-{month:02d}-{day:02d}" if year else "-"


def invoice_table(invoices: Iterable[care.Invoice]) -> Table:
    bills = list(invoices)
    rows = [
        (
            bill.bill_number,
            bill.billing_profile_id,
            bill.system_id,
            f"{date(bill.period_start)} – {date(bill.period_end)}",
            date(bill.due_date),
            figure(bill.total_due),
            bold(figure(bill.amount_due)),
            short_enum(care.InvoiceState.DESCRIPTOR, bill.state),
        )
        for bill in bills
    ]
    columns = ("Bill", "Billing profile", "BRM", "Period", "Due by", "Total", "Due", "State")
    title = f"Bills{currencies(bill.total_due for bill in bills)}"
    return table(title, columns, rows, right=("Total", "Due"), flowing=("Period",))


def figure(value: Money) -> str:
    """An amount whose currency the title gives."""
    return f"{amount(value):,.2f}"


def currencies(values: Iterable[Money]) -> str:
    """``, in USD``: what the amounts of a table are in. A BRM account has one currency."""
    found = sorted({value.currency_code for value in values} - {""})
    return f", in {' and '.join(found)}" if found else ""

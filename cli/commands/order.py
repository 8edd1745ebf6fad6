"""``o2c order``: submit orders and see how they do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.connection import CALL_SECONDS, connected
from cli.documents import read_order
from cli.output import JsonFlag, errors_by_name, out, print_json, show, to_dict
from cli.views import line_state, order_detail, order_state, order_table, state
from libs.grpckit.enum_names import short_enum
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as oo

app = typer.Typer(no_args_is_help=True, help="Submit orders and see how they do.")

OrderId = Annotated[str, typer.Argument(help="Order document, such as ORD-1001.")]


@app.command()
def submit(
    file: Annotated[Path, typer.Argument(help="Order as JSON; see examples/.", exists=True, dir_okay=False)],
    request_id: Annotated[str, typer.Option(help="Client key of the call; the same key twice is a replay.")] = "",
    follow: Annotated[bool, typer.Option("--watch", help="Follow the order to its final state.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Submit an order. With --watch and --json every line is one document: the receipt, then the changes.

    Example: o2c order submit examples/order-1-denise-family.json --watch
    """
    with errors_by_name({"request_id": "--request-id"}), connected() as clients:
        request = oo.SubmitOrderRequest(request_id=request_id, order=read_order(file))
        receipt = clients.intake.SubmitOrder(request, timeout=CALL_SECONDS)

        def render() -> None:
            replay = " (taken before; nothing was done now)" if receipt.replayed else ""
            out.print(f"{receipt.order_id}: {state(order_state(receipt.state))}, intake {receipt.intake_sequence}{replay}")
            for notice in receipt.warnings:
                out.print(f"[yellow]{notice.reason}[/yellow]: {notice.message}")

        show(receipt, as_json, render, one_line=follow)
    if follow:
        watch(receipt.order_id, as_json=as_json)


@app.command()
def get(order_id: OrderId, as_json: JsonFlag = False) -> None:
    """One order: its lines, what they made in BRM, its components, its errors.

    Example: o2c order get ORD-1001
    """
    with errors_by_name({"order_id": "ORDER_ID"}), connected() as clients:
        answer = clients.orders.GetOrder(oo.GetOrderRequest(order_id=order_id), timeout=CALL_SECONDS)
        show(answer.order, as_json, lambda: out.print(order_detail(answer.order)))


@app.command()
def watch(
    order_id: OrderId,
    after: Annotated[int, typer.Option(help="Resume after this sequence.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Follow an order's changes until its final state; interrupt and resume with --after.

    With --json every line is one change.

    Example: o2c order watch ORD-1001 --after 12
    """
    with errors_by_name({"order_id": "ORDER_ID", "after_sequence": "--after"}), connected() as clients:
        for change in clients.orders.WatchOrder(oo.WatchOrderRequest(order_id=order_id, after_sequence=after)):
            if as_json:
                print_json(to_dict(change), one_line=True)
            else:
                out.print(f"{change.sequence:>4}  {describe(change)}")


@app.command("list")
def list_orders(
    page_size: Annotated[int, typer.Option(help="Rows per page.")] = 50,
    page_token: Annotated[str, typer.Option(help="Token of the next page.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Orders, newest first.

    Example: o2c order list --page-size 10
    """
    with errors_by_name({"page_size": "--page-size", "page_token": "--page-token"}), connected() as clients:
        request = oo.ListOrdersRequest(page_size=page_size, page_token=page_token)
        answer = clients.orders.ListOrders(request, timeout=CALL_SECONDS)

        def render() -> None:
            out.print(order_table(answer.orders))
            if answer.next_page_token:
                out.print(f"more: --page-token {answer.next_page_token}")

        show(answer, as_json, render)


def describe(change: oo.WatchOrderResponse) -> str:
    """One change in one line."""
    kind = change.WhichOneof("change")
    if kind == "order_state":
        return f"order {state(order_state(change.order_state))}  {change.message}"
    if kind == "line":
        said = change.message.removeprefix(f"line {change.line.line_id}: ")
        return f"line {change.line.line_id} {state(line_state(change.line.state))}  {said}"
    component = change.component
    name = short_enum(oo.OrderFunction.DESCRIPTOR, component.function)
    return (
        f"{name} in {component.system_id} {state(short_enum(oo.ComponentState.DESCRIPTOR, component.state))}  {change.message}"
    )

"""The ``o2c`` command."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.output import JsonFlag, err, errors_by_name, out, print_json, to_dict

HELP = """Order to cash: from a sales order in the CRM to a bill in BRM.

Start with `o2c demo`. To try things by hand, keep a suite running with `o2c up` and use the other commands from a second
terminal; every one of them takes --json.
"""

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

app = typer.Typer(no_args_is_help=True, help=HELP, add_completion=False, pretty_exceptions_enable=False)


def add_commands() -> None:
    from cli.commands import brm, care, crm, customer, maps, order, route, sandbox, xref

    app.add_typer(order.app, name="order")
    app.add_typer(route.app, name="route")
    app.add_typer(maps.app, name="maps")
    app.add_typer(customer.app, name="customer")
    app.add_typer(crm.app, name="crm")
    app.add_typer(xref.app, name="xref")
    app.add_typer(care.app, name="care")
    app.add_typer(sandbox.app, name="sandbox")
    app.add_typer(brm.app, name="brm")


@app.command()
def demo(as_json: JsonFlag = False) -> None:
    """Run real orders from submission to an agent's view of the bill, and check every figure.

    Starts a suite of its own and leaves nothing behind. Exit code 0 only if every figure is right.

    Example: o2c demo --json
    """
    from cli.demo.run import run_demo
    from cli.suite import SuiteError, terminate_means_interrupt

    try:
        with terminate_means_interrupt(), errors_by_name():
            result = run_demo(EXAMPLES, lambda text: err.print(f"[dim]{text}[/dim]"))
    except SuiteError as error:
        err.print(f"[bold red]{error}[/bold red]")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        err.print("stopped; nothing is left running")
        raise typer.Exit(130) from None
    if as_json:
        print_json(result.as_json())
    else:
        out.print(result.as_text())
    raise typer.Exit(0 if result.ok else 1)


@app.command()
def up(
    folder: Annotated[Path, typer.Option(help="Where databases and logs go; kept after the suite has stopped.")] = Path(".o2c"),
    fresh: Annotated[bool, typer.Option(help="Start with empty databases.")] = True,
    as_json: JsonFlag = False,
) -> None:
    """Keep the whole suite running on loopback until Ctrl-C. With --json its addresses are printed once it serves.

    Example: o2c up --no-fresh
    """
    from cli.catalogue import load_customers, load_products
    from cli.connection import Clients, running_suite, state_file
    from cli.suite import DEMO_START, SuiteError, Supervisor, terminate_means_interrupt

    if running_suite() is not None:
        err.print(f"a suite is running already ({state_file()}); stop it first")
        raise typer.Exit(1)
    home = folder.resolve() / "data"
    if fresh and home.exists():
        import shutil

        shutil.rmtree(home)
    try:
        with terminate_means_interrupt(), Supervisor(home, report=lambda text: err.print(f"[dim]{text}[/dim]")) as suite:
            clients = Clients(suite)
            loaded = load_products(clients.xref, EXAMPLES / "products.json")
            load_customers(clients.crm(), EXAMPLES)
            clients.close()
            suite.write(state_file())
            if as_json:
                print_json(asdict(suite))
            else:
                out.print(f"{loaded} products cross-referenced; BRM time stands at {DEMO_START}")
                out.print("the suite is up. Try, in a second terminal:")
                out.print("  o2c order submit examples/order-1-denise-family.json --watch")
                out.print("Ctrl-C stops it.")
            with contextlib.suppress(KeyboardInterrupt):
                while True:
                    time.sleep(3600)
            err.print("[dim]stopping ...[/dim]")
    except SuiteError as error:
        err.print(f"[bold red]{error}[/bold red]")
        raise typer.Exit(1) from error
    finally:
        state_file().unlink(missing_ok=True)


@app.command()
def plan(
    file: Annotated[Path, typer.Argument(help="Order as JSON; see examples/.", exists=True, dir_okay=False)],
    as_json: JsonFlag = False,
) -> None:
    """Show every BRM call an order would make, in order; nothing is written anywhere.

    Asks the running suite, or starts a throw-away one.

    Example: o2c plan examples/order-1-denise-family.json
    """
    from cli.catalogue import load_customers, load_products
    from cli.connection import CALL_SECONDS, connected_or_throw_away
    from cli.documents import read_order
    from cli.suite import terminate_means_interrupt
    from cli.views import plan_text
    from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as oo

    with terminate_means_interrupt(), errors_by_name():
        order = read_order(file)
        with connected_or_throw_away(lambda text: err.print(f"[dim]{text}[/dim]")) as (clients, throw_away):
            if throw_away:
                load_products(clients.xref, EXAMPLES / "products.json")
                load_customers(clients.crm(), EXAMPLES)
            request = oo.SubmitOrderRequest(order=order, validate_only=True)
            answer = clients.intake.SubmitOrder(request, timeout=CALL_SECONDS)
    if as_json:
        print_json(to_dict(answer))
    else:
        sys.stdout.write(plan_text(answer.plans, answer.routes) + "\n")


def main() -> None:
    """Entry point."""
    add_commands()
    app()

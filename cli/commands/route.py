"""``o2c route``: which BRM instance, and why."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import grpc
import typer

from cli.catalogue import load_products
from cli.connection import CALL_SECONDS, Clients, connected, running_suite
from cli.documents import read_order
from cli.output import JsonFlag, err, errors_by_name, out, print_json, to_dict
from cli.routes import explanation, failed, subjects_of
from cli.suite import Supervisor, terminate_means_interrupt
from libs.pb.xref.v1 import routing_pb2 as pb
from libs.pb.xref.v1.routing_pb2_grpc import RoutingServiceStub

app = typer.Typer(no_args_is_help=True, help="See which BRM instance something goes to, and why.")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
XrefAddress = Annotated[str, typer.Option("--xref", help="Address of the cross-reference service, host:port.")]
LegalGroups = Annotated[
    bool,
    typer.Option(
        envvar="O2C_ORDER_ORCHESTRATION_LEGAL_GROUP",
        help="Whether legal owners answer in collections, as orchestration is set: then their profiles are weighed too.",
    ),
]
CustomerStandsIn = Annotated[
    bool,
    typer.Option(
        envvar="O2C_ORDER_ORCHESTRATION_LEGAL_OWNER_FROM_CUSTOMER_ACCOUNT",
        help="Whether the customer account stands in where no owner is named.",
    ),
]


@app.command()
def explain(
    file: Annotated[Path, typer.Argument(help="Order as JSON; see examples/.", exists=True, dir_okay=False)],
    xref: XrefAddress = "",
    legal_groups: LegalGroups = False,
    customer_stands_in: CustomerStandsIn = True,
    as_json: JsonFlag = False,
) -> None:
    """Show how every line of an order is routed: the evidence in the order it is weighed, what each piece leaves open, and
    the decision. Needs the cross-reference service only; asks the running suite, or starts a throw-away service with the
    example products. Exit code 1 when a line cannot be routed.

    Example: o2c route explain examples/order-3-priya-two-instances.json
    """
    with terminate_means_interrupt(), errors_by_name():
        order = read_order(file)
        subjects = subjects_of(order, legal_groups=legal_groups, customer_stands_in=customer_stands_in)
        with _routing(xref) as stub:
            request = pb.ResolveRoutesRequest(subjects=subjects, source_system=order.source_system)
            answer = stub.ResolveRoutes(request, timeout=CALL_SECONDS)
            site = stub.GetRoutingTable(pb.GetRoutingTableRequest(), timeout=CALL_SECONDS)
    if as_json:
        print_json({"order_number": order.order_number, "table": to_dict(site), **to_dict(answer)})
    else:
        out.print(explanation(order, site, subjects, answer))
    raise typer.Exit(1 if failed(answer.results) else 0)


@app.command("table")
def show_table(xref: XrefAddress = "", as_json: JsonFlag = False) -> None:
    """The routing table in force: instances, rules in order, the default, and what is wrong with a newer file.

    Example: o2c route table
    """
    with errors_by_name(), _routing(xref) as stub:
        site = stub.GetRoutingTable(pb.GetRoutingTableRequest(), timeout=CALL_SECONDS)
    if as_json:
        print_json(to_dict(site))
        return
    out.print(f"[bold]routing table {site.version}[/bold], in force since {site.loaded_at.ToJsonString()}")
    for instance in site.instances:
        words = ["enabled" if instance.enabled else "disabled", *(["read-only"] if instance.read_only else [])]
        out.print(f"  {instance.code}  {', '.join(words)}")
        for problem in instance.problems:
            out.print(f"    [yellow]{problem}[/yellow]")
    for number, rule in enumerate(site.rules, start=1):
        when = " and ".join(f"{one.trait} is {' or '.join(one.values)}" for one in rule.when) or "always"
        out.print(f"  rule {number} {rule.name}: {when} → {rule.system_id}")
    out.print(f"  default {site.default_system_id or 'none'}; billing care {'on' if site.billing_care_enabled else 'off'}")
    if site.refused:
        err.print(f"[red]a newer table is refused: {site.refused}[/red]")


@app.command()
def validate(
    system: Annotated[str, typer.Argument(help="System code, such as BRM_03.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Examine only; change nothing.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Examine a BRM instance: add its cross-reference columns, name what it lacks, let it take part once it lacks nothing.

    Example: o2c route validate BRM_02
    """
    with errors_by_name({"system_id": "SYSTEM"}), connected() as clients:
        stub = RoutingServiceStub(clients.channels["xref"])
        request = pb.ValidateSystemRequest(system_id=system, validate_only=dry_run)
        answer = stub.ValidateSystem(request, timeout=CALL_SECONDS)
    if as_json:
        print_json(to_dict(answer))
    else:
        for table in answer.tables_added:
            out.print(f"{table} {'would get' if dry_run else 'has got'} the column {system}")
        for problem in answer.problems:
            out.print(f"[yellow]{problem}[/yellow]")
        state = "takes part, as it passed before" if answer.enabled else "does not take part"
        out.print(f"{system} {'lacks nothing' if answer.passed else state}")
    raise typer.Exit(0 if answer.passed else 1)


@contextmanager
def _routing(address: str) -> Iterator[RoutingServiceStub]:
    """The routing service at an address, of the running suite, or of a cross-reference service started for this command."""
    if address:
        with grpc.insecure_channel(address) as channel:
            yield RoutingServiceStub(channel)
        return
    suite = running_suite()
    if suite is not None:
        with grpc.insecure_channel(suite.services["xref"]) as channel:
            yield RoutingServiceStub(channel)
        return
    with (
        tempfile.TemporaryDirectory(prefix="o2c-") as folder,
        Supervisor(Path(folder), report=lambda text: err.print(f"[dim]{text}[/dim]"), services=("xref",)) as started,
    ):
        clients = Clients(started)
        try:
            load_products(clients.xref, EXAMPLES / "products.json")
            yield RoutingServiceStub(clients.channels["xref"])
        finally:
            clients.close()

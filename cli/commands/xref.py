"""``o2c xref``: what the suite knows of an id."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.catalogue import load_products
from cli.commands import xref_doctor, xref_history, xref_migration, xref_tables
from cli.connection import CALL_SECONDS, connected
from cli.output import JsonFlag, errors_by_name, out, print_json, show, to_dict
from cli.views import xref_rows
from libs.pb.xref.v1 import xref_pb2

app = typer.Typer(no_args_is_help=True, help="Look up, load, move and check cross-references.")


@app.command()
def lookup(
    table: Annotated[str, typer.Argument(help="Table, such as CUSTOMERPARTY_ACCOUNTID.")],
    values: Annotated[list[str], typer.Argument(help="Known values, such as 1-DENISE.")],
    column: Annotated[str, typer.Option(help="Column the values are from.")] = "SEBL_01",
    as_json: JsonFlag = False,
) -> None:
    """Every filled column of the rows that hold these values.

    Example: o2c xref lookup CUSTOMERPARTY_ACCOUNTID 1-DENISE 1-MICHELLE
    """
    typed = {"keys[].table": "TABLE", "keys[].ref_column": "--column", "keys[].ref_value": "VALUES"}
    with errors_by_name(typed), connected() as clients:
        keys = [xref_pb2.Key(table=table, ref_column=column, ref_value=value) for value in values]
        answer = clients.xref.BatchLookup(xref_pb2.BatchLookupRequest(keys=keys), timeout=CALL_SECONDS)
        show(answer, as_json, lambda: out.print(xref_rows(dict(zip(values, answer.rows, strict=True)), table)))


@app.command()
def tables(as_json: JsonFlag = False) -> None:
    """The tables and their columns.

    Example: o2c xref tables
    """
    with errors_by_name(), connected() as clients:
        answer = clients.xref.ListTables(xref_pb2.ListTablesRequest(), timeout=CALL_SECONDS)
        if as_json:
            print_json(to_dict(answer))
        else:
            for table in answer.tables:
                out.print(f"{table.name:<40} {' '.join(table.columns)}")


@app.command("load-products")
def load(
    file: Annotated[Path, typer.Argument(help="Products as JSON; see examples/products.json.", exists=True, dir_okay=False)],
    as_json: JsonFlag = False,
) -> None:
    """Cross-reference CRM products with BRM products. Loading a file twice changes nothing.

    Example: o2c xref load-products examples/products.json
    """
    with errors_by_name(), connected() as clients:
        loaded = load_products(clients.xref, file)
        if as_json:
            print_json({"products": loaded})
        else:
            out.print(f"{loaded} products cross-referenced")


xref_history.add_to(app)
xref_tables.add_to(app)
xref_migration.add_to(app)
xref_doctor.add_to(app)

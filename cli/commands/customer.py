"""``o2c customer``: what every system knows of a customer, and what was done about it."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.commands import customer_update
from cli.connection import CALL_SECONDS, connected
from cli.customer_views import customer, sync_table
from cli.output import JsonFlag, errors_by_name, out, show
from libs.pb.customer_sync.v1 import customer_sync_pb2, inspection_pb2

app = typer.Typer(no_args_is_help=True, help="What CRM and billing know of customers; have billing follow the CRM.")
customer_update.add_to(app)

Account = Annotated[str, typer.Argument(help="CRM account, such as 1-DENISE.")]


@app.command("show")
def show_customer(account: Account, as_json: JsonFlag = False) -> None:
    """One customer as CRM, cross-references and every BRM instance know it, with its hierarchies as trees.

    Example: o2c customer show 1-DENISE
    """
    with errors_by_name({"account_id": "ACCOUNT"}), connected() as clients:
        asked = inspection_pb2.GetCustomerRequest(account_id=account)
        answer = clients.inspection.GetCustomer(asked, timeout=CALL_SECONDS)
        show(answer.customer, as_json, lambda: out.print(customer(answer.customer)))


@app.command()
def syncs(
    account: Annotated[str, typer.Option(help="Only those that named this CRM account.")] = "",
    about: Annotated[str, typer.Option(help="Only those about this order, account or list.")] = "",
    failed: Annotated[bool, typer.Option("--failed", help="Only those that failed, told to their callers or not.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many.")] = 50,
    as_json: JsonFlag = False,
) -> None:
    """What was synchronised, newest first, also what callers were not told.

    Example: o2c customer syncs --account 1-DENISE
    """
    typed = {"account_id": "--account", "subject_id": "--about", "page_size": "--limit"}
    with errors_by_name(typed), connected() as clients:
        outcomes = [customer_sync_pb2.SYNC_OUTCOME_FAILED] if failed else []
        asked = inspection_pb2.ListSyncsRequest(page_size=limit, account_id=account, subject_id=about, outcomes=outcomes)
        answer = clients.inspection.ListSyncs(asked, timeout=CALL_SECONDS)
        show(answer, as_json, lambda: out.print(sync_table(answer.syncs)))

"""``o2c care``: what a billing agent sees."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.connection import CALL_SECONDS, connected
from cli.output import JsonFlag, errors_by_name, money, out, show, table
from cli.views import balance_table, invoice_table
from libs.pb.billing_care.v1 import billing_care_pb2 as care

app = typer.Typer(no_args_is_help=True, help="Balances and invoices, as a billing agent sees them.")

TYPED = {"scope": "ACCOUNT", "scope.account_id": "ACCOUNT", "scope.billing_profile_id": "--profile", "bill_id": "--bill"}

Account = Annotated[str, typer.Argument(help="CRM account, such as 1-DENISE.")]
Profile = Annotated[str, typer.Option("--profile", help="CRM billing profile; without it every profile of the account.")]


@app.command()
def balance(account: Account, profile: Profile = "", as_json: JsonFlag = False) -> None:
    """What an account owes, profile by profile.

    Example: o2c care balance 1-DENISE
    """
    with errors_by_name(TYPED), connected() as clients:
        scope = care.CareScope(account_id=account, billing_profile_id=profile)
        answer = clients.care.GetBalanceSummary(care.GetBalanceSummaryRequest(scope=scope), timeout=CALL_SECONDS)
        show(answer, as_json, lambda: out.print(balance_table(answer)))


@app.command()
def invoices(
    account: Account,
    profile: Profile = "",
    bill: Annotated[str, typer.Option(help="Show the charges of this bill (opaque id from the list with --json).")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Bills, newest first; with --bill the charges of one.

    Example: o2c care invoices 1-DENISE --profile BP-DENISE-DENISE
    """
    with errors_by_name(TYPED), connected() as clients:
        scope = care.CareScope(account_id=account, billing_profile_id=profile)
        if bill:
            one = clients.care.GetInvoice(care.GetInvoiceRequest(scope=scope, bill_id=bill), timeout=CALL_SECONDS)
            show(one, as_json, lambda: render_invoice(one))
        else:
            answer = clients.care.ListInvoices(care.ListInvoicesRequest(scope=scope), timeout=CALL_SECONDS)
            show(answer, as_json, lambda: out.print(invoice_table(answer.invoices)))


def render_invoice(answer: care.GetInvoiceResponse) -> None:
    out.print(invoice_table([answer.invoice]))
    charges = [
        (
            item.service_label or "account",
            item.service_type,
            money(item.gross),
            money(item.discount),
            money(item.tax),
            money(item.net),
        )
        for item in answer.service_charges
    ]
    amounts = ("Gross", "Discount", "Tax", "Net")
    out.print(table("Charges by service", ("Service", "Kind", *amounts), charges, right=amounts))
    items = [(item.description, item.item_type, money(item.total), money(item.due)) for item in answer.items]
    out.print(table("Items", ("Item", "Kind", "Total", "Due"), items, right=("Total", "Due")))

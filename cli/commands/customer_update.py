"""``o2c customer update``, ``events`` and ``special-rating``: have billing follow what changed in the CRM."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from cli.connection import CALL_SECONDS, connected
from cli.output import JsonFlag, errors_by_name, out, short_poid, show, table
from cli.views import calls_text, state
from libs.grpckit.enum_names import short_enum
from libs.grpckit.status import from_status
from libs.pb.customer_sync.v1 import customer_sync_pb2 as sync
from libs.pb.customer_sync.v1 import customer_update_pb2, special_rating_pb2

SOURCE = "SEBL_01"

Answer = customer_update_pb2.SyncCustomerUpdateResponse | special_rating_pb2.SyncSpecialRatingListResponse
ValidateOnly = Annotated[bool, typer.Option("--validate-only", help="Show the BRM calls, make none.")]


def update(
    account: Annotated[str, typer.Argument(help="CRM account that was edited, such as 1-DENISE.")],
    profile: Annotated[list[str] | None, typer.Option(help="Billing profile of it that was edited, too; may repeat.")] = None,
    validate_only: ValidateOnly = False,
    as_json: JsonFlag = False,
) -> None:
    """Have billing follow an edit in the CRM, in every instance the account lives in; that is none before its first order.

    Example: o2c customer update 1-DENISE --validate-only
    """
    changed = customer_update_pb2.CustomerEvent(account_id=account, account=customer_update_pb2.AccountChanged())
    request = customer_update_pb2.SyncCustomerUpdateRequest(
        source_system=SOURCE, events=[changed], wait=True, validate_only=validate_only
    )
    for profile_id in profile or ():
        event = request.events.add(account_id=account)
        event.billing_profile.billing_profile_id = profile_id
    typed = {"events[].account_id": "ACCOUNT", "events[].billing_profile.billing_profile_id": "--profile"}
    with errors_by_name(typed), connected() as clients:
        answer = clients.updates.SyncCustomerUpdate(request, timeout=CALL_SECONDS)
        show(answer, as_json, lambda: _print_update(answer))
    raise typer.Exit(1 if answer.outcome == sync.SYNC_OUTCOME_FAILED else 0)


def events(
    fallout: Annotated[bool, typer.Option("--fallout", help="Only those that were given up: a person has to look.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many.")] = 50,
    as_json: JsonFlag = False,
) -> None:
    """Edits in the CRM that billing does not have yet: waiting for their time, or given up.

    Example: o2c customer events --fallout
    """
    with errors_by_name({"page_size": "--limit"}), connected() as clients:
        asked = customer_update_pb2.ListCustomerUpdatesRequest(page_size=limit, in_fallout=fallout)
        answer = clients.updates.ListCustomerUpdates(asked, timeout=CALL_SECONDS)
        rows = [
            (
                each.account_id,
                each.system_id or "all",
                state("IN_FALLOUT" if each.in_fallout else "WAITING"),
                "-" if each.in_fallout else each.due_time.ToJsonString(),
                each.attempts,
                ", ".join(each.reasons) or "-",
            )
            for each in answer.updates
        ]
        columns = ("Account", "BRM", "State", "Due", "Tries", "Last failure")
        show(answer, as_json, lambda: out.print(table("Edits that billing does not have yet", columns, rows)))


def special_rating(
    list_id: Annotated[str, typer.Argument(metavar="LIST", help="CRM special rating list.")],
    number: Annotated[list[str] | None, typer.Option(help="Active number of it; may repeat.")] = None,
    asset: Annotated[list[str] | None, typer.Option(help="Asset that uses the list; may repeat.")] = None,
    compare_with_billing: Annotated[
        bool, typer.Option("--compare-with-billing", help="Look at what billing has, whatever was sent last.")
    ] = False,
    validate_only: ValidateOnly = False,
    as_json: JsonFlag = False,
) -> None:
    """Replace the numbers of a special rating list (friends and family), for every asset that uses it; one that is as it was
    sent last is left alone.

    Example: o2c customer special-rating LIST-1 --number 4085550101 --number 4085550102 --asset AST-MICHELLE-FRIENDS
    """
    request = special_rating_pb2.SyncSpecialRatingListRequest(
        source_system=SOURCE,
        list_id=list_id,
        type="Phone Number",
        items=[special_rating_pb2.SpecialRatingItem(value=each) for each in number or ()],
        asset_integration_ids=asset or (),
        compare_with_billing=compare_with_billing,
        validate_only=validate_only,
    )
    typed = {"list_id": "LIST", "items[].value": "--number", "asset_integration_ids[]": "--asset"}
    with errors_by_name(typed), connected() as clients:
        answer = clients.lists.SyncSpecialRatingList(request, timeout=CALL_SECONDS)
        show(answer, as_json, lambda: _print(answer))
    raise typer.Exit(1 if answer.outcome == sync.SYNC_OUTCOME_FAILED else 0)


def _print_update(answer: customer_update_pb2.SyncCustomerUpdateResponse) -> None:
    for account_id in answer.unsynchronised_account_ids:
        where = f"account {account_id} is in no BRM instance, because no order has brought it there"
        out.print(f"{where}: nothing to update; o2c customer show {account_id} tells who knows it")
    if not answer.unsynchronised_account_ids:
        _print(answer)


def _print(answer: Answer) -> None:
    if answer.plans:
        sys.stdout.write(calls_text(answer.plans) + "\n")
    elif answer.entities:
        columns = ("BRM", "Object", "CRM id", "BRM id", "Outcome")
        out.print(table(short_enum(sync.SyncOutcome.DESCRIPTOR, answer.outcome), columns, entity_rows(answer.entities)))
    else:
        out.print(f"{short_enum(sync.SyncOutcome.DESCRIPTOR, answer.outcome)}: nothing is different in billing")
    for line in notice_lines(answer):
        out.print(line)


def entity_rows(entities: Iterable[sync.SyncedEntity]) -> list[tuple[str, ...]]:
    kinds, outcomes = sync.EntityKind.DESCRIPTOR, sync.EntityOutcome.DESCRIPTOR
    return [
        (
            each.system_id,
            short_enum(kinds, each.kind),
            each.crm_id,
            short_poid(each.brm_id),
            state(short_enum(outcomes, each.outcome)),
        )
        for each in entities
    ]


def notice_lines(answer: Answer) -> Iterator[str]:
    """Warnings and errors by name."""
    for notice in answer.warnings:
        yield f"[yellow]{notice.reason}[/yellow]: {notice.message}"
    for status in answer.errors:
        for violation in from_status(status).violations:
            where = "".join(f" {each}" for each in (violation.metadata.get("system", ""), violation.field) if each)
            yield f"[red]{violation.reason}[/red]{where}: {violation.message}"


def add_to(app: typer.Typer) -> None:
    """Put the commands into ``o2c customer``."""
    app.command()(update)
    app.command()(events)
    app.command("special-rating")(special_rating)

"""``o2c crm``: look at the CRM stand-in, edit it, make it fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.commands.sandbox import refused
from cli.connection import connected
from cli.output import JsonFlag, errors_by_name, out, print_json, table
from libs.errors import O2CError, Reason

app = typer.Typer(no_args_is_help=True, help="Look at the CRM stand-in, edit its customers, make it fail.")

Changes = Annotated[
    list[str], typer.Argument(metavar="FIELD=VALUE", help="Such as primary_contact.last_name=Reed; no value removes the field.")
]


@app.command()
def accounts(as_json: JsonFlag = False) -> None:
    """Every account the CRM knows, and its billing profiles.

    Example: o2c crm accounts
    """
    with errors_by_name(), connected() as clients:
        found = refused(clients.crm().accounts)
        profiles = refused(clients.crm().billing_profiles)
        if as_json:
            print_json({"accounts": found, "billing_profiles": profiles})
            return
        rows = [
            (
                each["account_id"],
                each.get("name", ""),
                each.get("type", "").removeprefix("ACCOUNT_TYPE_"),
                each.get("class", "").removeprefix("ACCOUNT_CLASS_"),
                each.get("status", ""),
                each.get("parent_account_id", "") or "-",
                ", ".join(p["billing_profile_id"] for p in profiles if p["account_id"] == each["account_id"]) or "-",
            )
            for each in found
        ]
        columns = ("Account", "Name", "Type", "Class", "Status", "Below", "Billing profiles")
        out.print(table("CRM", columns, rows, flowing=("Billing profiles",)))


@app.command()
def load(
    file: Annotated[Path, typer.Argument(help="JSON with accounts and billing_profiles; an order is one.", exists=True)],
    as_json: JsonFlag = False,
) -> None:
    """Add or replace customers: all that a file holds, or none when anything is wrong with one.

    Example: o2c crm load examples/order-1-denise-family.json
    """
    with errors_by_name(), connected() as clients:
        known = refused(lambda: clients.crm().load(document(file)))
        if as_json:
            print_json(known)
        else:
            out.print(f"the CRM knows {known['accounts']} accounts and {known['billing_profiles']} billing profiles")


@app.command()
def edit(
    account: Annotated[str, typer.Argument(help="Account, such as 1-DENISE.")], changes: Changes, as_json: JsonFlag = False
) -> None:
    """Edit an account that is there; billing follows by `o2c customer update`.

    Example: o2c crm edit 1-DENISE primary_contact.last_name=Reed primary_address.city=Ogden
    """
    with errors_by_name({"account_id": "ACCOUNT"}), connected() as clients:
        patch = patch_of(changes)
        record = refused(lambda: clients.crm().edit_account(account, **patch))
        said(record, f"account {account} is edited; have billing follow: o2c customer update {account}", as_json=as_json)


@app.command("edit-profile")
def edit_profile(
    profile: Annotated[str, typer.Argument(help="Billing profile, such as BP-DENISE-DENISE.")],
    changes: Changes,
    as_json: JsonFlag = False,
) -> None:
    """Edit a billing profile that is there; billing follows by `o2c customer update`.

    Example: o2c crm edit-profile BP-DENISE-DENISE bill_media=Email email_bill_to=denise@example.com
    """
    with errors_by_name({"billing_profile_id": "PROFILE"}), connected() as clients:
        patch = patch_of(changes)
        record = refused(lambda: clients.crm().edit_billing_profile(profile, **patch))
        said(
            record,
            f"billing profile {profile} is edited; have billing follow: o2c customer update {record['account_id']}",
            as_json=as_json,
        )


@app.command()
def faults(
    down: Annotated[bool, typer.Option("--down", help="Every call fails.")] = False,
    delay: Annotated[int, typer.Option(min=0, help="Every call takes so long, in milliseconds.")] = 0,
    times: Annotated[int, typer.Option(min=0, help="For so many calls; 0: until told otherwise.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Make the CRM fail or dawdle; without options all is well again.

    Example: o2c crm faults --down --times 2
    """
    with errors_by_name(), connected() as clients:
        now = refused(lambda: clients.crm().change_faults(down=down, delay_ms=delay, times=times))
        said(now, "the CRM is as told", as_json=as_json)


def said(record: dict[str, Any], text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(record)
    else:
        out.print(text)


def document(file: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises JSON_MALFORMED."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise O2CError.of(Reason.JSON_MALFORMED, f"{file}: {error}", field="FILE", line="") from error
    if not isinstance(found, dict):
        raise O2CError.of(Reason.JSON_MALFORMED, f"{file}: a JSON object is expected", field="FILE", line="1")
    return found


def patch_of(changes: list[str]) -> dict[str, Any]:
    """A merge patch from assignments: ``a.b=1`` is ``{"a": {"b": 1}}``; JSON values as such, others as text, none removes.

    Raises FIELD_MISSING for what is no assignment.
    """
    patch: dict[str, Any] = {}
    for change in changes:
        path, sign, text = change.partition("=")
        if not sign or not all(path.split(".")):
            raise O2CError.of(Reason.FIELD_MISSING, f"{change!r} is not FIELD=VALUE", field=path)
        *above, name = path.split(".")
        target = patch
        for each in above:
            target = target.setdefault(each, {})
        target[name] = value_of(text)
    return patch


def value_of(text: str) -> Any:
    if not text:
        return None
    if text[0] in "[{" or text in ("true", "false"):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    return text

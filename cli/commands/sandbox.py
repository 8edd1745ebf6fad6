"""``o2c sandbox``: look inside the BRM stand-in, move its clock, run its jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any

import typer

from cli.connection import connected
from cli.output import JsonFlag, Typed, errors_by_name, job_text, out, print_json, short_poid, table
from libs.errors import O2CError, Reason, Violation
from sandbox.admin_client import AdminClient, AdminError, instances_at

app = typer.Typer(no_args_is_help=True, help="Look inside the BRM stand-in, move its clock, run its jobs.")

CURRENCIES = range(1, 1000)
"""Resource ids that are currencies: their ISO 4217 numbers."""

System = Annotated[str, typer.Option("--system", "-s", help="BRM instance.")]
SystemOrAll = Annotated[str, typer.Option("--system", "-s", help="BRM instance; without it all.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="At most so many.")]
Since = Annotated[int, typer.Option("--since", min=0, help="Only those numbered above this.")]
Url = Annotated[
    str,
    typer.Option("--url", envvar="O2C_SANDBOX_URL", help="A sandbox by itself (python -m sandbox); else the running suite's."),
]

_address = ""
"""Base URL of a sandbox that runs by itself."""


@app.callback()
def choose(url: Url = "") -> None:
    global _address  # one command per process, which all of them share
    _address = url.rstrip("/")


TYPED = {"system": "--system", "since": "--since", "limit": "--limit", "after": "--after"}
"""What many commands take, by the field it goes to."""


@contextmanager
def looking_at(system: str, typed: Typed = MappingProxyType({})) -> Iterator[AdminClient]:
    """The admin side of one instance; ``typed`` as for :func:`errors_by_name`."""
    with errors_by_name({**TYPED, **typed}):
        if _address:
            yield AdminClient(_address, system)
        else:
            with connected() as clients:
                yield clients.sandbox(system)


@contextmanager
def looking_at_all(system: str, typed: Typed = MappingProxyType({})) -> Iterator[dict[str, AdminClient]]:
    """The admin sides of one named instance, or of all, by code; ``typed`` as for :func:`errors_by_name`."""
    with errors_by_name({**TYPED, **typed}):
        if _address:
            codes = [system] if system else refused(lambda: instances_at(_address))
            yield {code: AdminClient(_address, code) for code in codes}
        else:
            from cli.suite import INSTANCES

            with connected() as clients:
                yield {code: clients.sandbox(code) for code in ([system] if system else list(INSTANCES))}


@app.command()
def objects(
    class_: Annotated[
        str, typer.Argument(metavar="CLASS|POID", help="Class, such as /account or /billinfo, or one object, '/account 10000'.")
    ] = "/account",
    where: Annotated[list[str] | None, typer.Option("--where", "-w", help="FIELD=value; may repeat, all must hold.")] = None,
    limit: Limit = 1000,
    system: System = "BRM_01",
    as_json: JsonFlag = False,
) -> None:
    """Objects of one class, or one object.

    Example: o2c sandbox objects /billinfo -w BILLINFO_ID=BP-1 -s BRM_01
    """
    with looking_at(system, {"class": "CLASS", "poid": "POID", "where": "--where"}) as admin:
        conditions = {name.upper(): value for name, value in assignments(where or (), "FIELD=value", "--where").items()}
        if " " in class_.strip():
            found = [refused(lambda: admin.object(class_.strip()))]
        else:
            found = refused(lambda: admin.objects(class_, limit, **conditions))
        if as_json:
            print_json(found)
            return
        for item in found:
            out.print(f"[bold]{item.get('POID', '')}[/bold]")
            for name, value in item.items():
                if name != "POID" and value not in (None, "", {}, []):
                    out.print(f"  {name:<24} {value}", markup=False)
        if not found:
            out.print(f"nothing of {class_} in {system}")


@app.command()
def events(since: Since = 0, limit: Limit = 1000, system: System = "BRM_01", as_json: JsonFlag = False) -> None:
    """What happened in one instance, oldest first, and what it did to the balance.

    Example: o2c sandbox events -s BRM_02
    """
    with looking_at(system) as admin:
        found = refused(lambda: admin.events(since, limit))
        if as_json:
            print_json(found)
        else:
            rows = [
                (item["seq"], item["CREATED_T"], item["SYS_DESCR"], short_poid(item["ACCOUNT_OBJ"]), impact(item))
                for item in found
            ]
            columns = ("#", "At", "What", "Account", "Amount")
            out.print(table(f"Events in {system}", columns, rows, right=("#", "Amount"), flowing=("What",)))


@app.command()
def calls(
    opcode: Annotated[str, typer.Option("--opcode", help="Calls of this opcode only.")] = "",
    flists: Annotated[bool, typer.Option("--flists", help="With input and output.")] = False,
    since: Since = 0,
    limit: Limit = 1000,
    system: System = "BRM_01",
    as_json: JsonFlag = False,
) -> None:
    """Opcode calls one instance received, oldest first.

    Example: o2c sandbox calls --flists --opcode PCM_OP_CUST_COMMIT_CUSTOMER
    """
    with looking_at(system) as admin:
        found = refused(lambda: admin.calls(since, opcode or None, limit))
        if as_json:
            print_json(found)
            return
        for call in found:
            marks = [f"{call['duration_ms']:.1f} ms", *call["injected"], fault_text(call)]
            out.print(f"{call['seq']:>4}  {call['opcode']}  {'  '.join(mark for mark in marks if mark)}", markup=False)
            if flists:
                out.print(f"{call['input']}\n{call['output'] or ''}", markup=False)


@app.command()
def clock(
    at: Annotated[str, typer.Argument(help="Move to this time, such as 2027-02-01T00:00:00Z; without it just tell.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Also back in time.")] = False,
    system: SystemOrAll = "",
    as_json: JsonFlag = False,
) -> None:
    """Tell or move the time of BRM.

    Example: o2c sandbox clock 2027-02-01T00:00:00Z
    """
    with looking_at_all(system, {"at": "AT", "force": "--force"}) as admins:
        now = {code: refused(admin.clock) for code, admin in admins.items()}
        if at:
            # Whose time is the latest goes first: when it may move there, all may, and otherwise none has moved.
            for code in sorted(now, key=lambda code: str(now[code]["at"]), reverse=True):
                now[code] = refused(lambda code=code: admins[code].set_clock(at, force=force))
        if as_json:
            print_json(now)
        else:
            for code, value in now.items():
                out.print(f"{code}  {value.get('at', '')} ({value.get('mode', '')})")


@app.command()
def jobs(
    name: Annotated[str, typer.Argument(help="Job to run, such as bill; without it the names.")] = "",
    threads: Annotated[int, typer.Option("--threads", min=1, help="Workers that share the units.")] = 1,
    system: SystemOrAll = "",
    as_json: JsonFlag = False,
) -> None:
    """Run a batch job, or tell which there are.

    Example: o2c sandbox jobs bill
    """
    with looking_at_all(system, {"name": "NAME", "threads": "--threads"}) as admins:
        if not name:
            names = {code: refused(admin.capabilities)["jobs"] for code, admin in admins.items()}
            if as_json:
                print_json(names)
            else:
                for code, known in names.items():
                    out.print(f"{code}  {', '.join(known)}")
            return
        reports = {code: refused(lambda admin=admin: admin.run_job(name, threads)) for code, admin in admins.items()}
        if as_json:
            print_json(reports)
        else:
            for code, report in reports.items():
                out.print(f"{code}  {name}: {job_text(report)}")
                for failure in report.get("failures", ()):
                    out.print(f"  {failure['poid']}: {failure['error']}", markup=False)


@app.command()
def faults(
    action: Annotated[str, typer.Argument(help="Fault to add, such as drop_after or err:STORAGE; without it list them.")] = "",
    opcode: Annotated[str, typer.Option("--opcode", help="Opcodes it hits; * stands for any text.")] = "*",
    account: Annotated[str, typer.Option("--account", help="Only calls about this account number.")] = "",
    nth: Annotated[int, typer.Option("--nth", help="Only the n-th matching call.")] = 0,
    probability: Annotated[float, typer.Option("--probability", min=0.0, max=1.0, help="How likely it hits a call.")] = 1.0,
    times: Annotated[int, typer.Option("--times", help="How often it may happen; 0 means always.")] = 1,
    clear: Annotated[bool, typer.Option("--clear", help="Take all faults away first.")] = False,
    system: System = "BRM_01",
    as_json: JsonFlag = False,
) -> None:
    """List the failures on demand of one instance, or add one.

    Example: o2c sandbox faults drop_after --opcode 'PCM_OP_CUST_*'
    """
    typed = {"action": "ACTION", "match.nth": "--nth", "match.probability": "--probability", "times": "--times"}
    with looking_at(system, typed) as admin:
        if clear:
            refused(admin.clear_faults)
        if action:
            match = {"opcode": opcode, "account_no": account, "nth": nth, "probability": probability}
            refused(lambda: admin.add_fault(action, times=times, **match))
        found = refused(admin.faults)
        if as_json:
            print_json(found)
            return
        rows = [
            (item["id"], item["action"], matching(item["match"]), item["times"] or "always", item["fired"]) for item in found
        ]
        columns = ("#", "Action", "Calls", "Times", "Fired")
        out.print(table(f"Faults in {system}", columns, rows, right=("#", "Fired"), flowing=("Calls",)))


@app.command()
def outbox(
    after: Annotated[int, typer.Option("--after", help="Only messages numbered above this.")] = 0,
    system: System = "BRM_01",
    as_json: JsonFlag = False,
) -> None:
    """What one instance has told the world, such as that collections changed something.

    Example: o2c sandbox outbox -s BRM_01
    """
    with looking_at(system) as admin:
        found = refused(lambda: admin.outbox(after))
        if as_json:
            print_json(found)
            return
        rows = [(item["seq"], item["NAME"], item.get("START_T", ""), item.get("END_T", "")) for item in found]
        out.print(table(f"Outbox of {system}", ("#", "Message", "From", "To"), rows, right=("#",), flowing=("Message",)))


@app.command()
def invariants(system: System = "BRM_01", as_json: JsonFlag = False) -> None:
    """Check every invariant over the whole store; exit code 1 when one is broken.

    Example: o2c sandbox invariants -s BRM_01
    """
    with looking_at(system) as admin:
        broken = refused(admin.check_invariants)
        if as_json:
            print_json(broken)
        else:
            for violation in broken:
                out.print(f"{violation['invariant']}  {violation['poid']}: {violation['message']}", markup=False)
            out.print(f"{len(broken)} broken" if broken else "all invariants hold")
    if broken:
        raise typer.Exit(1)


@app.command()
def fixture(
    name: Annotated[str, typer.Argument(help="Ready-made customers: empty, family, business or overdue.")],
    system: System = "BRM_01",
    as_json: JsonFlag = False,
) -> None:
    """Forget everything in one instance and make ready-made customers.

    Example: o2c sandbox fixture family
    """
    with looking_at(system, {"name": "NAME"}) as admin:
        made = refused(lambda: admin.load_fixture(name))
        if as_json:
            print_json(made)
        else:
            for key, poid in made.items():
                out.print(f"{key:<16} {poid}")


@app.command()
def settings(
    changes: Annotated[list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Switches to change.")] = None,
    system: System = "BRM_01",
    as_json: JsonFlag = False,
) -> None:
    """Show the switches of one instance, or change some.

    Example: o2c sandbox settings strict_xsd=true
    """
    with looking_at(system) as admin:
        now = refused(admin.settings)
        if wanted := assignments(changes or (), "NAME=VALUE", "NAME=VALUE", now):
            now = refused(lambda: admin.change_settings(**wanted))
        if as_json:
            print_json(now)
        else:
            for key, value in now.items():
                out.print(f"{key:<26} {value}", markup=False)


@app.command()
def usage(
    service: Annotated[str, typer.Argument(help="Login or POID of a service.")],
    quantity: Annotated[str, typer.Option("--quantity", help="How much was used.")] = "1",
    amount: Annotated[str, typer.Option("--amount", help="What it costs unless a grant covers it.")] = "0",
    resource: Annotated[
        int, typer.Option("--resource", help="Counted resource that may cover it, such as 1000101; 0: none.")
    ] = 0,
    system: System = "BRM_01",
    as_json: JsonFlag = False,
) -> None:
    """Let a service be used now; the rated event.

    Example: o2c sandbox usage 5550001 --quantity 120 --amount 6.00 --resource 1000101
    """
    typed = {"service": "SERVICE", "quantity": "--quantity", "amount": "--amount", "resource": "--resource"}
    with looking_at(system, typed) as admin:
        about = {"quantity": quantity, "amount": amount} | ({"resource": resource} if resource else {})
        event = refused(lambda: admin.add_usage(service, **about))
        if as_json:
            print_json(event)
        else:
            out.print(f"{event['POID']}  {impact(event) or '0.00'}")


def matching(match: dict[str, Any]) -> str:
    """Which calls a fault hits: the opcodes, and whatever else narrows them."""
    usual = {"account_no": "", "poid": "", "nth": 0, "probability": 1.0, "window": ""}
    more = [f"{name} {match[name]}" for name, value in usual.items() if match.get(name, value) != value]
    return ", ".join([match["opcode"], *more])


def fault_text(call: dict[str, Any]) -> str:
    """How a call failed, ``NAME @FIELD: words``; empty when it did not."""
    fault = call.get("fault")
    if not fault:
        return ""
    place = f" @{fault['field']}" if fault["field"] else ""
    return f"{fault['name']}{place}: {fault['descr']}"


def assignments(texts: Iterable[str], form: str, field: str, names: Iterable[str] = ()) -> dict[str, str]:
    """Names and values. Raises FIELD_MISSING for every text that is not ``form``, with the names there are."""
    pairs = {text: text.partition("=") for text in texts}
    known = ", ".join(names)
    hint = f"; names are {known}" if known else ""
    O2CError.raise_all(
        Violation(Reason.FIELD_MISSING, f"{form} is expected, not {text!r}{hint}", field)
        for text, (name, sign, _) in pairs.items()
        if not (name and sign)
    )
    return {name: value for name, _, value in pairs.values()}


def refused(ask: Any) -> Any:
    """What the sandbox answers; its refusals become named errors."""
    try:
        return ask()
    except AdminError as error:
        raise O2CError(*error.violations) from error


def impact(event: dict[str, Any]) -> str:
    """What an event added to the balance in money; empty when nothing."""
    impacts = event.get("BAL_IMPACTS", {}).values()
    money = [Decimal(one["AMOUNT"]) for one in impacts if one.get("RESOURCE_ID") in CURRENCIES]
    return f"{sum(money, Decimal(0)):,.2f}" if money else ""


__all__ = ["AdminClient", "app"]

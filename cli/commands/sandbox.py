"""``o2c sandbox``: look inside the BRM stand-in, move its clock, run its jobs."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import typer

from cli.connection import connected
from cli.output import JsonFlag, errors_by_name, job_text, out, print_json, short_poid, table
from libs.errors import O2CError, Reason
from sandbox.admin_client import AdminClient, AdminError

app = typer.Typer(no_args_is_help=True, help="Look inside the BRM stand-in, move its clock, run its jobs.")

CURRENCIES = range(1, 1000)
"""Resource ids that are currencies: their ISO 4217 numbers."""

System = Annotated[str, typer.Option("--system", "-s", help="BRM instance.")]


@app.command()
def objects(
    class_: Annotated[str, typer.Argument(metavar="CLASS", help="Storable class, such as /account or /billinfo.")] = "/account",
    system: System = "BRM_01",
    as_json: JsonFlag = False,
) -> None:
    """Objects of one class.

    Example: o2c sandbox objects /billinfo -s BRM_01
    """
    with errors_by_name(), connected() as clients:
        found = refused(lambda: clients.sandbox(system).objects(class_))
        if as_json:
            print_json(found)
            return
        for item in found:
            out.print(f"[bold]{item.get('POID', item.get('poid', ''))}[/bold]")
            for name, value in item.items():
                if name not in ("POID", "poid") and value not in (None, "", {}, []):
                    out.print(f"  {name:<24} {value}")


@app.command()
def events(system: System = "BRM_01", as_json: JsonFlag = False) -> None:
    """What happened in one instance, oldest first, and what it did to the balance.

    Example: o2c sandbox events -s BRM_02
    """
    with errors_by_name(), connected() as clients:
        found = refused(lambda: clients.sandbox(system).events())
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
    system: System = "BRM_01",
    flists: Annotated[bool, typer.Option("--flists", help="With input and output.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Opcode calls one instance received, oldest first.

    Example: o2c sandbox calls --flists
    """
    with errors_by_name(), connected() as clients:
        found = refused(lambda: clients.sandbox(system).calls())
        if as_json:
            print_json(found)
            return
        for number, call in enumerate(found, 1):
            out.print(f"{number:>4}  {call['opcode']}  {call.get('fault') or ''}")
            if flists:
                out.print(f"{call.get('input', '')}\n{call.get('output', '')}", markup=False)


@app.command()
def clock(
    at: Annotated[str, typer.Argument(help="Move to this time, such as 2027-02-01T00:00:00Z; without it just tell.")] = "",
    system: Annotated[str, typer.Option("--system", "-s", help="BRM instance; without it all.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Tell or move the time of BRM.

    Example: o2c sandbox clock 2027-02-01T00:00:00Z
    """
    with errors_by_name(), connected() as clients:
        from cli.suite import INSTANCES

        now = {}
        for code in [system] if system else INSTANCES:
            admin = clients.sandbox(code)
            if at:
                refused(lambda admin=admin: admin.set_clock(at))
            now[code] = refused(admin.clock)
        if as_json:
            print_json(now)
        else:
            for code, value in now.items():
                out.print(f"{code}  {value.get('at', '')} ({value.get('mode', '')})")


@app.command()
def jobs(
    name: Annotated[str, typer.Argument(help="Job to run, such as bill.")],
    system: Annotated[str, typer.Option("--system", "-s", help="BRM instance; without it all.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Run a batch job.

    Example: o2c sandbox jobs bill
    """
    with errors_by_name(), connected() as clients:
        from cli.suite import INSTANCES

        codes = [system] if system else list(INSTANCES)
        reports = {code: refused(lambda code=code: clients.sandbox(code).run_job(name)) for code in codes}
        if as_json:
            print_json(reports)
        else:
            for code, report in reports.items():
                out.print(f"{code}  {name}: {job_text(report)}")
                for failure in report.get("failures", ()):
                    out.print(f"  {failure}", markup=False)


@app.command()
def faults(
    action: Annotated[str, typer.Argument(help="Fault to add, such as drop_after or err:STORAGE; without it list them.")] = "",
    opcode: Annotated[str, typer.Option("--opcode", help="Opcodes it hits; * stands for any text.")] = "*",
    times: Annotated[int, typer.Option("--times", help="How often it may happen; 0 means always.")] = 1,
    clear: Annotated[bool, typer.Option("--clear", help="Take all faults away first.")] = False,
    system: System = "BRM_01",
    as_json: JsonFlag = False,
) -> None:
    """List the failures on demand of one instance, or add one.

    Example: o2c sandbox faults drop_after --opcode 'PCM_OP_CUST_*'
    """
    with errors_by_name(), connected() as clients:
        admin = clients.sandbox(system)
        if clear:
            refused(admin.clear_faults)
        if action:
            refused(lambda: admin.add_fault(action, times=times, opcode=opcode))
        found = refused(admin.faults)
        if as_json:
            print_json(found)
            return
        rows = [
            (item["id"], item["action"], item["match"]["opcode"], item["times"] or "always", item["fired"]) for item in found
        ]
        columns = ("#", "Action", "Opcodes", "Times", "Fired")
        out.print(table(f"Faults in {system}", columns, rows, right=("#", "Fired"), flowing=("Opcodes",)))


@app.command()
def outbox(
    after: Annotated[int, typer.Option("--after", help="Only messages numbered above this.")] = 0,
    system: System = "BRM_01",
    as_json: JsonFlag = False,
) -> None:
    """What one instance has told the world, such as that collections changed something.

    Example: o2c sandbox outbox -s BRM_01
    """
    with errors_by_name(), connected() as clients:
        found = refused(lambda: clients.sandbox(system).outbox(after))
        if as_json:
            print_json(found)
            return
        rows = [(item["seq"], item["NAME"], item["START_T"], item["END_T"]) for item in found]
        out.print(table(f"Outbox of {system}", ("#", "Message", "From", "To"), rows, right=("#",), flowing=("Message",)))


@app.command()
def invariants(system: System = "BRM_01", as_json: JsonFlag = False) -> None:
    """Check every invariant over the whole store; exit code 1 when one is broken.

    Example: o2c sandbox invariants -s BRM_01
    """
    with errors_by_name(), connected() as clients:
        broken = refused(lambda: clients.sandbox(system).check_invariants())
        if as_json:
            print_json(broken)
        else:
            for violation in broken:
                out.print(f"{violation}", markup=False)
            out.print(f"{len(broken)} broken" if broken else "all invariants hold")
    if broken:
        raise typer.Exit(1)


def refused(ask: Any) -> Any:
    """What the sandbox answers; its refusals become named errors."""
    try:
        return ask()
    except AdminError as error:
        raise O2CError.of(Reason.BRM_REJECTED, str(error)) from error


def impact(event: dict[str, Any]) -> str:
    """What an event added to the balance in money; empty when nothing."""
    impacts = event.get("BAL_IMPACTS", {}).values()
    money = [Decimal(one["AMOUNT"]) for one in impacts if one.get("RESOURCE_ID") in CURRENCIES]
    return f"{sum(money, Decimal(0)):,.2f}" if money else ""


__all__ = ["AdminClient", "app"]

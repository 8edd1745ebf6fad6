"""``o2c brm``: does a BRM endpoint behave as the connector expects?"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from cli.output import JsonFlag, out, print_json, table

app = typer.Typer(no_args_is_help=True, help="Try a BRM endpoint, sandbox or real.")


@app.callback()
def _group() -> None:
    """Keeps ``check`` a command of its own while it is the only one."""


@app.command()
def check(
    url: Annotated[str, typer.Argument(help="Address up to the service's name, such as http://host/metro/jaxws.")],
    system: Annotated[str, typer.Option(help="Code of the instance.")] = "BRM_01",
    db: Annotated[str, typer.Option(help="Database number in its POIDs.")] = "0.0.0.1",
    write: Annotated[bool, typer.Option("--write", help="Also create (and close) a throw-away customer.")] = False,
    product: Annotated[str, typer.Option(help="POID of a wireless product to buy, with --write.")] = "",
    dialect_file: Annotated[
        str, typer.Option(help="The site's dialect file: login, TLS, limits and what else is its own.")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Ask an endpoint everything the connector relies on; print the score by opcode and by rule.

    Nothing is written unless asked for. Exit code 1 when an answer is not as expected.

    Example: o2c brm check http://127.0.0.1:8080/BRM_01
    """
    from libs.brm.conformance import RULES, Outcome
    from libs.brm.conformance import check as examine
    from libs.brm.http import split
    from libs.brm.poid import Poid
    from libs.brm.site import load_site
    from libs.brm.transport import Instance

    try:
        bought = Poid.parse(product, db) if product else None
        options = load_site(dialect_file) if dialect_file else {}
        split(url)
        instance = Instance.of(system, url, db, **options)
    except ValueError as error:  # of each of these: the message says what is wrong with which
        raise typer.BadParameter(str(error)) from error
    report = asyncio.run(examine(instance, write=write, product=bought))
    passed, asked = report.score
    if as_json:
        findings = [asdict(finding) for finding in report.findings]
        print_json({"system": report.system_id, "passed": passed, "asked": asked, "findings": findings})
    else:
        by_rule = report.scores_by(lambda finding: finding.rule)
        out.print("By rule")
        for rule, (good, of) in by_rule.items():  # not as a table, which would cut either column on a narrow terminal
            out.print(f"  {rule:<16}{good:>4} of {of:<4} {RULES[rule]}", markup=False, highlight=False, soft_wrap=True)
        by_opcode = report.scores_by(lambda finding: finding.opcode)
        scores = [(name, f"{good} of {of}") for name, (good, of) in by_opcode.items() if of]
        out.print(table("By opcode", ("Opcode", "Holds"), scores))
        for finding in report.findings:
            if finding.outcome is Outcome.FAIL:
                out.print(f"FAIL {finding.opcode} {finding.rule}: {finding.detail}", markup=False)
        out.print(f"{passed} of {asked} hold")
    raise typer.Exit(0 if report.ok else 1)

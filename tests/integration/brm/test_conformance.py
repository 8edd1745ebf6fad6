"""The conformance check: what it asks, and that it tells a sound endpoint from a broken one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli.commands import brm as brm_commands
from libs.brm.conformance import RULES, Outcome, check
from libs.brm.poid import Poid
from libs.brm.transport import Instance
from sandbox.testing import running_sandbox

PRODUCT = Poid.parse("0.0.0.1 /product 20011 0")


def instance(sandbox) -> Instance:
    return Instance.of("BRM_01", sandbox.url("BRM_01"), "0.0.0.1")


async def test_a_read_only_check_of_the_sandbox_finds_nothing_wrong_and_writes_nothing():
    async with running_sandbox(("BRM_01",)) as sandbox:
        report = await check(instance(sandbox))
        assert report.ok, [finding for finding in report.findings if finding.outcome is not Outcome.PASS]
        assert await sandbox.admin("BRM_01").objects("/account") == []


async def test_a_writing_check_asks_every_rule_and_leaves_a_closed_customer():
    async with running_sandbox(("BRM_01",)) as sandbox:
        report = await check(instance(sandbox), write=True, product=PRODUCT)
        assert report.ok, [finding for finding in report.findings if finding.outcome is not Outcome.PASS]
        assert {finding.rule for finding in report.findings} == set(RULES)
        (account,) = await sandbox.admin("BRM_01").objects("/account")
        assert (account["STATUS"], account["ACCOUNT_NO"][:12]) == (10103, "CONFORMANCE-")
        assert await sandbox.admin("BRM_01").check_invariants() == []


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("unexposed:PCM_OP_BILL_GROUP_CREATE", "exposed"),
        ("err:NO_MEM", "not-found"),
        ("err:FRESH_FROM_THE_PRESS", "fault-names"),
        ("err:STORAGE", "empty-search"),
        ("http_500_html", "answers"),
    ],
)
async def test_a_broken_endpoint_is_found_out_by_rule_and_opcode(fault, rule):
    async with running_sandbox(("BRM_01",)) as sandbox:
        await sandbox.admin("BRM_01").add_fault(fault)
        report = await check(instance(sandbox))
        passed, asked = report.scores_by(lambda finding: finding.rule)[rule]
        assert not report.ok
        assert passed < asked


async def test_an_endpoint_that_is_not_there_fails_the_check_without_an_exception():
    report = await check(Instance.of("BRM_01", "http://127.0.0.1:9", "0.0.0.1"))
    assert not report.ok


async def test_the_command_prints_a_score_by_rule_and_by_opcode_and_takes_a_sites_dialect(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text('[dialect]\npath_template = "/metro/jaxws_str/{service}"\npayload_mode = "string"\n')
    commands = typer.Typer()
    commands.add_typer(brm_commands.app, name="brm")
    async with running_sandbox(("BRM_01",)) as sandbox:
        asked = ["brm", "check", sandbox.url("BRM_01"), "--dialect-file", str(site)]
        good = await asyncio.to_thread(CliRunner().invoke, commands, asked)
        assert good.exit_code == 0, good.output
        assert await sandbox.admin("BRM_01").objects("/account") == [], "it reads only"
        await sandbox.admin("BRM_01").add_fault("unexposed:PCM_OP_BILL_GROUP_CREATE")
        bad = await asyncio.to_thread(CliRunner().invoke, commands, asked)
        told = await asyncio.to_thread(CliRunner().invoke, commands, [*asked, "--json"])
    passed, asked_of = json.loads(told.stdout)["passed"], json.loads(told.stdout)["asked"]
    assert (bad.exit_code, passed) == (1, asked_of - 1)
    for line in ("By rule", "empty-search", "By opcode", "PCM_OP_READ_OBJ", f"{passed} of {asked_of} hold"):
        assert line in bad.output
    assert "FAIL PCM_OP_BILL_GROUP_CREATE exposed: not in the WSDL" in bad.output

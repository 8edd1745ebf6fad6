"""``o2c sandbox`` against a sandbox that runs by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.commands import sandbox
from sandbox.pytest_plugin import ServedSandbox, served_sandbox


@pytest.fixture(scope="module")
def served() -> Iterator[ServedSandbox]:
    with served_sandbox() as running:
        yield running


@pytest.fixture
def ask(served: ServedSandbox, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command; what it printed on stdout and stderr. The exit code must be the one expected."""

    def run(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(sandbox.app, words, env={"O2C_SANDBOX_URL": served.address, "COLUMNS": "160"})
        printed = capsys.readouterr()
        assert result.exit_code == code, (result.output, printed, result.exception)
        return result.output + printed.out + printed.err

    return run


def test_a_new_user_makes_customers_bills_them_and_looks_inside(ask: Any, served: ServedSandbox) -> None:
    assert "5550001" in ask("fixture", "family")
    assert "6.00" in ask("usage", "5550001", "--quantity", "12", "--amount", "6.00")
    assert ask("clock", "2027-02-01T00:00:00Z").count("2027-02-01T00:00:00Z (frozen)") == 2
    assert "BRM_01  bill: 3 of 3 done, 0 failed" in ask("jobs", "bill")
    assert "BRM_02  bill, collect, collections, deferred, expire, invoice" in ask("jobs")
    (unit,) = json.loads(ask("objects", "/billinfo", "-w", "BILLINFO_ID=BP-DENISE", "--json"))
    one = ask("objects", unit["POID"].rsplit(" ", 1)[0])
    assert "BP-DENISE" in one and "BP-MICHELLE" not in one
    assert "nothing of /nothing in BRM_02" in ask("objects", "/nothing", "-s", "BRM_02")
    assert len(json.loads(ask("events", "--since", "2", "--limit", "3", "--json"))) == 3
    assert "Cycle forward" in ask("events")
    assert "all invariants hold" in ask("invariants")


def test_calls_show_how_they_failed_and_faults_whom_they_hit(ask: Any, served: ServedSandbox) -> None:
    import urllib.error
    import urllib.request

    shown = ask("faults", "err:STORAGE", "--opcode", "PCM_OP_ACT_*", "--probability", "0.5", "--times", "0", "--clear")
    assert "PCM_OP_ACT_*, probability 0.5" in shown and "always" in shown
    ask("faults", "err:DEADLOCK", "--clear", "--times", "1")
    body = (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:b="http://xmlns.oracle.com/BRM/schemas/BusinessOpcodes"><e:Body><b:PCM_OP_ACT_FIND_inputFlist>'
        "<b:POID>0.0.0.1 /service -1 0</b:POID><b:LOGIN>x</b:LOGIN></b:PCM_OP_ACT_FIND_inputFlist></e:Body></e:Envelope>"
    )
    request = urllib.request.Request(
        served.url() + "/metro/jaxws/BRMACTServices_v2", body.encode(), {"Content-Type": "text/xml"}
    )
    for _ in range(2):
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(request)
    shown = ask("calls", "--opcode", "PCM_OP_ACT_FIND", "--flists")
    assert "err:DEADLOCK  DEADLOCK: injected fault" in shown
    assert "NOT_FOUND @LOGIN: no /service with login 'x'" in shown and "PIN_FLD_LOGIN" in shown
    assert "nothing" not in ask("calls", "--since", "999")


def test_what_is_refused_is_said_in_words(ask: Any) -> None:
    assert "strict_rev                 True" in ask("settings", "strict_rev=true")
    for words, why in (
        (("settings", "nonsense=1"), "BRM_REJECTED: no setting 'nonsense'"),
        (("usage", "nobody"), "BRM_REJECTED: NOT_FOUND @SERVICE_OBJ: no service nobody"),
        (("jobs", "polish"), "BRM_REJECTED: no job polish; there are bill"),
        (("fixture", "nobody"), "BRM_REJECTED: no fixture nobody"),
        (("clock", "2020-01-01T00:00:00Z"), "is earlier; use force to go back"),
        (("faults", "explode"), "BRM_REJECTED: unknown action 'explode'"),
    ):
        assert why in ask(*words, code=1)
    assert "2020-01-01T00:00:00Z (frozen)" in ask("clock", "2020-01-01T00:00:00Z", "--force", "-s", "BRM_02")

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
    (unit,) = json.loads(ask("objects", "/billinfo", "-w", "billinfo_id=BP-DENISE", "--json"))
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
        (("settings", "nonsense=1"), "ENUM_UNKNOWN nonsense: no setting 'nonsense'; there are free_login_on_close, "),
        (("settings", "strict_rev=maybe"), "RANGE_INVALID strict_rev: strict_rev is true or false, not 'maybe'"),
        (("settings", "foo"), "FIELD_MISSING NAME=VALUE: NAME=VALUE is expected, not 'foo'; names are free_login_on_close, "),
        (("objects", "/account", "-w", "foo"), "FIELD_MISSING --where: FIELD=value is expected, not 'foo'"),
        (("objects", "account"), "RANGE_INVALID CLASS: a class is a name such as /account, not 'account'"),
        (
            ("events", "-s", "BRM_99"),
            "ROUTE_SYSTEM_UNKNOWN --system: no instance 'BRM_99' is served here; there are BRM_01, BRM_02",
        ),
        (("usage", "nobody"), "BRM_REJECTED SERVICE: NOT_FOUND @SERVICE_OBJ: no service nobody"),
        (("usage", "nobody", "--amount", "lots"), "RANGE_INVALID --amount: --amount is a number, not 'lots'"),
        (("jobs", "polish"), "ENUM_UNKNOWN NAME: no job 'polish'; there are bill"),
        (("jobs", "a/b c"), "ENUM_UNKNOWN NAME: no job 'a/b c'; there are bill"),
        (("jobs", "bill", "--threads", "65"), "RANGE_INVALID --threads: --threads is a whole number from 1 to 64, not 65"),
        (("fixture", "no body"), "ENUM_UNKNOWN NAME: no fixture 'no body'; there are business"),
        (("fixture", "nobody"), "ENUM_UNKNOWN NAME: no fixture 'nobody'; there are business"),
        (("clock", "2020-01-01T00:00:00Z"), "is earlier; use force to go back"),
        (("clock", "yesterday"), "RANGE_INVALID AT: a time such as 2027-02-01T00:00:00Z is expected, not 'yesterday'"),
        (("faults", "explode"), "RANGE_INVALID ACTION: unknown action 'explode'; there are billinfo_noop, "),
        (("faults", "err"), "RANGE_INVALID ACTION: 'err' is no action: err takes an error, such as err:STORAGE"),
        (("faults", "mask", "--nth", "-1"), "RANGE_INVALID --nth: a number from 0 is expected"),
    ):
        assert why in ask(*words, code=1)
    assert "2020-01-01T00:00:00Z (frozen)" in ask("clock", "2020-01-01T00:00:00Z", "--force", "-s", "BRM_02")


def test_a_time_that_one_instance_refuses_moves_none(ask: Any) -> None:
    ask("clock", "2027-05-01T00:00:00Z", "--force")
    ask("clock", "2027-06-01T00:00:00Z", "-s", "BRM_02")
    assert "is earlier; use force" in ask("clock", "2027-05-15T00:00:00Z", code=1)
    assert "BRM_01  2027-05-01T00:00:00Z (frozen)" in ask("clock")
    assert ask("clock", "2027-07-01T00:00:00Z").splitlines() == [
        "BRM_01  2027-07-01T00:00:00Z (frozen)",
        "BRM_02  2027-07-01T00:00:00Z (frozen)",
    ]


def test_where_nothing_listens_there_is_no_sandbox(capsys: pytest.CaptureFixture[str]) -> None:
    result = CliRunner().invoke(sandbox.app, ["events"], env={"O2C_SANDBOX_URL": "http://127.0.0.1:9"})
    assert result.exit_code == 1
    assert "SERVICE_UNAVAILABLE: no sandbox answers at 127.0.0.1:9" in result.output + capsys.readouterr().err

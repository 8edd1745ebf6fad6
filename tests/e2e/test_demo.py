"""The main job, as a newcomer runs it: separate processes, real gRPC, real SOAP, real databases."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from cli.demo.run import tell_story
from cli.suite import Supervisor
from sandbox.admin_client import AdminClient

ROOT = Path(__file__).resolve().parents[2]


def descendants(pid: int) -> list[int]:
    """Every living process below ``pid``."""
    table = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    children: dict[int, list[int]] = {}
    for row in table.splitlines():
        child, parent = map(int, row.split())
        children.setdefault(parent, []).append(child)
    found, open_ = [], [pid]
    while open_:
        below = children.get(open_.pop(), [])
        found += below
        open_ += below
    return found


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_the_demo_runs_every_order_to_the_expected_bill() -> None:
    command = [sys.executable, "-m", "cli", "demo", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    result = json.loads(done.stdout)
    assert result["ok"]
    assert all(check["ok"] for check in result["checks"])
    assert [told["order"]["state"] for told in result["orders"]] == ["ORDER_STATE_COMPLETED"] * 5
    assert [told["replayed"] for told in result["orders"]] == [False, False, False, True, False]
    total = result["balances"]["1-DENISE"]["total_open_bills_due"]
    assert (total["currency_code"], total["units"], total.get("nanos", 0)) == ("USD", "209", 0)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_demo_leaves_no_process_behind_however_it_ends(how: signal.Signals, tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with (tmp_path / "output").open("wb") as output:
        demo = subprocess.Popen(
            [sys.executable, "-m", "cli", "demo"],
            cwd=ROOT,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
    deadline = time.monotonic() + 60
    while len(started := descendants(demo.pid)) < 6:
        assert time.monotonic() < deadline and demo.poll() is None, (tmp_path / "output").read_text()
        time.sleep(0.02)
    demo.send_signal(how)
    demo.wait(timeout=60)
    assert demo.returncode != 0
    while any(map(alive, started)):
        assert time.monotonic() < deadline, [pid for pid in started if alive(pid)]
        time.sleep(0.02)


def test_the_demo_is_not_content_when_brm_refuses_an_order(tmp_path: Path) -> None:
    with Supervisor(tmp_path / "suite") as suite:
        AdminClient(suite.sandbox, "BRM_02").add_fault("err:BAD_VALUE", opcode="PCM_OP_CUST_COMMIT_CUSTOMER")
        result = tell_story(suite, ROOT / "examples", lambda text: None, time.monotonic())
    failed = {check.claim for check in result.checks.failed}
    assert not result.ok
    assert {"order 3 is completed", "BP-PRIYA-HOME owes 18"} <= failed
    assert {"order 1 is completed", "order 5 is completed", "BP-DENISE-DENISE owes 25 + 30 − 3 + 40 + 2"}.isdisjoint(failed)
    console = Console(file=io.StringIO(), width=120)
    console.print(result.as_text())
    assert "✗ order 3 is completed" in console.file.getvalue()  # type: ignore[attr-defined]

"""Another team's project, with a test of its own and nothing else, gets a BRM by naming the fixture."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
OUTSIDE = """
import urllib.request

ENVELOPE = (
    '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns:b="http://xmlns.oracle.com/BRM/schemas/BusinessOpcodes"><e:Body>'
    "<b:PCM_OP_ACT_FIND_inputFlist><b:POID>0.0.0.1 /service -1 0</b:POID><b:LOGIN>5550001</b:LOGIN>"
    "</b:PCM_OP_ACT_FIND_inputFlist></e:Body></e:Envelope>"
)


def test_a_ready_made_family_is_found_and_billed_over_soap(o2c_sandbox):
    admin = o2c_sandbox.admin("BRM_01")
    made = admin.load_fixture("family")
    url = o2c_sandbox.url("BRM_01") + "/metro/jaxws/BRMACTServices_v2"
    request = urllib.request.Request(url, ENVELOPE.encode(), {"Content-Type": "text/xml", "SOAPAction": '"pcmOpActFind"'})
    with urllib.request.urlopen(request) as answer:
        assert made["5550001"].rsplit(" ", 1)[0] in answer.read().decode()
    admin.set_clock("2027-02-01T00:00:00Z")
    assert admin.run_job("bill")["failed"] == 0
    assert admin.check_invariants() == []


def test_every_test_gets_a_fresh_one(o2c_sandbox):
    assert o2c_sandbox.admin("BRM_01").objects("/account") == []
"""


@pytest.mark.parametrize("conftest", ["", 'pytest_plugins = ["sandbox.pytest_plugin"]\n'], ids=["installed", "named"])
def test_a_project_outside_uses_the_sandbox_through_its_fixture_alone(tmp_path: Path, conftest: str) -> None:
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_ours.py").write_text(OUTSIDE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b2 passed\b", done.stdout)

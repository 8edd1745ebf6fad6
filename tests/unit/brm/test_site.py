"""A site's dialect file, and what services ask of an instance when they start."""

from __future__ import annotations

import ast
import asyncio
import inspect
import logging
from collections.abc import Iterable
from pathlib import Path

import pytest

from libs.brm import calls
from libs.brm.auth import BasicAuth, BearerTokenFile, NoAuth
from libs.brm.client import open_gateway
from libs.brm.errors import BrmError
from libs.brm.needs import NEEDED, NEEDS
from libs.brm.site import instance_of, load_site
from libs.brm.specs import OPCODES, Timeout, opcode
from libs.brm.startup import check_capabilities
from libs.config import BillingSystem, SettingsError
from libs.errors import Reason

SITE = """
[dialect]
path_template = "/BrmWebServices/{service}"
payload_mode = "string"
[dialect.service_map]
BRMBillServices_v2 = "BRMBillService"
[auth]
kind = "bearer"
token_file = "token"
[limits]
max_connections = 8
settle_delays = [0, 1.5, 30]
[timeouts]
long = 300
[stored_searches]
account_by_number = 1001
"""
ROOT = Path(__file__).parents[3]


def written(folder: Path, text: str) -> BillingSystem:
    (folder / "site.toml").write_text(text)
    return BillingSystem(code="BRM_02", endpoint="http://a, http://b", dialect_file=str(folder / "site.toml"))


def test_a_dialect_file_says_all_that_is_particular_to_an_instance(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t-1\n")
    instance = instance_of(written(tmp_path, SITE))
    assert instance.endpoints == ("http://a", "http://b")
    assert instance.dialect.path(opcode("PCM_OP_BILL_FIND")) == "/BrmWebServices/BRMBillService"
    assert (instance.dialect.payload_mode, instance.dialect.db_no) == ("string", "0.0.0.2")
    assert isinstance(instance.auth, BearerTokenFile)
    assert instance.auth.header() == "Bearer t-1"
    assert instance.max_connections == 8
    assert instance.settle_delays == (0.0, 1.5, 30.0)
    assert (instance.timeouts[Timeout.LONG], instance.timeouts[Timeout.READ]) == (300.0, 10.0)
    assert instance.stored_searches == {"select X from /account where F1 = V1": 1001}


def test_without_a_file_the_defaults_hold() -> None:
    instance = instance_of(BillingSystem(code="BRM_01", endpoint="http://a"))
    assert isinstance(instance.auth, NoAuth)
    assert instance.settle_delays == (0.0, 0.5, 2.0)
    assert instance.dialect.path(opcode("PCM_OP_BILL_FIND")) == "/metro/jaxws/BRMBillServices_v2"


def test_a_password_stands_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    auth = instance_of(written(tmp_path, '[auth]\nkind = "basic"\nuser = "o2c"\npassword_file = "password"')).auth
    assert isinstance(auth, BasicAuth)
    assert auth.header() == "Basic bzJjOnNlY3JldA=="


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[dialects]", "no such table: dialects"),
        ('[dialect]\nwrap = "maybe"', "'maybe' is none of bare, wrapped"),
        ("[dialect]\nwarp = 1", "unknown dialect settings: warp"),
        ("[stored_searches]\nall = 1", "no such search: all"),
        ('[auth]\nkind = "bearer"\ntoken = "x"', "auth takes"),
        ("[limits]\nmax = 1", "no such limit: max"),
        ('[limits]\nmax_connections = "8"', "max_connections: '8' is no number of connections"),
        ("[limits]\nmax_connections = 0", "max_connections: 0 is no number of connections"),
        ("[limits]\npool_wait = -1", "pool_wait: -1 is no number of seconds"),
        ("[limits]\nsettle_delays = 2", "settle_delays: a list of seconds is expected"),
        ("[limits]\nsettle_delays = []", "settle_delays: a list of seconds is expected"),
        ('[limits]\nsettle_delays = [0, "1"]', "settle_delays: '1' is no number of seconds"),
        ("[limits]\nsettle_delays = [-1]", "settle_delays: -1 is no number of seconds"),
        ("[limits]\nsettle_delays = [nan]", "settle_delays: nan is no number of seconds"),
        ("[limits]\nsettle_delays = [301]", "no look may wait longer than 300 seconds"),
        ("[timeouts]\nshort = 1", "short"),
        ("[timeouts]\nread = 0", "read: 0 is no number of seconds"),
        ('[tls]\nca_file = "absent.pem"', "No such file"),
        ("[dialect", "Expected"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_name(tmp_path: Path, text: str, why: str) -> None:
    system = written(tmp_path, text)
    with pytest.raises(SettingsError, match=why) as refused:
        open_gateway([system])
    assert "site.toml" in str(refused.value)


def test_an_address_that_is_none_is_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match="endpoint of BRM_01: 'brm1:8080' is no http address"):
        open_gateway([BillingSystem(code="BRM_01", endpoint="http://a, brm1:8080")])


def test_the_example_of_the_manual_can_be_read(tmp_path: Path) -> None:
    page = (ROOT / "docs/reference/dialect.md").read_text()
    example = page.partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "site.toml").write_text(example.replace('[tls]\nca_file = "private-ca.pem"\n', ""))
    assert load_site(tmp_path / "site.toml")["max_connections"] == 8


class Gateway:
    """Answers the second time."""

    def __init__(self, exposed: Iterable[str]) -> None:
        self.exposed = frozenset(exposed)
        self.asked = 0

    async def probe(self, system_id: str) -> frozenset[str]:
        self.asked += 1
        if self.asked == 1:
            raise BrmError(Reason.BRM_UNAVAILABLE, "down", system_id=system_id, opcode="")
        return self.exposed

    def missing(self, system_id: str, opcodes: Iterable[str]) -> frozenset[str]:
        return frozenset(opcodes) - self.exposed


@pytest.mark.spec("brm:8.15")
async def test_what_is_missing_is_logged_as_soon_as_the_instance_answers(caplog: pytest.LogCaptureFixture) -> None:
    needs = {"PCM_OP_READ_OBJ", "PCM_OP_COLLECTIONS_GROUP_CREATE"}
    gateway = Gateway({"PCM_OP_READ_OBJ"})
    with caplog.at_level(logging.INFO):
        missing = await check_capabilities(gateway, "BRM_01", needs, delay=lambda attempt: 0.0)
    assert missing == {"PCM_OP_COLLECTIONS_GROUP_CREATE"}
    assert [record.getMessage() for record in caplog.records] == ["BRM capabilities unknown yet", "BRM capability missing"]
    assert caplog.records[-1].__dict__["opcode"] == "PCM_OP_COLLECTIONS_GROUP_CREATE"


async def test_asking_holds_up_neither_the_start_nor_the_end(caplog: pytest.LogCaptureFixture) -> None:
    system = BillingSystem(code="BRM_01", endpoint="http://127.0.0.1:9")
    async with asyncio.timeout(1), open_gateway([system], needs=NEEDED):
        await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


@pytest.mark.parametrize("service", NEEDS)
def test_a_service_says_that_it_needs_every_opcode_it_calls(service: str) -> None:
    constructors = {name for name in calls.__all__ if inspect.isfunction(getattr(calls, name))}
    names: set[str] = set()
    for path in (ROOT / "services" / service).rglob("*.py"):
        tree = ast.parse(path.read_text())
        aliases = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "libs.brm"
            for alias in node.names
            if alias.name == "calls"
        }
        names |= {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases
        }
    called = {name for name in names & constructors if not name.startswith("find_") and name not in ("search", "program_name")}
    by_name = {spec.operation.removeprefix("pcmOp").casefold(): name for name, spec in OPCODES.items()}
    opcodes = {
        by_name[prefix + name.replace("_", "").casefold()]
        for name in called
        for prefix in ("", "cust", "subscription")
        if prefix + name.replace("_", "").casefold() in by_name
    }
    assert len(opcodes) == len(called)
    assert opcodes <= NEEDS[service]
    assert set(OPCODES) >= NEEDS[service]

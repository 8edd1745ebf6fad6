"""What the supervisor decides before it starts anything: ports, addresses, settings."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from cli.suite import PORTS, SERVICES, Suite, SuiteError, Supervisor, accepts, free_ports


def test_free_ports_are_different_and_nobody_listens_on_them() -> None:
    ports = list(free_ports(50))
    assert len(set(ports)) == 50
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_free_ports_are_outside_the_range_that_outgoing_connections_take() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert PORTS.stop <= first
    assert set(free_ports(20)) <= set(PORTS)


def test_a_port_somebody_listens_on_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        free = next(free_ports(1))
        offers = iter([taken, taken, free])
        monkeypatch.setattr("cli.suite.random.choice", lambda ports: next(offers))
        assert list(free_ports(1)) == [free]
        assert accepts(f"127.0.0.1:{taken}")


def test_every_service_gets_an_address_and_what_it_needs_of_the_others(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    environment = supervisor.service_environment()
    assert len({*supervisor.addresses.values(), supervisor.sandbox}) == len(SERVICES) + 1
    for service in SERVICES:
        assert environment[f"O2C_{service.upper()}_LISTEN"] == supervisor.addresses[service]
        if service != "xref":
            assert environment[f"O2C_{service.upper()}_XREF_TARGET"] == supervisor.addresses["xref"]
    systems = json.loads(environment["O2C_BILLING_SYSTEMS"])
    assert [(one["code"], one["db_no"]) for one in systems] == [("BRM_01", "0.0.0.1"), ("BRM_02", "0.0.0.2")]


def test_settings_of_this_shell_do_not_leak_into_the_suite_but_given_ones_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("O2C_XREF_DATABASE_URL", "postgresql://elsewhere/production")
    given = {"O2C_ORDER_ORCHESTRATION_MAX_LINES": "7"}
    environment = Supervisor(tmp_path, environment=given).service_environment()
    assert environment["O2C_XREF_DATABASE_URL"] == f"sqlite:///{tmp_path}/xref.db"
    assert environment["O2C_ORDER_ORCHESTRATION_MAX_LINES"] == "7"


def test_a_service_that_does_not_start_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    wrong = {"O2C_XREF_NO_SUCH_SETTING": "1"}
    supervisor = Supervisor(tmp_path / "home", environment=wrong, services=("xref",))
    with pytest.raises(SuiteError, match=r"(?s)xref ended with exit code \d+:.*NO_SUCH_SETTING"), supervisor:
        pytest.fail("it must not come up")
    assert supervisor.processes == {}


def test_the_addresses_of_a_suite_survive_the_state_file(tmp_path: Path) -> None:
    suite = Supervisor(tmp_path).suite
    suite.write(tmp_path / "deep" / "suite.json")
    assert Suite.read(tmp_path / "deep" / "suite.json") == suite

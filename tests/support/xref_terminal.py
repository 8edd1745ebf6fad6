"""A terminal beside a running cross-reference service, for the ``o2c xref`` commands."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import Result
from typer.testing import CliRunner

from cli import main, output
from cli.suite import SERVICES, Suite, Supervisor

if not main.app.registered_groups:
    main.add_commands()


@dataclass(frozen=True, slots=True)
class XrefTerminal:
    """Runs commands against the service whose addresses a state file has."""

    suite: Suite
    state_file: Path
    supervisor: Supervisor

    def run(self, *arguments: str, code: int = 0) -> str:
        """What ``o2c xref …`` prints; on standard error when it must end with another ``code`` than 0."""
        done = self.command("xref", *arguments, code=code)
        return done.stderr if code else done.stdout

    def command(self, *arguments: str, code: int = 0) -> Result:
        """Any command, which must end with ``code``."""
        done = self._invoke(*arguments)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done

    def fails(self, *arguments: str) -> str:
        """What a command prints on standard output that says no with exit code 1."""
        done = self._invoke("xref", *arguments)
        assert done.exit_code == 1, done.output
        return done.stdout

    def _invoke(self, *arguments: str) -> Result:
        """Run a command in this process, with room for whole tables: the console measured itself when it was imported."""
        before = output.out.width
        output.out.width = 200
        try:
            return CliRunner().invoke(main.app, list(arguments), env={"O2C_SUITE_FILE": str(self.state_file)})
        finally:
            output.out.width = before

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json"))

    def lines(self, *arguments: str) -> list[Any]:
        """Documents of a stream, one to a line."""
        return [json.loads(line) for line in self.run(*arguments, "--json").splitlines()]


@contextlib.contextmanager
def xref_terminal(home: Path, **environment: str) -> Iterator[XrefTerminal]:
    """The service and a sandbox as processes, with further settings; nothing else of the suite."""
    supervisor = Supervisor(home, services=("xref",), environment=environment)
    with supervisor as suite:
        only = Suite(dict.fromkeys(SERVICES, suite.services["xref"]), suite.sandbox, suite.home)
        state_file = home / "suite.json"
        only.write(state_file)
        yield XrefTerminal(only, state_file, supervisor)

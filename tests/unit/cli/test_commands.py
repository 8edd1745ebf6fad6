"""Every command teaches with --help, and speaks JSON on request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import typer
from typer.testing import CliRunner

from cli import main

main.add_commands()
COMMANDS = typer.main.get_command(main.app)


def walk(group: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every command below a group, with its path."""
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        if hasattr(command, "commands"):
            yield from walk(command, (*path, name))
        else:
            yield (*path, name), command


ALL = dict(walk(COMMANDS))
NAMED = [" ".join(path) for path in ALL]


def help_of(*path: str) -> str:
    done = CliRunner().invoke(main.app, [*path, "--help"], env={"COLUMNS": "120", "TERM": "dumb", "NO_COLOR": "1"})
    assert done.exit_code == 0
    return done.output


def test_every_command_of_the_tour_is_there() -> None:
    assert {
        "demo",
        "up",
        "plan",
        "order submit",
        "order get",
        "order watch",
        "order list",
        "xref lookup",
        "care balance",
        "care invoices",
        "sandbox objects",
        "sandbox events",
        "sandbox clock",
        "sandbox jobs",
    } <= set(NAMED)


def test_the_help_of_o2c_says_where_to_begin_and_lists_every_command() -> None:
    text = help_of()
    assert "o2c demo" in text and "o2c up" in text
    assert all(name.split()[0] in text for name in NAMED)


@pytest.mark.parametrize("name", NAMED)
def test_the_help_of_every_command_says_what_it_does_and_gives_an_example(name: str) -> None:
    text = help_of(*name.split())
    assert f"Example: o2c {name}" in text
    assert "--json" in text


@pytest.mark.parametrize("name", NAMED)
def test_every_argument_and_option_is_explained(name: str) -> None:
    parameters = ALL[tuple(name.split())].params  # type: ignore[attr-defined]
    assert [parameter.name for parameter in parameters if not parameter.help] == []


def test_without_a_suite_a_command_says_how_to_start_one(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("O2C_SUITE_FILE", f"{tmp_path}/none.json")
    done = CliRunner().invoke(main.app, ["order", "list"])
    assert done.exit_code == 1
    assert "no suite is running" in done.stderr and "make up" in done.stderr

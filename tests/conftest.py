"""Fixtures and checks for every test: databases, and the register of specification scenarios."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent / "support"))

import postgres

from libs.db import Database

SPEC_IDS = Path(__file__).parent / "spec_ids.tsv"

# How fast a busy machine draws an example, or runs one, says nothing about the code.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        postgres.begin_session()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        postgres.end_session()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test may claim only scenarios that the specification has."""
    known = {line.split("\t")[0] for line in SPEC_IDS.read_text().splitlines()}
    wrong = [
        f"{item.nodeid}: {claimed}"
        for item in items
        for marker in item.iter_markers("spec")
        for claimed in (marker.args or ("no id given",))
        if claimed not in known
    ]
    if wrong:
        raise pytest.UsageError("spec markers name scenarios that tests/spec_ids.tsv does not have:\n" + "\n".join(wrong))


@pytest.fixture(scope="session")
def postgres_server() -> postgres.Server:
    """The session's PostgreSQL server. Fails, never skips, when there is none."""
    return postgres.shared_server()


@pytest.fixture
def postgres_url(postgres_server: postgres.Server) -> Iterator[str]:
    """Address of a fresh PostgreSQL database."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of a fresh database; the test runs once on each kind."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/test.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """An open, empty database; the test runs once on each kind."""
    database = await Database.open(database_url)
    yield database
    await database.close()

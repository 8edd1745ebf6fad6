"""The main job on PostgreSQL: every service with a database of its own, orders run by the engine that needs one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import orders
import postgres
import psycopg
import pytest

from cli.demo.expectations import ORDERS
from cli.demo.result import DemoResult
from cli.demo.run import tell_story
from cli.suite import Supervisor

pytestmark = pytest.mark.postgres
EXECUTED = [example for example in ORDERS if not example.again]
SERVICES = ("xref", "customer_sync", "bill_fulfillment", "order_orchestration")


@dataclass(frozen=True, slots=True)
class Told:
    result: DemoResult
    databases: dict[str, str]
    """Service to the address of its database."""
    sqlite_files: list[str]

    def ask(self, service: str, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.databases[service]) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, postgres_server: postgres.Server) -> Iterator[Told]:
    """The demo's story, told once, with the databases as it left them."""
    home = tmp_path_factory.mktemp("suite")
    with ExitStack() as stack:
        databases = {service: stack.enter_context(postgres_server.database()) for service in SERVICES}
        environment = {f"O2C_{service.upper()}_DATABASE_URL": url for service, url in databases.items()}
        began = time.monotonic()
        with Supervisor(home, environment=environment) as suite:
            result = tell_story(suite, orders.EXAMPLES, lambda text: None, began)
        yield Told(result, databases, [path.name for path in home.glob("*.db*")])


def test_the_whole_story_holds_on_postgresql(told: Told) -> None:
    assert told.result.checks.failed == []
    assert len(told.result.checks.all) > 30


def test_every_service_kept_its_state_in_its_postgresql_database(told: Told) -> None:
    assert told.sqlite_files == []
    tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
    assert all(told.ask(service, tables)[0][0] for service in SERVICES)


def test_the_orders_were_run_by_the_durable_engine_and_left_no_job(told: Told) -> None:
    queued = told.ask("order_orchestration", "SELECT last_value FROM o2c_engine.procrastinate_jobs_id_seq WHERE is_called")
    assert queued and int(str(queued[0][0])) >= len(EXECUTED)
    assert told.ask("order_orchestration", "SELECT count(*) FROM o2c_engine.procrastinate_jobs") == [(0,)]

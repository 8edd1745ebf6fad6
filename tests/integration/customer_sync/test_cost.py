"""What an order costs: BRM calls by account, commits and round trips by order, however many lines it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import customer_suite
import pytest
from customer_suite import Suite
from customers import account, bundle, order, request

from libs.db import Database
from libs.grpckit.tally import RPCS
from libs.pb.customer_sync.v1 import customer_sync_pb2 as pb
from libs.pb.order.v1.order_pb2 import Order

XREF = ("BatchLookup", "BatchGetOrCreate", "BatchPopulate")


@dataclass(frozen=True, slots=True)
class Cost:
    """What was done on behalf of an order."""

    brm: Counter[str] = field(default_factory=Counter)
    """Opcodes, without their prefix."""
    xref: Counter[str] = field(default_factory=Counter)
    """Round trips to the cross-references, by method."""
    crm: int = 0
    """Questions to the CRM."""
    commits: int = 0
    """Commits in customer sync's own database."""

    def __sub__(self, before: Cost) -> Cost:
        return Cost(self.brm - before.brm, self.xref - before.xref, self.crm - before.crm, self.commits - before.commits)


class Till:
    """A suite whose every order has a price."""

    def __init__(self, suite: Suite, db: Database) -> None:
        self.suite = suite
        self._db = db
        self._numbers = iter(range(1, 1000))

    async def so_far(self) -> Cost:
        xref = {name: sum(RPCS.method(f"/o2c.xref.v1.XrefService/{name}").codes.values()) for name in XREF}
        crm = sum(self.suite.crm.state.calls.values())
        return Cost(Counter(await self.suite.opcodes()), Counter(xref), crm, self._db.commits)

    async def price(self, document: Order) -> Cost:
        """What one order costs that must succeed."""
        before = await self.so_far()
        answer = await self.suite.sync(request(document, f"PRICE-{next(self._numbers)}"))
        assert answer.outcome == pb.SYNC_OUTCOME_OK, answer
        return await self.so_far() - before


@pytest.fixture
async def till(monkeypatch: pytest.MonkeyPatch, database_url: str) -> AsyncIterator[Till]:
    opened: list[Database] = []
    really_open = Database.open

    async def open_and_keep(url: str, **options: Any) -> Database:
        opened.append(await really_open(url, **options))
        return opened[-1]

    monkeypatch.setattr(Database, "open", staticmethod(open_and_keep))
    async with customer_suite.running_suite(database_url=database_url) as suite:
        yield Till(suite, opened[-1])


def self_paying(count: int, name: str = "A") -> Order:
    lines = [bundle(at, f"{name}{at}", f"{name}{at}", f"BP-{name}{at}") for at in range(count)]
    return order(lines, order_id=f"ORD-{name}-{count}")


async def test_a_new_account_is_one_call_with_all_its_units_and_a_parent_one_more_for_its_children(till: Till) -> None:
    single = await till.price(order([bundle(1, "ANN", "ANN", "BP-ANN")], order_id="ONE"))
    assert single.brm == {"CUST_COMMIT_CUSTOMER": 1}
    several = order([bundle(at, "EVE", "EVE", f"BP-EVE-{at}") for at in range(4)], order_id="SEVERAL")
    assert (await till.price(several)).brm == {"CUST_COMMIT_CUSTOMER": 1}
    family = [bundle(1, "PA", "PA", "BP-PA"), *(bundle(at, f"KID{at}", "PA", "BP-PA") for at in range(2, 7))]
    assert (await till.price(order(family, order_id="FAMILY"))).brm == {"CUST_COMMIT_CUSTOMER": 6, "BILL_GROUP_CREATE": 1}
    grown = [*family, bundle(9, "KID9", "PA", "BP-PA"), bundle(10, "PA", "PA", "BP-PA-NEW")]
    cost = await till.price(order(grown, order_id="GROWN"))
    asked = cost.brm.pop("SEARCH"), cost.brm.pop("BILL_GROUP_GET_PARENT")
    assert cost.brm == {"CUST_COMMIT_CUSTOMER": 1, "CUST_CREATE_BILLINFO": 1, "BILL_GROUP_ADD_MEMBER": 1}
    assert asked == (6, 1), "a unit joins a family that billing has: how often its six accounts are billed, who is above (V16)"


async def test_ten_lines_and_three_hundred_cost_the_same(till: Till) -> None:
    def family(name: str, count: int) -> Order:
        """Two children and their parent, with many services each."""
        users = (f"PA-{name}", f"KID-{name}", f"SIS-{name}")
        lines = [bundle(at, users[at % 3], f"PA-{name}", f"BP-{name}") for at in range(count)]
        return order(lines, order_id=f"ORD-{name}")

    assert await till.price(family("FEW", 10)) == await till.price(family("MANY", 300))


async def test_ten_accounts_and_a_hundred_cost_the_same_but_for_their_calls(till: Till) -> None:
    few, many = await till.price(self_paying(10, "F")), await till.price(self_paying(100, "M"))
    assert (few.brm, many.brm) == ({"CUST_COMMIT_CUSTOMER": 10}, {"CUST_COMMIT_CUSTOMER": 100})
    assert (few.xref, few.commits, few.crm) == (many.xref, many.commits, many.crm)
    assert few.xref == {"BatchLookup": 1, "BatchGetOrCreate": 1, "BatchPopulate": 1}
    assert few.commits == 2, "what is intended; what came of it, with record and answer"
    assert few.crm == 0, "only a corporate hierarchy or a legal owner is a question to the CRM"


async def test_people_who_can_be_reached_in_many_ways_cost_no_round_trip_more(till: Till) -> None:
    def reachable(name: str) -> dict[str, Any]:
        phones = [{"type": kind, "number": "408-555-0101"} for kind in ("HOME", "WORK", "FAX", "MOBILE")]
        contact = {"contact_id": f"CON-{name}", "last_name": name, "email": f"{name}@example.com", "phones": phones}
        return account(name, primary_contact=contact)

    plain, names = await till.price(self_paying(20, "P")), [f"R{at}" for at in range(20)]
    lines = [bundle(at, name, name, f"BP-{name}") for at, name in enumerate(names)]
    full = await till.price(order(lines, [reachable(name) for name in names], order_id="REACHED"))
    assert full == plain


@pytest.mark.parametrize("again", ["the same order", "another order for the same customers"])
async def test_an_order_that_changes_nothing_is_one_look_up_and_no_call(till: Till, again: str) -> None:
    lines = [bundle(1, "PA", "PA", "BP-PA"), *(bundle(at, f"KID{at}", "PA", "BP-PA") for at in range(2, 30))]
    await till.price(order(lines))
    cost = await till.price(order(lines, order_id="ORD-1" if again == "the same order" else "ORD-2"))
    assert cost == Cost(Counter(), Counter({"BatchLookup": 1}), 0, 1)

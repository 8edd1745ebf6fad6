"""Plain links are decided by the database's constraints, and come out as if they had been looked at one by one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from libs.db import Database, Statement
from libs.xref.model import Mode, XrefKey, XrefTable, XrefWrite
from services.xref.answers import answer_key
from services.xref.domain.model import Audit, WriteItem, Written
from services.xref.ledger import Ledger
from services.xref.linking import Linking
from services.xref.persistence import XrefRepository
from services.xref.registry import Registry
from services.xref.rowids import RowIds
from services.xref.schema import MODELS

COLUMNS = ("COMMON", "SEBL_01", "BRM_01", "BRM_02")
TABLE = XrefTable("T", COLUMNS, frozenset({"BRM_02"}))
WHO = Audit("a test", "call")
ROWS = 8
_EVENTS_TEXT = "SELECT seq FROM xref_event"
_EVENTS = Statement(sqlite=_EVENTS_TEXT, postgresql=_EVENTS_TEXT)


async def repository_on(db: Database) -> XrefRepository:
    await db.create_tables(MODELS)
    registry, ledger = Registry(db), Ledger(db)
    await registry.load()
    await registry.register([TABLE], WHO, ledger)
    made = XrefRepository(db, registry, RowIds(db), ledger)
    await made.create([XrefKey("T", "SEBL_01", f"A{number}") for number in range(ROWS)], "BRM_01", WHO)
    return made


def link(number: int, value: str) -> WriteItem:
    return WriteItem(XrefWrite("T", "SEBL_01", f"A{number}", "BRM_02", value), "")


def some_batch(rng: random.Random) -> list[WriteItem]:
    """Mostly plain links to rows that exist; some to none, some of values taken, some of another kind."""
    items = []
    for _ in range(rng.choice((1, 2, 3, 6))):
        write = XrefWrite(
            "T",
            "SEBL_01",
            f"A{rng.randrange(ROWS + (rng.random() < 0.1))}",
            rng.choice(("BRM_02", "BRM_02", "BRM_02", "COMMON")),
            f"v{rng.randrange(60)}",
            rng.choice((Mode.LINK,) * 9 + (Mode.UPDATE,)),
            idempotent=rng.random() < 0.8,
            one_to_many=rng.random() < 0.1,
        )
        items.append(WriteItem(write, ""))
    return items


def told(outcomes: tuple[Written, ...]) -> list[tuple[object, ...]]:
    return [(each.value, each.changed, [wrong.reason for wrong in each.refusal]) for each in outcomes]


async def cells(repository: XrefRepository) -> dict[str, list[tuple[str, str]]]:
    found = await repository.filled([XrefKey("T", "SEBL_01", f"A{number}") for number in range(ROWS + 1)])
    return {key.ref_value: [(c.column, c.value) for c in row.cells if c.column != "BRM_01"] for key, row in found.items()}


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_is_written_comes_out_as_if_every_item_had_been_decided_by_itself(
    db: Database, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    other = await Database.open(f"sqlite://{tmp_path}/slow.db")
    quick, slow = await repository_on(db), await repository_on(other)
    tried = []

    async def never(*_: object) -> None:
        return None

    for _ in range(40):
        batch = some_batch(rng)
        before = await quick.db.all(_EVENTS)
        found = await quick.write(batch, WHO, None, validate_only=False)
        with monkeypatch.context() as patch:
            patch.setattr(Linking, "link", never)
            assert told(found) == told(await slow.write(batch, WHO, None, validate_only=False))
        assert await cells(quick) == await cells(slow)
        recorded = len(await quick.db.all(_EVENTS)) - len(before)
        assert recorded == sum(each.changed for each in found), "every change is in the history once"
        tried.append(recorded)
    assert any(tried)
    await other.close()


async def test_a_batch_of_plain_links_is_one_commit_and_reads_no_rows_to_decide(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = await repository_on(db)

    async def unread(*_: object, **__: object) -> None:
        raise AssertionError("rows were read to decide on plain links")

    monkeypatch.setattr(XrefRepository, "rows", unread)
    before = db.commits
    outcomes = await repository.write([link(number, f"v{number}") for number in range(ROWS)], WHO, None, validate_only=False)
    assert db.commits == before + 1
    assert [(each.value, each.changed) for each in outcomes] == [(f"v{number}", True) for number in range(ROWS)]
    assert all(each.version for each in outcomes)


async def test_a_batch_with_one_link_that_cannot_be_makes_the_others_and_names_that_one(db: Database) -> None:
    repository = await repository_on(db)
    outcomes = await repository.write([link(1, "v"), link(2, "v"), link(3, "w")], WHO, None, validate_only=False)
    assert [each.changed for each in outcomes] == [True, False, True]
    assert [[wrong.reason for wrong in each.refusal] for each in outcomes][1] == ["XREF_VALUE_NOT_UNIQUE"]


async def test_the_same_call_again_is_answered_as_before(db: Database) -> None:
    repository = await repository_on(db)
    items = [link(1, "v"), link(2, "w")]
    key = answer_key("R1", items)
    first = await repository.write(items, WHO, key, validate_only=False)
    events = await db.all(_EVENTS)
    again = await repository.write(items, WHO, key, validate_only=False)
    assert (told(again), [each.version for each in again]) == (told(first), [each.version for each in first])
    assert await db.all(_EVENTS) == events

"""What callers of cross-references can rely on: the service on each database, and the stand-in, under the same tests."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from libs.errors import O2CError, Reason
from libs.xref.client import GrpcXref, Mode, XrefDelete, XrefKey, XrefPort, XrefWrite
from libs.xref.fake import FakeXref

ACCOUNT = "CUSTOMERPARTY_ACCOUNTID"
ASSET = "INSTALLEDPRODUCT_ID"


def key(value: str, column: str = "SEBL_01", table: str = ACCOUNT) -> XrefKey:
    return XrefKey(table, column, value)


def add(crm_id: str, common: str, table: str = ACCOUNT) -> XrefWrite:
    return XrefWrite(table, "SEBL_01", crm_id, "COMMON", common, Mode.ADD)


def link(common: str, column: str, value: str, mode: Mode = Mode.LINK, **more: object) -> XrefWrite:
    more = {"table": ACCOUNT, "idempotent": False, **more}
    return XrefWrite(ref_column="COMMON", ref_value=common, column=column, value=value, mode=mode, **more)  # type: ignore[arg-type]


async def refusal(xref: XrefPort, *items: XrefWrite) -> Reason:
    with pytest.raises(O2CError) as caught:
        await xref.populate(items)
    return caught.value.violations[0].reason


async def cells(xref: XrefPort, where: XrefKey) -> list[tuple[str, str]]:
    row = (await xref.lookup([where]))[where]
    return [(cell.column, cell.value) for cell in row.cells]


@pytest.mark.spec("xref-and-routing:XR1", "xref-and-routing:XR3", "xref-and-routing:XR12")
async def test_a_row_is_added_then_linked_and_found_by_any_of_its_values(xref: XrefPort) -> None:
    await xref.populate([add("A1", "g1")])
    assert await cells(xref, key("A1")) == [("COMMON", "g1"), ("SEBL_01", "A1")]
    await xref.populate([link("g1", "BRM_01", "p1")])
    expected = [("COMMON", "g1"), ("SEBL_01", "A1"), ("BRM_01", "p1")]
    assert await cells(xref, key("A1")) == expected
    assert await cells(xref, key("p1", "BRM_01")) == expected


@pytest.mark.spec("xref-and-routing:XR2")
async def test_adding_a_row_twice_is_refused(xref: XrefPort) -> None:
    await xref.populate([add("A1", "g1")])
    assert await refusal(xref, add("A1", "g1")) is Reason.XREF_REF_EXISTS
    assert await refusal(xref, add("A1", "g2")) is Reason.XREF_REF_EXISTS
    assert await cells(xref, key("A1")) == [("COMMON", "g1"), ("SEBL_01", "A1")]


@pytest.mark.spec(
    *(f"xref-and-routing:PO-{mode}:{state}" for mode in ("ADD", "LINK", "UPDATE") for state in ("NO_REF", "REF_ONLY", "BOTH"))
)
async def test_the_state_of_the_row_decides_what_a_mode_does_and_a_refusal_leaves_it_as_it_is(xref: XrefPort) -> None:
    """Every cell of the state matrix, each with a row of its own."""
    matrix: dict[tuple[Mode, str], Reason | None] = {
        (Mode.ADD, "NO_REF"): None,
        (Mode.ADD, "REF_ONLY"): Reason.XREF_REF_EXISTS,
        (Mode.ADD, "BOTH"): Reason.XREF_REF_EXISTS,
        (Mode.LINK, "NO_REF"): Reason.XREF_REF_NOT_FOUND,
        (Mode.LINK, "REF_ONLY"): None,
        (Mode.LINK, "BOTH"): Reason.XREF_TARGET_OCCUPIED,
        (Mode.UPDATE, "NO_REF"): Reason.XREF_REF_NOT_FOUND,
        (Mode.UPDATE, "REF_ONLY"): Reason.XREF_TARGET_EMPTY,
        (Mode.UPDATE, "BOTH"): None,
    }
    for (mode, state), refused in matrix.items():
        name, old, new = f"{mode}-{state}", f"old-{mode}-{state}", f"new-{mode}-{state}"
        if state != "NO_REF":
            await xref.populate([add(name, f"g-{name}")])
        if state == "BOTH":
            await xref.populate([link(f"g-{name}", "BRM_01", old)])
        before = await cells(xref, key(name))
        write = XrefWrite(ACCOUNT, "SEBL_01", name, "BRM_01", new, mode, idempotent=False)
        if refused is not None:
            assert await refusal(xref, write) is refused, name
            assert await cells(xref, key(name)) == before and await cells(xref, key(new, "BRM_01")) == [], name
            continue
        await xref.populate([write])
        expected = [*(cell for cell in before or [("SEBL_01", name)] if cell[0] != "BRM_01"), ("BRM_01", new)]
        assert await cells(xref, key(name)) == await cells(xref, key(new, "BRM_01")) == expected, name
        assert await cells(xref, key(old, "BRM_01")) == [], name


@pytest.mark.spec("xref-and-routing:XR4", "xref-and-routing:XR5", "xref-and-routing:XR6", "xref-and-routing:XR7")
async def test_link_fills_and_update_replaces(xref: XrefPort) -> None:
    await xref.populate([add("A1", "g1"), link("g1", "BRM_01", "p1")])
    assert await refusal(xref, link("g1", "BRM_01", "p2")) is Reason.XREF_TARGET_OCCUPIED
    assert await cells(xref, key("A1")) == [("COMMON", "g1"), ("SEBL_01", "A1"), ("BRM_01", "p1")]
    await xref.populate([link("g1", "BRM_01", "p2", Mode.UPDATE)])
    updated = [("COMMON", "g1"), ("SEBL_01", "A1"), ("BRM_01", "p2")]
    assert await cells(xref, key("A1")) == await cells(xref, key("p2", "BRM_01")) == updated
    assert await cells(xref, key("p1", "BRM_01")) == []
    assert await refusal(xref, link("g1", "BRM_02", "q1", Mode.UPDATE)) is Reason.XREF_TARGET_EMPTY
    assert await refusal(xref, link("gX", "BRM_01", "p3")) is Reason.XREF_REF_NOT_FOUND
    assert await cells(xref, key("A1")) == updated
    for never in (key("q1", "BRM_02"), key("gX", "COMMON"), key("p3", "BRM_01")):
        assert await cells(xref, never) == []


@pytest.mark.spec("xref-and-routing:XR8", "xref-and-routing:X1")
async def test_a_value_is_in_one_row_only(xref: XrefPort) -> None:
    await xref.populate([add("A1", "g1"), add("A2", "g2"), link("g1", "BRM_01", "p2")])
    assert await refusal(xref, link("g2", "BRM_01", "p2")) is Reason.XREF_VALUE_NOT_UNIQUE
    assert await refusal(xref, add("A3", "g1")) is Reason.XREF_VALUE_NOT_UNIQUE
    await xref.populate([link("g2", "BRM_01", "p3")])
    assert await refusal(xref, link("g2", "BRM_01", "p2", Mode.UPDATE)) is Reason.XREF_VALUE_NOT_UNIQUE
    assert await cells(xref, key("p2", "BRM_01")) == [("COMMON", "g1"), ("SEBL_01", "A1"), ("BRM_01", "p2")]
    assert await cells(xref, key("A2")) == [("COMMON", "g2"), ("SEBL_01", "A2"), ("BRM_01", "p3")]
    assert await cells(xref, key("A3")) == []
    await xref.populate([link("g2", "BRM_02", "p2")])  # another column is another system


@pytest.mark.spec("xref-and-routing:XR10")
async def test_a_one_to_many_column_keeps_its_values_in_order_with_their_kinds(xref: XrefPort) -> None:
    await xref.populate([XrefWrite(ASSET, "SEBL_01", "S1", "BRM_02", "x1", Mode.ADD, kind="SERVICE")])
    for value, kind in (("x3", "PRODUCT"), ("x2", "PRODUCT")):
        await xref.populate([XrefWrite(ASSET, "SEBL_01", "S1", "BRM_02", value, kind=kind)])
    row = (await xref.lookup([key("S1", table=ASSET)]))[key("S1", table=ASSET)]
    assert row.values("BRM_02") == ("x1", "x3", "x2")
    assert row.values("BRM_02", "PRODUCT") == ("x3", "x2")
    assert row.columns == ("SEBL_01", "BRM_02")
    with pytest.raises(O2CError, match="XREF_MULTIPLE_VALUES"):
        row.value("BRM_02")


async def test_linking_again_is_success_when_the_caller_says_so(xref: XrefPort) -> None:
    again = link("g1", "BRM_01", "p1", idempotent=True)
    await xref.populate([add("A1", "g1"), again, again])
    await xref.populate([again])
    assert await refusal(xref, link("g1", "BRM_01", "p2", idempotent=True)) is Reason.XREF_TARGET_OCCUPIED
    asset = XrefWrite(ASSET, "SEBL_01", "S1", "BRM_01", "x1", kind="SERVICE")
    await xref.get_or_create([asset.key])
    await xref.populate([asset])
    await xref.populate([asset])
    assert (await xref.lookup([asset.key]))[asset.key].values("BRM_01") == ("x1",)


@pytest.mark.spec("xref-and-routing:X4")
async def test_a_common_id_is_a_lower_case_uuid_4_that_never_changes(xref: XrefPort) -> None:
    common = (await xref.get_or_create([key("A1")]))[key("A1")]
    assert str(uuid.UUID(common)) == common and uuid.UUID(common).version == 4
    change = XrefWrite(ACCOUNT, "SEBL_01", "A1", "COMMON", "other", Mode.UPDATE)
    assert await refusal(xref, change) is Reason.FIELD_IMMUTABLE
    assert await refusal(xref, add("A2", common)) is Reason.XREF_VALUE_NOT_UNIQUE
    assert (await xref.get_or_create([key("A1")]))[key("A1")] == common


async def test_a_reference_moves_to_another_crm_id_with_all_its_values(xref: XrefPort) -> None:
    common = (await xref.get_or_create([key("AST-OLD", table=ASSET)]))[key("AST-OLD", table=ASSET)]
    move = XrefWrite(ASSET, "SEBL_01", "AST-OLD", "SEBL_01", "AST-NEW", Mode.UPDATE)
    await xref.populate([move])
    assert await cells(xref, key("AST-OLD", table=ASSET)) == []
    assert await cells(xref, key("AST-NEW", table=ASSET)) == [("COMMON", common), ("SEBL_01", "AST-NEW")]


async def test_values_swap_places_within_one_batch(xref: XrefPort) -> None:
    await xref.populate([add("A1", "g1"), add("A2", "g2"), link("g1", "BRM_01", "p1"), link("g2", "BRM_01", "p2")])
    swap = [("g1", "spare"), ("g2", "p1"), ("g1", "p2")]
    await xref.populate([link(common, "BRM_01", value, Mode.UPDATE) for common, value in swap])
    assert ("BRM_01", "p2") in await cells(xref, key("A1"))
    assert ("BRM_01", "p1") in await cells(xref, key("A2"))


@pytest.mark.spec("xref-and-routing:X3")
async def test_values_are_opaque_case_sensitive_and_not_trimmed(xref: XrefPort) -> None:
    strange = ["Aa", "aA", " aA", "aA ", "ß'\"\\%_|::", "0.0.0.2 /account 11599 4", "😀" * 256]
    made = await xref.get_or_create([key(value) for value in strange])
    assert len(set(made.values())) == len(strange)
    found = await xref.lookup([key(value) for value in strange])
    assert [row.value("SEBL_01") for row in found.values()] == strange


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        pytest.param(
            XrefKey("NO_TABLE", "SEBL_01", "A1"), Reason.XREF_TABLE_UNKNOWN, marks=pytest.mark.spec("xref-and-routing:X5")
        ),
        pytest.param(
            XrefKey(ACCOUNT, "SEBL_99", "A1"),
            Reason.XREF_COLUMN_UNKNOWN,
            marks=pytest.mark.spec("xref-and-routing:X5", "xref-and-routing:XR17"),
        ),
        pytest.param(
            XrefKey(ACCOUNT, "SEBL_01", ""),
            Reason.XREF_VALUE_EMPTY,
            marks=pytest.mark.spec("xref-and-routing:X6", "xref-and-routing:XR18"),
        ),
        (XrefKey(ACCOUNT, "SEBL_01", "a\x01b"), Reason.XREF_VALUE_INVALID),
        (XrefKey(ACCOUNT, "SEBL_01", "a" * 257), Reason.XREF_VALUE_INVALID),
    ],
)
async def test_a_key_that_cannot_be_is_always_an_error(xref: XrefPort, where: XrefKey, reason: Reason) -> None:
    write = XrefWrite(where.table, where.ref_column, where.ref_value, "BRM_01", "p1", Mode.ADD)
    for call in (xref.lookup([key("A1"), where]), xref.get_or_create([key("A1"), where]), xref.populate([write])):
        with pytest.raises(O2CError) as caught:
            await call
        (wrong,) = caught.value.violations
        assert wrong.reason is reason
        assert wrong.field.startswith(("keys[1].", "items[0]."))
    assert await cells(xref, key("A1")) == []  # one refused key: nothing is made


async def test_items_that_can_be_written_are_written_beside_refused_ones(xref: XrefPort) -> None:
    with pytest.raises(O2CError) as caught:
        await xref.populate([add("A1", "g1"), link("gX", "BRM_01", "p1"), link("g1", "BRM_01", "p1"), link("", "NO", "")])
    found = [(wrong.reason, wrong.field) for wrong in caught.value.violations]
    assert found == [
        (Reason.XREF_REF_NOT_FOUND, "items[1].ref_value"),
        (Reason.XREF_COLUMN_UNKNOWN, "items[3].column"),
        (Reason.XREF_VALUE_EMPTY, "items[3].ref_value"),
        (Reason.XREF_VALUE_EMPTY, "items[3].value"),
    ]
    assert ("BRM_01", "p1") in await cells(xref, key("A1"))


async def test_a_row_without_a_common_id_gets_one_when_asked(xref: XrefPort) -> None:
    await xref.populate([XrefWrite(ACCOUNT, "SEBL_01", "A1", "BRM_01", "p1", Mode.ADD)])
    made = await xref.get_or_create([key("A1"), key("p1", "BRM_01")])
    assert made[key("A1")] == made[key("p1", "BRM_01")]
    assert await cells(xref, key("A1")) == [("COMMON", made[key("A1")]), ("SEBL_01", "A1"), ("BRM_01", "p1")]


async def test_a_hundred_callers_of_one_new_key_get_one_id(xref: XrefPort) -> None:
    answers = await asyncio.gather(*[xref.get_or_create([key("A9")]) for _ in range(100)])
    assert len({answer[key("A9")] for answer in answers}) == 1


async def test_more_than_a_thousand_keys_are_one_call_for_the_caller(xref: XrefPort) -> None:
    keys = [key(f"K{number}") for number in range(2100)]
    made = await xref.get_or_create([*keys, keys[0]])
    assert len(set(made.values())) == 2100
    assert list(made) == keys
    found = await xref.lookup(keys)
    assert [found[each].value("COMMON") for each in keys] == [made[each] for each in keys]
    await xref.populate([link(made[each], "BRM_01", f"0.0.0.1 /account {n} 0") for n, each in enumerate(keys)])
    found = await xref.lookup(keys)
    assert [row.value("BRM_01") for row in found.values()] == [f"0.0.0.1 /account {n} 0" for n in range(2100)]


@pytest.mark.spec("xref-and-routing:XR13", "xref-and-routing:XR14", "xref-and-routing:XR20")
async def test_deleting_takes_a_value_and_a_row_that_would_be_left_with_one(xref: GrpcXref | FakeXref) -> None:
    await xref.populate([add("A1", "g1"), link("g1", "BRM_01", "p1")])
    await xref.delete([XrefDelete(ACCOUNT, "BRM_01", "p1")])
    assert await cells(xref, key("A1")) == [("COMMON", "g1"), ("SEBL_01", "A1")]
    with pytest.raises(O2CError) as caught:
        await xref.delete([XrefDelete(ACCOUNT, "BRM_01", "p1"), XrefDelete(ACCOUNT, "SEBL_01", "A1")])
    (wrong,) = caught.value.violations
    assert (wrong.reason, wrong.field) == (Reason.XREF_VALUE_NOT_FOUND, "items[0].value")
    assert await cells(xref, key("A1")) == await cells(xref, key("g1", "COMMON")) == []
    assert await refusal(xref, add("A2", "g1")) is Reason.XREF_VALUE_NOT_UNIQUE  # a COMMON id is never used again
    assert (await xref.get_or_create([key("A1")]))[key("A1")] != "g1"


async def test_asking_for_nothing_asks_nothing(xref: XrefPort) -> None:
    assert await xref.get_or_create([]) == {}
    assert await xref.lookup([]) == {}
    await xref.populate([])

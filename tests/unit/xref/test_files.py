"""Tables in files: our own CSV and AIA's dump. Whatever is cut or bent is found, with its line."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.errors import O2CError
from libs.xref.aia_files import AiaFile, write_aia
from libs.xref.brm_objects import brm_classes, class_of, kind_of
from libs.xref.csv_files import CsvFile, write_csv
from libs.xref.migration_files import Moved, read_batches
from libs.xref.model import XrefCell
from libs.xref.tables import standard_tables
from libs.xref.transfer import TransferRow

TABLE = "INSTALLEDPRODUCT_ID"
values = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)
cells = st.builds(XrefCell, st.sampled_from(["COMMON", "SEBL_01", "BRM_01"]), values, st.sampled_from(["", "SERVICE"]))
rows = st.lists(
    st.builds(
        lambda found, at: TransferRow(tuple(found), 0, at), st.lists(cells, min_size=1, max_size=4), st.sampled_from([0, 5])
    ),
    max_size=6,
)
SOME = [
    TransferRow(
        (XrefCell("COMMON", "g1"), XrefCell("SEBL_01", 'a "b", c'), XrefCell("BRM_01", "0.0.0.1 /service/ip 7 0", "SERVICE"))
    ),
    TransferRow((XrefCell("COMMON", "g2"), XrefCell("SEBL_01", "ünïcode"))),
]


def written(found: list[TransferRow]) -> str:
    file = io.StringIO()
    write_csv(file, TABLE, found)
    return file.getvalue()


def read(text: str) -> list[TransferRow]:
    return list(CsvFile(io.StringIO(text, newline="")).rows())


def bare(found: list[TransferRow]) -> list[tuple[object, int]]:
    return [(row.cells, row.deleted_at) for row in found]


def refused(text: str) -> str:
    with pytest.raises(O2CError) as caught:
        read(text)
    (wrong,) = caught.value.violations
    assert wrong.reason == "XREF_IMPORT_INVALID"
    return f"{wrong.field}|{wrong.message}"


@given(rows)
def test_what_is_written_is_read_again(found: list[TransferRow]) -> None:
    assert bare(read(written(found))) == bare(found)


@given(rows.filter(bool), st.data())
def test_a_file_cut_anywhere_is_refused(found: list[TransferRow], data: st.DataObject) -> None:
    text = written(found)
    end = text.rindex("#end")
    at = data.draw(st.integers(0, end + len("#end,1,") + 64))  # up to the last character of the digest
    with pytest.raises(O2CError, match="XREF_IMPORT_INVALID"):
        read(text[: min(at, len(text) - 5)])


@given(rows.filter(bool), st.data())
def test_a_file_that_lost_a_line_is_refused(found: list[TransferRow], data: st.DataObject) -> None:
    lines = written(found).splitlines(keepends=True)
    del lines[data.draw(st.integers(0, len(lines) - 1))]
    with pytest.raises(O2CError, match="XREF_IMPORT_INVALID"):
        read("".join(lines))


def test_what_is_wrong_with_a_file_is_named_with_its_line() -> None:
    text = written(SOME)
    lines = text.splitlines(keepends=True)
    assert refused("a,b\n") == "header|line 1: the first line is not table,row,column,value,kind,deleted_at"
    assert refused(lines[0] + "x,y\n" + text).endswith("line 2: 2 fields where 6 are expected")
    assert refused(text.replace("INSTALLEDPRODUCT_ID,2,COMMON", "OTHER,2,COMMON")).startswith("table|line 5: table 'OTHER'")
    assert refused(text + "INSTALLEDPRODUCT_ID,3,COMMON,g3,,\n").endswith("line 8: there are lines after the trailer")
    assert refused(text.replace("#end,2", "#end,3")).startswith("trailer.rows|the trailer counts 3 rows, 2 came")
    assert refused(text.replace("ünï", "uni")).startswith("trailer.sha256|")
    assert refused(text.replace("#end,2,", "#end,two,")).startswith("row|line 7")
    assert refused(text.replace("g2,,", "g2,,soon")).startswith("deleted_at|line 5")
    assert "line 3: not CSV" in refused(lines[0] + lines[1] + 'INSTALLEDPRODUCT_ID,1,SEBL_01,"a"b,,\n')
    assert refused("".join(lines[:-1])) == "trailer|there is no trailer: the transfer is truncated"
    assert refused(lines[0]) == "trailer|there is no trailer: the transfer is truncated"


def test_a_file_that_is_not_utf_8_is_refused() -> None:
    file = io.TextIOWrapper(io.BytesIO(written(SOME).encode("latin-1")), encoding="utf-8", newline="")
    with pytest.raises(O2CError, match="not UTF-8"):
        list(CsvFile(file).rows())


DUMP = """XREF_TABLE_NAME,XREF_COLUMN_NAME,ROW_NUMBER,VALUE,IS_DELETED,LAST_MODIFIED,LAST_ACCESSED
CUSTOMERPARTY_ACCOUNTID,SEBL_01,R2,1-2,N,2012-05-01 10:00:00.5,
CUSTOMERPARTY_ACCOUNTID,COMMON,R1,g1,N,,
INSTALLEDPRODUCT_ID,COMMON,R3,a1,N,,
CUSTOMERPARTY_ACCOUNTID,COMMON,R2,g2,N,,
CUSTOMERPARTY_ACCOUNTID,SEBL_01,R1,1-1,N,,
CUSTOMERPARTY_ACCOUNTID,BRM_01,R1,old,Y,01-MAY-12 10.00.00.250000000 AM,
INSTALLEDPRODUCT_ID,BRM_01,R3,0.0.0.1 /service/ip 7 0,N,,
oramds:/apps/AIAMetaData/xref/INSTALLEDPRODUCT_ID.xref,BRM_01,R3,0.0.0.1 /purchased_product 8 0,N,,
"""


def test_a_dump_of_aia_is_sorted_into_rows_with_the_line_each_begins_on() -> None:
    with AiaFile(io.StringIO(DUMP), lines=8, one_to_many=lambda table, column: (table, column) == (TABLE, "BRM_01")) as dump:
        assert dump.tables() == ["CUSTOMERPARTY_ACCOUNTID", TABLE]
        assert list(dump.rows("CUSTOMERPARTY_ACCOUNTID")) == [
            TransferRow((XrefCell("COMMON", "g1"), XrefCell("SEBL_01", "1-1")), 3),
            TransferRow((XrefCell("SEBL_01", "1-2"), XrefCell("COMMON", "g2")), 2),
        ]
        moment = round(datetime(2012, 5, 1, 10, 0, 0, 250_000, UTC).timestamp() * 1_000_000)
        assert list(dump.rows("CUSTOMERPARTY_ACCOUNTID", deleted=True)) == [
            TransferRow((XrefCell("BRM_01", "old"),), 7, moment)
        ]
        service = XrefCell("BRM_01", "0.0.0.1 /service/ip 7 0", "SERVICE")
        product = XrefCell("BRM_01", "0.0.0.1 /purchased_product 8 0", "PRODUCT")
        assert list(dump.rows(TABLE)) == [TransferRow((XrefCell("COMMON", "a1"), service, product), 4)]


def test_a_dump_is_written_as_it_is_read() -> None:
    file = io.StringIO()
    deleted = TransferRow((XrefCell("BRM_01", "old"),), 0, 1_000_000)
    count = write_aia(file, [(TABLE, [("1", SOME[0]), ("2", SOME[1]), ("3", deleted)])], datetime(2027, 1, 1, tzinfo=UTC))
    file.seek(0)
    with AiaFile(file, lines=count, one_to_many=lambda table, column: column == "BRM_01") as dump:
        assert bare(list(dump.rows(TABLE))) == bare(SOME)
        assert bare(list(dump.rows(TABLE, deleted=True))) == bare([deleted])


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        (("VALUE,", "WERT,"), "header", "line 1: a header without VALUE"),
        (("LAST_ACCESSED", "SEEN"), "header", "line 1: a header with SEEN"),
        (("LAST_ACCESSED", "LAST_MODIFIED"), "header", "line 1: a header with a name given twice"),
        (("R1,g1,N,,", "R1,g1,N"), "", "line 3: 5 fields where 7"),
        (("R1,g1,N", "R1,g1,?"), "IS_DELETED", "line 3: '?' is neither Y nor N"),
        (("01-MAY-12 10.00.00.250000000 AM", "once"), "LAST_MODIFIED", "line 7: 'once' is no time"),
        (("INSTALLEDPRODUCT_ID,COMMON,R3,a1,N,,\n", ""), "lines", "7 lines of values where 8"),
    ],
)
def test_what_is_wrong_with_a_dump_is_named_with_its_line(change: tuple[str, str], field: str, message: str) -> None:
    with pytest.raises(O2CError) as caught:
        AiaFile(io.StringIO(DUMP.replace(*change)), lines=8)
    (wrong,) = caught.value.violations
    assert (str(wrong.reason), wrong.field) == ("XREF_IMPORT_INVALID", field)
    assert wrong.message.startswith(message)


def test_the_classes_name_standard_tables_and_each_id_has_one_class() -> None:
    tables = {table.name: table for table in standard_tables(["BRM_01"])}
    for name, declared in brm_classes().items():
        assert set(declared.tables) <= tables.keys(), name
        assert bool(declared.key) == bool(declared.column), name
        many = any(tables[table].one_to_many for table in declared.tables)
        assert bool(declared.kind) == many, name
        assert class_of(f"{name}/sub") is declared
    assert class_of("/accounts") is None
    assert kind_of("0.0.0.1 /service/telco/gsm 10026 0") == "SERVICE"
    assert kind_of("GROUP-1") == ""


MOVED = """batch_id,OLD_ID,NEW_ID
7,0.0.0.1 /account 1 3,0.0.0.2 /account 901 0
7,/service/ip 2,0.0.0.2 /service/ip 902 5
8,0.0.0.1 /bill 3 0,0.0.0.2 /bill 903 0
"""


def test_what_a_migration_moved_is_read_batch_by_batch() -> None:
    assert list(read_batches(io.StringIO(MOVED))) == [
        ("7", [Moved(2, "", "0.0.0.1 /account 1 0", "0.0.0.2 /account 901 0"),
               Moved(3, "", "0.0.0.1 /service/ip 2 0", "0.0.0.2 /service/ip 902 0")]),
        ("8", [Moved(4, "", "0.0.0.1 /bill 3 0", "0.0.0.2 /bill 903 0")]),
    ]  # fmt: skip
    with_table = "TABLE_NAME,NEW_ID,OLD_ID,BATCH_ID\nT,/a 2,/a 1,1\n"
    assert list(read_batches(io.StringIO(with_table))) == [("1", [Moved(2, "T", "0.0.0.1 /a 1 0", "0.0.0.1 /a 2 0")])]
    assert list(read_batches(io.StringIO("BATCH_ID,OLD_ID,NEW_ID\n"))) == []


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("", "header", "line 1: the header"),
        ("BATCH_ID,OLD_ID\n", "header", "line 1: the header"),
        ("BATCH_ID,OLD_ID,NEW_ID,X\n", "header", "line 1: the header"),
        (MOVED + "7,/a 1,/a 2\n", "BATCH_ID", "line 5: batch 7 stands in two places"),
        (MOVED + "9,/a 1\n", "", "line 5: 2 fields where 3"),
        (MOVED + "9,account one,/a 2\n", "OLD_ID", "line 5: not a POID"),
        (MOVED + "9,/a 1,/a\n", "NEW_ID", "line 5: not a POID"),
    ],
)
def test_what_is_wrong_with_a_list_of_moved_objects_is_named_with_its_line(text: str, field: str, message: str) -> None:
    with pytest.raises(O2CError) as caught:
        list(read_batches(io.StringIO(text)))
    (wrong,) = caught.value.violations
    assert (str(wrong.reason), wrong.field) == ("XREF_IMPORT_INVALID", field)
    assert wrong.message.startswith(message)

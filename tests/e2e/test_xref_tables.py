"""Whole tables by hand: out to a file, back in, cut, bent, migrated; each with what a person reads."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from xref_tables import wire
from xref_terminal import XrefTerminal, xref_terminal

from libs.pb.xref.v1 import maintenance_pb2 as pb
from libs.pb.xref.v1.maintenance_pb2_grpc import XrefMaintenanceServiceStub
from libs.xref.csv_files import write_csv
from libs.xref.model import XrefCell
from libs.xref.transfer import Digest, TransferRow
from sandbox.admin_client import AdminClient

ACCOUNT = "CUSTOMERPARTY_ACCOUNTID"
ASSET = "INSTALLEDPRODUCT_ID"
DUMP = """XREF_TABLE_NAME,XREF_COLUMN_NAME,ROW_NUMBER,VALUE,IS_DELETED,LAST_MODIFIED,LAST_ACCESSED
INSTALLEDPRODUCT_ID,COMMON,R3,a1,N,,
CUSTOMERPARTY_ACCOUNTID,COMMON,R1,g1,N,,
CUSTOMERPARTY_ACCOUNTID,SEBL_01,R1,1-1,N,,
CUSTOMERPARTY_ACCOUNTID,BRM_01,R1,0.0.0.1 /account 1 0,N,,
CUSTOMERPARTY_ACCOUNTID,BRM_01,R1,0.0.0.1 /account 99 0,Y,2026-05-01 10:00:00,
INSTALLEDPRODUCT_ID,BRM_01,R3,0.0.0.1 /service/ip 7 0,N,,
INSTALLEDPRODUCT_ID,BRM_01,R3,0.0.0.1 /purchased_product 8 0,N,,
"""


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XrefTerminal]:
    home = tmp_path_factory.mktemp("xref")
    with xref_terminal(home) as ready:
        (home / "dump.csv").write_text(DUMP)
        yield ready


@pytest.fixture
def folder(terminal: XrefTerminal) -> Path:
    return Path(terminal.suite.home)


def test_an_operator_moves_from_aia_and_back(terminal: XrefTerminal, folder: Path) -> None:
    dump = str(folder / "dump.csv")
    counts = {"rows": 2, "added": 1, "deleted": 1}
    assert terminal.json("import", dump, "--dry-run")[ACCOUNT] == counts
    assert "1 rows; 1 added" in terminal.run("import", dump, "--lines", "7", "--table", ASSET)
    assert terminal.json("import", dump, "--lines", "7") == {ACCOUNT: counts, ASSET: {"rows": 1, "unchanged": 1}}
    assert terminal.json("import", dump)[ACCOUNT] == {"rows": 2, "unchanged": 1}
    (row,) = terminal.json("lookup", ASSET, "a1", "--column", "COMMON")["rows"]
    assert [cell.get("kind") for cell in row["cells"]] == [None, "SERVICE", "PRODUCT"]
    back = folder / "back.csv"
    terminal.run("export", ACCOUNT, ASSET, "--format", "aia", "--deleted", "--to", str(back))
    assert terminal.json("import", str(back)) == {ACCOUNT: {"rows": 2, "unchanged": 1}, ASSET: {"rows": 1, "unchanged": 1}}
    error = terminal.run("import", dump, "--lines", "8", code=1)
    assert error.startswith("XREF_IMPORT_INVALID lines: 7 lines of values where 8 are expected")


def test_a_file_that_was_cut_or_bent_is_refused_with_its_line(terminal: XrefTerminal, folder: Path) -> None:
    whole, cut, bent = folder / "whole.csv", folder / "cut.csv", folder / "bent.csv"
    lines = [f"{ACCOUNT},{n},{column},{column}-{n},,\n" for n in range(1, 4) for column in ("COMMON", "SEBL_01")]
    terminal.run("import", str(folder / "dump.csv"))
    terminal.run("export", ACCOUNT, "--to", str(whole))
    text = whole.read_text()
    before = terminal.run("export", ACCOUNT)
    cut.write_text(text[: text.index("#end")] + "".join(lines))
    assert "XREF_IMPORT_INVALID trailer: there is no trailer" in terminal.run("import", str(cut), code=1)
    bent.write_text(text.replace("SEBL_01", "SEBL_77"))
    assert "XREF_IMPORT_INVALID trailer.sha256" in terminal.run("import", str(bent), code=1)
    dump = folder / "wrong.csv"
    dump.write_text(DUMP.replace("COMMON,R1,g1", "COMMON,R1,other"))
    assert "FIELD_IMMUTABLE rows[0].cells[0].value: line 3: this row has the COMMON id 'g1'" in terminal.run(
        "import", str(dump), code=1
    )
    assert terminal.run("export", ACCOUNT) == before
    assert "XREF_TABLE_UNKNOWN" in terminal.run("export", "NO_TABLE", "--to", str(folder / "none.csv"), code=1)
    assert not list(folder.glob("none*"))
    for form in ("csv", "aia"):
        refused = terminal.command("xref", "export", "NO_TABLE", "--format", form, code=1)
        assert refused.stdout == "" and refused.stderr.startswith("XREF_TABLE_UNKNOWN TABLES: ")


def test_a_migration_is_followed_from_the_list_of_moved_objects(terminal: XrefTerminal, folder: Path) -> None:
    terminal.run("import", str(folder / "dump.csv"))
    moved = folder / "moved.csv"
    moved.write_text(
        "BATCH_ID,OLD_ID,NEW_ID\n"
        "7,0.0.0.1 /account 1 5,0.0.0.2 /account 901 0\n7,0.0.0.1 /event 5 0,0.0.0.2 /event 6 0\n"
        "8,0.0.0.1 /service/ip 7 0,0.0.0.2 /service/ip 907 0\n"
    )
    first = {"batch": "7", "changed": 1, "unchanged": 0, "unknown": 1}
    second = {"batch": "8", "changed": 1, "unchanged": 0, "unknown": 0}
    assert terminal.lines("remap", str(moved), "--dry-run") == [first, second]
    assert terminal.lines("remap", str(moved), "--batch", "7") == [first]
    assert terminal.lines("remap", str(moved)) == [{**first, "changed": 0, "unchanged": 1}, second]
    assert "batch 8: 0 ids changed, 1 changed before, 0 not known" in terminal.run("remap", str(moved))
    assert "XREF_VALUE_NOT_FOUND pairs[1].old_id" in terminal.run("remap", str(moved), "--strict", code=1)
    (row,) = terminal.json("lookup", ACCOUNT, "g1", "--column", "COMMON")["rows"]
    assert {"column": "BRM_01", "value": "0.0.0.2 /account 901 0"} in row["cells"]


def test_what_is_wrong_with_a_brm_is_found_and_repaired(terminal: XrefTerminal, folder: Path) -> None:
    made = AdminClient(terminal.suite.sandbox, "BRM_02").load_fixture("family")
    number, poid = next((name, poid) for name, poid in made.items() if "/account" in poid)
    rows = folder / "rows.csv"
    rows.write_text(
        "XREF_TABLE_NAME,XREF_COLUMN_NAME,ROW_NUMBER,VALUE\n"
        f"{ACCOUNT},COMMON,1,{number}\n{ACCOUNT},SEBL_01,1,1-{number}\n{ACCOUNT},BRM_02,1,0.0.0.2 /account 999999 0\n"
    )
    terminal.run("import", str(rows))
    found = terminal.fails("doctor", "--system", "BRM_02", "--table", ACCOUNT, "--json")
    findings = folder / "findings.jsonl"
    findings.write_text(found)
    stale = next(each for each in map(json.loads, found.splitlines()) if each.get("finding", {}).get("key") == number)
    assert stale["finding"]["kind"] == "FINDING_KIND_STALE" and stale["cursor"]
    assert "STALE" in terminal.fails("doctor", "--system", "BRM_02", "--table", ACCOUNT)
    dry = terminal.run("repair", str(findings), "--kind", "stale", "--dry-run")
    assert dry == terminal.run("repair", str(findings), "--kind", "stale") == f"STALE {number}: REPLACE {poid}\n"
    assert terminal.run("repair", str(findings), "--kind", "stale") == ""
    rest = [each for each in found.splitlines() if number not in each and "summary" not in each]
    again = terminal.fails("doctor", "--system", "BRM_02", "--table", ACCOUNT, "--json").splitlines()
    assert len(again) == len(rest) + 1
    assert "nothing is wrong" in terminal.run("doctor", "--system", "BRM_01", "--table", "CUSTOMERPARTY_PAYPROFILEID")
    assert "ROUTE_SYSTEM_UNKNOWN --system: " in terminal.run("doctor", "--system", "BRM_09", code=1)
    assert "ENUM_UNKNOWN --kind: " in terminal.run("repair", str(findings), "--kind", "odd", code=1)
    findings.write_text('{"finding": {"color": 1}}\n')
    assert "JSON_MALFORMED FILE: " in terminal.run("repair", str(findings), code=1)


def test_an_import_cut_by_kill_nine_is_there_wholly_or_not_at_all(terminal: XrefTerminal) -> None:
    table = "CUSTOMERPARTY_PARTYID"
    rows = [TransferRow((XrefCell("COMMON", f"g{n}"), XrefCell("SEBL_01", f"1-{n}"))) for n in range(20_000)]
    sent = threading.Event()

    def pieces() -> Iterator[pb.ImportTableRequest]:
        digest = Digest()
        yield pb.ImportTableRequest(header=pb.TransferHeader(table=table))
        for start in range(0, len(rows), 1000):
            chunk = rows[start : start + 1000]
            digest.add(chunk)
            yield pb.ImportTableRequest(rows=pb.TransferRows(rows=wire(chunk)))
        yield pb.ImportTableRequest(trailer=pb.TransferTrailer(rows=digest.rows, sha256=digest.sha256))
        sent.set()

    with grpc.insecure_channel(terminal.suite.services["xref"]) as channel:
        answer = XrefMaintenanceServiceStub(channel).ImportTable.future(pieces())
        assert sent.wait(60)
        terminal.supervisor.kill("xref")
        assert answer.exception(timeout=60) is not None or answer.result().added == len(rows)
    terminal.supervisor.start_service("xref")
    terminal.supervisor.wait_until_serving()
    there = len(terminal.run("export", table).splitlines()) - 2
    assert there in (0, 2 * len(rows))
    answer_again = terminal.json("import", str(_file(terminal, rows, table)))[table]
    assert answer_again["rows"] == len(rows)
    assert len(terminal.run("export", table).splitlines()) - 2 == 2 * len(rows)


def _file(terminal: XrefTerminal, rows: list[TransferRow], table: str) -> Path:
    path = Path(terminal.suite.home) / "many.csv"
    with path.open("w", newline="") as file:
        write_csv(file, table, rows)
    return path

"""`o2c maps` and `o2c route` as an administrator uses them, against a cross-reference service of their own.

The tests share the service, and none of them needs what another one leaves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import orders
import pytest
from xref_terminal import XrefTerminal, xref_terminal

from cli.catalogue import load_products
from cli.connection import Clients
from libs.pb.xref.v1 import xref_pb2

DELIVERY = "CUSTOMERPARTY_PAYPROFILE_DELIVERYPREF"


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XrefTerminal]:
    folder = tmp_path_factory.mktemp("suite")
    (folder / "routing.toml").write_text("")
    settings = {"O2C_XREF_ROUTING_FILE": str(folder / "routing.toml"), "O2C_XREF_ROUTING_POLL_SECONDS": "0.02"}
    with xref_terminal(folder, **settings) as found:
        clients = Clients(found.suite)
        load_products(clients.xref, orders.PRODUCTS)
        clients.close()
        yield found


def shown(terminal: XrefTerminal, *arguments: str, code: int = 0) -> str:
    """All that a command prints."""
    return terminal.command(*arguments, code=code).output


def test_an_order_is_explained_by_the_cross_reference_service_alone(terminal: XrefTerminal) -> None:
    file = str(orders.EXAMPLES / orders.TWO_INSTANCES)
    text = shown(terminal, "route", "explain", file)
    assert "L-3010" in text and "decided by: E4 product PROD-20011 is known in BRM_01" in text
    answer = json.loads(shown(terminal, "route", "explain", file, "--json"))
    assert [result["system_ids"] for result in answer["results"]] == [["BRM_01"]] * 2 + [["BRM_02"]] * 2
    assert answer["results"][0]["steps"][0]["rank"] == "E4" and answer["table"]["version"] == answer["table_version"]


def test_an_order_that_cannot_be_routed_ends_in_exit_code_1_with_every_reason(terminal: XrefTerminal, tmp_path: Path) -> None:
    document = orders.document(orders.TWO_INSTANCES)
    document["lines"][0]["target_system_id"] = "BRM_09"
    document["lines"][3]["product"]["product_id"] = "PROD-NOWHERE"
    file = tmp_path / "order.json"
    file.write_text(json.dumps(document))
    text = shown(terminal, "route", "explain", str(file), code=1)
    assert "ROUTE_SYSTEM_UNKNOWN order.lines[0].target_system_id" in text
    assert "ROUTE_PRODUCT_NOT_SYNCED order.lines[3].product.product_id" in text


def test_a_legal_owner_whose_profile_lives_elsewhere_is_told_where_legal_owners_answer(
    terminal: XrefTerminal, tmp_path: Path
) -> None:
    document = orders.document(orders.TWO_INSTANCES)
    document["lines"][2]["owner_account"] = {"account_id": "1-OWNER"}
    profile = {"billing_profile_id": "BP-OWNER-ELSEWHERE", "account_id": "1-OWNER", "is_primary": True}
    document.setdefault("billing_profiles", []).append(profile)
    file = tmp_path / "order.json"
    file.write_text(json.dumps(document))
    clients = Clients(terminal.suite)
    clients.xref.Populate(
        xref_pb2.PopulateRequest(
            table="CUSTOMERPARTY_BILLPROFILEID",
            ref_column="SEBL_01",
            ref_value="BP-OWNER-ELSEWHERE",
            column="BRM_01",
            value="0.0.0.1 /billinfo 7301 0",
            mode=xref_pb2.POPULATE_MODE_ADD,
        )
    )
    clients.close()
    text = shown(terminal, "route", "explain", str(file), "--legal-groups", code=1)
    assert "ROUTE_LEGAL_OWNER_OTHER_INSTANCE order.lines[2].target_system_id" in text
    assert "BP-OWNER-ELSEWHERE is in BRM_01, but the order goes to BRM_02" in text
    shown(terminal, "route", "explain", str(file))


def test_the_table_is_shown_with_what_is_wrong_with_a_newer_one(terminal: XrefTerminal) -> None:
    file = terminal.state_file.parent / "routing.toml"
    file.write_text('default_system = "BRM_02"\n')
    while "default BRM_02" not in shown(terminal, "route", "table"):
        continue
    file.write_text('default_system = "BRM_77"\n')
    while "BRM_77 is no billing system" not in (text := shown(terminal, "route", "table")):
        continue
    assert "default BRM_02" in text
    file.write_text("")
    while "default BRM_02" in shown(terminal, "route", "table"):
        continue


def test_a_map_is_exported_edited_imported_and_used(terminal: XrefTerminal, tmp_path: Path) -> None:
    file = tmp_path / "salutations.dvm"
    shown(terminal, "maps", "export", "CONTACT_SALUTATION", str(file))
    assert "Dame" in shown(terminal, "maps", "translate", "CONTACT_SALUTATION", "Dame", code=1)
    edited = file.read_text().replace("</rows>", "<row><cell>DAME</cell><cell>Dame</cell><cell>Dame</cell><cell/></row></rows>")
    file.write_text(edited)
    assert "would be at version 2" in shown(terminal, "maps", "import", str(file), "--dry-run")
    assert "no BRM_02 value for DAME" in shown(terminal, "maps", "import", str(file), "--comment", "one more")
    assert shown(terminal, "maps", "translate", "CONTACT_SALUTATION", "Dame").split() == ["Dame", "Dame"]
    assert "one more" in shown(terminal, "maps", "history", "CONTACT_SALUTATION")
    assert "DAME" in shown(terminal, "maps", "show", "CONTACT_SALUTATION")
    assert "CONTACT_SALUTATION" in shown(terminal, "maps", "list")
    file.write_text(edited.replace("</dvm>", ""))
    assert "XREF_IMPORT_INVALID documents[0]" in shown(terminal, "maps", "import", str(file), code=1)


def test_an_instance_is_examined_and_what_it_lacks_named(terminal: XrefTerminal, tmp_path: Path) -> None:
    file = tmp_path / "media.dvm"
    shown(terminal, "maps", "export", DELIVERY, str(file))
    row = "<row><cell>FAX</cell><cell>Fax</cell><cell>2</cell><cell/></row></rows>"
    file.write_text(file.read_text().replace("</rows>", row))
    shown(terminal, "maps", "import", str(file), "--comment", "one that only the first instance knows")
    assert "BRM_01 lacks nothing" in shown(terminal, "route", "validate", "BRM_01")
    lacking = shown(terminal, "route", "validate", "BRM_02", "--dry-run", code=1)
    assert f"{DELIVERY} has no BRM_02 value for FAX" in lacking and "takes part, as it passed before" in lacking
    assert "ROUTE_SYSTEM_UNKNOWN SYSTEM: " in shown(terminal, "route", "validate", "BRM_09", code=1)

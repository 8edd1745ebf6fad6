"""Friends and family through the whole suite: an order brings the list to billing, the CRM's Synchronize keeps it (F4)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orders
from suite import SECONDS, RunningSuite, running_suite

from libs.pb.customer_sync.v1 import customer_sync_pb2 as sync
from libs.pb.customer_sync.v1 import special_rating_pb2 as pb
from libs.pb.order.v1 import order_pb2

ASSET = "AST-MICHELLE-FRIENDS"


def with_friends(*entries: str) -> order_pb2.Order:
    """Denise's family order; Michelle's wireless has friends and family from the start."""
    order = orders.order(orders.FAMILY)
    service = next(line for line in order.lines if line.asset_integration_id == "AST-MICHELLE-WIRELESS")
    line = order.lines.add()
    line.line_id, line.parent_line_id, line.root_line_id = "L-FRIENDS", service.line_id, service.line_id
    line.action = order_pb2.LINE_ACTION_ADD
    line.product.product_id, line.product.name = "PROD-FRIENDS", "My Social Circle"
    line.product_type, line.billing_type = order_pb2.PRODUCT_TYPE_SPECIAL_RATING, order_pb2.BILLING_TYPE_SPECIAL_RATING
    line.asset_integration_id, line.special_rating_list_ref = ASSET, "LIST-1"
    line.special_rating_list_entries.extend(entries)
    for name in ("service_account", "billing_account", "billing_profile"):
        getattr(line, name).CopyFrom(getattr(service, name))
    return order


def synchronized(suite: RunningSuite, home: Path, *options: str) -> list[str]:
    """What BRM is asked when the list is synchronized by hand once more, as it was sent last."""
    suite.supervisor.suite.write(home / "suite.json")
    since = suite.marks()
    command = [sys.executable, "-m", "cli", "customer", "special-rating", "LIST-1", "--number", "5550003", "--asset", ASSET]
    environment = {**os.environ, "O2C_SUITE_FILE": str(home / "suite.json"), "COLUMNS": "160"}
    done = subprocess.run([*command, *options], env=environment, capture_output=True, check=True, text=True)
    assert "EXISTED" in done.stdout
    return [call["opcode"] for code in since for call in suite.calls(code, since[code])]


def test_a_list_that_an_order_brought_is_kept_by_synchronize_in_the_crm(tmp_path: Path) -> None:
    with running_suite(tmp_path) as suite:
        suite.complete(with_friends("5550001", "5550002"))
        (profile,) = suite.clients.sandbox("BRM_01").objects("/profile")
        assert [entry["VALUE"] for entry in profile["DATA_ARRAY"].values()] == ["5550001", "5550002"]
        request = pb.SyncSpecialRatingListRequest(source_system="SEBL_01", list_id="LIST-1", type="Phone Number")
        request.asset_integration_ids.append(ASSET)
        request.items.add(value="5550003")
        answer = suite.clients.lists.SyncSpecialRatingList(request, timeout=SECONDS)
        assert (answer.outcome, [each.outcome for each in answer.entities]) == (
            sync.SYNC_OUTCOME_OK,
            [sync.ENTITY_OUTCOME_UPDATED],
        )
        (profile,) = suite.clients.sandbox("BRM_01").objects("/profile")
        assert [entry["VALUE"] for entry in profile["DATA_ARRAY"].values()] == ["5550003"]
        assert synchronized(suite, tmp_path) == []
        assert synchronized(suite, tmp_path, "--compare-with-billing") == ["PCM_OP_READ_OBJ"]

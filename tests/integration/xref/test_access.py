"""Looking after whole tables is for operators: a role that flows have does not admit them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import grpc.aio
import pytest
from xref_tables import ACCOUNT, account, pieces

from libs.config import BillingSystem, local_settings
from libs.grpckit.channel import open_channel
from libs.grpckit.status import from_rpc_error
from libs.pb.xref.v1 import maintenance_pb2 as pb
from libs.pb.xref.v1 import xref_pb2
from libs.pb.xref.v1.maintenance_pb2_grpc import XrefMaintenanceServiceStub
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceStub
from services.xref.config import Settings
from services.xref.server import running_xref

ACCESS = """
[clients.orders]
token_sha256 = "{orders}"
roles = ["flows"]

[clients.operator]
token_sha256 = "{operator}"
roles = ["flows", "admin"]

[roles]
flows = ["/o2c.xref.v1.XrefService/*"]
admin = ["/o2c.xref.v1.XrefMaintenanceService/*"]
"""


async def test_only_an_administrator_moves_tables_and_is_named_in_the_history(tmp_path: Path) -> None:
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("orders", "operator")}
    file = tmp_path / "access.toml"
    file.write_text(ACCESS.format(**digests))
    settings = local_settings(Settings, database_url=f"sqlite://{tmp_path}/x.db", access_file=file)
    async with running_xref(settings, [BillingSystem(code="BRM_01")]) as address:
        async with open_channel(address, local_settings(Settings, token="orders")) as channel:
            stub = XrefMaintenanceServiceStub(channel)
            for call in (
                stub.ExportTable(pb.ExportTableRequest(table=ACCOUNT)).read(),
                stub.ImportTable(pieces([account(1)])),
                stub.RemapIds(pb.RemapIdsRequest(system="BRM_01")),
                stub.Reconcile(pb.ReconcileRequest(system="BRM_01")).read(),
                stub.Repair(pb.RepairRequest()),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call
                assert from_rpc_error(caught.value).violations[0].reason == "ROLE_MISSING"
        async with open_channel(address, local_settings(Settings, token="operator")) as channel:
            answer = await XrefMaintenanceServiceStub(channel).ImportTable(pieces([account(1)]))
            assert answer.added == 1
            history = await XrefServiceStub(channel).ListHistory(
                xref_pb2.ListHistoryRequest(table=ACCOUNT, column="COMMON", value="g1")
            )
            assert {change.origin.service for change in history.changes} == {"operator"}

"""How commands find a running suite and speak to it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from cli.suite import Suite, Supervisor, accepts
from libs.errors import O2CError, Reason
from libs.pb.bill_fulfillment.v1.bill_fulfillment_pb2_grpc import BillFulfillmentServiceStub
from libs.pb.billing_care.v1.billing_care_pb2_grpc import BillingCareServiceStub
from libs.pb.customer_sync.v1.customer_sync_pb2_grpc import CustomerSyncServiceStub
from libs.pb.customer_sync.v1.customer_update_pb2_grpc import CustomerUpdateServiceStub
from libs.pb.customer_sync.v1.inspection_pb2_grpc import CustomerInspectionServiceStub
from libs.pb.customer_sync.v1.special_rating_pb2_grpc import SpecialRatingServiceStub
from libs.pb.order_orchestration.v1.order_orchestration_pb2_grpc import OrderIntakeServiceStub, OrdersServiceStub
from libs.pb.xref.v1.maintenance_pb2_grpc import XrefMaintenanceServiceStub
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceStub
from sandbox.admin_client import AdminClient
from sandbox.crm.admin_client import CrmAdminClient

STATE_FILE = Path(".o2c/suite.json")
MAX_MESSAGE = 32 * 1024 * 1024
CALL_SECONDS = 60.0


class Clients:
    """Stubs of every service of a suite. Channels open on first use."""

    def __init__(self, suite: Suite) -> None:
        options = [("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.max_send_message_length", MAX_MESSAGE)]
        self.suite = suite
        self.channels = {name: grpc.insecure_channel(address, options) for name, address in suite.services.items()}
        self.xref = XrefServiceStub(self.channels["xref"])
        self.xref_maintenance = XrefMaintenanceServiceStub(self.channels["xref"])
        self.customer_sync = CustomerSyncServiceStub(self.channels["customer_sync"])
        self.updates = CustomerUpdateServiceStub(self.channels["customer_sync"])
        self.lists = SpecialRatingServiceStub(self.channels["customer_sync"])
        self.inspection = CustomerInspectionServiceStub(self.channels["customer_sync"])
        self.bill_fulfillment = BillFulfillmentServiceStub(self.channels["bill_fulfillment"])
        self.care = BillingCareServiceStub(self.channels["billing_care"])
        self.intake = OrderIntakeServiceStub(self.channels["order_orchestration"])
        self.orders = OrdersServiceStub(self.channels["order_orchestration"])

    def sandbox(self, system_id: str) -> AdminClient:
        """The admin side of one BRM instance of the sandbox."""
        return AdminClient(self.suite.sandbox, system_id)

    def crm(self) -> CrmAdminClient:
        """The admin side of the CRM stand-in."""
        return CrmAdminClient(self.suite.sandbox)

    def close(self) -> None:
        for channel in self.channels.values():
            channel.close()


def state_file() -> Path:
    """Where ``o2c up`` notes the addresses: ``$O2C_SUITE_FILE``, else ``.o2c/suite.json`` below this folder."""
    return Path(os.environ.get("O2C_SUITE_FILE", STATE_FILE))


def running_suite() -> Suite | None:
    """The suite noted in the state file, if it still listens."""
    path = state_file()
    if not path.exists():
        return None
    try:
        suite = Suite.read(path)
        return suite if accepts(suite.services["order_orchestration"]) else None
    except (ValueError, TypeError, KeyError):
        return None  # half written, or of another version: whoever wrote it is not running


@contextmanager
def connected() -> Iterator[Clients]:
    """Clients of the running suite. Raises :class:`O2CError` STORE_UNAVAILABLE when none runs."""
    suite = running_suite()
    if suite is None:
        message = f"no suite is running (looked at {state_file()}); start one with `make up` in another terminal"
        raise O2CError.of(Reason.STORE_UNAVAILABLE, message)
    clients = Clients(suite)
    try:
        yield clients
    finally:
        clients.close()


@contextmanager
def connected_or_throw_away(report: Callable[[str], None]) -> Iterator[tuple[Clients, bool]]:
    """Clients of the running suite, or of one started for this command alone; the flag tells whether it is the latter."""
    suite = running_suite()
    if suite is not None:
        clients = Clients(suite)
        try:
            yield clients, False
        finally:
            clients.close()
        return
    with tempfile.TemporaryDirectory(prefix="o2c-") as folder, Supervisor(Path(folder), report=report) as started:
        clients = Clients(started)
        try:
            yield clients, True
        finally:
            clients.close()

"""What `o2c customer show` and `o2c customer syncs` print, for reading. REGENERATE=1 rewrites it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from google.protobuf.json_format import ParseDict
from rich.console import Console, RenderableType

from cli.customer_views import customer, sync_table
from libs.errors import O2CError, Reason
from libs.grpckit.status import to_status
from libs.pb.customer_sync.v1 import customer_view_pb2 as pb
from libs.pb.customer_sync.v1 import inspection_pb2

HERE = Path(__file__).parent


def unit(name: str, number: int, payer: str = "", **values: object) -> dict[str, object]:
    own = {"paying": True, "pay_type": "INVOICE", "payment_record_poid": f"0.0.0.1 /payinfo/invoice {number + 1} 0"}
    paid = {"pay_type": "NONPAYING", "payer_billing_profile_id": payer}
    common = {"bill_unit_id": name, "poid": f"0.0.0.1 /billinfo {number} 0", "status": "ACTIVE", "months": 1, "billing_day": 1}
    return {**common, **(paid if payer else own), **values}


def node(account_id: str, name: str, number: int, *children: dict[str, object]) -> dict[str, object]:
    return {
        "account_id": account_id,
        "name": name,
        "account_poid": f"0.0.0.1 /account {number} 0",
        "children": list(children),
    }


ACME = {
    "account_id": "1-AMELIA",
    "common_id": "0f1c2d3e-4a5b-4c6d-8e7f-001122334455",
    "crm": {
        "name": "Amelia Ames",
        "account_type": "BUSINESS",
        "account_class": "SERVICE",
        "status": "Active",
        "currency": "USD",
        "contact_name": "Amelia Ames",
        "ancestors": [
            {"account_id": "1-ACME", "name": "Acme Networks"},
            {"account_id": "1-ACCOUNTING", "name": "Accounting"},
            {"account_id": "1-MARKETING", "name": "Marketing"},
        ],
        "children": [{"account_id": "1-INTERN", "name": "Intern"}],
        "billing_profiles": [
            {
                "billing_profile_id": "BP-AMELIA",
                "name": "Amelia private",
                "is_primary": True,
                "payment_method": "Credit Card",
                "masked_number": "****1111",
                "bill_frequency": "Monthly",
                "system_ids": ["BRM_01", "BRM_02"],
            }
        ],
    },
    "brms": [
        {
            "system_id": "BRM_01",
            "account_poid": "0.0.0.1 /account 10030 2",
            "account_number": "0f1c2d3e-4a5b-4c6d-8e7f-001122334455",
            "status": "ACTIVE",
            "name": "Amelia Ames",
            "currency": 840,
            "bill_units": [
                unit(
                    "BP-AMELIA",
                    10031,
                    pay_type="CREDIT_CARD",
                    payment_record_poid="0.0.0.1 /payinfo/cc 10032 0",
                    legal_owner_id="1-ACME",
                ),
                unit("1-AMELIA|1-ACCOUNTING|BP-ACCOUNTING", 10033, "BP-ACCOUNTING", superseded_by="1-AMELIA|1-SALES|BP-SALES"),
            ],
            "payment_records": [
                {"poid": "0.0.0.1 /payinfo/cc 10032 0", "kind": "cc", "name": "Amelia Ames", "masked_number": "****1111"}
            ],
            "balance_groups": [
                {"poid": "0.0.0.1 /balance_group 10034 0", "bill_unit_poid": "0.0.0.1 /billinfo 10031 0"},
                {"poid": "0.0.0.1 /balance_group 10035 0", "bill_unit_poid": "0.0.0.1 /billinfo 10033 0"},
            ],
            "hierarchy": node(
                "1-ACME",
                "Acme Networks",
                10000,
                node(
                    "1-ACCOUNTING",
                    "Accounting",
                    10010,
                    node("1-IT", "", 10018, node("", "", 10019)),
                    node("1-MARKETING", "Marketing", 10020, node("1-AMELIA", "Amelia Ames", 10030)),
                ),
            ),
            "legal_groups": [
                {"poid": "0.0.0.1 /group/collections_targets 1 0", "name": "LEGAL-0f1c", "members": ["BP-HELEN", "BP-ALEX"]}
            ],
        }
    ],
    "partial": True,
}
VIEW = ParseDict(ACME, pb.CustomerView())
VIEW.problems.add(
    system_id="BRM_02", error=to_status(O2CError.of(Reason.BRM_UNAVAILABLE, "BRM_02 cannot be reached", system="BRM_02"))
)
SYNCS = [
    ParseDict(
        {
            "sync_id": "2",
            "method": "SyncOrderCustomers",
            "subject_id": "ORD-1002",
            "revision": 1,
            "system_id": "BRM_01",
            "outcome": "SYNC_OUTCOME_FAILED",
            "suppressed": True,
            "errors": [{"code": 3, "message": "account 1-DUNCAN: the primary contact has no last name"}],
            "ended_at": "2027-01-01T00:00:05Z",
        },
        inspection_pb2.SyncRecord(),
    ),
    ParseDict(
        {
            "sync_id": "1",
            "method": "SyncOrderCustomers",
            "subject_id": "ORD-1001",
            "revision": 1,
            "system_id": "BRM_01",
            "outcome": "SYNC_OUTCOME_OK",
            "ended_at": "2027-01-01T00:00:00Z",
        },
        inspection_pb2.SyncRecord(),
    ),
]
SCREENS: dict[str, RenderableType] = {
    "customer_show": customer(VIEW),
    "customer_nowhere": customer(pb.CustomerView(account_id="1-NEW", crm=pb.CrmCustomerView(name="Nora New"))),
    "customer_syncs": sync_table(SYNCS),
}


@pytest.mark.parametrize("name", SCREENS)
def test_the_screen_reads_as_reviewed(name: str) -> None:
    console = Console(width=150, highlight=False, soft_wrap=True, no_color=True)
    with console.capture() as captured:
        console.print(SCREENS[name])
    text = "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())
    path = HERE / f"{name}.txt"
    if os.environ.get("REGENERATE"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")

"""Trying things by hand: `o2c up` in one terminal, the other commands in a second one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orders
import pytest

ROOT = Path(__file__).resolve().parents[2]
FAMILY = str(orders.EXAMPLES / orders.FAMILY)
DENISE = "BP-DENISE-DENISE"
SECONDS = 60


@dataclass(frozen=True, slots=True)
class Terminal:
    """A shell that knows where the suite of this test notes its addresses."""

    state_file: Path

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"O2C_SUITE_FILE": str(self.state_file), "COLUMNS": "100"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "cli", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )

    def run(self, *arguments: str, code: int = 0) -> str:
        """What a command prints; it must end with ``code``."""
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == code, output + errors
        return output if code == 0 else errors

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json"))

    def lines(self, *arguments: str) -> list[Any]:
        """Documents of a stream, one to a line."""
        return [json.loads(line) for line in self.run(*arguments, "--json").splitlines()]

    def up(self, home: Path) -> subprocess.Popen[str]:
        """A suite that serves."""
        process = self.start("up", "--folder", str(home))
        deadline = time.monotonic() + SECONDS
        while not self.state_file.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return process


def processes_of(home: Path) -> list[str]:
    """Command lines of living processes that were started for a suite in ``home``: their log is open there."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(home) in str(link.readlink()) for link in (folder / "fd").iterdir()):
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    folder = tmp_path_factory.mktemp("up")
    made = Terminal(folder / "suite.json")
    suite = made.up(folder)
    try:
        yield made
    finally:
        suite.send_signal(signal.SIGINT)
        suite.communicate(timeout=SECONDS)


@pytest.fixture(scope="module")
def billed(terminal: Terminal) -> Terminal:
    """Order 1 submitted and watched to its end, and BRM one month on, with its bills made."""
    told = terminal.lines("order", "submit", FAMILY, "--watch")
    assert told[0]["order_id"] == "ORD-1001"
    assert told[-1]["order_state"] == "ORDER_STATE_COMPLETED"
    assert [change["sequence"] for change in told[1:]] == [str(number) for number in range(1, len(told))]
    assert terminal.json("sandbox", "clock", "2027-02-01T00:00:00Z")["BRM_01"]["at"] == "2027-02-01T00:00:00Z"
    assert terminal.json("sandbox", "jobs", "bill")["BRM_01"]["failed"] == 0
    return terminal


def test_ctrl_c_on_up_leaves_no_process_and_no_state_file(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "suite.json")
    suite = terminal.up(tmp_path / "home")
    assert len(processes_of(tmp_path / "home")) == 6
    suite.send_signal(signal.SIGINT)
    output, _ = suite.communicate(timeout=SECONDS)
    assert suite.returncode == 0
    assert processes_of(tmp_path / "home") == []
    assert not terminal.state_file.exists()
    assert "the suite is up" in output and "o2c order submit" in output


def test_a_second_suite_is_not_started_beside_a_running_one(terminal: Terminal) -> None:
    assert "is running already" in terminal.run("up", code=1)
    assert terminal.state_file.exists()


def test_an_order_paid_by_card_is_planned_with_its_number_masked(terminal: Terminal, tmp_path: Path) -> None:
    document = json.loads((orders.EXAMPLES / orders.TWO_INSTANCES).read_text())
    card = {"number": "4111111111111111", "expiry_month": 4, "expiry_year": 2030, "holder_name": "Priya Nair"}
    for profile in document["billing_profiles"]:
        profile |= {"payment_method": "Credit Card", "card": card}
    path = tmp_path / "by-card.json"
    path.write_text(json.dumps(document))
    plan = terminal.run("plan", str(path))
    assert "****1111" in plan and card["number"] not in plan


def test_submitting_an_order_again_is_told_to_be_a_replay(billed: Terminal) -> None:
    assert "ORD-1001: COMPLETED" in billed.run("order", "submit", FAMILY)
    assert "taken before" in billed.run("order", "submit", FAMILY)
    assert billed.json("order", "submit", FAMILY)["replayed"] is True


def test_an_order_is_shown_with_its_lines_and_what_they_made(billed: Terminal) -> None:
    text = billed.run("order", "get", "ORD-1001")
    assert "Order 1001 revision 1 (ORD-1001): COMPLETED" in text
    for whole in ("Wireless Family Plan", "/service/telco/gsm 10", "/purchased_product 10", "FULFILL_BILLING"):
        assert whole in text
    assert len(billed.json("order", "get", "ORD-1001")["lines"]) == 10


def test_orders_are_listed(billed: Terminal) -> None:
    text = billed.run("order", "list")
    assert "ORD-1001" in text and "COMPLETED" in text
    assert [one["order_id"] for one in billed.json("order", "list")["orders"]] == ["ORD-1001"]


def test_an_order_is_watched_from_any_point_on(billed: Terminal) -> None:
    whole = billed.lines("order", "watch", "ORD-1001")
    assert billed.lines("order", "watch", "ORD-1001", "--after", "30") == whole[30:]
    assert "order COMPLETED" in billed.run("order", "watch", "ORD-1001", "--after", "30")


def test_an_order_nobody_knows_is_refused_by_name(billed: Terminal) -> None:
    assert "ORDER_NOT_FOUND ORDER_ID: " in billed.run("order", "get", "ORD-NONE", code=1)


def test_cross_references_are_looked_up(billed: Terminal) -> None:
    text = billed.run("xref", "lookup", "CUSTOMERPARTY_ACCOUNTID", "1-DENISE", "1-NOBODY")
    assert "BRM_01   0.0.0.1 /account 10000 0" in text
    assert text.rstrip().endswith("not known")
    rows = billed.json("xref", "lookup", "CUSTOMERPARTY_ACCOUNTID", "1-DENISE", "1-NOBODY")["rows"]
    assert {cell["column"] for cell in rows[0]["cells"]} == {"COMMON", "SEBL_01", "BRM_01"}
    assert not rows[1].get("cells")


def test_the_doctor_finds_nothing_wrong_with_what_orders_left(billed: Terminal) -> None:
    for system in ("BRM_01", "BRM_02"):
        assert f"nothing is wrong between the cross-references and {system}" in billed.run("xref", "doctor", "--system", system)


def test_balances_are_shown_as_an_agent_sees_them(billed: Terminal) -> None:
    text = billed.run("care", "balance", "1-DENISE")
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("BP-")] == ["123.00", "85.00", "85.00"]
    answer = billed.json("care", "balance", "1-DENISE", "--profile", DENISE)
    assert answer["profiles"][0]["open_bills_due"] == {"currency_code": "USD", "units": "94"}


def test_bills_are_listed_and_one_is_opened(billed: Terminal) -> None:
    assert "94.00" in billed.run("care", "invoices", "1-DENISE", "--profile", DENISE)
    bills = billed.json("care", "invoices", "1-DENISE", "--profile", DENISE)["invoices"]
    assert len(bills) == 1
    opened = billed.run("care", "invoices", "1-DENISE", "--profile", DENISE, "--bill", bills[0]["bill_id"])
    assert "Charges by service" in opened and "14085550101" in opened


def test_the_sandbox_shows_its_objects_events_calls_time_and_invariants(billed: Terminal) -> None:
    assert "0.0.0.1 /account 10000 0" in billed.run("sandbox", "objects", "/account")
    assert len(billed.json("sandbox", "objects", "/service")) == 3
    assert "Cycle forward fee: Wireless Access Monthly" in billed.run("sandbox", "events")
    assert billed.json("sandbox", "events")[0]["seq"] == 1
    assert "PCM_OP_BILL_GROUP_CREATE" in billed.run("sandbox", "calls")
    assert "BRM_02  2027-02-01T00:00:00Z (frozen)" in billed.run("sandbox", "clock")
    assert "all invariants hold" in billed.run("sandbox", "invariants")
    assert "BRM_01  bill: 0 of 0 done, 0 failed" in billed.run("sandbox", "jobs", "bill")
    assert "ENUM_UNKNOWN" in billed.run("sandbox", "jobs", "no-such-job", code=1)


def test_a_customer_is_shown_from_all_sides_and_what_was_done_about_it(billed: Terminal) -> None:
    shown = billed.run("customer", "show", "1-MICHELLE")
    assert "└── 1-MICHELLE" in shown or "├── 1-MICHELLE" in shown, "below Denise, in CRM and billing"
    (unit,) = billed.json("customer", "show", "1-MICHELLE")["brms"][0]["bill_units"]
    assert unit["payer_billing_profile_id"] == "BP-DENISE-MICHELLE"
    (sync,) = billed.json("customer", "syncs", "--account", "1-MICHELLE", "--about", "ORD-1001")["syncs"]
    assert (sync["outcome"], sync["method"]) == ("SYNC_OUTCOME_OK", "SyncOrderCustomers")
    assert billed.json("customer", "syncs", "--account", "1-MICHELLE", "--failed") == {}
    assert "ACCOUNT_NOT_FOUND" in billed.run("customer", "show", "NOBODY", code=1)


def test_billing_follows_an_edit_in_the_crm(billed: Terminal) -> None:
    assert "1-DENISE" in billed.run("crm", "accounts")
    assert "o2c customer update 1-DENISE" in billed.run("crm", "edit", "1-DENISE", "primary_contact.last_name=Reed")
    planned = billed.run("customer", "update", "1-DENISE", "--validate-only")
    assert "PCM_OP_CUST_UPDATE_CUSTOMER" in planned and '"Reed"' in planned
    assert "UPDATED" in billed.run("customer", "update", "1-DENISE")
    assert "Reed" in billed.run("sandbox", "objects", "/account")
    assert "nothing is different" in billed.run("customer", "update", "1-DENISE")
    billed.run("crm", "edit", "1-DENISE", "currency=EUR")
    assert "FIELD_IMMUTABLE" in billed.run("customer", "update", "1-DENISE", code=1) + billed.run("customer", "events")
    assert billed.json("customer", "events", "--fallout")["updates"][0]["account_id"] == "1-DENISE"
    billed.run("crm", "edit", "1-DENISE", "currency=USD")
    billed.run("customer", "update", "1-DENISE")
    assert billed.json("customer", "events") == {}


def test_updating_an_account_that_is_not_in_billing_says_so(billed: Terminal) -> None:
    said = billed.run("customer", "update", "NOBODY")
    assert "account NOBODY is in no BRM instance" in said and "nothing to update" in said
    assert billed.json("customer", "update", "NOBODY")["unsynchronised_account_ids"] == ["NOBODY"]


def test_what_is_refused_is_named_as_it_was_typed(billed: Terminal) -> None:
    for words, said in (
        (("care", "balance", "NOBODY"), "ACCOUNT_NOT_FOUND ACCOUNT: "),
        (("care", "invoices", "1-DENISE", "--bill", "1"), "FIELD_MISSING --profile: "),
        (("order", "list", "--page-token", "none"), "PAGE_TOKEN_INVALID --page-token: "),
        (("order", "get", "NONE"), "ORDER_NOT_FOUND ORDER_ID: "),
        (("xref", "lookup", "NONE", "1-DENISE"), "XREF_TABLE_UNKNOWN TABLE: "),
        (("xref", "history", "CUSTOMERPARTY_ACCOUNTID", "1-DENISE", "--column", "NONE"), "XREF_COLUMN_UNKNOWN --column: "),
        (("maps", "show", "NONE"), "XREF_TABLE_UNKNOWN NAME: "),
        (("route", "validate", "BRM_99"), "ROUTE_SYSTEM_UNKNOWN SYSTEM: "),
        (("crm", "edit", "NOBODY", "name=X"), "CRM_ACCOUNT_NOT_FOUND ACCOUNT: the CRM has no account NOBODY"),
        (("crm", "edit", "1-DENISE", "type=ALIEN"), "ENUM_UNKNOWN type: 'ALIEN' is none of "),
        (("sandbox", "events", "-s", "BRM_99"), "ROUTE_SYSTEM_UNKNOWN --system: no instance 'BRM_99' is served here"),
    ):
        assert said in billed.run(*words, code=1)


def test_customers_are_loaded_all_or_not_at_all(billed: Terminal, tmp_path: Path) -> None:
    before = billed.json("crm", "accounts")
    file = tmp_path / "customers.json"
    for document, said in (
        ({"colour": "red"}, ("FIELD_MISSING accounts: ", "JSON_MALFORMED colour: ")),
        (
            {"accounts": [{"account_id": "NEW"}, {"name": "X"}, {"account_id": "Y", "type": "ALIEN"}]},
            ("FIELD_MISSING accounts[1].account_id: ", "ENUM_UNKNOWN accounts[2].type: "),
        ),
    ):
        file.write_text(json.dumps(document))
        errors = billed.run("crm", "load", str(file), code=1)
        assert all(each in errors for each in said), errors
    assert billed.json("crm", "accounts") == before


def test_a_plan_asks_the_running_suite(billed: Terminal) -> None:
    voicemail = str(orders.EXAMPLES / orders.VOICEMAIL)
    text = billed.run("plan", voicemail)
    assert "bill_fulfillment in BRM_01: 1 call" in text
    assert "PCM_OP_SUBSCRIPTION_PURCHASE_DEAL" in text
    calls = [call["opcode"] for plan in billed.json("plan", voicemail)["plans"] for call in plan.get("calls", [])]
    assert calls == ["PCM_OP_SUBSCRIPTION_PURCHASE_DEAL"]
    assert [one["order_id"] for one in billed.json("order", "list")["orders"]] == ["ORD-1001"]


def test_a_plan_starts_a_throw_away_suite_when_none_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    text = Terminal(tmp_path / "none.json").run("plan", FAMILY)
    assert text.startswith("Routes\n")
    assert text.count("PCM_OP_CUST_COMMIT_CUSTOMER") == 3
    assert "<common(account:1-DENISE)>" in text
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []

"""Transactions across calls, writing past the opcodes, and revisions: all behind switches."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from libs.brm.call import BrmCall
from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.__main__ import read_switches
from sandbox.errors import BrmFault
from sandbox.server import open_instances
from sandbox.settings import SandboxSettings, changed_settings
from sandbox.store.sqlite import Tx
from sandbox.transactions import OpenTransactions


class Session:
    """A client that works inside one transaction."""

    def __init__(self, brm: Any) -> None:
        self.brm = brm
        self.id = ""
        self.id = self.call("TRANS_OPEN", {"POID": brm.poid("/ 0")})["TRANS_ID"]

    def call(self, opcode: str, flist: Flist) -> Flist:
        call = BrmCall(f"PCM_OP_{opcode}", {"PROGRAM_NAME": "test", **flist})
        answer: Flist = asyncio.run(self.brm.instance.serve(call, txn=self.id))
        return answer

    def end(self, how: str) -> None:
        self.call(f"TRANS_{how}", {"POID": self.brm.poid("/ 0")})


@pytest.fixture
def txn_brm(make_brm: Any) -> Any:
    return make_brm(settings=SandboxSettings(transactions=True, base_writes=True, strict_rev=True))


def test_switched_off_they_are_no_opcodes_at_all(brm: Any) -> None:
    for opcode in ("TRANS_OPEN", "WRITE_FLDS", "CREATE_OBJ", "DELETE_OBJ"):
        assert brm.refusal(opcode, {"POID": brm.poid("/account 1")}) == ("BAD_OPCODE", "")
        assert f"PCM_OP_{opcode}" not in brm.instance.offered


def test_changes_are_seen_inside_only_until_they_are_committed(txn_brm: Any) -> None:
    brm = txn_brm
    session = Session(brm)
    account = session.call("CUST_COMMIT_CUSTOMER", brm.commit_input("A-1"))
    service = session.call("CUST_MODIFY_CUSTOMER", brm.service_input(account, "1", products=(20011,)))["SERVICES"][0]
    assert session.call("READ_OBJ", {"POID": account["POID"]})["ACCOUNT_NO"] == "A-1"
    assert brm.refusal("READ_OBJ", {"POID": account["POID"]}) == ("NOT_FOUND", "POID")
    other = brm.account("A-2")
    brm.service(other, "2", 20011)
    session.end("COMMIT")
    assert brm.read(service["SERVICE_OBJ"])["LOGIN"] == "1"
    numbers = [each["PACKAGE_ID"] for each in (*brm.offers(account), *brm.offers(other))]
    assert len(set(numbers)) == 2, "running numbers are never drawn twice"
    assert brm.broken() == set()
    with pytest.raises(BrmFault, match="TRANS_NOT_OPEN"):
        session.end("ABORT")


def test_an_aborted_transaction_leaves_nothing_not_even_deletions(txn_brm: Any) -> None:
    brm = txn_brm
    account = brm.account("A-1", "ONE", "TWO")
    before = brm.count()
    session = Session(brm)
    session.call("CUST_DELETE_BILLINFO", {"POID": account["BILLINFO"][1]["POID"]})
    session.call("CUST_COMMIT_CUSTOMER", brm.commit_input("A-9"))
    with pytest.raises(BrmFault, match="NOT_FOUND"):
        session.call("READ_OBJ", {"POID": account["BILLINFO"][1]["POID"]})
    session.end("ABORT")
    assert brm.count() == before and brm.read(account["BILLINFO"][1]["POID"])
    committed = Session(brm)
    committed.call("CUST_DELETE_BILLINFO", {"POID": account["BILLINFO"][1]["POID"]})
    committed.end("COMMIT")
    assert brm.refusal("READ_OBJ", {"POID": account["BILLINFO"][1]["POID"]}) == ("NOT_FOUND", "POID")
    assert brm.broken() == set()


def test_a_failed_call_loses_the_whole_transaction(txn_brm: Any) -> None:
    brm = txn_brm
    session = Session(brm)
    session.call("CUST_COMMIT_CUSTOMER", brm.commit_input("A-1"))
    with pytest.raises(BrmFault, match="DUPLICATE"):
        session.call("CUST_COMMIT_CUSTOMER", brm.commit_input("A-1"))
    with pytest.raises(BrmFault, match="TRANS_LOST"):
        session.end("COMMIT")
    assert list(brm.instance.reader().of_class("/account")) == []


def test_whoever_commits_first_wins(txn_brm: Any) -> None:
    brm = txn_brm
    account = brm.account()["POID"]
    session = Session(brm)
    session.call("CUST_SET_LOCALE", {"POID": account, "LOCALES": Array.of({"LOCALE": "de_DE"})})
    brm.call("CUST_SET_LOCALE", {"POID": account, "LOCALES": Array.of({"LOCALE": "fr_FR"})})
    with pytest.raises(BrmFault, match="DEADLOCK") as caught:
        session.end("COMMIT")
    assert caught.value.error_class.value == "SYSTEM_RETRYABLE"
    assert brm.read(account)["LOCALE"] == "fr_FR"


def test_a_restart_and_a_long_silence_lose_open_transactions(txn_brm: Any) -> None:
    brm = txn_brm
    session = Session(brm)
    session.call("CUST_COMMIT_CUSTOMER", brm.commit_input("A-1"))
    brm.instance.faults.add({"action": "restart", "times": 1})
    with pytest.raises(Exception) as caught:
        session.call("READ_OBJ", {"POID": brm.poid("/product 20011")})
    assert type(caught.value).__name__ == "Restarted"
    with pytest.raises(BrmFault, match="TRANS_LOST"):
        session.end("COMMIT")
    now = [0.0]
    table = OpenTransactions(60.0, lambda: now[0])
    tx = Tx(brm.instance.store, brm.instance.clock.now())
    id_ = table.open(tx)
    now[0] = 59.0
    table.keep(id_, table.take(id_))
    now[0] = 120.0
    with pytest.raises(BrmFault, match="TRANS_LOST"):
        table.take(id_)


def test_writing_past_the_opcodes_still_meets_the_invariants(txn_brm: Any) -> None:
    brm = txn_brm
    account = brm.account("A-1")["POID"]
    brm.account("A-2")
    brm.call("WRITE_FLDS", {"POID": account, "LOCALE": "de_DE", "NAMEINFO": Array({2: {"LAST_NAME": "Second"}})})
    assert (brm.read(account)["LOCALE"], len(brm.read(account)["NAMEINFO"])) == ("de_DE", 2)
    assert brm.refusal("WRITE_FLDS", {"POID": account, "ACCOUNT_NO": "A-2"}) == ("DUPLICATE", "ACCOUNT_NO")
    made = brm.call("CREATE_OBJ", {"POID": brm.poid("/config/business_profile -1"), "NAME": "Gold"})["POID"]
    brm.call("DELETE_OBJ", {"POID": made})
    assert brm.refusal("DELETE_OBJ", {"POID": made}) == ("NOT_FOUND", "POID")
    (event, *_) = [each["POID"] for each in brm.instance.reader().of_class("/event")]
    assert brm.refusal("DELETE_OBJ", {"POID": event}) == ("BAD_POID_TYPE", "POID")


def test_strict_revisions_refuse_a_write_that_names_an_old_one(txn_brm: Any) -> None:
    brm = txn_brm
    poid = brm.account()["POID"]
    locales = {"LOCALES": Array.of({"LOCALE": "de_DE"})}
    brm.call("CUST_SET_LOCALE", {"POID": poid, **locales})
    present = brm.read(poid)["POID"]
    stale = Poid(present.db, present.type, present.id, present.rev + 1)
    assert brm.refusal("CUST_SET_LOCALE", {"POID": stale, "LOCALES": Array.of({"LOCALE": "x"})}) == ("BAD_VALUE", "POID")
    brm.call("CUST_SET_LOCALE", {"POID": present, "LOCALES": Array.of({"LOCALE": "en_GB"})})


def test_switches_of_the_command_line_are_for_every_instance_or_one() -> None:
    common, own = read_switches(["strict_rev=true", "BRM_02.time_zone=Europe/Berlin", "BRM_02.strict_rev=false"])
    assert (common.strict_rev, common.time_zone) == (True, "UTC")
    assert {name: (each.strict_rev, each.time_zone) for name, each in own.items()} == {"BRM_02": (False, "Europe/Berlin")}
    first, second = open_instances(["BRM_01", "BRM_02"], None, "2027-01-01T00:00:00Z", 0, common, own)
    assert (first.settings, second.settings) == (common, own["BRM_02"])
    with pytest.raises(ValueError, match="no instance BRM_02"):
        open_instances(["BRM_01"], None, "real", 0, common, own)
    for bad in ("strict_rev", "BRM_02.nonsense=1", "time_zone=Nowhere"):
        with pytest.raises(ValueError, match=r"NAME=VALUE|no setting|no time zone"):
            read_switches([bad])


def test_switches_are_known_by_name_and_type() -> None:
    changed = changed_settings(
        SandboxSettings(), {"strict_xsd": "true", "collections_minimum": "20", "tax_rates": {"A": "0.1"}}
    )
    assert (changed.strict_xsd, changed.collections_minimum, str(changed.tax_rates["A"])) == (True, 20, "0.1")
    for wrong in ({"nonsense": 1}, {"strict_xsd": "maybe"}, {"collections_minimum": True}, {"tax_rates": 3}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            changed_settings(SandboxSettings(), wrong)

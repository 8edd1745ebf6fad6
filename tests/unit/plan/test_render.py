"""Plans as text: readable, complete, and without secrets."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from libs.brm.call import BrmCall
from libs.brm.flist import Array
from libs.brm.poid import Poid
from libs.brm.text import SENSITIVE
from libs.plan.model import Claim, Plan, Ref, Step, XrefLink, Yield, bind, refs_in
from libs.plan.render import render_flist, render_plan
from libs.plan.wire import to_wire_plan

FIRST = Step(
    "account:A",
    "create account A",
    BrmCall("PCM_OP_CUST_COMMIT_CUSTOMER", {"POID": Poid.new("/plan"), "ACCTINFO": Array.of({"ACCOUNT_NO": Ref("common(A)")})}),
    (Yield("account(A)", "ACCTINFO[0].POID", XrefLink("CUSTOMERPARTY_ACCOUNTID", "A")),),
    line_ids=("L1",),
)
SECOND = Step("bundle:B", "buy B", BrmCall("PCM_OP_X", {"ACCOUNT_OBJ": Ref("account(A)")}, 128))
PLAN = Plan("BRM_01", (SECOND, FIRST), (Claim("CUSTOMERPARTY_ACCOUNTID", "A", "common(A)"),))


def test_a_plan_reads_in_order_of_its_dependencies() -> None:
    assert (
        render_plan(PLAN)
        == """\
BRM_01: 2 calls in 2 waves

ids claimed (application-neutral)
  <common(A)> = CUSTOMERPARTY_ACCOUNTID A

wave 1

  create account A
  PCM_OP_CUST_COMMIT_CUSTOMER  [account:A]
  for L1
    POID  0.0.0.1 /plan -1 0
    ACCTINFO[0]
      ACCOUNT_NO  <common(A)>
    => <account(A)> from ACCTINFO[0].POID, kept in CUSTOMERPARTY_ACCOUNTID A

wave 2

  buy B
  PCM_OP_X flags 128  [bundle:B]
  after account:A
    ACCOUNT_OBJ  <account(A)>
"""
    )


def test_a_text_that_is_made_of_an_id_shows_its_name_and_is_whole_once_the_id_is_known() -> None:
    flist = {"NAME": Ref("common(A)", "LEGAL-")}
    assert render_flist(flist) == "NAME  LEGAL-<common(A)>"
    assert [ref.name for ref in refs_in(flist)] == ["common(A)"]
    assert bind(flist, {}) == flist
    assert bind(flist, {"common(A)": "0f1c"}) == {"NAME": "LEGAL-0f1c"}
    assert flist == {"NAME": Ref("common(A)", "LEGAL-")}


def test_nothing_to_do_says_so() -> None:
    assert render_plan(Plan("BRM_02")) == "BRM_02: nothing to do\n"


def test_values_are_shown_by_kind() -> None:
    flist = {"AT": datetime(2027, 1, 1, tzinfo=UTC), "NAME": "x", "NONE": None, "BUF": b"1234", "LINK": Array({0: None})}
    assert render_flist(flist) == 'AT    2027-01-01T00:00:00Z\nNAME  "x"\nNONE  NULL\nBUF   4 bytes\nLINK[0]'


@pytest.mark.parametrize("name", sorted(SENSITIVE))
def test_sensitive_values_are_masked_at_any_depth(name: str) -> None:
    tail = "3456" if name == "DEBIT_NUM" else ""
    flist = {"INFO": Array.of({name: "1234567890123456"})}
    assert render_flist(flist) == f'INFO[0]\n  {name}  "****{tail}"'
    assert "737" not in render_flist({name: "737"})


def test_the_wire_form_lists_calls_in_order_with_what_will_exist() -> None:
    wire = to_wire_plan(PLAN, "customer_sync")
    assert [(call.key, list(call.depends_on)) for call in wire.calls] == [("account:A", []), ("bundle:B", ["account:A"])]
    assert wire.calls[1].input == "ACCOUNT_OBJ  <account(A)>"
    assert [(each.table, each.crm_id, each.ref, each.system_id) for each in wire.yields] == [
        ("CUSTOMERPARTY_ACCOUNTID", "A", "account(A)", "BRM_01")
    ]

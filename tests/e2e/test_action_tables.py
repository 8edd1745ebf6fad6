"""The guide's action tables through the whole suite: each action on a fulfilled asset of each kind, as intake sees it and as
billing would do it; and suspending, resuming and moving a family for real."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orders
import pytest
from billing import short
from suite import SECONDS, RunningSuite, planned_calls, running_suite

from cli.documents import parse_order
from libs.errors import O2CError, Reason
from libs.order_actions import MATRIX, Cell, Kind
from libs.orders import Action
from libs.pb.order.v1.order_pb2 import Order
from libs.pb.order_orchestration.v1 import order_orchestration_pb2 as oo
from libs.pb.xref.v1 import xref_pb2

SERVICE = "AST-DENISE-WIRELESS"
ACTIONS = [action for action in Action if action is not Action.NONE]
MOVES = (Action.MOVE_ADD, Action.MOVE_DELETE)
PRICE = {"commit_type": "COMMITTED", "price_type": "RECURRING", "list_price": {"units": 40}}


@dataclass(frozen=True)
class Row:
    """A kind of line: how it looks, its asset, what changes with UPDATE and a move, and the calls of each action."""

    kind: Kind
    asset: str
    line: dict[str, Any]
    change: dict[str, Any]
    calls: dict[Action, str]
    below_service: bool = False


def product(number: int, name: str, billing_type: str) -> dict[str, Any]:
    return {"product": {"product_id": f"PROD-{number}", "name": name}, "product_type": "PRODUCT", "billing_type": billing_type}


CHEAPER = {
    "pricing": {**PRICE, "selling_price": {"units": 30}},
    "prior": {"pricing": {**PRICE, "selling_price": {"units": 40}}},
}
LONGER = {
    "dates": {"service_end": "2030-06-30T00:00:00Z"},
    "prior": {"dates": {"service_end": "2029-06-30T00:00:00Z"}},
}
SUBSCRIPTION = {
    Action.ADD: "PURCHASE_DEAL",
    Action.DELETE: "CANCEL_PRODUCT",
    Action.UPDATE: "SET_PRODINFO",
    Action.MOVE_ADD: "SET_PRODINFO",
}
DISCOUNT = {
    Action.ADD: "PURCHASE_DEAL",
    Action.DELETE: "CANCEL_DISCOUNT",
    Action.UPDATE: "SET_DISCOUNTINFO",
    Action.MOVE_ADD: "SET_DISCOUNTINFO",
}
ROWS = {
    "OO-MA-01": Row(
        Kind.PROMOTION,
        "AST-FAMILY-PLAN",
        {"product": {"product_id": "PROD-WFP", "name": "Wireless Family Plan"}, "product_type": "PROMOTION"},
        {"billing_account": {"account_id": "1-MICHELLE"}, "prior": {"billing_account_id": "1-DENISE"}},
        {Action.ADD: "SET_BUNDLE", Action.DELETE: "SET_BUNDLE", Action.UPDATE: "SET_BUNDLE", Action.MOVE_ADD: ""},
    ),
    "OO-MA-02": Row(
        Kind.SERVICE_BUNDLE,
        SERVICE,
        {
            "product": {"product_id": "PROD-WIRELESS", "name": "Wireless Service"},
            "product_type": "SERVICE_BUNDLE",
            "billing_type": "SERVICE_BUNDLE",
            "billing_service_type": "/service/telco/gsm",
            "service_id": "14085550101",
        },
        {"service_id": "14085550199", "prior": {"service_id": "14085550101"}},
        {
            Action.ADD: "MODIFY_CUSTOMER",
            **dict.fromkeys((Action.DELETE, Action.SUSPEND, Action.RESUME, Action.UPDATE, Action.MOVE_ADD), "UPDATE_SERVICES"),
        },
    ),
    "OO-MA-03": Row(
        Kind.SERVICE_SUBSCRIPTION,
        "AST-DENISE-ACCESS",
        product(20011, "Wireless Access Monthly", "SUBSCRIPTION"),
        CHEAPER,
        SUBSCRIPTION,
        below_service=True,
    ),
    "OO-MA-04": Row(
        Kind.SERVICE_DISCOUNT,
        "AST-DENISE-TENPERCENT",
        product(20111, "Wireless 10%", "DISCOUNT"),
        LONGER,
        DISCOUNT,
        below_service=True,
    ),
    "OO-MA-05": Row(
        Kind.SERVICE_ITEM,
        "AST-DENISE-ACTIVATION",
        product(20014, "Activation Fee", "ITEM"),
        {},
        {Action.ADD: "PURCHASE_DEAL"},
        below_service=True,
    ),
    "OO-MA-06": Row(
        Kind.ACCOUNT_SUBSCRIPTION,
        "AST-DENISE-PAPERBILL",
        product(20041, "Account Paper Bill Fee", "SUBSCRIPTION"),
        CHEAPER,
        SUBSCRIPTION | {Action.SUSPEND: "SET_PRODUCT_STATUS", Action.RESUME: "SET_PRODUCT_STATUS"},
    ),
    "OO-MA-07": Row(
        Kind.ACCOUNT_DISCOUNT,
        "AST-DENISE-LOYALTY",
        product(20111, "Wireless 10%", "DISCOUNT"),
        LONGER,
        DISCOUNT | {Action.SUSPEND: "SET_DISCOUNT_STATUS", Action.RESUME: "SET_DISCOUNT_STATUS"},
    ),
    "OO-MA-08": Row(
        Kind.ACCOUNT_ITEM,
        "AST-DENISE-PENALTY",
        product(20042, "Penalty Charge", "ITEM"),
        {},
        {Action.ADD: "PURCHASE_DEAL"},
    ),
}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """Denise's family is billed; her account has a discount besides, of a product that the sample price list does not sell."""
    with running_suite(tmp_path_factory.mktemp("suite")) as running:
        running.complete(orders.order(orders.FAMILY))
        row = {"table": "INSTALLEDPRODUCT_ID", "ref_column": "SEBL_01", "ref_value": ROWS["OO-MA-07"].asset}
        known = xref_pb2.PopulateRequest(**row, column="BRM_01", value="0.0.0.1 /purchased_discount 9999 0", kind="DISCOUNT")
        known.mode = xref_pb2.POPULATE_MODE_ADD
        running.clients.xref.Populate(known, timeout=SECONDS)
        running.clients.xref.GetOrCreate(xref_pb2.GetOrCreateRequest(**row, column="COMMON"), timeout=SECONDS)
        yield running


def line(row: Row, action: Action, asset: str, **fields: Any) -> dict[str, Any]:
    accounts = {
        "service_account": {"account_id": "1-DENISE"},
        "billing_account": {"account_id": "1-DENISE"},
        "billing_profile": {"billing_profile_id": "BP-DENISE-DENISE"},
    }
    place = {"line_id": f"L-{action}-{asset}", "action": action.value, "asset_integration_id": asset}
    if row.kind is Kind.PROMOTION:
        accounts = {"billing_account": {"account_id": "1-DENISE"}}
    if row.below_service:
        place |= {"parent_line_id": "L-SERVICE", "root_line_id": "L-SERVICE"}
    return {**accounts, **row.line, **place, **fields}


def asked(lines: list[dict[str, Any]], number: str = "OO-MA") -> Order:
    """An order of Denise's with these lines; her service gives context to what stands below it."""
    document = orders.document(orders.FAMILY)
    document |= {"order_id": f"ORD-{number}", "order_number": number, "lines": lines}
    document.pop("payments", None)
    if any(each.get("parent_line_id") == "L-SERVICE" for each in lines):
        context = line(ROWS["OO-MA-02"], Action.NONE, SERVICE, line_id="L-SERVICE")
        document["lines"] = [context, *lines]
    return parse_order(json.dumps(document))


def alone(row: Row, action: Action) -> Order:
    """One action on the row's asset; a move comes as a pair."""
    new = f"{row.asset}-N"
    pair = [
        line(row, Action.MOVE_DELETE, row.asset),
        line(row, Action.MOVE_ADD, new, move_from_asset_integration_id=row.asset, **row.change),
    ]
    if action in MOVES:
        return asked(pair)
    login = {"service_id": "14085550777"} if row.kind is Kind.SERVICE_BUNDLE else {}
    fields = {Action.ADD: login, Action.UPDATE: row.change}.get(action, {})
    return asked([line(row, action, new if action is Action.ADD else row.asset, **fields)])


def billing_calls(answer: oo.SubmitOrderResponse) -> list[str]:
    plans = [plan for plan in answer.plans if plan.service == "bill_fulfillment"]
    return [short(call.opcode) for call in planned_calls(plans)]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.spec(f"order-orchestration:{name}"), id=name) for name in ROWS]
)
def test_intake_and_billing_do_with_each_action_what_its_cell_says(suite: RunningSuite, name: str) -> None:
    row = ROWS[name]
    for action in ACTIONS:
        order = alone(row, action)
        if MATRIX[row.kind, action] is Cell.REJECTED:
            with pytest.raises(O2CError) as caught:
                suite.submit(order, validate_only=True)
            item = row.kind in (Kind.SERVICE_ITEM, Kind.ACCOUNT_ITEM) and action in (Action.UPDATE, Action.DELETE)
            wanted = Reason.ITEM_CHANGE_NOT_ALLOWED if item else Reason.LINE_ACTION_NOT_SUPPORTED
            assert {each.reason for each in caught.value.violations if each.field.endswith(".action")} == {wanted}, action
            continue
        cell = MATRIX[row.kind, action]
        told = Action.MOVE_ADD if action in MOVES else action
        expected = "" if cell is Cell.IGNORED else row.calls.get(told, "")
        assert billing_calls(suite.submit(order, validate_only=True)) == ([expected] if expected else []), action


def family(action: Action, number: str) -> Order:
    """What the CRM repeats an action on: promotion, service, its parts, and an account-level plan."""
    names = ("OO-MA-01", "OO-MA-02", "OO-MA-03", "OO-MA-04", "OO-MA-06")
    lines = [line(ROWS[name], action, ROWS[name].asset) for name in names]
    for each in lines[2:4]:
        each["parent_line_id"] = each["root_line_id"] = lines[1]["line_id"]
    lines[1]["promotion_asset_integration_id"] = ROWS["OO-MA-01"].asset
    return asked(lines, number)


def made(suite: RunningSuite, marks: dict[str, int]) -> list[str]:
    return [short(call["opcode"]) for calls in suite.writes_since(marks).values() for call in calls]


@pytest.mark.spec("order-orchestration:OO-MA-09")
def test_a_suspended_family_is_its_service_and_its_account_level_plan_and_the_rest_goes_along(suite: RunningSuite) -> None:
    for action, number in ((Action.SUSPEND, "9001"), (Action.RESUME, "9002")):
        marks = suite.marks()
        suite.complete(family(action, number))
        assert sorted(made(suite, marks)) == ["SET_PRODUCT_STATUS", "UPDATE_SERVICES"]


@pytest.mark.spec("order-orchestration:OO-MA-10")
def test_a_part_of_a_service_is_not_suspended_alone_and_nothing_is_called(suite: RunningSuite) -> None:
    marks = suite.marks()
    wrong = suite.refusal(lambda: suite.submit(alone(ROWS["OO-MA-03"], Action.SUSPEND)))
    assert wrong == {("LINE_ACTION_NOT_SUPPORTED", "order.lines[1].action")}
    assert made(suite, marks) == []


@pytest.mark.spec("order-orchestration:OO-MA-12")
def test_a_product_may_stand_two_levels_below_a_service_and_not_three(suite: RunningSuite) -> None:
    def nested(levels: int) -> Order:
        wrappers = [
            {
                **line(ROWS["OO-MA-03"], Action.NONE, f"AST-W{at}", line_id=f"L-W{at}"),
                "product_type": "CUSTOMIZABLE",
                "billing_type": "BILLING_TYPE_UNSPECIFIED",
                "parent_line_id": f"L-W{at - 1}" if at else "L-SERVICE",
                "root_line_id": "L-SERVICE",
            }
            for at in range(levels - 1)
        ]
        deep = line(ROWS["OO-MA-03"], Action.ADD, "AST-DEEP", parent_line_id=f"L-W{levels - 2}")
        return asked([*wrappers, deep])

    assert billing_calls(suite.submit(nested(2), validate_only=True)) == ["PURCHASE_DEAL"]
    assert ("BUNDLE_DEPTH_EXCEEDED", "order.lines[3].parent_line_id") in suite.refusal(lambda: suite.submit(nested(3)))


@pytest.mark.spec("order-orchestration:OO-MA-13")
def test_a_moved_account_level_plan_is_accepted_and_billing_hears_nothing_of_it(suite: RunningSuite) -> None:
    row = ROWS["OO-MA-06"]
    pair = [
        line(row, Action.MOVE_DELETE, row.asset),
        line(row, Action.MOVE_ADD, f"{row.asset}-N", move_from_asset_integration_id=row.asset),
    ]
    marks = suite.marks()
    suite.complete(asked(pair, "9003"))
    assert made(suite, marks) == []
    later = asked([line(row, Action.DELETE, f"{row.asset}-N")])
    assert billing_calls(suite.submit(later, validate_only=True)) == ["CANCEL_PRODUCT"], "it goes by its new id"


def test_a_service_moves_with_its_plan_through_the_whole_suite(suite: RunningSuite) -> None:
    service, plan = ROWS["OO-MA-02"], ROWS["OO-MA-03"]
    new = [
        line(service, Action.MOVE_ADD, f"{SERVICE}-N", move_from_asset_integration_id=SERVICE, **service.change),
        line(plan, Action.MOVE_ADD, f"{plan.asset}-N", move_from_asset_integration_id=plan.asset),
    ]
    old = [line(service, Action.MOVE_DELETE, SERVICE), line(plan, Action.MOVE_DELETE, plan.asset)]
    for top, part in (new, old):
        part["parent_line_id"] = part["root_line_id"] = top["line_id"]
    marks = suite.marks()
    suite.complete(asked([*old, *new], "9004"))
    assert made(suite, marks) == ["UPDATE_SERVICES"]
    assert "14085550199" in {each["LOGIN"] for each in suite.clients.sandbox("BRM_01").objects("/service")}
    assert not suite.broken_invariants()

"""The guide's action tables, cell by cell: what an action on one fulfilled asset of each kind does, or how it is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from _pytest.mark import ParameterSet
from billing import (
    World,
    bundle,
    calls,
    command,
    discount,
    friends,
    item,
    line,
    outcomes,
    promotion,
    reasons,
    subscription,
    warnings,
)

from libs.brm.codes import OfferStatus, Status
from libs.brm.flist import get
from libs.order_actions import ITEMS, MATRIX, TABLE_OF, Cell, cell
from services.bill_fulfillment.domain.model import (
    Action,
    BillingType,
    Kind,
    Line,
    Mode,
    Outcome,
    Payer,
    ProductType,
    Result,
    State,
)

ACTIONS = [action for action in Action if action is not Action.NONE]


@dataclass(frozen=True)
class Case:
    """A row of the tables: how to say a line of the kind, and the calls of its supported actions."""

    make: Callable[[Action], tuple[Line, ...]]
    supported: dict[Action, list[str]]


def component(make: Callable[..., Line], **fields: object) -> Callable[[Action], tuple[Line, ...]]:
    def lines(action: Action) -> tuple[Line, ...]:
        return (bundle("1", Action.NONE), make("2", action, parent_id="1", **fields))

    return lines


CASES = {
    Kind.PROMOTION: Case(
        lambda action: (promotion("1", action),),
        {Action.ADD: ["SET_BUNDLE"], Action.DELETE: ["SET_BUNDLE"], Action.UPDATE: []},
    ),
    Kind.SERVICE_BUNDLE: Case(
        lambda action: (bundle("1", action, asset="sb9", service_id="5559"),),
        {
            Action.ADD: ["MODIFY_CUSTOMER"],
            Action.DELETE: ["UPDATE_SERVICES"],
            Action.SUSPEND: ["UPDATE_SERVICES"],
            Action.RESUME: ["UPDATE_SERVICES"],
            Action.UPDATE: [],
        },
    ),
    Kind.NESTED_BUNDLE: Case(
        lambda action: (
            bundle("1", Action.NONE),
            bundle("2", action, asset="vm", parent_id="1", service_type="/service/voicemail"),
        ),
        {
            Action.ADD: ["MODIFY_CUSTOMER"],
            Action.DELETE: ["UPDATE_SERVICES"],
            Action.SUSPEND: ["UPDATE_SERVICES"],
            Action.RESUME: ["UPDATE_SERVICES"],
            Action.UPDATE: [],
        },
    ),
    Kind.SERVICE_SUBSCRIPTION: Case(
        component(subscription), {Action.ADD: ["PURCHASE_DEAL"], Action.DELETE: ["CANCEL_PRODUCT"], Action.UPDATE: []}
    ),
    Kind.SERVICE_DISCOUNT: Case(
        component(discount), {Action.ADD: ["PURCHASE_DEAL"], Action.DELETE: ["CANCEL_DISCOUNT"], Action.UPDATE: []}
    ),
    Kind.SERVICE_ITEM: Case(component(item), {Action.ADD: ["PURCHASE_DEAL"]}),
    Kind.SPECIAL_RATING: Case(
        component(friends), {Action.ADD: ["CREATE_PROFILE"], Action.DELETE: ["DELETE_PROFILE"], Action.UPDATE: []}
    ),
    Kind.ACCOUNT_SUBSCRIPTION: Case(
        lambda action: (subscription("1", action, asset="al1"),),
        {
            Action.ADD: ["PURCHASE_DEAL"],
            Action.DELETE: ["CANCEL_PRODUCT"],
            Action.SUSPEND: ["SET_PRODUCT_STATUS"],
            Action.RESUME: ["SET_PRODUCT_STATUS"],
            Action.UPDATE: [],
        },
    ),
    Kind.ACCOUNT_DISCOUNT: Case(
        lambda action: (discount("1", action, asset="al2"),),
        {
            Action.ADD: ["PURCHASE_DEAL"],
            Action.DELETE: ["CANCEL_DISCOUNT"],
            Action.SUSPEND: ["SET_DISCOUNT_STATUS"],
            Action.RESUME: ["SET_DISCOUNT_STATUS"],
            Action.UPDATE: [],
        },
    ),
    Kind.ACCOUNT_ITEM: Case(lambda action: (item("1", action),), {Action.ADD: ["PURCHASE_DEAL"]}),
    Kind.SIMPLE_BUNDLE: Case(
        lambda action: (
            subscription("1", action, asset="em1", service_instance=True, service_type="/service/email", service_id="a@b"),
        ),
        {
            Action.ADD: ["MODIFY_CUSTOMER"],
            Action.DELETE: ["UPDATE_SERVICES"],
            Action.SUSPEND: ["UPDATE_SERVICES"],
            Action.RESUME: ["UPDATE_SERVICES"],
            Action.UPDATE: [],
        },
    ),
}


def case(kind: Kind, action: Action, *, whole: bool = True) -> ParameterSet:
    """A cell of the tables; ``whole`` unless the cell promises more than the test shows."""
    marks = [pytest.mark.spec(f"bill-fulfillment:{TABLE_OF[kind]}:{action}")] if whole else []
    return pytest.param(kind, action, marks=marks, id=f"{TABLE_OF[kind]}-{kind.name}-{action}")


def fulfilled(row: Case) -> World:
    """A world in which a service exists, and the asset of the case."""
    world = World()
    world.bill(command(bundle("0"), order="ORD-0"))
    world.bill(command(*row.make(Action.ADD), order="ORD-A"))
    return world


def supported_cells() -> list:
    return [
        case(kind, action)
        for kind, row in CASES.items()
        for action in row.supported
        if action is not Action.UPDATE  # what an UPDATE does is in test_attribute_matrix
    ]


@pytest.mark.parametrize(("kind", "action"), supported_cells())
def test_a_supported_action_makes_its_call(kind, action):
    row = CASES[kind]
    world = World()
    world.bill(command(bundle("0"), order="ORD-0"))
    if action is not Action.ADD:
        world.bill(command(*row.make(Action.ADD), order="ORD-A"))
    assert cell(kind, action) is Cell.YES
    result = world.bill(command(*row.make(action), order="ORD-B"))
    assert calls(result.plan) == row.supported[action]
    assert result.decisions[-1].kind is kind
    assert result.decisions[-1].outcome is Outcome.PROCESSED


def refused_cells() -> list:
    return [
        case(kind, action, whole=(kind, action) != (Kind.ACCOUNT_ITEM, Action.UPDATE))  # its revisions may not move yet
        for kind in CASES
        for action in ACTIONS
        if MATRIX[kind, action] is Cell.REJECTED
    ]


@pytest.mark.parametrize(("kind", "action"), refused_cells())
def test_an_action_the_tables_do_not_know_is_refused_without_a_call(kind, action):
    row = CASES[kind]
    result = fulfilled(row).bill(command(*row.make(action), order="ORD-B"))
    bought_once = kind in (Kind.SERVICE_ITEM, Kind.ACCOUNT_ITEM) and action in (Action.UPDATE, Action.DELETE)
    assert reasons(result) == ["ITEM_CHANGE_NOT_ALLOWED" if bought_once else "LINE_ACTION_NOT_SUPPORTED"]
    assert result.plan.is_empty


def ignored_cells() -> list:
    return [
        case(kind, action, whole=MATRIX[kind, action] is Cell.IGNORED)  # that a MOVE_DELETE names what moves: test_moves
        for kind in CASES
        for action in ACTIONS
        if MATRIX[kind, action] in (Cell.IGNORED, Cell.FIND)
    ]


@pytest.mark.parametrize(("kind", "action"), ignored_cells())
def test_an_action_the_tables_ignore_makes_no_call_and_no_error(kind, action):
    row = CASES[kind]
    result = fulfilled(row).bill(command(*row.make(action), order="ORD-B"))
    assert result.decisions[-1].outcome is Outcome.IGNORED
    assert result.plan.is_empty


@pytest.mark.parametrize(
    "action", [pytest.param(action, marks=pytest.mark.spec(f"bill-fulfillment:DX-4:{action}")) for action in ACTIONS]
)
def test_a_sponsorship_outside_a_group_is_refused(action):
    result = World().bill(command(line("1", action, asset="sp1", billing_type=BillingType.SPONSORSHIP)))
    assert reasons(result) == ["LINE_ACTION_NOT_SUPPORTED"]
    assert result.plan.is_empty


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(action, marks=pytest.mark.spec(f"bill-fulfillment:DX-1:{action}"))
        for action in ACTIONS
        if action not in (Action.ADD, Action.DELETE)
    ],
)
@pytest.mark.parametrize("product_type", [ProductType.PROMOTION_GROUP, ProductType.PG_MEMBERSHIP, ProductType.PG_REWARD])
def test_promotion_groups_cannot_be_changed_suspended_or_moved(action, product_type):
    result = World().bill(command(line("1", action, asset="pg1", product_type=product_type)))
    assert reasons(result) == ["LINE_ACTION_NOT_SUPPORTED"]
    assert result.plan.is_empty


@pytest.mark.spec("bill-fulfillment:PT-05")
def test_an_asset_that_is_billed_already_is_left_as_it_is():
    world = fulfilled(CASES[Kind.ACCOUNT_SUBSCRIPTION])
    result = world.bill(command(subscription("7", asset="al1"), order="ORD-B"))
    assert outcomes(result) == [Outcome.NO_CHANGE]
    assert result.decisions[0].objects == {"PRODUCT": world.facts.installed["al1", "PRODUCT"]}
    assert result.plan.is_empty


@pytest.mark.spec("bill-fulfillment:PT-13")
@pytest.mark.parametrize("mode", Mode)
def test_cancelling_what_never_was_billed_only_warns(mode):
    result = World().bill(command(subscription("1", Action.DELETE, mode=mode)))
    assert outcomes(result) == [Outcome.NO_CHANGE]
    assert warnings(result) == ["NOTHING_TO_CANCEL"]
    assert result.plan.is_empty


@pytest.mark.spec("bill-fulfillment:PT-16")
@pytest.mark.parametrize("action", [Action.SUSPEND, Action.RESUME, Action.MOVE_ADD])
def test_suspending_or_moving_what_is_not_in_billing_is_refused(action):
    assert reasons(World().bill(command(bundle("1", action, move_from="sb0")))) == ["ASSET_NOT_IN_BILLING"]


@pytest.mark.spec("bill-fulfillment:PT-17")
def test_a_line_without_action_only_lends_its_place_in_the_tree():
    world = World()
    world.bill(command(bundle("1")))
    result = world.bill(command(bundle("1", Action.NONE), subscription("2", parent_id="1"), order="ORD-2"))
    assert outcomes(result) == [Outcome.IGNORED, Outcome.PROCESSED]
    assert result.plan.steps[0].call.input["SERVICE_OBJ"] == world.facts.installed["sb1", "SERVICE"]


@pytest.mark.spec("bill-fulfillment:CP-10")
@pytest.mark.parametrize("action", [Action.UPDATE, Action.ADD])
@pytest.mark.parametrize("kind", [kind for kind in CASES if kind not in ITEMS])
def test_a_cancellation_that_was_carried_out_cannot_be_taken_back_by_a_revision(kind, action):
    row = CASES[kind]
    world = fulfilled(row)
    assert world.bill(command(*row.make(Action.DELETE), order="ORD-B")).decisions[-1].state is State.CANCELLED
    result = world.bill(command(*row.make(action), order="ORD-B", revision=2))
    assert reasons(result) == ["CANNOT_COMPENSATE"]
    assert result.plan.is_empty


def test_cancelling_twice_is_success():
    world = fulfilled(CASES[Kind.ACCOUNT_SUBSCRIPTION])
    world.bill(command(subscription("1", Action.DELETE, asset="al1"), order="ORD-B"))
    result = world.bill(command(subscription("1", Action.DELETE, asset="al1"), order="ORD-C"))
    assert outcomes(result) == [Outcome.NO_CHANGE]
    assert result.decisions[0].state is State.CANCELLED


def test_a_line_for_another_instance_is_refused():
    result = World().bill(command(subscription("1", target_system_id="BRM_02")))
    assert reasons(result) == ["ROUTE_TARGET_MISMATCH"]


def family() -> tuple[World, tuple[Line, ...]]:
    world = World()
    lines = (
        promotion("1", payer=Payer("", "Ann", "")),
        bundle("2"),
        bundle("3", asset="vm", parent_id="2", service_type="/service/voicemail"),
        subscription("4", parent_id="2", promotion="pr1"),
        discount("5", parent_id="2", promotion="pr1"),
        subscription("6", asset="al1"),
    )
    world.bill(command(*lines))
    return world, lines


def same(lines: tuple[Line, ...], action: Action) -> list[Line]:
    return [replace(one, action=action) for one in lines]


@pytest.mark.spec("bill-fulfillment:PT-12")
@pytest.mark.parametrize("mode", Mode)
def test_what_is_initiated_or_fulfilled_is_cancelled_by_a_disconnect(mode):
    world = World()
    world.bill(command(bundle("1", mode=mode), subscription("2", parent_id="1", mode=mode)))
    gone = [bundle("1", Action.DELETE), subscription("2", Action.DELETE, parent_id="1")]
    result = world.bill(command(*gone, order="ORD-2"))
    assert calls(result.plan) == ["CANCEL_PRODUCT", "UPDATE_SERVICES"]
    assert {decision.state for decision in result.decisions} == {State.CANCELLED}


def test_a_disconnect_cancels_offers_then_nested_then_top_services_then_the_promotion():
    world, lines = family()
    result = world.bill(command(*same(lines, Action.DELETE), order="ORD-2"))
    assert [step.key for step in result.plan.steps] == [
        "discount:ds1:cancel",
        "product:pd1:cancel",
        "product:al1:cancel",
        "service:vm:cancel",
        "service:sb1:cancel",
        "bundle:pr1:cancel",
    ]
    waits = {step.key: set(step.after) for step in result.plan.steps}
    assert waits["service:sb1:cancel"] == {"discount:ds1:cancel", "product:pd1:cancel", "service:vm:cancel"}
    assert waits["bundle:pr1:cancel"] == {"discount:ds1:cancel", "product:pd1:cancel"}

    again = world.bill(command(*same(lines, Action.DELETE), order="ORD-2"))
    assert again.plan.is_empty
    assert set(outcomes(again)) == {Outcome.NO_CHANGE}


def statuses(result: Result) -> list[int]:
    """States that services and account-level products are put into, in the order of the calls."""
    changes = [get(step.call.input, "SERVICES[0]") or get(step.call.input, "PRODUCTS[0]") or {} for step in result.plan.steps]
    return [get(change, "STATUSES[0].STATUS") for change in changes if "STATUSES" in change]


@pytest.mark.spec("bill-fulfillment:T10")
def test_a_suspended_service_carries_its_components_and_its_fee_is_bought_first():
    world, lines = family()
    fee = item("9", related_line_id="2")
    suspended = [one for one in same(lines, Action.SUSPEND) if one.line_id != "1"]
    result = world.bill(command(*suspended, fee, order="ORD-2"))
    assert calls(result.plan) == ["PURCHASE_DEAL", "UPDATE_SERVICES", "UPDATE_SERVICES", "SET_PRODUCT_STATUS"]
    assert {decision.line.line_id: decision.outcome for decision in result.decisions if decision.line.line_id in "45"} == {
        "4": Outcome.IGNORED,
        "5": Outcome.IGNORED,
    }
    assert statuses(result) == [Status.INACTIVE, Status.INACTIVE, OfferStatus.INACTIVE]
    resumed = world.bill(command(*[one for one in same(lines, Action.RESUME) if one.line_id != "1"], order="ORD-3"))
    assert calls(resumed.plan) == ["UPDATE_SERVICES", "UPDATE_SERVICES", "SET_PRODUCT_STATUS"]
    assert statuses(resumed) == [Status.ACTIVE, Status.ACTIVE, OfferStatus.ACTIVE]
    alone = world.bill(command(bundle("2", Action.NONE), same(lines, Action.SUSPEND)[3], order="ORD-4"))
    assert reasons(alone) == ["LINE_ACTION_NOT_SUPPORTED"]
    assert alone.plan.is_empty
    disconnected = world.bill(command(*same(lines, Action.DELETE), order="ORD-5"))
    assert calls(disconnected.plan) == [
        "CANCEL_DISCOUNT",
        "CANCEL_PRODUCT",
        "CANCEL_PRODUCT",
        "UPDATE_SERVICES",
        "UPDATE_SERVICES",
        "SET_BUNDLE",
    ]
    assert set(statuses(disconnected)) == {Status.CLOSED}
    again = world.bill(command(*same(lines, Action.DELETE), order="ORD-5"))
    assert again.plan.is_empty
    assert set(outcomes(again)) == {Outcome.NO_CHANGE}


def test_a_charge_for_a_disconnect_is_bought_before_the_service_closes():
    world, _ = family()
    result = world.bill(command(bundle("2", Action.DELETE), item("9", related_line_id="2"), order="ORD-2"))
    assert calls(result.plan) == ["PURCHASE_DEAL", "UPDATE_SERVICES"]
    assert result.plan.steps[1].after == ("purchase:9",)

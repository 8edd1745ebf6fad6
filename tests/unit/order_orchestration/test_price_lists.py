"""Price lists of lines: tables 8-2 to 8-4 of the guide and the rules PL-1 to PL-11."""

from __future__ import annotations

import pytest

from libs.errors import Reason
from services.order_orchestration.domain.model import Action, BillingType, Line, Order, ProductType
from services.order_orchestration.domain.price_list import resolve_price_lists


def line(line_id: str, sent: str = "", action: Action = Action.ADD, **more: object) -> Line:
    values: dict[str, object] = {"product_type": ProductType.PRODUCT, "billing_type": BillingType.SUBSCRIPTION, **more}
    return Line(line_id, action=action, price_list=sent, **values)  # type: ignore[arg-type]


def bundle(line_id: str, sent: str = "", action: Action = Action.ADD, **more: object) -> Line:
    kind = {"product_type": ProductType.SERVICE_BUNDLE, "billing_type": BillingType.SERVICE_BUNDLE}
    return line(line_id, sent, action, **{**kind, **more})


def resolve(*lines: Line, header: str = "Standard") -> tuple[dict[str, str], list[Reason]]:
    resolved, notices = resolve_price_lists(Order("O", "1", 1, "SEBL_01", price_list=header, lines=lines))
    return dict(resolved), [notice.reason for notice in notices]


@pytest.mark.spec("order-orchestration:OO-PL-01")
def test_a_new_order_takes_own_lists_then_the_bundles_then_the_headers() -> None:
    premium = "Premium Consumer"
    lines = (line("1"), bundle("2", premium), line("2.1", premium, parent_id="2"), line("2.2", premium, parent_id="2"))
    assert resolve(*lines) == ({"1": "Standard", "2": premium, "2.1": premium, "2.2": premium}, [])


def test_components_take_the_bundles_list_even_when_the_crm_did_not_fill_it() -> None:
    resolved, notices = resolve(bundle("2", "Premium"), line("2.1", parent_id="2"), line("2.1.1", parent_id="2.1"))
    assert set(resolved.values()) == {"Premium"} and not notices


@pytest.mark.spec("order-orchestration:OO-PL-03")
def test_a_modify_order_with_manual_overrides_changes_every_line() -> None:
    lines = (
        line("1", "Consumer", Action.UPDATE, manual_override=True),
        bundle("2", "Premium Consumer", Action.UPDATE, manual_override=True),
        line("2.1", "", Action.UPDATE, parent_id="2", manual_override=True),
        line("2.2", "", Action.UPDATE, parent_id="2", manual_override=True),
    )
    premium = "Premium Consumer"
    assert resolve(*lines) == ({"1": "Consumer", "2": premium, "2.1": premium, "2.2": premium}, [])


def test_a_changed_header_reaches_only_new_lines_of_a_modify_order() -> None:
    resolved, _ = resolve(line("1", action=Action.NONE), line("2", action=Action.UPDATE), line("3"), header="New")
    assert resolved == {"1": "", "2": "", "3": "New"}


@pytest.mark.spec("order-orchestration:OO-PL-07")
def test_a_list_on_a_line_with_nothing_to_do_is_ignored_with_a_warning() -> None:
    resolved, notices = resolve(line("1", "Premium", Action.NONE))
    assert resolved == {"1": ""} and notices == [Reason.PRICE_LIST_CHANGE_IGNORED]


@pytest.mark.spec("order-orchestration:OO-PL-08")
def test_an_overridden_line_without_a_list_takes_the_headers() -> None:
    assert resolve(line("1", "", Action.UPDATE, manual_override=True))[0] == {"1": "Standard"}


@pytest.mark.spec("order-orchestration:OO-PL-10")
def test_the_bundles_list_wins_over_a_components() -> None:
    resolved, notices = resolve(bundle("2", "Premium"), line("2.1", "Basic", parent_id="2"))
    assert resolved["2.1"] == "Premium" and notices == [Reason.PRICE_LIST_COMPONENT_OVERRIDDEN]
    resolved, notices = resolve(bundle("2"), line("2.1", "Premium", parent_id="2"))
    assert resolved == {"2": "Standard", "2.1": "Standard"} and notices == [Reason.PRICE_LIST_COMPONENT_OVERRIDDEN]


@pytest.mark.spec("order-orchestration:OO-PL-14")
@pytest.mark.parametrize("link", [{"parent_id": "0"}, {"promotion_line_id": "0"}])
def test_a_marketing_bundles_list_reaches_its_services_and_their_components(link: dict[str, str]) -> None:
    promotion = line("0", "Premium", product_type=ProductType.PROMOTION, billing_type=BillingType.UNSPECIFIED)
    resolved, notices = resolve(promotion, bundle("1", **link), line("1.1", parent_id="1"))
    assert set(resolved.values()) == {"Premium"} and not notices

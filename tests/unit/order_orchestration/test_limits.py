"""How large an order may be when nobody says otherwise."""

from __future__ import annotations

from libs.config import local_settings
from services.bill_fulfillment.config import Settings as BillingSettings
from services.order_orchestration.config import Settings
from services.order_orchestration.domain.shape import too_large


def test_by_default_an_order_of_ten_thousand_lines_is_taken_and_one_more_is_refused() -> None:
    policy = local_settings(Settings).policy()
    assert too_large(10_000, policy) == []
    assert [(violation.reason, violation.field) for violation in too_large(10_001, policy)] == [
        ("ORDER_TOO_LARGE", "order.lines")
    ]


def test_billing_takes_by_default_whatever_orchestration_takes() -> None:
    assert local_settings(BillingSettings).max_lines == local_settings(Settings).max_lines

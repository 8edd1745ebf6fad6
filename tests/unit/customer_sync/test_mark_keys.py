"""Keys that mark card and bank details, as a site gives them."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from libs.brm import calls as brm
from libs.config import BillingSystem, local_settings
from services.customer_sync.config import Settings

KEY, OLDER = "0123456789abcdef" * 2, "fedcba9876543210" * 2
VARIABLE = "O2C_CUSTOMER_SYNC_MARK_KEYS"
BRM_01 = BillingSystem(code="BRM_01", endpoint="http://127.0.0.1:1/BRM_01")
CARD = brm.CardPayInfo(number="4111111111111111", expiry="0130")


def test_the_policy_of_every_instance_marks_with_the_newest_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, json.dumps([KEY, OLDER]))
    both = local_settings(Settings).targets([BRM_01]).policy_of("BRM_01").marker
    monkeypatch.setenv(VARIABLE, json.dumps([KEY]))
    one = local_settings(Settings).targets([BRM_01]).policy_of("BRM_01").marker
    assert both.mark("BP", CARD) == one.mark("BP", CARD) != ""
    assert [key for _, key in both.keys] == [KEY.encode(), OLDER.encode()]


def test_without_keys_nothing_is_marked() -> None:
    assert local_settings(Settings).targets([BRM_01]).policy_of("BRM_01").marker.mark("BP", CARD) == ""


def test_a_short_key_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, json.dumps([KEY, "short and secret"]))
    with pytest.raises(ValidationError, match="32 characters") as refused:
        local_settings(Settings)
    assert "secret" not in str(refused.value) and KEY not in str(refused.value)


def test_settings_and_policies_do_not_show_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, json.dumps([KEY]))
    settings = local_settings(Settings)
    assert KEY not in repr(settings) and KEY not in repr(settings.targets([BRM_01]))

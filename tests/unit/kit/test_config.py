"""Settings: frozen, described, and no misspelling passes."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field, SecretStr, ValidationError

from libs.config import (
    BillingSystem,
    ServiceSettings,
    SettingsError,
    UnknownSettings,
    describe,
    from_environment,
    load_billing_systems,
)


class Settings(ServiceSettings):
    model_config = from_environment("KITTEST")

    batch_limit: int = Field(1000, ge=1, description="Keys per batch.")


@pytest.fixture(autouse=True)
def database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("O2C_KITTEST_DATABASE_URL", "postgresql://user:secret@db/x")


def test_settings_come_from_the_services_variables_and_are_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("O2C_KITTEST_BATCH_LIMIT", "7")
    monkeypatch.setenv("O2C_KITTEST_TLS_CLIENTS", '["a", "b"]')
    settings = Settings()
    assert (settings.batch_limit, settings.tls_clients, settings.listen) == (7, ("a", "b"), "127.0.0.1:50051")
    with pytest.raises(ValidationError):
        settings.batch_limit = 8


def test_a_misspelt_variable_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("O2C_KITTEST_BATCHLIMIT", "7")
    with pytest.raises(UnknownSettings, match="O2C_KITTEST_BATCHLIMIT"):
        Settings()


def test_a_missing_or_wrong_value_is_refused_and_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("O2C_KITTEST_BATCH_LIMIT", "0")
    with pytest.raises(ValidationError, match="batch_limit") as error:
        Settings()
    assert "secret" not in str(error.value)
    monkeypatch.setenv("O2C_KITTEST_BATCH_LIMIT", "1")
    monkeypatch.setenv("O2C_KITTEST_TOKEN", "hush")
    assert "secret" not in repr(Settings())
    assert "hush" not in repr(Settings())
    assert Settings().token == SecretStr("hush")
    monkeypatch.delenv("O2C_KITTEST_DATABASE_URL")
    with pytest.raises(ValidationError, match="database_url"):
        Settings()


def test_every_setting_is_described() -> None:
    rows = describe(Settings)
    assert ("O2C_KITTEST_BATCH_LIMIT", "int", "1000", "Keys per batch.") in rows
    assert [row[0] for row in rows if not row[3]] == []
    assert next(row for row in rows if row[0] == "O2C_KITTEST_DATABASE_URL")[2] == "required"


def test_without_configuration_there_is_one_billing_system() -> None:
    assert load_billing_systems({}) == (BillingSystem(code="BRM_01", db_no="0.0.0.1"),)


def test_billing_systems_come_from_json_or_a_file(tmp_path: Path) -> None:
    text = '[{"code": "BRM_01", "endpoint": "http://a"}, {"code": "BRM_02", "read_only": true, "phone_masks": ["999 9999"]}]'
    records = load_billing_systems({"O2C_BILLING_SYSTEMS": text})
    assert [(one.code, one.db_no, one.read_only) for one in records] == [
        ("BRM_01", "0.0.0.1", False),
        ("BRM_02", "0.0.0.2", True),
    ]
    file = tmp_path / "systems.toml"
    file.write_text(
        '[[billing_systems]]\ncode = "BRM_01"\nendpoint = "http://a"\n'
        '[[billing_systems]]\ncode = "BRM_02"\nread_only = true\nphone_masks = ["999 9999"]\n'
    )
    assert load_billing_systems({"O2C_BILLING_SYSTEMS_FILE": str(file)}) == records


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"code": "brm"}]', "0.code"),
        ('[{"code": "BRM_01", "slbg": true}]', "0.slbg"),
        ('[{"code": "BRM_01"}, {"code": "BRM_01"}]', "twice"),
        ("[", "not JSON"),
    ],
)
def test_a_wrong_billing_system_is_named(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load_billing_systems({"O2C_BILLING_SYSTEMS": text})

"""The BRM instances a suite serves: one record each, the same list for every service (Guide: appendix on several instances)."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from libs.config.errors import SettingsError

JSON_VARIABLE = "O2C_BILLING_SYSTEMS"
FILE_VARIABLE = "O2C_BILLING_SYSTEMS_FILE"


class BillingSystem(BaseModel):
    """One billing system."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = Field(pattern=r"^[A-Z][A-Z0-9]*_\d{2}$", description="System code, also its cross-reference column: `BRM_01`.")
    kind: Literal["BRM"] = Field("BRM", description="Product behind the code.")
    endpoint: str = Field("", description="Address of its Web Services Manager, up to the service's name; several by comma.")
    db_no: str = Field(
        "", description="Database number in its POIDs, such as `0.0.0.1`; empty follows the code: BRM_02 is 0.0.0.2."
    )
    dialect_file: str = Field(
        "", description="TOML file with what is particular to its web services: dialect, login, TLS, limits, stored searches."
    )
    enabled: bool = Field(True, description="Whether orders may go there.")
    read_only: bool = Field(False, description="Whether it only answers queries.")
    service_level_balance_groups: bool = Field(
        True, description="Whether services may have balance groups of their own (SLBG)."
    )
    thirty_one_day_billing: bool = Field(False, description="Whether bill days 29 to 31 are allowed.")
    phone_masks: tuple[str, ...] = Field(
        (), description="Masks that phone numbers must fit, `9` for a digit; empty allows any."
    )

    @model_validator(mode="before")
    @classmethod
    def _number_from_code(cls, given: Any) -> Any:
        if isinstance(given, dict) and not given.get("db_no") and str(given.get("code", ""))[-2:].isdigit():
            return {**given, "db_no": f"0.0.0.{int(given['code'][-2:])}"}
        return given


_RECORDS = TypeAdapter(tuple[BillingSystem, ...])


def load_billing_systems(environment: Mapping[str, str] | None = None) -> tuple[BillingSystem, ...]:
    """The records, in the order given.

    Read from ``O2C_BILLING_SYSTEMS`` (a JSON list), else from the TOML file ``O2C_BILLING_SYSTEMS_FILE`` (an array of tables
    ``[[billing_systems]]``), else one enabled ``BRM_01`` without an endpoint. Raises :class:`SettingsError` saying which
    record is wrong.
    """
    environment = os.environ if environment is None else environment
    try:
        records = _RECORDS.validate_python(_given(environment))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_input=False))
        raise SettingsError(f"billing systems: {wrong}") from None
    codes = [record.code for record in records]
    if len(set(codes)) < len(codes):
        raise SettingsError(f"billing systems: a code occurs twice in {', '.join(codes)}")
    return records


def _given(environment: Mapping[str, str]) -> Any:
    text = environment.get(JSON_VARIABLE)
    if text:
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise SettingsError(f"{JSON_VARIABLE}: not JSON, {error}") from None
    path = environment.get(FILE_VARIABLE)
    if path:
        with Path(path).open("rb") as file:
            return tomllib.load(file).get("billing_systems", [])
    return [{"code": "BRM_01"}]

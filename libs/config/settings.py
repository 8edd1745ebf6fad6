"""Base classes of settings, and their description for the generated pages."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, SecretStr
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from libs.config.errors import UnknownSettings

S = TypeVar("S", bound="ServiceSettings")


def from_environment(service: str) -> SettingsConfigDict:
    """Configuration of a settings class read from ``O2C_<SERVICE>_…``; ``service`` in capitals, such as ``XREF``."""
    return SettingsConfigDict(env_prefix=f"O2C_{service}_", frozen=True, extra="forbid", hide_input_in_errors=True)


class Settings(BaseSettings):
    """Base of every settings class: frozen, from the environment only, unknown variables refused."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment; nothing else. Raises :class:`UnknownSettings`."""
        prefix = settings_cls.model_config.get("env_prefix", "")
        known = {variable(settings_cls, name) for name in settings_cls.model_fields}
        unknown = sorted(name for name in os.environ if prefix and name.startswith(prefix) and name not in known)
        if unknown:
            raise UnknownSettings(f"unknown settings: {', '.join(unknown)}; known are: {', '.join(sorted(known))}")
        return init_settings, env_settings


class ServiceSettings(Settings):
    """What every service can be told."""

    listen: str = Field("127.0.0.1:50051", description="Address to serve on, `host:port`; port 0 takes a free one.")
    database_url: str = Field(
        description="Where rows live: `sqlite:///absolute/path.db` (one pod), `postgresql://user:pw@host:port/db` (many pods)."
        " `sqlite://:memory:` forgets everything at the end.",
        repr=False,
    )
    metrics_port: int = Field(0, ge=0, le=65535, description="Port of `/metrics` on the host of `listen`; 0 serves none.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe messages to log.")
    access_log: bool = Field(True, description="Whether to log one line per RPC.")
    max_in_flight: int = Field(1000, ge=1, description="RPCs in work at once; more are refused with OVERLOADED.")
    min_time_left_ms: int = Field(10, ge=0, description="Calls with less time left than this are refused at once, in ms.")
    drain_seconds: float = Field(30.0, ge=0, description="How long RPCs in work may take after SIGTERM, in seconds.")
    drain_notice_seconds: float = Field(
        0.0, ge=0, description="How long to report NOT_SERVING before refusing calls, in seconds, so that balancers look away."
    )
    reuse_port: bool = Field(False, description="Share the port with other processes of this service (SO_REUSEPORT).")
    plaintext: bool = Field(False, description="Allow unencrypted traffic beyond the loopback interface.")
    tls_certificate: Path | None = Field(None, description="PEM file with the certificate chain of this service.")
    tls_key: Path | None = Field(None, description="PEM file with its private key.")
    tls_ca: Path | None = Field(
        None, description="PEM file with the authorities that sign clients; asks clients for certificates."
    )
    tls_clients: tuple[str, ...] = Field(
        (), description="Names of client certificates that may call; empty allows any signed one."
    )
    access_file: Path | None = Field(
        None, description="TOML file with bearer tokens (hashed), their roles, and roles per RPC; RPCs not listed are refused."
    )
    token: SecretStr | None = Field(None, description="Bearer token this service sends to the services it calls.")


class PurgeSettings(ServiceSettings):
    """What a service can be told that forgets at an age."""

    purge_minutes: float = Field(60.0, gt=0, description="How often what is older than its days is forgotten.")


class AgeingSettings(PurgeSettings):
    """What a service can be told that keeps answers, and forgets them."""

    answer_days: int = Field(
        30, ge=1, description="Days for which the answer to a call with a request id is kept, for the same call again."
    )


class JournalSettings(AgeingSettings):
    """What a service can be told that runs plans."""

    journal_days: int = Field(
        90,
        ge=1,
        description="Days for which the steps of a finished run are kept. A run with a step of which nobody knows what came"
        " of it is kept for good.",
    )
    journal_failed_days: int = Field(
        400, ge=1, description="Days for which the steps of a run with a step that failed are kept, after the last try."
    )

    @property
    def journal_ages(self) -> tuple[int, int, int]:
        """Days for which answers, the steps of finished runs, and those of runs with a failed step are kept."""
        return self.answer_days, self.journal_days, self.journal_failed_days


def variable(settings: type[BaseSettings], name: str) -> str:
    """Environment variable of a field."""
    return f"{settings.model_config.get('env_prefix', '')}{name}".upper()


def local_settings(settings: type[S] = ServiceSettings, **values: Any) -> S:  # type: ignore[assignment]
    """Settings for tests and tools: a free loopback port, a private database, no access log, unless ``values`` say else."""
    return settings(**{"listen": "127.0.0.1:0", "database_url": "sqlite://:memory:", "access_log": False, **values})


def describe(settings: type[BaseSettings]) -> list[tuple[str, str, str, str]]:
    """One row per setting, in order of declaration: variable, type, default, meaning."""
    rows = []
    for name, field in settings.model_fields.items():
        shown = _shown(field.get_default(call_default_factory=True, validated_data={}))
        rows.append((variable(settings, name), _type_name(field.annotation), shown, field.description or ""))
    return rows


def _shown(default: Any) -> str:
    if default is PydanticUndefined:
        return "required"
    if default is None or default in ("", (), [], {}):
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    return str(default)


def _type_name(annotation: Any) -> str:
    if isinstance(annotation, type) and not getattr(annotation, "__args__", None):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("pathlib.", "").replace("pydantic.types.", "").replace(" | None", "")

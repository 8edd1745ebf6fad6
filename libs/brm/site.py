"""What is particular to the web services of one BRM instance: its file (docs/reference/dialect.md) as settings of ours."""

from __future__ import annotations

import math
import ssl
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from libs.brm.auth import Auth, BasicAuth, BearerTokenFile, NoAuth
from libs.brm.calls import SEARCHES
from libs.brm.dialect import Dialect
from libs.brm.http import split
from libs.brm.specs import Timeout
from libs.brm.transport import Instance
from libs.config import BillingSystem, SettingsError

_TABLES: Final = ("dialect", "auth", "tls", "limits", "timeouts", "stored_searches")
_LIMITS: Final = ("max_connections", "pool_wait", "connect_timeout", "deadline_margin", "settle_delays")
_LONGEST_DELAY: Final = 300.0


def instance_of(system: BillingSystem) -> Instance:
    """The connection settings of a billing system.

    Raises :class:`SettingsError` for an address that is none and for a dialect file that cannot be used.
    """
    options = load_site(system.dialect_file) if system.dialect_file else {}
    instance = Instance.of(system.code, system.endpoint, system.db_no, **options)
    for endpoint in instance.endpoints:
        try:
            split(endpoint)
        except ValueError as error:
            raise SettingsError(f"endpoint of {system.code}: {error}") from error
    return instance


def load_site(path: str | Path) -> dict[str, Any]:
    """The options of :class:`~libs.brm.transport.Instance` that a site's TOML file gives.

    Files that it names (token, password, certificates) are relative to it; secrets stay in files of their own. Raises
    :class:`SettingsError` that names the file and what is wrong with it.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _options(tomllib.load(file), path.parent)
    except (OSError, ValueError, TypeError, ssl.SSLError) as error:
        raise SettingsError(f"{path}: {error}") from error


def _options(site: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    _only(site, _TABLES, "table")
    options: dict[str, Any] = {"dialect": Dialect.from_config(site.get("dialect", {})), **_limits(site.get("limits", {}))}
    if "auth" in site:
        options["auth"] = _auth(site["auth"], folder)
    if "tls" in site:
        options["tls"] = _tls(site["tls"], folder)
    if "timeouts" in site:
        given = {Timeout(name): _seconds(name, seconds) for name, seconds in site["timeouts"].items()}
        options["timeouts"] = {Timeout.READ: 10.0, Timeout.WRITE: 30.0, Timeout.LONG: 120.0} | given
    searches = site.get("stored_searches", {})
    _only(searches, tuple(SEARCHES), "search")
    if searches:
        options["stored_searches"] = {SEARCHES[name].template: int(number) for name, number in searches.items()}
    return options


def _limits(given: Mapping[str, Any]) -> dict[str, Any]:
    _only(given, _LIMITS, "limit")
    limits: dict[str, Any] = {}
    for name, value in given.items():
        if name == "max_connections":
            if type(value) is not int or value < 1:
                raise ValueError(f"{name}: {value!r} is no number of connections")
            limits[name] = value
        elif name == "settle_delays":
            limits[name] = _delays(name, value)
        else:
            limits[name] = _seconds(name, value, least=0.0)
    return limits


def _delays(name: str, given: Any) -> tuple[float, ...]:
    """Seconds to wait before each look for a write of unknown outcome; at least one look must be taken."""
    if not isinstance(given, list) or not given:
        raise ValueError(f"{name}: a list of seconds is expected, one per look, not {given!r}")
    delays = tuple(_seconds(name, value, least=0.0) for value in given)
    if max(delays) > _LONGEST_DELAY:
        raise ValueError(f"{name}: no look may wait longer than {_LONGEST_DELAY:g} seconds")
    return delays


def _seconds(name: str, given: Any, least: float = 0.001) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given) or given < least:
        raise ValueError(f"{name}: {given!r} is no number of seconds")
    return float(given)


def _auth(given: Mapping[str, Any], folder: Path) -> Auth:
    match dict(given):
        case {"kind": "none", **rest} if not rest:
            return NoAuth()
        case {"kind": "bearer", "token_file": token, **rest} if not rest:
            return BearerTokenFile(folder / token)
        case {"kind": "basic", "user": user, "password_file": password, **rest} if not rest:
            return BasicAuth(user, (folder / password).read_text(encoding="utf-8").strip())
    raise ValueError("auth takes kind = none, kind = bearer with token_file, or kind = basic with user and password_file")


def _tls(given: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    _only(given, ("ca_file", "certificate_file", "key_file"), "TLS setting")
    context = ssl.create_default_context(cafile=str(folder / given["ca_file"]) if "ca_file" in given else None)
    if "certificate_file" in given:
        key = str(folder / given["key_file"]) if "key_file" in given else None
        context.load_cert_chain(str(folder / given["certificate_file"]), key)
    return context


def _only(given: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"no such {what}: {', '.join(unknown)}; known are {', '.join(known)}")

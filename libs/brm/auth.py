"""How we say who we are to BRM's web services: the ``Authorization`` header."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from aiohttp import encode_basic_auth


class Auth(Protocol):
    """Gives the header's value."""

    def header(self, *, refresh: bool = False) -> str | None:
        """The value, ``None`` for no header. ``refresh`` asks for a new one, after the server refused the last."""
        ...

    @property
    def can_refresh(self) -> bool:
        """Whether asking again may give another value."""
        ...


class NoAuth:
    """No header."""

    can_refresh = False

    def header(self, *, refresh: bool = False) -> str | None:
        return None


class BasicAuth:
    """User name and password."""

    can_refresh = False

    def __init__(self, user: str, password: str) -> None:
        self._value = encode_basic_auth(user, password, encoding="utf-8")

    def header(self, *, refresh: bool = False) -> str | None:
        return self._value


class BearerToken:
    """A fixed token."""

    can_refresh = False

    def __init__(self, token: str) -> None:
        self._value = f"Bearer {token}"

    def header(self, *, refresh: bool = False) -> str | None:
        return self._value


class BearerTokenFile:
    """A token in a file that something else keeps fresh; read again when the server refuses it."""

    can_refresh = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._value = ""

    def header(self, *, refresh: bool = False) -> str | None:
        if refresh or not self._value:
            self._value = f"Bearer {self._path.read_text(encoding='utf-8').strip()}"
        return self._value

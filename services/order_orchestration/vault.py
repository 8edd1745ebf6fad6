"""Card and bank numbers between intake and customer synchronisation: sealed with a key of the site, wiped after use.

What the seal holds is never logged and never leaves this process but in the one call that needs it (docs/adr, "sealed
payment data").
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from libs.errors import O2CError, Reason

Secret = tuple[list[str | int], str | int]
"""Path of a field and its value."""


class Vault:
    """Seals with the first key, opens with any of them: a key is changed by putting a new one in front."""

    def __init__(self, keys: Sequence[str]) -> None:
        """``keys``: Fernet keys, newest first; none: payment data is refused. ``ValueError`` on a bad key."""
        self._keys = [key.encode() for key in keys]
        self._fernet = MultiFernet([Fernet(key) for key in self._keys]) if keys else None

    def seal(self, secrets: Sequence[Secret]) -> str:
        """A token that :meth:`open` reads; empty for no secrets. Raises STORE_UNAVAILABLE when there is no key."""
        if not secrets:
            return ""
        return self._required().encrypt(orjson.dumps(secrets)).decode()

    def open(self, token: str) -> list[Secret]:
        """What was sealed. Raises STORE_UNAVAILABLE when no key opens it."""
        if not token:
            return []
        try:
            found = orjson.loads(self._required().decrypt(token.encode()))
        except InvalidToken as error:
            message = "payment data of the order was sealed with a key that is not configured"
            raise O2CError.of(Reason.STORE_UNAVAILABLE, message) from error
        return [(path, value) for path, value in found]

    def fingerprint(self, document: bytes, secrets: Sequence[Secret]) -> str:
        """Hash of a document, numbers included: those under a key, so that the hash cannot be used to guess them."""
        digest = hashlib.sha256(document)
        if secrets:
            self._required()
            digest.update(hmac.digest(self._keys[-1], orjson.dumps(secrets), "sha256"))
        return digest.hexdigest()

    def _required(self) -> MultiFernet:
        if self._fernet is None:
            message = "the order carries card or bank numbers, and no key to seal them is configured (SEAL_KEYS)"
            raise O2CError.of(Reason.STORE_UNAVAILABLE, message)
        return self._fernet

"""Ids that the server can tell from made-up ones without a list of them."""

from __future__ import annotations

import hashlib
import hmac
import os

#: Bytes of chance, and of the signature behind them.
CHANCE, SIGNATURE = 8, 8


class Ids:
    """key : of the server's profiles, so that servers that share it know each other's ids."""

    def __init__(self, key: bytes) -> None:
        self._key = hashlib.sha256(b"ids of requests" + key).digest()

    def new(self) -> str:
        """32 hexadecimal digits."""
        chance = os.urandom(CHANCE)
        return (chance + self._signature(chance)).hex()

    def is_own(self, text: str) -> bool:
        """Whether `new` made it."""
        try:
            given = bytes.fromhex(text)
        except ValueError:
            return False
        expected = self._signature(given[:CHANCE])
        return given.hex() == text and hmac.compare_digest(given[CHANCE:], expected)

    def _signature(self, chance: bytes) -> bytes:
        return hmac.digest(self._key, chance, "sha256")[:SIGNATURE]

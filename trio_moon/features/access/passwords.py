"""Passwords, kept so that they can be checked but not read. Slow on purpose: call in a worker thread."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

_COST, _BLOCK, _LANES = 1 << 14, 8, 1
_MEMORY = 64 << 20

NOBODYS = f"scrypt${_COST}${_BLOCK}${_LANES}${'A' * 22}==${'A' * 43}="
"""Looks like a kept password and takes as long to check, but none fits: for users that don't exist."""


def hash_password(password: str) -> str:
    """The text to keep: method, parameters, salt and hash."""
    salt = os.urandom(16)
    digest = _scrypt(password, salt, _COST, _BLOCK, _LANES)
    return "$".join(("scrypt", str(_COST), str(_BLOCK), str(_LANES), _text(salt), _text(digest)))


def check_password(password: str, kept: str) -> bool:
    """Whether `password` is the one that `kept` was made of."""
    method, cost, block, lanes, salt, digest = kept.split("$")
    if method != "scrypt":
        return False
    found = _scrypt(password, base64.b64decode(salt), int(cost), int(block), int(lanes))
    return hmac.compare_digest(found, base64.b64decode(digest))


def _scrypt(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=lanes, maxmem=_MEMORY, dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()

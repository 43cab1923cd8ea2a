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
    method, *costs, salt, digest = kept.split("$")
    if method == "pbkdf2":
        found = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(costs[0]))
    elif method == "scrypt":
        found = _scrypt(password, base64.b64decode(salt), *map(int, costs))
    else:
        return False
    return hmac.compare_digest(found, base64.b64decode(digest))


def as_moonraker_hashed(salt: str, digest: str) -> str:
    """The text to keep for a password that Moonraker has hashed; ValueError if it hasn't."""
    return "$".join(("pbkdf2", "100000", _text(bytes.fromhex(salt)), _text(bytes.fromhex(digest))))


def _scrypt(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=lanes, maxmem=_MEMORY, dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()

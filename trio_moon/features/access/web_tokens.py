"""JSON Web Tokens (HS256): what a logged-in client shows with each request. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Literal

from trio_moon.kit.json_codec import NotJson, decode, encode

Kind = Literal["access", "refresh"]

_HEADER = base64.urlsafe_b64encode(encode({"alg": "HS256", "typ": "JWT"})).rstrip(b"=")
_LONGEST = 4096


class BadToken(ValueError):
    """The token is none of ours, has expired, or is of the wrong kind; the message says which."""


def make_token(secret: bytes, username: str, kind: Kind, issued: float, expires: float) -> str:
    """A token that says who its bearer is, until `expires` (Unix seconds)."""
    claims = {
        "iss": "trio_moon",
        "aud": "Moonraker",
        "iat": int(issued),
        "exp": int(expires),
        "username": username,
        "token_type": kind,
    }
    signed = _HEADER + b"." + base64.urlsafe_b64encode(encode(claims)).rstrip(b"=")
    return (signed + b"." + _signature(secret, signed)).decode()


def claimed_username(token: str) -> str | None:
    """The name that a token claims, still unproven."""
    username = _claims(token).get("username")
    return username if isinstance(username, str) else None


def check_token(token: str, secret: bytes, kind: Kind, now: float) -> None:
    """Raise BadToken unless `token` was made with `secret`, is of this kind, and hasn't expired."""
    signed, _, signature = token.encode(errors="replace").rpartition(b".")
    if not hmac.compare_digest(_signature(secret, signed), signature):
        raise BadToken("the token's signature is wrong")
    claims = _claims(token)
    if claims.get("token_type") != kind:
        raise BadToken(f"this is no {kind} token")
    expires = claims.get("exp")
    if not isinstance(expires, int) or expires <= now:
        raise BadToken("the token has expired")


def _claims(token: str) -> dict[str, object]:
    parts = token.encode(errors="replace").split(b".")
    if len(parts) != 3 or len(token) > _LONGEST or parts[0] != _HEADER:
        raise BadToken("this is no token of ours")
    try:
        claims = decode(base64.urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4)))
    except (NotJson, binascii.Error) as error:
        raise BadToken("the token can't be read") from error
    if not isinstance(claims, dict):
        raise BadToken("the token can't be read")
    return claims


def _signature(secret: bytes, signed: bytes) -> bytes:
    return base64.urlsafe_b64encode(hmac.digest(secret, signed, hashlib.sha256)).rstrip(b"=")

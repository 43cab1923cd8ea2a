"""What the calls of the access room take."""

from __future__ import annotations

import msgspec


class Login(msgspec.Struct, frozen=True):
    username: str
    password: str
    source: str | None = None


class NewUser(msgspec.Struct, frozen=True):
    username: str
    password: str


class NamedUser(msgspec.Struct, frozen=True):
    username: str


class PasswordChange(msgspec.Struct, frozen=True):
    password: str
    new_password: str


class Refresh(msgspec.Struct, frozen=True):
    refresh_token: str

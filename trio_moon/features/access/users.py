"""The people who may log in, and the tokens that show they did."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from typing import Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, replace

from trio_moon.features.access.passwords import NOBODYS, check_password, hash_password
from trio_moon.features.access.web_tokens import BadToken, Kind, check_token, claimed_username, make_token
from trio_moon.kit.threads import Workers
from trio_moon.model.errors import BadParams, TooMany, Unauthorized
from trio_moon.rpc.caller import TRUSTED_USER
from trio_moon.store.namespaces import Unreadable

logger = logging.getLogger(__name__)

API_KEY_USER = "_API_KEY_USER_"
RESERVED = frozenset({TRUSTED_USER, API_KEY_USER})

ACCESS_TOKEN_SECONDS = 3600.0
NAMESPACE = "trio_moon.access"
"""Where key and users are kept; the API's database doesn't show namespaces of this prefix."""

MOST_USERS = 256
LONGEST_NAME = 100
LONGEST_PASSWORD = 1024
LONGEST_QUEUE = 8


class KeyValues(Protocol):
    """Where a room keeps a few things for good (`store.namespaces.Namespaces`)."""

    async def get(self, namespace: str, key: str) -> object:
        """One value; None if there is none."""

    async def put(self, namespace: str, key: str, value: object) -> None:
        """Set one JSON-able value; it is on disk when this returns."""


class User(Struct, frozen=True):
    """One login. Without a `token_secret` the user has logged out everywhere."""

    username: str
    password: str
    created_on: float
    source: str = "moonraker"
    token_secret: str | None = None

    def as_wire(self) -> dict[str, object]:
        return {"username": self.username, "source": self.source, "created_on": self.created_on}


class Users:
    """All users, in memory and in the store."""

    def __init__(self, store: KeyValues, login_seconds: float) -> None:
        self._store = store
        self._login_seconds = login_seconds
        self._users: dict[str, User] = {}
        self._unreadable = False
        self._workers = Workers("passwords")

    def __bool__(self) -> bool:
        return self._unreadable or bool(self._users)

    def __contains__(self, username: str) -> bool:
        return username in self._users

    async def load(self) -> None:
        """Read who there is. Call before anything else."""
        try:
            kept = await self._store.get(NAMESPACE, "users")
            if isinstance(kept, Mapping):
                self._users = {str(name): msgspec.convert(record, User) for name, record in kept.items()}
        except (Unreadable, msgspec.ValidationError) as error:
            self._unreadable = True  # that there were some still counts: a damaged disk opens no door
            logger.error("the users can't be read, so nobody can log in: %s", error)

    async def _keep(self, user: User) -> None:
        await self._store_all({**self._users, user.username: user})

    async def _store_all(self, users: dict[str, User]) -> None:
        self._users = users
        records = {name: asdict(user) for name, user in users.items()}
        await self._store.put(NAMESPACE, "users", records)

    def listed(self) -> list[dict[str, object]]:
        """The users as the API lists them, without secrets."""
        return [user.as_wire() for user in self._users.values()]

    def find(self, username: str) -> User | None:
        """The user of this name."""
        return self._users.get(username)

    async def create(self, username: str, password: str) -> None:
        """Add a user; BadParams when the name or the password can't be used."""
        if username in RESERVED or not username or len(username) > LONGEST_NAME or not username.isprintable():
            raise BadParams(f"'{username:.100}' can't be the name of a user")
        self._check_new_password(password)
        self._check_is_new(username)
        hashed = await self._hash(password)
        self._check_is_new(username)  # somebody else may have been quicker
        await self._keep(User(username, hashed, time.time()))

    def _check_is_new(self, username: str) -> None:
        if username in self._users:
            raise BadParams(f"User {username} already exists")
        if len(self._users) >= MOST_USERS:
            raise TooMany(f"there are {MOST_USERS} users already")

    async def delete(self, username: str) -> None:
        """Remove a user; BadParams when there is none of this name."""
        if username not in self._users:
            raise BadParams(f"No registered user: {username:.100}")
        await self._store_all({name: user for name, user in self._users.items() if name != username})

    async def change_password(self, username: str, old: str, new: str) -> None:
        """Give a user a new password; BadParams when the old one is wrong."""
        self._check_new_password(new)
        if not await self.password_is_right(username, old):
            raise BadParams("Invalid password")
        hashed = await self._hash(new)
        user = self._users.get(username)
        if user is not None:
            await self._keep(replace(user, password=hashed))

    async def password_is_right(self, username: str, password: str) -> bool:
        """Check a password; it takes as long when there is no such user."""
        user = self._users.get(username)
        kept = user.password if user is not None else NOBODYS
        if self._workers.waiting >= LONGEST_QUEUE:
            raise TooMany("too many logins at once: try again in a moment")
        right = await self._workers.run_abandonable(check_password, password[: LONGEST_PASSWORD + 1], kept)
        return right and user is not None and username in self._users

    async def _hash(self, password: str) -> str:
        if self._workers.waiting >= LONGEST_QUEUE:
            raise TooMany("too many logins at once: try again in a moment")
        return await self._workers.run_abandonable(hash_password, password)

    @staticmethod
    def _check_new_password(password: str) -> None:
        if not password or len(password) > LONGEST_PASSWORD:
            raise BadParams(f"a password has 1 to {LONGEST_PASSWORD} characters")

    async def log_in(self, username: str) -> dict[str, object]:
        """Tokens for a user whose password was right; BadParams if somebody has removed the user meanwhile."""
        user = self._users.get(username)
        if user is not None and user.token_secret is None:
            user = replace(user, token_secret=os.urandom(32).hex())
            await self._keep(user)
        if user is None or username not in self._users:
            raise BadParams(f"No registered user: {username:.100}")
        now = time.time()
        return {
            "username": username,
            "token": self._token(user, "access", now),
            "source": user.source,
            "refresh_token": self._token(user, "refresh", now),
        }

    def _token(self, user: User, kind: Kind, now: float) -> str:
        lifetime = ACCESS_TOKEN_SECONDS if kind == "access" else self._login_seconds
        assert user.token_secret is not None
        return make_token(bytes.fromhex(user.token_secret), user.username, kind, now, now + lifetime)

    async def log_out(self, username: str) -> None:
        """End all logins of a user: tokens given out before are worth nothing."""
        user = self._users.get(username)
        if user is not None:
            await self._keep(replace(user, token_secret=None))

    def refresh(self, refresh_token: str) -> dict[str, object]:
        """A new access token for a refresh token; Unauthorized if that is no good."""
        user = self._bearer(refresh_token, "refresh")
        return {"username": user.username, "token": self._token(user, "access", time.time()), "source": user.source}

    def bearer(self, access_token: str) -> str:
        """The name of the user who shows an access token; Unauthorized if it is no good."""
        return self._bearer(access_token, "access").username

    def _bearer(self, token: str, kind: Kind) -> User:
        try:
            user = self._users.get(claimed_username(token) or "")
            if user is None or user.token_secret is None:
                raise BadToken("the user isn't logged in")
            check_token(token, bytes.fromhex(user.token_secret), kind, time.time())
        except BadToken as error:
            raise Unauthorized(f"Invalid {kind} token: {error}") from None
        return user

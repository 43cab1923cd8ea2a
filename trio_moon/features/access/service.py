"""Access: API key, one-shot tokens, users and sessions, and the guard that asks them."""

from __future__ import annotations

import hmac
import os
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress

import trio

from trio_moon.features.access.attempts import LoginAttempts
from trio_moon.features.access.guard import Guard
from trio_moon.features.access.networks import TrustedClients
from trio_moon.features.access.one_shot import OneShotTokens
from trio_moon.features.access.parameters import Login, NamedUser, NewUser, PasswordChange, Refresh
from trio_moon.features.access.settings import SOURCES, AccessSettings
from trio_moon.features.access.users import API_KEY_USER, NAMESPACE, RESERVED, KeyValues, Users
from trio_moon.model.errors import BadParams, NoSpace, Unauthorized
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller, Session
from trio_moon.store.namespaces import Unreadable

SECONDS_PER_DAY = 86400.0
NAMES_PERIOD = 60.0


class Access:
    """The one who knows everybody. `guard` is what the front asks; sessions raise their rights by `identify`."""

    def __init__(
        self,
        settings: AccessSettings,
        store: KeyValues,
        audience: Audience,
        rights_ended: Callable[[Session], None] = lambda session: None,
    ) -> None:
        """`rights_ended` is called for a session that goes on after its user has logged out, as a stranger's."""
        self._settings = settings
        self._rights_ended = rights_ended
        self._store = store
        self._audience = audience
        self._trusted = TrustedClients(settings.trusted_networks, settings.trusted_names)
        self._one_shot = OneShotTokens()
        self._attempts = LoginAttempts(settings.max_login_attempts)
        self._users = Users(store, settings.login_timeout_days * SECONDS_PER_DAY)
        self.api_key, self._key_created = os.urandom(16).hex(), time.time()
        self._began = time.time()
        self._session_callers: weakref.WeakSet[Caller] = weakref.WeakSet()
        self.guard = Guard(settings, self._trusted, self)

    async def run(self, *, task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED) -> None:
        """Read the key and the users, then keep the addresses of trusted names fresh."""
        await self._load_api_key()
        await self._users.load()
        task_status.started()
        while self._trusted.has_names:
            await self._trusted.look_up_names()
            await trio.sleep(NAMES_PERIOD)
        await trio.sleep_forever()

    async def _load_api_key(self) -> None:
        kept: object = None
        with suppress(Unreadable):
            kept = await self._store.get(NAMESPACE, "api_key")
        if isinstance(kept, Mapping) and isinstance(kept.get("key"), str):
            self.api_key, self._key_created = kept["key"], kept.get("created_on", self._began)
        else:
            with suppress(NoSpace):  # what can't be kept is another one after the next start
                await self._keep_api_key(self.api_key, self._key_created)

    async def _keep_api_key(self, key: str, created: float) -> None:
        await self._store.put(NAMESPACE, "api_key", {"key": key, "created_on": created})

    # what the guard asks

    @property
    def logins_forced(self) -> bool:
        """Whether a trusted address isn't enough: once there is a user, if so configured."""
        return self._settings.force_logins and bool(self._users)

    def key_holder(self, api_key: str) -> str:
        """`_API_KEY_USER_` for the right key; Unauthorized for any other."""
        if self._settings.enable_api_key and hmac.compare_digest(api_key.encode(), self.api_key.encode()):
            return API_KEY_USER
        raise Unauthorized("Invalid API key")

    def bearer(self, token: str) -> str:
        """The user of an access token; the API key is taken for one too."""
        if "." not in token:
            return self.key_holder(token)
        return self._users.bearer(token)

    def redeem(self, one_shot: str, address: str | None) -> str | None:
        """The user of a one-shot token, if it is still good and its user still there."""
        user = self._one_shot.redeem(one_shot, address)
        return user if user in RESERVED or (user is not None and user in self._users) else None

    def remember(self, caller: Caller) -> None:
        """Take the rights of this session back when its user logs out."""
        self._session_callers.add(caller)

    # sessions

    def identify(self, caller: Caller, *, access_token: str | None = None, api_key: str | None = None) -> None:
        """Raise a session's rights by credentials sent over it; Unauthorized if they are wrong."""
        if access_token:
            caller.user = self.bearer(access_token)
        elif api_key:
            caller.user = self.key_holder(api_key)

    def _take_back(self, username: str) -> None:
        for caller in list(self._session_callers):
            if caller.user == username:
                caller.user = self.guard.trusted_user(caller.address)
                if caller.session is not None and not caller.authorized:
                    self._rights_ended(caller.session)

    # the API

    def info(self, params: NoParams, caller: Caller) -> dict[str, object]:
        return {
            "default_source": self._settings.default_source,
            "available_sources": list(SOURCES),
            "login_required": self.logins_forced,
            "trusted": self.guard.trusted_user(caller.address) is not None,
        }

    def one_shot_token(self, params: NoParams, caller: Caller) -> str:
        """A token that makes one request as this caller."""
        return self._one_shot.issue(caller.user or "", caller.address)

    def show_api_key(self, params: NoParams, caller: Caller) -> str:
        return self.api_key

    async def renew_api_key(self, params: NoParams, caller: Caller) -> str:
        """A new key; the old one is worth nothing from now on, open sessions go on."""
        key, created = os.urandom(16).hex(), time.time()
        await self._keep_api_key(key, created)  # on a full disk the old one goes on
        self.api_key, self._key_created = key, created
        return key

    def user(self, params: NoParams, caller: Caller) -> dict[str, object]:
        """Who the caller is."""
        user = self._users.find(caller.user or "")
        if user is not None:
            return user.as_wire()
        since = self._key_created if caller.user == API_KEY_USER else self._began
        return {"username": caller.user, "source": self._settings.default_source, "created_on": since}

    def list_users(self, params: NoParams, caller: Caller) -> dict[str, object]:
        return {"users": self._users.listed()}

    async def log_in(self, params: Login, caller: Caller) -> dict[str, object]:
        """Check a password and answer with tokens; a session has the user's rights from now on."""
        if params.source not in (None, *SOURCES):
            raise BadParams(f"Invalid 'source': {params.source:.40}")
        self._attempts.begin(caller.address, trio.current_time())
        if not await self._users.password_is_right(params.username, params.password):
            raise BadParams("Invalid username or password")  # no 401: frontends would take the session for lost
        self._attempts.succeeded(caller.address)
        tokens = await self._users.log_in(params.username)
        if caller.session is not None:
            caller.user = params.username
        return {**tokens, "action": "user_logged_in"}

    async def create_user(self, params: NewUser, caller: Caller) -> dict[str, object]:
        """Add a user and answer with tokens for it; who creates it stays who they are."""
        await self._users.create(params.username, params.password)
        tokens = await self._users.log_in(params.username)
        self._audience.announce_after_answer("notify_user_created", {"username": params.username})
        return {**tokens, "action": "user_created"}

    async def delete_user(self, params: NamedUser, caller: Caller) -> dict[str, object]:
        """Remove a user, who mustn't be the caller."""
        if params.username == caller.user:
            raise BadParams(f"Cannot delete logged in user {params.username}")
        await self._users.delete(params.username)
        self._take_back(params.username)
        self._audience.announce_after_answer("notify_user_deleted", {"username": params.username})
        return {"username": params.username, "action": "user_deleted"}

    async def log_out(self, params: NoParams, caller: Caller) -> dict[str, object]:
        """End every login of the calling user."""
        username = self._own_name(caller)
        await self._users.log_out(username)
        self._take_back(username)
        self._audience.announce_after_answer("notify_user_logged_out", {"username": username})
        return {"username": username, "action": "user_logged_out"}

    async def change_password(self, params: PasswordChange, caller: Caller) -> dict[str, object]:
        """Give the calling user a new password."""
        username = self._own_name(caller)
        self._attempts.begin(caller.address, trio.current_time())
        await self._users.change_password(username, params.password, params.new_password)
        self._attempts.succeeded(caller.address)
        return {"username": username, "action": "user_password_reset"}

    def refresh(self, params: Refresh, caller: Caller) -> dict[str, object]:
        """A new access token."""
        return {**self._users.refresh(params.refresh_token), "action": "user_jwt_refresh"}

    def _own_name(self, caller: Caller) -> str:
        if caller.user is None or caller.user not in self._users:
            raise BadParams("this is for users who have logged in")
        return caller.user

"""The methods of `access.*`."""

from __future__ import annotations

import msgspec

from trio_moon.features.access.service import Access
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller
from trio_moon.rpc.endpoint import Endpoint


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


def endpoints(access: Access) -> tuple[Endpoint, ...]:
    """The table of `access.*`."""
    calls = AccessCalls(access)
    return (
        Endpoint("/access/info", NoParams, GET=calls.get_info, open_to_all=True),
        Endpoint("/access/login", Login, POST=calls.log_in, open_to_all=True),
        Endpoint("/access/refresh_jwt", Refresh, POST=calls.refresh, open_to_all=True),
        Endpoint("/access/logout", NoParams, POST=calls.log_out),
        Endpoint("/access/user", NoParams, GET=calls.get_user),
        Endpoint("/access/user", NewUser, POST=calls.create_user),
        Endpoint("/access/user", NamedUser, DELETE=calls.delete_user),
        Endpoint("/access/users/list", NoParams, GET=calls.list_users),
        Endpoint("/access/user/password", PasswordChange, POST=calls.change_password),
        Endpoint("/access/oneshot_token", NoParams, GET=calls.get_one_shot_token),
        Endpoint("/access/api_key", NoParams, GET=calls.get_api_key, POST=calls.post_api_key),
    )


class AccessCalls:
    """The handlers."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def get_info(self, params: NoParams, caller: Caller) -> object:
        return self._access.info(caller)

    async def log_in(self, params: Login, caller: Caller) -> object:
        return await self._access.log_in(caller, params.username, params.password, params.source)

    def refresh(self, params: Refresh, caller: Caller) -> object:
        return self._access.refresh(params.refresh_token)

    async def log_out(self, params: NoParams, caller: Caller) -> object:
        return await self._access.log_out(caller)

    def get_user(self, params: NoParams, caller: Caller) -> object:
        return self._access.describe(caller.user)

    async def create_user(self, params: NewUser, caller: Caller) -> object:
        return await self._access.create_user(caller, params.username, params.password)

    async def delete_user(self, params: NamedUser, caller: Caller) -> object:
        return await self._access.delete_user(caller, params.username)

    def list_users(self, params: NoParams, caller: Caller) -> object:
        return {"users": self._access.listed_users()}

    async def change_password(self, params: PasswordChange, caller: Caller) -> object:
        return await self._access.change_password(caller, params.password, params.new_password)

    def get_one_shot_token(self, params: NoParams, caller: Caller) -> object:
        return self._access.one_shot_token(caller)

    def get_api_key(self, params: NoParams, caller: Caller) -> object:
        return self._access.api_key

    async def post_api_key(self, params: NoParams, caller: Caller) -> object:
        return await self._access.renew_api_key()

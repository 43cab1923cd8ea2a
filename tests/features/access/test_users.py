"""Users: logging in and out, over requests and sessions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from tests.features.access.conftest import head
from tests.features.letterbox import Letterbox
from trio_moon.features.access import API_KEY_USER, Access, AccessSettings, endpoints
from trio_moon.features.access.parameters import Login, NamedUser, NewUser
from trio_moon.model.errors import BadParams, MoonError, NoSpace, TooMany, Unauthorized
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import TRUSTED_USER, Caller, Session, Transport
from trio_moon.rpc.registry import Registry
from trio_moon.store.database import Database

MakeAccess = Callable[..., Awaitable[Access]]


async def call(access: Access, method: str, caller: Caller, **arguments: object) -> dict[str, object]:
    registry = Registry()
    registry.add(endpoints(access))
    answer = await registry.call(registry.named(method), arguments, caller)
    assert isinstance(answer, dict)
    return answer


def bearer(access: Access, token: object) -> Caller:
    return access.guard.admit(head(authorization=f"Bearer {token}"))


async def test_a_user_logs_in_is_known_by_the_token_and_logs_out(make_access: MakeAccess) -> None:
    access = await make_access()
    trusted = access.guard.admit(head(peer="192.168.1.5"))
    created = await call(access, "access.post_user", trusted, username="ann", password="secret")
    assert created["action"] == "user_created"
    stranger = access.guard.admit(head("/access/login", verb="POST"))
    welcome = await call(access, "access.login", stranger, username="ann", password="secret", source="moonraker")
    assert (welcome["username"], welcome["action"], welcome["source"]) == ("ann", "user_logged_in", "moonraker")
    ann = bearer(access, welcome["token"])
    assert ann.user == "ann"
    assert (await call(access, "access.get_user", ann))["username"] == "ann"
    listed = (await call(access, "access.users.list", ann))["users"]
    assert isinstance(listed, list)
    assert [set(user) for user in listed] == [{"username", "source", "created_on"}]
    assert await call(access, "access.logout", ann) == {"username": "ann", "action": "user_logged_out"}
    with pytest.raises(Unauthorized):
        bearer(access, welcome["token"])
    with pytest.raises(Unauthorized):
        await call(access, "access.refresh_jwt", stranger, refresh_token=welcome["refresh_token"])


async def test_a_refresh_token_gives_a_new_access_token_and_nothing_else(make_access: MakeAccess) -> None:
    access = await make_access()
    trusted = access.guard.admit(head(peer="192.168.1.5"))
    tokens = await call(access, "access.post_user", trusted, username="ann", password="secret")
    expired = access.guard.admit(head("/access/refresh_jwt", verb="POST", authorization="Bearer a.b.c"))
    fresh = await call(access, "access.refresh_jwt", expired, refresh_token=tokens["refresh_token"])
    assert fresh["action"] == "user_jwt_refresh"
    assert bearer(access, fresh["token"]).user == "ann"
    with pytest.raises(Unauthorized):
        bearer(access, tokens["refresh_token"])
    with pytest.raises(Unauthorized):
        await call(access, "access.refresh_jwt", expired, refresh_token=tokens["token"])


@pytest.mark.parametrize("token", ["rubbish", "a.b.c", "..", "eyJhbGciOiJub25lIn0.e30.", "\u20ac.\u20ac.\u20ac"])
async def test_rubbish_is_no_token(make_access: MakeAccess, token: str) -> None:
    with pytest.raises(Unauthorized):
        bearer(await make_access(), token)


async def test_a_token_with_a_changed_name_is_refused(make_access: MakeAccess) -> None:
    access = await make_access()
    trusted = access.guard.admit(head(peer="192.168.1.5"))
    ann = await call(access, "access.post_user", trusted, username="ann", password="secret")
    bob = await call(access, "access.post_user", trusted, username="bob", password="secret")
    header, _, signature = str(ann["token"]).split(".")
    with pytest.raises(Unauthorized):
        bearer(access, f"{header}.{str(bob['token']).split('.')[1]}.{signature}")


async def test_users_and_key_survive_a_restart(make_access: MakeAccess) -> None:
    access = await make_access()
    trusted = access.guard.admit(head(peer="192.168.1.5"))
    tokens = await call(access, "access.post_user", trusted, username="ann", password="secret")
    key = access.api_key
    again = await make_access()
    assert again.api_key == key
    assert bearer(again, tokens["token"]).user == "ann"
    new = await again.renew_api_key(NoParams(), trusted)
    assert new != key
    with pytest.raises(Unauthorized):
        again.guard.admit(head(x_api_key=key))


async def test_wrong_logins_say_the_same_for_unknown_users_and_must_wait(make_access: MakeAccess) -> None:
    access = await make_access()
    await access.create_user(NewUser("ann", "secret"), access.guard.admit(head(peer="192.168.1.5")))
    stranger = access.guard.admit(head("/access/login", verb="POST"))
    messages = set()
    for name in ("ann", "nobody", "ann", "nobody", "ann"):
        with pytest.raises(BadParams) as refused:
            await access.log_in(Login(name, "wrong"), stranger)
        messages.add(refused.value.message)
    assert len(messages) == 1
    with pytest.raises(TooMany, match="try again"):
        await access.log_in(Login("ann", "secret"), stranger)
    elsewhere = access.guard.admit(head("/access/login", verb="POST", peer="203.0.113.77"))
    assert (await access.log_in(Login("ann", "secret"), elsewhere))["username"] == "ann"


async def test_a_place_is_locked_out_after_the_configured_failures(make_access: MakeAccess) -> None:
    access = await make_access("[authorization]\nmax_login_attempts: 2\n")
    stranger = access.guard.admit(head("/access/login", verb="POST"))
    for _ in range(2):
        with pytest.raises(BadParams):
            await access.log_in(Login("ann", "wrong"), stranger)
    with pytest.raises(TooMany, match="restarted"):
        await access.log_in(Login("ann", "wrong"), stranger)


async def test_forced_logins_count_once_there_is_a_user(make_access: MakeAccess) -> None:
    access = await make_access("[authorization]\nforce_logins: yes\ntrusted_clients: 192.168.1.0/24\n")
    trusted = access.guard.admit(head(peer="192.168.1.5"))
    assert trusted.user == TRUSTED_USER
    assert (await call(access, "access.info", trusted))["login_required"] is False
    await access.create_user(NewUser("ann", "secret"), trusted)
    visitor = access.guard.admit(head(peer="192.168.1.5"))
    assert visitor.user is None
    assert await call(access, "access.info", visitor) == {
        "default_source": "moonraker",
        "available_sources": ["moonraker"],
        "login_required": True,
        "trusted": False,
    }
    with pytest.raises(Unauthorized):
        await call(access, "access.get_api_key", visitor)


async def test_a_session_raises_its_rights_and_loses_them_with_the_logout(make_access: MakeAccess) -> None:
    audience = Audience()
    access = await make_access("", audience)
    letters = Letterbox()
    session = Session(letters)
    audience.join(session)
    tokens = await access.create_user(NewUser("ann", "secret"), access.guard.admit(head(peer="192.168.1.5")))
    caller = access.guard.admit(head("/websocket", transport=Transport.WEBSOCKET))
    access.guard.admit_session(caller, session)
    assert not caller.authorized
    with pytest.raises(Unauthorized):
        access.identify(caller, api_key="wrong")
    access.identify(caller, api_key=access.api_key)
    assert caller.user == API_KEY_USER
    access.identify(caller, access_token=str(tokens["token"]))
    assert caller.user == "ann"
    await access.log_out(NoParams(), bearer(access, tokens["token"]))
    assert caller.user != "ann"
    assert not caller.authorized
    await trio.testing.wait_all_tasks_blocked()
    assert letters.params_of("notify_user_created") == [{"username": "ann"}]
    assert letters.params_of("notify_user_logged_out") == [{"username": "ann"}]
    await access.log_in(Login("ann", "secret"), caller)
    assert caller.user == "ann"


class SlowDisk:
    """Keeps nothing. With `busy`, the next value waits for that; `full`, it takes none."""

    def __init__(self) -> None:
        self.full = False
        self.busy: trio.Event | None = None
        self.reached = trio.Event()

    async def get(self, namespace: str, key: str) -> object:
        await trio.lowlevel.checkpoint()
        return None

    async def put(self, namespace: str, key: str, value: object) -> None:
        busy, self.busy = self.busy, None
        await trio.lowlevel.checkpoint()
        if self.full:
            raise NoSpace("the disk is full")
        if busy is not None:
            self.reached.set()
            await busy.wait()


async def test_a_user_who_is_deleted_while_logging_in_is_not_logged_in(nursery: trio.Nursery) -> None:
    disk, released = SlowDisk(), trio.Event()
    access = Access(AccessSettings(), disk, Audience())
    await nursery.start(access.run)
    trusted = access.guard.admit(head(peer="192.168.1.5"))
    await access.create_user(NewUser("ann", "secret"), trusted)
    await access.log_out(NoParams(), Caller(Transport.HTTP, None, "ann"))
    caller = Caller(Transport.WEBSOCKET, "203.0.113.9", None, Session(Letterbox()))
    disk.busy = released
    refused: list[str] = []

    async def log_in() -> None:
        with pytest.raises(BadParams) as error:
            await access.log_in(Login("ann", "secret"), caller)
        refused.append(error.value.message)

    async with trio.open_nursery() as login:
        login.start_soon(log_in)
        await disk.reached.wait()
        await access.delete_user(NamedUser("ann"), trusted)
        released.set()
    assert refused == ["No registered user: ann"]
    assert not caller.authorized


async def test_a_key_that_can_not_be_kept_does_not_take_the_place_of_the_old_one(nursery: trio.Nursery) -> None:
    disk = SlowDisk()
    access = Access(AccessSettings(), disk, Audience())
    await nursery.start(access.run)
    key, disk.full = access.api_key, True
    with pytest.raises(NoSpace):
        await access.renew_api_key(NoParams(), Caller(Transport.UNIX))
    assert access.key_holder(key) == API_KEY_USER


async def test_passwords_change_with_the_old_one_only(make_access: MakeAccess) -> None:
    access = await make_access()
    trusted = access.guard.admit(head(peer="192.168.1.5"))
    tokens = await call(access, "access.post_user", trusted, username="ann", password="secret")
    ann = bearer(access, tokens["token"])
    with pytest.raises(BadParams):
        await call(access, "access.user.password", ann, password="wrong", new_password="other")
    changed = await call(access, "access.user.password", ann, password="secret", new_password="other")
    assert changed == {"username": "ann", "action": "user_password_reset"}
    with pytest.raises(BadParams):
        await access.log_in(Login("ann", "secret"), ann)
    assert await access.log_in(Login("ann", "other"), ann)


async def test_what_users_cannot_do(make_access: MakeAccess) -> None:
    access = await make_access()
    trusted = access.guard.admit(head(peer="192.168.1.5"))
    tokens = await call(access, "access.post_user", trusted, username="ann", password="secret")
    ann = bearer(access, tokens["token"])
    refused: list[tuple[str, Caller, dict[str, object]]] = [
        ("access.post_user", trusted, {"username": "ann", "password": "x"}),
        ("access.post_user", trusted, {"username": TRUSTED_USER, "password": "x"}),
        ("access.post_user", trusted, {"username": "", "password": "x"}),
        ("access.post_user", trusted, {"username": "bob", "password": ""}),
        ("access.post_user", trusted, {"username": "bob"}),
        ("access.delete_user", ann, {"username": "ann"}),
        ("access.delete_user", ann, {"username": "nobody"}),
        ("access.logout", trusted, {}),
        ("access.user.password", trusted, {"password": "a", "new_password": "b"}),
        ("access.login", trusted, {"username": "ann", "password": "secret", "source": "ldap"}),
    ]
    for method, caller, arguments in refused:
        with pytest.raises(MoonError):
            await call(access, method, caller, **arguments)
    deleted = await call(access, "access.delete_user", trusted, username="ann")
    assert deleted == {"username": "ann", "action": "user_deleted"}
    with pytest.raises(Unauthorized):
        bearer(access, tokens["token"])


async def test_two_who_take_the_same_name_at_once_make_one_user(make_access: MakeAccess) -> None:
    access = await make_access()
    trusted = access.guard.admit(head(peer="192.168.1.5"))
    outcomes: list[str] = []

    async def create() -> None:
        try:
            await access.create_user(NewUser("ann", "secret"), trusted)
            outcomes.append("created")
        except BadParams:
            outcomes.append("refused")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(create)
        nursery.start_soon(create)
    assert sorted(outcomes) == ["created", "refused"]


async def test_users_that_a_disk_has_damaged_still_count_as_users(make_access: MakeAccess, database: Database) -> None:
    access = await make_access("[authorization]\nforce_logins: yes\ntrusted_clients: 192.168.1.0/24")
    trusted = access.guard.admit(head(peer="192.168.1.5"))
    await call(access, "access.post_user", trusted, username="ann", password="secret")
    await database.write(lambda c: c.execute("UPDATE namespaces SET value = substr(value, 1, 5)"))
    access = await make_access("[authorization]\nforce_logins: yes\ntrusted_clients: 192.168.1.0/24")
    assert access.logins_forced
    assert access.guard.admit(head(peer="192.168.1.5")).user is None
    assert access.guard.admit(head(x_api_key=access.api_key)).user == API_KEY_USER

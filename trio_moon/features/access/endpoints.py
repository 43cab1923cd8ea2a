"""The methods of `access.*`."""

from __future__ import annotations

from trio_moon.features.access.parameters import Login, NamedUser, NewUser, PasswordChange, Refresh
from trio_moon.features.access.service import Access
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.endpoint import Endpoint


def endpoints(access: Access) -> tuple[Endpoint, ...]:
    """The table of `access.*`."""
    return (
        Endpoint("/access/info", NoParams, GET=access.info, open_to_all=True),
        Endpoint("/access/login", Login, POST=access.log_in, open_to_all=True),
        Endpoint("/access/refresh_jwt", Refresh, POST=access.refresh, open_to_all=True),
        Endpoint("/access/logout", NoParams, POST=access.log_out),
        Endpoint("/access/user", NoParams, GET=access.user),
        Endpoint("/access/user", NewUser, POST=access.create_user),
        Endpoint("/access/user", NamedUser, DELETE=access.delete_user),
        Endpoint("/access/users/list", NoParams, GET=access.list_users),
        Endpoint("/access/user/password", PasswordChange, POST=access.change_password),
        Endpoint("/access/oneshot_token", NoParams, GET=access.one_shot_token),
        Endpoint("/access/api_key", NoParams, GET=access.show_api_key, POST=access.renew_api_key),
    )

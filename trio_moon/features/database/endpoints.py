"""The methods of `server.database.*`."""

from __future__ import annotations

from trio_moon.features.database.parameters import NamedItem, NewBackup, NewItem, WhichBackup, WhichItem
from trio_moon.features.database.service import UserDatabase
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.endpoint import Endpoint


def endpoints(database: UserDatabase) -> tuple[Endpoint, ...]:
    """The table of the room."""
    return (
        Endpoint("/server/database/list", NoParams, GET=database.list_namespaces),
        Endpoint("/server/database/item", WhichItem, GET=database.get_item),
        Endpoint("/server/database/item", NewItem, POST=database.post_item),
        Endpoint("/server/database/item", NamedItem, DELETE=database.delete_item),
        Endpoint("/server/database/compact", NoParams, POST=database.compact),
        Endpoint("/server/database/backup", NewBackup, POST=database.post_backup),
        Endpoint("/server/database/backup", WhichBackup, DELETE=database.delete_backup),
    )

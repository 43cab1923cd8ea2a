"""The methods of `server.database.*`."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from trio_moon.features.database.service import UserDatabase
from trio_moon.rpc.binding import Arguments, NoParams, convert
from trio_moon.rpc.caller import Caller
from trio_moon.rpc.endpoint import Endpoint


class WhichItem(msgspec.Struct, frozen=True):
    namespace: str
    key: str | list[str] | None = None


class NamedItem(msgspec.Struct, frozen=True):
    namespace: str
    key: str | list[str]


class NewItemSent(NamedItem, frozen=True):
    """`value` is whatever JSON can say."""

    value: object


class NewItem(msgspec.Struct, frozen=True):
    """`value` is whatever JSON can say, as it came."""

    item: NamedItem
    value: object
    sent: ClassVar = NewItemSent

    @classmethod
    def from_arguments(cls, arguments: Arguments) -> NewItem:
        needed = ("namespace", "key", "value")
        given = convert({name: arguments[name] for name in needed if name in arguments}, NewItemSent)
        return cls(NamedItem(given.namespace, given.key), arguments["value"])


class NewBackup(msgspec.Struct, frozen=True):
    filename: str | None = None


class WhichBackup(msgspec.Struct, frozen=True):
    filename: str


def endpoints(database: UserDatabase) -> tuple[Endpoint, ...]:
    """The table of the room."""
    calls = DatabaseCalls(database)
    return (
        Endpoint("/server/database/list", NoParams, GET=calls.list_namespaces),
        Endpoint("/server/database/item", WhichItem, GET=calls.get_item),
        Endpoint("/server/database/item", NewItem, POST=calls.post_item),
        Endpoint("/server/database/item", NamedItem, DELETE=calls.delete_item),
        Endpoint("/server/database/compact", NoParams, POST=calls.compact),
        Endpoint("/server/database/backup", NewBackup, POST=calls.post_backup),
        Endpoint("/server/database/backup", WhichBackup, DELETE=calls.delete_backup),
    )


class DatabaseCalls:
    """The handlers."""

    def __init__(self, database: UserDatabase) -> None:
        self._database = database

    async def list_namespaces(self, params: NoParams, caller: Caller) -> object:
        return await self._database.listed()

    async def get_item(self, params: WhichItem, caller: Caller) -> object:
        value = await self._database.get(params.namespace, params.key)
        return {"namespace": params.namespace, "key": params.key, "value": value}

    async def post_item(self, params: NewItem, caller: Caller) -> object:
        item = params.item
        await self._database.put(item.namespace, item.key, params.value)
        return {"namespace": item.namespace, "key": item.key, "value": params.value}

    async def delete_item(self, params: NamedItem, caller: Caller) -> object:
        value = await self._database.remove(params.namespace, params.key)
        return {"namespace": params.namespace, "key": params.key, "value": value}

    async def compact(self, params: NoParams, caller: Caller) -> object:
        return await self._database.compact()

    async def post_backup(self, params: NewBackup, caller: Caller) -> object:
        return await self._database.back_up(params.filename)

    async def delete_backup(self, params: WhichBackup, caller: Caller) -> object:
        return await self._database.delete_backup(params.filename)

"""What the calls of the database take."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from trio_moon.rpc.binding import Arguments, convert


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

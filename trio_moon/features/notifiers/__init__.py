"""Push messages: `[notifier <name>]` sections, delivered by Apprise."""

from trio_moon.features.notifiers.composer import Composer
from trio_moon.features.notifiers.courier import AppriseCourier
from trio_moon.features.notifiers.endpoints import endpoints
from trio_moon.features.notifiers.notifier import Notifier
from trio_moon.features.notifiers.pictures import Pictures
from trio_moon.features.notifiers.service import Notifiers
from trio_moon.features.notifiers.settings import NotifierSettings, read_settings
from trio_moon.features.notifiers.undelivered import SCHEMA, Undelivered

__all__ = [
    "SCHEMA",
    "AppriseCourier",
    "Composer",
    "Notifier",
    "NotifierSettings",
    "Notifiers",
    "Pictures",
    "Undelivered",
    "endpoints",
    "read_settings",
]

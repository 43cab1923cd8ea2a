"""Who may call: trusted networks, API key, users, and the rules for foreign pages. The only place that decides."""

from trio_moon.features.access.endpoints import endpoints
from trio_moon.features.access.heritage import SCHEMA
from trio_moon.features.access.service import Access
from trio_moon.features.access.settings import AccessSettings
from trio_moon.features.access.users import API_KEY_USER, KeyValues

__all__ = ["API_KEY_USER", "SCHEMA", "Access", "AccessSettings", "KeyValues", "endpoints"]

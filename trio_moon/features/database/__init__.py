"""The API's database: values that frontends keep with us, by namespace and dotted key."""

from trio_moon.features.database.endpoints import endpoints
from trio_moon.features.database.identity import instance_id
from trio_moon.features.database.service import UserDatabase

__all__ = ["UserDatabase", "endpoints", "instance_id"]

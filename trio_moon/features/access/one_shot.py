"""Tokens for one request, within seconds: for downloads and websockets, whose headers a page can't set."""

from __future__ import annotations

import base64
import os
import time
from collections import OrderedDict

LIFETIME = 5.0
MOST = 256


class OneShotTokens:
    """At most MOST tokens at a time; the oldest give way."""

    def __init__(self) -> None:
        self._tokens: OrderedDict[str, tuple[str, str | None, float]] = OrderedDict()

    def issue(self, user: str, address: str | None) -> str:
        """A token by which a request from `address` is made as `user`."""
        token = base64.b32encode(os.urandom(20)).decode()
        self._tokens[token] = (user, address, time.monotonic() + LIFETIME)
        if len(self._tokens) > MOST:
            self._tokens.popitem(last=False)
        return token

    def redeem(self, token: str, address: str | None) -> str | None:
        """The user of a token, which is used up; None if it isn't valid (any more) or came from elsewhere."""
        user, owner, expires = self._tokens.pop(token, ("", None, 0.0))
        return user if user and owner == address and time.monotonic() < expires else None

"""SHA-1, for what isn't secret. `hashlib` would load OpenSSL for it, which most printers never need."""

from __future__ import annotations

try:
    from _sha1 import sha1  # type: ignore[import-not-found,unused-ignore]
except ImportError:  # not every Python has its own
    from hashlib import sha1

__all__ = ["sha1"]

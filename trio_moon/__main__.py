"""The program: `python -m trio_moon` and `trio-moon`."""

import importlib
import sys

from trio_moon.kit.later import import_later


def _handshakes() -> dict[str, object]:
    """What websockets need of `hashlib`: alone it isn't worth OpenSSL."""
    try:
        return {"sha1": importlib.import_module("_sha1").sha1}
    except ImportError:  # not every Python has its own
        return {}


def _version(distribution: str) -> str:
    """`importlib.metadata.version`, which trio_websocket asks for Trio's alone."""
    if distribution == "trio":
        from trio import __version__ as version
    else:
        from importlib.metadata import distribution as find

        version = find(distribution).version
    return version


# What the libraries import and an idle printer without TLS never needs: together a sixth of the memory.
import_later("hashlib", at_hand=_handshakes())
import_later("importlib.metadata", at_hand={"version": _version})
import_later("ssl", "hmac", "idna", "idna.core", "pickle", "tempfile", "bz2", "lzma")
import_later("json", "json.decoder", "json.encoder", "json.scanner")

from trio_moon.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())

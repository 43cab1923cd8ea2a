"""The program: `python -m trio_moon` and `trio-moon`."""

import importlib
import sys
import types
import typing

from trio_moon.kit.later import forget, import_later, load

SAME_IN_TYPING = ("get_type_hints", "NotRequired", "Required")
"""What msgspec takes from `typing_extensions`."""


def _handshakes() -> dict[str, object]:
    """What websockets need of `hashlib`: alone it isn't worth OpenSSL."""
    try:
        return {"sha1": importlib.import_module("_sha1").sha1}
    except ImportError:  # not every Python has its own
        return {}


def _version(distribution: str) -> object:
    """`importlib.metadata.version`, which trio_websocket asks for Trio's alone."""
    if distribution == "trio":
        from trio import __version__ as version

        return version
    return load("importlib.metadata").version(distribution)


def _find_library(name: str) -> object:
    """`ctypes.util.find_library`, which Trio asks where threads get their names: it would run `ldconfig`."""
    return "libpthread.so.0" if name == "pthread" else load("ctypes.util").find_library(name)


def _untranslated(text: str) -> str:
    """`gettext.gettext`, with which `argparse` would translate its part of texts that are English."""
    return text


class _NodeVisitor:
    """`ast.NodeVisitor`, of which `inspect` makes a class that only readers of source text use."""

    def __getattr__(self, name: str) -> object:
        return types.MethodType(getattr(load("ast").NodeVisitor, name), self)


# What the libraries import and an idle printer without TLS never needs: together more than a fifth of the memory.
import_later("hashlib", at_hand=_handshakes())
import_later("importlib.metadata", at_hand={"version": _version})
import_later("ctypes.util", at_hand={"find_library": _find_library})
import_later("gettext", at_hand={"gettext": _untranslated})
import_later("ast", at_hand={"NodeVisitor": _NodeVisitor})
import_later("typing_extensions", at_hand={name: getattr(typing, name) for name in SAME_IN_TYPING})
import_later("ssl", "hmac", "idna", "idna.core", "pickle", "tempfile", "bz2", "lzma", "shutil", "subprocess")
import_later("json", "json.decoder", "json.encoder", "json.scanner")
import_later("msgspec.inspect", "msgspec.msgpack", "msgspec.toml", "msgspec.yaml")


def main() -> int:
    """Read the command line and do what it says; returns the exit status."""
    from trio_moon.arguments import parse_arguments

    arguments = parse_arguments(sys.argv[1:])
    forget("argparse", "gettext", "shutil")
    from trio_moon.cli import run_command

    return run_command(arguments)


if __name__ == "__main__":
    sys.exit(main())

"""The `[spoolman]` section of moonraker.conf."""

from __future__ import annotations

import base64
import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from msgspec import Struct, field

from trio_moon.config import Section

FEED_CHECKS = ("off", "warn", "block")
SOURCES = ("auto", "motion", "position")
LOW_ACTIONS = frozenset({"notify", "pause"})
OURS = frozenset({"content-length", "transfer-encoding", "connection"})
MACRO_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class Amount(Struct, frozen=True):
    """So much filament, in grams or in millimetres."""

    grams: float | None = None
    mm: float | None = None


class SpoolmanSettings(Struct, frozen=True):
    """Where Spoolman is, how to get in, and what to look after."""

    url: str
    """Scheme, host, port and sub-path; no credentials, no trailing slash."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request: credentials, a gateway's token."""
    ca_file: Path | None = None
    sync_rate: float = 5.0
    accounting: str = "auto"
    check_before_print: str = "warn"
    low_filament: Amount | None = None
    low_filament_action: frozenset[str] = frozenset({"notify"})
    spool_macro: str | None = None

    @classmethod
    def from_section(cls, section: Section) -> SpoolmanSettings:
        """Raises ConfigError for what can't be used; the room then stays closed."""
        url, credentials = _parse_server(section)
        headers = _parse_headers(section)
        token = section.templated_text("token", None)
        if credentials is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(credentials.encode()).decode()
        if token:
            if not token.isprintable():
                raise section.refuse("token", "must be one line without control characters")
            headers["Authorization"] = f"Bearer {token}"
        ca_file = section.path("ca_file", None)
        if ca_file is not None and not os.path.isfile(ca_file):
            raise section.refuse("ca_file", f"there is no file {ca_file}")
        if ca_file is not None and url.startswith("https:") and (why := _unusable(ca_file)):
            raise section.refuse("ca_file", f"{ca_file} holds no certificates: {why}")
        return cls(
            url=url,
            headers=headers,
            ca_file=ca_file,
            sync_rate=section.integer("sync_rate", 5, minimum=1),
            accounting=section.choice("accounting", SOURCES, "auto"),
            check_before_print=section.choice("check_before_print", FEED_CHECKS, "warn"),
            low_filament=_parse_low_filament(section),
            low_filament_action=_parse_actions(section),
            spool_macro=_parse_macro(section),
        )


def _parse_server(section: Section) -> tuple[str, str | None]:
    text = section.templated_text("server").strip()
    if "://" not in text:
        text = f"http://{text}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise section.refuse("server", f"'{_without_secret(text)}' is no address: {error}") from None
    if parts.scheme.lower() not in ("http", "https"):
        raise section.refuse("server", f"'{parts.scheme}' is not http or https")
    if not parts.hostname or any(char.isspace() or not char.isprintable() for char in text):
        raise section.refuse("server", f"'{_without_secret(text)}' is no address such as http://192.168.0.123:7912")
    if parts.query or parts.fragment:
        raise section.refuse("server", "an address with '?' or '#' can't be Spoolman's")
    try:
        name = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode()
    except UnicodeError:
        raise section.refuse("server", f"'{parts.hostname:.60}' can't be the name of a host") from None
    host = f"[{name}]" if ":" in name else name
    netloc = f"{host}:{port}" if port is not None else host
    credentials = None
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    path = parts.path.rstrip("/").removesuffix("/api/v1").removesuffix("/api")
    return f"{parts.scheme.lower()}://{netloc}{path}", credentials


def _unusable(ca_file: Path) -> str:
    """Why no certificate can be checked with this; "" if one can."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=str(ca_file))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _without_secret(text: str) -> str:
    return re.sub(r"//[^/@]*@", "//***@", text)


def _parse_headers(section: Section) -> dict[str, str]:
    headers = {}
    for line in (section.templated_text("headers", None) or "").splitlines():
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name.strip()) or not value.isprintable():
            raise section.refuse("headers", f"'{name.strip()[:40]}' is not the begin of a line 'Name: value'")
        if name.strip().lower() in OURS:
            raise section.refuse("headers", f"'{name.strip()}' is not for you to set: each request has its own")
        headers[name.strip()] = value.strip()
    return headers


def _parse_low_filament(section: Section) -> Amount | None:
    text = section.text("low_filament", None)
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(g|kg|m|mm)", text.strip().lower())
    if match is None:
        raise section.refuse("low_filament", f"'{text[:40]}' is not an amount such as 20g or 5m")
    number, unit = float(match[1]), match[2]
    if unit in ("g", "kg"):
        return Amount(grams=number * (1000 if unit == "kg" else 1))
    return Amount(mm=number * (1000 if unit == "m" else 1))


def _parse_actions(section: Section) -> frozenset[str]:
    words = frozenset(word.lower() for word in section.words("low_filament_action", ["notify"]))
    unknown = words - LOW_ACTIONS
    if unknown:
        raise section.refuse("low_filament_action", f"'{min(unknown)}' is not one of notify, pause")
    return words


def _parse_macro(section: Section) -> str | None:
    name = section.text("spool_macro", None)
    if name is not None and not MACRO_NAME.match(name):
        raise section.refuse("spool_macro", f"'{name[:40]}' is no name of a macro")
    return name

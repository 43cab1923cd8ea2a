"""What the owner of a printer may say about the front, and the limits that hold for everybody."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import fields, replace

from trio_moon.config.document import Document
from trio_moon.config.problems import Problem

MEBIBYTE = 1 << 20
ONLY_HERE = "since this line has no effect and may be meant to keep others out, only 127.0.0.1 is listened on"


class Limits(Struct, frozen=True):
    """How much, how many and how long, for connections that anybody may open. Times are seconds, sizes bytes."""

    connections: int = 1000
    connections_per_address: int = 256
    """For addresses that aren't ours: a reverse proxy on this machine speaks for many."""
    first_request: float = 15.0
    """From the connection to the end of its first head."""
    head_time: float = 15.0
    """From the first byte of a later head to its end."""
    keep_alive: float = 90.0
    head_bytes: int = 32 * 1024
    header_lines: int = 100
    body_bytes: int = 16 * MEBIBYTE
    """Of an API call; uploads have a limit of their own."""
    unknown_body_bytes: int = 64 * 1024
    """The same, and one message, of somebody who isn't authorised."""
    incomplete_bytes: int = 64 * MEBIBYTE
    """Of all larger bodies and messages together that are still being received."""
    slowest_body: int = 2048
    """Bytes per second that a body must keep up, on the average, after its first `no_progress`."""
    no_progress: float = 20.0
    """A body, an upload, a download or a client's backlog that doesn't move for this long is cut."""
    half_closed: float = 20.0
    """A client that sends no more, but doesn't hang up either, may wait so long for its answer."""
    uploads: int = 32
    upload_threads: int = 4
    downloads: int = 8
    message_bytes: int = 16 * MEBIBYTE
    """One JSON-RPC message on a websocket or the unix socket."""
    waiting_calls: int = 128
    """Calls of one session that wait for something; more aren't read until some are answered."""
    waiting_events: int = 512 * 1024
    """Bytes of notifications that one client may leave unread."""
    waiting_answers: int = 256 * 1024
    """Bytes of answers that one client may leave unread before its next calls are read."""
    ping_after: float = 10.0
    dead_after: float = 25.0
    """A websocket that is silent for this long, pings notwithstanding, is gone."""
    unknown_session: float = 60.0
    """A session that nobody has logged in to may stay for this long."""
    unknown_sessions: int = 20
    bridges: int = 8
    """Websockets that are put through to Klipper's own socket."""
    sessions_for_trusted: int = 10
    """Of `max_websocket_connections`, this many are kept for callers that are authorised."""
    sweep_every: float = 1.0
    """How exactly these times are kept."""
    grace: float = 0.7
    """What is being answered at shutdown has this long to end."""

    @classmethod
    def from_document(cls, document: Document) -> Limits:
        """`[limits]`: each by its name. A number that can't be used is told, and has its default."""
        section = document.section("limits")
        if section is None:
            return cls()

        def read(option: str, default: float) -> float:
            if isinstance(default, int):
                return document.usable(section, lambda: section.integer(option, default, minimum=1), default)
            return document.usable(section, lambda: section.number(option, default, above=0), default)

        return cls(**{limit.name: read(limit.name, limit.default) for limit in fields(cls)})  # type: ignore[arg-type]


class FrontSettings(Struct, frozen=True):
    """`[server]`: where to listen and how much to accept."""

    host: str | None = None
    """None for every address of both families."""
    port: int = 7125
    ssl_port: int = 7130
    route_prefix: str = ""
    max_upload_size: int = 1024 * MEBIBYTE
    max_websocket_connections: int = 100
    certificate: Path | None = None
    private_key: Path | None = None
    live_lanes: bool = True
    """False hands every connection to Quart-Trio."""
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def from_document(cls, document: Document, certificates: Path) -> FrontSettings:
        """The `[server]` section; a certificate and its key in `certificates` switch TLS on.

        A number that can't be used is told and has its default: frontends look at that port, access is checked on
        each, and no default limit hurts. Only a `host` that can't be read must not become every address.
        """
        certificate, private_key = find_certificate(certificates)
        section = document.section_or_empty("server")
        host = section.text("host", None)
        if host is None and (line := _unread_host(document)) is not None:
            host = "127.0.0.1"
            document.problems.append(replace(line, message=ONLY_HERE, option="host"))
        prefix = (section.text("route_prefix", None) or "").strip("/")

        def number(option: str, default: int, minimum: int, maximum: int | None = None) -> int:
            return document.usable(
                section, lambda: section.integer(option, default, minimum=minimum, maximum=maximum), default
            )

        usual = cls()
        size = usual.max_upload_size
        return cls(
            host=None if host in (None, "", "all", "0.0.0.0", "::") else host,
            port=number("port", usual.port, 0, 65535),
            ssl_port=number("ssl_port", usual.ssl_port, 0, 65535),
            route_prefix=f"/{prefix}" if prefix else "",
            max_upload_size=document.usable(
                section, lambda: section.size_mib("max_upload_size", size / MEBIBYTE, minimum=1), size
            ),
            max_websocket_connections=number("max_websocket_connections", usual.max_websocket_connections, 1),
            certificate=certificate,
            private_key=private_key,
            limits=Limits.from_document(document),
        )


def _unread_host(document: Document) -> Problem | None:
    """A line that seems to say the host, but belongs to no section or is no option."""
    for problem in document.problems:
        if problem.section in ("", "server") and (problem.option == "host" or problem.message.startswith("'host")):
            return problem
    return None


def find_certificate(folder: Path) -> tuple[Path | None, Path | None]:
    """The certificate and its key under the names that Moonraker's users gave them; both or neither."""
    for name in ("moonraker.cert", "moonraker.crt", "moonraker.pem"):
        certificate, private_key = folder / name, folder / "moonraker.key"
        if os.path.isfile(certificate) and os.path.isfile(private_key):  # False in a folder that we may not read
            return certificate, private_key
    return None, None

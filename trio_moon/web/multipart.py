"""multipart/form-data on python-multipart: streamed into an Incoming, or read as plain fields. No sockets."""

from __future__ import annotations

import logging
import re
from contextlib import closing
from operator import itemgetter
from typing import Protocol
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from trio_moon.model.errors import BadParams, TooLarge

logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of whatever a client sends

MAX_FIELD_BYTES = 1 << 16
MAX_PARTS = 100
FILE_PART = "file"
"""What Moonraker and OctoPrint call the file. Whatever else comes with a file name is a field: httpx gives each one."""


class PartSink(Protocol):
    """Where the parts go: the first half of an `Incoming`."""

    def add_field(self, name: str, value: str) -> None: ...
    def start_file(self, name: str, filename: str) -> None: ...
    def write(self, data: bytes | memoryview) -> None: ...
    def end_file(self) -> None: ...


_PARAMETER = re.compile(r';[ \t]*([^\s;=*"]+)(\*?)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^;]*))', re.DOTALL)


def parse_parameters(header: str) -> tuple[str, dict[str, str]]:
    """`form-data; name="a"` as `("form-data", {"name": "a"})`, in a time that its length gives.

    Of a repeated parameter the first counts, and before all the one without a star (RFC 5987).
    """
    kind, semicolon, rest = header.partition(";")
    found: dict[str, str] = {}
    for name, star, quoted, plain in sorted(_PARAMETER.findall(semicolon + rest), key=itemgetter(1)):
        value = quoted.replace("\\\\", "\\").replace('\\"', '"') or plain.strip()
        found.setdefault(name.lower(), _decoded(value) if star else value)
    return kind.strip().lower(), found


def _decoded(written: str) -> str:
    """The text of `utf-8''K%C3%A4se`; ISO-8859-1 is the other charset that there may be."""
    charset, _, rest = written.partition("'")
    kind = "latin-1" if charset.lower() == "iso-8859-1" else "utf-8"
    return unquote(rest.partition("'")[2], encoding=kind, errors="replace")


def boundary_of(content_type: str) -> bytes:
    """The boundary in a content type; BadParams if there is none."""
    boundary = parse_parameters(content_type)[1].get("boundary", "")
    if not 1 <= len(boundary) <= 200:
        raise BadParams("the content type multipart/form-data needs a boundary")
    try:
        return boundary.encode("latin-1")
    except UnicodeEncodeError:
        raise BadParams("the boundary of the multipart body is not readable") from None


class MultipartReader:
    """Bytes in, parts out. `feed` raises BadParams for a broken body, `finish` for one that was cut."""

    def __init__(self, content_type: str, sink: PartSink) -> None:
        self._sink = sink
        self._headers: dict[str, str] = {}
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._name = ""
        self._in_file = False
        self._field = bytearray()
        self._parts = 0
        self._ended = False
        boundary = boundary_of(content_type)
        self._delimiter = b"\r\n--" + boundary
        self._held = b""
        self._parsed = b""
        self._in_plain_data = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._part_data,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )

    def feed(self, data: bytes) -> None:
        """The next bytes of the body."""
        if self._in_plain_data:
            data = self._pass_on(data)
            if not data:
                return
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise BadParams(f"the multipart body is malformed: {error}") from None
        self._parsed = (self._parsed + data)[-len(self._delimiter) - 4 :]
        self._in_plain_data = self._in_file and _beginning(self._delimiter, self._parsed) < 0

    def _pass_on(self, data: bytes) -> bytes:
        """Hand the bytes of a file straight on, and return what the parser must see: the delimiter and the rest.

        Saves the parser's search, which is most of what an upload costs.
        """
        if self._held:
            data, self._held = self._held + data, b""
        end = data.find(self._delimiter) if b"\r" in data else -1
        if end < 0:
            end = _beginning(self._delimiter, data)
            if end < 0:
                self._sink.write(data)
            else:
                self._sink.write(memoryview(data)[:end])
                self._held = data[end:]
            return b""
        if end:
            self._sink.write(memoryview(data)[:end])
        self._in_plain_data = False
        return data[end:]

    def finish(self) -> None:
        """The body has ended: all of it must have been there."""
        if not self._ended:
            raise BadParams("the multipart body ends before its last boundary")

    def close(self) -> None:
        """Let go of everything: the parser and we know each other, which only the garbage collector would notice."""
        del self._parser
        self._field.clear()

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise TooLarge(f"a multipart body may have {MAX_PARTS} parts")
        self._headers = {}

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def _end_header(self) -> None:
        name, value = self._header
        self._headers[name.decode("latin-1").lower()] = value.decode("utf-8", "replace")
        self._header = (bytearray(), bytearray())

    def _end_headers(self) -> None:
        kind, parameters = parse_parameters(self._headers.get("content-disposition", ""))
        name, filename = parameters.get("name"), parameters.get("filename")
        if kind != "form-data" or not name:
            raise BadParams("each part of a multipart body needs 'Content-Disposition: form-data; name=…'")
        self._name = name
        if filename is not None and name == FILE_PART:
            self._in_file = True
            self._sink.start_file(self._name, _unescape(filename))

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._sink.write(data if end - start == len(data) else memoryview(data)[start:end])
        else:
            self._field += data[start:end]
            if len(self._field) > MAX_FIELD_BYTES:
                raise TooLarge(f"the form field '{self._name:.60}' is too long")

    def _end_part(self) -> None:
        if self._in_file:
            self._sink.end_file()
            self._in_file = False
            return
        try:
            value = self._field.decode("utf-8")
        except UnicodeDecodeError:
            raise BadParams(f"the form field '{self._name:.60}' is not valid UTF-8") from None
        self._field.clear()
        self._sink.add_field(self._name, value)

    def _end(self) -> None:
        self._ended = True


def _beginning(delimiter: bytes, data: bytes) -> int:
    """Where at the end of `data` a delimiter may have begun, -1 if nowhere."""
    at = data.rfind(b"\r", max(0, len(data) - len(delimiter) - 4))
    if at < 0:
        return -1
    end = data[at:]
    return at if delimiter.startswith(end) or end.startswith(delimiter) else -1


def _unescape(filename: str) -> str:
    """Browsers write quotes and line ends in names as %22, %0D, %0A."""
    for written in ("%22", "%0D", "%0A"):
        filename = filename.replace(written, unquote(written))
    return filename


class _Fields:
    def __init__(self) -> None:
        self.values: dict[str, object] = {}

    def add_field(self, name: str, value: str) -> None:
        self.values[name] = value

    def start_file(self, name: str, filename: str) -> None:
        raise BadParams(f"'{name:.60}' is a file, but this call takes none")

    def write(self, data: bytes | memoryview) -> None:
        raise AssertionError("no file was started")

    def end_file(self) -> None:
        raise AssertionError("no file was started")


def parse_fields(content_type: str, body: bytes) -> dict[str, object]:
    """The plain fields of a whole multipart body, for calls that aren't uploads."""
    fields = _Fields()
    with closing(MultipartReader(content_type, fields)) as reader:
        reader.feed(body)
        reader.finish()
    return fields.values

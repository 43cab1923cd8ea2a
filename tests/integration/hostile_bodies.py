"""Bodies that nobody should send: JSON, JSON-RPC, forms, chunks."""

from __future__ import annotations

from tests.integration.house import UPGRADE


def call(method: str, params: bytes) -> bytes:
    """One call of JSON-RPC."""
    return b'{"jsonrpc": "2.0", "method": "%b", "params": %b, "id": 1}' % (method.encode(), params)


JSON = {
    "nothing": b"",
    "space": b"   ",
    "a list": b"[1]",
    "a text": b'"x"',
    "a number": b"5",
    "null": b"null",
    "a brace": b"{",
    "two objects": b"{}{}",
    "rubbish behind": b"{} x",
    "a trailing comma": b'{"a": 1,}',
    "single quotes": b"{'a': 1}",
    "a comment": b"{} // x",
    "an open text": b'{"a": "',
    "not utf-8": b'{"a": "\xff"}',
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "a zero byte": b'{"a": "\x00"}',
    "a bare surrogate": b'{"namespace": "\\ud800", "key": "a", "value": 1}',
    "an odd escape": b'{"a": "\\x41"}',
    "deep lists": b"[" * 100_000,
    "deep lists that end": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "an infinite number": b'{"namespace": "x", "key": 1e400}',
    "nan": b'{"namespace": "x", "key": "k", "value": NaN}',
    "a value that is infinite": b'{"namespace": "x", "key": "k", "value": 1e999}',
    "infinity": b'{"namespace": "x", "key": -Infinity}',
    "a long integer": b'{"namespace": ' + b"9" * 50_000 + b"}",
    "two to the seventieth": b'{"namespace": 1180591620717411303424}',
    "a long fraction": b'{"namespace": 0.' + b"9" * 50_000 + b"}",
    "a long exponent": b'{"namespace": 1e' + b"9" * 5000 + b"}",
    "the same key twice": b'{"namespace": 1, "namespace": 2}',
    "a key of nothing": b'{"": {"": {"": 1}}}',
    "ten thousand keys": b"{" + b",".join(b'"k%d": 1' % n for n in range(10_000)) + b"}",
    "a wrong type": b'{"namespace": [], "key": {}, "value": null}',
    "a key as long as a book": b'{"namespace": "' + b"n" * 50_000 + b'", "key": "k", "value": 1}',
    "a key of many dots": b'{"namespace": "x", "key": "' + b"." * 50_000 + b'", "value": 1}',
    "a reserved namespace": b'{"namespace": "moonraker", "key": "users", "value": 1}',
}
JSON_PATHS = (b"/server/database/item", b"/server/spoolman/spool_id", b"/server/spoolman/proxy", b"/server/files/move")
CALLS = {
    "no method": b'{"jsonrpc": "2.0", "id": 1}',
    "a method that is a list": b'{"jsonrpc": "2.0", "method": [], "id": 1}',
    "a method of zeros": b'{"jsonrpc": "2.0", "method": "\\u0000", "id": 1}',
    "a method with a surrogate": b'{"jsonrpc": "2.0", "method": "\\udfff", "id": 1}',
    "a method as long as a book": b'{"jsonrpc": "2.0", "method": "' + b"m" * 50_000 + b'", "id": 1}',
    "a secret method": b'{"jsonrpc": "2.0", "method": "__init__", "id": 1}',
    "an id that is an object": b'{"jsonrpc": "2.0", "method": "server.info", "id": {}}',
    "an infinite id": b'{"jsonrpc": "2.0", "method": "server.info", "id": 1e999}',
    "an id that is no number": b'{"jsonrpc": "2.0", "method": "server.info", "id": NaN}',
    "params that are text": b'{"jsonrpc": "2.0", "method": "server.info", "params": "x", "id": 1}',
    "params that are a list": b'{"jsonrpc": "2.0", "method": "server.info", "params": [1], "id": 1}',
    "no version": b'{"method": "server.info", "id": 1}',
    "an empty batch": b"[]",
    "a batch of nothing": b"[null, 1, [], {}]",
    "a batch of ten thousand": b"["
    + b",".join(b'{"jsonrpc":"2.0","method":"server.info","id":%d}' % n for n in range(10_000))
    + b"]",
    "a batch of batches": b"[" * 500 + b"]" * 500,
    "a script that is a number": call("printer.gcode.script", b'{"script": 5}'),
    "a script with a surrogate": call("printer.gcode.script", b'{"script": "\\ud800"}'),
    "objects that are a list": call("printer.objects.query", b'{"objects": [1]}'),
    "ten thousand objects": call(
        "printer.objects.query", b'{"objects": {' + b",".join(b'"o%d":null' % n for n in range(10_000)) + b"}}"
    ),
    "fields that are numbers": call("printer.objects.query", b'{"objects": {"toolhead": [1]}}'),
    "a subscription without a session": call("printer.objects.subscribe", b'{"objects": {}}'),
    "a method of klipper's with a deep path": call("printer." + "a." * 5000, b"{}"),
}
PARTS = {
    "no boundary": (b"multipart/form-data", b"--x\r\n"),
    "an empty boundary": (b"multipart/form-data; boundary=", b"--\r\n"),
    "a boundary of spaces": (b'multipart/form-data; boundary="   "', b"--   \r\n"),
    "a long boundary": (b"multipart/form-data; boundary=" + b"x" * 5000, b"--x\r\n"),
    "a boundary with line ends": (b'multipart/form-data; boundary="a\\r\\nb"', b"--a\r\nb\r\n"),
    "another boundary": (b"multipart/form-data; boundary=x", b"--y\r\n\r\n--y--\r\n"),
    "only a boundary": (b"multipart/form-data; boundary=x", b"--x"),
    "the last boundary at once": (b"multipart/form-data; boundary=x", b"--x--\r\n"),
    "a part without a head": (b"multipart/form-data; boundary=x", b"--x\r\n\r\nG28\r\n--x--\r\n"),
    "a part without a name": (
        b"multipart/form-data; boundary=x",
        b"--x\r\nContent-Disposition: form-data; filename=a.gcode\r\n\r\nG28\r\n--x--\r\n",
    ),
    "a part with an endless head": (b"multipart/form-data; boundary=x", b"--x\r\n" + b"A: b\r\n" * 20_000),
    "a part with a long line": (b"multipart/form-data; boundary=x", b"--x\r\nA: " + b"b" * 100_000),
    "ten thousand parts": (
        b"multipart/form-data; boundary=x",
        b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n" * 10_000 + b"--x--\r\n",
    ),
    "a hundred files": (
        b"multipart/form-data; boundary=x",
        b"".join(
            b"--x\r\nContent-Disposition: form-data; name=file; filename=h%d.gcode\r\n\r\nG28\r\n" % n
            for n in range(100)
        )
        + b"--x--\r\n",
    ),
    "parts within a part": (
        b"multipart/form-data; boundary=x",
        b"--x\r\nContent-Disposition: form-data; name=file\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n"
        b"--y\r\n\r\nG28\r\n--y--\r\n--x--\r\n",
    ),
    "a long field": (
        b"multipart/form-data; boundary=x",
        b"--x\r\nContent-Disposition: form-data; name=path\r\n\r\n" + b"p" * (2 << 20) + b"\r\n--x--\r\n",
    ),
    "a field that is not utf-8": (
        b"multipart/form-data; boundary=x",
        b"--x\r\nContent-Disposition: form-data; name=path\r\n\r\n\xff\xfe\r\n--x--\r\n",
    ),
    "no last boundary": (
        b"multipart/form-data; boundary=x",
        b"--x\r\nContent-Disposition: form-data; name=file; filename=cut.gcode\r\n\r\nG28\r\n",
    ),
    "rubbish": (b"multipart/form-data; boundary=x", b"\x00\xff" * 5000),
    "a form that is none": (b"application/x-www-form-urlencoded", b"%zz=%ff&" * 3000),
    "no type": (b"", b"x"),
    "a strange type": (b"multipart/form-data\xff; boundary=x", b"x"),
    "a mixed type": (b"multipart/mixed; boundary=x", b"--x--"),
}
FILENAMES = (
    *(b"", b".", b"..", b"/", b"../x.gcode", b"a/../../x.gcode", b"/etc/cron.d/x.gcode", b"..\\..\\x.gcode"),
    *(b".hidden/../../x.gcode", b"a\0b.gcode", b"a\nb.gcode", b"%2e%2e/x.gcode/..", b"x" * 300 + b".gcode"),
    *(b"a/" * 300 + b"x.gcode", b"%22/../x.gcode", b"\xff\xfe.gcode", b"con\r\nX: y.gcode", b"~root/x.gcode/"),
)
FIELDS = (
    *(
        (b"root", b".."),
        (b"root", b"logs"),
        (b"root", b"\0"),
        (b"root", b"database"),
        (b"path", b"../.."),
        (b"path", b"/etc"),
    ),
    *((b"path", b"a\0b"), (b"checksum", b"x"), (b"checksum", b"0" * 64), (b"path", b"p/" * 3000), (b"plate", b"\xff")),
)
CHUNKS = {
    "a negative size": b"-2\r\n{}\r\n0\r\n\r\n",
    "a size in C": b"0x2\r\n{}\r\n0\r\n\r\n",
    "a size with a sign": b"+2\r\n{}\r\n0\r\n\r\n",
    "a size with an underscore": b"0_2\r\n{}\r\n0\r\n\r\n",
    "a size with a space before": b" 2\r\n{}\r\n0\r\n\r\n",
    "no size": b"\r\n{}\r\n0\r\n\r\n",
    "a huge size": b"ffffffffffffffff\r\n{}",
    "a size of many digits": b"0" * 5000 + b"2\r\n{}\r\n0\r\n\r\n",
    "a size that is too small": b"1\r\n{}\r\n0\r\n\r\n",
    "a size that is too big": b"3\r\n{}\r\n0\r\n\r\n",
    "bare line feeds": b"2\n{}\n0\n\n",
    "a carriage return alone": b"2\r{}\r0\r\r",
    "an endless extension": b"2;" + b"a" * 100_000 + b"\r\n{}\r\n0\r\n\r\n",
    "an extension with a line feed": b"2;a\nb\r\n{}\r\n0\r\n\r\n",
    "endless trailers": b"2\r\n{}\r\n0\r\n" + b"A: b\r\n" * 20_000,
    "a trailer that is none": b"2\r\n{}\r\n0\r\nrubbish\r\n\r\n",
    "a folded trailer": b"2\r\n{}\r\n0\r\nA: b\r\n c\r\n\r\n",
    "a trailer with a zero": b"2\r\n{}\r\n0\r\nA: \0\r\n\r\n",
    "deep nesting": b"186a0\r\n" + b"[" * 100_000 + b"\r\n0\r\n\r\n",
    "twenty thousand chunks": b"1\r\na\r\n" * 20_000 + b"0\r\n\r\n",
    "rubbish behind": b"2\r\n{}\r\n0\r\n\r\n\x00\xff rubbish",
    "a websocket behind": b"2\r\n{}\r\n0\r\n\r\n" + UPGRADE + b"\xff\xff\xff",
}

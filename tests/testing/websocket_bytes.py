"""A websocket client's words, byte by byte, for tests that look below the protocol."""

HANDSHAKE = (
    b"GET /api/v1/spool HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dHJpb19tb29uX3Rlc3RzIQ==\r\n\r\n"
)
CLIENT_CLOSE = b"\x88\x80\x00\x00\x00\x00"
CLIENT_PING = b"\x89\x80\x00\x00\x00\x00"
SERVER_PONG = b"\x8a\x00"

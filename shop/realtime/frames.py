"""Bytes of a WebSocket, server to client: unmasked, unfragmented, never compressed (RFC 6455, 5.2).

Built by hand because a frame to many is the same bytes for all: it is made once for a broadcast.
What clients send is read by wsproto.
"""

import json
from typing import Any

TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A


def frame(opcode: int, payload: bytes) -> bytes:
    """One whole frame; ``opcode`` is one of this module's, which carry the FIN bit."""
    size = len(payload)
    if size < 126:
        return bytes((opcode, size)) + payload
    if size < 65536:
        return bytes((opcode, 126)) + size.to_bytes(2) + payload
    return bytes((opcode, 127)) + size.to_bytes(8) + payload


def message(content: dict[str, Any]) -> bytes:
    """One JSON object as a text frame."""
    return frame(TEXT, json.dumps(content, separators=(",", ":")).encode())


def close(code: int, reason: str = "") -> bytes:
    """A close frame; ``reason`` is cut to the 123 bytes that fit."""
    return frame(CLOSE, code.to_bytes(2) + reason.encode()[:123])

"""Asks the port of a Ray cluster what Ray itself does not tell in time: does it want a token, is ours the right one, which version.

Ray tries for 20 seconds to get in with a wrong token and then says only that it could not connect; with none it says
nothing of the cluster that lets everybody in. So its question "are you alive" is asked once by hand, which takes
milliseconds and loads nothing. It is a call of gRPC, that is HTTP/2: our settings, the headers, an empty message. A
cluster that lets us in answers with a message (its version is in it), one that doesn't with headers alone, so that
compressed headers need not be read. Measured on Ray 2.60.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

PATIENCE = 10.0  # seconds to reach the port, and for each answer
MAX_FRAMES, MAX_BYTES = 100, 1 << 20  # what an answer has at most

_QUESTION = "/ray.rpc.NodeInfoGcsService/CheckAlive"
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_LAST = 1  # flag: the stream ends here


class NoRayError(ValueError):
    """Who answers there is no Ray cluster."""


def version_there(host: str, port: int, token: str | None) -> str | None:
    """The cluster's version where it lets us in with this token (None: without any); None where it refuses.

    OSError where nobody answers, NoRayError where something else does.
    """
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": _QUESTION,
        ":authority": f"{host}:{port}",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    block = b"".join(_text(name, value) for name, value in headers.items())
    with socket.create_connection((host, port), PATIENCE) as connection:
        connection.settimeout(PATIENCE)
        connection.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(_SETTINGS, 0, 0) + _frame(_HEADERS, 4, 1, block)
            + _frame(_DATA, _LAST, 1, b"\0" * 5)
        )  # fmt: skip
        with connection.makefile("rb") as answer:
            message = b"".join(_message(answer))
    if not message:
        return None
    found = re.search(rb"\d+\.\d+[\w.]*", message)
    return found.group().decode() if found else "unknown"


def token_here() -> str | None:
    """The token that Ray would use here: from RAY_AUTH_TOKEN, the file RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token."""
    token = os.environ.get("RAY_AUTH_TOKEN", "").strip()
    try:
        return token or token_path().read_text(encoding="utf-8").strip() or None
    except (OSError, ValueError):
        return None


def token_path() -> Path:
    """Where Ray looks for the file with the token."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()


def _message(answer: BinaryIO) -> Iterator[bytes]:
    """The message of the answer, in parts; nothing where there are headers only."""
    for _ in range(MAX_FRAMES):
        head = answer.read(9)
        if len(head) < 9 or (length := int.from_bytes(head[:3], "big")) > MAX_BYTES:
            break
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
        payload = answer.read(length)
        if stream == 1 and kind == _DATA:
            yield payload[5:]
        if stream == 1 and kind in (_DATA, _HEADERS) and flags & _LAST:
            return
    raise NoRayError("what answers is no Ray cluster")


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _text(name: str, value: str) -> bytes:
    """A header that is spelled out and not to be remembered."""
    return b"\0" + b"".join(_length(len(each.encode())) + each.encode() for each in (name, value))


def _length(length: int) -> bytes:
    # HPACK's whole numbers: seven bits, and what is left in further bytes of seven bits
    if length < 127:
        return bytes([length])
    found, rest = [127], length - 127
    while rest >= 128:
        found.append(rest % 128 + 128)
        rest //= 128
    return bytes([*found, rest])

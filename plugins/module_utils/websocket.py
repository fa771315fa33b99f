# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A websocket of an operation: ws4py's frames over a socket of ours. The only import of ws4py, which pylxd brings.

ws4py's own client checks no certificate, and in its handshake takes what the server says first for one frame.
"""

from __future__ import annotations

import base64
import hashlib
import os
import select
import socket
import ssl
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from .errors import OperationFailed, Unreachable
from .steps import Api

try:
    from ws4py.messaging import BinaryMessage
    from ws4py.streaming import Stream
except ImportError:
    pass  # The connection to the server, which comes first, says so.

ANSWER = 60.0
"""Seconds within which the server must take or give a message that it has begun."""
HEAD = 8192
"""Bytes that the head of the server's answer may have."""


def opened(on: Api, path: str) -> socket.socket:
    """A connection on which a websocket begins. ``path`` is asked for with its secret: it is not for messages."""
    try:
        found = _dialled(on.options)
    except (OSError, ValueError) as error:
        raise Unreachable(f"{on.name}: {error}") from None
    try:
        _shake_hands(found, path)
    except OSError as error:
        found.close()
        raise OperationFailed(f"{on.name}: the websocket of the operation: {error}") from None
    return found


def _shake_hands(found: socket.socket, path: str) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    # Without an Origin, which the server compares with the Host.
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: lxd",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
    ]
    found.sendall("\r\n".join([*lines, "", ""]).encode())
    head = b""
    # Byte by byte: what comes after the head belongs to the frames.
    while not head.endswith(b"\r\n\r\n") and len(head) < HEAD:
        byte = found.recv(1)
        if not byte:
            break
        head += byte
    status = head.split(b"\r\n", 1)[0].decode("ascii", "replace")
    if " 101 " not in f"{status} ":
        raise ConnectionError(f"the server did not open it, and said {status or 'nothing'}")


class Channel:
    """One websocket, connected. Messages go and come as bytes."""

    def __init__(self, on: Api, path: str) -> None:
        """``path`` is asked for with its secret: it is not for messages."""
        self._socket = opened(on, path)
        self._stream: Any = Stream(always_mask=True, expect_masking=False)
        self._wanted: int = 2
        self.closed = False

    def send(self, data: bytes) -> None:
        """Send one message."""
        self._write(BinaryMessage(data).single(mask=True))

    def receive(self, seconds: float) -> bytes:
        """What has come, after a time at the latest; nothing, too, when the channel was ``closed``."""
        heard = b""
        while not self.closed and self._ready(seconds):
            heard += self._read()
            seconds = 0
        return heard

    def close(self) -> None:
        """Say goodbye and end it."""
        if not self.closed:
            self._write(self._stream.close().single(mask=True))
        self.closed = True
        self._socket.close()

    def _ready(self, seconds: float) -> bool:
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True
        return bool(select.select([self._socket], [], [], max(0, seconds))[0])

    def _read(self) -> bytes:
        """Feed the frames, never with more than they ask for; what a message that ended says."""
        stream = self._stream
        try:
            data = self._socket.recv(self._wanted)
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return b""
        self._wanted = stream.parser.send(data) or 2
        for ping in stream.pings:
            self._write(stream.pong(ping.data))
        stream.pings, stream.pongs = [], []
        if stream.closing is not None or stream.errors:
            self.closed = True
        if not stream.has_message:
            return b""
        message, stream.message = stream.message, None
        # The servers end a stream by an empty text (shared/network.go WebsocketSendStream).
        self.closed = self.closed or message.is_text
        return bytes(message.data)

    def _write(self, frame: bytes) -> None:
        with suppress(OSError):  # It has ended: the next `receive` tells.
            self._socket.sendall(frame)


def _dialled(options: Any) -> socket.socket:
    """A connection of its own to where ``options`` (``lxd.Connection``) lead, and as trusted as they say."""
    if options.endpoint.startswith("/"):
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(ANSWER)
        try:
            plain.connect(options.endpoint)
        except OSError:
            plain.close()
            raise
        return plain
    context = ssl.create_default_context()
    pin = options.server_fingerprint.replace(":", "").lower()
    if options.server_cert and not pin:
        with open(options.server_cert, encoding="ascii") as file:
            pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read().strip())).hexdigest()
    if pin:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if options.client_cert:
        context.load_cert_chain(options.client_cert, options.client_key)
    url = urlsplit(options.endpoint)
    host = url.hostname or ""
    secured = context.wrap_socket(socket.create_connection((host, url.port or 443), ANSWER), server_hostname=host)
    if pin and hashlib.sha256(secured.getpeercert(binary_form=True) or b"").hexdigest() != pin:
        secured.close()
        raise ssl.SSLError("the server's certificate is not the pinned one (server_cert or server_fingerprint)")
    return secured

# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Websockets: nothing is lost between the answer's head and the frames, in frames in pieces, or at the end."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.errors import OperationFailed, Unreachable
from ansible_collections.lxdops.compute.plugins.module_utils.trust import Connection
from ansible_collections.lxdops.compute.plugins.module_utils.websocket import Channel
from ws4py.messaging import BinaryMessage, CloseControlMessage, PingControlMessage, TextMessage

HEAD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
KEY = "5ec7e7"


def frame(text: bytes) -> bytes:
    """A message of a server."""
    return bytes(BinaryMessage(text).single(mask=False))


@contextmanager
def server(path: Path, pieces: Iterable[bytes]) -> Iterator[Any]:
    """One that answers a client with these pieces, each as soon as the client has sent something; then it is gone."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path / "socket"))
    listening.listen()

    def serve() -> None:
        client, _address = listening.accept()
        with client:
            for piece in pieces:
                client.recv(4096)
                client.sendall(piece)

    thread = Thread(target=serve)
    thread.start()
    yield SimpleNamespace(options=Connection(endpoint=str(path / "socket")), name="host1")
    thread.join()
    listening.close()


def heard(channel: Channel) -> bytes:
    """All that comes, of a server that goes on when it was sent something."""
    text = b""
    while not channel.closed:
        channel.send(b"more")
        text += channel.receive(5)
    channel.close()
    return text


def test_what_comes_with_the_head_and_what_comes_in_pieces_is_heard(tmp_path: Path) -> None:
    first, second = frame(b"one "), frame(b"two " * 100)
    ping = bytes(PingControlMessage(b"p").single(mask=False))
    with server(tmp_path, [HEAD + first, second[:3], second[3:] + ping + frame(b"three")]) as on:
        assert heard(Channel(on, "/x")) == b"one " + b"two " * 100 + b"three"


@pytest.mark.parametrize("end", [TextMessage(b"").single(mask=False), CloseControlMessage().single(mask=False), b""])
def test_the_end_is_told(tmp_path: Path, end: bytes) -> None:
    with server(tmp_path, [HEAD, frame(b"bye") + end]) as on:
        assert heard(Channel(on, "/x")) == b"bye"


def test_a_refusal_is_told_without_the_secret(tmp_path: Path) -> None:
    with server(tmp_path, [b"HTTP/1.1 403 Forbidden\r\n\r\n"]) as on, pytest.raises(OperationFailed) as caught:
        Channel(on, f"/x?secret={KEY}")
    assert "said HTTP/1.1 403 Forbidden" in caught.value.message
    assert KEY not in caught.value.message


def test_nobody_there(tmp_path: Path) -> None:
    on: Any = SimpleNamespace(options=Connection(endpoint=str(tmp_path / "none")), name="host1")
    with pytest.raises(Unreachable, match="host1"):
        Channel(on, "/x")

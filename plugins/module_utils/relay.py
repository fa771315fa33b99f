# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Carries the websockets of two servers' operations to each other, where neither server can dial the other one."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

PIECE = 1 << 16
"""Bytes that are read at once."""
MOST = 1 << 20
"""Bytes that wait for a slow reader before no more are read for it."""
MASKED = 0x80
ZERO_MASK = bytes(4)


@dataclass
class Frames:
    """The frames of a server (RFC 6455), made those of a client for another server.

    Servers send them plain, and take them masked only: a mask of zeros leaves the content as it is.
    """

    _head: bytes = b""
    _left: int = 0
    """Bytes of the content of a frame that are still to come."""

    def feed(self, data: bytes) -> bytes:
        """What to send on of what has come, in pieces of any size."""
        out: list[bytes] = []
        while data:
            if self._left:
                content, data = data[: self._left], data[self._left :]
                self._left -= len(content)
                out.append(content)
                continue
            self._head, data = self._head + data[:1], data[1:]
            if len(self._head) >= 2 and len(self._head) == 2 + _more(self._head[1]):
                out.append(bytes([self._head[0], self._head[1] | MASKED]) + self._head[2:] + ZERO_MASK)
                self._left = int.from_bytes(self._head[2:], "big") if len(self._head) > 2 else self._head[1]
                self._head = b""
        return b"".join(out)


def _more(length: int) -> int:
    """How many bytes of length follow the second byte of a head."""
    return {126: 2, 127: 8}.get(length, 0)


@dataclass
class Way:
    """One direction: from a socket to another."""

    source: socket.socket
    target: socket.socket
    frames: Frames = field(default_factory=Frames)
    waiting: bytes = b""
    ended: bool = False
    """Whether nothing more comes."""

    def take(self) -> int:
        """Read what has come; how much that was."""
        try:
            data = self.source.recv(PIECE)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return 0
        except OSError:
            data = b""
        self.ended = not data
        self.waiting += self.frames.feed(data)
        return len(data)

    def give(self) -> None:
        """Write what waits."""
        try:
            self.waiting = self.waiting[self.target.send(self.waiting) :]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return
        except OSError:
            self.waiting, self.ended = b"", True


def carry(pairs: Sequence[tuple[socket.socket, socket.socket]], seconds: float, bandwidth: int = 0) -> bool:
    """Carry bytes between the sockets of each pair until all are closed; whether that was so in time.

    ``bandwidth``: bytes a second at most, of all together; 0: no limit.
    """
    for pair in pairs:
        for one in pair:
            one.setblocking(False)
    ways = [Way(*ends) for one, other in pairs for ends in ((one, other), (other, one))]
    end, due = time.monotonic() + seconds, time.monotonic()
    while ways and (now := time.monotonic()) < end:
        late = max(0.0, due - now)
        open_ones = [] if late else [way for way in ways if not way.ended and len(way.waiting) < MOST]
        ready = _ready(open_ones, [way for way in ways if way.waiting], min(late or end - now, end - now))
        taken = sum(way.take() for way in open_ones if way.source in ready)
        if bandwidth:
            due = max(due, now) + taken / bandwidth
        for way in ways:
            if way.waiting:
                way.give()
        ways = _still(ways)
    return not ways


def _ready(readers: Sequence[Way], writers: Sequence[Way], seconds: float) -> set[socket.socket]:
    """The sockets that have something, after a time at the latest."""
    pending = {way.source for way in readers if isinstance(way.source, ssl.SSLSocket) and way.source.pending()}
    sources, targets = [way.source for way in readers], [way.target for way in writers]
    if not sources and not targets:
        select.select([], [], [], seconds)
        return set()
    found = select.select(sources, targets, [], 0 if pending else seconds)
    return pending.union(found[0])


def _still(ways: Sequence[Way]) -> list[Way]:
    """The ways that are still open. One that ended, and has given all, closes its pair both ways."""
    over = {one for way in ways if way.ended and not way.waiting for one in (way.source, way.target)}
    for one in over:
        one.close()
    return [way for way in ways if way.source not in over]

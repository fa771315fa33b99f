# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a relay sends on is what came, in the frames of a client."""

from __future__ import annotations

import socket
import threading

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.relay import Frames, carry


def frame(content: bytes, kind: int = 0x82, masked: bool = False) -> bytes:
    """A frame as a server sends it, or as a client does with a mask of zeros."""
    mask = 0x80 if masked else 0
    size = len(content)
    if size < 126:
        length = bytes([size | mask])
    elif size < 1 << 16:
        length = bytes([126 | mask]) + size.to_bytes(2, "big")
    else:
        length = bytes([127 | mask]) + size.to_bytes(8, "big")
    return bytes([kind]) + length + (bytes(4) if masked else b"") + content


CONTENTS = [(b"", 0x81), (b"a", 0x82), (b"b" * 125, 0x02), (b"c" * 126, 0x80), (b"d" * 70000, 0x82), (b"", 0x88)]


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000, 1 << 20])
def test_frames_come_in_pieces_of_any_size(piece: int) -> None:
    sent = b"".join(frame(content, kind) for content, kind in CONTENTS)
    frames = Frames()
    got = b"".join(frames.feed(sent[at : at + piece]) for at in range(0, len(sent), piece))
    assert got == b"".join(frame(content, kind, masked=True) for content, kind in CONTENTS)


@pytest.mark.parametrize("bandwidth", [0, 10_000_000])
def test_both_ways_until_one_side_ends(bandwidth: int) -> None:
    one, ours = socket.socketpair()
    other, theirs = socket.socketpair()
    big = frame(b"x" * 3_000_000)
    got: list[bytes] = []

    def speak() -> None:
        one.sendall(big)
        one.shutdown(socket.SHUT_WR)

    def listen() -> None:
        other.sendall(frame(b"hello"))
        while data := other.recv(1 << 16):
            got.append(data)

    threads = [threading.Thread(target=speak), threading.Thread(target=listen)]
    for thread in threads:
        thread.start()
    assert carry([(ours, theirs)], 30, bandwidth)
    for thread in threads:
        thread.join()
    assert b"".join(got) == frame(b"x" * 3_000_000, masked=True)
    assert one.recv(100) == frame(b"hello", masked=True)
    one.close()
    other.close()


def test_it_ends_in_time_where_nobody_does() -> None:
    one, ours = socket.socketpair()
    other, theirs = socket.socketpair()
    assert not carry([(ours, theirs)], 0.05)
    for end in (one, other, ours, theirs):
        end.close()

# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The content of a block device copied to another one, while the first is written to, and then the rest of it while it
stands still.

The host keeps pages of a device that a mounted filesystem does not write through: so all is read from the device itself
(O_DIRECT). The first and the last MiB of the target, by which a filesystem is known, are written at the very end: until
then it is as blank as it was before.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .errors import OperationFailed

CHUNK = 1 << 20
DIGEST = 16
"""Bytes that are kept of each chunk, to know whether it has changed."""
ZEROS = bytes(CHUNK)


@dataclass
class Copy:
    """A copy in passes, of which the last one makes it whole. ``proceed`` is called before each chunk, with where
    that begins, and ends it by an error of its own."""

    source: str
    target: str
    known: bytearray = field(default_factory=bytearray, repr=False)

    def first(self, proceed: Callable[[int], None]) -> None:
        """All but the ends. What is written meanwhile is copied by the last pass."""
        self._pass(proceed, last=False)

    def last(self, proceed: Callable[[int], None]) -> None:
        """What differs from what was copied, and the ends; then it is on the storage."""
        self._pass(proceed, last=True)

    def forget(self) -> None:
        """Let the target look as blank as it was. What is in its middle stays."""
        with _opened(self.target, os.O_RDWR) as target:
            end = os.lseek(target, 0, os.SEEK_END)
            with _failing("write", self.target):
                for start in (0, max(0, end - CHUNK)):
                    if os.pread(target, CHUNK, start).strip(b"\0"):
                        os.pwrite(target, ZEROS[: min(CHUNK, end)], start)
                os.fsync(target)

    def _pass(self, proceed: Callable[[int], None], last: bool) -> None:
        # Nobody else may use the target meanwhile: whoever has it exclusively keeps us from it.
        flags = os.O_DIRECT | os.O_EXCL
        with (
            _opened(self.source, os.O_RDONLY | os.O_DIRECT) as source,
            _opened(self.target, os.O_RDWR | flags) as target,
        ):
            size, room = os.lseek(source, 0, os.SEEK_END), os.lseek(target, 0, os.SEEK_END)
            if room < size:
                raise OperationFailed(
                    f"{self.target} has {room} bytes, and {self.source} {size}: it must not be smaller", found=room
                )
            if not self.known:
                self.known = bytearray(DIGEST * -(-size // CHUNK))
            # O_DIRECT wants memory at the beginning of a page.
            with mmap.mmap(-1, CHUNK) as memory, mmap.mmap(-1, CHUNK) as other, memoryview(memory) as chunk:
                late = []
                for start in range(0, size, CHUNK):
                    if start == 0 or start + CHUNK > room - CHUNK:
                        late.append(start)
                        continue
                    proceed(start)
                    self._chunk(source, target, start, chunk[: min(CHUNK, size - start)], other)
                for start in late if last else ():
                    proceed(start)
                    self._chunk(source, target, start, chunk[: min(CHUNK, size - start)], other)
            with _failing("write", self.target):
                os.fsync(target)

    def _chunk(self, source: int, target: int, start: int, chunk: memoryview, other: mmap.mmap) -> None:
        with chunk:
            with _failing("read", self.source):
                _whole(os.preadv, source, chunk, start)
            place = slice(start // CHUNK * DIGEST, start // CHUNK * DIGEST + DIGEST)
            digest = hashlib.blake2b(chunk, digest_size=DIGEST).digest()
            if self.known[place] == digest:
                return
            if not self._is_there(target, start, chunk, other):
                with _failing("write", self.target):
                    _whole(os.pwritev, target, chunk, start)
            self.known[place] = digest

    def _is_there(self, target: int, start: int, chunk: memoryview, other: mmap.mmap) -> bool:
        """Whether it is zeros, and the target has zeros there: a storage that allocates when written to need not."""
        if chunk != ZEROS[: len(chunk)]:
            return False
        with memoryview(other)[: len(chunk)] as found:
            with _failing("read", self.target):
                _whole(os.preadv, target, found, start)
            return found == chunk


def _whole(move: Callable[[int, list[memoryview], int], int], device: int, chunk: memoryview, start: int) -> None:
    done = move(device, [chunk], start)
    if done != len(chunk):
        raise OSError(f"only {done} of {len(chunk)} bytes at {start}")


@contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    with _failing("open", path):
        device = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield device
    finally:
        os.close(device)


@contextmanager
def _failing(verb: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OperationFailed(f"cannot {verb} {path}: {error.strerror or error}") from None

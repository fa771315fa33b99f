# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A process beside ours that ends what we began when we die, even by SIGKILL, or take too long."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from .errors import LxdError

TRIES, PAUSE = 5, 2.0
"""How often, with how many seconds between, it tries to end what was begun: the server may be restarting."""
DESCRIPTORS = 1 << 16
"""More than a process of ours has open."""


@contextmanager
def watched(seconds: float, end: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Have ``end`` called by another process when this one dies within, leaves without having called what it is given,
    or takes longer than some seconds.

    The other process is forked from this one, so it has all that ``end`` needs; that must make a connection of its own.
    """
    # The kernel closes our end of the pipe when we die: that is how the other process knows.
    theirs, ours = os.pipe()
    child = os.fork()
    if child == 0:
        _watch(theirs, seconds, end)
    os.close(theirs)

    def over() -> None:
        with suppress(BrokenPipeError):
            os.write(ours, b"over")

    try:
        yield over
    finally:
        os.close(ours)
        os.waitpid(child, 0)


def _watch(pipe: int, seconds: float, end: Callable[[], None]) -> NoReturn:
    """What the other process does. It never returns to the code that it was forked from."""
    code = 1
    try:
        # Neither a signal to our group, nor whoever waits for the end of our output, shall notice it.
        os.setsid()
        os.dup2(pipe, 0)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        os.closerange(3, DESCRIPTORS)
        ready, _writable, _failed = select.select([0], [], [], seconds)
        code = 0 if ready and os.read(0, 4) else _ended(end)
    finally:
        os._exit(code)


def _ended(end: Callable[[], None]) -> int:
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE)
        with suppress(LxdError):
            end()
            return 0
    return 1

# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Sessions on consoles: opened for somebody else, or talked over."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .console import Console, Line, Seat, holders_of, plain, shown, taken
from .console_log import Desk, fetched
from .errors import LxdError, OperationFailed, Refused, TimedOut
from .steps import Api
from .websocket import Channel

KINDS = {"serial": "console", "spice": "vga"}
SIZE = {"width": 80, "height": 24}
BUSY = "Error: Failed running forkconsole"
"""What is heard in place of the console of a container that somebody else has (lxd/main_forkconsole.go)."""
KNOCK = b" \x15"
"""A space and Ctrl-U, which deletes what stands on the guest's input line: it is repeated, and leaves nothing. What is
sent before liblxc has set up its terminal is lost (lxc_setup_tios in lxc/terminal.c flushes), and a guest that is
silent does not tell when that is. And the server itself types an escape sequence when a session ends (doConsole in
lxd/instance_console.go)."""
KNOCKS, PAUSE = 20, 0.5
"""How often, and seconds between."""
ENTER = b"\r"
ENDING = 2.0
"""Seconds that the server may take to end a session that was left."""
LAST = 20
"""Lines that a failure shows."""
QUIET = 0.5
"""Seconds without a word after which a guest that nothing is expected of has ended what it says."""


@dataclass(frozen=True)
class Open:
    """Open a session for another client, and hand over what it needs."""

    wanted: Console

    @property
    def text(self) -> str:
        return f"open a {self.wanted.type} console session of {self.wanted.instance}"

    def effect(self, seat: Seat) -> Seat:
        return seat

    def run(self, on: Desk) -> None:
        operation = begin(on.api, self.wanted)
        whole = connection(on.api, operation)
        if self.wanted.dest:
            try:
                write(self.wanted.dest, json.dumps(whole, indent=2).encode() + b"\n")
            except OperationFailed:
                # Nobody can use it, and for as long as it is open nobody gets another.
                with talking(on.api, operation) as data:
                    Conversation(data).knock()
                raise
        public = {key: value for key, value in whole.items() if key != "secrets"}
        on.out["connection"] = whole if self.wanted.show_secret else public


@dataclass(frozen=True)
class Talk:
    """Open a session, say the lines and hear the answers, and end it. One step: a killed run ends it, too."""

    wanted: Console

    @property
    def text(self) -> str:
        return f"talk over the serial console of {self.wanted.instance}: {len(self.wanted.lines)} turns"

    def effect(self, seat: Seat) -> Seat:
        return seat

    def run(self, on: Desk) -> None:
        operation = begin(on.api, self.wanted)
        with talking(on.api, operation) as data:
            on.out["transcript"] = shown(self.wanted, self._talk(on, data, operation["id"]))

    def _talk(self, on: Desk, data: Channel, operation: str) -> str:
        talk = Conversation(data)
        talk.knock()
        for number, line in enumerate(self.wanted.lines, 1):
            try:
                talk.turn(line)
            except LxdError as error:
                self._check_ours(on, operation, talk.heard)
                raise self._failure(on, talk.heard, number, error) from None
        self._check_ours(on, operation, talk.heard)
        return talk.heard

    def _check_ours(self, on: Desk, operation: str, heard: str) -> None:
        # That is heard of a guest that has just ended, too.
        if BUSY not in heard or on.api.get(self.wanted.path)["status"] != "Running":
            return
        others = holders_of(self.wanted.instance, on.api.get("operations", recursion=1))
        others = tuple(holder for holder in others if holder[0] != operation)
        raise Refused(f"{self.wanted.instance} on {on.api.name}: {taken(others)}", option="type")

    def _failure(self, on: Desk, heard: str, number: int, error: LxdError) -> LxdError:
        where = f"{self.wanted.instance} on {on.api.name}"
        last = shown(self.wanted, heard).splitlines()[-LAST:]
        said = " | ".join(line for line in last if line.strip()) or "nothing"
        return type(error)(
            f"{where}: run, turn {number}: {error.message}; it said last: {said}", turn=number, last_lines=last
        )


@contextmanager
def talking(on: Api, operation: Mapping[str, Any]) -> Iterator[Channel]:
    """The data channel of a session, which ends afterwards."""
    path, secrets = _channels(operation)
    # The data channel last: with it the server begins.
    control = Channel(on, f"{path}?secret={secrets['control']}")
    try:
        data = Channel(on, f"{path}?secret={secrets['0']}")
        try:
            yield data
        finally:
            # Two threads of the server may write to the data channel when the control channel closes, which ends
            # LXD 5.0 with a panic (lxd/instance_console.go doConsole). So one of them shall end before: it does
            # when the guest says something that nobody takes.
            data.send(KNOCK)
            data.close()
            with suppress(LxdError):
                on.wait(operation, ENDING)
    finally:
        control.close()


class Conversation:
    """What is said and heard over a channel. ``heard``: all that came, in plain text."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._bytes = b""
        self._from = 0
        """Where in what was heard the next pattern is looked for."""

    @property
    def heard(self) -> str:
        return plain(self._bytes.decode("utf-8", "replace"))

    def knock(self) -> None:
        """Wait until the guest hears, as far as that can be told: a prompt for a password repeats nothing."""
        for _knock in range(KNOCKS):
            self._channel.send(KNOCK)
            self._bytes += self._channel.receive(PAUSE)
            if self._bytes or self._channel.closed:
                return

    def turn(self, line: Line) -> None:
        """One turn. What is expected is looked for behind what was found before."""
        said = line.secret if line.secret is not None else line.send
        if said is not None:
            self._channel.send(said.encode() + ENTER)
        if line.expect is None:
            self._listen(QUIET)
            return
        end = time.monotonic() + line.timeout
        while not (found := re.search(line.expect, self.heard[self._from :], re.MULTILINE)):
            left = end - time.monotonic()
            if left <= 0:
                raise TimedOut(f"{line.expect} was not heard within {line.timeout:g} seconds")
            if self._channel.closed:
                raise OperationFailed(f"the console was closed before {line.expect} was heard")
            self._bytes += self._channel.receive(left)
        self._from += found.end()

    def _listen(self, quiet: float) -> None:
        """Hear what comes until nothing does for a while, ten times that while at most."""
        for _pause in range(10):
            heard = self._channel.receive(quiet)
            self._bytes += heard
            if not heard:
                return


@dataclass(frozen=True)
class Screenshot:
    """Take a picture of the screen of a virtual machine."""

    wanted: Console

    @property
    def text(self) -> str:
        return f"take a picture of the screen of {self.wanted.instance} to {self.wanted.dest}"

    def effect(self, seat: Seat) -> Seat:
        return seat

    def run(self, on: Desk) -> None:
        write(self.wanted.dest, fetched(on.api, f"{self.wanted.path}/console", {"type": "vga"}))


def begin(on: Api, wanted: Console) -> Mapping[str, Any]:
    """Begin the operation of a session; its record, with the secrets."""
    body = {"type": KINDS[wanted.type], **SIZE, **({"force": True} if wanted.force else {})}
    return on.begin(f"{wanted.path}/console", body)


def _channels(operation: Mapping[str, Any]) -> tuple[str, Mapping[str, str]]:
    return f"/1.0/operations/{operation['id']}/websocket", operation["metadata"]["fds"]


def connection(on: Api, operation: Mapping[str, Any]) -> dict[str, Any]:
    """What a websocket client needs."""
    path, secrets = _channels(operation)
    where = urlsplit(on.endpoint)
    base = f"wss://{where.netloc}" if where.scheme == "https" else "ws://localhost"
    return {
        "operation": operation["id"],
        "url": base + path,
        "socket": None if where.scheme == "https" else on.endpoint,
        "created_at": operation["created_at"],
        "secrets": {"data": secrets["0"], "control": secrets["control"]},
    }


def write(path: str, content: bytes) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    fresh = f"{path}.{os.getpid()}.new"
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        os.replace(fresh, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(fresh)
        raise OperationFailed(f"dest: {path}: {error.strerror}", option="dest") from None

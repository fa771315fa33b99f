# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A console of an instance: what is asked of it, and what can be on which server. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .errors import Refused
from .instance import Current

HIDDEN = "********"
SHOWING = "Showing console"
"""What the servers call the operation of a console (lxd/db/operationtype, internal/server/db/operationtype)."""
CONTROL_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_a-z])")
"""What moves the cursor and changes colours of a terminal (ECMA-48)."""
DELETED = re.compile(r"[^\n\x08]\x08")


@dataclass(frozen=True)
class Line:
    """One turn of a conversation: what is sent, and what is waited for then."""

    send: str | None
    secret: str | None = field(repr=False)
    expect: str | None
    timeout: float


@dataclass(frozen=True)
class Console:
    """A task's parameters."""

    instance: str
    type: str
    present: bool = True
    tail: int | None = None
    redact: tuple[str, ...] = ()
    clear: bool = False
    lines: tuple[Line, ...] = ()
    force: bool = False
    show_secret: bool = False
    dest: str = ""
    listen: str | None = None
    listen_port: int | None = None
    port: int | None = None
    guest_address: str | None = None
    qemu: str | None = None

    @property
    def path(self) -> str:
        return f"instances/{self.instance}"


@dataclass(frozen=True)
class Seat:
    """An instance, and what is known of its console. ``holders``: operations that show it, by id, and since when;
    ``log``: of one that does not run, where it is a file that may be read as often as wanted."""

    instance: Current
    holders: tuple[tuple[str, str], ...] = ()
    log: str = ""


def view(wanted: Console, _seat: Seat) -> dict[str, Any]:
    """A console as results show it: a log that is read, or a session, changes nothing that stays."""
    return {"instance": wanted.instance, "type": wanted.type}


def check_seat(wanted: Console, seat: Seat) -> None:
    """Refuses what the instance, in the state that it is in, or the server cannot do, with the nearest that works."""
    current = seat.instance
    where = f"{wanted.instance} on {current.server.name}"
    check_exists(wanted, current)
    machine = current.type == "virtual-machine"
    incus = current.server.product == "incus"
    if wanted.type == "log":
        _check_log(where, wanted, current)
        return
    if wanted.type in ("spice", "screenshot") and not machine:
        raise Refused(
            f"{where}: type: {wanted.type} is of virtual machines, and this is a container, which has no screen; the "
            "nearest are type: log and serial, and a server in the guest that type: vnc or rdp leads to",
            option="type",
            found=current.type,
        )
    if wanted.type == "screenshot" and "instance_console_screenshot" not in current.server.extensions:
        raise Refused(
            f"{where}: type: screenshot needs a server with the API extension instance_console_screenshot, which "
            f"{'this Incus' if incus else 'no LXD'} has; the nearest is type: spice, which shows it to a client",
            option="type",
        )
    if current.power != "running":
        nearest = "; what it said before is in type: log" if not machine or incus else ""
        raise Refused(
            f"{where}: type: {wanted.type}: found {current.power}, allowed is running{nearest}",
            option="type",
            found=current.power,
        )
    if wanted.type != "screenshot":
        _check_free(where, wanted, seat)


def check_exists(wanted: Console, current: Current) -> None:
    """Refuses an instance that is not there, or only half."""
    if not current.exists or current.unfinished:
        found = "there is no such instance" if not current.exists else "its creation was cut short: run that task again"
        raise Refused(f"{wanted.instance} on {current.server.name}: {found}", option="name")


def _check_log(where: str, wanted: Console, current: Current) -> None:
    if current.type != "virtual-machine":
        return
    if current.server.product != "incus":
        raise Refused(
            f"{where}: type: log: LXD keeps the console log of containers only, and this is a virtual machine; the "
            "nearest are type: serial, which hears what it says from now on, and its own logs inside",
            option="type",
            found=current.type,
        )
    if wanted.clear:
        raise Refused(
            f"{where}: clear: the server clears the console log of containers only, and this is a virtual machine; "
            "tail shows the end of it",
            option="clear",
            found=current.type,
        )


def _check_free(where: str, wanted: Console, seat: Seat) -> None:
    can_force = "console_force" in seat.instance.server.extensions
    if wanted.force and not can_force:
        raise Refused(
            f"{where}: force: this server cannot take a console from somebody (it has no API extension console_force); "
            "who has it must leave: see who by the operations named when it is refused",
            option="force",
        )
    # Servers with console_force refuse a second session themselves, also where nobody is connected to the first.
    if seat.holders and can_force and not wanted.force:
        raise Refused(f"{where}: {taken(seat.holders)}; force: true takes it over", option="force")


def taken(holders: tuple[tuple[str, str], ...]) -> str:
    """Who has a console, in words."""
    who = ", ".join(f"operation {number} since {since}" for number, since in holders) or "nobody who is an operation"
    return f"the console is open already, by {who}"


def holders_of(name: str, operations: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Which running operations show the console of an instance, from ``GET /1.0/operations?recursion=1``."""
    return tuple(
        (operation["id"], operation["created_at"])
        for operation in operations.get("running") or ()
        if operation["class"] == "websocket"
        and operation["description"] == SHOWING
        and any(
            url.split("?")[0].endswith(f"/{name}") for url in (operation.get("resources") or {}).get("instances") or ()
        )
    )


def shown(wanted: Console, text: str) -> str:
    """Text of a console as results show it: plain lines, what is to be hidden replaced, and only the last lines."""
    text = plain(text)
    for secret in {line.secret for line in wanted.lines if line.secret}:
        text = text.replace(secret, HIDDEN)
    for pattern in wanted.redact:
        text = re.sub(pattern, HIDDEN, text)
    if wanted.tail is None:
        return text
    lines = text.splitlines(keepends=True)
    return "".join(lines[max(0, len(lines) - wanted.tail) :])


def plain(text: str) -> str:
    """Text without what only a terminal understands, and without what was deleted again."""
    text = CONTROL_SEQUENCE.sub("", text).replace("\r", "")
    while (shorter := DELETED.sub("", text)) != text:
        text = shorter
    return text.replace("\b", "")


def with_extensions(current: Current, extensions: frozenset[str]) -> Current:
    """An instance on a server whose API extensions are known."""
    return replace(current, server=replace(current.server, extensions=extensions))

# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A console, for the mechanism."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from .console import Console, Seat, check_seat, holders_of, shown, view, with_extensions
from .console_device import plan_device, view_device
from .console_log import Clear, Desk, read_log
from .console_params import PROXIED, console_from
from .console_session import KINDS, Open, Screenshot, Talk
from .converge import Domain, converge
from .instance import Current, Desired
from .instance_read import read
from .steps import Api, Step


def read_seat(on: Desk, wanted: Console) -> Seat:
    """The instance, and what a plan needs of its console. Nothing that a read uses up."""
    current = with_extensions(read(on.api, Desired(wanted.instance, "present")), on.api.extensions)
    seat = Seat(current)
    if wanted.type in KINDS and current.exists:
        return replace(seat, holders=holders_of(wanted.instance, on.api.get("operations", recursion=1)))
    if wanted.clear and current.power in ("stopped", "suspended"):
        return replace(seat, log=read_log(on.api, wanted))
    return seat


def plan(wanted: Console, seat: Seat) -> list[Step[Seat, Desk]]:
    """What is done to the console, or Refused. A log is only read."""
    check_seat(wanted, seat)
    if wanted.type == "log":
        return [Clear(wanted)] if wanted.clear and (seat.instance.active or seat.log) else []
    if wanted.type == "screenshot":
        return [Screenshot(wanted)]
    return [Talk(wanted) if wanted.lines else Open(wanted)]


def confirm(on: Desk, wanted: Console, seat: Seat) -> Seat:
    """The log, which is for the result of a run only: its lines may be given once."""
    if wanted.type == "log":
        # What was cleared was read before.
        on.out["log"] = shown(wanted, on.out["log"] if "log" in on.out else read_log(on.api, wanted))
    return seat


def converge_console(on: Api, params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """Read, open, or make a console; a module's result."""
    wanted = console_from(params)
    if wanted.type in PROXIED:
        place: Domain[Api, Console, Current] = Domain(
            kind="console",
            settle=lambda on, wanted: on.settle(wanted.path),
            read=lambda on, wanted: read(on, Desired(wanted.instance, "present")),
            plan=plan_device,
            view=partial(view_device, wanted),
            report=lambda _wanted, _current: {},
            confirm=lambda _on, _wanted, current: current,
        )
        return converge(place, on, wanted, check)
    desk = Desk(on)
    session: Domain[Desk, Console, Seat] = Domain(
        kind="console",
        settle=lambda on, wanted: on.api.settle(wanted.path),
        read=read_seat,
        plan=plan,
        view=partial(view, wanted),
        report=lambda wanted, _seat: attaching(on, wanted, params) if wanted.type in KINDS else {},
        confirm=confirm,
    )
    return {**converge(session, desk, wanted, check), **desk.out}


def attaching(on: Api, wanted: Console, params: Mapping[str, Any]) -> dict[str, str | None]:
    """The command that shows the console to a person at the machine where this runs, and what goes before it once."""
    client, prefix = ("incus", "INCUS") if on.product == "incus" else ("lxc", "LXD")
    options = ["--type=vga"] if wanted.type == "spice" else []
    if params.get("project") not in (None, "", "default"):
        options += ["--project", params["project"]]
    if not on.endpoint.startswith("https://"):
        words = shlex.join([client, "console", wanted.instance, *options])
        return {"command": f"{prefix}_SOCKET={shlex.quote(on.endpoint)} {words}", "prepare": None}
    remote = str(on.environment.get("server_name") or "server")
    directory, file = os.path.split(os.path.abspath(params.get("client_cert") or ""))
    # The clients know a certificate by its place only.
    where = f"{prefix}_CONF={shlex.quote(directory)} " if file == "client.crt" else ""
    return {
        "command": where + shlex.join([client, "console", f"{remote}:{wanted.instance}", *options]),
        "prepare": where + shlex.join([client, "remote", "add", remote, on.endpoint]),
    }

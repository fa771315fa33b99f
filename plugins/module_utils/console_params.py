# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A task's parameters -> a console."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from typing import Any

from .console import Console, Line
from .errors import Refused
from .instance_params import check_name

TYPES = ("log", "serial", "spice", "vnc", "rdp", "screenshot")
PROXIED = ("vnc", "rdp")
FOR = {
    "state": PROXIED,
    "tail": ("log", "serial"),
    "redact": ("log", "serial"),
    "clear": ("log",),
    "run": ("serial",),
    "timeout": ("serial",),
    "force": ("serial", "spice"),
    "show_secret": ("serial", "spice"),
    "dest": ("serial", "spice", "screenshot"),
    "listen": PROXIED,
    "listen_port": PROXIED,
    "port": PROXIED,
    "guest_address": PROXIED,
    "qemu": ("vnc",),
}
"""Which types of console an option is for."""
TIMEOUT = 30.0
PORTS = range(1, 65536)


def console_spec() -> dict[str, dict[str, Any]]:
    """The options of a console, as AnsibleModule wants them; documented in modules/lxd_console.py."""
    turn = {
        "send": {"type": "str"},
        "secret": {"type": "str", "no_log": True},
        "expect": {"type": "str"},
        "timeout": {"type": "float"},
    }
    return {
        "name": {"type": "str", "required": True},
        "type": {"type": "str", "choices": list(TYPES), "required": True},
        "state": {"type": "str", "choices": ["present", "absent"]},
        "tail": {"type": "int"},
        "redact": {"type": "list", "elements": "str"},
        "clear": {"type": "bool"},
        "run": {"type": "list", "elements": "dict", "options": turn},
        "timeout": {"type": "float"},
        "force": {"type": "bool"},
        "show_secret": {"type": "bool", "no_log": False},
        "dest": {"type": "path"},
        "listen": {"type": "str"},
        "listen_port": {"type": "int"},
        "port": {"type": "int"},
        "guest_address": {"type": "str"},
        "qemu": {"type": "str"},
    }


def console_from(params: Mapping[str, Any]) -> Console:
    """A Console from a task's validated parameters. Refuses what is wrong in itself, whatever the server says."""
    name, kind = params["name"], params["type"]
    check_name("name", name)
    for option, types in FOR.items():
        # false and an empty list ask for nothing.
        if kind not in types and params.get(option) not in (None, False, []):
            raise Refused(f"{name}: {option}: it is for type: {', '.join(types)}, and found {kind}", option=option)
    wanted = Console(
        instance=name,
        type=kind,
        present=params.get("state") != "absent",
        tail=params.get("tail"),
        redact=tuple(params.get("redact") or ()),
        clear=bool(params.get("clear")),
        lines=tuple(_line(params, turn) for turn in params.get("run") or ()),
        force=bool(params.get("force")),
        show_secret=bool(params.get("show_secret")),
        dest=params.get("dest") or "",
        **{option: params.get(option) for option in ("listen", "listen_port", "port", "guest_address", "qemu")},
    )
    _check_numbers(wanted)
    _check_patterns(wanted)
    _check_dest(wanted)
    _check_server(wanted)
    return wanted


def _line(params: Mapping[str, Any], turn: Mapping[str, Any]) -> Line:
    if turn.get("send") is not None and turn.get("secret") is not None:
        raise Refused(f"{params['name']}: run: send and secret are two turns, found in one", option="run")
    timeout = turn.get("timeout") or params.get("timeout") or TIMEOUT
    return Line(turn.get("send"), turn.get("secret"), turn.get("expect"), timeout)


def _check_numbers(wanted: Console) -> None:
    if wanted.tail is not None and wanted.tail < 0:
        raise Refused(f"{wanted.instance}: tail: found {wanted.tail}, allowed are 0 and more", option="tail")
    if any(line.timeout <= 0 for line in wanted.lines):
        raise Refused(f"{wanted.instance}: timeout: allowed are more than 0 seconds", option="timeout")
    for option in ("listen_port", "port"):
        found = getattr(wanted, option)
        if found is not None and found not in PORTS:
            raise Refused(f"{wanted.instance}: {option}: found {found}, allowed are 1 to 65535", option=option)


def _check_patterns(wanted: Console) -> None:
    patterns = [("redact", pattern) for pattern in wanted.redact]
    patterns += [("expect", line.expect) for line in wanted.lines if line.expect is not None]
    for option, pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise Refused(
                f"{wanted.instance}: {option}: {pattern} is no regular expression: {error}",
                option=option,
                found=pattern,
            ) from None


def _check_dest(wanted: Console) -> None:
    session = wanted.type in ("serial", "spice") and not wanted.lines
    if session and not wanted.dest and not wanted.show_secret:
        raise Refused(
            f"{wanted.instance}: type: {wanted.type} opens a session that nobody could use without its secrets: say "
            "dest, a file for them, or show_secret: true"
            + (", or run, what to do with it" if wanted.type == "serial" else ""),
            option="dest",
        )
    if wanted.lines and (wanted.dest or wanted.show_secret):
        raise Refused(
            f"{wanted.instance}: run ends the session that it opens: dest and show_secret are for one without",
            option="run",
        )
    if wanted.type == "screenshot" and not wanted.dest:
        raise Refused(f"{wanted.instance}: type: screenshot needs dest, the file for the picture", option="dest")
    directory = os.path.dirname(wanted.dest)
    if directory and not os.path.isdir(directory):
        raise Refused(f"{wanted.instance}: dest: there is no directory {directory}", option="dest", found=directory)


def _check_server(wanted: Console) -> None:
    for option in ("listen", "guest_address"):
        address = getattr(wanted, option)
        try:
            if address is not None:
                ipaddress.ip_address(address)
        except ValueError:
            raise Refused(
                f"{wanted.instance}: {option}: found {address}, allowed is an IP address", option=option, found=address
            ) from None
    others = ("listen", "listen_port", "port", "guest_address")
    both = [option for option in others if getattr(wanted, option) is not None]
    if wanted.qemu is not None and both:
        raise Refused(
            f"{wanted.instance}: qemu says where QEMU itself listens; {both[0]} is for a server in the guest",
            option="qemu",
        )

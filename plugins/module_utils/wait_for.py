# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Waits for what a started instance promises: a table of conditions, each a function that says what is still
missing."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from .errors import LxdError, NotFound, OperationFailed, Refused, TimedOut
from .instance import Current, Desired
from .steps import Api

INTERVAL = 0.25
"""Seconds between two looks: the server has no event for an address or a port."""
CONSOLE_LINES = 20
CONDITION = re.compile(r"^(running|agent|ready|cloud_init|(?:ipv4|ipv6)(?:@[\w.-]+)?|port:\d{1,5}(?:@[\w.-]+)?)$")
ALLOWED = "running, agent, ready, cloud_init, ipv4, ipv4@DEVICE, ipv6, ipv6@DEVICE, port:NUMBER, port:NUMBER@DEVICE"


def check_conditions(name: str, conditions: tuple[str, ...]) -> None:
    """Refuses a condition that does not exist."""
    for condition in conditions:
        if not CONDITION.match(condition):
            raise Refused(
                f"{name}: wait_for: found {condition}, allowed are {ALLOWED}", option="wait_for", found=condition
            )


def confirm(on: Api, desired: Desired, current: Current) -> Current:
    """Wait until every condition of ``wait_for`` holds; only where the instance shall run.

    Raises TimedOut with what is still missing, the addresses seen and the last lines of the console.
    """
    if not desired.wait_for or desired.state not in ("started", "restarted"):
        return current
    end = time.monotonic() + desired.wait_timeout
    for condition in desired.wait_for:
        missing = _missing(on, desired, condition)
        while missing:
            if time.monotonic() >= end:
                raise _timed_out(on, desired, condition, missing)
            time.sleep(INTERVAL)
            missing = _missing(on, desired, condition)
    return current


def _missing(on: Api, desired: Desired, condition: str) -> str:
    """What a condition still lacks, or nothing. Raises OperationFailed when it cannot come true any more."""
    try:
        state = on.get(f"{desired.path}/state")
    except OperationFailed as error:
        return error.message  # So Incus fails while the guest ends: its processes are gone before its status is.
    if state["status"] not in ("Running", "Ready", "Frozen"):
        raise OperationFailed(
            f"{desired.name} on {on.name}: it is {state['status']} while waited for "
            f"{condition}{_console(on, desired)[1]}",
            console=_console(on, desired)[0],
        )
    word = condition.split("@")[0].split(":")[0]
    if word == "cloud_init":
        return _cloud_init_missing(on, desired)
    return CHECKS[word](state, condition)


def addresses(state: Mapping[str, Any], family: str, device: str = "") -> list[str]:
    """The global addresses in an instance's state: ``inet`` or ``inet6``, of one device or of all."""
    found = []
    for name, network in (state.get("network") or {}).items():
        if name != "lo" and device in ("", name):
            found += [
                entry["address"]
                for entry in network["addresses"]
                if entry["family"] == family and entry["scope"] == "global"
            ]
    return found


def _running_missing(state: Mapping[str, Any], _condition: str) -> str:
    return "" if state["status"] in ("Running", "Ready") else f"its status is {state['status']}"


def _ready_missing(state: Mapping[str, Any], _condition: str) -> str:
    return "" if state["status"] == "Ready" else "the guest has not said over devlxd that it is ready"


def _agent_missing(state: Mapping[str, Any], _condition: str) -> str:
    # A virtual machine without an agent has -1 processes; a container needs none.
    return "" if state.get("processes", -1) >= 0 else "the agent in the guest does not answer"


def _address_missing(state: Mapping[str, Any], condition: str) -> str:
    family, _at, device = condition.partition("@")
    return "" if addresses(state, {"ipv4": "inet", "ipv6": "inet6"}[family], device) else f"no {condition} address"


def _port_missing(state: Mapping[str, Any], condition: str) -> str:
    port, _at, device = condition.removeprefix("port:").partition("@")
    found = addresses(state, "inet", device) + addresses(state, "inet6", device)
    for address in found:
        try:
            socket.create_connection((address, int(port)), timeout=2).close()
        except OSError:
            continue
        return ""
    return f"port {port} does not answer on {', '.join(found) or 'any address: it has none'}"


CHECKS: Mapping[str, Callable[[Mapping[str, Any], str], str]] = {
    "running": _running_missing,
    "ready": _ready_missing,
    "agent": _agent_missing,
    "ipv4": _address_missing,
    "ipv6": _address_missing,
    "port": _port_missing,
}


def _cloud_init_missing(on: Api, desired: Desired) -> str:
    """cloud-init writes its result when it has ended, with or without errors."""
    try:
        result = json.loads(on.text(f"{desired.path}/files", path="/run/cloud-init/result.json"))["v1"]
    except (NotFound, OperationFailed, ValueError, KeyError):
        return "cloud-init has written no result yet (/run/cloud-init/result.json)"
    if result["errors"]:
        raise OperationFailed(
            f"{desired.name} on {on.name}: cloud-init failed: {'; '.join(result['errors'])}", errors=result["errors"]
        )
    return ""


def _console(on: Api, desired: Desired) -> tuple[list[str], str]:
    """The last lines of the console, and the same as the end of a message."""
    try:
        lines = on.text(f"{desired.path}/console").splitlines()[-CONSOLE_LINES:]
    except LxdError:
        return [], " (this server keeps no console log of it)"
    return lines, ". Last lines of its console:\n" + "\n".join(lines)


def _timed_out(on: Api, desired: Desired, condition: str, missing: str) -> TimedOut:
    state = on.get(f"{desired.path}/state")
    lines, tail = _console(on, desired)
    return TimedOut(
        f"{desired.name} on {on.name}: wait_for {condition}: not within wait_timeout ({desired.wait_timeout:g} "
        f"seconds): {missing}{tail}",
        condition=condition,
        addresses=addresses(state, "inet") + addresses(state, "inet6"),
        console=lines,
    )

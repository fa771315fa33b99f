# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A graphical console of another kind: a server in the guest, led to by a proxy device, or QEMU's own for VNC."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .console import Console, check_exists
from .errors import OperationFailed, Refused
from .instance import Current
from .instance_steps import Update
from .interface_steps import Plug
from .steps import Api, Step

PORT = {"vnc": 5900, "rdp": 3389}
LOCAL = "127.0.0.1"
RAW = "raw.qemu"
PLACE = re.compile(r"^tcp:\[?(.*?)\]?:(\d+)$")


def plan_device(wanted: Console, current: Current) -> list[Step[Current, Api]]:
    """The step to the console as declared, or Refused."""
    check_exists(wanted, current)
    after = edited(wanted, current)
    if after.devices == current.devices and after.config == current.config:
        return []
    plug = Plug(_text(wanted, current, after), Update(after, (), current.etag))
    return [Lead(plug, view_device(wanted, after)["address"])]


@dataclass(frozen=True)
class Lead:
    """Write the device, or the options of QEMU. ``address``: of the host, which the server must find free."""

    plug: Plug
    address: str | None

    @property
    def text(self) -> str:
        return self.plug.text

    def effect(self, current: Current) -> Current:
        return self.plug.effect(current)

    def run(self, on: Api) -> None:
        try:
            self.plug.run(on)
        except OperationFailed as error:
            # Incus does not say why its listener ended.
            if "listener process" in error.message or "already in use" in error.message:
                error.message += f". listen, listen_port: nothing else of the host may listen at {self.address}"
            raise


def edited(wanted: Console, current: Current) -> Current:
    """The instance as it shall be."""
    where = f"{wanted.instance} on {current.server.name}"
    name = device_name(wanted)
    found = current.expanded_devices.get(name)
    if found is not None and (found.get("type") != "proxy" or name not in current.devices):
        whose = "a profile's" if name not in current.devices else f"no proxy but a {found.get('type')}"
        raise Refused(f"{where}: type: the device {name} is {whose}: leave that name to this module", option="type")
    devices = {other: device for other, device in current.devices.items() if other != name}
    config = dict(current.config)
    if wanted.qemu is not None or not wanted.present:
        config = with_raw(config, _raw(where, wanted, current))
    if wanted.present and wanted.qemu is None:
        devices[name] = _proxy(where, wanted, current, found or {})
    given = {other: device for other, device in current.expanded_devices.items() if other != name}
    return replace(current, devices=devices, config=config, expanded_devices={**given, **devices})


def device_name(wanted: Console) -> str:
    """The device that leads to the server in the guest."""
    return f"console-{wanted.type}"


def view_device(wanted: Console, current: Current) -> dict[str, Any]:
    """The console as results and diffs show it."""
    device = current.devices.get(device_name(wanted))
    qemu = listens(current.config) if wanted.type == "vnc" else None
    place = _place(device["listen"]) if device else None
    return {
        "instance": wanted.instance,
        "type": wanted.type,
        "state": "present" if device or qemu else "absent",
        "address": f"{_bracketed(place[0])}:{place[1]}" if place else qemu,
        "device": dict(sorted(device.items())) if device else None,
    }


def listens(config: Mapping[str, str]) -> str | None:
    """Where QEMU itself shows the screen, by its option -vnc."""
    words = shlex.split(config.get(RAW, ""))
    return next((value for option, value in zip(words, words[1:]) if option == "-vnc"), None)


def with_raw(config: Mapping[str, str], raw: str) -> dict[str, str]:
    """A config with other options for QEMU, or none."""
    return {**{key: value for key, value in config.items() if key != RAW}, **({RAW: raw} if raw else {})}


def _raw(where: str, wanted: Console, current: Current) -> str:
    """The options of QEMU with the wanted -vnc, or with none."""
    present = current.config.get(RAW, "")
    target = wanted.qemu if wanted.present else None
    if wanted.type != "vnc" or listens(current.config) == target:
        return present
    if current.type != "virtual-machine":
        raise Refused(
            f"{where}: qemu: this is a container, which no QEMU runs; the nearest is a VNC server in the guest, and "
            "this task without qemu, which leads to it",
            option="qemu",
            found=current.type,
        )
    if current.power != "stopped":
        raise Refused(
            f"{where}: qemu: {RAW} changes while the virtual machine is stopped only, and it is {current.power}; the "
            "nearest without a stop are type: spice, and a VNC server in the guest with guest_address",
            option="qemu",
            found=current.power,
        )
    words = shlex.split(present)
    while "-vnc" in words:
        at = words.index("-vnc")
        del words[at : at + 2]
    return shlex.join([*words, *(("-vnc", target) if target else ())])


def _proxy(where: str, wanted: Console, current: Current, found: Mapping[str, str]) -> dict[str, str]:
    """The device, with what a task does not name as it was."""
    usual = (LOCAL, PORT[wanted.type])
    listen, listen_port = _place(found.get("listen", "")) or usual
    guest, port = _place(found.get("connect", "")) or usual
    machine = current.type == "virtual-machine"
    listen, guest = wanted.listen or listen, wanted.guest_address or guest
    if machine:
        _check_machine(where, listen, guest)
    device = {
        **found,
        "type": "proxy",
        "listen": f"tcp:{_bracketed(listen)}:{wanted.listen_port or listen_port}",
        "connect": f"tcp:{_bracketed(guest)}:{wanted.port or port}",
    }
    return {**device, "nat": "true"} if machine else device


def _check_machine(where: str, listen: str, guest: str) -> None:
    """What a proxy of a virtual machine is on both servers: a translation of addresses (lxd/device/proxy.go)."""
    if ipaddress.ip_address(guest).is_loopback:
        raise Refused(
            f"{where}: guest_address: to a virtual machine the server leads by address translation only: give the "
            "static address of its NIC (lxd_interface, ipv4)",
            option="guest_address",
        )
    if ipaddress.ip_address(listen).is_loopback or ipaddress.ip_address(listen).is_unspecified:
        raise Refused(
            f"{where}: listen: to a virtual machine the server leads by address translation only, and not from "
            f"{listen}: give an address that other machines reach the host by",
            option="listen",
            found=listen,
        )


def _place(text: str) -> tuple[str, int] | None:
    found = PLACE.match(text)
    return (found[1], int(found[2])) if found else None


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _text(wanted: Console, current: Current, after: Current) -> str:
    old, new = view_device(wanted, current), view_device(wanted, after)
    what = f"{wanted.type} console of {wanted.instance}"
    if new["state"] == "absent":
        return f"remove the {what} at {old['address']}"
    if old["state"] == "absent":
        to = f", to {new['device']['connect']}" if new["device"] else ", by QEMU"
        return f"make a {what} at {new['address']}{to}"
    to = f", to {new['device']['connect']}" if new["device"] else ""
    return f"change the {what}: at {new['address']}{to}"

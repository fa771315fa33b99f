# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The steps that change a NIC of an instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .errors import LxdError, NotFound, OperationFailed
from .instance import Current
from .instance_power import NEXT_BOOT, Power
from .instance_steps import Update
from .instance_write import insist, replace_instance, writable
from .steps import Api

LACKING = (
    (
        ("vlan_filtering", "type vlan"),
        "the kernel of the host has no VLANs (8021q, and for a bridge its VLAN filtering); the nearest that works is a "
        "network or a bridge for that VLAN alone, made where the VLAN is",
    ),
    (
        ("Failed to load TC action", "act_police", "tc filter"),
        "the kernel of the host cannot limit what a guest sends (act_police); limits.ingress alone works without",
    ),
    (
        ("Failed adding bridge filter rules",),
        "the kernel of the host cannot filter so on a bridge (nf_conntrack_bridge, nft_reject_bridge); what "
        "works is the option security.acls of the network, which filters at the host",
    ),
    (
        ("Failed to create ipvlan interface",),
        "the kernel of the host makes no ipvlan interfaces; the nearest that work are routed, and macvlan",
    ),
    (
        # It comes before the interface, and stays where that is not made: of liblxc (github.com/lxc/lxc/issues/4367),
        # and of Incus, which adds it itself.
        ("Failed to add ipv4 dest", "Failed to add ipv6 dest", "dev lo: exit status"),
        "an earlier start has left a route to the address on the loopback device of the host, which nobody takes "
        "away: remove it there (ip route del ADDRESS dev lo), or take nictype: routed, which leaves none",
    ),
    (
        ("support SR-IOV",),
        "the device of the host has no virtual functions; the nearest that work are macvlan, and physical, which gives "
        "the instance the whole device",
    ),
)
"""What is found in the server's words where the kernel of the host lacks something, and what that is."""


def lacking(message: str) -> str:
    """The server's words, with what the kernel of the host lacks where that is their cause."""
    for found, words in LACKING:
        if any(word in message for word in found):
            return f"{message}. {words[0].upper()}{words[1:]}"
    return message


def noted(on: Api, instance: str) -> str:
    """The first error in the log of an instance that did not start; the server itself tells only that it did not."""
    try:
        log = on.text(f"instances/{instance}/logs/lxc.log")
    except LxdError:
        return ""  # There is none where it did not come so far, and of a virtual machine.
    errors = [line.partition(" ERROR ")[2] for line in log.splitlines() if " ERROR " in line]
    return f". Its log says: {errors[0].split(' - ', 2)[-1]}" if errors else ""


@dataclass(frozen=True)
class Plug:
    """Write the devices of an instance, guarded by its ETag; ``text`` says what that does to the one NIC."""

    text: str
    update: Update

    def effect(self, current: Current) -> Current:
        return self.update.effect(current)

    def run(self, on: Api) -> None:
        try:
            self.update.run(on)
        except OperationFailed as error:
            # The server has undone it.
            error.message = lacking(error.message)
            raise


@dataclass(frozen=True)
class PlugCold:
    """Stop an instance, write one device, start it. One step, since a NIC that the server does not take, or that the
    instance does not start with, must not leave it stopped: then it is started as it was."""

    text: str
    device: str
    after: Current
    before: Mapping[str, str] | None
    """The local device as it was."""
    stop: tuple[Power, ...]
    start: tuple[Power, ...]

    def effect(self, current: Current) -> Current:
        return replace(self.after, power=current.power, boot=NEXT_BOOT)

    def run(self, on: Api) -> None:
        for power in self.stop:
            power.run(on)
        try:
            self._write(on, self.after.devices.get(self.device))
            self._start(on)
        except LxdError as error:
            said = lacking(error.message + noted(on, self.after.name))
            self._write(on, self.before)
            self._start(on)
            raise OperationFailed(
                f"{self.after.name} on {on.name}: it does not start with the change of {self.device}, and runs again "
                f"without it. The server says: {said}",
                **error.details,
            ) from None

    def _write(self, on: Api, device: Mapping[str, str] | None) -> None:
        def write() -> None:
            found = on.find_tagged(f"instances/{self.after.name}")
            if found is None:
                raise NotFound(f"{self.after.name} is no longer on {on.name}")
            data, etag = found
            devices = {name: options for name, options in data["devices"].items() if name != self.device}
            if device is not None:
                devices[self.device] = dict(device)
            replace_instance(on, self.after.name, {**writable(data), "devices": devices}, etag, data)

        insist(write)

    def _start(self, on: Api) -> None:
        for power in self.start:
            power.run(on)

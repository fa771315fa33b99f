# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The steps from the NICs that an instance has to the one it shall have, or shall not. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .compare import changed_keys, merged
from .errors import Refused
from .instance import Current
from .instance_edit import expand
from .instance_power import powers
from .instance_record import RESTART
from .instance_steps import Update
from .interface import COLD, LIVE, MASK, TAG, Interface, check_options, free_name, mac_of, name_of, nics, type_of
from .interface_steps import Plug, PlugCold
from .key_kinds import DEVICE_KINDS
from .steps import Api, Step

Steps = list[Step[Current, Api]]
STOP = {"running": ("stop",), "frozen": ("unfreeze", "stop")}
START = {"running": ("start",), "frozen": ("start", "freeze")}


def plan(wanted: Interface, current: Current) -> Steps:
    """The steps, or Refused. No steps means that the NIC is as declared."""
    _check_instance(wanted, current)
    name, after = edited(wanted, current)
    back = current.restart_begun
    start = powers(current.name, START["frozen" if "frozen" in (back, current.power) else "running"])
    if after.devices == current.devices:
        # A run that stopped it to change this was killed before it was started again.
        return [*start] if back else []
    found = impact(wanted, current)
    _check_apply(wanted, current, name, found)
    plug = Plug(_text(name, current, after, found), Update(after, (), current.etag))
    if "restart" not in found.values():
        return [plug, *(start if back else [])]
    frozen = current.power == "frozen"
    # Else a run that is killed between stop and start would leave it stopped.
    mark = {RESTART: f"{current.boot} {'frozen' if frozen else 'started'}"}
    noted = Update(replace(current, config={**current.config, **mark}), (), current.etag)
    stop = powers(current.name, STOP[current.power], wanted.stop_timeout, wanted.force)
    return [
        Plug(f"note that {current.name} is restarted", noted),
        PlugCold(
            f"{plug.text}, with a restart",
            name,
            replace(after, config={**after.config, **mark}),
            current.devices.get(name),
            stop,
            start,
        ),
    ]


def report(wanted: Interface, current: Current) -> dict[str, Any]:
    """What a result says besides: how each option takes effect, and what of it waits for the next boot."""
    name, after = edited(wanted, current)
    found = impact(wanted, current) if after.devices != current.devices else {}
    # Firmware reads the boot order when it starts.
    waits = current.active and wanted.state == "attached" and "boot.priority" in found
    waiting = ["boot.priority"] if waits else []
    return {"impact": found, "pending": waiting, **names(current, name), **_warnings(after, name, found)}


def _warnings(after: Current, name: str, found: Mapping[str, str]) -> dict[str, list[str]]:
    """What the server takes and does not do well."""
    device = nics(after).get(name, {})
    declared = [option for option in ("ipv4.address", "ipv6.address") if device.get(option)]
    if not found or device.get("nictype") != "ipvlan" or not declared:
        return {}
    # Seen with liblxc 5.0.2 under LXD 5.0.2; the routes are github.com/lxc/lxc/issues/4367.
    words = (
        f"{after.name} on {after.server.name}: {name}: {', '.join(declared)} of a NIC of type ipvlan: liblxc may give "
        "the guest no address, and leave a route to it on the host when the instance stops, with which it does not "
        "start again. What works: ipvlan without that option, with addresses that the guest sets; or nictype: routed"
    )
    return {"warnings": [words]}


def names(current: Current, name: str) -> dict[str, str | None]:
    """What a NIC is called by the network, and by the host: null where there is none, or it is not plugged in."""
    host_name = current.config.get(f"volatile.{name}.host_name") if name in nics(current) else None
    return {"hwaddr": mac_of(current, name) or None, "host_name": host_name}


def edited(wanted: Interface, current: Current) -> tuple[str, Current]:
    """The name of the device, and the instance as it shall be."""
    name = name_of(wanted, current) or (free_name(current) if wanted.state == "attached" else "")
    given = {name: device for name, device in current.expanded_devices.items() if name not in current.devices}
    given |= expand(current.server.profiles, current.profiles).devices
    devices = dict(current.devices)
    where = f"{current.name} on {current.server.name}: {name}"
    present = {**given, **current.devices}.get(name, MASK)
    if present.get("type") not in ("nic", "none"):
        raise Refused(f"{where}: it is no NIC but a {present.get('type')}", option="device", found=present.get("type"))
    if wanted.state == "attached":
        base = given.get(name, {}) if present == MASK else present
        device = _attached(where, wanted, current, name, base if base.get("type") == "nic" else {})
        devices.pop(name, None)
        if device != given.get(name):
            devices[name] = device
        elif name in current.devices and present != MASK:
            devices[name] = current.devices[name]
    elif present != MASK and name:
        _check_mac(where, wanted, current, name)
        devices.pop(name, None)
        if name in given:
            devices[name] = MASK
    return name, replace(current, devices=devices, expanded_devices={**given, **devices})


def _attached(where: str, wanted: Interface, current: Current, name: str, base: Mapping[str, str]) -> Mapping[str, str]:
    """The device with the options of the task laid over it."""
    options, start = dict(wanted.options), dict(base)
    for one, others in (("network", ("nictype", "parent")), ("nictype", ("network",))):
        if options.get(one) and start.get(one) != options[one]:
            start = {option: value for option, value in start.items() if option not in others}
    if mac_of(current, name) == wanted.hwaddr:
        # It has it, if not by declaration: to write it down would unplug the NIC.
        options.pop("hwaddr", None)
    device = {"type": "nic", **merged(start, options, DEVICE_KINDS)}
    if device == base:
        return base
    if not device.get("network") and not device.get("nictype"):
        raise Refused(
            f"{where}: there is no such NIC yet: to attach one, say network, or nictype and parent", option="network"
        )
    plugged = name in nics(current)
    if plugged and device.get(TAG) != base.get(TAG):
        raise Refused(
            f"{where}: tag: found {base.get(TAG) or 'none'}; it is given when a NIC is attached only: detach it first",
            option="tag",
            found=base.get(TAG),
        )
    holders = [other for other in nics(current) if other != name and mac_of(current, other) == wanted.hwaddr != ""]
    if holders:
        raise Refused(f"{where}: hwaddr: {holders[0]} has {wanted.hwaddr} already", option="hwaddr", found=holders[0])
    nic_type = type_of(device, current)
    kept = mac_of(current, name)
    # With another type the server makes another address (deviceVolatileReset in driver_common.go).
    if plugged and kept and nic_type not in ("", "physical", type_of(base, current)):
        device.setdefault("hwaddr", kept)
    return device


def check_device(where: str, current: Current, name: str, device: Mapping[str, str]) -> None:
    """Refuses what a NIC cannot be on this instance and server."""
    networks = current.server.networks or {}
    network = device.get("network", "")
    if network and network not in networks:
        raise Refused(
            f"{where}: network: {network} is no managed network of the server, which has "
            f"{', '.join(sorted(networks)) or 'none'}; a bridge of the host is named by parent, with nictype: bridged",
            option="network",
            found=network,
            allowed=sorted(networks),
        )
    options = {option: value for option, value in device.items() if option != "type"}
    check_options(where, options, type_of(device, current), current.server)
    if "boot.priority" in device and current.type == "container":
        raise Refused(
            f"{where}: boot_priority is for virtual machines, and this is a container", option="boot_priority"
        )
    bridge = _bridge(device)
    twins = [
        other
        for other, nic in nics(current).items()
        if other != name and bridge and _bridge(nic) == bridge and nic.get("vlan") == device.get("vlan")
    ]
    # nicBridged.checkAddressConflict: the name of an instance is in the DNS of a network once.
    if twins and networks.get(bridge) == ("bridge", True):
        option = "network" if network else "parent"
        raise Refused(
            f"{where}: {option}: {twins[0]} is on {bridge} already, and an instance has one NIC on a managed bridge, "
            "which names its instances; the network's dns.mode: none allows more",
            option=option,
            found=twins[0],
        )


def _bridge(device: Mapping[str, str]) -> str:
    """The network of a NIC, or the bridge that it names as its parent, which may be a managed one all the same."""
    return device.get("network") or (device.get("parent", "") if device.get("nictype") == "bridged" else "")


def impact(wanted: Interface, current: Current) -> dict[str, str]:
    """How each option that changes takes effect: stopped (nothing runs that could notice), live, replug (the NIC is
    unplugged and plugged in again), or restart."""
    name, after = edited(wanted, current)
    old, new = (nics(one).get(name, {}) for one in (current, after))
    kinds = [type_of(device, current) for device in (old, new) if device]
    changed = [option for option in changed_keys(old, new) if option != "type"]
    if not current.active:
        return dict.fromkeys(changed, "stopped")
    if any(kind in COLD for kind in kinds):
        return dict.fromkeys(changed, "restart")
    if len(kinds) < 2:
        return dict.fromkeys(changed, "live")
    live = LIVE.get(kinds[0], ()) if kinds[0] == kinds[1] else ()
    return {option: "live" if option in live else "replug" for option in changed}


def _check_instance(wanted: Interface, current: Current) -> None:
    where = f"{wanted.instance} on {current.server.name}"
    if not current.exists or current.unfinished:
        found = "there is no such instance" if not current.exists else "its creation was cut short: run that task again"
        raise Refused(f"{where}: {found}", option="name")
    name, after = edited(wanted, current)
    if after.devices == current.devices:
        return
    if current.power == "suspended":
        raise Refused(
            f"{where}: {name}: it is suspended, and its memory knows the NICs it had; found suspended, allowed are "
            "running, frozen and stopped",
            option="name",
            found="suspended",
        )
    device = nics(after).get(name)
    if device is not None:
        check_device(f"{where}: {name}", current, name, device)


def _check_mac(where: str, wanted: Interface, current: Current, name: str) -> None:
    found = mac_of(current, name)
    if wanted.hwaddr and found != wanted.hwaddr:
        raise Refused(f"{where}: hwaddr: found {found}, the task says {wanted.hwaddr}", option="hwaddr", found=found)


def _check_apply(wanted: Interface, current: Current, name: str, found: Mapping[str, str]) -> None:
    where = f"{current.name} on {current.server.name}: {name}"
    levels = ("live", "replug", "restart")
    over = sorted(
        option for option, how in found.items() if how in levels and levels.index(how) > levels.index(wanted.apply)
    )
    if "restart" in found.values() and current.ephemeral:
        raise Refused(f"{where}: it is ephemeral: the server would delete it when it stops", option="apply")
    if not over:
        return
    how = found[over[0]]
    why = {
        "replug": "the server changes these only by unplugging the NIC and plugging it in again",
        "restart": "no server plugs a NIC of this type into, or out of, a running instance",
    }[how]
    raise Refused(
        f"{where}: apply: {wanted.apply}, but {why}: {', '.join(over)}. Say apply: {how}", option="apply", pending=over
    )


def _text(name: str, before: Current, after: Current, found: Mapping[str, str]) -> str:
    old, new = (nics(one).get(name) for one in (before, after))
    if new is None:
        masked = ", hiding the one of a profile" if name in after.devices else ""
        return f"detach {name} from {before.name}{masked}"
    options = {option: new.get(option) for option in changed_keys(old or {}, new) if option != "type"}
    if old is None:
        what = ", ".join(f"{option} {value}" for option, value in options.items())
        return f"attach {name} to {before.name}: {what}"
    what = ", ".join(
        f"remove {option}" if value is None else f"set {option} to {value}" for option, value in options.items()
    )
    how = " (unplugs it and plugs it in again)" if "replug" in found.values() else ""
    return f"change {name} of {before.name}: {what}{how}"

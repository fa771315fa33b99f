# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_interface on running containers, for the options that need of the kernel what that of a test machine often lacks:
VLANs, and limits of what a guest sends. Check, apply, again, by LXD's and the kernel's word; packets go, or do not.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from integration.case import same
from integration.guest_network import address, interfaces, reaches
from integration.nic_proof import proof
from volumes.place import NAME, OTHER, Guest

BRIDGE, UPLINK, NETWORK = "nicbr", "nicup", "nicnet"
HOST = f"""
ip link add {BRIDGE} type bridge vlan_filtering 1
ip link add {UPLINK} type dummy
for link in {BRIDGE} {UPLINK}; do ip link set $link up; done
lxc network create {NETWORK} ipv4.address=10.178.0.1/24 ipv6.address=none
"""
NO_HOST = f"lxc network delete {NETWORK}; ip link delete {UPLINK}; ip link delete {BRIDGE}"
TRACES = """
ip -o link | cut -d: -f2 | cut -d@ -f1 | sort
bridge vlan show
ip route show table all | grep -v 'proto kernel' || true
ip neighbour show proxy
nft list ruleset
"""
"""All that NICs leave on a host: links, VLANs of bridges, routes, rules."""
FLOOD = """
import socket
link = socket.socket(type=socket.SOCK_DGRAM)
for _ in range(3000):
    link.sendto(bytes(1400), ("10.178.0.1", 9))
"""
IPS = {NAME: "10.90.0.1", OTHER: "10.90.0.2"}


@dataclass(frozen=True)
class Nics:
    """The machine, as a server with guests that have NICs."""

    guest: Guest

    def query(self, path: str) -> Any:
        return json.loads(self.guest.shell(f"lxc query '/1.0/{path}'"))

    def everything(self) -> dict[str, Any]:
        return {"instances": self.query("instances?recursion=1"), "traces": self.traces()}

    def traces(self) -> set[str]:
        return set(self.guest.shell(TRACES).splitlines())

    def shell(self, name: str, script: str) -> str:
        return self.guest.shell(f"lxc exec {name} -- sh -c '{{ {script}; }} 2>&1; true'")

    def task(self, params: Mapping[str, Any], check: bool = False) -> dict[str, Any]:
        about = {"name": NAME, "device": "eth1", **params, "_ansible_check_mode": check, "_ansible_diff": True}
        answer = self.guest.ask("task", module="lxd_interface", arguments=about, death=[])
        assert not answer["err"], answer["err"]
        result: dict[str, Any] = json.loads(answer["out"])
        return result

    def done(self, **params: Any) -> None:
        result = self.task(params)
        assert not result.get("failed"), result["msg"]

    def proved(self, shows: Mapping[str, str] | None, name: str = NAME, **params: Any) -> dict[str, Any]:
        """Check, apply, again; then eth1 is as LXD `shows` it."""
        return proof(self.task, self, {"name": name, **params}, {"eth1": shows})

    def gone(self, name: str = NAME, **params: Any) -> None:
        """The proof that it is detached."""
        self.proved(None, name, state="detached", **params)
        assert interfaces(self, name) == ["lo"]

    def addressed(self, *names: str, interface: str = "eth1") -> None:
        """Give guests their addresses; a NIC that was plugged in again has lost it."""
        for name in names:
            address(self, name, interface, IPS[name])

    def hosts_end(self) -> str:
        """The interface of the host that eth1 ends at."""
        end: str = self.query(f"instances/{NAME}")["config"]["volatile.eth1.host_name"]
        return end

    def vlans(self) -> dict[int, bool]:
        """The VLANs of eth1 by its bridge's word, and whether each is that of untagged frames."""
        (port,) = json.loads(self.guest.shell(f"bridge -json vlan show dev {self.hosts_end()}"))
        found: dict[int, bool] = {}
        for vlan in port["vlans"]:
            for number in range(vlan["vlan"], vlan.get("vlanEnd", vlan["vlan"]) + 1):
                found[number] = "PVID" in vlan.get("flags", ())
        return found

    def policed(self) -> str:
        """What the kernel does to packets that eth1 sends to the host."""
        return self.guest.shell(f"tc -s filter show dev {self.hosts_end()} parent ffff:")

    def shaped(self) -> str:
        """What the kernel does to packets that the host sends to eth1."""
        return self.guest.shell(f"tc class show dev {self.hosts_end()}")


@pytest.fixture(scope="module")
def _host(guest: Guest) -> Iterator[None]:
    """A bridge with VLAN filtering, a device for VLANs, and a managed network."""
    guest.shell(HOST)
    yield
    guest.shell(NO_HOST)


@pytest.fixture
def nics(guest: Guest, _host: None) -> Iterator[Nics]:
    """Two running containers without NICs, of which nothing is left in the end."""
    nics = Nics(guest)
    before = nics.traces()
    yield nics
    left = {name: nics.query(f"instances/{name}")["devices"] for name in (NAME, OTHER)}
    for name, devices in left.items():
        if devices:
            guest.shell(
                f"lxc stop --force {name}; for device in {' '.join(devices)}; do "
                f"lxc config device remove {name} $device; done; lxc start {name}"
            )
    same(left, {NAME: {}, OTHER: {}})
    end = time.monotonic() + 15
    while (found := nics.traces() ^ before) and time.monotonic() < end:  # The kernel removes on its own time.
        pass
    assert not found, "these came, or are gone"


def test_vlans_of_a_bridge_meet_untagged_and_tagged(nics: Nics) -> None:
    options = {"nictype": "bridged", "parent": BRIDGE, "interface": "eth1", "vlan": "5"}
    shown = {"type": "nic", "nictype": "bridged", "parent": BRIDGE, "name": "eth1", "vlan": "5"}
    attached = nics.proved(shown, **options)
    assert set(attached["impact"].values()) == {"live"}
    assert nics.vlans() == {5: True}
    nics.done(name=OTHER, **options)
    nics.addressed(NAME, OTHER)
    assert reaches(nics, NAME, IPS[OTHER]), "both are in VLAN 5"
    changed = nics.proved({**shown, "vlan": "6"}, OTHER, vlan="6")
    assert changed["impact"] == {"vlan": "replug"}
    nics.addressed(OTHER)
    assert not reaches(nics, NAME, IPS[OTHER]), "one is in VLAN 6"

    tagged = nics.proved({**shown, "vlan.tagged": "6,10-12"}, vlan_tagged=["6", "10-12"])
    assert tagged["impact"] == {"vlan.tagged": "replug"}
    assert nics.vlans() == {5: True, 6: False, 10: False, 11: False, 12: False}
    tagging = "ip link set eth1 up; ip link add link eth1 name tagged type vlan id 6"
    nics.shell(NAME, tagging)
    nics.addressed(NAME, interface="tagged")
    assert reaches(nics, NAME, IPS[OTHER]), "tagged frames are in VLAN 6"
    nics.proved(shown, vlan_tagged=[])
    assert nics.vlans() == {5: True}
    nics.shell(NAME, tagging)
    nics.addressed(NAME, interface="tagged")
    assert not reaches(nics, NAME, IPS[OTHER]), "its tagged frames are dropped"
    nics.gone()
    nics.gone(OTHER)


@pytest.mark.thorough
def test_vlans_of_a_device_of_the_host_meet_by_macvlan(nics: Nics) -> None:
    options = {"nictype": "macvlan", "parent": UPLINK, "interface": "eth1", "vlan": "5"}
    shown = {"type": "nic", "nictype": "macvlan", "parent": UPLINK, "name": "eth1", "vlan": "5"}
    nics.proved(shown, **options)
    assert "vlan protocol 802.1Q id 5" in nics.guest.shell(f"ip -d link show {UPLINK}.5")
    nics.done(name=OTHER, **options)
    nics.addressed(NAME, OTHER)
    assert reaches(nics, NAME, IPS[OTHER]), "both are in VLAN 5"
    changed = nics.proved({**shown, "vlan": "6"}, vlan="6")
    assert changed["impact"] == {"vlan": "replug"}
    nics.addressed(NAME)
    assert not reaches(nics, NAME, IPS[OTHER]), "one is in VLAN 6"
    nics.gone()
    nics.gone(OTHER)


def test_what_a_guest_sends_is_limited_while_it_is_plugged_in(nics: Nics) -> None:
    shown = {"type": "nic", "network": NETWORK, "name": "eth1"}
    nics.proved({**shown, "limits.egress": "1Mbit"}, network=NETWORK, interface="eth1", limits={"egress": "1Mbit"})
    address(nics, NAME, "eth1", "10.178.0.9")
    assert reaches(nics, NAME, "10.178.0.1")
    assert rates(nics.policed()) == ["1Mbit"]
    assert dropped(nics.policed()) == 0
    end, process = nics.hosts_end(), nics.query(f"instances/{NAME}/state")["pid"]
    nics.guest.shell(f"nsenter --net=/proc/{process}/ns/net python3 -c '{FLOOD}'")
    assert dropped(nics.policed()) > 0, "four megabytes at once are not within the limit"

    changed = nics.proved({**shown, "limits.max": "20Mbit"}, limits={"egress": "", "max": "20Mbit"}, apply="live")
    assert set(changed["impact"].values()) == {"live"}
    assert (rates(nics.policed()), rates(nics.shaped())) == (["20Mbit"], ["20Mbit"])
    nics.proved(shown, limits={"max": ""}, apply="live")
    assert (nics.policed(), nics.shaped()) == ("", "")
    assert nics.hosts_end() == end, "it was unplugged"
    assert reaches(nics, NAME, "10.178.0.1"), "it has lost its address"
    nics.gone()


@pytest.mark.thorough
def test_ipvlan_carries_packets_of_addresses_that_the_guests_set(nics: Nics) -> None:
    """It comes and goes by a restart, or while the instance is stopped, which starts again with it."""
    options = {"nictype": "ipvlan", "parent": UPLINK}
    shown = {"type": "nic", "nictype": "ipvlan", "parent": UPLINK}
    cold: dict[str, Any] = {"apply": "restart", "force": True}
    boot = nics.query(f"instances/{NAME}/state")["pid"]
    attached = nics.proved(shown, **options, **cold)
    assert set(attached["impact"].values()) == {"restart"}
    assert nics.query(f"instances/{NAME}/state")["pid"] not in (0, boot)
    nics.guest.shell(f"lxc stop --force {OTHER}")
    assert set(nics.proved(shown, OTHER, **options)["impact"].values()) == {"stopped"}
    nics.guest.shell(f"lxc start {OTHER}")
    for again in (False, True):
        if again:
            nics.guest.shell(f"lxc restart --force {NAME}")
        # The guest's init asks DHCP, which nobody answers, and takes addresses away when it begins.
        nics.shell(NAME, "killall udhcpc")
        nics.shell(OTHER, "killall udhcpc")
        nics.addressed(NAME, OTHER, interface="eth0")
        assert reaches(nics, NAME, IPS[OTHER])
    process = nics.query(f"instances/{NAME}/state")["pid"]
    assert "ipvlan" in nics.guest.shell(f"nsenter --net=/proc/{process}/ns/net ip -d link show eth0")
    for name in (NAME, OTHER):
        nics.gone(name, **cold)
        assert nics.query(f"instances/{name}")["status"] == "Running"


def rates(told: str) -> list[str]:
    """The rates in what tc tells."""
    return re.findall(r"\brate (\S+)", told)


def dropped(told: str) -> int:
    """The packets that were dropped, by what tc tells."""
    (count,) = re.findall(r"dropped (\d+)", told)
    return int(count)

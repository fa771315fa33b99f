# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_interface of a virtual machine that runs: a NIC comes with its tag, packets go, and it goes."""

import json
from typing import Any

import pytest
from machines.place import NETWORK, Virtual
from volumes.place import wait_until

pytestmark = pytest.mark.thorough
INTERFACE = "lxd_interface"
PARTS = ("changed", "steps", "diff", "interface", "impact", "pending")
MAC = "00:16:3e:47:11:01"
HOST = "10.99.0.1"
PERL = (
    "usr/bin/perl lib64/ld-linux-x86-64.so.2 lib/x86_64-linux-gnu/libc.so.6 lib/x86_64-linux-gnu/libm.so.6 "
    "lib/x86_64-linux-gnu/libcrypt.so.1 usr/lib/x86_64-linux-gnu/perl-base"
)
"""The host's, which the guest lacks; busybox speaks to no unix socket."""
ASK = (
    'perl -MIO::Socket::UNIX -e \'$s = IO::Socket::UNIX->new(Peer => "/dev/lxd/sock") or die $!; '
    'print $s "GET /1.0/devices HTTP/1.0\\r\\nHost: lxd\\r\\n\\r\\n"; local $/; ($head, $body) = '
    "split /\\r\\n\\r\\n/, <$s>, 2; print $body'"
)


def nics(machine: Virtual) -> dict[str, str]:
    """The NICs that the guest has, by their MAC addresses."""
    listed = machine.inside("for nic in /sys/class/net/*; do echo $(cat $nic/address) ${nic##*/}; done")
    return {mac: name for mac, name in (line.split() for line in listed.splitlines()) if name != "lo"}


def links(machine: Virtual) -> set[str]:
    """The links of the host."""
    return {link["ifname"] for link in json.loads(machine.guest.shell("ip -json link"))}


def told(machine: Virtual) -> dict[str, Any]:
    """What the guest is told of its devices, by its own socket."""
    machine.guest.shell(f"tar -C / -chf - {PERL} | timeout 200 lxc exec {machine.name} -- tar -C / -xf -")
    devices: dict[str, Any] = json.loads(machine.inside(ASK))
    return devices


def test_a_nic_comes_with_a_tag_and_goes(machine: Virtual) -> None:
    before, devices = links(machine), machine.instance()["devices"]
    assert nics(machine) == {}
    about = {"device": "eth1", "network": NETWORK, "hwaddr": MAC, "tag": "blue", "security": {"mac_filtering": True}}
    made = machine.proved(PARTS, INTERFACE, **about)
    assert (made["impact"], made["pending"]) == ({}, []) or made["pending"] == []
    wait_until(lambda: MAC in nics(machine), "the guest sees the NIC", 240)
    name = nics(machine)[MAC]
    # The network's own server gives it an address.
    wait_until(lambda: "inet 10.99.0." in machine.inside(f"ip -4 address show {name}"), "it has an address", 300)
    assert " 0% packet loss" in machine.inside(f"ping -c 1 -W 20 {HOST}")
    assert told(machine)["eth1"]["user.tag"] == "blue"
    assert len(links(machine) - before) == 1

    machine.refused("tag: found blue; it is given when a NIC is attached only", INTERFACE, device="eth1", tag="red")
    limited = machine.proved(PARTS, INTERFACE, device="eth1", limits={"egress": "10Mbit"})
    assert limited["impact"] == {"limits.egress": "live"}
    assert MAC in nics(machine)

    machine.proved(PARTS, INTERFACE, device="eth1", state="detached")
    wait_until(lambda: nics(machine) == {}, "the guest has lost the NIC", 240)
    assert links(machine) == before
    assert machine.instance()["devices"] == devices


def test_a_nic_of_a_bridge_of_the_host_comes_and_goes(machine: Virtual) -> None:
    """Found by its MAC address."""
    machine.guest.shell("ip link add vmhost type bridge; ip address add 10.98.0.1/24 dev vmhost; ip link set vmhost up")
    try:
        about = {"hwaddr": MAC, "parent": "vmhost", "nictype": "bridged"}
        machine.proved(PARTS, INTERFACE, **about)
        wait_until(lambda: MAC in nics(machine), "the guest sees the NIC", 240)
        name = nics(machine)[MAC]
        machine.inside(f"ip address replace 10.98.0.2/24 dev {name}; ip link set {name} up")
        wait_until(lambda: " 0% packet loss" in machine.inside("ping -c 1 -W 20 10.98.0.1 || true"), "packets go", 300)
        machine.proved(PARTS, INTERFACE, hwaddr=MAC, state="detached")
        wait_until(lambda: nics(machine) == {}, "the guest has lost the NIC", 240)
    finally:
        machine.guest.shell("ip link delete vmhost")

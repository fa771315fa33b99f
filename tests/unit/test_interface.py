# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""NICs: what a task does to an instance's devices, how that takes effect, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.errors import Refused
from ansible_collections.lxdops.compute.plugins.module_utils.instance import Current
from ansible_collections.lxdops.compute.plugins.module_utils.instance_record import RESTART
from ansible_collections.lxdops.compute.plugins.module_utils.interface import Interface, view
from ansible_collections.lxdops.compute.plugins.module_utils.interface_params import interface_from
from ansible_collections.lxdops.compute.plugins.module_utils.interface_plan import edited, impact, plan, report
from ansible_collections.lxdops.compute.plugins.module_utils.interface_steps import lacking
from ansible_collections.lxdops.compute.plugins.module_utils.steps import predict
from unit.instances import BOOT, NIC, SERVER, absent, existing, virtual_machine

MAC = "00:16:3e:00:00:01"
NETWORKS = {"lab0": ("bridge", True), "quiet": ("bridge", False), "back": ("bridge", True), "mac0": ("macvlan", False)}
ON = replace(SERVER, networks=NETWORKS)
P2P = {"type": "nic", "nictype": "p2p"}
BR9 = {"nictype": "bridged", "parent": "br9"}
IPVLAN = {"type": "nic", "nictype": "ipvlan", "parent": "eth9"}
DEFAULTS = {"name": "web1", "state": "attached", "apply": "replug", "force": False, "stop_timeout": 30}


def nic(**params: Any) -> Interface:
    """A task for a NIC of web1."""
    return interface_from({**DEFAULTS, **params})


def having(power: str = "running", config: dict[str, str] | None = None, **devices: dict[str, str]) -> Current:
    """web1 with these devices of its own, besides what its profile gives."""
    return existing(power, config=config or {}, devices=devices, server=ON)


def texts(wanted: Interface, current: Current) -> list[str]:
    return [step.text for step in plan(wanted, current)]


SENTENCES = [
    (nic(device="eth1", network="back"), having(), ["attach eth1 to web1: network back"]),
    (nic(device="eth1", network="back"), having(eth1={"type": "nic", "network": "back"}), []),
    # That names no instances, or is no bridge of the server's, or another VLAN, or no NIC of the bridge.
    *[
        (nic(device="b", **task), having(a={"type": "nic", **found}), [f"attach b to web1: {text}"])
        for found, task, text in (
            ({"network": "quiet"}, {"nictype": "bridged", "parent": "quiet"}, "nictype bridged, parent quiet"),
            (BR9, {"nictype": "bridged", "parent": "br9"}, "nictype bridged, parent br9"),
            (
                {"network": "back"},
                {"nictype": "bridged", "parent": "back", "vlan": "5"},
                "nictype bridged, parent back, vlan 5",
            ),
            ({"network": "back"}, {"nictype": "macvlan", "parent": "back"}, "nictype macvlan, parent back"),
        )
    ],
    (nic(hwaddr=MAC, network="back"), having(), [f"attach eth1 to web1: hwaddr {MAC}, network back"]),
    (nic(hwaddr=MAC.upper()), having(config={"volatile.eth0.hwaddr": MAC}), []),
    (nic(device="eth0", hwaddr=MAC), having(config={"volatile.eth0.hwaddr": MAC}), []),
    (nic(device="eth0", limits={"max": "1Mbit"}), having(), ["change eth0 of web1: set limits.max to 1Mbit"]),
    (nic(device="eth0", limits={"max": "1000kbit"}), having(eth0={**NIC, "limits.max": "1Mbit"}), []),
    (
        nic(device="p", limits={"max": ""}),
        having(p={**P2P, "limits.max": "1Mbit"}),
        ["change p of web1: remove limits.max"],
    ),
    (
        nic(device="p", mtu="1400"),
        having(p=P2P),
        ["change p of web1: set mtu to 1400 (unplugs it and plugs it in again)"],
    ),
    (nic(device="eth0", state="detached"), having(), ["detach eth0 from web1, hiding the one of a profile"]),
    (
        nic(device="eth0", state="detached"),
        having(eth0={**NIC, "mtu": "9"}),
        ["detach eth0 from web1, hiding the one of a profile"],
    ),
    (nic(device="eth0", state="detached"), having(eth0={"type": "none"}), []),
    (nic(device="eth0"), having(eth0={"type": "none"}), ["attach eth0 to web1: network lab0"]),
    (nic(device="p", state="detached"), having(p=P2P), ["detach p from web1"]),
    (nic(hwaddr=MAC, state="detached"), having(p={**P2P, "hwaddr": MAC}), ["detach p from web1"]),
    (nic(hwaddr=MAC, state="detached"), having(), []),
    (nic(device="x", state="detached"), having(), []),
    (
        nic(device="i", nictype="ipvlan", parent="eth9", apply="restart"),
        having("frozen"),
        ["note that web1 is restarted", "attach i to web1: nictype ipvlan, parent eth9, with a restart"],
    ),
    (
        nic(device="i", nictype="ipvlan", parent="eth9"),
        having("stopped"),
        ["attach i to web1: nictype ipvlan, parent eth9"],
    ),
    (nic(device="p"), having("stopped", config={RESTART: f"{BOOT} frozen"}, p=P2P), ["start web1", "freeze web1"]),
]


@pytest.mark.parametrize(("wanted", "current", "sentences"), SENTENCES)
def test_what_is_done(wanted: Interface, current: Current, sentences: list[str]) -> None:
    assert texts(wanted, current) == sentences


REFUSED = [
    (nic(device="eth1", network="back"), absent(), "there is no such instance"),
    (nic(device="eth1"), having(), "there is no such NIC yet: to attach one, say network"),
    (nic(device="root"), having(), "it is no NIC but a disk"),
    (nic(device="eth1", network="nope"), having(), "nope is no managed network of the server, which has back, lab0"),
    (nic(device="eth1", network="lab0"), having(), "eth0 is on lab0 already, .* dns.mode: none allows more"),
    (
        nic(device="eth1", nictype="bridged", parent="lab0"),
        having(),
        "parent: eth0 is on lab0 already, .* dns.mode: none allows more",
    ),
    (
        nic(device="eth2", network="back"),
        having(eth1={"type": "nic", "nictype": "bridged", "parent": "back"}),
        "network: eth1 is on back already",
    ),
    (nic(device="eth0", mtu="1400"), having(), "mtu comes from the network lab0"),
    (nic(device="m", network="mac0", vlan="5"), having(), "vlan comes from the network mac0"),
    (
        nic(device="eth0", acls=["web"]),
        having(),
        "security.acls: a NIC of type bridged has no such .*ovn have it",
    ),
    (
        nic(device="p", nictype="p2p", limits={"priority": "3"}),
        having(),
        "limits.priority: this server .lxd. is too old for it: it has no API extension instances_nic_limits_priority",
    ),
    (
        nic(device="eth0", acls=["web"]),
        replace(having(), server=replace(ON, product="incus")),
        "security.acls: this server .incus. is too old for it: it has no API extension network_bridge_acl_devices",
    ),
    (nic(device="p", nictype="p2p", parent="eth9"), having(), "parent: a NIC of type p2p has no such option"),
    (nic(device="p", tag="red"), having(p={**P2P, "user.tag": "blue"}), "tag: found blue; it is given when"),
    (nic(device="eth0", boot_priority=1), having(), "boot_priority is for virtual machines"),
    (nic(device="p", hwaddr=MAC), having(p=P2P, q={**P2P, "hwaddr": MAC}), f"q has {MAC} already"),
    (nic(device="p", hwaddr=MAC, state="detached"), having(p=P2P), f"hwaddr: found , the task says {MAC}"),
    (nic(device="p", mtu="1400", apply="live"), having(p=P2P), "only by unplugging .*: mtu. Say apply: replug"),
    (nic(device="i", state="detached"), having(i=IPVLAN), "no server plugs .*: nictype, parent. Say apply: restart"),
    (
        nic(device="i", nictype="ipvlan", parent="x", apply="restart"),
        replace(having(), ephemeral=True),
        "it is ephemeral: the server would delete it when it stops",
    ),
    (nic(device="p", nictype="p2p"), having("suspended"), "it is suspended, and its memory knows the NICs it had"),
]


@pytest.mark.parametrize(("wanted", "current", "words"), REFUSED)
def test_what_is_refused(wanted: Interface, current: Current, words: str) -> None:
    with pytest.raises(Refused, match=words):
        plan(wanted, current)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "found neither device nor hwaddr"),
        ({"device": "eth1", "hwaddr": "1:2"}, "hwaddr: found 1:2, allowed is an address like"),
        ({"device": "a b"}, "device: found 'a b', allowed are"),
        ({"device": "e", "network": "n", "nictype": "bridged"}, "the managed network n says the type"),
        ({"device": "e", "ipv4": ["10.0.0.1/24"]}, "ipv4: found 10.0.0.1/24, allowed are addresses without a prefix"),
        ({"device": "e", "ipv6": ["10.0.0.1"]}, "ipv6: found 10.0.0.1"),
        ({"device": "e", "vlan": "4095"}, "vlan: found 4095, allowed are 0 to 4094 and none"),
        ({"device": "e", "mtu": "big"}, "mtu: found big, allowed are 68 to 65535"),
    ],
)
def test_what_is_wrong_in_itself(params: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        nic(**params)


def test_a_nic_keeps_its_address_when_its_type_changes() -> None:
    current = having(config={"volatile.p.hwaddr": MAC}, p=P2P)
    _name, after = edited(nic(device="p", network="back"), current)
    assert after.devices["p"] == {"type": "nic", "network": "back", "hwaddr": MAC}


def test_how_a_change_takes_effect() -> None:
    both = nic(device="eth0", limits={"max": "1Mbit"}, interface="net0")
    assert impact(both, having()) == {"limits.max": "live", "name": "replug"}
    assert impact(both, having("stopped")) == {"limits.max": "stopped", "name": "stopped"}
    first = nic(device="eth0", boot_priority=1)
    assert impact(first, replace(virtual_machine(), server=ON)) == {"boot.priority": "replug"}


def test_addresses_of_an_ipvlan_nic_are_warned_of() -> None:
    stopped = having("stopped", eth1=IPVLAN)
    (words,) = report(nic(device="eth1", ipv4=["10.0.0.5"]), stopped)["warnings"]
    assert "web1 on host1: eth1: ipv4.address of a NIC of type ipvlan" in words
    assert "nictype: routed" in words
    assert "warnings" not in report(nic(device="eth1", mtu="1400"), stopped)
    assert "warnings" not in report(nic(device="eth0", ipv4=["10.0.0.5"]), stopped)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Failed creating interface: type vlan: Operation not supported", "The kernel of the host has no VLANs"),
        ('Parent device "eth0" doesn\'t support SR-IOV', "The device of the host has no virtual functions"),
        ('Failed to create ipvlan interface "ip1" on "eth0"', "The kernel of the host makes no ipvlan interfaces"),
        (
            'File exists - Failed to add ipv4 dest "10.0.0.5" for network device "lo"',
            "An earlier start has left a route",
        ),
        ("ip -4 route add table main 10.0.0.5/32 dev lo: exit status 2", "An earlier start has left a route"),
    ],
)
def test_what_a_host_lacks_is_told_with_the_servers_words(message: str, words: str) -> None:
    assert lacking(message).startswith(f"{message}. {words}")
    assert lacking("something else") == "something else"


def test_a_plan_carried_out_leaves_nothing_to_do() -> None:
    keys: tuple[dict[str, str], ...] = ({"device": "eth0"}, {"device": "p"}, {"hwaddr": MAC})
    changes: tuple[dict[str, str], ...] = (
        {},
        {"nictype": "p2p", "mtu": "1400"},
        {"network": "quiet"},
        {"nictype": "ipvlan", "parent": "x"},
    )
    tasks = [
        nic(state=state, apply="restart", **{**key, **options})
        for state, key, options in product(("attached", "detached"), keys, changes)
        for options in (
            {},
            {"nictype": "p2p", "mtu": "1400"},
            {"network": "quiet"},
            {"nictype": "ipvlan", "parent": "e"},
        )
    ]
    devices: list[dict[str, dict[str, str]]] = [
        {},
        {"eth0": {"type": "none"}},
        {"eth0": {**NIC, "hwaddr": MAC}, "p": P2P},
        {"p": {**P2P, "user.tag": "t"}},
        {"eth0": {**IPVLAN, "hwaddr": MAC}},
    ]
    planned = 0
    for wanted, local, power in product(tasks, devices, ("running", "stopped", "frozen")):
        current = having(power, **local)
        try:
            steps = plan(wanted, current)
        except Refused:
            continue
        planned += 1
        after = predict(current, steps)
        assert plan(wanted, after) == [], (wanted, current)
        assert after.power == current.power
        assert view(wanted, after)["state"] == wanted.state
        touched = view(wanted, after)["device"] or view(wanted, current)["device"]
        untouched = {name: device for name, device in current.expanded_devices.items() if name != touched}
        assert {name: after.expanded_devices.get(name) for name in untouched} == untouched
        assert bool(steps) or after == current
    assert planned > 150

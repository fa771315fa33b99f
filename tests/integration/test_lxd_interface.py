# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_interface: NICs come, change and go while guests run, packets flow or are blocked; nothing else is touched."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.instance_record import CREATING
from integration.case import Lane, same
from integration.guest_network import address, interfaces, reaches, told_devices, traces
from integration.killed_run import killed, started
from integration.lab_host import LabHost, run, wait_until
from integration.nic_proof import MODULE, NAME, PARTS, done, nic_task, proved, quickly
from integration.task import task

OTHER = "nicother"
BACK = "nicback"
MAC = "00:16:3e:77:00:01"
Params = Mapping[str, Any]


@pytest.fixture(autouse=True, scope="module")
def _network(lane: Lane) -> Iterator[None]:
    """A second network, which names no instances."""
    config = {"ipv4.address": "10.178.0.1/24", "ipv6.address": "none", "dns.mode": "none"}
    lane.host.call("POST", "networks", {"name": BACK, "type": "bridge", "config": config})
    yield
    lane.host.remove(NAME, OTHER)
    lane.host.call("DELETE", f"networks/{BACK}")


@pytest.fixture(autouse=True)
def _given(lane: Lane) -> None:
    """A running instance with what the default profile gives."""
    lane.host.given(NAME, power="running")


def hosts_end(lane: Lane, device: str) -> str:
    found: str = lane.host.query(f"instances/{NAME}")["config"][f"volatile.{device}.host_name"]
    return found


def test_attached_changed_and_detached_while_it_runs(lane: Lane) -> None:
    nic = {"type": "nic", "network": BACK, "name": "back0", "user.tag": "blue", "hwaddr": MAC}
    options = {"device": "eth1", "network": BACK, "interface": "back0", "tag": "blue", "hwaddr": MAC.upper()}
    attached = proved(lane, options, {"eth1": nic})
    assert (attached["hwaddr"], set(attached["impact"].values())) == (MAC, {"live"})
    assert interfaces(lane.host, NAME) == ["back0", "eth0", "lo"]
    assert told_devices(lane.host, NAME)["eth1"]["user.tag"] == "blue"

    end = hosts_end(lane, "eth1")
    live = {"limits.ingress": "10Mbit", "security.mac_filtering": "true"}
    live |= {"ipv4.address": "10.178.0.7", "ipv4.routes": "10.9.1.0/24,10.9.2.0/24"}
    changes = {
        "limits": {"ingress": "10Mbit"},
        "security": {"mac_filtering": True},
        "ipv4": ["10.178.0.7"],
        "routes": {"ipv4": ["10.9.1.0/24", "10.9.2.0/24"]},
        "apply": "live",
    }
    changed = proved(lane, {"device": "eth1", **changes}, {"eth1": nic | live})
    assert set(changed["impact"].values()) == {"live"}
    assert hosts_end(lane, "eth1") == end, "it was unplugged"

    refused = nic_task(lane, {"device": "eth1", "interface": "back1", "apply": "live"})
    assert "only by unplugging the NIC and plugging it in again: name. Say apply: replug" in refused["msg"]
    fewer = {"limits": {"ingress": ""}, "routes": {"ipv4": []}, "ipv4": []}
    left = {**nic, "name": "back1", "security.mac_filtering": "true"}
    replugged = proved(lane, {"device": "eth1", "interface": "back1", **fewer}, {"eth1": left})
    assert replugged["impact"]["name"] == "replug"
    assert "(unplugs it and plugs it in again)" in replugged["steps"][0]
    assert interfaces(lane.host, NAME) == ["back1", "eth0", "lo"]
    assert hosts_end(lane, "eth1") != end

    proved(lane, {"hwaddr": MAC, "state": "detached"}, {"eth1": None})
    assert interfaces(lane.host, NAME) == ["eth0", "lo"]


@pytest.mark.thorough
@pytest.mark.parametrize("power", ["stopped", "frozen"])
def test_the_power_is_what_it_was(lane: Lane, power: str) -> None:
    lane.host.given(NAME, power=power)
    proved(lane, {"device": "eth1", "network": BACK}, {"eth1": {"type": "nic", "network": BACK}})
    proved(lane, {"device": "eth1", "state": "detached"}, {"eth1": None})
    assert lane.host.query(f"instances/{NAME}")["status"] == power.capitalize()


def test_what_a_profile_gives_is_overridden_hidden_and_given_again(lane: Lane) -> None:
    own = {"type": "nic", "network": "lab0", "name": "eth0", "limits.ingress": "50Mbit"}
    mac = done(lane, device="eth0")["hwaddr"]
    overridden = proved(lane, {"device": "eth0", "limits": {"ingress": "50Mbit"}}, {"eth0": own})
    assert (overridden["hwaddr"], overridden["interface"]["inherited"]) == (mac, False)
    hidden = proved(lane, {"hwaddr": mac, "state": "detached"}, {"eth0": {"type": "none"}})
    assert hidden["steps"] == [f"detach eth0 from {NAME}, hiding the one of a profile"]
    assert interfaces(lane.host, NAME) == ["lo"]
    given = proved(lane, {"device": "eth0"}, {"eth0": None})
    assert given["interface"]["inherited"]
    assert interfaces(lane.host, NAME) == ["eth0", "lo"]


def test_packets_flow_and_those_of_a_false_sender_do_not(lane: Lane) -> None:
    lane.host.given(OTHER, power="running")
    for number, name in enumerate((NAME, OTHER), 1):
        quickly(lane, name=name, device="eth1", network=BACK, interface="eth1")
        address(lane.host, name, "eth1", f"10.178.0.{10 + number}")
    assert reaches(lane.host, NAME, "10.178.0.12")
    change = f"ip link set eth1 down; ip link set eth1 address {MAC}"
    quickly(lane, device="eth1", security={"mac_filtering": True}, apply="live")
    assert reaches(lane.host, NAME, "10.178.0.12"), "its own address is filtered"
    lane.host.shell(NAME, change)
    address(lane.host, NAME, "eth1", "10.178.0.11")
    assert not reaches(lane.host, NAME, "10.178.0.12")
    quickly(lane, device="eth1", security={"mac_filtering": False}, apply="live")
    assert reaches(lane.host, NAME, "10.178.0.12")
    lane.host.remove(OTHER)


@pytest.mark.thorough
def test_packets_flow_over_macvlan(lane: Lane) -> None:
    lane.host.given(OTHER, power="running")
    for number, name in enumerate((NAME, OTHER), 1):
        quickly(lane, name=name, device="eth1", nictype="macvlan", parent="eth0", mtu="1400")
        address(lane.host, name, "eth1", f"10.179.0.{10 + number}")
    assert reaches(lane.host, NAME, "10.179.0.12")
    assert lane.host.shell(NAME, "cat /sys/class/net/eth1/mtu").strip() == "1400"
    lane.host.remove(OTHER)


@pytest.mark.thorough
def test_attached_and_detached_twenty_times_leaves_nothing(lane: Lane) -> None:
    def cycle() -> None:
        common = {"limits": {"ingress": "10Mbit"}, "security": {"mac_filtering": True}}
        quickly(lane, device="eth1", network=BACK, routes={"ipv4": ["10.9.1.0/24"]}, ipv4=["10.178.0.9"], **common)
        quickly(lane, device="eth1", state="detached")

    cycle()
    before = traces(lane.host)
    for _number in range(20):
        cycle()
    wait_until(lambda: traces(lane.host) == before, "the host is as before")
    assert interfaces(lane.host, NAME) == ["eth0", "lo"]


@pytest.mark.parametrize("together", [2, pytest.param(4, marks=pytest.mark.thorough)])
def test_runs_at_once_on_different_nics_all_survive(lane: Lane, together: int) -> None:
    """Attached, changed and detached, each of them at once; the guest has what the server says."""
    nics: dict[str, Params] = {"eth1": {"network": BACK}}
    nics |= {f"eth{number}": {"nictype": "p2p"} for number in range(2, together + 1)}
    for speed in ("1Mbit", "2Mbit", "3Mbit", None, "4Mbit", None):
        wishes = {
            name: {**nic, "limits": {"ingress": speed}} if speed else {"state": "detached"}
            for name, nic in nics.items()
        }
        runs = [
            started({**lane.connection, "name": NAME, "device": name, **wish}, module="lxd_interface")
            for name, wish in wishes.items()
        ]
        for process in runs:
            process.join(timeout=120)
        assert [process.exitcode for process in runs] == [0] * together
        devices = lane.host.query(f"instances/{NAME}")["devices"]
        assert {name: device["limits.ingress"] for name, device in devices.items()} == (
            dict.fromkeys(nics, speed) if speed else {}
        )
        assert len(interfaces(lane.host, NAME)) == 2 + len(devices)


def makes_ipvlan(host: LabHost) -> bool:
    """Whether the kernel has such interfaces."""
    try:
        run([*host.inside, "ip", "link", "add", "probe0", "link", "eth0", "type", "ipvlan"])
    except AssertionError:
        return False
    run([*host.inside, "ip", "link", "delete", "probe0"])
    return True


@pytest.mark.thorough
def test_what_needs_a_restart_leaves_it_running(lane: Lane) -> None:
    """A kernel without ipvlan in a guest's start fails it: then the instance runs as before."""
    options = {"device": "eth1", "nictype": "ipvlan", "parent": "eth0", "ipv4": ["10.179.0.50"]}
    refused = nic_task(lane, options)
    assert "no server plugs a NIC of this type into, or out of, a running instance" in refused["msg"]
    assert "Say apply: restart" in refused["msg"]
    boot = lane.host.query(f"instances/{NAME}")["last_used_at"]
    result = nic_task(lane, {**options, "apply": "restart", "force": True})
    found = lane.host.query(f"instances/{NAME}")
    assert (found["status"], found["last_used_at"] != boot) == ("Running", True)
    assert ("eth1" in found["devices"]) is not result.get("failed", False)
    if not result.get("failed"):
        return
    assert "it does not start with the change of eth1, and runs again without it" in result["msg"]
    assert "The kernel of the host makes no ipvlan interfaces; the nearest that work are routed" in result["msg"]
    left = ["ip", "route", "delete", "10.179.0.50", "dev", "lo"]
    try:
        again = nic_task(lane, {**options, "apply": "restart", "force": True})
        assert "An earlier start has left a route to the address" in again["msg"], again["msg"]
        assert lane.host.query(f"instances/{NAME}")["status"] == "Running"
    finally:
        run([*lane.host.inside, *left])


@pytest.mark.thorough
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_killed_at_its_write_is_ended_by_the_next(lane: Lane, when: str) -> None:
    nic = {"device": "eth1", "network": BACK}
    for params in (nic, {**nic, "interface": "back0"}, {**nic, "state": "detached"}):
        assert killed(1, when, {**lane.connection, "name": NAME, **params}, "lxd_interface")
        done(lane, **params)
        assert not done(lane, **params)["changed"]
    assert lane.host.query(f"instances/{NAME}")["devices"] == {}


@pytest.mark.thorough
@pytest.mark.parametrize("number", range(1, 5))
def test_a_restart_killed_at_each_write_is_ended_by_the_next_run(lane: Lane, number: int) -> None:
    """The NIC goes: that works whether or not the kernel could start it."""
    if not makes_ipvlan(lane.host):
        pytest.skip("this kernel makes no ipvlan interfaces")
    ipvlan = {"type": "nic", "nictype": "ipvlan", "parent": "eth0"}
    lane.host.given(NAME, power="running", devices={"eth1": ipvlan})
    params = {"device": "eth1", "state": "detached", "apply": "restart", "force": True}
    assert killed(number, "after", {**lane.connection, "name": NAME, **params}, "lxd_interface")
    done(lane, **params)
    found = lane.host.query(f"instances/{NAME}")
    assert (found["status"], found["devices"]) == ("Running", {})


REFUSALS: tuple[tuple[Params, str], ...] = (
    ({"name": "nobody", "device": "eth1", "network": BACK}, "there is no such instance"),
    ({"device": "eth1"}, "there is no such NIC yet: to attach one, say network, or nictype and parent"),
    ({"device": "root", "state": "detached"}, "root: it is no NIC but a disk"),
    ({"device": "eth1", "network": "nowhere"}, f"nowhere is no managed network of the server, which has lab0, {BACK}"),
    ({"device": "eth1", "network": "lab0"}, "network: eth0 is on lab0 already"),
    ({"device": "eth1", "nictype": "bridged", "parent": "lab0"}, "parent: eth0 is on lab0 already"),
    ({"device": "eth0", "mtu": "1400"}, "mtu comes from the network lab0 and cannot be set on a NIC of it"),
    ({"device": "eth0", "tag": "late"}, "tag: found none; it is given when a NIC is attached only: detach it first"),
    ({"device": "eth1", "nictype": "p2p", "acls": ["web"]}, "security.acls: a NIC of type p2p has no such option"),
    ({"device": "eth1", "network": BACK, "boot_priority": 1}, "boot_priority is for virtual machines"),
    ({"network": BACK}, "found neither device nor hwaddr"),
)


def test_what_is_refused_changes_nothing(lane: Lane) -> None:
    before = lane.host.everything()
    for params, words in REFUSALS:
        result = nic_task(lane, params)
        assert words in result["msg"], result["msg"]
        assert (result["failed"], result["error"]) == (True, "Refused")
    mac = lane.host.query(f"instances/{NAME}")["config"]["volatile.eth0.hwaddr"]
    twice = nic_task(lane, {"device": "eth1", "network": BACK, "hwaddr": mac})
    assert f"hwaddr: eth0 has {mac} already" in twice["msg"]
    same(lane.host.everything(), before)


@pytest.mark.thorough
def test_a_creation_that_was_cut_short_is_not_touched(lane: Lane) -> None:
    lane.host.remove(NAME)
    lane.host.make(NAME)
    half = {**CREATING, "volatile.apply_template": ""}
    lane.host.call("PATCH", f"instances/{NAME}", {"config": half})
    before = lane.host.everything()
    result = nic_task(lane, {"device": "eth1", "network": BACK})
    assert f"{NAME} on " in result["msg"]
    assert "its creation was cut short: run that task again" in result["msg"]
    assert result["error"] == "Refused"
    same(lane.host.everything(), before)


@pytest.mark.thorough
def test_both_front_ends_give_the_same(lane: Lane) -> None:
    options = {"device": "eth1", "network": BACK, "execution": "host"}
    as_module = nic_task(lane, options, check=True)
    in_process = nic_task(lane, {**options, "execution": "controller"}, check=True)
    same([in_process[part] for part in PARTS], [as_module[part] for part in PARTS])


@pytest.mark.thorough
def test_instances_of_two_hosts_meet_over_vxlan(pair: list[LabHost]) -> None:
    """The network's side is the server's; the NIC is ours."""
    addresses = [host.facts["lab_endpoint"].split("//")[1].split(":")[0] for host in pair]
    try:
        for number, host in enumerate(pair):
            tunnel = {"protocol": "vxlan", "id": "77", "local": addresses[number], "remote": addresses[1 - number]}
            config = {f"tunnel.peer.{key}": value for key, value in tunnel.items()}
            config |= {"ipv4.address": "none", "ipv6.address": "none"}
            host.call("POST", "networks", {"name": "nicvx", "type": "bridge", "config": config})
            host.given(NAME, power="running")
            result = task(
                {**host.unix, "name": NAME, "device": "eth1", "network": "nicvx", "interface": "eth1"}, module=MODULE
            )
            assert not result.get("failed"), result["msg"]
            address(host, NAME, "eth1", f"10.180.0.{number + 1}")
        assert reaches(pair[0], NAME, "10.180.0.2")
    finally:
        for host in pair:
            host.remove(NAME)
            host.call("DELETE", "networks/nicvx")

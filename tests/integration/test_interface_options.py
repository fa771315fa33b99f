# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_interface, option by option: check, apply, again; and that packets go, or do not, as the option says."""

from collections.abc import Iterator, Sequence
from functools import partial

import pytest
from integration.case import Lane, same
from integration.guest_network import address, host_reaches, interfaces, reaches, traces
from integration.interface_cases import BACK, COLD, LACKING, PHYSICAL, ROWS, Change, Params
from integration.lab_host import run, wait_until
from integration.nic_proof import NAME, done, nic_task, proved, quickly

OTHER = "nicother"
NETWORK = {"ipv4.address": "10.178.0.1/24", "ipv6.address": "fd42:178::1/64", "ipv6.dhcp.stateful": "true"}
FORWARDING = [
    f"net.{ip}.conf.{name}.{key}=1"
    for name in ("all", "eth0")
    for ip, key in (("ipv4", "forwarding"), ("ipv6", "forwarding"), ("ipv6", "proxy_ndp"))
]
"""What the manual of LXD says that a host of routed NICs needs."""


@pytest.fixture(autouse=True, scope="module")
def _host(lane: Lane) -> Iterator[None]:
    """A second network, a device that nobody has, and forwarding."""
    lane.host.call("POST", "networks", {"name": BACK, "type": "bridge", "config": {**NETWORK, "dns.mode": "none"}})
    lane.host.call("POST", "network-acls", {"name": "nicacl", "ingress": [], "egress": []})
    for words in (
        ["ip", "link", "add", PHYSICAL, "type", "veth", "peer", "name", f"{PHYSICAL}2"],
        ["ip", "link", "set", f"{PHYSICAL}2", "up"],
        ["ip", "address", "add", "10.181.0.1/24", "dev", f"{PHYSICAL}2"],
        ["sysctl", "-w", *FORWARDING],
    ):
        run([*lane.host.inside, *words])
    yield
    lane.host.remove(NAME, OTHER)
    lane.host.call("DELETE", "network-acls/nicacl")
    lane.host.call("DELETE", f"networks/{BACK}")
    run([*lane.host.inside, "ip", "link", "delete", PHYSICAL])


@pytest.fixture(autouse=True)
def _given(lane: Lane) -> None:
    lane.host.given(NAME, power="running")


@pytest.mark.thorough
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_an_option_of_a_running_instance(lane: Lane, row: Sequence[Change]) -> None:
    before = traces(lane.host)
    device: dict[str, str] = {"type": "nic"}
    for number, (params, keys, impact) in enumerate(row):
        device = {key: value for key, value in {**device, **keys}.items() if value is not None}
        result = proved(lane, {"device": "eth1", **params}, {"eth1": device})
        assert {result["impact"][key] for key in keys} == {impact}, f"change {number}"
    proved(lane, {"device": "eth1", "state": "detached"}, {"eth1": None})
    assert interfaces(lane.host, NAME) == ["eth0", "lo"]
    after = traces(lane.host)
    same(after, {"links": before["links"], "routes": before["routes"], "rules": before["rules"]})


@pytest.mark.thorough
@pytest.mark.parametrize("row", COLD.values(), ids=COLD)
def test_an_option_of_a_stopped_instance(lane: Lane, row: tuple[str, Sequence[Change]]) -> None:
    only, changes = row
    if only not in ("", lane.host.product):
        refused = nic_task(lane, {"device": "eth1", **changes[0][0]})
        words = ("no such option on this server", "too old for it: it has no API extension")
        assert (refused["error"], any(word in refused["msg"] for word in words)) == ("Refused", True), refused["msg"]
        return
    lane.host.given(NAME)
    device: dict[str, str] = {"type": "nic"}
    for params, keys, impact in changes:
        device = {key: value for key, value in {**device, **keys}.items() if value is not None}
        result = proved(lane, {"device": "eth1", **params}, {"eth1": device})
        assert {result["impact"][key] for key in keys} == {impact}
        warned = "of a NIC of type ipvlan: liblxc may give the guest no address" in str(result.get("warnings"))
        assert warned == (device.get("nictype") == "ipvlan")
    proved(lane, {"device": "eth1", "state": "detached"}, {"eth1": None})


@pytest.mark.thorough
@pytest.mark.parametrize("row", LACKING.values(), ids=LACKING)
def test_what_the_kernel_lacks_is_told_and_leaves_nothing(lane: Lane, row: tuple[str, Params, str]) -> None:
    """On a kernel that has it all the task does it."""
    only, params, words = row
    before, links = lane.host.query(f"instances/{NAME}")["devices"], interfaces(lane.host, NAME)
    result = nic_task(lane, {"device": "eth1", **params})
    if not result.get("failed"):
        done(lane, device="eth1", state="detached")
        return
    if only in ("", lane.host.product):
        assert words in result["msg"], result["msg"]
        assert f"Updating instance {NAME}: " in result["msg"]
    assert lane.host.query(f"instances/{NAME}")["devices"] == before
    assert interfaces(lane.host, NAME) == links


def test_a_false_address_is_blocked_and_routes_lead_to_the_guest(lane: Lane) -> None:
    """Filters of IPv4 and IPv6; routes of a bridged NIC, of a routed one, and a NIC that is the host's own."""
    quickly(lane, device="eth1", network=BACK, interface="eth1", ipv4=["10.178.0.7"], ipv6=["fd42:178::7"])
    for false, own, gateway, option in (
        ("10.178.0.66", "10.178.0.7", "10.178.0.1", "ipv4_filtering"),
        ("fd42:178::66", "fd42:178::7", "fd42:178::1", "ipv6_filtering"),
    ):
        address(lane.host, NAME, "eth1", false)
        address(lane.host, NAME, "eth1", own)
        wait_until(partial(reaches, lane.host, NAME, gateway, false), "not filtered, it gets through", 15)
        quickly(lane, device="eth1", security={option: True}, apply="live")
        assert not reaches(lane.host, NAME, gateway, false), "a false sender is not blocked"
        wait_until(partial(reaches, lane.host, NAME, gateway, own), "its own address gets through", 15)

    filters = {"ipv4_filtering": False, "ipv6_filtering": False, "mac_filtering": False}
    quickly(lane, device="eth1", security=filters, routes={"ipv4": ["10.9.1.0/24"], "ipv6": ["fd42:9::/64"]})
    address(lane.host, NAME, "lo", "10.9.1.5")
    address(lane.host, NAME, "eth1", "fd42:9::5")
    for routed in ("10.9.1.5", "fd42:9::5"):
        wait_until(partial(host_reaches, lane.host, routed), f"the route leads to {routed}", 15)
    quickly(lane, device="eth1", routes={"ipv4": [], "ipv6": []}, apply="live")
    assert not host_reaches(lane.host, "10.9.1.5")

    quickly(lane, device="eth2", nictype="routed", parent="eth0", ipv4=["10.179.9.9"])
    # The server sets its address up when the instance starts; now the guest must.
    gateway = "169.254.0.1"
    steps = ("link set eth2 up", "address add 10.179.9.9/32 dev eth2", f"route add {gateway} dev eth2")
    lane.host.shell(NAME, "; ".join(f"ip {step}" for step in (*steps, f"route replace default via {gateway} dev eth2")))
    wait_until(partial(host_reaches, lane.host, "10.179.9.9"), "the routed NIC is reached", 15)
    quickly(lane, device="eth3", nictype="physical", parent=PHYSICAL, interface="phys0")
    address(lane.host, NAME, "phys0", "10.181.0.2")
    wait_until(partial(host_reaches, lane.host, "10.181.0.2"), "the device of the host is reached in the guest", 15)
    quickly(lane, device="eth3", state="detached")
    assert PHYSICAL in str(traces(lane.host)["links"]), "the device did not come back to the host"
    lane.host.power(NAME, "restart", force=True)
    wait_until(partial(host_reaches, lane.host, "10.179.9.9"), "the routed NIC has its address from the server", 20)


@pytest.mark.thorough
def test_isolated_ports_do_not_meet(lane: Lane) -> None:
    lane.host.given(OTHER, power="running")
    for number, name in enumerate((NAME, OTHER), 1):
        params = {"network": BACK, "interface": "eth1", "security": {"port_isolation": True}}
        quickly(lane, name=name, device="eth1", **params)
        address(lane.host, name, "eth1", f"10.178.0.{10 + number}")
    assert (reaches(lane.host, NAME, "10.178.0.12"), reaches(lane.host, NAME, "10.178.0.1")) == (False, True)
    quickly(lane, name=OTHER, device="eth1", security={"port_isolation": False})
    address(lane.host, OTHER, "eth1", "10.178.0.12")
    assert reaches(lane.host, NAME, "10.178.0.12")
    lane.host.remove(OTHER)

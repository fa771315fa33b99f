# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of a guest and of its host, as the kernel shows it."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Protocol

from integration.lab_host import LabHost, run, wait_until
from lab.host import holder
from lab.processes import descendants


class Guests(Protocol):
    """Whatever has running instances."""

    def shell(self, name: str, script: str) -> str:
        """What a script in one of them prints."""


def interfaces(host: Guests, name: str) -> list[str]:
    """The interfaces inside a running instance."""
    return sorted(looked(host, name, "ls /sys/class/net").split())


def looked(host: Guests, name: str, script: str) -> str:
    """What a script prints that prints something, and only looks: a busy server loses what a short command printed."""
    found = [""]

    def prints() -> bool:
        found[0] = host.shell(name, script)
        return bool(found[0])

    wait_until(prints, f"{script} prints something", 30)
    return found[0]


def address(host: Guests, name: str, interface: str, ip: str) -> None:
    """Give an interface of a guest an address, as its own configuration would."""
    length = "64" if ":" in ip else "24"
    host.shell(name, f"ip link set {interface} up; ip address replace {ip}/{length} dev {interface}")
    # Until the kernel has seen that nobody else has it, an IPv6 address is not used.
    wait_until(lambda: "tentative" not in host.shell(name, f"ip address show dev {interface}"), f"{ip} can be used")


def reaches(host: Guests, name: str, ip: str, source: str = "") -> bool:
    """Whether a guest gets an answer from an address within three seconds; as which sender, if that matters."""
    sender = f"-I {source}" if source else ""
    return " 0% packet loss" in host.shell(name, f"ping -c 1 -W 3 {sender} {ip}")


def host_reaches(host: LabHost, ip: str) -> bool:
    """Whether the host itself gets an answer from an address."""
    answer = subprocess.run(
        [*host.inside, "busybox", "ping", "-c", "1", "-W", "3", ip], capture_output=True, check=False
    )
    return answer.returncode == 0


def traces(host: LabHost) -> dict[str, Any]:
    """All that NICs leave on a host: links, routes, rules, leases."""
    found = {
        "links": sorted(link["ifname"] for link in json.loads(run([*host.inside, "ip", "-json", "link"]))),
        "routes": sorted(run([*host.inside, "ip", "route"]).splitlines()),
        "neighbours": sorted(run([*host.inside, "ip", "neighbour", "show", "proxy"]).splitlines()),
        # The server leaves its table for bridges where it has had filters once.
        "rules": re.sub(r"table bridge \w+ \{\n\}\n", "", run([*host.inside, "nft", "list", "ruleset"])),
    }
    networks = [network["name"] for network in host.call("GET", "networks?recursion=1") if network["managed"]]
    return {**found, "leases": {name: host.query(f"networks/{name}/leases") for name in networks}}


def told_devices(host: LabHost, name: str) -> dict[str, dict[str, str]]:
    """What a guest is told of its devices, asked from inside as its root: in its process and user namespaces."""
    process = _process(host, host.query(f"instances/{name}/state")["pid"])
    product = "lxd" if host.product == "lxd" else "incus"
    socket = f"/proc/{process}/root/dev/{product}/sock"
    inside = ["nsenter", f"--target={process}", "--pid", "--user", "--setuid=0", "--setgid=0"]
    answer = run([*inside, "curl", "--silent", "--unix-socket", socket, f"http://{product}/1.0/devices"])
    devices: dict[str, dict[str, str]] = json.loads(answer)
    return devices


def _process(host: LabHost, number: int) -> int:
    """The process that a host of the lab, with process numbers of its own, knows by a number as first of a guest."""
    held_by = holder(host.machine)
    assert held_by is not None
    for process in descendants(held_by):
        try:
            status = Path(f"/proc/{process}/status").read_text()
            numbers = next(line for line in status.splitlines() if line.startswith("NSpid")).split()[1:]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if numbers[1:] == [str(number), "1"]:
            return int(numbers[0])
    raise AssertionError(f"no process is {number} on a lab host and 1 in a guest")

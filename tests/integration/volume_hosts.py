# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lab hosts that share a volume, as an inventory of hosts on which Ansible runs modules, as by ssh on real ones.

Two hosts of a lab run on one machine and kernel. Each has a loop device of its own of the volume's file, of one name.
As with a real storage each has its own cache of it, and what one does not write before the other reads is seen.
"""

import json
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integration.lab_host import PREFIX, LabHost, run
from integration.loop import detach_all
from lab.host import holder

ID = "4fe1c2ba-1b6a-4e3e-9d70-c7f0e0a3bb02"
BLOCK_ID = "scratch-of-the-instance"


@dataclass(frozen=True)
class SharedVolume:
    """A volume: the path that all hosts have of it, and the block device that this leads to on each."""

    path: str
    devices: tuple[str, ...]

    @property
    def connection(self) -> dict[str, Any]:
        """What the storage says of it."""
        return local(self.path)


def local(path: str) -> dict[str, Any]:
    """A connection to a block device of the host."""
    return {"driver_volume_type": "local", "data": {"device_path": path}}


@contextmanager
def sharing(hosts: Sequence[LabHost], directory: Path, *names: str) -> Iterator[list[SharedVolume]]:
    """Blank volumes that all hosts can connect to. A test run that was killed leaves loop devices: those go first."""
    detach_all(directory)
    directory.mkdir(parents=True, exist_ok=True)
    devices = Path(f"/dev/lxdops-{PREFIX}")  # LXD takes no block device from elsewhere
    devices.mkdir(exist_ok=True)
    made: dict[str, list[str]] = {name: [] for name in names}
    for name in names:
        (directory / name).unlink(missing_ok=True)
        run(["truncate", "--size", "32M", str(directory / name)])
    with ExitStack() as stack:
        stack.callback(devices.rmdir)
        stack.callback(detach_all, directory)
        for host in hosts:
            inside = ["nsenter", "--target", str(holder(host.machine)), "--mount"]
            run([*inside, "mount", "-t", "tmpfs", "tmpfs", str(devices)])
            stack.callback(run, [*inside, "umount", str(devices)])
            for name in names:
                device = run(["losetup", "--find", "--show", str(directory / name)]).strip()
                made[name].append(device)
                run([*inside, "ln", "-s", device, str(devices / name)])
        yield [SharedVolume(str(devices / name), tuple(made[name])) for name in names]


class VolumeHosts:
    """Hosts with records of their volumes each; ``names`` are theirs in the inventory."""

    def __init__(self, hosts: Sequence[LabHost], path: Path) -> None:
        self.hosts, self.path = list(hosts), path
        self.names = [f"host{number}" for number in range(1, len(self.hosts) + 1)]
        self.inventory = path / "inventory.json"
        self.refresh()

    def refresh(self) -> None:
        """Write the inventory: a host that was off has other namespaces."""
        listed = {}
        for name, host in zip(self.names, self.hosts, strict=True):
            interpreter = self.path / f"python-{name}"
            enter = f"nsenter --target {holder(host.machine)} --mount --net --pid --uts"
            interpreter.write_text(f'#!/bin/sh\nexec {enter} {sys.executable} "$@"\n')
            interpreter.chmod(0o755)
            listed[name] = {
                "ansible_connection": "local",
                "ansible_python_interpreter": str(interpreter),
                "host_storage_endpoint": f"{host.machine.data}/unix.socket",
                "host_storage_records": str(self.records(name)),
            }
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        hosts = {"localhost": local, **listed}
        self.inventory.write_text(json.dumps({"all": {"hosts": hosts}}))

    def records(self, name: str) -> Path:
        return self.path / f"records-{name}"

    def kept(self, name: str) -> dict[str, dict[str, Any]]:
        """The records of a host, by volume."""
        found = [json.loads(path.read_text()) for path in sorted(self.records(name).glob("v*.json"))]
        return {record["volume"]: record for record in found}

    def host(self, name: str) -> LabHost:
        return self.hosts[self.names.index(name)]

    def module(self, name: str, module: str = "lxd_volume_attachment", **params: Any) -> dict[str, Any]:
        """The result of a module on a host, in its namespaces."""
        where = {"endpoint": f"{self.host(name).machine.data}/unix.socket", "records": str(self.records(name))}
        words = [str(self.path / f"python-{name}"), str(Path(__file__).with_name("volume_run.py")), module]
        arguments = {**where, **params, "_ansible_check_mode": False, "_ansible_diff": True}
        try:
            printed = run(words, text=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        except AssertionError as error:
            raise AssertionError(str(error)) from None
        result: dict[str, Any] = json.loads(printed)
        return result


def mounted_in(host: LabHost, device: str) -> bool:
    """Whether a process of a host has the device mounted, by the kernel's word."""
    number = Path(f"/sys/class/block/{Path(device).name}/dev").read_text().strip()
    proc = Path(f"/proc/{holder(host.machine)}/root/proc")
    for directory in proc.iterdir():
        if directory.name.isdigit():
            try:
                lines = (directory / "mountinfo").read_text().splitlines()
            except OSError:
                continue
            if any(line.split()[2] == number for line in lines):
                return True
    return False


@contextmanager
def never_mounted_twice(hosts: Sequence[LabHost], volume: SharedVolume) -> Iterator[None]:
    """Fails if a volume was mounted on two hosts at once."""
    over = threading.Event()
    seen: list[int] = []

    def look() -> None:
        while not over.wait(0.05):
            first, again = (
                [mounted_in(host, device) for host, device in zip(hosts, volume.devices, strict=True)] for _ in range(2)
            )
            seen.append(sum(here and later for here, later in zip(first, again, strict=True)))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert max(seen) == 1, "it was mounted on two hosts at once, or never"

# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing a lab, or one host of it, whatever state a killed run left it in.

Nothing here relies on notes of process numbers: a host's processes are found by its network namespace and its control
group, both of which carry the lab's name.
"""

import json
import shutil
from pathlib import Path

from . import control_groups, network
from .errors import LabError
from .processes import kill, members, namespace, run, wait_until
from .state import ROOT, machine_lock, names


def remove(name: str) -> None:
    """Leave nothing of the lab."""
    for namespace_file in network.namespace_files(name):
        _end_processes(namespace_file)
    control_groups.remove(name)
    network.remove(name)
    _forget_confinement(f"{ROOT}/{name}/")
    wait_until(lambda: not loop_devices(name), 15, f"release of the loop devices of lab {name}")
    directory = ROOT / name
    with machine_lock():
        if directory.exists():
            shutil.rmtree(directory)
        if ROOT.exists() and not names():
            ROOT.rmdir()


def loop_devices(name: str) -> list[str]:
    """The loop devices whose file is, or was, a host's of this lab."""
    devices = json.loads(run(["losetup", "--list", "--json", "--output", "NAME,BACK-FILE"]) or '{"loopdevices": []}')
    return [device["name"] for device in devices["loopdevices"] if f"{ROOT}/{name}/" in (device["back-file"] or "")]


def _end_processes(namespace_file: Path) -> None:
    """Kill what lives in a host. Its first process takes the others with it, and their mounts."""
    network_namespace = namespace(namespace_file)

    def ended() -> bool:
        left = members("net", network_namespace) if network_namespace is not None else []
        for pid in left:
            kill(pid)
        return not left

    wait_until(ended, 20, f"the end of all processes in {namespace_file}")


def _forget_confinement(directory: str) -> None:
    """Unload the AppArmor profiles that daemons below the directory loaded; they carry its name."""
    loaded = Path("/sys/kernel/security/apparmor/profiles")
    if not loaded.exists():
        return
    mark = directory.strip("/").replace("/", "-")
    for line in loaded.read_text().splitlines():
        profile = line.rpartition(" (")[0]
        if mark in profile or directory in profile:
            try:
                loaded.with_name(".remove").write_text(profile)
            except OSError as error:
                raise LabError(f"AppArmor profile {profile} could not be unloaded: {error}") from error

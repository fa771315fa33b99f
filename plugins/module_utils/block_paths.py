# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The ways that a block device has to its storage, and whether they are open, by the kernel's word.

When a storage was away for longer than the kernel waits for it, all that is read or written fails at once, and goes on
failing after the storage is back until the initiator has logged in again, some seconds later.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from .block import Disk, read_kernel

BLOCKS = Path("/sys/dev/block")
OPEN = ("running", "live")
"""The states of a SCSI device, and of an NVMe controller, that does what it is told."""
MULTIPATH = "mpath-"
"""How device-mapper's UUIDs of the maps of multipathd begin."""
SECONDS_TO_COME_BACK, PAUSE = 60.0, 0.2
"""iscsid tries every few seconds to log in, each time for at most 15 (node.conn[0].timeo.login_timeout)."""


def unanswered(disk: Disk, every: bool = False, seconds: float = SECONDS_TO_COME_BACK) -> str:
    """Why a device cannot be used, in words, or empty as soon as it can: one of the ways to it is open. ``every``: it
    needs all of them. ``seconds``: how long it waits for that."""
    end = time.monotonic() + seconds
    shut, ways = shut_ways(disk)
    while shut and (every or len(shut) == ways):
        if time.monotonic() > end:
            return f"the storage does not answer: {', '.join(shut)} for {seconds:g} seconds"
        time.sleep(PAUSE)
        shut, ways = shut_ways(disk)
    return ""


def shut_ways(disk: Disk) -> tuple[list[str], int]:
    """The ways to a device that are not open, in words, and how many there are that the kernel tells the state of."""
    found = ((way, read_kernel(way / "device/state")) for way in _ways(BLOCKS / disk.number))
    states = [(way, state) for way, state in found if state]
    return [_words(way, state) for way, state in states if state not in OPEN], len(states)


def map_of(disk: Disk, seconds: float) -> str:
    """The multipath map that a device is, or that is made of it within some seconds; or empty."""
    end = time.monotonic() + seconds
    while True:
        device = BLOCKS / disk.number
        for each in (device, *device.glob("holders/*")):
            if read_kernel(each / "dm/uuid").startswith(MULTIPATH):
                return f"/dev/{os.path.basename(os.path.realpath(each))}"
        if time.monotonic() > end:
            return ""
        time.sleep(PAUSE)


def _ways(device: Path) -> Iterator[Path]:
    """The devices that it is made of: the paths of a multipath map, what a mapping encrypts; else itself."""
    below = sorted(device.glob("slaves/*"))
    if not below:
        yield device
    for one in below:
        yield from _ways(one)


def _words(way: Path, state: str) -> str:
    name, place = os.path.basename(os.path.realpath(way)), os.path.realpath(way / "device")
    found = re.search(r"/(session\d+)/", place)
    if found is None:
        return f"{name} is {state}"
    session = Path(place[: found.end()], "iscsi_session", found[1])
    target, login = read_kernel(session / "targetname"), read_kernel(session / "state")
    return f"{name} is {state} (iSCSI {found[1]} of {target}: {login})"

# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A watcher of hosts: does an instance run on two of them at any time? It looks at processes, which no server can hide
and which cost little to look at often."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from integration.lab_host import LabHost
from lab import control_groups

HIERARCHY = "pids" if "pids" in control_groups.hierarchies() else "."
PAYLOAD = "lxc.payload."
"""Begins the name of a container's control group (lxc.cgroup.dir.payload); `<project>_` follows if not `default`."""


def running(host: LabHost) -> set[str]:
    """The containers of a host that have processes, frozen ones too."""
    top = control_groups.MOUNT / HIERARCHY / control_groups.host_group(host.lab, host.number)
    return {
        group.removeprefix(PAYLOAD) for group in os.listdir(top) if group.startswith(PAYLOAD) and _lives(top / group)
    }


def _lives(group: Path) -> bool:
    """Whether there is a process in the group or below it; none in a group that has just gone."""
    try:
        return int((group / "pids.current").read_text()) > 0
    except OSError:
        return False


class Watch:
    """What was seen: ``samples`` looks at all hosts, ``twice`` those instances that ran on more than one, and ``most``,
    how many ran at once on all of them."""

    def __init__(self, hosts: Sequence[LabHost]) -> None:
        self.hosts = hosts
        self.samples = self.most = 0
        self.twice: set[str] = set()
        self._over = threading.Event()

    def look(self) -> None:
        """Until it is over."""
        while not self._over.wait(0.05):
            # Twice, since the hosts are looked at one after the other: what ran here before and after it ran there, ran
            # on both.
            first, second = ([running(host) for host in self.hosts] for _ in range(2))
            both = [here & later for here, later in zip(first, second, strict=True)]
            self.twice |= {name for number, names in enumerate(both) for name in names & set().union(*both[:number])}
            self.most = max(self.most, sum(len(names) for names in both))
            self.samples += 1

    def end(self) -> None:
        """No more looks."""
        self._over.set()


@contextmanager
def watched(hosts: Sequence[LabHost]) -> Iterator[Watch]:
    """A watch, over at the end of the block."""
    watch = Watch(hosts)
    thread = threading.Thread(target=watch.look)
    thread.start()
    try:
        yield watch
    finally:
        watch.end()
        thread.join()
    assert watch.samples > 0


@contextmanager
def never_twice(hosts: Sequence[LabHost]) -> Iterator[Watch]:
    """Fails unless every instance ran on one of the hosts at most, all the time."""
    with watched(hosts) as watch:
        yield watch
    assert watch.twice == set()


@contextmanager
def never_two(host: LabHost) -> Iterator[None]:
    """Fails unless at most one instance of a host ran at any time: for hosts that have only roots of the same one."""
    with watched([host]) as watch:
        yield
    assert watch.most <= 1

# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a move interrupts a guest, by method: run as `python3 tests/bench/downtime.py`; writes docs/downtime.md.

The guest itself measures: from its start on it notes the time ten times a second, and the longest pause in its notes is
the downtime. An instance goes to and fro between two hosts, by each method in turn.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from itertools import cycle, pairwise
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from integration import lab_host
from integration.lab_host import LabHost, wait_until

from bench.measure import playbook

CHECKOUT = Path(__file__).resolve().parents[2]
NAME = "ticking"
METHODS = ("cold", "refresh", "live")
TICKING = "#!/bin/sh\nwhile :; do cat /proc/uptime >> /ticks; sleep 0.1; done\n"
PAGE = """<!--
Copyright: (c) 2026, lxdops.compute contributors
SPDX-License-Identifier: GPL-3.0-or-later
-->
# How long a move interrupts a guest

Written by `make downtime`, which also measures it again. A container with {size} MiB of data moves between two hosts of
the lab on one machine, {rounds} times by each method of `lxd_migration`, in turn. The guest notes the time ten times a
second; the longest pause is its downtime, the start of the guest included. Seconds: median, least and most.

| method | on btrfs | on dir |
|---|---|---|
{rows}

`cold` grows with the data, `refresh` with what changes while it is copied and with the number of files, `live` with the
memory in use as well.
Only `live` keeps what ran.
"""


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests/bench/downtime.py", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="moves by each method and pool (default: 5)")
    parser.add_argument("--size", type=int, default=200, help="MiB of data in the guest (default: 200)")
    parser.add_argument("--output", type=Path, default=CHECKOUT / "docs/downtime.md", help="the page to write")
    return parser.parse_args()


def prepare(host: LabHost, pool: str, size: int) -> None:
    """A running guest that notes the time, with data."""
    devices = {"root": {"type": "disk", "path": "/", "pool": pool}}
    # What CRIU needs of a container on this kernel.
    host.make(NAME, devices=devices, config={"raw.lxc": "lxc.console.path = none"})
    host.write(NAME, "/etc/rc.local", TICKING)
    host.power(NAME, "start")
    host.shell(NAME, f"dd if=/dev/urandom of=/srv/data bs=1M count={size}; chmod 755 /etc/rc.local")
    host.power(NAME, "stop", force=True)
    host.power(NAME, "start")


def ticks(host: LabHost) -> list[float]:
    """The guest's notes, in seconds of the machine that both hosts are on."""
    return [float(line.split()[0]) for line in host.shell(NAME, "cat /ticks").splitlines() if line[:1].isdigit()]


def move(source: LabHost, target: LabHost, method: str) -> float:
    """The downtime of one move. Raises SideFailed."""
    source.shell(NAME, ": > /ticks")
    wait_until(lambda: len(ticks(source)) > 5, "the guest notes the time")
    params = {**source.https, "target": dict(target.https), "name": NAME, "method": method}
    playbook([{"name": method, "lxdops.compute.lxd_migration": params}])
    count = len(ticks(target))
    wait_until(lambda: len(ticks(target)) > count, "the guest notes the time again")
    return max(later - sooner for sooner, later in pairwise(ticks(target)))


def measure(hosts: list[LabHost], pool: str, chosen: argparse.Namespace, tell: Callable[[str], None]) -> list[str]:
    """A cell of the table for each method."""
    prepare(hosts[0], pool, chosen.size)
    found: dict[str, list[float]] = {method: [] for method in METHODS}
    ways = cycle([(hosts[0], hosts[1]), (hosts[1], hosts[0])])
    for _round in range(chosen.rounds):
        for method in METHODS:
            found[method].append(move(*next(ways), method))
            tell(f"{pool} {method}: {found[method][-1]:.1f} s")
    for host in hosts:
        host.remove(NAME)
    return [f"{statistics.median(times):.1f} ({min(times):.1f} to {max(times):.1f})" for times in found.values()]


def main() -> None:
    """Measure, on a lab of its own."""
    chosen = options()
    name = os.environ.get("LAB_NAME") or "bench"
    lab_host.lab("up", "--name", name, "--hosts", "2", "--criu")
    try:
        hosts = lab_host.load(name)
        columns = [measure(hosts, pool, chosen, lambda line: print(line, flush=True)) for pool in ("fast", "default")]
    finally:
        lab_host.lab("down", "--name", name)
    rows = [f"| `{method}` | {' | '.join(cells)} |" for method, *cells in zip(METHODS, *columns, strict=True)]
    chosen.output.parent.mkdir(exist_ok=True)
    chosen.output.write_text(PAGE.format(size=chosen.size, rounds=chosen.rounds, rows="\n".join(rows)))
    print(chosen.output.read_text())


if __name__ == "__main__":
    main()

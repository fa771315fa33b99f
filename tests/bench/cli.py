# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command: measure, print, and write docs/benchmarks.md."""

import argparse
import json
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from integration import lab_host

from bench import contests, payload, report
from bench.contest import Results, run
from bench.goals import asked, limits, rows

CHECKOUT = Path(__file__).resolve().parents[2]
MODULES = ("lxd_instance", "lxd_instance_info", "lxd_instances")


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests/bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each contest (default: 5)")
    parser.add_argument("--fleet", type=int, default=200, help="instances of the unchanged fleet (default: 200)")
    parser.add_argument("--life", type=int, default=50, help="instances created, stopped, deleted (default: 50)")
    parser.add_argument(
        "--growth",
        type=lambda text: [int(word) for word in text.split(",")],
        default=[10, 100, 1000],
        help="sizes of a fleet that only grows (default: 10,100,1000)",
    )
    parser.add_argument("--output", type=Path, default=CHECKOUT / "docs/benchmarks.md", help="the page to write")
    return parser.parse_args()


def main() -> None:
    """Measure, on a lab of its own."""
    chosen = options()
    name = os.environ.get("LAB_NAME") or "bench"
    lab_host.lab("up", "--name", name, "--hosts", "1")
    try:
        host = lab_host.load(name)[0]
        *smaller, largest = sorted(chosen.growth)
        sides, processors = contests.Sides(host), len(os.sched_getaffinity(0))
        field = [
            contests.unchanged_one(sides),
            contests.life(sides, chosen.life, processors),
            contests.unchanged_many(sides, chosen.fleet),
            *[contests.growth(sides, count, 1) for count in smaller],
            contests.growth(sides, largest, contests.GROWN_OFTEN),
        ]
        machine = versions(json.loads(host.client("query", "/1.0"))["environment"])

        def save(results: Results) -> None:
            chosen.output.parent.mkdir(exist_ok=True)
            goals = rows(asked(chosen.fleet, chosen.life, max(chosen.growth)), results)
            bounds = limits(chosen.life, max(chosen.growth), processors, results)
            chosen.output.write_text(report.page(results, chosen.rounds, machine, [*goals, "", *bounds], payloads()))

        run(field, chosen.rounds, lambda line: print(line, flush=True), save)
    finally:
        lab_host.lab("down", "--name", name)
    print(chosen.output.read_text())


def versions(server: Mapping[str, str]) -> str:
    """What took part, and on what."""
    processors = len(os.sched_getaffinity(0))
    return (
        f"{server['server'].upper()} {server['server_version']}, ansible-core {version('ansible-core')}, "
        f"community.general of ansible {version('ansible')}, {processors} processors"
    )


def payloads() -> list[str]:
    """Lines on the sizes of modules."""
    notes = ["", "What a host is sent of ours where a module runs there:", ""]
    for module in MODULES:
        files = payload.files(CHECKOUT, module)
        notes.append(f"* `{module}`: {len(files)} files, {payload.packed(files) / 1024:.1f} KiB")
    return notes

# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The results as a page for people."""

import platform
from collections.abc import Sequence

from bench.contest import OURS, Results, ratio, spread
from bench.contests import GROWN_OFTEN, LIFE_OFTEN

PAGE = """<!--
Copyright: (c) 2026, lxdops.compute contributors
SPDX-License-Identifier: GPL-3.0-or-later
-->
# Benchmarks

Written by `make bench`, which also runs them again: {rounds} rounds, {lives} of what is created, stopped and deleted,
{grown} of the largest fleet under `ansible-playbook`. In each, every side had its turn after the other, on the same LXD
host of the lab. Medians, with the quartiles in brackets. A ratio is of the two times of the same round. Times are those
of one machine on one day; look at the ratios.

{machine}

| asked | | measured | holds |
|---|---|---|---|
{goals}

Everything that was measured:

| what | measured | side | number | times {ours} |
|---|---|---|---|---|
{rows}

What is measured, and against what: `tests/bench/contests.py`.
{notes}
"""


def figure(numbers: Sequence[float]) -> str:
    """A median with its quartiles."""
    middle, low, high = spread(numbers)
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


def rows(results: Results) -> list[str]:
    """The lines of the table."""
    lines = []
    for contest, measure in results.measures():
        sides = results.of(contest, measure)
        for side, numbers in sides.items():
            times = ""
            if side != OURS and OURS in sides:
                middle, low, high = ratio(numbers, sides[OURS])
                times = f"{middle:.2f} ({low:.2f} to {high:.2f})"
            lines.append(f"| {contest} | {measure} | {side} | {figure(numbers)} | {times} |")
    return lines


def page(results: Results, rounds: int, versions: str, goals: Sequence[str], notes: Sequence[str]) -> str:
    """docs/benchmarks.md."""
    machine = f"{versions}; Python {platform.python_version()}, Linux {platform.release()}."
    text = PAGE.format(
        rounds=rounds,
        lives=rounds * LIFE_OFTEN,
        grown=rounds * GROWN_OFTEN,
        machine=machine,
        ours=OURS,
        goals="\n".join(goals).rstrip("\n"),
        rows="\n".join(rows(results)),
        notes="\n".join(notes),
    )
    return text.rstrip("\n") + "\n"

# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of the collection's speed, and whether it was measured so."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench import contests
from bench.contest import OURS, Results, ratio, spread


@dataclass(frozen=True)
class Goal:
    """A bound of a ratio, or of our own number where there is no side to compare with."""

    title: str
    contest: str
    measure: str
    side: str = ""
    least: float = 0
    most: float = 0
    ours: str = OURS

    def numbers(self, results: Results) -> tuple[float, float, float]:
        """Median and quartiles. With ``least`` the other's number is divided by ours, with ``most`` ours by theirs."""
        sides = results.of(self.contest, self.measure)
        if not self.side:
            return spread(sides[self.ours])
        return ratio(sides[self.side], sides[self.ours]) if self.least else ratio(sides[self.ours], sides[self.side])

    def line(self, results: Results) -> str:
        """A row of the table."""
        middle, low, high = self.numbers(results)
        holds = middle >= self.least if self.least else middle <= self.most
        bound = f"at least {self.least:g}" if self.least else f"at most {self.most:g}"
        return f"| {self.title} | {bound} | {middle:.3g} ({low:.3g} to {high:.3g}) | {'yes' if holds else '**no**'} |"


def asked(fleet: int, life: int, many: int) -> list[Goal]:
    """The goals, for fleets of these sizes."""
    one, lives, grown = contests.ONE, contests.life_title(life), contests.growth_title(many)
    made, stopped = contests.each("create and start"), contests.each("stop")
    peer, client, floor, made_of = contests.PEER, contests.CLIENT, contests.FLOOR, "made of their names"
    return [
        Goal(f"unchanged, a task: {peer} / ours", one, "s a task", peer, least=6),
        Goal(f"unchanged, a loop item: {peer} / ours", one, "s a loop item", peer, least=20),
        Goal(f"{fleet} unchanged: {peer} / ours", contests.many_title(fleet), "s", peer, least=80),
        Goal(f"create and start {life}: {peer} / ours", lives, made, peer, least=2.5),
        Goal(f"create and start {life}: `lxc launch` / ours", lives, made, client, least=1.8),
        Goal(f"create and start {life}: share of the processors", lives, contests.share("create and start"), least=0.6),
        Goal(f"stop {life}: `lxc stop` / ours", lives, stopped, client, least=5),
        Goal(f"{many} unchanged, {made_of}: ours / {floor}", grown, "s", floor, most=1.5, ours=contests.BY_EXPRESSION),
        Goal(f"{many} unchanged, listed one by one: ours / {floor}", grown, "s", floor, most=1.5),
        Goal(f"{many} unchanged: MiB", grown, "MiB", most=150),
    ]


def rows(goals: Sequence[Goal], results: Results) -> list[str]:
    """The lines of the table, of the contests that were held."""
    return [goal.line(results) for goal in goals if results.of(goal.contest, goal.measure)]


def limits(life: int, many: int, processors: int, results: Results) -> list[str]:
    """Lines on what nobody could do faster, of the contests that were held."""
    lives, grown = contests.life_title(life), contests.growth_title(many)
    lines = []
    work = results.of(lives, contests.cost("create and start"))
    if work:
        times = results.of(lives, contests.each("create and start"))
        middle, low, high = ratio(times[contests.CLIENT], [seconds / processors for seconds in work[OURS]])
        lines.append(
            f"* Create and start {life}: the server itself works {spread(work[OURS])[0]:.3f} s for each instance of "
            f"ours, and {spread(work[contests.CLIENT])[0]:.3f} s for each of `lxc launch`. With all processors on that "
            f"work alone, none left for a client, ours would be {middle:.2f} ({low:.2f} to {high:.2f}) times as fast "
            "as `lxc launch` in sequence."
        )
    sides = results.of(grown, "s")
    if sides:
        middle, low, high = ratio(sides[contests.SAME_ARGUMENTS], sides[contests.FLOOR])
        lines.append(
            f"* {many} unchanged: Ansible itself takes {middle:.2f} ({low:.2f} to {high:.2f}) times as long as with an "
            "empty playbook (each with the one GET) for a task of so many items, listed one by one, that does nothing."
        )
    return lines and ["What bounds them:", "", *lines]

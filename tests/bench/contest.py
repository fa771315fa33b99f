# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Contests of several sides, in rounds: in each round every side has its turn, and each round begins with another.

A contest has all its rounds before the next begins, so that what it leaves on the host weighs on no other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles

OURS = "lxdops.compute"


@dataclass(frozen=True)
class Contest:
    """Sides that do the same, each in its own way; a turn returns numbers by what they measure."""

    title: str
    sides: Mapping[str, Callable[[], Mapping[str, float]]]
    prepare: Callable[[], None] = lambda: None
    """Called before each turn; not measured."""
    often: int = 1
    """Its rounds for each one asked for: what disturbs a turn of a second is lost in one of a minute."""


@dataclass
class Results:
    """The numbers of all rounds: by contest, measure and side."""

    numbers: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)

    def add(self, contest: str, side: str, turn: Mapping[str, float]) -> None:
        """Take in a turn's numbers."""
        for measure, number in turn.items():
            self.numbers.setdefault((contest, measure, side), []).append(number)

    def measures(self) -> list[tuple[str, str]]:
        """Contest and measure of each table's row, in the order they were first seen."""
        return list(dict.fromkeys((contest, measure) for contest, measure, _side in self.numbers))

    def of(self, contest: str, measure: str) -> dict[str, list[float]]:
        """The sides' numbers."""
        return {side: all_ for (one, other, side), all_ in self.numbers.items() if (one, other) == (contest, measure)}


def run(contests: Sequence[Contest], rounds: int, tell: Callable[[str], None], save: Callable[[Results], None]) -> None:
    """Let the contests take place; ``save`` what is known after each."""
    results = Results()
    for contest in contests:
        names = list(contest.sides)
        for number in range(rounds * contest.often):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                contest.prepare()
                turn = contest.sides[name]()
                results.add(contest.title, name, turn)
                said = ", ".join(f"{measure} {figure:.3g}" for measure, figure in turn.items())
                tell(f"{contest.title}: round {number + 1} of {rounds * contest.often}: {name}: {said}")
        save(results)


def spread(numbers: Sequence[float]) -> tuple[float, float, float]:
    """Median, and the quartiles around it."""
    if len(numbers) == 1:
        return numbers[0], numbers[0], numbers[0]
    low, _middle, high = quantiles(numbers, n=4, method="inclusive")
    return median(numbers), low, high


def ratio(other: Sequence[float], ours: Sequence[float]) -> tuple[float, float, float]:
    """How many times ours the other is, round by round: median and quartiles. A slow round is slow for both."""
    return spread([theirs / own for theirs, own in zip(other, ours, strict=True)])

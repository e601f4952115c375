"""Rates: a count out of a total with its interval, and what two policies' verdicts on the same starts tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest


@dataclass(frozen=True)
class Rate:
    """A count out of a total, with its Wilson 95 % interval."""

    count: int
    total: int

    @classmethod
    def of(cls, verdicts: Iterable[bool]) -> Rate:
        """How many of the verdicts are true."""
        listed = list(verdicts)
        return cls(sum(map(bool, listed)), len(listed))

    @property
    def value(self) -> float:
        """NaN for an empty total."""
        return self.count / self.total if self.total else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        if not self.total:
            return 0.0, 1.0
        wilson = binomtest(self.count, self.total).proportion_ci(0.95, method="wilson")
        return float(wilson.low), float(wilson.high)

    def __str__(self) -> str:
        return f"{self.count}/{self.total}"


@dataclass(frozen=True)
class Comparison:
    """Verdicts of two policies on the same starts, counted by who succeeded."""

    both: int
    first_only: int
    second_only: int
    neither: int

    @property
    def p_value(self) -> float:
        """Exact McNemar test, two-sided: how likely so uneven a split is if the policies are equally good."""
        discordant = self.first_only + self.second_only
        return float(binomtest(self.first_only, discordant).pvalue) if discordant else 1.0


def compare(first: Sequence[bool], second: Sequence[bool]) -> Comparison:
    """Counts pairs of verdicts, start by start.

    Raises:
        ValueError: the two are not of one length.
    """
    pairs = list(zip(map(bool, first), map(bool, second), strict=True))
    return Comparison(
        *(pairs.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False)))
    )


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1); the latter is NaN for a single value."""
    array = np.asarray(values, np.float64)
    return float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else float("nan")

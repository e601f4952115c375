"""Rates: a count out of a total with its interval, and what two policies' verdicts on the same initial poses tell."""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Z_95 = 1.959963984540054  # quantile 0.975 of the standard normal distribution
RESAMPLES = 4000
SEED = 0  # of every resampling: equal verdicts give equal intervals
Clusters = tuple[tuple[int, int], ...]  # count and total of each


@dataclass(frozen=True)
class Rate:
    """A count out of a total, with its 95 % interval.

    Attributes:
        clusters: count and total of each group of verdicts that are not independent of each other, such as those in
            one scene; empty if every verdict is a draw of its own.
    """

    count: int
    total: int
    clusters: Clusters = ()

    @classmethod
    def of(cls, verdicts: Iterable[bool], clusters: Iterable[Hashable] | None = None) -> Rate:
        """How many of the verdicts are true.

        Args:
            clusters: for each verdict what it has in common with others, such as its scene.
        """
        listed = [bool(verdict) for verdict in verdicts]
        if clusters is None:
            return cls(sum(listed), len(listed))
        grouped: dict[Hashable, list[bool]] = {}
        for verdict, cluster in zip(listed, clusters, strict=True):
            grouped.setdefault(cluster, []).append(verdict)
        return cls(sum(listed), len(listed), tuple((sum(run), len(run)) for run in grouped.values()))

    @property
    def value(self) -> float:
        """NaN for an empty total."""
        return self.count / self.total if self.total else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Low and high end of the 95 % interval.

        It is Wilson's where verdicts are independent. Else clusters are resampled with a fixed seed (percentile
        bootstrap); where all clusters have the same rate, which resampling cannot spread, it is Wilson's for as many
        draws as there are clusters.
        """
        if not self.total:
            return 0.0, 1.0
        if not self.clusters:
            return wilson(self.value, self.total)
        if len({count / total for count, total in self.clusters}) == 1:
            return wilson(self.value, len(self.clusters))
        return resampled(self.clusters)

    def __str__(self) -> str:
        return f"{self.count}/{self.total}"


def wilson(value: float, draws: int) -> tuple[float, float]:
    """Wilson's 95 % interval for a share of so many independent draws."""
    shrink = 1 + Z_95**2 / draws
    middle = (value + Z_95**2 / (2 * draws)) / shrink
    half = Z_95 * math.sqrt(value * (1 - value) / draws + Z_95**2 / (4 * draws**2)) / shrink
    return max(0.0, middle - half), min(1.0, middle + half)


@functools.lru_cache(maxsize=4096)
def resampled(clusters: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Percentile 95 % interval of the sum of the first numbers over the sum of the second, clusters resampled."""
    counts, totals = np.array(clusters, np.float64).T
    drawn = _drawn(len(clusters))
    low, high = np.percentile(counts[drawn].sum(axis=1) / totals[drawn].sum(axis=1), [2.5, 97.5])
    return float(low), float(high)


@functools.lru_cache(maxsize=16)
def _drawn(clusters: int) -> npt.NDArray[np.intp]:
    """Indices (RESAMPLES, clusters) of clusters drawn with replacement."""
    return np.random.default_rng(SEED).integers(clusters, size=(RESAMPLES, clusters))


@dataclass(frozen=True)
class Comparison:
    """Verdicts of two policies on the same initial poses, counted by who succeeded.

    Attributes:
        clusters: of each group of verdicts that are not independent, the first policy's successes less the second's,
            and the number of pairs; empty if every pair is a draw of its own.
    """

    both: int
    first_only: int
    second_only: int
    neither: int
    clusters: Clusters = ()

    @property
    def difference(self) -> float:
        """Share of the first's successes less the second's; NaN without verdicts."""
        total = self.both + self.first_only + self.second_only + self.neither
        return (self.first_only - self.second_only) / total if total else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the difference with clusters resampled; NaN with fewer than two clusters."""
        return resampled(self.clusters) if len(self.clusters) > 1 else (float("nan"), float("nan"))

    @property
    def p_value(self) -> float:
        """How likely so uneven a split is if the policies are equally good, two-sided.

        It is the exact McNemar test where pairs are independent, else the share of random exchanges of the two
        policies, cluster by cluster with a fixed seed, that give at least so large a difference.
        """
        discordant = self.first_only + self.second_only
        if not discordant:
            return 1.0
        if not self.clusters:
            rarer = min(self.first_only, self.second_only)
            return min(1.0, 2 * sum(math.comb(discordant, k) for k in range(rarer + 1)) / (1 << discordant))
        differences = np.array([difference for difference, _ in self.clusters])
        signs = np.random.default_rng(SEED).choice([-1, 1], size=(RESAMPLES, len(differences)))
        extreme = np.abs(signs @ differences) >= abs(differences.sum())
        return float((1 + extreme.sum()) / (1 + RESAMPLES))


def compare(
    first: Sequence[bool], second: Sequence[bool], clusters: Sequence[Hashable] | None = None
) -> Comparison:
    """Counts pairs of verdicts, initial pose by initial pose.

    Args:
        clusters: for each pair what it has in common with others, such as its scene.

    Raises:
        ValueError: the sequences are not of one length.
    """
    pairs = list(zip(map(bool, first), map(bool, second), strict=True))
    both, first_only, second_only, neither = (
        pairs.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))
    )
    grouped: dict[Hashable, list[int]] = {}
    if clusters is not None:
        for (one, other), cluster in zip(pairs, clusters, strict=True):
            grouped.setdefault(cluster, []).append(one - other)
    differences = tuple((sum(run), len(run)) for run in grouped.values())
    return Comparison(both, first_only, second_only, neither, differences)


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1); the latter is NaN for a single value."""
    array = np.asarray(values, np.float64)
    return float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else float("nan")

"""Statistics over runs: means and their intervals, pooled standard deviations, Student's t."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd
from scipy.special import stdtrit

from resnet_paper.paper import facts
from resnet_paper.paper.reproductions import REPRODUCTIONS

INTERVAL_RUNS = 3  # the fewest of an interval: that of two runs is 9 standard deviations either way


def statistics(values: pd.Series) -> dict[str, float]:
    """Best (least), mean, sample std, n and 95% interval of the mean, of the values present.

    The interval is mean ± t(n - 1) std / sqrt(n); NaN for fewer than INTERVAL_RUNS values.
    """
    values = values.dropna().astype(float)
    n, mean, std = len(values), values.mean(), values.std()
    reach = student_t(n - 1) * std / math.sqrt(n) if n >= INTERVAL_RUNS else math.nan
    return {
        "best": values.min(),
        "mean": mean,
        "std": std,
        "runs": n,
        "low": mean - reach,
        "high": mean + reach,
    }


def student_t(degrees_of_freedom: int) -> float:
    """Student's t(0.975, degrees of freedom)."""
    return float(stdtrit(degrees_of_freedom, 0.975))


class Spread(NamedTuple):
    """A standard deviation over runs, its degrees of freedom and where it comes from."""

    std: float
    degrees_of_freedom: int
    source: str


def pooled(stds: Iterable[tuple[float, int]], source: str) -> Spread:
    """sqrt(Σ (n - 1) std² / Σ (n - 1)) over pairs (std, n); NaN where no n is above 1."""
    several = [(std, runs - 1) for std, runs in stds if runs > 1]
    freedom = sum(weight for _, weight in several)
    variance = sum(weight * std**2 for std, weight in several) / freedom if freedom else math.nan
    return Spread(math.sqrt(variance), freedom, source)


def published_spread() -> Spread:
    """The spread of the test error (%) over runs of 64,000 iterations, of the paper and of others.

    Pooled over all networks whose standard deviation over runs is published: the paper's
    ResNet-110 (Table 6), nabla0001's five (45,000 images, split anew in each run) and
    AmroAbujabal's two. AmroAbujabal's are sample standard deviations, by its results.csv; of the
    others this is assumed.
    """
    stds, sources = [], []
    for result in facts.TABLE6:
        if result.network and result.std is not None:
            stds.append((result.std, facts.RESNET_110_RUNS))
            sources.append("the paper (Table 6)")
    for who, _, errors in REPRODUCTIONS:
        own = [(error.std, error.runs) for error in errors.values() if error.std is not None]
        stds += own
        sources += [who] if own else []
    return pooled(stds, ", ".join(sources))


TEST_ERROR_SPREAD = published_spread()

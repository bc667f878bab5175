"""The paper's claims as checks on the recorded runs."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import pandas as pd

from resnet_paper.networks import names
from resnet_paper.paper import claims
from resnet_paper.runs.run import Run, summary

QUANTITIES = {
    "test error": "test_error",
    "training error": "train_error_clean",
    "mean response": "mean_response",
    "diverged": "diverged",
}
HOLDS, FAILS, UNMEASURED = "holds", "does not hold", "not measured yet"


def check(runs: Iterable[Run], claims: Iterable[claims.Claim] = claims.CLAIMS) -> pd.DataFrame:
    """A row (claim, where, verdict, numbers) for each claim, by the means over recorded runs.

    A claim holds if all its comparisons do, and does not if one does not; else, where a network of
    it has no run, it is not measured yet.
    """
    recorded = summary(runs)
    rows = []
    for claim in claims:
        results = [compare(comparison, recorded) for comparison in claim.comparisons]
        rows.append(
            {
                "claim": claim.words,
                "where": claim.where,
                "verdict": verdict([holds for holds, _ in results]),
                "numbers": "; ".join(dict.fromkeys(chain(*(words for _, words in results)))),
            }
        )
    return pd.DataFrame(rows)


def verdict(comparisons: Iterable[bool | None]) -> str:
    """One word for some comparisons, of which None are those that nothing was measured for."""
    comparisons = list(comparisons)
    if False in comparisons:
        return FAILS
    return UNMEASURED if None in comparisons else HOLDS


def compare(comparison: claims.LessThan, recorded: pd.DataFrame) -> tuple[bool | None, list[str]]:
    """Whether a comparison holds, None if it is not measured; and its numbers in words."""
    quantity, smaller, greater = comparison
    (low, low_words), (high, high_words) = (
        side(of, recorded, quantity) for of in (smaller, greater)
    )
    missing = [w for value, w in ((low, low_words), (high, high_words)) if pd.isna(value)]
    if missing:
        return None, missing
    holds = bool(low < high)
    return holds, [f"{quantity} {low_words} {'<' if holds else '≥'} {high_words}"]


def side(of: str | float, recorded: pd.DataFrame, quantity: str) -> tuple[float, str]:
    """A side of a comparison, and its words: a bound, or a network's mean over its runs.

    NaN, and why, for a network without such a number. What counts is a sum: how many diverged.
    """
    if not isinstance(of, str):
        return of, f"{of:g}"
    name, runs = names.title(of), recorded[recorded["network"] == of]
    values = runs[QUANTITIES[quantity]].dropna().astype(float)
    diverged = int(runs["diverged"].sum())
    if not len(runs):
        return float("nan"), f"{name} not recorded"
    if quantity == "diverged":
        return diverged, f"{diverged} of {len(runs)} runs of {name}"
    lost = f", {diverged} diverged" if diverged else ""
    if not len(values):
        return float("nan"), f"{name} has no {quantity}{lost}"
    digits = 2 if values.mean() >= 1 else 3
    spread = f" ± {values.std():.{digits}f} (n = {len(values)})" if len(values) > 1 else ""
    return values.mean(), f"{name} {values.mean():.{digits}f}{spread}{lost}"

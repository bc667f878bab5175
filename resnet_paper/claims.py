"""The paper's claims as checks on the recorded runs."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from resnet_paper import paper
from resnet_paper.runs import Run, summary

QUANTITIES = {
    "test error": "test_error",
    "training error": "train_error_clean",
    "mean response": "mean_response",
}
HOLDS, FAILS, UNMEASURED = "holds", "does not hold", "not measured yet"


def check(runs: Iterable[Run], claims: Iterable[paper.Claim] = paper.CLAIMS) -> pd.DataFrame:
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
                "numbers": "; ".join(dict.fromkeys(words for _, words in results)),
            }
        )
    return pd.DataFrame(rows)


def verdict(comparisons: Iterable[bool | None]) -> str:
    """One word for some comparisons, of which None are those that nothing was measured for."""
    comparisons = list(comparisons)
    if False in comparisons:
        return FAILS
    return UNMEASURED if None in comparisons else HOLDS


def compare(comparison: paper.Below, recorded: pd.DataFrame) -> tuple[bool | None, str]:
    """Whether a comparison holds, None if it is not measured; and its numbers in words."""
    quantity, smaller, greater = comparison
    (low, low_words), (high, high_words) = (
        side(of, recorded, QUANTITIES[quantity]) for of in (smaller, greater)
    )
    if pd.isna(low) or pd.isna(high):
        missing = [
            words for value, words in ((low, low_words), (high, high_words)) if pd.isna(value)
        ]
        return None, f"{' and '.join(missing)} not recorded"
    holds = bool(low < high)
    return holds, f"{quantity} {low_words} {'<' if holds else '≥'} {high_words}"


def side(of: str | float, recorded: pd.DataFrame, column: str) -> tuple[float, str]:
    """A side of a comparison, and its words: a network's mean and number of runs, or a bound."""
    if not isinstance(of, str):
        return of, f"{of:g}"
    values = recorded.loc[recorded["network"] == of, column].dropna()
    words = paper.title(of)
    if not len(values):
        return float("nan"), words
    spread = f" ± {values.std():.2f} (n = {len(values)})" if len(values) > 1 else ""
    return values.mean(), f"{words} {values.mean():.2f}{spread}"

"""Numbers as the tables show them."""

from __future__ import annotations

import pandas as pd

DASH = "–"


def format_number(value: float | None, form: str) -> str:
    """A number by a format string; a dash for none."""
    return DASH if pd.isna(value) else form.format(value)


def format_best(best: float, mean: float | None, std: float | None, runs: int = 0) -> str:
    """ "6.43 (6.61 ± 0.16, n = 5)"; "6.43" of a single number; a dash for none."""
    if pd.isna(best) or pd.isna(std):
        return format_number(best, "{:.2f}")
    count = f", n = {runs}" if runs else ""
    return f"{best:.2f} ({mean:.2f} ± {std:.2f}{count})"


def format_mean(mean: float, std: float, digits: int = 2) -> str:
    """ "8.51 ± 0.22"; "8.51" of a single number; a dash for none."""
    spread = "" if pd.isna(std) else f" ± {std:.{digits}f}"
    return format_number(mean, f"{{:.{digits}f}}") + spread


def format_diverged(count: int) -> str:
    """The count of diverged runs, to follow the numbers of the others; "" for none."""
    return f", {count} diverged" if count else ""

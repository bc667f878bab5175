"""Table 6, the paper's numbers beside the measured ones, as Markdown and CSV."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from resnet_paper import paper
from resnet_paper.runs import Run, write, write_table

DASH = "–"
MEASURED = ("best", "mean", "std", "runs", "diverged")


def table6(runs: Iterable[Run]) -> pd.DataFrame:
    """A row for each row of the paper's Table 6; errors in % of the test images.

    ours_*: best, mean, sample standard deviation and number of the recorded runs' errors at their
    last iteration, and how many runs diverged and have none. difference: our mean minus the paper's
    mean where it gives one, else its error.
    """
    records = [run.finished_record() for run in runs]
    rows = []
    for result in paper.TABLE6:
        network = f"resnet-{result.layers}" if result.method == "ResNet" else None
        ours = [record for record in records if record["network"] == network]
        errors = [record["test_error"] for record in ours if record.get("diverged") is None]
        measured = pd.Series(errors, dtype=float)
        expected = result.error if result.mean is None else result.mean
        rows.append(
            {
                **result._asdict(),
                "ours_best": measured.min(),
                "ours_mean": measured.mean(),
                "ours_std": measured.std(),
                "ours_runs": len(errors),
                "ours_diverged": len(ours) - len(errors),
                "difference": measured.mean() - expected,
            }
        )
    return pd.DataFrame(rows).astype({"layers": "Int64"}).round(4)


def table6_markdown(table: pd.DataFrame, note: str = "") -> str:
    """Table 6 in the paper's form: best (mean ± std)."""
    rows = [
        {
            "method": row["method"],
            "layers": DASH if pd.isna(row["layers"]) else str(row["layers"]),
            "params": row["parameters"] or DASH,
            "paper, error (%)": in_words(row["error"], row["mean"], row["std"]),
            "ours, error (%)": in_words(*(row[f"ours_{name}"] for name in MEASURED)),
            "difference": DASH if pd.isna(row["difference"]) else f"{row['difference']:+.2f}",
        }
        for row in table.to_dict("records")
    ]
    return markdown(pd.DataFrame(rows)) + (f"\n{note}\n" if note else "")


def in_words(
    best: float, mean: float | None, std: float | None, runs: int = 0, diverged: int = 0
) -> str:
    """ "6.43 (6.61 ± 0.16, n = 5)"; of one run its error; behind it how many runs diverged."""
    if pd.isna(best):
        words = DASH
    elif pd.isna(std):
        words = f"{best:.2f}"
    else:
        count = f", n = {runs}" if runs else ""
        words = f"{best:.2f} ({mean:.2f} ± {std:.2f}{count})"
    return f"{words}, {diverged} diverged" if diverged else words


def markdown(table: pd.DataFrame) -> str:
    """A table of strings as Markdown."""
    lines = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def save_table6(runs: Iterable[Run], folder: Path, note: str = "") -> str:
    """Write table6.csv and table6.md into a folder; return the Markdown."""
    table = table6(runs)
    text = table6_markdown(table, note)
    write_table(folder / "table6.csv", table)
    write(folder / "table6.md", text.encode())
    return text

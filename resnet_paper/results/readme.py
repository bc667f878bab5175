"""The README's generated tables, and their places between markers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median

import pandas as pd

from resnet_paper import names
from resnet_paper.paper import facts
from resnet_paper.paper.reproductions import REPRODUCTIONS
from resnet_paper.results.formats import (
    DASH,
    format_best,
    format_diverged,
    format_mean,
    format_number,
)
from resnet_paper.results.statistics import statistics
from resnet_paper.results.summary import summary
from resnet_paper.results.tables import Table
from resnet_paper.runs.run import Result, finished_runs

PUBLISHED = Path("experiments/runs")  # from the README
# The settings of the runs that the README shows, and what it calls them.
SETTINGS = {"paper": "full length (`paper`)", "overnight": "an eighth (`overnight`)"}

RESULTS_NOTE = (
    "Test error (%) at the last iteration. Paper: the best run (mean ± std) where it has several; "
    "plain nets are read off Figure 6. Ours: mean ± sample std of n runs at full length; – is not "
    "trained yet. Others: median of public reproductions, their number in parentheses."
)
ZOO_NOTE = (
    "Test error (%). One run each, tested again in float32; the table above has means of the "
    "original measurements. Each links to its run, with `weights.pt`."
)


def fill(text: str, filling: Mapping[str, str]) -> str:
    """The text with each block in place of what stands between its markers.

    The markers of block NAME are the lines `<!-- NAME -->` and `<!-- /NAME -->`. Raises ValueError
    unless there is one such pair.
    """
    for name, block in filling.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        parts = re.split(rf"^{begin}$.*?^{end}$", text, flags=re.MULTILINE | re.DOTALL)
        if len(parts) != 2:
            raise ValueError(f"{len(parts) - 1} pairs of lines {begin} and {end}, not one")
        text = f"{begin}\n\n{block.strip()}\n\n{end}".join(parts)
    return text


def blocks(root: Path) -> dict[str, str]:
    """The README's blocks by name, of the runs under a root, as Markdown."""
    runs = [result for settings in SETTINGS for result in finished_runs(root, settings)]
    return {table.name: table.markdown() for table in (results(runs), zoo(runs))}


def results(runs: Iterable[Result]) -> Table:
    """Test errors (%) of the nets whose error the paper gives: the paper's, ours, others'."""
    recorded = summary(result for result in runs if result.record.settings == "paper")
    rows, text = [], []
    for network, paper in papers().items():
        ours = recorded[recorded["network"] == network]
        of, diverged = statistics(ours["test_error"]), int(ours["diverged"].sum())
        others = errors_of_others(network)
        middle = median(others) if others else math.nan
        rows.append((network, paper.error, of["mean"], of["std"], of["runs"], middle, len(others)))
        text.append(
            {
                "network": names.title(network),
                "paper": format_best(paper.error, paper.mean, paper.std),
                "ours": format_mean(of["mean"], of["std"]) + format_diverged(diverged),
                "n": str(of["runs"]),
                "others": format_number(middle, "{:.2f}") + f" ({len(others)})",
            }
        )
    columns = ["network", "paper", "mean", "std", "runs", "median_of_others", "others"]
    numbers = pd.DataFrame(rows, columns=columns).round(4)
    return Table("results", numbers, pd.DataFrame(text), RESULTS_NOTE)


def papers() -> dict[str, facts.PaperResult]:
    """The paper's results of the nets that it trains, by our names: residual nets, then plain."""
    return {
        result.network: result
        for result in (*facts.TABLE6, *facts.plain_results())
        if result.network and not math.isnan(result.error)
    }


def errors_of_others(network: str) -> list[float]:
    """Public reproductions' errors (%) of a network, means where they have several runs."""
    return [other.errors[network].mean for other in REPRODUCTIONS if network in other.errors]


def zoo(runs: Iterable[Result]) -> Table:
    """The published weights: a row a network, errors (%) by settings with links to the runs."""
    published = sorted((run for run in runs if run.record.published), key=place_in_zoo)
    text: dict[str, dict[str, str]] = {}
    for result in published:
        record, run = result.record, result.run
        assert record.published is not None
        row = {"network": names.title(result.network), "parameters": f"{record.parameters:,}"}
        row = text.setdefault(result.network, row | dict.fromkeys(SETTINGS.values(), DASH))
        directory = (PUBLISHED / run.directory.relative_to(run.root)).as_posix()
        row[SETTINGS[record.settings]] = f"[{record.published.test_error:.2f}]({directory})"
    table = pd.DataFrame(text.values(), columns=["network", "parameters", *SETTINGS.values()])
    return Table("zoo", table, table, ZOO_NOTE)


def place_in_zoo(result: Result) -> tuple[bool, int, str]:
    """A sort key: residual nets before plain ones, by depth."""
    name = names.parse(result.network)
    return name.kind == "plain", name.depth, name.option

"""Tables of the experiments beside section 4.2's: other networks, and shortcut options."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from resnet_paper import names
from resnet_paper.paper import facts
from resnet_paper.paper import reproductions as others
from resnet_paper.results.formats import (
    format_best,
    format_diverged,
    format_number,
)
from resnet_paper.results.statistics import statistics
from resnet_paper.results.summary import summary
from resnet_paper.results.tables import Table, sources, without_empty
from resnet_paper.runs.recipe import COMPARED, Recipe, on_cifar10
from resnet_paper.runs.run import Result


def comparison(results: Iterable[Result], settings: str, note: str = "") -> Table:
    """A row a run: parameters, test loss and accuracy at the end, and the best accuracy.

    settings: a key of `reproductions.COMPARISONS`, which has others' numbers.
    """
    rows, text, theirs = [], [], others.COMPARISONS.get(settings, {})
    for result in results:
        record, other = result.record, theirs.get(result.network)
        accuracy = math.nan if result.diverged else 100 - (record.test_error or 0.0)
        best = math.nan if result.diverged else 100 - result.curve["test_error"].min()
        loss = record.test_loss
        rows.append((result.network, result.seed, record.parameters, loss, accuracy, best))
        text.append(
            (
                f"{names.title(result.network)}, seed {result.seed}",
                f"{record.parameters / 1e6:.2f}M",
                format_number(loss, "{:.4f}"),
                "diverged" if result.diverged else f"{accuracy:.2f}",
                format_number(best, "{:.2f}"),
                format_number(other and other.loss, "{:.4f}"),
                format_number(other and other.accuracy, "{:.2f}"),
                format_number(other and other.best, "{:.2f}"),
            )
        )
    columns = ["network", "seed", "parameters", "test_loss", "test_accuracy", "best_accuracy"]
    ours = ["network", "params", "test loss", "test accuracy (%)", "best on the test images (%)"]
    optional = ["others: test loss", "others: test accuracy (%)", "others: best (%)"]
    return Table(
        "comparison",
        pd.DataFrame(rows, columns=columns).round(4),
        without_empty(pd.DataFrame(text, columns=[*ours, *optional]), optional),
        f"{sources(theirs)} {note}".strip(),
    )


def compared(results: Iterable[Result], settings: str) -> list[Result]:
    """The results of the networks that some settings compare, in their order, by seed."""
    networks = COMPARED.get(settings, ())
    chosen = [result for result in results if result.network in networks]
    return sorted(chosen, key=lambda each: (networks.index(each.network), each.seed))


def shortcuts(results: Iterable[Result], recipe: Recipe, note: str = "") -> list[Table]:
    """The shortcut options in the form of Table 3, a table for each depth that has B or C.

    Beside Table 3's errors on the paper's data set alone.
    """
    measured = summary(results)
    depths = names.shortcut_depths(measured["network"])
    return [shortcuts_at(depth, measured, recipe, note) for depth in depths]


def shortcuts_at(depth: int, measured: pd.DataFrame, recipe: Recipe, note: str) -> Table:
    """The shortcut options at one depth, by a summary of the runs."""
    rows, text = [], []
    for option, network in names.shortcut_networks(depth).items():
        ours = measured[measured["network"] == network]
        of, count = statistics(ours["test_error"]), ours["parameters"].max()
        rows.append({"network": network, "option": option, "parameters": count, **of})
        error = format_best(of["best"], of["mean"], of["std"], int(of["runs"]))
        line = {
            "model": f"ResNet-{depth} {option}",
            "params": format_number(count, "{:,.0f}"),
            "error (%)": error + format_diverged(int(ours["diverged"].sum())),
        }
        if on_cifar10(recipe):
            line["paper: ResNet-34 on ImageNet, top-1 (%)"] = f"{facts.TABLE3_TOP1[option]:.2f}"
        text.append(line)
    title = f"Shortcut options at {depth} layers"
    return Table(f"shortcuts-{depth}", pd.DataFrame(rows).round(4), pd.DataFrame(text), note, title)

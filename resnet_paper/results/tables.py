"""Tables of the paper's numbers beside the measured ones, as Markdown and CSV."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.special import stdtrit

from resnet_paper.networks import names
from resnet_paper.paper import facts, reproductions
from resnet_paper.runs.recipe import PAPER, Recipe
from resnet_paper.runs.run import Run, summary, write, write_table

DASH = "–"


def statistics(values: pd.Series) -> dict[str, float]:
    """Of the numbers that are there: best (least), mean, sample std, n, 95% interval of the mean.

    The interval is mean ± t(0.975, n - 1) std / sqrt(n), Student's t; NaN for a single number.
    """
    values = values.dropna().astype(float)
    n, mean, std = len(values), values.mean(), values.std()
    reach = stdtrit(n - 1, 0.975) * std / math.sqrt(n) if n > 1 else math.nan
    return {
        "best": values.min(),
        "mean": mean,
        "std": std,
        "runs": n,
        "low": mean - reach,
        "high": mean + reach,
    }


def in_words(best: float, mean: float | None, std: float | None, runs: int = 0) -> str:
    """ "6.43 (6.61 ± 0.16, n = 5)"; a single number as it is; a dash for none."""
    if pd.isna(best):
        return DASH
    if pd.isna(std):
        return f"{best:.2f}"
    count = f", n = {runs}" if runs else ""
    return f"{best:.2f} ({mean:.2f} ± {std:.2f}{count})"


def mean_in_words(mean: float, std: float, digits: int = 2) -> str:
    """ "8.51 ± 0.22", "8.51" of one number, a dash for none."""
    return number(mean, f"{{:.{digits}f}}") + ("" if pd.isna(std) else f" ± {std:.{digits}f}")


def diverged_in_words(count: int) -> str:
    """What stands behind the numbers of some runs of which others diverged."""
    return f", {count} diverged" if count else ""


def number(value: float | None, words: str) -> str:
    """A number by a format, a dash where there is none."""
    return DASH if pd.isna(value) else words.format(value)


def markdown(table: pd.DataFrame) -> str:
    """A table of strings as Markdown."""
    lines = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def save(stem: Path, numbers: pd.DataFrame, words: pd.DataFrame, note: str = "") -> str:
    """Write a table's numbers as CSV and its words as Markdown, and return the Markdown."""
    text = markdown(words) + (f"\n{note}\n" if note else "")
    write_table(stem.with_name(f"{stem.name}.csv"), numbers)
    write(stem.with_name(f"{stem.name}.md"), text.encode())
    return text


def beside(results: Iterable[facts.Result], runs: Iterable[Run]) -> pd.DataFrame:
    """A row for each of the paper's results; errors in % of the test images.

    ours_*: `statistics` of the recorded runs' errors at their last iteration, and how many runs
    diverged and have none; validation_*: of their validation errors. difference: our mean minus
    the paper's mean where it gives one, else its error.
    """
    recorded = summary(runs)
    rows = []
    for result in results:
        ours = recorded[recorded["network"] == result.network]
        test, validation = statistics(ours["test_error"]), statistics(ours["val_error"])
        expected = result.error if result.mean is None else result.mean
        rows.append(
            {
                **result._asdict(),
                **{f"ours_{name}": value for name, value in test.items()},
                "ours_diverged": ours["diverged"].sum(),
                "validation_mean": validation["mean"],
                "validation_std": validation["std"],
                "difference": test["mean"] - expected,
            }
        )
    return pd.DataFrame(rows).astype({"layers": "Int64"}).round(4)


def beside_in_words(table: pd.DataFrame, papers: str = "paper, error (%)") -> pd.DataFrame:
    """What `beside` gives in the paper's form, best (mean ± std), and what there is besides."""

    def cells(row: dict[Any, Any]) -> dict[str, str]:
        ours = in_words(*(row[f"ours_{name}"] for name in ("best", "mean", "std", "runs")))
        interval = number(row["ours_low"], "{:.2f}") + " to " + number(row["ours_high"], "{:.2f}")
        return {
            "method": row["method"],
            "layers": number(row["layers"], "{}"),
            "params": row["parameters"] or DASH,
            papers: in_words(row["error"], row["mean"], row["std"]),
            "ours, error (%)": ours + diverged_in_words(row["ours_diverged"]),
            "95% interval of the mean": interval if row["ours_runs"] > 1 else DASH,
            "ours, validation (%)": mean_in_words(row["validation_mean"], row["validation_std"]),
            "difference": number(row["difference"], "{:+.2f}"),
        }

    words = pd.DataFrame([cells(row) for row in table.to_dict("records")])
    return without_empty(words, ["95% interval of the mean", "ours, validation (%)"])


def without_empty(words: pd.DataFrame, optional: Iterable[str]) -> pd.DataFrame:
    """A table without those of its optional columns that are all dashes."""
    return words.drop(columns=[name for name in optional if (words[name] == DASH).all()])


def save_table6(runs: Iterable[Run], folder: Path, note: str = "") -> str:
    """Write the paper's Table 6 beside ours into a folder; return its Markdown."""
    table = beside(facts.TABLE6, runs)
    return save(folder / "table6", table, beside_in_words(table), note)


def save_plain(runs: Iterable[Run], folder: Path, note: str = "") -> str:
    """Write Table 6's counterpart for plain nets, whose errors stand in Figure 6 alone."""
    table = beside(facts.plain_results(), runs)
    words = beside_in_words(table, "paper, read off Figure 6 (%)")
    words.loc[words["layers"] == "110", words.columns[3]] = f"above {facts.PLAIN_110_ABOVE:.0f}"
    return save(folder / "plain", table, words, note)


def save_reproductions(runs: Iterable[Run], recipe: Recipe, folder: Path, note: str = "") -> str:
    """Write the paper's, our and others' errors side by side, each with its protocol."""
    recorded = summary(runs)
    papers = {
        result.network: in_words(result.error, result.mean, result.std)
        for result in (*facts.TABLE6, *facts.plain_results())
        if result.network and not pd.isna(result.error)
    }
    ours = {}
    for network in papers:
        own = recorded[recorded["network"] == network]
        of, diverged = statistics(own["test_error"]), int(own["diverged"].sum())
        if len(own):
            errors = in_words(of["best"], of["mean"], of["std"], int(of["runs"]))
            ours[network] = errors + diverged_in_words(diverged)
    ours_is = f"{recipe.train_images:,} images, {recipe.iterations:,} iterations, error at the last"
    rows = [
        (
            "paper",
            f"{PAPER.iterations:,} iterations; plain nets read off Figure 6, to about 0.05",
            papers,
        ),
        ("ours", f"{ours_is}; of several runs the best (mean ± std, n)", ours),
        *reproductions.REPRODUCTIONS,
    ]
    table = pd.DataFrame(
        [errors for _, _, errors in rows], [who for who, _, _ in rows], list(papers), dtype=object
    )
    words = table.fillna(DASH).rename(index=owner, columns=names.title)
    protocols = "".join(f"- {link(who)}: {protocol}\n" for who, protocol, _ in rows)
    return save(
        folder / "reproductions",
        table.rename_axis("who").reset_index(),
        words.rename_axis("error (%)").reset_index(),
        f"{protocols}\n{note}".strip(),
    )


def owner(repository: str) -> str:
    """Whose it is: what stands before the slash."""
    return repository.split("/")[0]


def link(repository: str) -> str:
    """Where it is, in Markdown; what is no repository, the paper or ours, as it stands."""
    return f"[{repository}](https://github.com/{repository})" if "/" in repository else repository


HALF_TIME = PAPER.milestones[0]  # the learning rate falls, and the curves become flat
FEW = 10  # points of a curve
DISTANCES = {  # ours: the paper's curve that it is compared with, and what it is called
    "test_error": ("test_error", "test"),
    "test_error_precise": ("test_error", "test, precise BN"),
    "train_error_clean": ("train_error", "training, precise BN, without augmentation"),
    "train_error": ("train_error", "training, mini-batches"),
}


def distances(runs: Iterable[Run]) -> pd.DataFrame:
    """How far the curves of each network's runs are from the paper's, in points of error.

    A row for each of DISTANCES: until_32k and after_32k, means of the absolute differences over the
    runs and over those of Figure 6's points that can be read, until and after the first milestone;
    points_*: how many these are.
    """
    recorded, rows = list(runs), []
    for network, theirs in facts.figure6_curves().groupby("network", sort=False):
        own = [run for run in recorded if run.network == network]
        curves = [run.curve().set_index("iteration") for run in own if not run.diverged]
        if not curves:
            continue
        theirs = theirs.set_index("iteration")
        for name, (papers_name, _) in DISTANCES.items():
            differences = pd.concat(curve[name] - theirs[papers_name] for curve in curves)
            apart = differences.abs().groupby("iteration").mean()
            rows.append(
                {
                    "network": network,
                    "runs": len(curves),
                    "error": name,
                    "until_32k": apart[apart.index <= HALF_TIME].mean(),
                    "after_32k": apart[apart.index > HALF_TIME].mean(),
                    "points_until": apart[apart.index <= HALF_TIME].count(),
                    "points_after": apart[apart.index > HALF_TIME].count(),
                }
            )
    columns = ["network", "runs", "error", "until_32k", "after_32k"]
    columns += ["points_until", "points_after"]
    return pd.DataFrame(rows, columns=columns).round(4)


def save_distances(runs: Iterable[Run], folder: Path, note: str = "") -> str:
    """Write how far our curves are from Figure 6's into a folder; return its Markdown."""
    table = distances(runs)
    words = []
    for network, rows in table.groupby("network", sort=False):
        cells = {}
        for row in rows.to_dict("records"):
            before, after = (
                number(row[distance], "{:.2f}") + "*" * (0 < row[points] < FEW)
                for distance, points in (
                    ("until_32k", "points_until"),
                    ("after_32k", "points_after"),
                )
            )
            cells[DISTANCES[row["error"]][1]] = f"{before} / {after}"
        words.append({"network": names.title(str(network)), "n": rows["runs"].iloc[0], **cells})
    columns = ["network", "n", *(called for _, called in DISTANCES.values())]
    meaning = (
        "Mean absolute distance of a run to the paper's curve, in points of error, until / after "
        "iteration"
    )
    few = f"; * over fewer than {FEW} points that can be read."
    text = f"{meaning} {HALF_TIME:,}{few} {note}".strip()
    return save(folder / "figure6", table, pd.DataFrame(words, columns=columns), text)


def save_responses(runs: Iterable[Run], folder: Path, note: str = "") -> str:
    """Write the mean over the layers of Figure 7's stds for each of its networks."""
    recorded = summary(runs)
    rows, words = [], []
    for network in facts.FIGURE7_NETWORKS:
        of = statistics(recorded.loc[recorded["network"] == network, "mean_response"])
        rows.append((network, of["mean"], of["std"], of["runs"]))
        words.append(
            {
                "network": names.title(network),
                "mean std over the layers": mean_in_words(of["mean"], of["std"], digits=3),
                "n": of["runs"],
                "others' weights": reproductions.MEAN_RESPONSES.get(network, DASH),
            }
        )
    table = pd.DataFrame(rows, columns=["network", "mean", "std", "runs"]).round(4)
    return save(folder / "figure7", table, pd.DataFrame(words), note)


def save_comparison(runs: Iterable[Run], settings: str, folder: Path, note: str = "") -> str:
    """Write networks side by side: parameters, test loss and accuracy at the end, and the best."""
    rows, words = [], []
    for run in runs:
        record = run.finished_record()
        accuracy, best = 100 - record["test_error"], 100 - run.curve()["test_error"].min()
        if run.diverged:
            accuracy = best = math.nan
        count, loss = record["parameters"], record["test_loss"]
        rows.append((run.network, run.seed, count, loss, accuracy, best))
        others = reproductions.COMPARISONS.get(settings, {}).get(run.network)
        words.append(
            (
                f"{names.title(run.network)}, seed {run.seed}",
                f"{count / 1e6:.2f}M",
                number(loss, "{:.4f}"),
                "diverged" if run.diverged else f"{accuracy:.2f}",
                number(best, "{:.2f}"),
                number(others and others.loss, "{:.4f}"),
                number(others and others.accuracy, "{:.2f}"),
                number(others and others.best, "{:.2f}"),
            )
        )
    numbers = ["network", "seed", "parameters", "test_loss", "test_accuracy", "best_accuracy"]
    ours = ["network", "params", "test loss", "test accuracy (%)", "best on the test images (%)"]
    theirs = ["others: test loss", "others: test accuracy (%)", "others: best (%)"]
    text = without_empty(pd.DataFrame(words, columns=[*ours, *theirs]), theirs)
    table = pd.DataFrame(rows, columns=numbers).round(4)
    note = f"{reproductions.COMPARISON_NOTES.get(settings, '')} {note}".strip()
    return save(folder / "comparison", table, text, note)


def save_shortcuts(runs: Iterable[Run], depth: int, folder: Path, note: str = "") -> str:
    """Write the shortcut options at one depth as the paper's Table 3 does."""
    recorded = summary(runs)
    rows, words = [], []
    for option, network in names.shortcut_networks(depth).items():
        ours = recorded[recorded["network"] == network]
        of, diverged = statistics(ours["test_error"]), int(ours["diverged"].sum())
        count = ours["parameters"].iloc[0] if len(ours) else math.nan
        rows.append({"network": network, "option": option, "parameters": count, **of})
        error = in_words(of["best"], of["mean"], of["std"], int(of["runs"]))
        words.append(
            {
                "model": f"ResNet-{depth} {option}",
                "params": number(count, "{:,.0f}"),
                "error (%)": error + diverged_in_words(diverged),
                "paper: ResNet-34 on ImageNet, top-1 (%)": f"{facts.TABLE3_TOP1[option]:.2f}",
            }
        )
    table = pd.DataFrame(rows).round(4)
    return save(folder / f"shortcuts-{depth}", table, pd.DataFrame(words), note)


def save_table1(counts: Mapping[int, tuple[int, int]], folder: Path) -> str:
    """Write the parameters and multiply-adds of Table 1's networks, by their layers."""
    rows, words = [], []
    for layers, expected in facts.TABLE1_MULTIPLY_ADDS.items():
        parameters, multiply_adds = counts[layers]
        rows.append((layers, parameters, multiply_adds, expected))
        words.append(
            {
                "network": f"ResNet-{layers}",
                "params": f"{parameters:,}",
                "multiply-adds": f"{multiply_adds:,}",
                "in 1e9": f"{multiply_adds / 1e9:.2f}",
                "paper, in 1e9": f"{expected / 1e9:.1f}",
            }
        )
    columns = ["layers", "parameters", "multiply_adds", "paper"]
    return save(folder / "table1", pd.DataFrame(rows, columns=columns), pd.DataFrame(words))

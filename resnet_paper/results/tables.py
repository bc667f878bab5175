"""Tables of section 4.2: the paper's numbers and ours, as pure functions of results."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from resnet_paper import names
from resnet_paper.paper import facts
from resnet_paper.paper import reproductions as others
from resnet_paper.results import curves
from resnet_paper.results.formats import (
    DASH,
    format_best,
    format_diverged,
    format_mean,
    format_number,
)
from resnet_paper.results.statistics import INTERVAL_RUNS, statistics
from resnet_paper.results.summary import summary
from resnet_paper.runs.files import write, write_csv
from resnet_paper.runs.recipe import PAPER, Recipe, on_cifar10
from resnet_paper.runs.run import Result


@dataclass(frozen=True)
class Table:
    """A table: its numbers, the text that shows them, a line above and a note below, in Markdown.

    name: the stem of its files. title: that of its section in the report, by default the
    artefact's. lead: what to see. shown: how many rows are shown at once, the others folded under
    `folded`; None: all.
    """

    name: str
    numbers: pd.DataFrame
    text: pd.DataFrame
    note: str = ""
    title: str = ""
    lead: str = ""
    shown: int | None = None
    folded: str = ""

    @property
    def parts(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The rows that are shown, and those that are folded."""
        count = len(self.text) if self.shown is None else self.shown
        return self.text.iloc[:count], self.text.iloc[count:]

    def markdown(self) -> str:
        """The lead, the text and the note."""
        shown, rest = self.parts
        fold = f"<details><summary>{self.folded}</summary>\n\n{rows(rest)}\n</details>\n"
        parts = [
            f"{self.lead}\n" if self.lead else "",
            rows(shown) if len(shown) or not len(rest) else "",
            fold if len(rest) else "",
            f"{self.note}\n" if self.note else "",
        ]
        return "\n".join(filter(None, parts))


def rows(text: pd.DataFrame) -> str:
    """A table of text as Markdown."""
    columns = list(text.columns)
    lines = [columns, ["---"] * len(columns), *text.to_numpy().tolist()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def save(table: Table, folder: Path) -> list[Path]:
    """Write a table as Markdown and its numbers as CSV; return the paths."""
    markdown, csv = (folder / f"{table.name}.{suffix}" for suffix in ("md", "csv"))
    write(markdown, table.markdown().encode())
    write_csv(csv, table.numbers)
    return [markdown, csv]


def with_trained(
    paper: Iterable[facts.PaperResult], method: str, results: Iterable[Result], recipe: Recipe
) -> list[facts.PaperResult]:
    """The paper's results, and without an error those of its method that were trained besides.

    Of a recipe on other images than the paper's, only what was trained.
    """
    found = {each.network: each for each in paper} if on_cifar10(recipe) else {}
    rows = list(paper) if on_cifar10(recipe) else []
    for result in results:
        name = names.parse(result.network)
        if name.in_study and name.kind == method.lower() and result.network not in found:
            parameters = f"{result.record.parameters / 1e6:.2f}M"
            found[result.network] = facts.PaperResult(method, name.depth, parameters, math.nan)
            rows.append(found[result.network])
    return sorted(rows, key=lambda row: (row.network is not None, row.layers or 0))


STATISTICS = ("best", "mean", "std", "runs", "low", "high", "diverged")
COMPARISON = [
    *facts.PaperResult._fields,
    *(f"ours_{name}" for name in STATISTICS),
    *("validation_mean", "validation_std", "difference"),
]
COMPARISON_TEXT = (
    *("ours, error (%)", "95% interval of the mean", "ours, validation (%)", "difference"),
)


def compare_with_paper(
    paper: Iterable[facts.PaperResult], results: Iterable[Result]
) -> pd.DataFrame:
    """A row for each of the paper's results; errors in % of the test images.

    ours_*: `statistics` of our errors at the last iteration, and the number of diverged runs, which
    have none; validation_*: of our validation errors. difference: our mean minus the paper's mean
    where it gives one, else its error.
    """
    measured = summary(results)
    rows = []
    for result in paper:
        ours = measured[measured["network"] == result.network]
        test, validation = statistics(ours["test_error"]), statistics(ours["val_error"])
        expected = result.error if result.mean is None else result.mean
        rows.append(
            {
                **result._asdict(),
                **{f"ours_{name}": value for name, value in test.items()},
                "ours_diverged": ours["diverged"].sum(),
                "validation_mean": validation["mean"],
                "validation_std": validation["std"],
                # Rounded, since equal numbers may differ by 1e-15, and the sign is read.
                "difference": round(test["mean"] - expected, 4),
            }
        )
    return pd.DataFrame(rows, columns=COMPARISON).astype({"layers": "Int64"})


def comparison_text(numbers: pd.DataFrame, paper: str) -> pd.DataFrame:
    """The rows of `compare_with_paper` in the form of Table 6: best (mean ± std)."""
    rows = []
    for row in numbers.to_dict("records"):
        ours = format_best(*(row[f"ours_{name}"] for name in ("best", "mean", "std", "runs")))
        interval = f"{row['ours_low']:.2f} to {row['ours_high']:.2f}"
        rows.append(
            {
                "method": row["method"],
                "layers": format_number(row["layers"], "{}"),
                "params": row["parameters"] or DASH,
                paper: format_best(row["error"], row["mean"], row["std"]),
                "ours, error (%)": ours + format_diverged(row["ours_diverged"]),
                "95% interval of the mean": interval if row["ours_runs"] >= INTERVAL_RUNS else DASH,
                "ours, validation (%)": format_mean(row["validation_mean"], row["validation_std"]),
                "difference": format_number(row["difference"], "{:+.2f}"),
            }
        )
    columns = [*("method", "layers", "params"), paper, *COMPARISON_TEXT]
    text = pd.DataFrame(rows, columns=columns)
    return without_empty(text, ["95% interval of the mean", "ours, validation (%)"])


def without_empty(text: pd.DataFrame, optional: Iterable[str]) -> pd.DataFrame:
    """A table without those of its optional columns that are all dashes."""
    return text.drop(columns=[name for name in optional if (text[name] == DASH).all()])


def without_paper(table: Table, recipe: Recipe, paper: str) -> Table:
    """A table without columns that compare what cannot be compared.

    That is its difference from the paper unless our recipe is the paper's; and the paper's errors,
    in the column `paper` of the text, unless our images are.
    """
    columns = [] if recipe == PAPER else ["difference"]
    columns += [] if on_cifar10(recipe) else [paper, "error", "mean", "std"]
    numbers, text = (
        frame.drop(columns=columns, errors="ignore") for frame in (table.numbers, table.text)
    )
    return replace(table, numbers=numbers, text=text)


def table6(results: Iterable[Result], recipe: Recipe, note: str = "") -> Table:
    """Table 6, the paper's errors and ours."""
    results, paper = list(results), "paper, error (%)"
    rows = with_trained(facts.TABLE6, "ResNet", results, recipe)
    numbers = compare_with_paper(rows, results)
    text = comparison_text(numbers, paper)
    table = Table("table6", numbers.round(4), text, note, "Table 6: test error")
    return without_paper(table, recipe, paper)


def plain(results: Iterable[Result], recipe: Recipe, note: str = "") -> Table:
    """The plain nets in the form of Table 6; the paper's errors are those of Figure 6."""
    results, paper = list(results), "paper, read off Figure 6 (%)"
    rows = with_trained(facts.plain_results(), "Plain", results, recipe)
    numbers = compare_with_paper(rows, results)
    text = comparison_text(numbers, paper)
    text.loc[text["layers"] == "110", paper] = f"above {facts.PLAIN_110_ABOVE:.0f}"
    return without_paper(Table("plain", numbers.round(4), text, note, "Plain nets"), recipe, paper)


def training(results: Iterable[Result], recipe: Recipe, note: str = "") -> Table:
    """Training errors beside test errors, both final: a row for each of `figure6_networks`.

    The paper's training errors are not shown, as it does not say which images they are of.
    """
    measured, rows, text = summary(results), [], []
    for network in figure6_networks(measured["network"], recipe):
        own = measured[measured["network"] == network]
        train, test = statistics(own["train_error_clean"]), statistics(own["test_error"])
        means = (train["mean"], train["std"], test["mean"], test["std"])
        rows.append((network, *means, test["runs"], own["diverged"].sum()))
        text.append(
            {
                "network": names.title(network),
                "training error (%)": format_mean(train["mean"], train["std"]),
                "test error (%)": format_mean(test["mean"], test["std"]),
                "n": str(test["runs"]) + format_diverged(int(own["diverged"].sum())),
            }
        )
    columns = ["network", "training_mean", "training_std", "test_mean", "test_std"]
    numbers = pd.DataFrame(rows, columns=[*columns, "runs", "diverged"]).round(4)
    meaning = (
        "Training error: of all training images, not augmented, by precise BN. Test error: by BN's "
        "moving averages."
    )
    note = f"{meaning} {note}".strip()
    return Table("training", numbers, pd.DataFrame(text), note, "Training errors")


def figure6_networks(recorded: Iterable[str], recipe: Recipe) -> list[str]:
    """Section 4.2's nets that are recorded, and on CIFAR-10 those that Figure 6 has by default.

    Plain ones first, then by depth.
    """
    drawn = {f"plain-{depth}" for depth in facts.PLAIN_DEPTHS.split()}
    drawn |= {f"resnet-{depth}" for depth in facts.RESNET_DEPTHS.split()}
    drawn &= drawn if on_cifar10(recipe) else set()
    drawn |= {network for network in recorded if names.study_depth(network)}
    return sorted(drawn, key=names.parse)


def reproductions(results: Iterable[Result], recipe: Recipe, note: str = "") -> Table:
    """The paper's, our and others' errors, a row each, with their protocols below."""
    results = list(results)
    papers = {
        result.network: format_best(result.error, result.mean, result.std)
        for result in (*facts.TABLE6, *facts.plain_results())
        if result.network and not pd.isna(result.error)
    }
    protocol = (
        f"{recipe.train_images:,} images, {recipe.iterations:,} iterations, error at the last; "
        "of several runs the best (mean ± std, n)"
    )
    read_off = f"{PAPER.iterations:,} iterations; plain nets read off Figure 6, to about 0.05"
    rows: list[tuple[str, str, dict[str, str]]] = [
        ("paper", read_off, papers),
        ("ours", protocol, our_errors(results)),
    ]
    for who, how, errors in others.REPRODUCTIONS:
        rows.append((who, how, {network: str(error) for network, error in errors.items()}))
    whose = [who for who, _, _ in rows]
    table = pd.DataFrame([errors for *_, errors in rows], whose, list(papers), dtype=object)
    text = table.fillna(DASH).rename(index=owner, columns=names.title)
    protocols = "".join(f"- {link(who)}: {how}\n" for who, how, _ in rows)
    return Table(
        "reproductions",
        table.rename_axis("who").reset_index(),
        text.rename_axis("error (%)").reset_index(),
        f"{protocols}\n{note}".strip(),
        "Public reproductions",
        below_the_papers(results, recipe),
    )


def below_the_papers(results: Iterable[Result], recipe: Recipe) -> str:
    """What to see in the reproductions: for how many networks our mean is below the paper's error.

    "" where nothing is measured by the paper's recipe.
    """
    if recipe != PAPER:
        return ""
    papers = (*facts.TABLE6, *facts.plain_results())
    numbers = compare_with_paper(papers, results)
    differences = numbers["difference"].set_axis([each.network for each in papers]).dropna()
    if differences.empty:
        return ""
    lower = [names.title(str(network)) for network in differences.index[differences < 0]]
    named = f": {', '.join(lower)}" if lower else ""
    return (
        "A column is a network: the paper's error, ours, and those of public reproductions. Our "
        f"mean is below the paper's in {len(lower)} of {len(differences)} networks{named}."
    )


def our_errors(results: Iterable[Result]) -> dict[str, str]:
    """The test errors of each network that was trained, best (mean ± std, n)."""
    errors = {}
    for network, runs in summary(results).groupby("network"):
        of = statistics(runs["test_error"])
        best = format_best(of["best"], of["mean"], of["std"], int(of["runs"]))
        errors[str(network)] = best + format_diverged(int(runs["diverged"].sum()))
    return errors


def networks(results: Iterable[Result], note: str = "") -> Table:
    """Other networks than the paper's: a row each, as they are at the end of their training."""
    rows, text = [], []
    for network, own in summary(results).groupby("network", sort=False):
        test, train = statistics(own["test_error"]), statistics(own["train_error_clean"])
        parameters, diverged = int(own["parameters"].max()), int(own["diverged"].sum())
        means = (test["mean"], test["std"], train["mean"], train["std"])
        rows.append((network, parameters, *means, test["runs"], diverged))
        text.append(
            {
                "network": names.title(str(network)),
                "params": f"{parameters:,}",
                "test error (%)": format_mean(test["mean"], test["std"]),
                "training error (%)": format_mean(train["mean"], train["std"]),
                "n": str(test["runs"]) + format_diverged(diverged),
            }
        )
    columns = ["network", "parameters", "test_mean", "test_std", "training_mean", "training_std"]
    numbers = pd.DataFrame(rows, columns=[*columns, "runs", "diverged"]).round(4)
    return Table("networks", numbers, pd.DataFrame(text), note, "Other networks")


def owner(repository: str) -> str:
    """The owner of a repository: "owner/name" -> "owner"."""
    return repository.split("/")[0]


def link(repository: str) -> str:
    """A Markdown link to a repository on GitHub; "paper" and "ours" as they are."""
    return f"[{repository}](https://github.com/{repository})" if "/" in repository else repository


FEW = 10  # points of a curve


def distances(results: Iterable[Result], note: str = "") -> Table:
    """How far curves by the paper's recipe are from the paper's, a row for each network."""
    numbers, rows = curves.distances(results), []
    for network, own in numbers.groupby("network", sort=False):
        cells = {"network": names.title(str(network)), "n": str(own["runs"].iloc[0])}
        for row in own.to_dict("records"):
            until = format_distance(row["until_32k"], row["points_until"])
            after = format_distance(row["after_32k"], row["points_after"])
            cells[curves.DISTANCES[row["error"]][1]] = f"{until} / {after}"
        rows.append(cells)
    columns = ["network", "n", *(title for _, title in curves.DISTANCES.values())]
    meaning = (
        "Mean absolute distance of a run to the paper's curve, in points of error, until / after "
        f"iteration {curves.FIRST_DROP:,}; * over fewer than {FEW} points that can be read."
    )
    text = pd.DataFrame(rows, columns=columns)
    note = f"{meaning} {note}".strip()
    lead = closer_with_precise_bn(numbers)
    return Table("figure6", numbers.round(4), text, note, "Distances to the paper's curves", lead)


def closer_with_precise_bn(numbers: pd.DataFrame) -> str:
    """What to see in the distances: where precise BN is closer to the paper; "" for no runs."""
    until = numbers.pivot(index="network", columns="error", values="until_32k")
    if until.empty:
        return ""
    closer = int((until[curves.PRECISE] < until[curves.TEST]).sum())
    return (
        f"Until iteration {curves.FIRST_DROP:,} test errors with precise BN are closer to the "
        f"paper's curve in {closer} of {len(until)} networks: compare the second column of "
        "distances with the first."
    )


def format_distance(mean: float, points: int) -> str:
    """ "0.37", "0.37*" of a FEW points, a dash for none."""
    return format_number(mean, "{:.2f}") + "*" * (0 < points < FEW)


def responses(results: Iterable[Result], recipe: Recipe, note: str = "") -> Table:
    """The mean over the layers of Figure 7's stds, for each of its networks."""
    measured, rows, text = summary(results), [], []
    for network in facts.FIGURE7_NETWORKS:
        other = others.MEAN_RESPONSES.get(network)
        of = statistics(measured.loc[measured["network"] == network, "mean_response"])
        rows.append((network, of["mean"], of["std"], of["runs"]))
        text.append(
            {
                "network": names.title(network),
                "mean std over the layers": format_mean(of["mean"], of["std"], digits=3),
                "n": str(of["runs"]),
                "others' weights": other.text if other else DASH,
            }
        )
    numbers = pd.DataFrame(rows, columns=["network", "mean", "std", "runs"]).round(4)
    table = pd.DataFrame(text)
    if on_cifar10(recipe):
        note = f"{sources(others.MEAN_RESPONSES)} {note}".strip()
    else:
        table = table.drop(columns="others' weights")
    return Table("figure7", numbers, table, note)


def sources(numbers: Mapping[str, others.Sourced]) -> str:
    """The different sources of some numbers of others, in their order."""
    return " ".join(dict.fromkeys(number.source for number in numbers.values()))

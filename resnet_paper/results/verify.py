"""One's own runs beside the published ones and the paper: does mine agree?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from resnet_paper import names
from resnet_paper.paper import facts
from resnet_paper.results.curves import PRECISE, TEST, TRAIN, mean_curves
from resnet_paper.results.formats import format_mean, format_number
from resnet_paper.results.panels import (
    conditions,
    diverged_entries,
    draw_mean,
    draw_paper,
    frame,
    legend_of_frame,
)
from resnet_paper.results.statistics import Spread, pooled
from resnet_paper.results.style import DASHED, PALETTE, WIDTH, legend_below, pale, style
from resnet_paper.results.tables import Table
from resnet_paper.results.verdicts import deciding_spread, decimals, is_enough, noise_of
from resnet_paper.runs.recipe import PAPER, Recipe, follows_paper
from resnet_paper.runs.record import as_json
from resnet_paper.runs.run import Result

DIFFERS, WITHIN_NOISE, UNDECIDED = "differs", "within noise", "spread not measured yet"
DIVERGED = "diverged"  # all runs of one side, which have no errors
PUBLISHED, PAPERS = "published", "paper"
TEST_ERROR = "test error"
CURVE = "curve of test error, precise BN"
PANELS = 3  # of the picture, in a row
EXPLANATION = (
    "Errors in %, losses in nats, at the last iteration: mean ± sample standard deviation of n "
    "runs. Two means differ if their difference is above the noise, t s √(1/n₁ + 1/n₂), as in the "
    "claims. The difference of curves is the root mean square distance of the mean curves. Of the "
    "share of diverged runs, s is over the runs of both sides together. About one comparison in 20 "
    "differs by chance."
)

# By a quantity's name: its value for a run. Errors in %, the loss in nats.
QUANTITIES: dict[str, Callable[[Result], float | None]] = {
    TEST_ERROR: lambda result: result.record.test_error,
    "training error": lambda result: result.record.train_error_clean,
    "final training loss": lambda result: float(result.curve["train_loss"].iloc[-1]),
}


@dataclass(frozen=True)
class Pair:
    """My runs of one network by one recipe, and the published ones of that network.

    differences: the fields in which my recipe differs, "weight_decay 0.0005 (published: 0.0001)".
    """

    network: str
    differences: tuple[str, ...]
    mine: tuple[Result, ...]
    published: tuple[Result, ...]

    @property
    def title(self) -> str:
        own = [difference.partition(" (")[0] for difference in self.differences]
        return ", ".join([names.title(self.network), *own])

    @property
    def copies(self) -> list[Result]:
        """Those of my runs that are copies of published ones."""
        published = {each.record.sha256["curve.csv"] for each in self.published}
        return [each for each in self.mine if each.record.sha256["curve.csv"] in published]

    @property
    def own(self) -> list[Result]:
        """Those of my runs that are not, so that no run counts twice in a spread."""
        return [each for each in self.mine if each not in self.copies]

    @property
    def papers_error(self) -> tuple[float, int]:
        """The paper's mean or only test error (%) and its number of runs; NaN and 0 for none."""
        for paper in (*facts.TABLE6, *facts.plain_results()):
            if paper.network == self.network and not pd.isna(paper.error):
                if paper.mean is None:
                    return paper.error, 1
                return paper.mean, facts.RESNET_110_RUNS
        return math.nan, 0


def pairs(mine: Iterable[Result], published: Iterable[Result], recipe: Recipe) -> list[Pair]:
    """My runs by network and recipe, each with the published runs of the network (maybe none).

    recipe: the published runs'.
    """
    published = list(published)
    ordered = sorted(
        ((names.parse(each.network), differences(each, recipe), each.run, each) for each in mine),
        key=lambda row: row[:3],
    )
    found = []
    for (_, differing), rows in groupby(ordered, key=lambda row: row[:2]):
        group = tuple(row[-1] for row in rows)
        network = group[0].network
        theirs = tuple(each for each in published if each.network == network)
        found.append(Pair(network, differing, group, theirs))
    return found


def differences(result: Result, recipe: Recipe) -> tuple[str, ...]:
    """The fields in which a run's recorded recipe differs from another.

    A field that is newer than the record has its default.
    """
    recorded = {**as_json(Recipe()), **result.content["recipe"]}
    expected = as_json(recipe)
    return tuple(
        f"{key} {recorded.get(key)} (published: {expected.get(key)})"
        for key in {**expected, **recorded}
        if recorded.get(key) != expected.get(key)
    )


def comparable(pair: Pair, recipe: Recipe) -> bool:
    """True if there is something to compare my runs with."""
    return bool(pair.published) or (recipe == PAPER and pair.papers_error[1] > 0)


class Comparison(NamedTuple):
    """My mean of a quantity beside the published one or the paper's.

    difference: mine minus theirs; of curves their distance, which has no means. noise: the largest
    difference attributed to chance, NaN where it is not known.
    """

    network: str
    recipe: str
    quantity: str
    beside: str
    mine: float
    mine_std: float
    mine_runs: int
    theirs: float
    theirs_std: float
    theirs_runs: int
    difference: float
    noise: float

    @property
    def verdict(self) -> str:
        """DIVERGED where a side has no value, UNDECIDED where the noise is not known.

        No difference is within any noise.
        """
        if 0 in (self.mine_runs, self.theirs_runs):
            return DIVERGED
        if self.difference == 0:
            return WITHIN_NOISE
        if math.isnan(self.difference) or math.isnan(self.noise):
            return UNDECIDED
        return DIFFERS if abs(self.difference) > self.noise else WITHIN_NOISE

    def cells(self) -> dict[str, str]:
        """The comparison as text."""
        digits = decimals(max(self.mine, self.theirs) if self.quantity != CURVE else 1)
        sign = "+" if self.quantity != CURVE else ""
        mine = format_mean(self.mine, self.mine_std, digits)
        theirs = format_mean(self.theirs, self.theirs_std, digits)
        return {
            "network": self.network,
            "quantity": self.quantity,
            "mine": f"{mine} (n = {self.mine_runs})",
            "beside": self.beside,
            "theirs": f"{theirs} (n = {self.theirs_runs})",
            "difference": format_number(self.difference, f"{{:{sign}.{digits}f}}"),
            "noise": format_number(self.noise, f"{{:.{digits}f}}"),
            "verdict": self.verdict,
        }


def table(
    compared: Sequence[Pair], published: Iterable[Result], recipe: Recipe, note: str = ""
) -> Table:
    """A row for each comparison, decided by the claims' rule.

    Two means differ if their difference exceeds t s sqrt(1/n1 + 1/n2). s is pooled over the two
    groups of runs; where these are too few, over all published runs and mine; where these are too
    few too, test errors have the spread of the paper's runs and of public reproductions.
    """
    groups = [pair.own for pair in compared] + by_network(published)
    rows = [row for pair in compared for row in comparisons(pair, groups, recipe)]
    numbers = pd.DataFrame(rows, columns=list(Comparison._fields)).round(4)
    numbers["verdict"] = [row.verdict for row in rows]
    paragraphs = [EXPLANATION, *recipes_that_differ(compared), copies(compared), note]
    return Table(
        "verify",
        numbers,
        pd.DataFrame([row.cells() for row in rows]),
        "\n\n".join(filter(None, paragraphs)),
    )


def by_network(results: Iterable[Result]) -> list[list[Result]]:
    """Runs in groups, one for each network."""
    ordered = sorted(results, key=lambda each: each.run)
    return [list(group) for _, group in groupby(ordered, key=lambda each: each.network)]


def comparisons(
    pair: Pair, groups: Sequence[Sequence[Result]], recipe: Recipe
) -> Iterator[Comparison]:
    """Numbers and curves beside the published ones, and the test error beside the paper's.

    groups: the runs that spreads are pooled over where those of the pair are too few.
    """
    about = (pair.title, "; ".join(pair.differences))
    if pair.published:
        for quantity, value in QUANTITIES.items():
            of = spread_of([pair.own, pair.published], groups, quantity, recipe)
            mine, theirs = values(pair.mine, value), values(pair.published, value)
            yield compare((*about, quantity, PUBLISHED), mine, theirs, of)
        yield compare_curves((*about, CURVE, PUBLISHED), pair, groups)
        mine, theirs = diverged(pair.mine), diverged(pair.published)
        if mine.any() or theirs.any():
            both = pd.concat([diverged(pair.own), theirs])
            over_both = Spread(both.std(), len(both) - 1, "measured here")
            of = over_both if is_enough(over_both) else None
            yield compare((*about, "share of diverged runs", PUBLISHED), mine, theirs, of)
    error, runs = pair.papers_error
    if recipe == PAPER and runs:
        of_test = spread_of([pair.own], groups, TEST_ERROR, recipe)
        mine = values(pair.mine, QUANTITIES[TEST_ERROR])
        yield compare((*about, TEST_ERROR, PAPERS), mine, pd.Series([error]), of_test, runs)


def values(results: Iterable[Result], value: Callable[[Result], float | None]) -> pd.Series:
    """A quantity of those runs that did not diverge."""
    found = [value(each) for each in results if not each.diverged]
    return pd.Series(found, dtype=float).dropna()


def diverged(results: Iterable[Result]) -> pd.Series:
    """1 for each run that diverged, else 0."""
    return pd.Series([float(each.diverged) for each in results])


def spread_of(
    two: Sequence[Sequence[Result]],
    groups: Sequence[Sequence[Result]],
    quantity: str,
    recipe: Recipe,
) -> Spread | None:
    """The standard deviation over runs that decides a comparison of two groups' means."""

    def over(some: Sequence[Sequence[Result]]) -> Spread:
        numbers = [values(group, QUANTITIES[quantity]) for group in some]
        return pooled(((each.std(), len(each)) for each in numbers), "measured here")

    own = over(two)
    return own if is_enough(own) else deciding_spread(quantity, over(groups), recipe)


def compare(
    about: tuple[str, str, str, str],
    mine: pd.Series,
    theirs: pd.Series,
    of: Spread | None,
    runs: int | None = None,
) -> Comparison:
    """Two means. about: the first fields. runs: how many theirs are, where only a mean is known."""
    count = len(theirs) if runs is None else runs
    return Comparison(
        *about,
        mine=mine.mean(),
        mine_std=mine.std(),
        mine_runs=len(mine),
        theirs=theirs.mean(),
        theirs_std=theirs.std(),
        theirs_runs=count,
        difference=mine.mean() - theirs.mean(),
        noise=noise_of(of, len(mine), count),
    )


def compare_curves(
    about: tuple[str, str, str, str], pair: Pair, groups: Sequence[Sequence[Result]]
) -> Comparison:
    """The distance of two mean curves of test error: root mean square over the measurements.

    Its s is the root mean square over the measurements of the standard deviation over runs: the
    distance of curves that differ by noise alone is about s sqrt(1/n1 + 1/n2).
    """
    mine, theirs = curves(pair.mine), curves(pair.published)
    own = curve_spread([pair.own, pair.published])
    of = own if is_enough(own) else curve_spread(groups)
    runs = mine.shape[1], theirs.shape[1]
    return Comparison(
        *about,
        mine=math.nan,
        mine_std=math.nan,
        mine_runs=runs[0],
        theirs=math.nan,
        theirs_std=math.nan,
        theirs_runs=runs[1],
        difference=root_mean_square((mine.mean(axis=1) - theirs.mean(axis=1)).dropna()),
        noise=noise_of(of if is_enough(of) else None, *runs),
    )


def curves(results: Iterable[Result]) -> pd.DataFrame:
    """Test error (%) with precise BN by iteration, a column for each run that did not diverge.

    With moving averages curves swing by several points before the learning rate drops, which
    would hide a difference.
    """
    found = [each.curve.set_index("iteration")[PRECISE] for each in results if not each.diverged]
    return pd.concat(found, axis=1).dropna() if found else pd.DataFrame(dtype=float)


def curve_spread(groups: Iterable[Sequence[Result]]) -> Spread:
    """The spread over runs of curves, pooled over groups of runs."""
    tables = [curves(group) for group in groups]
    stds = [(root_mean_square(each.std(axis=1)), each.shape[1]) for each in tables]
    return pooled(stds, "measured here")


def root_mean_square(numbers: pd.Series) -> float:
    """sqrt(mean of squares); NaN of nothing."""
    return math.sqrt((numbers**2).mean()) if len(numbers) else math.nan


def recipes_that_differ(compared: Iterable[Pair]) -> list[str]:
    """A sentence for each pair whose recipe is not that of the published runs."""
    return [
        f"{names.title(pair.network)} was trained by another recipe: {'; '.join(pair.differences)}."
        for pair in compared
        if pair.differences
    ]


def copies(compared: Iterable[Pair]) -> str:
    """A sentence that names those of my runs that are published runs; "" for none."""
    found = [
        f"{names.title(each.network)} seed {each.seed}" for pair in compared for each in pair.copies
    ]
    return f"Copies of published runs: {', '.join(found)}." if found else ""


def figure(compared: Sequence[Pair], recipe: Recipe) -> Figure | None:
    """My test and training errors over the published ones, a panel a network.

    None if all of my runs diverged.
    """
    drawn = [(pair, tables_of(pair)) for pair in compared]
    drawn = [(pair, tables) for pair, tables in drawn if MINE in tables]
    if not drawn:
        return None
    columns = min(PANELS, len(drawn))
    rows = math.ceil(len(drawn) / columns)
    with style():
        picture = Figure(figsize=(WIDTH, 1 + 2.6 * rows), layout="constrained")
        picture.suptitle(conditions(recipe))
        grid = picture.subplots(rows, columns, squeeze=False, sharey=True)
        for axes, (pair, tables) in zip(grid.flat, drawn, strict=False):
            frame(axes, recipe, [each[[TRAIN, TEST]] for _, of in drawn for each in of.values()])
            axes.set_title("\n".join([names.title(pair.network), *pair.differences]))
            if follows_paper(recipe):
                draw_paper(axes, pair.network, PAPERS_COLOUR)
            for whose, each in tables.items():
                shade, width = LOOKS[whose]
                draw_mean(axes, each, TRAIN, recipe, shade, lw=0.8, ls=DASHED)
                draw_mean(axes, each, TEST, recipe, shade, lw=width)
        for axes in grid.flat[len(drawn) :]:
            axes.remove()
        for axes in grid[:, 0]:
            axes.set_ylabel("error (%)")
        several = any(len(runs) > 1 for pair in compared for runs in (pair.mine, pair.published))
        lost = diverged_entries(each for pair in compared for each in pair.mine)
        legend_below(picture, legend(recipe) + legend_of_frame(recipe, several) + lost)
    return picture


MINE = "mine"
LOOKS = {PUBLISHED: ((0.45, 0.45, 0.45), 1.0), MINE: (PALETTE[0], 1.8)}  # colour, line width
PAPERS_COLOUR = pale(PALETTE[3])


def tables_of(pair: Pair) -> dict[str, pd.DataFrame]:
    """The mean curves of the published runs and of mine, of those that there are."""
    groups = {PUBLISHED: pair.published, MINE: pair.mine}
    left = {whose: [each for each in of if not each.diverged] for whose, of in groups.items()}
    return {whose: mean_curves(runs) for whose, runs in left.items() if runs}


def legend(recipe: Recipe) -> list[Artist]:
    """The legend's entries of the curves."""
    entries: list[Artist] = [
        Line2D([], [], color=shade, lw=width, label=f"{whose}: test error, moving averages")
        for whose, (shade, width) in LOOKS.items()
    ]
    training = "the same: training error, precise BN"
    entries.append(Line2D([], [], color="black", lw=0.8, ls=DASHED, label=training))
    if follows_paper(recipe):
        entries.append(Line2D([], [], color=PAPERS_COLOUR, lw=1.2, label="paper: test error"))
    return entries

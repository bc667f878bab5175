"""A panel of error curves: its axes, our curves and the paper's, the entries of its legend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, MultipleLocator

from resnet_paper import names
from resnet_paper.paper import facts
from resnet_paper.results.curves import PRECISE, papers_curve
from resnet_paper.results.style import DASHED, Colour, Label, pale, text_entry
from resnet_paper.runs.datasets import DATA_SETS
from resnet_paper.runs.recipe import PAPER, Recipe
from resnet_paper.runs.run import Result

SCALES = {10_000: "iterations (×10⁴)", 1_000: "iterations (×10³)", 1: "iterations"}


def has_paper_length(recipe: Recipe) -> bool:
    """True if a recipe has as many iterations as the paper's, so that its curves compare."""
    return recipe.iterations == PAPER.iterations


def conditions(recipe: Recipe, with_paper: bool = True) -> str:
    """A figure's title: how a recipe differs from the paper's, "" if it does not.

    For example "2,000 synthetic images, 96 iterations", "8,000 iterations (paper: 64,000)".
    with_paper: the networks are the paper's, so that its iterations are named.
    """
    images = DATA_SETS[recipe.dataset].images
    words = []
    if images != "images" or recipe.train_images != PAPER.train_images:
        words.append(f"{recipe.train_images:,} {images}")
    if not has_paper_length(recipe):
        papers = f" (paper: {PAPER.iterations:,})" if with_paper and images == "images" else ""
        words.append(f"{recipe.iterations:,} iterations{papers}")
    return ", ".join(words)


def legend_of_errors(recipe: Recipe, test: str, several: bool, with_paper: bool) -> list[Artist]:
    """The legend's entries of error curves, in black where curves have their networks' colours."""
    kind = "precise BN" if test == PRECISE else "moving averages"
    entries: list[Artist] = [Line2D([], [], color="black", lw=1.8, label=f"test error, {kind}")]
    train = "training error, precise BN, not augmented"
    entries.append(Line2D([], [], color="black", lw=0.8, ls=DASHED, label=train))
    if with_paper:
        grey = pale("black")
        entries.append(
            Line2D([], [], color=grey, lw=1.2, label="paper: test error (read off its figure)")
        )
        train = "paper: training error (images not stated)"
        entries.append(Line2D([], [], color=grey, lw=0.7, ls=DASHED, label=train))
    return entries + legend_of_frame(recipe, several)


def legend_of_frame(recipe: Recipe, several: bool) -> list[Artist]:
    """The legend's entries of bands and of milestones, where there are any."""
    entries: list[Artist] = []
    if several:
        entries.append(
            Patch(color="black", alpha=0.2, lw=0, label="mean of n runs, band: min to max")
        )
    if recipe.milestones:
        label = "learning rate ÷ 10"
        entries.append(Line2D([], [], color="0.75", lw=0.8, marker="|", ls="", ms=9, label=label))
    return entries


def draw_mean(
    axes: Axes,
    table: pd.DataFrame,
    error: str,
    recipe: Recipe,
    shade: Colour,
    lw: float,
    ls: str | tuple[float, Sequence[float]] = "-",
) -> None:
    """One error of `mean_curves`: a line, and a band from the least to the greatest."""
    x, of = table.index / scale(recipe), table[error]
    axes.plot(x, of["mean"], color=shade, lw=lw, ls=ls)
    axes.fill_between(x, of["min"], of["max"], color=shade, alpha=0.2, lw=0)


def draw_paper(axes: Axes, network: str, shade: Colour, training: bool = True) -> list[Label]:
    """The paper's curves of a network, as read off Figure 6; the label of the test error's end.

    They are broken where they cannot be read. Nothing where the paper has none.
    """
    own = papers_curve(network)
    if own.empty:
        return []
    x = own.index / scale(PAPER)
    axes.plot(x, own["test_error"], color=shade, lw=1.2, zorder=1.5)
    if training:
        axes.plot(x, own["train_error"], color=shade, lw=0.7, ls=DASHED, zorder=1.5)
    final = own["test_error"].iloc[-1]
    return [] if pd.isna(final) else [Label(f"paper {final:.2f}", final, shade)]


def scale(recipe: Recipe) -> int:
    """The number of iterations that the x axis counts in: 1e4 at the paper's length."""
    return next(size for size in SCALES if recipe.iterations >= size)


def error_ticks(
    recipe: Recipe, curves: Iterable[pd.DataFrame], since: int | None = None
) -> Sequence[float]:
    """The ticks of an axis of errors, which ends at the last one.

    At the paper's length, Figure 6's. Else round numbers up to 1.5 times the greatest mean error
    after the iteration `since`, but at least to 5 and at most to 100: the first, steep part of the
    curves may be off the scale, as in Figure 6. since: by default the first drop of the learning
    rate, or half of the iterations if it never drops.
    """
    if has_paper_length(recipe):
        return facts.FIGURE6_ERROR_TICKS
    if since is None:
        since = min(recipe.milestones, default=recipe.iterations // 2)
    means = [table.xs("mean", axis=1, level=1) for table in curves]
    highest = max(table[table.index > since].max().max() for table in means)
    return list(MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(0, min(max(1.5 * highest, 5), 100)))


def frame(
    axes: Axes, recipe: Recipe, curves: Iterable[pd.DataFrame], since: int | None = None
) -> None:
    """Axes, ticks and grid of error curves, and a line where the learning rate drops.

    since: as for `error_ticks`.
    """
    ticks, size = error_ticks(recipe, curves, since), scale(recipe)
    axes.set(
        xlim=(0, recipe.iterations / size), ylim=(0, ticks[-1]), yticks=ticks, xlabel=SCALES[size]
    )
    if size > 1:
        axes.xaxis.set_major_locator(MultipleLocator(1))  # as in the paper
    for height in ticks[1:]:
        axes.axhline(height, color="0.7", lw=0.6, ls="--", zorder=0)
    for milestone in recipe.milestones:
        axes.axvline(milestone / size, color="0.75", lw=0.8, zorder=0)


def diverged_entries(results: Iterable[Result]) -> list[Artist]:
    """A legend's entry that names the runs that diverged."""
    seeds: dict[str, list[str]] = {}
    for result in results:
        if result.diverged:
            seeds.setdefault(names.title(result.network), []).append(str(result.seed))
    runs = [f"{network} seed {', '.join(of)}" for network, of in seeds.items()]
    return [text_entry(f"diverged, not drawn: {'; '.join(runs)}")] if runs else []

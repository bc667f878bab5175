"""A panel of error curves: its axes, our curves and the paper's, the entries of its legend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, MultipleLocator

from resnet_paper import names
from resnet_paper.paper import facts
from resnet_paper.results.curves import PRECISE, TEST, TRAIN, papers_curve
from resnet_paper.results.style import DASHED, Colour, Label, colour, pale, text_entry
from resnet_paper.runs.datasets import DATA_SETS
from resnet_paper.runs.recipe import PAPER, Recipe, differences, follows_paper
from resnet_paper.runs.run import Result

SCALES = {10_000: "iterations (×10⁴)", 1_000: "iterations (×10³)", 1: "iterations"}


def conditions(recipe: Recipe, with_paper: bool = True) -> str:
    """A figure's title: how a recipe differs from the paper's, "" if it does not.

    For example "2,000 synthetic images, 96 iterations", "8,000 iterations (paper: 64,000)".
    with_paper: the networks are the paper's, so that its iterations are named.
    """
    images = DATA_SETS[recipe.dataset].images
    words = []
    if images != "images" or recipe.train_images != PAPER.train_images:
        words.append(f"{recipe.train_images:,} {images}")
    if recipe.iterations != PAPER.iterations:
        papers = f" (paper: {PAPER.iterations:,})" if with_paper and images == "images" else ""
        words.append(f"{recipe.iterations:,} iterations{papers}")
    if not words and recipe != PAPER:
        words = [differences(recipe)]
    return ", ".join(words)


def legend_of_errors(recipe: Recipe, test: str, several: bool, with_paper: bool) -> list[Artist]:
    """The legend's entries of error curves, in black where curves have their networks' colours."""
    kind = "precise BN" if test == PRECISE else "moving averages"
    entries: list[Artist] = [Line2D([], [], color="black", lw=1.8, label=f"test error, {kind}")]
    train = "training error, precise BN, not augmented"
    entries.append(Line2D([], [], color="black", lw=0.8, ls=DASHED, label=train))
    if with_paper:
        grey = pale("black")
        entries.append(Line2D([], [], color=grey, lw=0.8, label="paper: test error, read off"))
        train = "paper: training error, images not stated"
        entries.append(Line2D([], [], color=grey, lw=0.6, ls=DASHED, label=train))
    return entries + legend_of_frame(recipe, several)


def legend_of_frame(recipe: Recipe, several: bool) -> list[Artist]:
    """The legend's entries of bands and of milestones, where there are any."""
    entries = legend_of_bands(several)
    if recipe.milestones:
        label = "learning rate ÷ 10"
        entries.append(Line2D([], [], color="0.75", lw=0.8, marker="|", ls="", ms=9, label=label))
    return entries


def legend_of_bands(several: bool) -> list[Artist]:
    """The legend's entry of bands, where there are any."""
    label = "mean of n runs, band: min to max"
    return [Patch(color="black", alpha=0.2, lw=0, label=label)] if several else []


def draw_errors(
    axes: Axes, table: pd.DataFrame, errors: Iterable[str], recipe: Recipe, shade: Colour
) -> None:
    """A network's mean curves: the test error bold, the training error dashed."""
    for error in errors:
        is_training = error == TRAIN
        lw, ls = (0.8, DASHED) if is_training else (1.8, "-")
        draw_mean(axes, table, error, recipe, shade, lw=lw, ls=ls)


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


def draw_paper(axes: Axes, network: str, shade: Colour, error: str = TEST) -> list[Label]:
    """The paper's curve of a network, as read off Figure 6, and the label of its end.

    It is broken where it cannot be read. Nothing where the paper has none. error: of ours beside
    it, TRAIN or a test error.
    """
    own = papers_curve(network)
    if own.empty:
        return []
    column, lw, ls = ("train_error", 0.6, DASHED) if error == TRAIN else ("test_error", 0.8, "-")
    axes.plot(own.index / scale(PAPER), own[column], color=shade, lw=lw, ls=ls, zorder=1.5)
    final = own[column].iloc[-1]
    return [] if pd.isna(final) else [Label(f"paper {final:.2f}", final, shade)]


def annotate_warmup(axes: Axes, tables: Iterable[pd.DataFrame], recipe: Recipe) -> None:
    """A word where curves zigzag: the rows more frequent than others are those of a warm-up."""
    for table in tables:
        own = table.index[table.index % recipe.measure_every != 0]
        if not len(own) or own[-1] == recipe.iterations:
            continue
        last = max(own[own < recipe.iterations], default=None)
        if last is None or (height := table[TEST]["mean"][last]) > axes.get_ylim()[1]:
            continue
        axes.annotate(
            "warm-up",
            xy=(last / scale(recipe), height),
            xytext=(12, 8),
            textcoords="offset points",
            fontsize=7,
            color="0.3",
            arrowprops={"arrowstyle": "-", "lw": 0.5, "color": "0.5"},
        )


INSET = (0.46, 0.42, 0.51, 0.53)  # left, bottom, width, height, as shares of a panel


def enlarge(
    axes: Axes, tables: Mapping[str, pd.DataFrame], errors: Sequence[str], recipe: Recipe
) -> None:
    """An inset of the curves after the first drop, where they lie in the lower part of a panel."""
    if follows_paper(recipe) or not recipe.milestones:
        return
    left, bottom, *_ = INSET
    means = {network: table.xs("mean", axis=1, level=1) for network, table in tables.items()}
    beneath = max(
        each[each.index >= left * recipe.iterations].max().max() for each in means.values()
    )
    if beneath > 0.8 * bottom * axes.get_ylim()[1] or len(tables) < 2:
        return
    after = [each[each.index > recipe.milestones[0]][list(errors)] for each in means.values()]
    low, high = min(each.min().min() for each in after), max(each.max().max() for each in after)
    inset = axes.inset_axes(INSET)
    for network, table in tables.items():
        draw_errors(inset, table, errors, recipe, colour(network))
    first = min(each.index[0] for each in after)
    room = 0.05 * (high - low)
    inset.set(
        xlim=(first / scale(recipe), recipe.iterations / scale(recipe)),
        ylim=(low - room, high + room),
    )
    inset.xaxis.set_major_locator(MultipleLocator(1) if scale(recipe) > 1 else MaxNLocator(4))
    inset.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    inset.tick_params(labelsize=7)
    inset.set_title("after the first drop", fontsize=7, pad=2)


def scale(recipe: Recipe) -> int:
    """The number of iterations that the x axis counts in: 1e4 at the paper's length."""
    return next(size for size in SCALES if recipe.iterations >= size)


def error_ticks(
    recipe: Recipe, curves: Iterable[pd.DataFrame], since: int | None = None
) -> Sequence[float]:
    """The ticks of an axis of errors, which ends at the last one.

    At the paper's length, Figure 6's and 15. Else round numbers up to 1.5 times the greatest mean
    error after the iteration `since`, but at least to 5 and at most to 100: the first, steep part
    of the curves may be off the scale, as in Figure 6. since: by default the first drop of the
    learning rate, or half of the iterations if it never drops.
    """
    if follows_paper(recipe):
        return range(0, facts.FIGURE6_ERROR_TICKS[-1] + 1, 5)
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

"""Figures 6 and 7 and their companions, drawn from results."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from resnet_paper import names
from resnet_paper.results.curves import PRECISE, TEST, TRAIN, mean_curves
from resnet_paper.results.panels import (
    annotate_warmup,
    conditions,
    diverged_entries,
    draw_errors,
    draw_mean,
    draw_paper,
    enlarge,
    frame,
    legend_of_bands,
    legend_of_errors,
    scale,
)
from resnet_paper.results.style import (
    DASHED,
    PALETTE,
    WIDTH,
    Colour,
    Label,
    colour,
    label_right,
    legend_below,
    pale,
    style,
)
from resnet_paper.runs.datasets import DATA_SETS
from resnet_paper.runs.files import write
from resnet_paper.runs.recipe import Recipe, follows_paper
from resnet_paper.runs.run import Result

DEEPEST = ("resnet-110", "resnet-1202")
DWARFED = 2.5


def by_network(results: Iterable[Result]) -> dict[str, list[Result]]:
    """The runs of section 4.2's nets that did not diverge, by network, shallow ones first."""
    groups: dict[str, list[Result]] = {}
    drawn = [each for each in results if names.study_depth(each.network) and not each.diverged]
    for result in sorted(drawn, key=lambda each: (names.parse(each.network).depth, each.run)):
        groups.setdefault(result.network, []).append(result)
    return groups


def figure6(
    results: Iterable[Result], recipe: Recipe, test: str = TEST, with_paper: bool = False
) -> Figure | None:
    """Figure 6: training and test error of plain nets, ResNets, and ResNet-110 beside 1202.

    A line is the mean over the runs, a band reaches from the least to the greatest. test: TEST or
    PRECISE. with_paper: the paper's curves too, thin and paler, and training errors in a row of
    panels of their own, if the recipe has the paper's length. None if there is nothing to draw.
    """
    study = [result for result in results if names.study_depth(result.network)]
    groups = by_network(study)
    panels = panels_of_figure6(groups)
    if not panels:
        return None
    with_paper = with_paper and follows_paper(recipe)
    tables = {network: mean_curves(group) for network, group in groups.items()}
    rows = [[test], [TRAIN]] if with_paper else [[TRAIN, test]]
    with style():
        figure = Figure(figsize=(WIDTH, 0.9 + 2.7 * len(rows)), layout="constrained")
        figure.suptitle(conditions(recipe))
        grid = figure.subplots(
            len(rows), len(panels), squeeze=False, sharey="row", sharex=len(rows) > 1
        )
        drawn = [tables[network][[TRAIN, test]] for network in tables]
        for axes, title in zip(grid[0], panels, strict=True):
            axes.set_title(title)
        for errors, row in zip(rows, grid, strict=True):
            for axes, networks in zip(row, panels.values(), strict=True):
                frame(axes, recipe, drawn)
                labels = []
                for network in networks:
                    if with_paper:
                        labels += draw_paper(axes, network, pale(colour(network)), errors[0])
                    draw_errors(axes, tables[network], errors, recipe, colour(network))
                    labels.append(end_of(network, tables[network], errors[-1], groups[network]))
                label_right(axes, labels)
                annotate_warmup(axes, [tables[each] for each in networks], recipe)
                if not with_paper:
                    enlarge(axes, {each: tables[each] for each in networks}, errors, recipe)
            row[0].set_ylabel("error (%)")
        for row, name in zip(grid if with_paper else [], ("test", "training"), strict=False):
            row[0].set_ylabel(f"{name} error (%)")
        for axes in grid[:-1].flat:
            axes.set_xlabel("")  # only the last row has one
        several = any(len(group) > 1 for group in groups.values())
        entries = legend_of_errors(recipe, test, several, with_paper)
        legend_below(figure, entries + diverged_entries(study))
    return figure


def end_of(network: str, table: pd.DataFrame, error: str, runs: Sequence[Result]) -> Label:
    """The label at the end of a mean curve: the network, its error and the number of runs."""
    final = table[error]["mean"].iloc[-1]
    count = f", n = {len(runs)}" * (len(runs) > 1)
    return Label(f"{names.title(network)}  {final:.2f}{count}", final, colour(network))


def panels_of_figure6(networks: Iterable[str]) -> dict[str, list[str]]:
    """The networks of each panel of Figure 6 that has any, by its title.

    The last panel has both of DEEPEST. Without one of them, the other is among the residual nets.
    """
    plain = [network for network in networks if names.parse(network).kind == "plain"]
    residual = [network for network in networks if network not in plain]
    deepest = [network for network in residual if network in DEEPEST]
    if len(deepest) == len(DEEPEST):
        residual.remove(DEEPEST[-1])
    else:
        deepest = []
    panels = {"plain nets": plain, "residual nets": residual, "110 and 1202 layers": deepest}
    return {title: panel for title, panel in panels.items() if panel}


def precise_bn(results: Iterable[Result], network: str, recipe: Recipe) -> Figure | None:
    """One network's test error by BN's moving averages and by precise BN.

    With the paper's curve, if the recipe has the paper's length. None without a run.
    """
    own = [each for each in results if each.network == network]
    drawn = [each for each in own if not each.diverged]
    if not drawn:
        return None
    table = mean_curves(drawn)
    looks: dict[str, tuple[str, Colour, Any]] = {
        "moving averages": (TEST, PALETTE[0], "-"),
        "precise BN": (PRECISE, PALETTE[3], (0, (2.5, 1))),
    }
    with style():
        figure = Figure(figsize=(WIDTH, 3.3), layout="constrained")
        figure.suptitle(conditions(recipe))
        axes = figure.subplots()
        # they differ before the first drop, so of this part only the steep beginning may be cut off
        frame(axes, recipe, [table[[TEST, PRECISE]]], since=recipe.iterations // 10)
        axes.set(title=f"{names.title(network)}: test error", ylabel="error (%)")
        for milestone in recipe.milestones[:1]:
            axes.annotate(
                "learning rate ÷ 10",
                xy=(milestone / scale(recipe), axes.get_ylim()[1]),
                xytext=(4, -4),
                textcoords="offset points",
                va="top",
                fontsize=8,
                color="0.4",
            )
        labels = []
        if follows_paper(recipe):
            labels += draw_paper(axes, network, pale("black"))
        for name, (error, shade, dashes) in looks.items():
            draw_mean(axes, table, error, recipe, shade, lw=1.6, ls=dashes)
            final = table[error]["mean"].iloc[-1]
            labels.append(Label(f"{name} {final:.2f}", final, shade))
        label_right(axes, labels)
        entries = legend_of_bands(len(drawn) > 1) + diverged_entries(own)
        if entries:
            legend_below(figure, entries)
    return figure


def figure7(
    results: Iterable[Result], recipe: Recipe, own: Mapping[str, pd.DataFrame] | None = None
) -> Figure | None:
    """Figure 7: stds of layer responses in the layers' order (left), ranked, and their means.

    Depth by colour; plain nets dashed. The y axis is logarithmic where one net's responses are more
    than DWARFED times the median net's. own: responses of the user's own weights, by their label.
    None if there are no responses.
    """
    study = [result for result in results if names.study_depth(result.network)]
    lines = response_lines(study)
    for name, table in (own or {}).items():
        lines.append(ResponseLine(name.replace("$", r"\$"), table["std"], "black", ":"))
    if not lines:
        return None
    with style():
        figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
        figure.suptitle(conditions(recipe))
        original, ranked, means = figure.subplots(1, 3, width_ratios=(3, 3, 1.6))
        ranked.sharey(original)
        ranked.tick_params(labelleft=False)
        for name, stds, shade, dashes in lines:
            label = f"{name}: mean {stds.mean():.3f}"
            for axes, ordered in ((original, stds), (ranked, stds.sort_values(ascending=False))):
                layers = range(1, len(stds) + 1)
                shallow_in_front = 2 + 1 / len(stds)
                axes.plot(
                    layers, ordered, color=shade, ls=dashes, label=label, zorder=shallow_in_front
                )
        original.set(title="in order", ylabel="standard deviation of responses")
        ranked.set(title="sorted")
        for axes in (original, ranked):
            axes.set(xlim=(0, 1 + max(len(line.stds) for line in lines)), xlabel="layer")
            axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
        fit_responses(original, lines)
        draw_means(means, lines)
        legend_below(figure, [*original.get_lines(), *diverged_entries(study)])
    return figure


def fit_responses(axes: Axes, lines: Iterable[ResponseLine]) -> None:
    """The y axis of responses: from 0, or logarithmic where one net's dwarf the others'."""
    greatest = pd.Series([line.stds.max() for line in lines])
    if greatest.max() <= DWARFED * greatest.median():
        axes.set_ylim(0, None)
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())


def draw_means(axes: Axes, lines: Iterable[ResponseLine]) -> None:
    """The mean over the layers by depth: plain nets joined by a dashed line, ResNets by a solid."""
    joined: dict[Any, list[tuple[int, float]]] = {}
    for _, stds, shade, dashes in lines:
        point = (len(stds) + 1, stds.mean())
        joined.setdefault(dashes, []).append(point)
        axes.plot(*point, "o", color=shade, ms=5)
    for dashes, points in joined.items():
        axes.plot(*zip(*sorted(points), strict=True), color="0.6", ls=dashes, lw=0.8, zorder=1)
    greatest = max(mean for points in joined.values() for _, mean in points)
    axes.set(title="mean", xlabel="depth", ylim=(0, 1.1 * greatest))
    axes.set_xticks(sorted({depth for points in joined.values() for depth, _ in points}))
    axes.margins(x=0.2)


class ResponseLine(NamedTuple):
    """A line of Figure 7, and its look."""

    name: str
    stds: pd.Series
    colour: Colour | str
    dashes: Any


def response_lines(results: Iterable[Result]) -> list[ResponseLine]:
    """One run of each network, of the lowest seed that has responses; plain nets first."""
    lines = []
    groups = by_network(results)
    for network in sorted(groups, key=lambda network: names.parse(network).kind):
        with_responses = [each for each in groups[network] if each.responses is not None]
        for result in with_responses[:1]:
            assert result.responses is not None
            name = f"{names.title(network)}, seed {result.seed}"
            dashes = DASHED if names.parse(network).kind == "plain" else "-"
            lines.append(ResponseLine(name, result.responses["std"], colour(network), dashes))
    return lines


def comparison(results: Iterable[Result], recipe: Recipe) -> Figure | None:
    """Loss and accuracy of each run, in training (dashed) and on the test images, by epoch.

    None if there is nothing to draw.
    """
    results = list(results)
    drawn = [result for result in results if not result.diverged]
    if not drawn:
        return None
    entries: list[Artist] = []
    tested_on = DATA_SETS[recipe.dataset].tested_on
    with style():
        figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
        figure.suptitle(conditions(recipe, with_paper=False))
        loss, accuracy = figure.subplots(1, 2)
        for result, shade in zip(drawn, cycle(PALETTE)):
            table = result.curve
            epochs = table["iteration"] * recipe.batch_size / recipe.train_images
            for axes, train, test in (
                (loss, table["train_loss"], table["test_loss"]),
                (accuracy, 100 - table["train_error"], 100 - table["test_error"]),
            ):
                axes.plot(epochs, train, color=shade, lw=0.8, ls=DASHED)
                axes.plot(epochs, test, color=shade, lw=1.6)
            label = f"{names.title(result.network)}, seed {result.seed}"
            entries.append(Line2D([], [], color=shade, lw=1.6, label=label))
        guessing = math.log(recipe.classes)
        loss.set(ylabel="loss (nats)", ylim=(0, round(1.3 * guessing, 1)))
        accuracy.set(ylabel="accuracy (%)", ylim=(0, 100))
        for axes in (loss, accuracy):
            axes.set(xlabel="epoch", xlim=(0, None))
        training = "training, mean over augmented mini-batches"
        entries.append(Line2D([], [], color="black", lw=1.6, label=tested_on))
        entries.append(Line2D([], [], color="black", lw=0.8, ls=DASHED, label=training))
        legend_below(figure, entries + diverged_entries(results))
    return figure


def save(figure: Figure | None, stem: Path) -> list[Path]:
    """Write a figure as PDF and PNG; return the paths, none without a figure.

    The same figure gives the same bytes.
    """
    if figure is None:
        return []
    paths = []
    for suffix, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
        buffer = io.BytesIO()
        with style():  # the type of PDF fonts is looked up here
            figure.savefig(buffer, format=suffix, dpi=200, metadata=metadata)
        paths.append(stem.with_name(f"{stem.name}.{suffix}"))
        write(paths[-1], buffer.getvalue())
    return paths

"""Figures 6 and 7 and what stands beside them, drawn from the files of the recorded runs."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from textwrap import wrap
from typing import Any

import click
import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator

from resnet_paper.networks import names
from resnet_paper.paper import facts
from resnet_paper.runs.recipe import PAPER, SETTINGS, Recipe
from resnet_paper.runs.run import Run, write

PALETTE = sns.color_palette("colorblind")
COLOURS = dict(zip((20, 32, 44, 56, 110, 1202), (*PALETTE[:5], PALETTE[9]), strict=True))
DEEPEST = ("resnet-110", "resnet-1202")
TEST = "test_error"
PRECISE = "test_error_precise"
TRAIN = "train_error_clean"
DASHED: Any = (0, (3, 1.5))
FALLS = "upright lines: the learning rate falls"
SEEDS_DRAWN = "of several runs the mean, and a band from the least to the greatest"
ONE_DRAWN = "of several runs the one of the lowest seed that has responses"
CHARACTERS_PER_INCH = 19  # of type of 7 points


@contextmanager
def style() -> Iterator[None]:
    """The figures' common look: small sans-serif type, thin frames, text kept as text."""
    type_sizes: dict[Any, float] = {
        "font.size": 8,
        "axes.titlesize": 8,
        "axes.labelsize": 8,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
    }
    with (
        sns.axes_style("ticks"),
        mpl.rc_context({**type_sizes, "axes.linewidth": 0.6, "pdf.fonttype": 42}),
    ):
        yield


def colour(network: str) -> tuple[float, float, float]:
    layers = names.study_depth(network)
    assert layers, "by_network"
    return COLOURS.get(layers) or PALETTE[layers % len(PALETTE)]


def by_network(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """The runs of section 4.2's nets that did not diverge, by network, shallow ones first."""
    groups: dict[str, list[Run]] = {}
    drawn = [run for run in runs if names.study_depth(run.network) and not run.diverged]
    for run in sorted(drawn, key=lambda run: (names.study_depth(run.network), run)):
        groups.setdefault(run.network, []).append(run)
    return groups


def curves(runs: Sequence[Run]) -> pd.DataFrame:
    """The curves of a network's runs: for each error the mean, min and max at each iteration."""
    table = pd.concat(run.curve() for run in runs)
    return table.groupby("iteration")[[TRAIN, TEST, PRECISE]].agg(["mean", "min", "max"])


def figure6(
    runs: Iterable[Run],
    settings: str,
    caveat: str = "",
    test: str = TEST,
    beside_paper: bool = False,
) -> Figure | None:
    """Figure 6: training (thin, dashed) and test error (bold) of plain nets, ResNets, 110 and 1202.

    A line is the mean of the recorded seeds, a band reaches from the least to the greatest.
    test: the column of the test error, TEST or PRECISE. beside_paper: the paper's own curves behind
    ours, in grey. None where there is nothing to draw.
    """
    runs = list(runs)
    groups = by_network(runs)
    plain = {name: group for name, group in groups.items() if name.startswith("plain")}
    residual = {name: group for name, group in groups.items() if name.startswith("resnet")}
    deepest = {name: residual[name] for name in residual if name in DEEPEST}
    if len(deepest) == len(DEEPEST):
        del residual["resnet-1202"]
    else:
        deepest = {}
    named = {"plain nets": plain, "residual nets": residual, "110 and 1202 layers": deepest}
    panels = [(name, networks) for name, networks in named.items() if networks]
    if not panels:
        return None
    legend = ["bold: test error" + (", precise BN" if test == PRECISE else "")]
    legend.append("dashed: training error, precise BN, without augmentation")
    if beside_paper:
        legend.append("grey: the paper's, broken where it cannot be read")
        legend.append("the paper does not define its training error")
    legend += [FALLS] * bool(SETTINGS[settings].milestones)
    legend += [SEEDS_DRAWN] * any(len(group) > 1 for group in groups.values())
    with style():
        figure = Figure(figsize=(0.4 + 3.3 * len(panels), 2.9), layout="constrained")
        for axes, (name, networks) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
        ):
            if beside_paper:
                for network in networks:
                    draw_papers(axes, network, SETTINGS[settings])
            error_panel(axes, networks, settings, test)
            axes.set_title(name)
        lost = [str(run) for run in runs if names.study_depth(run.network) and run.diverged]
        caveat = f"{caveat} Diverged and not drawn: {', '.join(lost)}.".strip() if lost else caveat
        footnote(figure, "; ".join(legend), caveat)
    return figure


def footnote(figure: Figure, legend: str, caveat: str) -> None:
    """How to read a figure, and what it must say of itself, in lines no wider than it is."""
    lines = [
        line
        for text in (legend, caveat)
        for line in wrap(text, int(CHARACTERS_PER_INCH * figure.get_figwidth()))
    ]
    figure.supxlabel("\n".join(lines), fontsize=7, color="0.3")


def draw_papers(axes: Axes, network: str, recipe: Recipe, training: bool = True) -> None:
    """The paper's curves of a network, as read off Figure 6, in grey.

    Nothing where it has none, or where the recipe is not of the paper's length.
    """
    papers = facts.figure6_curves()
    own = papers[papers["network"] == network]
    if own.empty or recipe.iterations != PAPER.iterations:
        return
    x = own["iteration"] / 1e4
    axes.plot(x, own["test_error"], color="0.55", lw=1.2, zorder=1.5, label="the paper")
    if training:
        axes.plot(x, own["train_error"], color="0.55", lw=0.7, ls=DASHED, zorder=1.5)


def precise_bn(runs: Iterable[Run], network: str, settings: str, caveat: str = "") -> Figure | None:
    """One network's test error by BN's moving averages and by precise BN, over each other.

    Behind them the paper's curve, where it has one of this length. None without a run.
    """
    own = [run for run in runs if run.network == network and not run.diverged]
    if not own:
        return None
    table = curves(own)
    recipe = SETTINGS[settings]
    scale = iteration_scale(settings)
    with style():
        figure = Figure(figsize=(3.7, 2.9), layout="constrained")
        axes = figure.subplots()
        draw_papers(axes, network, recipe, training=False)
        for error, look in (
            (TEST, {"color": PALETTE[0], "label": "moving averages"}),
            (PRECISE, {"color": PALETTE[3], "label": "precise BN"}),
        ):
            axes.plot(table.index / scale, table[error]["mean"], lw=1.4, **look)
        frame(axes, settings, recipe)
        axes.set(title=f"{names.title(network)}: test error", ylabel="error (%)")
        axes.legend(frameon=False, fontsize=7)
        legend = ["precise BN: with statistics recomputed over augmented batches"]
        legend += [FALLS] * bool(recipe.milestones)
        legend += [f"mean of {len(own)} runs"] * (len(own) > 1)
        footnote(figure, "; ".join(legend), caveat)
    return figure


def iteration_scale(settings: str) -> float:
    """What a figure's iterations are divided by: 1e4, as in the paper, where there are as many."""
    return 1e4 if SETTINGS[settings].iterations >= 1e4 else 1


def error_panel(
    axes: Axes, networks: Mapping[str, Sequence[Run]], settings: str, test: str = TEST
) -> None:
    """Error curves of some networks' runs, each labelled with its last mean error."""
    scale, labels = iteration_scale(settings), {}
    for name, runs in networks.items():
        table = curves(runs)
        x, final = table.index / scale, table[test]["mean"].iloc[-1]
        of_several = f", n = {len(runs)}" if len(runs) > 1 else ""
        labels[f"{names.title(name)}  {final:.2f}{of_several}"] = (final, name)
        for error, look in ((TRAIN, {"lw": 0.8, "ls": DASHED}), (test, {"lw": 1.8})):
            axes.plot(x, table[error]["mean"], color=colour(name), **look)
            axes.fill_between(
                x, table[error]["min"], table[error]["max"], color=colour(name), alpha=0.2, lw=0
            )
    frame(axes, settings, SETTINGS[settings])
    label_right(axes, labels)


def frame(axes: Axes, settings: str, recipe: Recipe) -> None:
    """Figure 6's axes, ticks and grid, and a line where the learning rate falls."""
    scale, as_in_paper = iteration_scale(settings), settings.startswith("paper")
    axes.set(
        xlim=(0, recipe.iterations / scale),
        ylim=(0, facts.FIGURE6_ERROR_TICKS[-1] if as_in_paper else 100),
        xlabel="iter. (1e4)" if scale > 1 else "iter.",
        ylabel="error (%)",
        yticks=facts.FIGURE6_ERROR_TICKS if as_in_paper else range(0, 101, 20),
    )
    if scale > 1:
        axes.xaxis.set_major_locator(MultipleLocator(1))  # as in the paper
    for height in facts.FIGURE6_GRID if as_in_paper else (20, 40, 60, 80):
        axes.axhline(height, color="0.7", lw=0.6, ls="--", zorder=0)
    for milestone in recipe.milestones:
        axes.axvline(milestone / scale, color="0.85", lw=0.6, zorder=0)


def label_right(axes: Axes, labels: Mapping[str, tuple[float, str]]) -> None:
    """Put labels at the right edge, each at its height, or as near as they can be read apart."""
    bottom, top = axes.get_ylim()
    ordered = sorted(labels.items(), key=lambda label: label[1][0])
    heights = [min(error, top) for _, (error, _) in ordered]
    places = spread(heights, (top - bottom) / 18)
    for (text, (_, name)), height, place in zip(ordered, heights, places, strict=True):
        axes.annotate(
            text,
            xy=(1, height),
            xytext=(1.05, place),
            xycoords=axes.get_yaxis_transform(),
            textcoords=axes.get_yaxis_transform(),
            va="center",
            fontsize=7,
            color=[0.8 * c for c in colour(name)],
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "lw": 0.6,
                "color": colour(name),
                "relpos": (0, 0.5),
                "shrinkA": 1,
                "shrinkB": 0,
            },
        )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Places at least a gap apart and nearest to some ascending heights, by least squares.

    Neighbours that are too near are pooled, and stand about their common mean.
    """
    pools: list[tuple[float, int]] = []  # mean of height - index * gap, and how many
    for index, height in enumerate(heights):
        mean, count = height - index * gap, 1
        while pools and pools[-1][0] >= mean:
            before, members = pools.pop()
            mean, count = (before * members + mean * count) / (members + count), members + count
        pools.append((mean, count))
    means = [mean for mean, count in pools for _ in range(count)]
    return [mean + index * gap for index, mean in enumerate(means)]


def figure7(
    runs: Iterable[Run], caveat: str = "", own: Mapping[str, pd.DataFrame] | None = None
) -> Figure | None:
    """Figure 7: stds of layer responses in the layers' order (top) and ranked (bottom).

    One run of each network, of the lowest seed that has responses; own: tables of responses of the
    user's own weights, by what they are called. None where there are no responses.
    """
    recorded = {
        name: [table for run in group if (table := run.responses()) is not None]
        for name, group in by_network(runs).items()
    }
    tables = {name: found[0] for name, found in recorded.items() if found}
    legend = ONE_DRAWN * any(len(found) > 1 for found in recorded.values())
    looks = {
        name: {
            "color": colour(name),
            "ls": DASHED if name.startswith("plain") else "-",
            "label": names.title(name),
        }
        for name in tables
    }
    for name, table in (own or {}).items():
        tables[name] = table
        looks[name] = {"color": "black", "ls": ":", "label": name.replace("$", r"\$")}
    if not tables:
        return None
    with style():
        figure = Figure(figsize=(5.2, 4.2), layout="constrained")
        original, ranked = figure.subplots(2, 1)
        for order, (name, table) in enumerate(tables.items()):
            stds = table["std"]
            look = {"lw": 1.2, "zorder": 3 - order / 100, **looks[name]}  # deep nets behind
            original.plot(range(1, len(stds) + 1), stds, **look)
            ranked.plot(range(1, len(stds) + 1), sorted(stds, reverse=True), **look)
        original.set(xlabel="layer index (original)", title="standard deviations of responses")
        ranked.set(xlabel="layer index (sorted by magnitude)")
        footnote(figure, legend, caveat)
        deepest = max(map(len, tables.values()))
        for axes in (original, ranked):
            axes.set(ylabel="std", xlim=(0, deepest + 1), ylim=(0, None))
            axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
        original.legend(frameon=False, ncols=2, fontsize=7)
    return figure


def comparison(runs: Iterable[Run], settings: str, caveat: str = "") -> Figure | None:
    """Loss and accuracy of each run, in training (dashed) and on the test images (bold), by epoch.

    None where there is nothing to draw.
    """
    runs = list(runs)
    if not runs:
        return None
    recipe = SETTINGS[settings]
    with style():
        figure = Figure(figsize=(6.6, 2.9), layout="constrained")
        loss, accuracy = figure.subplots(1, 2)
        for run, shade in zip(runs, cycle(PALETTE)):
            table = run.curve()
            epochs = table["iteration"] * recipe.batch_size / recipe.train_images
            for axes, train, test in (
                (loss, table["train_loss"], table["test_loss"]),
                (accuracy, 100 - table["train_error"], 100 - table["test_error"]),
            ):
                axes.plot(epochs, train, color=shade, lw=0.8, ls=DASHED)
                label = f"{names.title(run.network)}, seed {run.seed}"
                label += ", diverged" * run.diverged
                axes.plot(epochs, test, color=shade, lw=1.6, label=label)
        loss.set(ylabel="loss (nats)", ylim=(0, 3))  # guessing costs log(10) = 2.3
        accuracy.set(ylabel="accuracy (%)", ylim=(0, 100))
        for axes in (loss, accuracy):
            axes.set(xlabel="epoch", xlim=(0, None))
        accuracy.legend(frameon=False, fontsize=7, loc="best")
        legend = "bold: test images; dashed: training, mean over augmented mini-batches"
        footnote(figure, legend, caveat)
    return figure


def save(figure: Figure | None, stem: Path) -> None:
    """Write a figure as PDF and PNG, and say so; the same figure gives the same bytes."""
    if figure is None:
        click.echo(f"{stem.name}: nothing is recorded yet that it could be drawn from")
        return
    for suffix, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
        buffer = io.BytesIO()
        with style():  # the type of PDF fonts is looked up here
            figure.savefig(buffer, format=suffix, dpi=200, metadata=metadata)
        path = stem.with_name(f"{stem.name}.{suffix}")
        write(path, buffer.getvalue())
        click.echo(f"wrote {path}")

"""Figures 6 and 7, drawn from the files of the recorded runs."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resnet_paper import paper
from resnet_paper.recipe import SETTINGS
from resnet_paper.runs import Run, write

PALETTE = sns.color_palette("colorblind")
COLOURS = dict(zip((20, 32, 44, 56, 110, 1202), (*PALETTE[:5], PALETTE[7]), strict=True))
DEEPEST = ("resnet-110", "resnet-1202")
TEST = "test_error"
TRAIN = "train_error_clean"


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


def kind_and_depth(network: str) -> tuple[str, int]:
    kind, _, depth = network.partition("-")
    return kind, int(depth)


def title(network: str) -> str:
    """ "plain-20", "ResNet-20", as the paper writes them."""
    return network.replace("resnet", "ResNet")


def colour(network: str) -> tuple[float, float, float]:
    depth = kind_and_depth(network)[1]
    return COLOURS.get(depth) or PALETTE[depth % len(PALETTE)]


def by_network(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Runs grouped by network, shallow ones first."""
    groups: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (kind_and_depth(run.network)[1], run)):
        groups.setdefault(run.network, []).append(run)
    return groups


def curves(runs: Sequence[Run]) -> pd.DataFrame:
    """The curves of a network's runs: for each error the mean, min and max at each iteration."""
    table = pd.concat(run.curve() for run in runs)
    return table.groupby("iteration")[[TRAIN, TEST]].agg(["mean", "min", "max"])


def figure6(runs: Iterable[Run], settings: str, caveat: str = "") -> Figure | None:
    """Figure 6: training (thin, dashed) and test error (bold) of plain nets, ResNets, 110 and 1202.

    A line is the mean of the recorded seeds, a band reaches from the least to the greatest.
    None where there is nothing to draw.
    """
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
    with style():
        figure = Figure(figsize=(0.4 + 3.3 * len(panels), 2.9), layout="constrained")
        for axes, (name, networks) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
        ):
            error_panel(axes, {n: curves(group) for n, group in networks.items()}, settings)
            axes.set_title(name)
        figure.supxlabel(
            f"bold: test error; dashed: training error, without augmentation\n{caveat}".strip(),
            fontsize=7,
            color="0.3",
        )
    return figure


def error_panel(axes: Axes, networks: Mapping[str, pd.DataFrame], settings: str) -> None:
    """Error curves of some networks; `networks` holds the tables of `curves`."""
    recipe = SETTINGS[settings]
    scale = 1e4 if recipe.iterations >= 1e4 else 1
    top = 20 if settings.startswith("paper") else 100
    for name, table in networks.items():
        x = table.index / scale
        for error, look in ((TRAIN, {"lw": 0.8, "ls": (0, (3, 1.5))}), (TEST, {"lw": 1.8})):
            axes.plot(x, table[error]["mean"], color=colour(name), **look)
            axes.fill_between(
                x, table[error]["min"], table[error]["max"], color=colour(name), alpha=0.2, lw=0
            )
    axes.set(
        xlim=(0, recipe.iterations / scale),
        ylim=(0, top),
        xlabel="iter. (1e4)" if scale > 1 else "iter.",
        ylabel="error (%)",
        yticks=paper.FIGURE6_ERROR_TICKS if top == 20 else range(0, 101, 20),
    )
    for height in paper.FIGURE6_GRID if top == 20 else (20, 40, 60, 80):
        axes.axhline(height, color="0.7", lw=0.6, ls="--", zorder=0)
    for milestone in recipe.milestones:
        axes.axvline(milestone / scale, color="0.85", lw=0.6, zorder=0)
    finals = {name: table[TEST]["mean"].iloc[-1] for name, table in networks.items()}
    label_right(axes, {f"{title(n)}  {error:.2f}": (error, n) for n, error in finals.items()})


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


def figure7(runs: Iterable[Run], caveat: str = "") -> Figure | None:
    """Figure 7: stds of layer responses in the layers' order (top) and ranked (bottom).

    One run of each network, of the lowest seed that has responses. None where none has.
    """
    tables = {}
    for name, group in by_network(runs).items():
        recorded = [table for run in group if (table := run.responses()) is not None]
        if recorded:
            tables[name] = recorded[0]["std"].to_numpy()
    if not tables:
        return None
    with style():
        figure = Figure(figsize=(5.2, 4.2), layout="constrained")
        original, ranked = figure.subplots(2, 1)
        for name, stds in tables.items():
            dashes = (0, (3, 1.5)) if name.startswith("plain") else "-"
            look = {"color": colour(name), "ls": dashes, "lw": 1.2, "label": title(name)}
            original.plot(range(1, len(stds) + 1), stds, **look)
            ranked.plot(range(1, len(stds) + 1), sorted(stds, reverse=True), **look)
        original.set(xlabel="layer index (original)", title="standard deviations of responses")
        ranked.set(xlabel=f"layer index (sorted by magnitude)\n{caveat}".strip())
        deepest = max(map(len, tables.values()))
        for axes in (original, ranked):
            axes.set(ylabel="std", xlim=(0, deepest + 1), ylim=(0, None))
        original.legend(frameon=False, ncols=2, fontsize=7)
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

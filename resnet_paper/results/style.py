"""The figures' common look: type, colours, labels beside curves, legends below."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from textwrap import fill
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from resnet_paper import names

Colour = tuple[float, float, float]

WIDTH = 9.0  # inches, of every figure
LEGEND_COLUMNS = 3
LEGEND_CHARACTERS = 42  # of a line of a legend's column
# seaborn's "colorblind"
PALETTE = [
    to_rgb(shade)
    for shade in (
        *("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc"),
        *("#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9"),
    )
]
COLOURS = dict(zip((20, 32, 44, 56, 110, 1202), (*PALETTE[:5], PALETTE[9]), strict=True))
DASHED: Any = (0, (3, 1.5))


@contextmanager
def style() -> Iterator[None]:
    """Context manager: small sans-serif type, thin frames, text kept as text in PDF.

    Whatever the user's matplotlibrc says, and no matter which backend is chosen: files are drawn by
    Agg and its like for PDF and SVG.
    """
    settings: dict[Any, Any] = {
        "font.size": 9,
        "axes.titlesize": 9,
        "axes.labelsize": 9,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.fontsize": 8,
        "legend.frameon": False,
        "figure.titlesize": 9,
        "axes.linewidth": 0.6,
        "pdf.fonttype": 42,
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), ".15"),
        **dict.fromkeys(("xtick.color", "ytick.color"), ".15"),
        "axes.axisbelow": True,
        "patch.edgecolor": "w",
        "patch.force_edgecolor": True,
        "lines.solid_capstyle": "round",
    }
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(settings)
        yield


def colour(network: str) -> Colour:
    """A network's colour, by its depth."""
    depth = names.parse(network).depth
    return COLOURS.get(depth) or PALETTE[depth % len(PALETTE)]


def mix(shade: Any, other: Any, weight: float) -> Colour:
    """(1 - weight) shade + weight other, of any two colours."""
    pairs = zip(to_rgb(shade), to_rgb(other), strict=True)
    red, green, blue = ((1 - weight) * one + weight * two for one, two in pairs)
    return red, green, blue


def pale(shade: Any) -> Colour:
    """The colour of the paper's curve beside ours."""
    return mix(shade, "white", 0.5)


class Label(NamedTuple):
    """A text beside the end of a curve, at its height."""

    text: str
    height: float
    colour: Colour


def label_right(axes: Axes, labels: Iterable[Label]) -> None:
    """Put labels at the right edge, each as near to its height as it can be read apart."""
    bottom, top = axes.get_ylim()
    ordered = sorted(labels, key=lambda label: label.height)
    heights = [min(label.height, top) for label in ordered]
    for label, height, place in zip(
        ordered, heights, set_apart(heights, (top - bottom) / 18), strict=True
    ):
        axes.annotate(
            label.text,
            xy=(1, height),
            xytext=(1.05, place),
            xycoords=axes.get_yaxis_transform(),
            textcoords=axes.get_yaxis_transform(),
            va="center",
            fontsize=8,
            color=mix(label.colour, "black", 0.25),
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "lw": 0.6,
                "color": label.colour,
                "relpos": (0, 0.5),
                "shrinkA": 1,
                "shrinkB": 0,
            },
        )


def set_apart(heights: Sequence[float], gap: float) -> list[float]:
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


def text_entry(text: str) -> Line2D:
    """A legend's entry of text alone."""
    return Line2D([], [], lw=0, label=text)


def legend_below(figure: Figure, entries: Sequence[Artist]) -> None:
    """A legend below the panels, no wider than the figure, its rows filled alike."""
    labels = [fill(str(entry.get_label()), LEGEND_CHARACTERS) for entry in entries]
    rows = math.ceil(len(entries) / LEGEND_COLUMNS)
    columns = math.ceil(len(entries) / rows)
    figure.legend(entries, labels, loc="outside lower center", ncols=columns)

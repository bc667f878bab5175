"""Figure 6 in plotly: its legend switches nets on and off, the page kinds of curves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd
import plotly.graph_objects as go
from matplotlib.colors import to_hex

from resnet_paper import names
from resnet_paper.results.curves import PRECISE, TEST, TRAIN, mean_curves, papers_curve
from resnet_paper.results.figures import by_network, panels_of_figure6
from resnet_paper.results.panels import error_ticks
from resnet_paper.results.style import colour
from resnet_paper.runs.recipe import Recipe, follows_paper
from resnet_paper.runs.run import Result

PAPER = "paper"
KINDS = {  # the kinds of curves, which are the traces' meta, and their names
    TEST: "test error, moving averages",
    TRAIN: "training error, precise BN, not augmented",
    PRECISE: "test error, precise BN",
    PAPER: "paper (read off its figure)",
}
SHOWN = (TEST, TRAIN)  # at first
WIDTHS = {TEST: 2.5, TRAIN: 1.2, PRECISE: 1.5}
DASHES = {TEST: "solid", TRAIN: "5px,3px", PRECISE: "2px,2px"}
HEIGHT, AXIS, ENTRY = 330, 60, 20  # pixels: of the curves, of the axis below, of a legend's entry
CLEAR, GREY = "rgba(0,0,0,0)", "rgba(128,128,128,0.35)"  # on a light page and on a dark one


def kinds(recipe: Recipe) -> dict[str, str]:
    """Those of KINDS that a recipe's figure has: the paper's only at its length."""
    return {kind: name for kind, name in KINDS.items() if kind != PAPER or follows_paper(recipe)}


def figure6(results: Iterable[Result], recipe: Recipe) -> dict[str, go.Figure]:
    """Figure 6's panels by their titles: means over the runs, bands from least to greatest."""
    groups = by_network(results)
    tables = {network: mean_curves(group) for network, group in groups.items()}
    panels = {}
    for title, networks in panels_of_figure6(groups).items():
        ticks = error_ticks(recipe, [table[[TRAIN, TEST]] for table in tables.values()])
        panels[title] = go.Figure(layout=layout(recipe, ticks, len(networks)))
        for network in networks:
            for trace in traces(network, tables[network], len(groups[network]), recipe):
                trace.update(
                    mode="lines",
                    legendgroup=network,
                    showlegend=trace.meta is None,
                    visible=trace.meta in (None, *SHOWN),
                )
                panels[title].add_trace(trace)
    return panels


def layout(recipe: Recipe, ticks: Sequence[float], entries: int) -> go.Layout:
    """Figure 6's axes, a line where the learning rate drops, and room for a legend's entries."""
    below = AXIS + ENTRY * entries
    line = {"color": GREY, "dash": "dot", "width": 1}
    drops = [
        go.layout.Shape(
            type="line", x0=drop, x1=drop, y0=0, y1=1, yref="paper", layer="below", line=line
        )
        for drop in recipe.milestones
    ]
    legend = {"tracegroupgap": 0, "bgcolor": CLEAR}
    axis = {"gridcolor": GREY, "linecolor": GREY, "showline": True, "zeroline": False}
    return go.Layout(
        template="none",
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        height=HEIGHT + below,
        margin={"l": 45, "r": 15, "t": 30, "b": below},
        xaxis={"range": (0, recipe.iterations), "tickformat": "~s", **axis, "showgrid": False},
        yaxis={"range": (0, ticks[-1]), "tickvals": list(ticks), **axis},
        xaxis_title={"text": "iterations", "standoff": 8},
        yaxis_title={"text": "error (%)", "standoff": 8},
        legend={"yref": "container", "y": 0, "yanchor": "bottom", "x": 0, **legend},
        modebar={"bgcolor": CLEAR, "color": "grey", "activecolor": "grey"},
        hovermode="closest",
        dragmode=False,  # a finger on the plot scrolls the page
        shapes=drops,
    )


def traces(network: str, table: pd.DataFrame, runs: int, recipe: Recipe) -> Iterator[go.Scatter]:
    """A net's entry in the legend, an empty curve, then its curves and their bands."""
    final = table[TEST]["mean"].iloc[-1]
    entry = f"{names.title(network)} {final:.2f}" + f", n = {runs}" * (runs > 1)
    # the entry without and with the test error, which the page shows while the curves are shown
    both = [names.title(network), entry]
    yield go.Scatter(x=[None], y=[None], name=entry, customdata=both, line=look(network, TEST))
    for kind in (TEST, TRAIN, PRECISE):
        if runs > 1:
            yield band(network, table[kind]["min"], table[kind]["max"]).update(meta=kind)
        yield curve(network, kind, table[kind]["mean"]).update(meta=kind)
    if follows_paper(recipe):
        papers = papers_curve(network)
        for kind, column in ((TEST, "test_error"), (TRAIN, "train_error")):
            yield curve(network, kind, papers[column], "paper: ").update(meta=PAPER, opacity=0.45)


def look(network: str, kind: str) -> go.scatter.Line:
    """The line of one kind of a network's curves."""
    return go.scatter.Line(color=to_hex(colour(network)), width=WIDTHS[kind], dash=DASHES[kind])


def curve(network: str, kind: str, errors: pd.Series, whose: str = "") -> go.Scatter:
    """Errors (%) by iteration."""
    name = KINDS[kind].partition(",")[0] if whose else KINDS[kind]
    return go.Scatter(
        x=errors.index.tolist(),
        y=errors.tolist(),
        line=look(network, kind),
        hovertemplate=f"{names.title(network)} %{{y:.2f}}%<br>{whose}{name}<br>"
        "iteration %{x:,}<extra></extra>",
    )


def band(network: str, least: pd.Series, greatest: pd.Series) -> go.Scatter:
    """The area between two curves of errors (%)."""
    return go.Scatter(
        x=[*least.index, *greatest.index[::-1]],
        y=[*least, *greatest[::-1]],
        line={"width": 0},
        fill="toself",
        fillcolor=to_hex((*colour(network), 0.2), keep_alpha=True),
        hoverinfo="skip",
    )

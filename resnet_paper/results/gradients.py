"""Gradients by layer as a figure, a table, and the numbers of claims."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from resnet_paper import names
from resnet_paper.paper.theory import gradient_factor
from resnet_paper.results.formats import format_number
from resnet_paper.results.panels import conditions
from resnet_paper.results.style import DASHED, WIDTH, colour, legend_below, pale, style
from resnet_paper.results.tables import Table
from resnet_paper.runs.gradients import CASE, LAYERS, Gradients
from resnet_paper.runs.recipe import Recipe

KIND = ["network", "batch_norm", "initialisation", "state"]  # CASE but for the seed
CONTROLS = {"he": "He", "pytorch": "PyTorch"}
MARKERS = {20: "o", 56: "s", 110: "^"}  # by depth
UNDERFLOW = "0 in float32"


def summary(layers: pd.DataFrame) -> pd.DataFrame:
    """A row a case (CASE): of its layers how many, and how the first and the last compare.

    ratio: the first layer's gradient norm over the last's; factor: its geometric mean a layer;
    forward: the last layer's output std over the first's; scale_free: the factor of gradient norm
    times output std, which with BN do not depend on the scale of the weights; least: the least
    output std of a layer. NaN where a norm underflows.
    """
    rows = []
    for case, of in layers.sort_values("layer", kind="stable").groupby(list(CASE), sort=False):
        norms, stds = of["gradient_norm"].to_numpy(), of["output_std"].to_numpy()
        ratio = norms[0] / norms[-1] if norms.min() > 0 else math.nan
        factor = ratio ** (1 / (len(of) - 1)) if len(of) > 1 else math.nan
        forward = stds[-1] / stds[0] if stds.min() > 0 else math.nan
        scale_free = (ratio / forward) ** (1 / (len(of) - 1)) if len(of) > 1 else math.nan
        rows.append((*case, len(of), ratio, factor, forward, scale_free, stds.min()))
    numbers = ["layers", "ratio", "factor", "forward", "scale_free", "least"]
    return pd.DataFrame(rows, columns=[*CASE, *numbers])


def of_claims(gradients: Gradients | None) -> pd.DataFrame:
    """A row a case with BN: network, seed, and its numbers in the columns of its state.

    new_factor, trained_factor, new_least, trained_least are as in `summary`, NaN in other rows.
    Nothing was measured: no rows.
    """
    cases = summary(pd.DataFrame(columns=list(LAYERS)) if gradients is None else gradients.layers)
    cases = cases[cases["batch_norm"] == "true"]
    columns = {
        f"{state}_{name}": cases[name].where(cases["state"] == state)
        for state in ("new", "trained")
        for name in ("factor", "least")
    }
    return cases[["network", "seed"]].assign(**columns, diverged=False)


def geometric(values: pd.Series) -> tuple[float, float, float]:
    """Geometric mean, least and greatest; all NaN if one of them is."""
    if values.isna().any():
        return math.nan, math.nan, math.nan
    return float(np.exp(np.log(values).mean())), values.min(), values.max()


def format_range(values: pd.Series) -> str:
    """ "243 (220 to 281)": the geometric mean and the range over seeds."""
    mean, least, greatest = geometric(values)
    if math.isnan(mean):
        return UNDERFLOW
    seeds = f" ({least:.3g} to {greatest:.3g})" if len(values) > 1 else ""
    return f"{mean:.3g}{seeds}"


def table(gradients: Gradients, note: str = "") -> Table:
    """A row for each network and state: gradients and signals at the two ends, and precision.

    The numbers are those of all layers.
    """
    cases, cosines, rows = summary(gradients.layers), gradients.cosines, []
    for key, of in cases.groupby(KIND, sort=False):
        network, batch_norm, initialisation, state = map(str, key)
        same = (cosines[KIND] == list(key)).all(axis=1)
        by_precision = cosines[same].groupby("precision")["cosine"].mean()
        predicted = math.nan
        if state == "new":
            kind = names.parse(network).kind
            predicted = gradient_factor(kind, batch_norm == "true", initialisation)
        factor = geometric(of["factor"])[0]
        rows.append(
            {
                "network": names.title(network),
                "BN": "yes" if batch_norm == "true" else "no",
                "initialisation": CONTROLS[initialisation],
                "state": state if state.isalpha() else f"iteration {state}",
                "n": str(len(of)),
                "gradient, first over last": format_range(of["ratio"]),
                "factor a layer": format_number(factor, "{:.3f}"),
                "scale-free factor": format_number(geometric(of["scale_free"])[0], "{:.3f}"),
                "theory": format_number(predicted, "{:.3f}"),
                "output std, last over first": format_range(of["forward"]),
                "cosine, float32": format_number(by_precision.get("float32"), "{:.3f}"),
                "cosine, bfloat16": format_number(by_precision.get("bfloat16"), "{:.3f}"),
            }
        )
    meaning = (
        "At the outputs of the 3x3 convolutions, before BN, in training mode and float32, on the "
        "augmented batch that comes next in a run of this seed (`FULL=1`: means over the next "
        "ten). Gradient: Euclidean norm of that of the mean loss; first: next to the images. "
        "Geometric mean over n seeds (range). Factor: by which norms grow from a layer to the one "
        "before it, geometric mean; scale-free: of norms times output std, which do not depend on "
        "the scale of weights before BN. Theory: of new plain nets with BN by "
        "[Yang et al. 2019](https://arxiv.org/abs/1902.08129), without by the variance of the "
        "weights. Without `FULL=1`, nets of more than 20 layers are followed for 30 iterations, "
        "those of 110, which warm up, for 10. "
        "Cosine: between the gradient of all parameters in this precision and in float64, on 16 "
        "images (`FULL=1`: a batch) of one seed. "
        f"bfloat16 is rounded as in mixed precision. {UNDERFLOW}: a norm underflows."
    )
    text = pd.DataFrame(rows)
    return Table("gradients", gradients.layers, text, f"{meaning} {note}".strip())


def figure(gradients: Gradients, recipe: Recipe) -> Figure:
    """Gradient norms by layer relative to the last layer's, and the first layer's by iteration.

    Depth by colour and marker, plain nets dashed; lines are geometric means over seeds, bands reach
    from the least to the greatest. Without BN, PyTorch's initialisation is paler.
    """
    layers = gradients.layers
    with_bn, state = layers["batch_norm"] == "true", layers["state"]
    panels = {
        "new, with BN": layers[with_bn & (state == "new")],
        "new, without BN": layers[~with_bn],
        "trained, with BN": layers[with_bn & (state == "trained")],
    }
    with style():
        drawn = Figure(figsize=(WIDTH, 6.4), layout="constrained")
        drawn.suptitle(conditions(recipe))
        *by_layer, by_iteration = drawn.subplots(2, 2).flat
        for axes, (title, rows) in zip(by_layer, panels.items(), strict=True):
            draw_layers(axes, rows)
            axes.set(
                title=title, xlabel="layer", xlim=(0, 1 + rows["layer"].max() if len(rows) else 1)
            )
            axes.set_ylabel("gradient norm / last layer's")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        draw_iterations(by_iteration, summary(layers[with_bn]))
        legend_below(drawn, legend(layers))
    return drawn


def draw_layers(axes: Axes, rows: pd.DataFrame) -> None:
    """A line for each network and initialisation; none where a norm underflows."""
    log_axis(axes)
    for (network, initialisation), of in rows.groupby(["network", "initialisation"], sort=False):
        norms = of.pivot(index="layer", columns="seed", values="gradient_norm")
        if not (norms > 0).all(axis=None):
            continue
        logs, look = np.log(norms / norms.iloc[-1]), line_of(str(network))
        if initialisation == "pytorch":
            look["color"] = pale(look["color"])
        axes.plot(norms.index, np.exp(logs.mean(axis=1)), **{**look, "marker": ""})
        least, greatest = np.exp(logs.min(axis=1)), np.exp(logs.max(axis=1))
        axes.fill_between(norms.index, least, greatest, color=look["color"], alpha=0.2, lw=0)
    if rows.empty:
        axes.text(0.5, 0.5, "none recorded", transform=axes.transAxes, ha="center")


def draw_iterations(axes: Axes, cases: pd.DataFrame) -> None:
    """The first layer's gradient norm over the last's: new, by iteration, and trained."""
    log_axis(axes)
    iterations = sorted({int(state) for state in cases["state"] if state.isdecimal()})
    early = ["new", *map(str, iterations)]
    for network, of in cases.groupby("network", sort=False):
        means = {state: geometric(ratios)[0] for state, ratios in of.groupby("state")["ratio"]}
        places = [place for place, state in enumerate(early) if state in means]
        axes.plot(places, [means[early[place]] for place in places], **line_of(str(network)))
        if "trained" in means:
            axes.plot([len(early)], [means["trained"]], **line_of(str(network)))
    ticks = ["0", *early[1:], "trained"]
    axes.set(title="by iteration, with BN", xlabel="iteration", xticks=range(len(ticks)))
    axes.set(xticklabels=ticks, ylabel="gradient norm, first layer over last")


def log_axis(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.axhline(1, color="0.75", lw=0.8, zorder=0)


def line_of(network: str) -> dict[str, Any]:
    """The look of a network's line."""
    name = names.parse(network)
    plain = name.kind == "plain"
    return {
        "color": colour(network),
        "ls": DASHED if plain else "-",
        "lw": 1.2,
        "marker": MARKERS.get(name.depth, "D"),
        "ms": 4.5,
        "mfc": "white" if plain else colour(network),
    }


def legend(layers: pd.DataFrame) -> list[Artist]:
    """An entry for each network, for the controls' initialisation, and for bands."""
    entries: list[Artist] = []
    for network in dict.fromkeys(layers["network"]):
        entries.append(Line2D([], [], label=names.title(network), **line_of(network)))
    if (layers["initialisation"] == "pytorch").any():
        grey, label = pale("black"), "paler: PyTorch's default initialisation, else He"
        entries.append(Line2D([], [], color=grey, lw=1.2, label=label))
    if layers["seed"].nunique() > 1:
        label = "geometric mean over seeds, band: min to max"
        entries.append(Patch(color="black", alpha=0.2, lw=0, label=label))
    return entries

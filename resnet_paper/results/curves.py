"""Curves of several runs: their mean, and their distance to the paper's."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from resnet_paper.paper import facts
from resnet_paper.runs.recipe import PAPER
from resnet_paper.runs.run import Result

TEST = "test_error"
PRECISE = "test_error_precise"
TRAIN = "train_error_clean"


def mean_curves(results: Iterable[Result]) -> pd.DataFrame:
    """Mean, min and max of each error over some runs, at the iterations that all of them have.

    Runs that leave their warm-up at different iterations are measured at different ones until then.
    """
    curves = [result.curve for result in results]
    iterations = pd.concat(curves).groupby("iteration")
    means = iterations[[TRAIN, TEST, PRECISE]].agg(["mean", "min", "max"])
    return means[iterations.size() == len(curves)]


def papers_curve(network: str) -> pd.DataFrame:
    """Columns test_error and train_error of the paper's Figure 6 by iteration.

    A row each 1,000 iterations from the first that can be read, NaN where they cannot; empty for a
    network that is not in the figure.
    """
    curves = facts.figure6_curves()
    own = curves[curves["network"] == network].set_index("iteration")[["test_error", "train_error"]]
    every = PAPER.measure_every
    return own if own.empty else own.reindex(range(own.index[0], PAPER.iterations + 1, every))


FIRST_DROP = PAPER.milestones[0]  # of the learning rate; the curves are flat after it
DISTANCES = {  # our error: the paper's that it is compared with, and the column's title
    TEST: ("test_error", "test"),
    PRECISE: ("test_error", "test, precise BN"),
    TRAIN: ("train_error", "training, precise BN, without augmentation"),
    "train_error": ("train_error", "training, mini-batches"),
}


def distances(results: Iterable[Result]) -> pd.DataFrame:
    """Mean absolute distances of each network's curves to the paper's, in points of error.

    A row for each of DISTANCES. until_32k and after_32k: over the runs and over the points of
    Figure 6 that can be read, until and after the first milestone; points_*: how many these are.
    """
    drawn, rows = [result for result in results if not result.diverged], []
    for network, paper in facts.figure6_curves().groupby("network", sort=False):
        curves = [each.curve.set_index("iteration") for each in drawn if each.network == network]
        if not curves:
            continue
        paper = paper.set_index("iteration")
        for error, (papers_error, _) in DISTANCES.items():
            differences = pd.concat(curve[error] - paper[papers_error] for curve in curves)
            distance = differences.abs().groupby("iteration").mean()
            until = distance[distance.index <= FIRST_DROP]
            after = distance[distance.index > FIRST_DROP]
            means, points = (until.mean(), after.mean()), (until.count(), after.count())
            rows.append((network, len(curves), error, *means, *points))
    columns = ["network", "runs", "error", "until_32k", "after_32k"]
    columns += ["points_until", "points_after"]
    return pd.DataFrame(rows, columns=columns)

"""Facts of "Deep Residual Learning for Image Recognition" (arXiv 1512.03385).

Facts only. Errors are percentages of the CIFAR-10 test set, with data augmentation, where nothing
else is said.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd


class PaperResult(NamedTuple):
    """A row of Table 6: the best run's error and, where the paper gives them, mean and std."""

    method: str
    layers: int | None
    parameters: str
    error: float
    mean: float | None = None
    std: float | None = None

    @property
    def network(self) -> str | None:
        """The name of our network, where it is one of ours."""
        return (
            f"{self.method.lower()}-{self.layers}" if self.method in ("ResNet", "Plain") else None
        )


TABLE6 = (
    PaperResult("Maxout", None, "", 9.38),
    PaperResult("NIN", None, "", 8.81),
    PaperResult("DSN", None, "", 8.22),
    PaperResult("FitNet", 19, "2.5M", 8.39),
    PaperResult("Highway", 19, "2.3M", 7.54, 7.72, 0.16),
    PaperResult("Highway", 32, "1.25M", 8.80),
    PaperResult("ResNet", 20, "0.27M", 8.75),
    PaperResult("ResNet", 32, "0.46M", 7.51),
    PaperResult("ResNet", 44, "0.66M", 7.17),
    PaperResult("ResNet", 56, "0.85M", 6.97),
    PaperResult("ResNet", 110, "1.7M", 6.43, 6.61, 0.16),
    PaperResult("ResNet", 1202, "19.4M", 7.93),
)
RESNET_110_RUNS = 5  # of ResNet-110's mean and std: Table 6's caption


@cache
def figure6_curves() -> pd.DataFrame:
    """Figure 6's curves as read off it: network, iteration, test_error, train_error (%).

    A row each 1,000 iterations, but for 32,000; NaN where a curve is hidden or off the scale. Good
    to about 0.05 where the curves are flat, less so where they are steep.
    """
    return pd.read_csv(Path(__file__).with_name("figure6.csv"))


def plain_results() -> tuple[PaperResult, ...]:
    """The plain nets in the form of Table 6: their last test errors, as read off Figure 6.

    Of plain-110 the figure says no more than that its error is above PLAIN_110_ABOVE.
    """
    curves = figure6_curves()
    last = curves[curves["iteration"] == curves["iteration"].max()].set_index("network")
    resnets = [result for result in TABLE6 if result.method == "ResNet"]
    return tuple(
        PaperResult(
            "Plain", layers, parameters, last["test_error"].get(f"plain-{layers}", float("nan"))
        )
        for _, layers, parameters, *_ in resnets
        if layers is not None and layers <= 110
    )


PLAIN_110_ABOVE = 60.0  # both errors, %: Figure 6's caption
RESNET_1202_BELOW = 0.1  # training error, %: section 4.2

# Figure 6: what is drawn by default, and its axes.
RESNET_DEPTHS = "20 32 44 56 110"
PLAIN_DEPTHS = "20 32 44 56"
FIGURE6_ERROR_TICKS = (0, 5, 10, 20)
FIGURE6_GRID = (5, 10, 20)

# Figure 7: the networks whose layer responses are drawn.
FIGURE7_NETWORKS = ("plain-20", "plain-56", "resnet-20", "resnet-56", "resnet-110")

# Table 1: multiply-adds of the ImageNet networks, by their layers.
TABLE1_MULTIPLY_ADDS = {18: 1.8e9, 34: 3.6e9, 50: 3.8e9, 101: 7.6e9, 152: 11.3e9}

# Section 4.1: multiply-adds of the VGG networks, by their layers.
VGG_MULTIPLY_ADDS = {16: 15.3e9, 19: 19.6e9}

# Table 3: ResNet-34 on ImageNet's validation images, top-1 error, by shortcut option.
TABLE3_TOP1 = {"A": 25.03, "B": 24.52, "C": 24.19}

"""Table 1: the sizes of the ImageNet networks and of those that people compare them with."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from resnet_paper.paper import facts
from resnet_paper.results.formats import format_number
from resnet_paper.results.tables import Table

NOTE = (
    "VGG: torchvision's networks, without BN. The paper's number of VGG-16 is that of its "
    "convolutions alone, its number of VGG-19 that of all layers, so that no one count gives both. "
    "AlexNet: in a single tower; the original, split between two GPUs, has fewer parameters and "
    "multiply-adds; the paper does not count it."
)


def table1(counts: Mapping[str, tuple[int, int, int, int]]) -> Table:
    """Parameters and multiply-adds of Table 1's networks and of others, beside the paper's.

    counts: by network, as "ResNet-18": layers, parameters, multiply-adds, those of convolutions.
    """
    papers = {f"ResNet-{layers}": adds for layers, adds in facts.TABLE1_MULTIPLY_ADDS.items()}
    papers |= {f"VGG-{layers}": adds for layers, adds in facts.VGG_MULTIPLY_ADDS.items()}
    rows, text = [], []
    for network, (layers, parameters, multiply_adds, convolution_multiply_adds) in counts.items():
        paper = papers.get(network, math.nan)
        rows.append((network, layers, parameters, multiply_adds, convolution_multiply_adds, paper))
        text.append(
            {
                "network": network,
                "params": f"{parameters:,}",
                "multiply-adds": f"{multiply_adds:,}",
                "in 1e9": f"{multiply_adds / 1e9:.2f}",
                "convolutions alone, in 1e9": f"{convolution_multiply_adds / 1e9:.2f}",
                "paper, in 1e9": format_number(paper / 1e9, "{:.1f}"),
            }
        )
    columns = [
        "network",
        "layers",
        "parameters",
        "multiply_adds",
        "convolution_multiply_adds",
        "paper",
    ]
    return Table("table1", pd.DataFrame(rows, columns=columns), pd.DataFrame(text), NOTE)

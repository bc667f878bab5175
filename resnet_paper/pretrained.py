"""The published networks, with their weights and their normalisation: `load("resnet-20")`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from resnet_paper.errors import UserError
from resnet_paper.networks.build import load_weights, require_cifar10
from resnet_paper.runs.run import Run, recorded

PUBLISHED = Path(__file__).parent.parent / "experiments" / "runs"
MEAN_IMAGE = Path(__file__).parent / "training" / "cifar10_mean_image.npy"


class Classifier(nn.Module):
    """A network behind its normalisation: pixels in [0, 1], (N, 3, 32, 32) -> logits (N, 10).

    The mean image of CIFAR-10's 50,000 training images is taken off, as in training.
    """

    mean: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(np.load(MEAN_IMAGE)))
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        if not pixels.is_floating_point():
            raise TypeError(f"pixels must be floats in [0, 1], not {pixels.dtype}: divide by 255")
        return self.network(pixels - self.mean)


def load(network: str, seed: int = 0, runs: Path = PUBLISHED) -> Classifier:
    """A network of the paper's settings as it was at the end of a recorded run, in test mode.

    Raises UserError if there are no weights of it, naming those that there are, or if they are
    damaged; UnknownNetworkError if no network has this name.
    """
    require_cifar10(network)
    run = Run(runs, "paper", network, seed)
    content = run.content("weights.pt") if run.finished else None
    if content is None:
        there = [run for run in recorded(runs, "paper") if run.weights_file.exists()]
        names = ", ".join(map(str, there)) or "none"
        raise UserError(f"{runs} has no weights of {run}; those that it has: {names}")
    return Classifier(load_weights(network, content, str(run.weights_file))).eval()

"""Published networks with their weights and their normalisation: `load("resnet-20")`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from resnet_paper.errors import UserError
from resnet_paper.names import canonical, parse
from resnet_paper.networks.weights import load_weights
from resnet_paper.runs.recipe import PAPER
from resnet_paper.runs.run import Run, begun_runs

# Of a clone, also where it was unpacked without symbolic links, else of an installed package.
IN_CLONE = Path(__file__).parents[1] / "experiments" / "runs"
PUBLISHED = IN_CLONE if IN_CLONE.is_dir() else Path(__file__).parent / "published"
MEAN_IMAGE = Path(__file__).parent / "training" / "cifar10_mean_image.npy"


class Classifier(nn.Module):
    """A network behind its normalisation: pixels in [0, 1], (N, 3, 32, 32) -> logits (N, 10).

    The mean image of CIFAR-10's 50,000 training images is subtracted, as in training.
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


def load(
    network: str, seed: int | None = None, runs: Path = PUBLISHED, settings: str = "paper"
) -> Classifier:
    """A network as it was at the end of a recorded run, in test mode.

    network and settings are taken in any spelling that the commands take, as "ResNet-20".
    settings: "paper" for the full-length runs, "overnight" for those of an eighth of the length.
    seed: of the run; None: of the published one, else the lowest that has weights.
    Raises UserError if there are no weights of it, naming those that there are, if they are damaged
    or were trained with another normalisation; UnknownNetworkError if no network has this name.
    """
    network, settings = canonical(network), settings.lower()
    if parse(network).kind == "imagenet-resnet":
        raise UserError(f"{network} is for ImageNet's images: this loads networks for CIFAR-10's")
    if seed is None:
        seed = first_seed(runs, settings, network)
    run = Run(runs, settings, network, seed)
    result = run.result() if run.finished else None
    content = result.weights() if result else None
    if content is None:
        found = [
            f"{each.parts[-3]} seed {each.parts[-2].removeprefix('seed-')} ({each.parts[-4]})"
            for each in sorted(runs.glob("*/*/seed-*/weights.pt"))
        ]
        raise UserError(
            f"{runs} has no weights of {run} by the settings {settings!r}; those that it has: "
            f"{', '.join(found) or 'none'}"
        )
    recipe = result.record.recipe if result else PAPER
    if (recipe.dataset, recipe.train_images, recipe.normalisation) != (
        (PAPER.dataset, PAPER.train_images, PAPER.normalisation)
    ):
        raise UserError(
            f"{run} was trained on images normalised in another way: load its weights by "
            "networks.build.load_weights"
        )
    return Classifier(load_weights(network, content, str(run.weights_file))).eval()


def first_seed(runs: Path, settings: str, network: str) -> int:
    """The seed of a network's published weights, else the lowest that has any; 0 without any.

    A damaged run comes last, so that `load` says so only where there is no other.
    """
    found = []
    for run in begun_runs(runs, settings, [network]):
        try:
            record = run.record()
        except UserError:
            found.append((2, run.seed))
            continue
        if record and "weights.pt" in record.sha256 and run.weights_file.exists():
            found.append((0 if record.published else 1, run.seed))
    return min(found, default=(0, 0))[1]

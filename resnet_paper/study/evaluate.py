"""The test error and loss of a network, in float32 on the CPU."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_paper.errors import UserError
from resnet_paper.runs.recipe import CHANNELS, PAPER, Channels
from resnet_paper.training.images import Images, Normalisation


@torch.no_grad()
def classify(network: nn.Module, images: Images, normalise: Callable[[Tensor], Tensor]) -> Tensor:
    """Logits (N, classes), in test mode; normalise: bytes (N, 3, H, W) -> floats."""
    network.eval()
    batches = images.pixels.split(images.evaluation_batch)
    return torch.cat([network(normalise(pixels)) for pixels in batches])


def loss_and_error(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Mean loss (nats) and error (%).

    Raises UserError if the loss is NaN or infinite: the error would be that of the first class.
    """
    loss = F.cross_entropy(logits, labels, reduction="sum").item() / len(labels)
    if not math.isfinite(loss):
        raise UserError(
            f"the loss is {loss}: the network's weights or the normalised images are not finite, "
            "or far too large"
        )
    wrong = int((logits.argmax(1) != labels).sum())
    return loss, round(100 * wrong / len(labels), 4)


def confusion_counts(logits: Tensor, labels: Tensor) -> np.ndarray:
    """How many images of each class (row) were taken for each class (column)."""
    classes = logits.shape[1]
    pairs = labels * classes + logits.argmax(1)
    return torch.bincount(pairs, minlength=classes**2).reshape(classes, classes).numpy()


def evaluate(
    network: nn.Module, images: Images, normalise: Callable[[Tensor], Tensor]
) -> tuple[float, float]:
    """`loss_and_error` of a network, in test mode; normalise: bytes (N, 3, H, W) -> floats."""
    return loss_and_error(classify(network, images, normalise), images.labels)


def normalisation(text: str, channels: int = 3) -> Callable[[Images], Normalisation]:
    """What training images are normalised by: a name, or "MEAN,MEAN,MEAN/STD,STD,STD" in [0, 1].

    channels: of the images; as many means and deviations are needed.

    Raises UserError for anything else, naming what there is.
    """
    known = [name for name, (means, _) in CHANNELS.items() if len(means) == channels]
    names = (PAPER.normalisation, *known)
    if text in names:
        return lambda train: Normalisation.of(train, text)
    try:
        means, stds = (numbers(part, channels) for part in text.split("/"))
    except ValueError:
        raise UserError(
            f"{text!r} is no normalisation: use {', '.join(map(repr, names))}, or numbers of "
            "pixels in [0, 1] as in 0.49,0.48,0.45/0.25,0.24,0.26"
        ) from None
    if not all(0 <= mean <= 1 for mean in means) or not all(0 < std <= 1 for std in stds):
        raise UserError(
            f"{text!r} cannot be the normalisation of pixels in [0, 1]: their means lie in [0, 1], "
            "their standard deviations above 0 and up to 1 (divide those of bytes by 255)"
        )
    by_numbers = Normalisation.of_channels(means, stds)
    return lambda _: by_numbers


def numbers(text: str, count: int) -> Channels:
    """So many numbers with commas between them; ValueError for anything else."""
    found = tuple(map(float, text.split(",")))
    if len(found) != count:
        raise ValueError(f"{len(found)} numbers, not {count}")
    return found

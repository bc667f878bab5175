"""The published networks: `load("resnet-20")` with weights and normalisation; publishing runs."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resnet_paper import models, paper
from resnet_paper.data import Images, Normalisation
from resnet_paper.errors import UserError
from resnet_paper.runs import Run, write

PUBLISHED = Path(__file__).parent.parent / "experiments" / "runs"
MEAN_IMAGE = Path(__file__).with_name("cifar10_mean_image.npy")
DEEPEST = 110  # the most layers of which weights are published
FLOAT16_MAY_COST = 0.02  # points of test error
EVALUATION_BATCH = 250


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
        return self.network(pixels - self.mean)


def load(network: str, seed: int = 0, runs: Path = PUBLISHED) -> Classifier:
    """A network of the paper's settings as it was at the end of a recorded run, in test mode.

    Raises UserError if there is no such run, or its weights are not there or not those it left.
    """
    run = Run(runs, "paper", network, seed)
    content = run.content("weights.pt")
    if content is None:
        raise UserError(f"{run} is recorded in {runs} without its weights: seed 0 has them")
    return Classifier(models.load_weights(network, content, str(run.weights_file))).eval()


def publish(run: Run, root: Path, test: Images, normalise: Normalisation) -> Run:
    """Copy a finished run to a root of published ones, and sign it there; the run stays as it is.

    Weights go along of seed 0 of section 4.2's nets, up to DEEPEST layers: in float16, BN's moving
    averages in float32, unless that changes the test error by more than FLOAT16_MAY_COST. The
    record of the copy says under "published" in which precision they are, and their test error
    (%), computed in float32.
    Raises UserError if there is such a run already, or this one has not finished or is damaged.
    """
    published = replace(run, root=root)
    if published.record() is not None:
        raise UserError(f"{published.directory} has a run already: it is not overwritten")
    record = run.finished_record()
    files = {name: run.content(name) for name in ("curve.csv", "responses.csv")}
    if run.seed == 0 and (paper.depth(run.network) or DEEPEST + 1) <= DEEPEST and not run.diverged:
        content = run.content("weights.pt") or b""
        network = models.load_weights(run.network, content, str(run.weights_file)).eval()
        files["weights.pt"], record["published"] = compact(network, test, normalise)
    record["sha256"] = {
        name: write(published.directory / name, content)
        for name, content in files.items()
        if content is not None
    }
    published.write_record(record)
    return published


def compact(
    network: nn.Module, test: Images, normalise: Normalisation
) -> tuple[bytes, dict[str, Any]]:
    """A network's state dict as a file, in float16 if it may be, and what is to be said of it.

    The network is left with the weights in the file.
    """
    before = error_rate(lambda pixels: network(normalise(pixels)), test)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    halved = {name: value.detach().half() for name, value in network.named_parameters()}
    network.load_state_dict({**state, **halved})
    error, precision = error_rate(lambda pixels: network(normalise(pixels)), test), "float16"
    if abs(error - before) > FLOAT16_MAY_COST:
        network.load_state_dict(state)
        halved, error, precision = {}, before, "float32"
    buffer = io.BytesIO()
    torch.save({**state, **halved}, buffer)
    return buffer.getvalue(), {"weights": precision, "test_error": error}


@torch.no_grad()
def error_rate(classify: Callable[[Tensor], Tensor], images: Images) -> float:
    """The error (%) of what maps pixels, uint8, (N, 3, 32, 32), to logits (N, 10)."""
    batches = zip(
        images.pixels.split(EVALUATION_BATCH), images.labels.split(EVALUATION_BATCH), strict=True
    )
    wrong = sum((classify(pixels).argmax(1) != labels).sum().item() for pixels, labels in batches)
    return round(100 * wrong / len(images), 4)

"""Publishing a run: its numbers as they are, its weights as small as they may be."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resnet_paper.errors import UserError
from resnet_paper.networks import names
from resnet_paper.networks.build import load_weights
from resnet_paper.runs.run import Run, write
from resnet_paper.training.data import EVALUATION_BATCH, Images, Normalisation

DEEPEST_WITH_WEIGHTS = 110
FLOAT16_MAY_COST = 0.02  # points of test error


def publish(run: Run, root: Path, test: Images, normalise: Normalisation) -> Run:
    """Copy a finished run to a root of published ones; the run stays as it is.

    The weights, where they go along, are in float16, BN's moving averages in float32, unless that
    changes the test error by more than FLOAT16_MAY_COST. The record of the copy says under
    "published" in which precision they are, and their test error (%), computed in float32.
    The record is written last: what an interrupted copy left is no run, and is written anew.
    Raises UserError if there is such a run already, or this one has not finished or is damaged.
    """
    published = replace(run, root=root)
    if published.record() is not None:
        raise UserError(f"{published.directory} has a run already: it is not overwritten")
    record = run.finished_record()
    files = {name: run.content(name) for name in ("curve.csv", "responses.csv")}
    weights = run.content("weights.pt") if goes_with_weights(run) else None
    if weights is not None:
        network = load_weights(run.network, weights, str(run.weights_file)).eval()
        files["weights.pt"], record["published"] = compact(network, test, normalise)
    record["sha256"] = {
        name: write(published.directory / name, content)
        for name, content in files.items()
        if content is not None
    }
    published.write_record(record)
    return published


def goes_with_weights(run: Run) -> bool:
    """Seed 0 of section 4.2's nets up to DEEPEST_WITH_WEIGHTS layers, if it did not diverge."""
    layers = names.study_depth(run.network)
    shallow = layers is not None and layers <= DEEPEST_WITH_WEIGHTS
    return shallow and run.seed == 0 and not run.diverged


def compact(
    network: nn.Module, test: Images, normalise: Normalisation
) -> tuple[bytes, dict[str, Any]]:
    """A network's state dict as a file, in float16 if it may be, and what is to be said of it."""
    whole = {name: value.clone() for name, value in network.state_dict().items()}
    halved = {name: value.detach().half() for name, value in network.named_parameters()}
    errors = {}
    for precision, state in (("float32", whole), ("float16", {**whole, **halved})):
        network.load_state_dict(state)
        errors[precision] = error_rate(lambda pixels: network(normalise(pixels)), test)
    cost = round(abs(errors["float16"] - errors["float32"]), 4)
    precision = "float16" if cost <= FLOAT16_MAY_COST else "float32"
    buffer = io.BytesIO()
    torch.save({**whole, **halved} if precision == "float16" else whole, buffer)
    return buffer.getvalue(), {"weights": precision, "test_error": errors[precision]}


@torch.no_grad()
def error_rate(classify: Callable[[Tensor], Tensor], images: Images) -> float:
    """The error (%) of what maps pixels, uint8, (N, 3, 32, 32), to logits (N, 10)."""
    batches = zip(
        images.pixels.split(EVALUATION_BATCH), images.labels.split(EVALUATION_BATCH), strict=True
    )
    wrong = sum((classify(pixels).argmax(1) != labels).sum().item() for pixels, labels in batches)
    return round(100 * wrong / len(images), 4)

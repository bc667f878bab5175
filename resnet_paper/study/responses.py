"""Figure 7's numbers: standard deviations of layer responses, of recorded weights or of others."""

from __future__ import annotations

import math
from pathlib import Path

import click
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from resnet_paper.errors import UserError
from resnet_paper.names import require_image_size
from resnet_paper.networks.hooks import hooked, response_layers
from resnet_paper.networks.weights import load_weights
from resnet_paper.paper import facts
from resnet_paper.runs.run import record_beside
from resnet_paper.study.study import Study
from resnet_paper.training import data
from resnet_paper.training.images import Images, Normalisation


@torch.no_grad()
def response_stds(network: nn.Module, images: Images, normalise: Normalisation) -> pd.DataFrame:
    """A row (layer, name, std) for each 3x3 layer, counted from 1: the paper's Figure 7.

    A response is a layer's output after BN and before ReLU or addition, in test mode; its standard
    std is pooled over images, positions and channels, in float64. UserError if one is not finite.
    """
    network.eval()
    with hooked(network) as stds:
        for pixels in images.pixels.split(images.evaluation_batch):
            network(normalise(pixels))
    for name, std in stds.items():
        if not math.isfinite(std.std):
            raise UserError(f"the responses of {name} are not finite: the weights are too large")
    return pd.DataFrame(
        {
            "layer": range(1, len(stds) + 1),
            "name": list(stds),
            "std": [round(std.std, 6) for std in stds.values()],
        }
    )


def refuse_weights_of_another(network: str, weights: Path) -> None:
    """UserError if the weights lie in the directory of a run of another network."""
    record = record_beside(weights)
    if record and record.network != network:
        raise UserError(f"{weights} holds the weights of a {record.network}, not of a {network}")


def record_missing(study: Study) -> None:
    """Compute responses.csv of the finished runs of Figure 7's networks that lack it."""
    todo = []
    for result in study.results(facts.FIGURE7_NETWORKS):
        if result.responses is None and not result.diverged:
            if result.run.weights_file.exists():
                todo.append(result)
            else:
                click.echo(f"{result} has no weights.pt and no responses: Figure 7 omits it")
    if not todo:
        return
    dataset = data.load(study.recipe, study.data_dir)
    for result in tqdm(todo, desc="responses", disable=None):
        content = result.weights() or b""
        network = load_weights(
            result.network,
            content,
            str(result.run.weights_file),
            study.recipe.classes,
            study.recipe.channels,
        )
        table = response_stds(network, dataset.test, dataset.normalise)
        with result.run.locked():
            result.write_responses(table)


def own_responses(study: Study, weights: Path, network: str) -> pd.DataFrame:
    """`response_stds` of a file of weights; UserError if they are not the network's."""
    require_image_size(network, study.recipe.image_size)
    refuse_weights_of_another(network, weights)
    recipe = study.recipe
    loaded = load_weights(
        network, weights.read_bytes(), str(weights), recipe.classes, recipe.channels
    )
    if not response_layers(loaded):
        raise UserError(f"{network} has no responses: none of its 3x3 layers has BN")
    dataset = data.load(study.recipe, study.data_dir)
    return response_stds(loaded, dataset.test, dataset.normalise)

"""Figure 7's numbers: standard deviations of layer responses, by forward hooks.

`python -m resnet_paper.responses` computes them from the recorded weights and draws the figure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from resnet_paper.errors import UserError
from resnet_paper.networks.build import load_weights
from resnet_paper.networks.names import require_image_size
from resnet_paper.paper import facts
from resnet_paper.results import figures, tables
from resnet_paper.study.options import Command, NetworkName, options
from resnet_paper.study.study import Study
from resnet_paper.training import data
from resnet_paper.training.data import Images, Normalisation


class RunningStd:
    """The standard deviation of all numbers seen so far, of which only three sums are kept."""

    def __init__(self) -> None:
        self.count, self.total, self.squares = 0, 0.0, 0.0

    def add(self, values: Tensor) -> None:
        values = values.double()
        self.count += values.numel()
        self.total += values.sum().item()
        self.squares += values.square().sum().item()

    @property
    def std(self) -> float:
        mean = self.total / self.count
        return math.sqrt(max(self.squares / self.count - mean**2, 0.0))


def response_layers(network: nn.Module) -> dict[str, nn.BatchNorm2d]:
    """By name and in the order of the layers: each BN that follows a 3x3 convolution."""
    layers, convolution = {}, None
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d) and convolution == (3, 3):
            layers[name] = module
        convolution = module.kernel_size if isinstance(module, nn.Conv2d) else None
    return layers


@contextmanager
def hooked(network: nn.Module) -> Iterator[dict[str, RunningStd]]:
    """Context manager: each layer's responses are added up as images pass through the network."""
    stds, hooks = {}, []
    for name, layer in response_layers(network).items():
        std = stds[name] = RunningStd()
        hooks.append(layer.register_forward_hook(lambda _, __, out, to=std: to.add(out)))
    try:
        yield stds
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def response_stds(network: nn.Module, images: Images, normalise: Normalisation) -> pd.DataFrame:
    """A row (layer, name, std) for each 3x3 layer, counted from 1: the paper's Figure 7.

    A response is a layer's output after BN and before ReLU or addition, in test mode; its standard
    std is pooled over images, positions and channels, in float64.
    """
    network.eval()
    with hooked(network) as stds:
        for pixels in images.pixels.split(images.evaluation_batch):
            network(normalise(pixels))
    return pd.DataFrame(
        {
            "layer": range(1, len(stds) + 1),
            "name": list(stds),
            "std": [round(std.std, 6) for std in stds.values()],
        }
    )


def refuse_weights_of_another(network: str, weights: Path) -> None:
    """UserError if the weights lie in the directory of a run of another network."""
    try:
        recorded = json.loads((weights.parent / "run.json").read_text())["network"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # not a run's directory
    if recorded != network:
        raise UserError(f"{weights} holds the weights of a {recorded}, not of a {network}")


def record_missing(study: Study) -> None:
    """Compute responses.csv of the finished runs of Figure 7's networks that lack it."""
    todo = []
    for result in study.results(facts.FIGURE7_NETWORKS):
        if result.responses is None:
            if result.run.weights_file.exists():
                todo.append(result)
            else:
                click.echo(f"{result} has no weights.pt and no responses: Figure 7 omits it")
    if not todo:
        return
    dataset = data.load(study.recipe, study.data_dir)
    normalise = Normalisation.of(dataset.train, study.recipe.normalisation)
    for result in tqdm(todo, desc="responses", disable=None):
        content = result.weights() or b""
        network = load_weights(result.network, content, str(result.run.weights_file))
        table = response_stds(network, dataset.test, normalise)
        with result.run.locked():
            result.write_responses(table)


def own_responses(study: Study, weights: Path, network: str) -> pd.DataFrame:
    """`response_stds` of a file of weights; UserError if they are not the network's."""
    require_image_size(network, study.recipe.image_size)
    refuse_weights_of_another(network, weights)
    loaded = load_weights(network, weights.read_bytes(), str(weights), study.recipe.classes)
    if not response_layers(loaded):
        raise UserError(f"{network} has no responses: none of its 3x3 layers has BN")
    dataset = data.load(study.recipe, study.data_dir)
    normalise = Normalisation.of(dataset.train, study.recipe.normalisation)
    return response_stds(loaded, dataset.test, normalise)


@click.command(cls=Command)
@options
@click.option("--weights", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--network", type=NetworkName(), help="The network that --weights are of, as in resnet-20."
)
def main(study: Study, weights: Path | None, network: str | None) -> None:
    """Figure 7, from the recorded weights of its five networks; or of any weights, beside these."""
    if (weights is None) != (network is None):
        raise UserError("--weights and --network go together")
    if weights is not None and network is not None:
        table = own_responses(study, weights, network)
        click.echo(table.to_string(index=False))
        click.echo(f"{network}: mean over {len(table)} layers {table['std'].mean():.3f}")
        own = {f"{network}, {weights.name}": table}
        results = study.results(facts.FIGURE7_NETWORKS)
        figure = figures.figure7(results, study.recipe, own=own)
        figures.save(figure, study.output / "figure7_own")
        return
    record_missing(study)
    results = study.results_to_draw(facts.FIGURE7_NETWORKS)
    for name in facts.FIGURE7_NETWORKS:
        if not any(result.network == name for result in results):
            click.echo(f"{name} is not recorded: make train {study.in_make} NETWORK={name}")
    figures.save(figures.figure7(results, study.recipe), study.output / "figure7")
    tables.save(tables.responses(results, study.note), study.output)


if __name__ == "__main__":
    main()

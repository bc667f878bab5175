"""Gradients and signals by layer, of new, trained and control networks, on a CPU in float32."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from resnet_paper import names
from resnet_paper.console import say
from resnet_paper.errors import UserError
from resnet_paper.networks.batch_norm import without_bn
from resnet_paper.networks.build import build
from resnet_paper.networks.hooks import Signals, convolutions, signals
from resnet_paper.networks.precision import gradient
from resnet_paper.networks.weights import load_weights
from resnet_paper.runs.gradients import COSINES, LAYERS, Gradients
from resnet_paper.runs.recipe import Recipe, learning_rate
from resnet_paper.study.responses import refuse_weights_of_another
from resnet_paper.study.study import Study
from resnet_paper.training import data
from resnet_paper.training.backend import Backend, keep_freed_memory
from resnet_paper.training.batches import BatchStream, augment
from resnet_paper.training.images import Images, Normalisation
from resnet_paper.training.learner import Learner

ITERATIONS = (1, 3, 10, 30, 100)
INITIALISATIONS = ("he", "pytorch")
# What fits ten minutes on two cores: fewer batches and iterations of deeper networks.
BATCH_LAYERS = 60  # batches times layers: a network has at least one batch
DEEP_ITERATIONS = 10  # of networks that warm up
PRECISION_IMAGES = 16  # of a batch, on which precisions are compared
OWN_BATCHES = 10


class Case(NamedTuple):
    """A network in one state: its columns in gradients.csv."""

    network: str
    batch_norm: str
    initialisation: str
    state: str
    seed: int

    @property
    def has_cosines(self) -> bool:
        """Precisions are compared on one seed of each network with BN."""
        return self.batch_norm == "true" and (self.seed == 0 or self.state == "trained")


class Batches:
    """The batches that a run trains on, by its seed and the iteration."""

    def __init__(self, recipe: Recipe, train: Images) -> None:
        self.recipe, self.train = recipe, train
        self.normalise = Normalisation.of(train, recipe.normalisation)

    def stream(self, seed: int) -> BatchStream:
        recipe = self.recipe
        return BatchStream(len(self.train), recipe.batch_size, seed, recipe.padding)

    def take(self, seed: int, start: int, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Augmented, normalised images and labels of the batches start, ..., start + count - 1."""
        plan = self.stream(seed).plan(start, count)
        for indices, top, left, flip in zip(*plan.columns(), strict=True):
            images = self.normalise(self.train.pixels[indices])
            images = augment(images, top, left, flip, self.recipe.padding)
            yield images, self.train.labels[indices]


def measure(study: Study, networks: Sequence[str], seeds: int) -> Gradients:
    """Signals and cosines of some networks in all their states."""
    keep_freed_memory()
    batches = Batches(study.recipe, data.load(study.recipe, study.data_dir).train)
    layers, cosines = [], []
    with tqdm(total=len(networks) * (3 * seeds + len(ITERATIONS) + 1), disable=None) as bar:
        for network in networks:
            count = max(1, BATCH_LAYERS // names.parse(network).depth)
            for case, module, start in states(study, network, seeds, batches):
                bar.set_description(f"{network}, {case.state}")
                at_hand = list(batches.take(case.seed, start, count))
                layers.append(labelled(case, layer_signals(module, at_hand)))
                if case.has_cosines:
                    images, labels = (each[:PRECISION_IMAGES] for each in at_hand[0])
                    cosines.append(labelled(case, precision_cosines(module, images, labels)))
                bar.update()
            say(f"{network}: measured")
    return Gradients(
        pd.concat(layers, ignore_index=True)[list(LAYERS)],
        pd.concat(cosines, ignore_index=True)[list(COSINES)],
    )


def labelled(case: Case, table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**case._asdict())


def states(
    study: Study, network: str, seeds: int, batches: Batches
) -> Iterator[tuple[Case, nn.Module, int]]:
    """A network's states, each with the batch of its seed at which it is measured."""
    for seed in range(seeds):
        yield Case(network, "true", "he", "new", seed), build(network, seed), 0
    for initialisation in INITIALISATIONS:
        for seed in range(seeds):
            case = Case(network, "false", initialisation, "new", seed)
            yield case, control(network, initialisation, seed), 0
    for iteration, module in first_iterations(network, batches):
        yield Case(network, "true", "he", str(iteration), 0), module, iteration
    for result in study.results([network]):
        content = None if result.diverged else result.weights()
        if content is not None:
            module = load_weights(network, content, str(result.run.weights_file))
            case = Case(network, "true", "he", "trained", result.seed)
            yield case, module, study.recipe.iterations


def control(network: str, initialisation: str, seed: int) -> nn.Module:
    """A new network without BN. Convolutions start as in the study ("he") or as torch's do."""
    module = without_bn(build(network, seed))
    if initialisation == "pytorch":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for layer in module.modules():
                if isinstance(layer, nn.Conv2d):
                    layer.reset_parameters()
    return module


def first_iterations(network: str, batches: Batches) -> Iterator[tuple[int, nn.Module]]:
    """The network of seed 0 after each of ITERATIONS of the recipe, in float32.

    Networks that warm up stop at DEEP_ITERATIONS.
    """
    recipe = batches.recipe
    warming_up = names.parse(network).depth >= recipe.warmup_depth
    last = DEEP_ITERATIONS if warming_up else max(ITERATIONS)
    backend = Backend("cpu", "float32", compiled=False, threads=torch.get_num_threads())
    module = build(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    learner = Learner(module, recipe, batches.train, backend)
    for iteration in range(min(last, recipe.iterations)):
        rate = learning_rate(recipe, iteration, warming_up)
        learner.load(batches.stream(0).plan(iteration, 1), [rate])
        learner.advance(1)
        if iteration + 1 in ITERATIONS:
            yield iteration + 1, learner.network


def layer_signals(network: nn.Module, batches: Sequence[tuple[Tensor, Tensor]]) -> pd.DataFrame:
    """A row (layer, name, and `Signals`) for each 3x3 layer: means over batches, in training mode.

    The network stays as it was.
    """
    network = copy.deepcopy(network).train()
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    measured = [signals(network, *batch) for batch in batches]
    rows = []
    for layer, name in enumerate(measured[0], start=1):
        means = [
            sum(each) / len(measured) for each in zip(*(of[name] for of in measured), strict=True)
        ]
        rows.append((layer, name, *(float(f"{mean:.5g}") for mean in means)))
    return pd.DataFrame(rows, columns=["layer", "name", *Signals._fields])


def precision_cosines(network: nn.Module, images: Tensor, labels: Tensor) -> pd.DataFrame:
    """The cosine between the whole gradient in each precision and in float64."""
    exact = gradient(network, images, labels, "float64")
    rows = []
    for precision in ("float32", "bfloat16"):
        other = gradient(network, images, labels, precision)
        rows.append((precision, round(F.cosine_similarity(exact, other, dim=0).item(), 4)))
    return pd.DataFrame(rows, columns=["precision", "cosine"])


def own_signals(study: Study, network: str, weights: Path | None) -> pd.DataFrame:
    """`layer_signals` of a network, new from seed 0 or with the weights of a file.

    UserError if they are not the network's, or if it has no 3x3 layer.
    """
    recipe = study.recipe
    names.require_image_size(network, recipe.image_size)
    if weights is None:
        module = build(network, classes=recipe.classes)
    else:
        refuse_weights_of_another(network, weights)
        module = load_weights(network, weights.read_bytes(), str(weights), recipe.classes)
    if not convolutions(module):
        raise UserError(f"{network} has no 3x3 convolution")
    batches = Batches(recipe, data.load(recipe, study.data_dir).train)
    return layer_signals(module, list(batches.take(0, 0, OWN_BATCHES)))

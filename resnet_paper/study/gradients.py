"""Gradients and signals by layer, of new, trained and control networks, on a CPU in float32."""

from __future__ import annotations

import copy
import multiprocessing
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
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
from resnet_paper.training.backend import Backend
from resnet_paper.training.batches import BatchStream, augment
from resnet_paper.training.images import Images, Normalisation
from resnet_paper.training.learner import Learner

ITERATIONS = (1, 3, 10, 30, 100)
INITIALISATIONS = ("he", "pytorch")
OWN_BATCHES = 10
MOST_PROCESSES = 4  # each takes up to 3 GB of memory, and 5 if all is measured


class Extent(NamedTuple):
    """How much is measured of a network."""

    batches: int
    iterations: int  # for which a new network is trained, at most
    precision_images: int  # of a batch, on which precisions are compared

    @classmethod
    def of(cls, network: str, recipe: Recipe, full: bool) -> Extent:
        """All, or what fits ten minutes on two cores."""
        if full:
            return cls(10, 100, recipe.batch_size)
        depth = names.parse(network).depth
        if depth >= recipe.warmup_depth:
            return cls(1, 10, 16)
        return cls(1, 100 if depth <= 20 else 30, 16)


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


class Part(NamedTuple):
    """What a process measures at a time: a network new, trained, or after each of ITERATIONS."""

    cases: tuple[Case, ...]
    extent: Extent
    weights: bytes = b""  # of a trained network
    weights_file: str = ""

    @property
    def network(self) -> str:
        return self.cases[0].network

    @property
    def states(self) -> list[str]:
        return [case.state for case in self.cases]

    @property
    def iterations(self) -> int:
        """How many iterations are trained."""
        return max((int(state) for state in self.states if state.isdecimal()), default=0)

    @property
    def work(self) -> int:
        """Passes of a batch through the network, about, times its depth."""
        passes = self.iterations + len(self.cases) * (self.extent.batches + 1)
        return passes * names.parse(self.network).depth


class Batches:
    """The batches that a run trains on, by its seed and the iteration."""

    def __init__(self, recipe: Recipe, train: Images) -> None:
        self.recipe, self.train = recipe, train
        self.normalise = Normalisation.of(train, recipe.normalisation)

    def stream(self, seed: int) -> BatchStream:
        return BatchStream.of(self.recipe, len(self.train), seed)

    def take(self, seed: int, start: int, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Augmented, normalised images and labels of the batches start, ..., start + count - 1."""
        plan = self.stream(seed).plan(start, count)
        for indices, top, left, flip in zip(*plan.columns(), strict=True):
            images = self.normalise(self.train.pixels[indices])
            images = augment(images, top, left, flip, self.recipe.padding)
            yield images, self.train.labels[indices]


def measure(study: Study, networks: Sequence[str], seeds: int, full: bool = False) -> Gradients:
    """Signals and cosines of some networks in all their states; full: see `Extent`.

    Processes share the parts of the work. Each computes in one thread, so that numbers do not
    depend on how many there are.
    """
    data.load(study.recipe, study.data_dir)  # downloads it before they start
    parts = [part for network in networks for part in parts_of(study, network, seeds, full)]
    left = Counter(part.network for part in parts)
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        min(torch.get_num_threads(), MOST_PROCESSES),
        context,
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),  # Ctrl-C is for the process that began them
    )
    with (
        context.Manager() as manager,
        tqdm(total=sum(p.work for p in parts), disable=None) as bar,
        pool,
        ending_processes(),
    ):
        done = manager.Queue()
        started = {
            pool.submit(measure_part, study.recipe, study.data_dir, part, done.put): part
            for part in sorted(parts, key=lambda part: -part.work)
        }
        waiting = set(started)
        while waiting:
            finished, waiting = wait(waiting, timeout=1)
            for each in finished:
                each.result()  # raises what its process raised
                network = started[each].network
                left[network] -= 1
                if not left[network]:
                    say(f"{network}: measured")
            while not done.empty():
                bar.update(done.get())
    results = {part: future.result() for future, part in started.items()}
    found = [each for part in parts for each in results[part]]
    return Gradients(
        pd.concat([layers for layers, _ in found], ignore_index=True)[list(LAYERS)],
        pd.concat([cosines for _, cosines in found], ignore_index=True)[list(COSINES)],
    )


@contextmanager
def ending_processes() -> Iterator[None]:
    """Context manager: where it is left by an error, Ctrl-C or SIGTERM, processes end at once."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    except BaseException as error:
        for process in multiprocessing.active_children():
            process.terminate()
        if isinstance(error, BrokenProcessPool):
            raise UserError(
                "a process ended unexpectedly, perhaps for lack of memory: OMP_NUM_THREADS=1 "
                "measures in one process"
            ) from None
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def parts_of(study: Study, network: str, seeds: int, full: bool) -> Iterator[Part]:
    """A network's parts, in the order of the files that are written."""
    recipe = study.recipe
    extent = Extent.of(network, recipe, full)
    kinds = [("true", "he"), *(("false", initialisation) for initialisation in INITIALISATIONS)]
    for batch_norm, initialisation in kinds:
        for seed in range(seeds):
            yield Part((Case(network, batch_norm, initialisation, "new", seed),), extent)
    last = min(extent.iterations, recipe.iterations)
    states = [str(iteration) for iteration in ITERATIONS if iteration <= last]
    yield Part(tuple(Case(network, "true", "he", state, 0) for state in states), extent)
    for result in study.results([network]):
        content = None if result.diverged else result.weights()
        if content is not None:
            case = Case(network, "true", "he", "trained", result.seed)
            yield Part((case,), extent, content, str(result.run.weights_file))


def measure_part(
    recipe: Recipe, data_dir: Path, part: Part, report: Callable[[int], None]
) -> list[tuple[pd.DataFrame, pd.DataFrame | None]]:
    """Layers and cosines of each case, in a process of its own; work that is done is reported."""
    torch.set_num_threads(1)
    batches, extent = batches_of(recipe, data_dir), part.extent
    depth = names.parse(part.network).depth
    found = []
    for case, module, start in states(part, batches, lambda: report(depth)):
        at_hand = list(batches.take(case.seed, start, extent.batches))
        layers, cosines = layer_signals(module, at_hand).assign(**case._asdict()), None
        if case.has_cosines:
            images, labels = (each[: extent.precision_images] for each in at_hand[0])
            cosines = precision_cosines(module, images, labels).assign(**case._asdict())
        found.append((layers, cosines))
        report(depth * (extent.batches + 1))
    return found


@cache
def batches_of(recipe: Recipe, data_dir: Path) -> Batches:
    return Batches(recipe, data.load(recipe, data_dir).train)


def states(
    part: Part, batches: Batches, trained: Callable[[], None]
) -> Iterator[tuple[Case, nn.Module, int]]:
    """A part's networks, each with the batch of its seed at which it is measured.

    trained: called after each iteration.
    """
    case, recipe = part.cases[0], batches.recipe
    if case.state == "new" and case.batch_norm == "true":
        yield case, new(case.network, recipe, case.seed), 0
    elif case.state == "new":
        yield case, control(case.network, recipe, case.initialisation, case.seed), 0
    elif case.state == "trained":
        of = recipe.classes, recipe.channels
        module = load_weights(case.network, part.weights, part.weights_file, *of)
        yield case, module, recipe.iterations
    else:
        by_state = {case.state: case for case in part.cases}
        for iteration, module in first_iterations(case.network, batches, part.iterations):
            trained()
            if str(iteration) in by_state:
                yield by_state[str(iteration)], module, iteration


def new(network: str, recipe: Recipe, seed: int = 0) -> nn.Module:
    """A new network for the images and classes of a recipe."""
    return build(network, seed, recipe.classes, recipe.channels)


def control(network: str, recipe: Recipe, initialisation: str, seed: int) -> nn.Module:
    """A new network without BN. Convolutions start as in the study ("he") or as torch's do."""
    module = without_bn(new(network, recipe, seed))
    if initialisation == "pytorch":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for layer in module.modules():
                if isinstance(layer, nn.Conv2d):
                    layer.reset_parameters()
    return module


def first_iterations(network: str, batches: Batches, last: int) -> Iterator[tuple[int, nn.Module]]:
    """The network of seed 0 after each of the first iterations of the recipe, in float32."""
    recipe = batches.recipe
    warming_up = names.parse(network).depth >= recipe.warmup_depth
    backend = Backend("cpu", "float32", compiled=False, threads=torch.get_num_threads())
    module = new(network, recipe)
    module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    learner = Learner(module, recipe, batches.train, backend)
    for iteration in range(last):
        rate = learning_rate(recipe, iteration, warming_up)
        learner.load(batches.stream(0).plan(iteration, 1), [rate])
        learner.advance(1)
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
        module = new(network, recipe)
    else:
        refuse_weights_of_another(network, weights)
        of = recipe.classes, recipe.channels
        module = load_weights(network, weights.read_bytes(), str(weights), *of)
    if not convolutions(module):
        raise UserError(f"{network} has no 3x3 convolution")
    batches = Batches(recipe, data.load(recipe, study.data_dir).train)
    return layer_signals(module, list(batches.take(0, 0, OWN_BATCHES)))

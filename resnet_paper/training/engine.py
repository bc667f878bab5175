"""Where runs are computed, and what they cost there."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from resnet_paper.networks.build import build
from resnet_paper.runs.recipe import Recipe
from resnet_paper.runs.run import Run
from resnet_paper.training.backend import Backend
from resnet_paper.training.batches import BatchStream
from resnet_paper.training.images import Dataset
from resnet_paper.training.learner import Learner
from resnet_paper.training.loop import Steps, train


@dataclass(frozen=True)
class Cost:
    """The cost of a run: seconds an iteration, and bytes of the memory that limits runs at once."""

    seconds: float
    memory: int


class Engine(Protocol):
    """Where runs are computed: in this process (`Local`), or on a cluster."""

    backend: Backend

    def take(self, dataset: Dataset) -> None:
        """Have the images at hand."""

    def costs(self, networks: Sequence[tuple[str, Backend]]) -> Iterator[Cost]:
        """The cost of each of some networks."""

    def runs_at_once(self, runs: int, memory: int, concurrent: int) -> tuple[int, int]:
        """How many of some runs it will train at once, and on how many devices of their own.

        memory: bytes of each; concurrent: how many the user wants, 0: as many as is good.
        """

    def train(self, run: Run, at_once: int) -> Steps:
        """Train a run to its end, as `loop.train` does; a step may bring nothing new."""


class Local:
    """Runs in this process, on one device: those at once by turns."""

    dataset: Dataset

    def __init__(self, recipe: Recipe, backend: Backend) -> None:
        self.recipe, self.backend = recipe, backend

    def take(self, dataset: Dataset) -> None:
        self.dataset = dataset.to(self.backend.device)

    def costs(self, networks: Sequence[tuple[str, Backend]]) -> Iterator[Cost]:
        for network, backend in networks:
            yield measure_cost(network, self.recipe, self.dataset, backend)

    def runs_at_once(self, runs: int, memory: int, concurrent: int) -> tuple[int, int]:
        if self.backend.device == "cuda":
            reserved_memory()  # frees that of the networks that were timed
        return min(concurrent or self.backend.capacity(memory), runs), 1

    def __str__(self) -> str:
        return str(self.backend)

    def train(self, run: Run, at_once: int) -> Steps:
        return train(run, self.recipe, self.dataset, self.backend, at_once)


def measure_cost(network: str, recipe: Recipe, dataset: Dataset, backend: Backend) -> Cost:
    """The cost of a network here: the least time of a few iterations, and its memory.

    On CUDA of a few times 20 iterations, which wake up the GPU and are not waited for singly.
    """
    on_gpu = backend.device == "cuda"
    count = min(20, recipe.measure_every) if on_gpu else 1
    before = reserved_memory() if on_gpu else 0
    built = build(network, 0, recipe.classes, recipe.channels)
    learner = Learner(built, recipe, dataset.train, backend)
    stream = BatchStream.of(recipe, len(dataset.train), seed=0)
    times = []
    for _ in range(4 if on_gpu else 8):
        learner.load(stream.plan(0, count), [recipe.warmup_learning_rate] * count)
        start = time.perf_counter()
        learner.advance(count)
        learner.training_errors(1)  # waits for the device
        times.append((time.perf_counter() - start) / count)
    memory = reserved_memory() - before if on_gpu else 0
    return Cost(min(times), memory)


def reserved_memory() -> int:
    """The bytes of a GPU that are in use, those of captured graphs among them."""
    gc.collect()
    torch.cuda.empty_cache()
    return torch.cuda.memory_reserved()

"""The time and memory that training takes on this machine."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import click
import torch

from resnet_paper.networks import counts, names
from resnet_paper.networks.build import build
from resnet_paper.runs.recipe import Recipe
from resnet_paper.runs.run import Run
from resnet_paper.study.duration import duration
from resnet_paper.training.backend import Backend
from resnet_paper.training.checkpoint import Checkpoint
from resnet_paper.training.data import BatchStream, Dataset
from resnet_paper.training.learner import Learner

LONG = 2 * 3600.0  # seconds of training that are asked about on a terminal
MEMORY_MARGIN = 1.25  # of what a run is measured to allocate on a GPU


@dataclass(frozen=True)
class Cost:
    """The cost of a run: seconds an iteration, and bytes of a GPU's memory."""

    seconds: float
    memory: int


@dataclass(frozen=True)
class Plan:
    """Runs and the seconds that each will take here, one after another."""

    seconds: dict[Run, float]
    at_once: int

    @classmethod
    def of(
        cls,
        runs: Sequence[Run],
        points: dict[Run, Checkpoint | None],
        recipe: Recipe,
        dataset: Dataset,
        backend: Backend,
        concurrent: int,
    ) -> Plan:
        """Time a few iterations of each network and print what each run will take."""
        click.echo(f"To train by the settings {runs[0].settings!r}, on {backend}:")
        costs: dict[tuple[str, int], Cost] = {}
        seconds: dict[Run, float] = {}
        for run in runs:
            point = points[run]
            own = backend if point is None else as_begun(backend, point)
            key = run.network, own.threads
            if key not in costs:
                costs[key] = measure_cost(run.network, recipe, dataset, own)
            done = point.state.iteration if point else 0
            left = recipe.iterations - done
            seconds[run] = costs[key].seconds * left * with_measuring(recipe)
            begun = f", from iteration {done:,}" if done else ""
            click.echo(f"  {describe(run, recipe)}: about {duration(seconds[run])}{begun}")
        if backend.device == "cuda":
            reserved_memory()  # frees that of the networks that were timed
        memory = MEMORY_MARGIN * max(cost.memory for cost in costs.values())
        at_once = min(concurrent or backend.capacity(int(memory)), len(runs))
        if len(runs) > 1:
            one_by_one = f" one after another; {at_once} at once" if at_once > 1 else ""
            click.echo(f"  together: about {duration(sum(seconds.values()))}{one_by_one}")
        return cls(seconds, at_once)

    def confirm(self) -> None:
        """Ask, on a terminal, before more than LONG of training; click.Abort if told no."""
        total = sum(self.seconds.values()) / self.at_once
        if total > LONG and sys.stdin.isatty():
            click.confirm(f"Train for about {duration(total)}? (YES=1 does not ask)", abort=True)


def describe(run: Run, recipe: Recipe) -> str:
    """A run and its network: "resnet-20 seed 0 (6n+2, n = 3, 0.27M parameters)"."""
    name = names.parse(run.network)
    form = f"6n+2, n = {(name.depth - 2) // 6}, " if name.kind in ("plain", "resnet") else ""
    parameters = counts.parameters(build(run.network, classes=recipe.classes))
    return f"{run} ({form}{parameters / 1e6:.2f}M parameters)"


def as_begun(backend: Backend, point: Checkpoint) -> Backend:
    """A backend with the threads of the run that it resumes."""
    return replace(backend, threads=point.record.environment.threads)


def with_measuring(recipe: Recipe) -> float:
    """The factor by which measuring lengthens training.

    Images only evaluated count a third: they go forward but not backward.
    """
    evaluated = 2 * recipe.test_images + recipe.unaugmented_images + recipe.validation_images
    evaluated += recipe.statistics_batches * recipe.batch_size
    return 1 + evaluated / recipe.measure_every / recipe.batch_size / 3


def measure_cost(network: str, recipe: Recipe, dataset: Dataset, backend: Backend) -> Cost:
    """The cost of a network here: the best time of a few iterations, and its memory.

    On CUDA of a few times 20 iterations, which wake up the GPU and are not waited for singly.
    """
    on_gpu = backend.device == "cuda"
    count = min(20, recipe.measure_every) if on_gpu else 1
    before = reserved_memory() if on_gpu else 0
    learner = Learner(build(network, classes=recipe.classes), recipe, dataset.train, backend)
    stream = BatchStream(len(dataset.train), recipe.batch_size, seed=0, padding=recipe.padding)
    times = []
    for _ in range(4):
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

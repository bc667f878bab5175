"""Training many runs: the plan and its cost, runs by turns, progress, Ctrl-C."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import click
import torch
from tqdm import tqdm

from resnet_paper.errors import UserError
from resnet_paper.networks.build import build, require_cifar10
from resnet_paper.runs.recipe import Recipe
from resnet_paper.runs.run import InUseError, Run
from resnet_paper.study.duration import duration
from resnet_paper.training import backend as backends
from resnet_paper.training import checkpoint, data
from resnet_paper.training.backend import Backend
from resnet_paper.training.checkpoint import Checkpoint
from resnet_paper.training.data import BatchStream, Dataset
from resnet_paper.training.learner import Learner
from resnet_paper.training.loop import Progress, Steps, train

MEMORY_MARGIN = 1.25  # of what a run is measured to allocate on a GPU


def choose_backend(device: str, precision: str, recipe: Recipe) -> Backend:
    """How this machine computes a run of a recipe; UserError if what is asked for is not there."""
    return backends.choose(device, precision, recipe.iterations)


def train_all(
    runs: Sequence[Run], recipe: Recipe, data_dir: Path, backend: Backend, concurrent: int
) -> None:
    """Train unfinished runs to their ends, some at once, after printing what that will take.

    concurrent: how many at once; 0: as many as suits the device. Raises UserError before anything
    is trained if one cannot be resumed, where the GPU's memory is full, and at the end if another
    process is still training one.
    """
    for run in runs:
        require_cifar10(run.network)
    points = {run: resume_point(run, recipe, backend) for run in runs}
    dataset = data.load(recipe, data_dir)
    try:
        dataset = dataset.to(backend.device)
        plan = Plan.of(runs, points, recipe, dataset, backend, concurrent)
        held = train_by_turns(runs, plan.at_once, recipe, dataset, backend)
        held = train_by_turns(held, plan.at_once, recipe, dataset, backend) if held else []
    except torch.OutOfMemoryError as error:
        raise UserError(
            "the GPU's memory is full: free it or train fewer runs at once (CONCURRENT=1); the "
            "same command resumes from the last checkpoints"
        ) from error
    if held := [run for run in held if not run.is_finished_with(recipe)]:
        raise UserError(
            f"{', '.join(map(str, held))}: still being trained by another process; "
            "run the same command again when it has finished"
        )


def resume_point(run: Run, recipe: Recipe, backend: Backend) -> Checkpoint | None:
    """The checkpoint that a run will be resumed from; UserError if it cannot be.

    Training reads it again under the run's lock, since another process may train it meanwhile.
    """
    try:
        return checkpoint.resume_point(run, recipe, backend)
    except UserError:
        if run.is_finished_with(recipe):  # by another process, just now
            return None
        raise


@dataclass(frozen=True)
class Cost:
    """What a run takes: seconds an iteration, and bytes of a GPU's memory."""

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
            click.echo(f"  {run}: about {duration(seconds[run])}{begun}")
        memory = MEMORY_MARGIN * max(cost.memory for cost in costs.values())
        at_once = min(concurrent or backend.capacity(int(memory)), len(runs))
        if len(runs) > 1:
            one_by_one = f" one after another; {at_once} at once" if at_once > 1 else ""
            click.echo(f"  together: about {duration(sum(seconds.values()))}{one_by_one}")
        return cls(seconds, at_once)


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
    """What a network takes here: the best time of a few iterations, and the memory at its peak.

    On CUDA of a few times 20 iterations, which wake up the GPU and are not waited for singly.
    """
    on_gpu = backend.device == "cuda"
    count = min(20, recipe.measure_every) if on_gpu else 1
    before = torch.cuda.memory_allocated() if on_gpu else 0
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    learner = Learner(build(network), recipe, dataset.train, backend)
    stream = BatchStream(len(dataset.train), recipe.batch_size, seed=0, padding=recipe.padding)
    times = []
    for _ in range(4):
        learner.load(stream.plan(0, count), [recipe.warmup_learning_rate] * count)
        start = time.perf_counter()
        learner.advance(count)
        learner.training_errors(1)  # waits for the device
        times.append((time.perf_counter() - start) / count)
    memory = torch.cuda.max_memory_allocated() - before if on_gpu else 0
    return Cost(min(times), memory)


def train_by_turns(
    runs: Sequence[Run], at_once: int, recipe: Recipe, dataset: Dataset, backend: Backend
) -> list[Run]:
    """Train runs to their ends, some at once by turns; return those left to other processes.

    Ctrl-C leaves a checkpoint of each run that is being trained, and exits with 130.
    """
    waiting, held = list(runs), []
    active: dict[Run, Steps] = {}
    reached: dict[Run, int] = {}
    with stop_request() as stop, ExitStack() as opened, Bars(recipe) as bars:
        while (waiting or active) and not stop.is_set():
            while waiting and len(active) < at_once:
                run = waiting.pop(0)
                steps = train(run, recipe, dataset, backend, at_once)
                active[run] = opened.enter_context(closing(steps))
            for run, steps in list(active.items()):
                try:
                    progress = next(steps)
                    if progress.row is not None:
                        report(run, recipe, progress)
                        progress = next(steps)  # no run is left without work
                except StopIteration:
                    bars.fill(run)
                    del active[run]
                    continue
                except InUseError as error:
                    say(f"{error.message}: left to that process")
                    bars.fill(run)
                    held.append(run)
                    del active[run]
                    continue
                reached[run] = progress.iteration
                bars.show(run, progress.iteration)
    if stop.is_set():
        for run in active:
            click.echo(
                f"Stopped {run} at iteration {reached.get(run, 0):,}, with a checkpoint in "
                f"{run.directory}: the same command resumes it."
            )
        raise click.exceptions.Exit(130)
    return held


class Bars:
    """A line of progress for each run in training, on a terminal; nothing elsewhere."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.bars: dict[Run, tqdm[NoReturn]] = {}

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        for bar in self.bars.values():
            bar.close()

    def show(self, run: Run, iteration: int) -> None:
        """A run has reached an iteration; the first one seen is where this sitting began."""
        if run not in self.bars:
            self.bars[run] = tqdm(
                total=self.recipe.iterations, initial=iteration, desc=str(run), disable=None
            )
        bar = self.bars[run]
        bar.update(iteration - bar.n)

    def fill(self, run: Run) -> None:
        """A run is done with, whether or not it has reached its last iteration."""
        if bar := self.bars.pop(run, None):
            bar.update(self.recipe.iterations - bar.n)
            bar.close()


def say(line: str) -> None:
    """Print a line above the bars."""
    with tqdm.external_write_mode():
        click.echo(line)


def report(run: Run, recipe: Recipe, progress: Progress) -> None:
    """One line for a measurement."""
    row = progress.row
    assert row is not None
    if not math.isfinite(row.train_loss):
        say(f"{run}: diverged: the loss at iteration {progress.iteration:,} is infinite or NaN")
        return
    say(
        f"{run}: iteration {progress.iteration:,} of {recipe.iterations:,}, "
        f"training error {row.train_error:.2f}%, test error {row.test_error:.2f}%, "
        f"{progress.images_per_second:,.0f} images/s, {duration(progress.seconds_left)} left"
    )


@contextmanager
def stop_request() -> Iterator[threading.Event]:
    """An event that Ctrl-C (or a SIGTERM) sets; a second one acts at once, as usual."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def request(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])
        with suppress(OSError):
            click.echo("\nStopping ...", err=True)

    for number in before:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

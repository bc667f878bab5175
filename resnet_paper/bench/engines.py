"""Training by Ray beside the local engine, on the same machine, and what Ray itself costs."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from resnet_paper.cluster import worker
from resnet_paper.runs.recipe import PAPER
from resnet_paper.runs.record import Measurement
from resnet_paper.runs.run import Run
from resnet_paper.study.plan import MEMORY_MARGIN
from resnet_paper.training import data, loop
from resnet_paper.training.engine import Cost, Engine
from resnet_paper.training.loop import Steps

MEASURED = 5  # how often each run is measured while it is timed
# The paper's iterations on fewer images, measured after a few of them.
RECIPE = replace(
    PAPER,
    dataset="synthetic",
    train_images=5_000,
    test_images=250,
    unaugmented_images=250,
    statistics_batches=1,
    measure_every=20,
)
MOST = 1_000  # runs at once
ITEMS = 10  # checkpoints that are sent


@dataclass(frozen=True)
class Throughput:
    """Images/s of all runs at once by an engine, and the cost of one of them."""

    images_per_second: float
    at_once: int
    cost: Cost


def throughput(engine: Engine, network: str, root: Path) -> Throughput:
    """Train as many runs at once as an engine does, until each has been measured a few times.

    Timed from where all of them have been measured once, which compiles what is compiled.
    """
    engine.take(data.load(RECIPE, Path()))
    (cost,) = engine.costs([(network, engine.backend)])
    at_once, _ = engine.runs_at_once(MOST, int(MEMORY_MARGIN * cost.memory), 0)
    rows: dict[Run, list[Measurement]] = {
        Run(root, "bench", network, seed): [] for seed in range(at_once)
    }
    with ExitStack() as opened:
        steps = {run: opened.enter_context(closing(engine.train(run, at_once))) for run in rows}
        measured = measurements(steps)
        while not all(rows.values()):
            run, row = next(measured)
            rows[run] = [row]
        rows = {run: [] for run in rows}
        while min(map(len, rows.values())) <= MEASURED:
            run, row = next(measured)
            rows[run].append(row)
    return Throughput(sum(map(images_per_second, rows.values())), at_once, cost)


def measurements(steps: dict[Run, Steps]) -> Iterator[tuple[Run, Measurement]]:
    """Train runs by turns; each measurement, as it comes."""
    while True:
        for run, own in steps.items():
            row = next(own).row
            if row is not None:
                yield run, row


def images_per_second(rows: Sequence[Measurement]) -> float:
    """The pace of a run between its first measurement and its last."""
    first, last = rows[0], rows[-1]
    return RECIPE.batch_size * (last.iteration - first.iteration) / (last.seconds - first.seconds)


def checkpoint_bytes(network: str, engine: Engine, root: Path) -> bytes:
    """A checkpoint of a network."""
    run = Run(root, "bench", network, 0)
    dataset = data.load(RECIPE, Path())
    loop.begin(run, RECIPE, dataset, engine.backend, concurrent=1).save()
    return run.checkpoint_file.read_bytes()


def send(checkpoint: bytes) -> Iterator[worker.News]:
    """A task that sends a checkpoint again and again, and does nothing else."""
    for _ in range(ITEMS):
        yield worker.News("", None, {"checkpoint.pt": checkpoint})


def seconds_of_an_item(checkpoint: bytes) -> tuple[float, float]:
    """Seconds until a task's first item is here, and the median of those of the next."""
    import ray

    times = [time.perf_counter()]
    for item in ray.remote(max_calls=1)(send).remote(checkpoint):
        ray.get(item)
        times.append(time.perf_counter())
    between = [after - before for before, after in itertools.pairwise(times)]
    return between[0], statistics.median(between[1:])

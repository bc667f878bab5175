"""The tasks of a cluster: a run in a directory of its own, and what one costs."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from resnet_paper.errors import UserError
from resnet_paper.runs.files import write
from resnet_paper.runs.provenance import this_process
from resnet_paper.runs.recipe import Recipe
from resnet_paper.runs.run import Run
from resnet_paper.training import backend as backends
from resnet_paper.training import loop
from resnet_paper.training.backend import Backend
from resnet_paper.training.engine import Cost, measure_cost
from resnet_paper.training.images import Dataset
from resnet_paper.training.loop import Progress

FILES = ("weights.pt", "checkpoint.pt", "curve.csv", "run.json")  # in the order of writing
PREFIX = "resnet_paper-"  # of temporary directories
NEWS_EVERY = 5.0  # seconds, without a checkpoint


@dataclass(frozen=True)
class News:
    """What a task sends: how far it has come, and its files if there is a new checkpoint."""

    process: str
    progress: Progress | None  # None once the run has finished
    files: dict[str, bytes]


def survey(
    device: str, precision: str, iterations: int, kernels: str = "auto"
) -> tuple[Backend, int]:
    """How this node computes, with one thread, and the bytes of memory of its GPU."""
    chosen = replace(backends.choose(device, precision, iterations, kernels), threads=1)
    return chosen, torch.cuda.mem_get_info()[1] if chosen.device == "cuda" else 0


def cost(network: str, recipe: Recipe, dataset: Dataset, backend: Backend) -> Cost:
    """The cost of a network by itself, its memory that of a whole process."""
    found = measure_cost(network, recipe, dataset, backend)
    if backend.device == "cuda":
        free, total = torch.cuda.mem_get_info()
        return replace(found, memory=found.memory + total - free - torch.cuda.memory_reserved())
    return replace(found, memory=1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def train(
    run: Run,
    recipe: Recipe,
    dataset: Dataset,
    backend: Backend,
    concurrent: int,
    files: dict[str, bytes],
    folder: str | None = None,
    asked: tuple[str, str, str] | None = None,
) -> Iterator[News]:
    """Train a run from its files to its end, and send them as they change.

    folder: where its directory is made, None: where temporary ones are. asked: the device, the
    precision and the kernels by which this node has to choose the same backend, None: any. Raises
    NodeError where another node may succeed.
    """
    process = this_process()
    with (
        failures_of_this_node(process),
        tempfile.TemporaryDirectory(prefix=PREFIX, dir=folder, ignore_cleanup_errors=True) as root,
    ):
        if asked:
            require_backend(backend, asked, recipe.iterations)
        run = replace(run, root=Path(root))
        for name, content in files.items():
            write(run.directory / name, content)
        saved, told = version(run.checkpoint_file), 0.0
        for progress in loop.train(run, recipe, dataset.to(backend.device), backend, concurrent):
            is_new = version(run.checkpoint_file) != saved
            if is_new or progress.row or time.monotonic() - told > NEWS_EVERY:
                yield News(process, progress, files_of(run) if is_new else {})
                saved, told = version(run.checkpoint_file), time.monotonic()
        yield News(process, None, files_of(run))


class NodeError(Exception):
    """A run cannot be trained on this node, but perhaps on another."""


@contextmanager
def failures_of_this_node(process: str) -> Iterator[None]:
    """Context manager: NodeError in place of an error of this node's disk."""
    try:
        yield
    except (UserError, OSError) as error:
        if isinstance(error, OSError) or isinstance(error.__cause__, OSError):
            raise NodeError(f"{process}: {error}") from error
        raise


def require_backend(backend: Backend, asked: tuple[str, str, str], iterations: int) -> None:
    """NodeError unless this node, which may have joined late, computes as the others do."""
    try:
        device, precision, kernels = asked
        here, _ = survey(device, precision, iterations, kernels)
    except UserError as error:
        raise NodeError(f"{this_process()}: {error}") from error
    if here != replace(backend, threads=here.threads):
        raise NodeError(f"{this_process()} computes on {here}, not on {backend}")


def files_of(run: Run) -> dict[str, bytes]:
    """The files of a run that training leaves and is resumed from."""
    paths = {name: run.directory / name for name in FILES}
    return {name: path.read_bytes() for name, path in paths.items() if path.exists()}


def version(path: Path) -> tuple[int, int] | None:
    """What tells a file from the one whose place it takes; None if there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns

"""Runs on a Ray cluster, or on all cores and GPUs of this machine by a Ray of its own.

A run is a task that trains in a directory of its own and sends its files here at each checkpoint.
This process holds the runs' locks and writes their files, so the nodes share no file system with
it.
"""

from __future__ import annotations

import hashlib
import math
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from resnet_paper.errors import UserError
from resnet_paper.runs import record as records
from resnet_paper.runs.files import write
from resnet_paper.runs.provenance import PACKAGE, revision, this_process
from resnet_paper.runs.recipe import Recipe
from resnet_paper.runs.run import Run, name_holder
from resnet_paper.study import worker
from resnet_paper.study.engine import Cost
from resnet_paper.study.scheduler import say
from resnet_paper.training import checkpoint
from resnet_paper.training.backend import MOST_CONCURRENT, Backend
from resnet_paper.training.data import Dataset
from resnet_paper.training.loop import Progress, Steps

WAIT = 1.0  # seconds of a round over all runs in which none has news
MOST_DEATHS = 3  # of a run's tasks, without a checkpoint between them
IN_FLIGHT = 10**9  # bytes of the object store of a Ray on this machine, besides the images


@contextmanager
def connected(device: str, precision: str, recipe: Recipe) -> Iterator[Cluster]:
    """Context manager: the cluster that RAY_ADDRESS names, else one started on this machine.

    Raises UserError if it cannot be reached, or its nodes cannot train.
    """
    address = os.environ.get("RAY_ADDRESS", "")
    if address:
        require_reachable(address)
    local = {} if address else resources_here(recipe)
    variables = {"RESNET_PAPER_REVISION": revision(), "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    with tempfile.TemporaryDirectory(prefix=worker.PREFIX, ignore_cleanup_errors=True) as folder:
        empty = Path(folder, "empty")
        empty.mkdir()
        environment = {
            "py_modules": [str(PACKAGE)],
            "working_dir": str(empty),  # else tasks would import from this process's directory
            "excludes": ["__pycache__", "published"],
            "env_vars": variables,
        }
        try:
            ray.init(address or "local", runtime_env=environment, logging_level="ERROR", **local)
        except Exception as error:  # whatever Ray may raise
            ray.shutdown()
            named = f"RAY_ADDRESS={address}" if address else "a Ray on this machine"
            raise UserError(f"{named} cannot be used: {' '.join(str(error).split())}") from error
        try:
            yield Cluster(device, precision, recipe, None if address else folder)
        finally:
            ray.shutdown()


def require_reachable(address: str) -> None:
    """UserError unless something answers at HOST:PORT; Ray itself would try for minutes."""
    if address.startswith("ray://"):
        raise UserError(
            f"RAY_ADDRESS={address}: this must run on a machine of the cluster, with RAY_ADDRESS="
            "HOST:PORT, the address that `ray start --head` printed"
        )
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError, ValueError) as error:
        raise UserError(
            f"RAY_ADDRESS={address} cannot be used ({error}): it is HOST:PORT of a running "
            "cluster, as `ray start --head` printed it; without RAY_ADDRESS this machine is used"
        ) from error


def resources_here(recipe: Recipe) -> dict[str, int | bool]:
    """How to start a Ray on this machine: room for the images, and the cores of this process.

    Ray would count all of the machine's, where Slurm or taskset allow it fewer.
    """
    images = recipe.train_images + recipe.validation_images + recipe.test_images
    store = IN_FLIGHT + images * 3 * recipe.image_size**2
    options: dict[str, int | bool] = {"object_store_memory": store, "include_dashboard": False}
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
        if cores < (os.cpu_count() or 1):
            options["num_cpus"] = cores
    return options


class Cluster:
    """An engine whose runs are Ray tasks: on CPUs one thread each, on GPUs a share of one each."""

    def __init__(
        self, device: str, precision: str, recipe: Recipe, folder: str | None = None
    ) -> None:
        """folder: where tasks have their directories; None: where a node has temporary ones."""
        self.recipe, self.folder = recipe, folder
        gpus = [node for node in nodes() if node["Resources"].get("GPU", 0) >= 1]
        if device == "cuda" and not gpus:
            raise UserError("the Ray cluster has no GPU: use DEVICE=cpu (--device cpu)")
        self.on_gpus = bool(gpus) and device != "cpu"
        self.nodes = gpus if self.on_gpus else [n for n in nodes() if n["Resources"].get("CPU")]
        self.backend, self.gpu_memory = self.survey(device, precision)
        self.memory, self.on_each_gpu = 0, 1

    def survey(self, device: str, precision: str) -> tuple[Backend, int]:
        """How all nodes compute, and the bytes of memory of a GPU; UserError if they differ."""
        share = 0.01 if self.on_gpus else 0
        answers = [
            ray.remote(max_calls=1)(worker.survey)
            .options(
                num_cpus=0,
                num_gpus=share,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
            )
            .remote(device, precision, self.recipe.iterations)
            for node in self.nodes
        ]
        found: dict[Backend, int] = {}
        for node, answer in zip(self.nodes, answers, strict=True):
            try:
                backend, memory = ray.get(answer)
            except RayError as error:
                if isinstance(cause := getattr(error, "cause", None), UserError):
                    raise cause from None
                raise UserError(
                    f"node {node['NodeManagerHostname']} of the Ray cluster cannot train "
                    f"({in_one_line(error)}): install this package's dependencies there"
                ) from error
            found[backend] = min(memory, found.get(backend, memory))
        if len(found) != 1:
            raise UserError(
                f"the nodes of the Ray cluster compute differently ({'; '.join(map(str, found))}): "
                "name one way by DEVICE and PRECISION (--device, --precision)"
                if found
                else "the Ray cluster has no node with a CPU"
            )
        return next(iter(found.items()))

    def take(self, dataset: Dataset) -> None:
        self.dataset = ray.put(dataset)

    def costs(self, networks: Sequence[tuple[str, Backend]]) -> Iterator[Cost]:
        """Measured in tasks side by side, as the runs will be; on GPUs one at a time on each."""
        options = {"num_gpus": 1, "num_cpus": 0} if self.on_gpus else {"num_cpus": 1}
        measure = ray.remote(max_calls=1)(worker.cost).options(**options)
        tasks = [measure.remote(name, self.recipe, self.dataset, own) for name, own in networks]
        try:
            yield from map(ray.get, tasks)
        except RayTaskError as error:
            raise error.cause from None
        except RayError as error:
            raise UserError(
                f"the networks could not be timed on the Ray cluster ({in_one_line(error)}): run "
                "the same command again"
            ) from error

    def at_once(self, runs: int, memory: int, concurrent: int) -> tuple[int, int]:
        """As many as there are cores, or shares of GPUs, if each has the memory that it needs.

        On GPUs, concurrent is the number on each.
        """
        resources = [node["Resources"] for node in self.nodes]
        if self.on_gpus:
            gpus = sum(int(each["GPU"]) for each in resources)
            fitting = max(1, min(MOST_CONCURRENT, self.gpu_memory // max(memory, 1)))
            self.on_each_gpu = min(concurrent or fitting, math.ceil(runs / gpus))
            return min(gpus * self.on_each_gpu, runs), min(gpus, runs)
        self.memory = memory
        slots = sum(int(min(each["CPU"], each["memory"] // memory)) for each in resources)
        if slots == 0:
            raise UserError(
                f"a run needs {memory / 1e9:.1f} GB of memory, and no node of the Ray cluster has "
                "that much"
            )
        slots = min(concurrent or slots, slots, runs)
        return slots, slots

    def __str__(self) -> str:
        where = "1 node" if len(self.nodes) == 1 else f"{len(self.nodes)} nodes"
        return f"Ray with {where}, each run on {self.backend}"

    def train(self, run: Run, at_once: int) -> Steps:
        """`loop.train` in a task; after the death of its worker or node in another one.

        That resumes from the last checkpoint that has arrived here. Closing it loses what came
        after that. Raises UserError too after MOST_DEATHS without a checkpoint between them.
        """
        with run.locked() as lock:
            if run.is_finished_with(self.recipe):
                return
            deaths, reached, death = 0, 0, ""
            while not run.finished:
                point = checkpoint.resume_point(run, self.recipe, self.backend)
                iteration = point.state.iteration if point else 0
                if death:
                    deaths = deaths + 1 if iteration == reached else 1
                    if deaths == MOST_DEATHS:
                        raise UserError(f"{run}: given up after {deaths} times {death}")
                    say(f"{run}: resumes from iteration {iteration:,} after {death}")
                reached = iteration
                try:
                    yield from self.attempt(run, lock, iteration, at_once)
                except RayTaskError as error:  # the run's own failure
                    raise error.cause from None
                except (RayError, ValueError) as error:  # of its worker, its node or the network
                    death = f"{type(error).__name__} ({in_one_line(error)})"

    def attempt(self, run: Run, lock: int, iteration: int, at_once: int) -> Steps:
        """Have a task train a run from where its files leave it; write what it sends.

        Raises RayError if the task dies, ValueError if a file arrives damaged.
        """
        name_holder(lock, this_process())
        options: dict[str, float] = {"num_cpus": 1, "memory": self.memory}
        if self.on_gpus:
            options = {"num_cpus": 0, "num_gpus": 1 / self.on_each_gpu}
        task = ray.remote(max_calls=1, max_retries=0)(worker.train).options(**options)
        stream = task.remote(
            run,
            self.recipe,
            self.dataset,
            self.backend,
            self.on_each_gpu,
            worker.files_of(run),
            self.folder,
        )
        progress = Progress(iteration, 0.0, math.inf)
        try:
            while True:
                ready, _ = ray.wait([stream], timeout=WAIT / at_once)
                if ready:
                    try:
                        news: worker.News = ray.get(next(stream))
                    except StopIteration:
                        return
                    name_holder(lock, f"{news.process}, for {this_process()}")
                    keep(run, news.files)
                    progress = news.progress or progress
                yield progress
                progress = replace(progress, row=None)
        finally:
            ray.cancel(stream)


def nodes() -> list[Mapping[str, Any]]:
    """The living nodes of the cluster, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"]]


def keep(run: Run, files: dict[str, bytes]) -> None:
    """Write files that have arrived, in their order; ValueError if one is damaged."""
    if not files:
        return
    _, record = records.decode(files["run.json"])
    for name in record.sha256.keys() - {"run.json"}:
        if hashlib.sha256(files[name]).hexdigest() != record.sha256[name]:
            raise ValueError(f"{name} arrived damaged")
    if not (record.finished or checkpoint.intact(files["checkpoint.pt"])):
        raise ValueError("checkpoint.pt arrived damaged")
    for name, content in files.items():
        write(run.directory / name, content)
    if record.finished:
        run.checkpoint_file.unlink(missing_ok=True)


def in_one_line(error: Exception) -> str:
    """The last line of a task's error, which says what happened."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__

"""Runs on a Ray cluster, or on all cores and GPUs of this machine by a Ray of its own.

A run is a task that trains in a directory of its own and sends its files here at each checkpoint.
This process holds the runs' locks and writes their files, so the nodes share no file system with
it.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import ray
import torch
from ray.exceptions import RayError, RayTaskError, TaskUnschedulableError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from resnet_paper.cluster import worker
from resnet_paper.console import say
from resnet_paper.errors import UserError
from resnet_paper.runs import record as records
from resnet_paper.runs.files import write
from resnet_paper.runs.provenance import this_process
from resnet_paper.runs.recipe import Recipe
from resnet_paper.runs.run import Run, name_holder
from resnet_paper.training import checkpoint
from resnet_paper.training.backend import MOST_CONCURRENT, Backend
from resnet_paper.training.engine import Cost
from resnet_paper.training.images import Dataset
from resnet_paper.training.loop import Progress, Steps

Node = Mapping[str, Any]  # as Ray describes one

WAIT = 1.0  # seconds of a round over all runs in which none has news
PATIENCE = 30.0  # seconds without an answer until a cluster is said to be busy
FAREWELL = 10.0  # seconds for cancelled tasks to remove their directories
MOST_DEATHS = 3  # of a run's tasks, without a checkpoint between them


class Cluster:
    """An engine whose runs are Ray tasks: on CPUs one thread each, on GPUs a share of one each."""

    def __init__(
        self,
        device: str,
        precision: str,
        recipe: Recipe,
        folder: str | None = None,
        kernels: str = "auto",
    ) -> None:
        """folder: where tasks have their directories; None: where a node has temporary ones."""
        self.recipe, self.folder = recipe, folder
        self.memory, self.on_each_gpu = 0, 1
        self.asked = device, precision, kernels
        self.cancelled: list[ray.ObjectRef[Any]] = []
        self.on_gpus = device != "cpu" and bool(nodes("GPU"))
        if device == "cuda" and not self.on_gpus:
            raise UserError("the Ray cluster has no GPU: use DEVICE=cpu (--device cpu)")
        self.nodes, self.backend, self.gpu_memory = self.survey(device, precision, kernels)
        if self.on_gpus and self.backend.device == "cpu":  # GPUs that PyTorch cannot use
            self.on_gpus = False
            self.asked = "cpu", precision, kernels
            self.nodes, self.backend, _ = self.survey(*self.asked)

    def survey(self, device: str, precision: str, kernels: str) -> tuple[list[Node], Backend, int]:
        """The nodes, how they all compute, and the bytes of memory of a GPU.

        Nodes that are gone before they have answered are left out. Raises UserError if the others
        cannot train, or differ.
        """
        answers: list[tuple[Node, tuple[Backend, int]]] = []
        while not answers:
            asked = nodes("GPU" if self.on_gpus else "CPU")
            if not asked:
                raise UserError(
                    f"the Ray cluster has no node with a {'GPU' if self.on_gpus else 'CPU'}"
                )
            answers = self.answers(asked, device, precision, kernels)
        found: dict[Backend, int] = {}
        for _, (backend, memory) in answers:
            found[backend] = min(memory, found.get(backend, memory))
        if len(found) != 1:
            raise UserError(
                f"the nodes of the Ray cluster compute differently ({'; '.join(map(str, found))}): "
                "name one way by DEVICE, PRECISION and KERNELS (--device, --precision, --kernels)"
            )
        return [node for node, _ in answers], *next(iter(found.items()))

    def answers(
        self, asked: Sequence[Node], device: str, precision: str, kernels: str
    ) -> list[tuple[Node, tuple[Backend, int]]]:
        """`worker.survey` of each node that is not gone; UserError if one cannot train."""
        tasks = [
            ray.remote(max_calls=1)(worker.survey)
            .options(
                num_cpus=0,
                num_gpus=0.01 if self.on_gpus else 0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
            )
            .remote(device, precision, self.recipe.iterations, kernels)
            for node in asked
        ]
        say_if_busy(tasks)
        answers = []
        for node, task in zip(asked, tasks, strict=True):
            try:
                answers.append((node, ray.get(task)))
            except RayError as error:
                reraise_mistake(error)
                name = node["NodeManagerHostname"]
                if is_gone(node, error):
                    say(f"node {name} of the Ray cluster is gone: left out")
                    continue
                raise UserError(
                    f"node {name} of the Ray cluster cannot train ({in_one_line(error)}): "
                    f"{remedy(error)}"
                ) from error
        return answers

    def take(self, dataset: Dataset) -> None:
        self.dataset = ray.put(dataset)

    def costs(self, networks: Sequence[tuple[str, Backend]]) -> Iterator[Cost]:
        """Measured in tasks side by side, as the runs will be; on GPUs one at a time on each."""
        measure = ray.remote(max_calls=1)(worker.cost)
        tasks = [
            measure.options(num_cpus=self.cores(own.threads), num_gpus=int(self.on_gpus)).remote(
                name, self.recipe, self.dataset, own
            )
            for name, own in networks
        ]
        say_if_busy(tasks)
        try:
            yield from map(ray.get, tasks)
        except RayError as error:
            reraise_mistake(error)
            raise UserError(
                f"the networks could not be timed on the Ray cluster ({in_one_line(error)}): run "
                "the same command again"
            ) from error

    def cores(self, threads: int) -> int:
        """The cores that a task with some threads holds: at most a living node's; none on GPUs."""
        if self.on_gpus:
            return 0
        with_memory = [
            node["Resources"]
            for node in nodes("CPU")
            if node["Resources"].get("memory", 0) >= self.memory
        ]
        return max(
            1, min(threads, int(max((each.get("CPU", 0) for each in with_memory), default=1)))
        )

    def runs_at_once(self, runs: int, memory: int, concurrent: int) -> tuple[int, int]:
        """As many as there are cores, or shares of GPUs, if each has the memory that it needs.

        On GPUs, concurrent is the number on each.
        """
        resources = [node["Resources"] for node in self.nodes]
        if self.on_gpus:
            gpus = sum(int(each["GPU"]) for each in resources)
            fitting = max(1, min(MOST_CONCURRENT, self.gpu_memory // max(memory, 1)))
            self.on_each_gpu = min(concurrent or fitting, math.ceil(runs / gpus))
            together = min(gpus * self.on_each_gpu, runs)
            return together, math.ceil(together / self.on_each_gpu)  # Ray fills one after another
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
                        raise UserError(
                            f"{run}: its task died {deaths} times without a checkpoint between "
                            f"them, the last time by {death}"
                        )
                    say(f"{run}: resumes from iteration {iteration:,} after {death}")
                reached = iteration
                threads = point.record.environment.threads if point else 1
                try:
                    yield from self.attempt(run, lock, iteration, threads, at_once)
                except (RayError, ValueError) as error:  # of its worker, its node or the network
                    reraise_mistake(error)
                    if is_unexpected(error):
                        say(str(error))  # with the traceback of the task
                    death = f"{type(error).__name__} ({in_one_line(error)})"

    def attempt(self, run: Run, lock: int, iteration: int, threads: int, at_once: int) -> Steps:
        """Have a task train a run from where its files leave it; write what it sends.

        Raises RayError if the task dies, ValueError if a file arrives damaged.
        """
        name_holder(lock, f"{this_process()}, waiting for a node")
        share: dict[str, float] = {"num_cpus": self.cores(threads), "memory": self.memory}
        if self.on_gpus:
            share = {"num_cpus": 0, "num_gpus": 1 / self.on_each_gpu}
        task = ray.remote(max_calls=1, max_retries=0)(worker.train).options(**share)
        stream = task.remote(
            run,
            self.recipe,
            self.dataset,
            self.backend,
            self.on_each_gpu,
            worker.files_of(run),
            self.folder,
            self.asked,
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
            self.cancelled.append(stream.completed())

    def close(self) -> None:
        """Give the tasks that were cancelled time to remove their directories."""
        if self.cancelled:
            ray.wait(self.cancelled, num_returns=len(self.cancelled), timeout=FAREWELL)


def nodes(resource: str) -> list[Node]:
    """The living nodes of the cluster that have at least one "CPU" or "GPU"."""
    return [
        node for node in ray.nodes() if node["Alive"] and node["Resources"].get(resource, 0) >= 1
    ]


def is_gone(node: Node, error: RayError) -> bool:
    """True if a task on a node failed since the node has died or left, not by an error of its own.

    Ray learns of a death after some seconds without an answer.
    """
    if isinstance(error, TaskUnschedulableError):
        return True
    if isinstance(error, RayTaskError):
        return False
    deadline = time.monotonic() + PATIENCE
    while any(each["NodeID"] == node["NodeID"] and each["Alive"] for each in ray.nodes()):
        if time.monotonic() > deadline:
            return False
        time.sleep(WAIT)
    return True


def remedy(error: RayError) -> str:
    """What to do about a node that lives and cannot train."""
    if isinstance(getattr(error, "cause", None), ImportError) or "ModuleNotFound" in str(error):
        return "install this package's dependencies there"
    return "see Ray's logs there, or take it out of the cluster"


def keep(run: Run, files: dict[str, bytes]) -> None:
    """Write files that have arrived, in their order; ValueError if one is damaged or missing."""
    if not files:
        return
    _, record = records.decode(arrived(files, "run.json"))
    for name in record.sha256.keys() - {"run.json"}:
        if hashlib.sha256(arrived(files, name)).hexdigest() != record.sha256[name]:
            raise ValueError(f"{name} arrived damaged")
    if not (record.finished or checkpoint.intact(arrived(files, "checkpoint.pt"))):
        raise ValueError("checkpoint.pt arrived damaged")
    for name, content in files.items():
        write(run.directory / name, content)
    if record.finished:
        run.checkpoint_file.unlink(missing_ok=True)


def arrived(files: Mapping[str, bytes], name: str) -> bytes:
    """The content of a file that has arrived; ValueError if it has not."""
    if name not in files:
        raise ValueError(f"{name} did not arrive")
    return files[name]


def reraise_mistake(error: Exception) -> None:
    """Re-raise what made a task fail if the user can fix it; all else counts as its death."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, (UserError, torch.OutOfMemoryError)):
        raise cause from None


def is_unexpected(error: Exception) -> bool:
    """True if a task failed by an error of the program, rather than that its process died."""
    return isinstance(error, RayTaskError) and not isinstance(error.cause, worker.NodeError)


def say_if_busy(tasks: Sequence[ray.ObjectRef[Any]]) -> None:
    """Wait until one of some tasks has ended; say so if that takes long."""
    ready, _ = ray.wait(list(tasks), timeout=PATIENCE)
    if not ready:
        say("waiting for the Ray cluster, whose cores may be busy with other work")


def in_one_line(error: Exception) -> str:
    """The line of an error that says what happened: of a task's, after its traceback, the last."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1 if isinstance(error, RayTaskError) else 0].strip()

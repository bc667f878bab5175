"""Training speed beside other kernels and a plain PyTorch loop, in turns on the same machine."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain, islice, repeat
from multiprocessing.connection import Connection
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from resnet_paper.errors import UserError
from resnet_paper.networks import counts
from resnet_paper.networks.build import blueprint, build
from resnet_paper.paper import facts
from resnet_paper.runs.recipe import CHANNELS, PAPER
from resnet_paper.training import backend, data
from resnet_paper.training.backend import Backend
from resnet_paper.training.batches import BatchStream
from resnet_paper.training.images import Images
from resnet_paper.training.learner import Learner
from resnet_paper.training.loop import ITERATIONS_AT_ONCE, MOST_AHEAD

IMAGES = 5_000
ROUND = {"cpu": 10, "cuda": 200}  # iterations
ROUNDS = 7
INTERVALS = PAPER.iterations // PAPER.measure_every  # between measurements
Loop = Callable[[str, str], Iterator[None]]  # network, device -> a step of it is a round


def our_loop(network: str, device: str, kernels: str = "auto") -> Iterator[None]:
    """This package's training iterations."""
    return learner_loop(network, backend.choose(device, "auto", PAPER.iterations, kernels))


def compiled_loop(network: str, device: str) -> Iterator[None]:
    """The same, each block by torch.compile, the iteration in one CUDA graph."""
    chosen = Backend(device, "bfloat16", compiled=True, threads=torch.get_num_threads())
    return learner_loop(network, chosen)


def learner_loop(network: str, chosen: Backend) -> Iterator[None]:
    learner = Learner(build(network), PAPER, data.synthetic(IMAGES, seed=0), chosen)
    stream = BatchStream(IMAGES, PAPER.batch_size, seed=0)
    count, start = ROUND[chosen.device], 0
    while True:
        learner.load(stream.plan(start, count), [PAPER.learning_rate] * count)
        learner.advance(count)
        learner.training_errors(count)  # waits for the device
        start += count
        yield


class Pictures(TorchDataset[tuple[torch.Tensor, int]]):
    """Images as a usual reproduction has them: one PIL picture at a time, transformed."""

    def __init__(self, images: Images) -> None:
        from torchvision import transforms  # takes seconds to import

        self.images = images
        self.transform = transforms.Compose(
            [
                transforms.ToPILImage(),
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(*CHANNELS["channels"]),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.images.pixels[index]), int(self.images.labels[index])


def plain_loop(network: str, device: str) -> Iterator[None]:
    """The usual reproduction: NCHW, a DataLoader with 2 workers, .item() each step.

    In PyTorch's default precision: float32, on a GPU with convolutions in TF32.
    """
    loader = DataLoader(
        Pictures(data.synthetic(IMAGES, seed=0)),
        PAPER.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=2,
        persistent_workers=True,
    )

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        while True:
            for images, labels in loader:
                yield images.to(device), labels.to(device)

    return eager_loop(network, device, batches())


def resident_loop(network: str, device: str) -> Iterator[None]:
    """The plain loop, but that a batch is already on the device."""
    images = data.synthetic(PAPER.batch_size, seed=0).to(device)
    return eager_loop(network, device, repeat((images.pixels / 255, images.labels)))


def eager_loop(
    network: str, device: str, batches: Iterator[tuple[torch.Tensor, torch.Tensor]]
) -> Iterator[None]:
    """Plain PyTorch's training iterations."""
    model = build(network).to(device)
    optimizer = torch.optim.SGD(
        model.parameters(), PAPER.learning_rate, PAPER.momentum, weight_decay=PAPER.weight_decay
    )
    loss_sum = 0.0
    while True:
        for images, labels in islice(batches, ROUND[device]):
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.item()
        yield


def kernels_here(device: str) -> list[str]:
    """The kernels that a run of full length may choose from on a device."""
    try:
        backend.choose(device, "auto", PAPER.iterations, "fused")
    except UserError:
        return ["pytorch"]
    return ["fused", "pytorch"]


def loops(device: str) -> dict[str, Loop]:
    """What is timed on a device, by its title: ours by default first."""
    default = backend.choose(device, iterations=PAPER.iterations).kernels
    found: dict[str, Loop] = {"ours": our_loop}
    for kernels in kernels_here(device):
        if kernels != default:
            found[f"ours, KERNELS={kernels}"] = partial(our_loop, kernels=kernels)
    if device == "cuda":
        found["compiled blocks in a CUDA graph"] = compiled_loop
        found["plain PyTorch with resident data"] = resident_loop
    return {**found, "plain PyTorch": plain_loop}


def work(loop: Loop, network: str, device: str, threads: int, parent: Connection) -> None:
    """In a process of its own: at each request run a round, and answer its seconds."""
    torch.set_num_threads(threads)
    steps = loop(network, device)
    while parent.recv():
        start = time.perf_counter()
        next(steps)
        parent.send(time.perf_counter() - start)


@contextmanager
def timed_process(loop: Loop, network: str, device: str, threads: int) -> Iterator[Connection]:
    """Context manager: a process that runs a loop's rounds on request."""
    context: Any = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=work, args=(loop, network, device, threads, there))
    process.start()
    there.close()
    try:
        yield here
        here.send(False)
        process.join(10)
    finally:
        process.terminate()


def compare(loops: Sequence[Loop], network: str, device: str) -> list[float]:
    """Seconds an iteration of each loop: medians of rounds taken in turns."""
    threads = torch.get_num_threads()
    seconds: list[list[float]] = [[] for _ in loops]
    with ExitStack() as stack:
        workers = [
            stack.enter_context(timed_process(loop, network, device, threads)) for loop in loops
        ]
        for number in range(ROUNDS + 1):
            for connection, times in zip(workers, seconds, strict=True):
                connection.send(True)
                elapsed = connection.recv()
                if number > 0:  # the first round compiles or captures, and starts the DataLoader
                    times.append(elapsed / ROUND[device])
    return [statistics.median(times) for times in seconds]


def two_beside_one(network: str) -> float:
    """The throughput on a CPU of two runs together, each with half the threads, over that of one.

    The median over rounds taken in turns.
    """
    threads = torch.get_num_threads()
    ratios = []
    with ExitStack() as stack:
        one, *two = [
            stack.enter_context(timed_process(our_loop, network, "cpu", count))
            for count in (threads, max(threads // 2, 1), max(threads // 2, 1))
        ]
        for number in range(ROUNDS + 1):
            alone, together = seconds_of([one]), seconds_of(two)
            if number > 0:
                ratios.append(len(two) * alone / together)
    return statistics.median(ratios)


def seconds_of(workers: Sequence[Connection]) -> float:
    """The seconds in which workers run a round each, at the same time."""
    start = time.perf_counter()
    for connection in workers:
        connection.send(True)
    for connection in workers:
        connection.recv()
    return time.perf_counter() - start


def floor(network: str) -> float:
    """Seconds an iteration on a GPU if each of its kernels took 2 microseconds and no more.

    8 kernels a layer and 12 besides: ResNet-20 has some 170.
    """
    return 2e-6 * (8 * counts.depth(blueprint(network)) + 12)


FIGURE6 = [
    *(f"plain-{depth}" for depth in facts.PLAIN_DEPTHS.split()),
    *(f"resnet-{depth}" for depth in facts.RESNET_DEPTHS.split()),
]


def runs_an_hour(network: str, device: str, at_once: int, kernels: str = "auto") -> float:
    """Full-length runs an hour, of the iterations alone, with some of them at once."""
    learners = learners_of([network] * at_once, device, kernels)
    return 3600 * at_once / (INTERVALS * seconds_together(learners, device))


def minutes_of_figure6(kernels: str) -> tuple[float, float]:
    """Minutes of Figure 6's nine runs at once on a GPU: of their iterations, and of measuring.

    Estimated from one of the intervals between measurements, and a measurement of each run.
    """
    learners = learners_of(FIGURE6, "cuda", kernels)
    iterations = seconds_together(learners, "cuda")
    images = data.synthetic(PAPER.test_images, seed=1).to("cuda")
    plan = BatchStream(IMAGES, PAPER.batch_size, seed=0).plan(0, PAPER.statistics_batches)
    start = time.perf_counter()
    for learner in learners:
        with learner.buffers_kept():
            for _ in chain(
                learner.evaluate(images),
                learner.recompute_statistics(plan),
                learner.evaluate(images),
                learner.evaluate(images),
            ):
                pass
    for learner in learners:
        learner.evaluation_errors(len(images))  # waits for the device
    measuring = time.perf_counter() - start
    return INTERVALS * iterations / 60, INTERVALS * measuring / 60


def learners_of(networks: Sequence[str], device: str, kernels: str) -> list[Learner]:
    """Learners that share the images."""
    chosen = backend.choose(device, "auto", PAPER.iterations, kernels)
    images = data.synthetic(IMAGES, seed=0).to(device)
    return [Learner(build(network, k), PAPER, images, chosen) for k, network in enumerate(networks)]


def seconds_together(learners: Sequence[Learner], device: str) -> float:
    """Seconds in which learners train from one measurement to the next, side by side."""
    plan = BatchStream(IMAGES, PAPER.batch_size, seed=0).plan(0, PAPER.measure_every)
    rates = [PAPER.learning_rate] * len(plan)
    for learner in learners:
        learner.load(plan, rates)
        learner.advance(100)  # the first replays are slower
        learner.training_errors(1)
        learner.load(plan, rates)
    count = ITERATIONS_AT_ONCE[device]
    left = dict.fromkeys(learners, len(plan) // count)
    start = time.perf_counter()
    while any(left.values()):
        ready = [each for each in learners if left[each] and each.ahead < MOST_AHEAD]
        for learner in ready:
            learner.advance(count)
            left[learner] -= 1
        if not ready:
            time.sleep(1e-4)
    for learner in learners:
        learner.training_errors(1)  # waits for the device
    return (time.perf_counter() - start) * len(plan) / (len(plan) // count * count)

"""Training speed beside a plain PyTorch loop, measured in turns on the same machine."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from resnet_paper import compute, data, models
from resnet_paper.data import BatchStream, Images
from resnet_paper.recipe import PAPER
from resnet_paper.train import Learner

IMAGES = 5_000
ROUND = 10  # iterations
ROUNDS = 7


def our_loop(network: str, device: str) -> Iterator[None]:
    """This package's training iterations, one at each step of the generator."""
    computing = compute.choose(device, iterations=PAPER.iterations)
    learner = Learner(models.build(network), PAPER, data.synthetic(IMAGES, seed=0), computing)
    stream = BatchStream(IMAGES, PAPER.batch_size, seed=0)
    start = 0
    while True:
        learner.load(stream.plan(start, ROUND), [PAPER.learning_rate] * ROUND)
        for _ in range(ROUND):
            learner.advance(1)
            yield
        learner.loss_sum.item()  # wait for the device
        start += ROUND


class Pictures(TorchDataset[tuple[torch.Tensor, int]]):
    """Images as a usual reproduction has them: one PIL picture at a time, transformed."""

    def __init__(self, images: Images) -> None:
        self.images = images
        self.transform = transforms.Compose(
            [
                transforms.ToPILImage(),
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.images.pixels[index]), int(self.images.labels[index])


def plain_loop(network: str, device: str) -> Iterator[None]:
    """The usual reproduction: float32, NCHW, a DataLoader with 2 workers, .item() each step."""
    device = compute.choose(device, "float32").device
    model = models.build(network).to(device)
    optimizer = torch.optim.SGD(
        model.parameters(), PAPER.learning_rate, PAPER.momentum, weight_decay=PAPER.weight_decay
    )
    loader = DataLoader(
        Pictures(data.synthetic(IMAGES, seed=0)),
        PAPER.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=2,
        persistent_workers=True,
    )
    loss_sum = 0.0
    while True:
        for images, labels in loader:
            logits = model(images.to(device))
            loss = F.cross_entropy(logits, labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.item()
            yield


def work(
    loop: Callable[[str, str], Iterator[None]], network: str, device: str, parent: Connection
) -> None:
    """In a process of its own: at each request run a round, and answer its seconds."""
    steps = loop(network, device)
    while parent.recv():
        start = time.perf_counter()
        for _ in range(ROUND):
            next(steps)
        parent.send(time.perf_counter() - start)


@contextmanager
def worker(loop: Callable[[str, str], Iterator[None]], *arguments: str) -> Iterator[Connection]:
    """A process that runs a loop's rounds on request."""
    context: Any = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=work, args=(loop, *arguments, there))
    process.start()
    there.close()
    try:
        yield here
        here.send(False)
        process.join(10)
    finally:
        process.terminate()


def compare(network: str, device: str) -> tuple[float, float]:
    """Seconds an iteration of our loop and of the plain one: medians of rounds taken in turns."""
    seconds: tuple[list[float], list[float]] = ([], [])
    with worker(our_loop, network, device) as ours, worker(plain_loop, network, device) as plain:
        for number in range(ROUNDS + 1):
            for connection, times in zip((ours, plain), seconds, strict=True):
                connection.send(True)
                elapsed = connection.recv()
                if number > 0:  # the first round compiles, and starts the DataLoader's workers
                    times.append(elapsed / ROUND)
    return statistics.median(seconds[0]), statistics.median(seconds[1])

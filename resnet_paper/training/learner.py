"""A network in training: iterations, evaluation and BN statistics on one device."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_paper.networks.batch_norm import BN_MOMENTUM, bn_statistics
from resnet_paper.runs.recipe import Recipe
from resnet_paper.training.backend import CAPTURE_WARMUPS, Backend
from resnet_paper.training.batches import BatchPlan, augment
from resnet_paper.training.images import Images, Normalisation

Work = TypeVar("Work", bound=Callable[..., Any])


class Tally(NamedTuple):
    """A sum of losses and a count of errors, kept on the device."""

    loss: Tensor  # float64
    wrong: Tensor  # int64

    @classmethod
    def zero(cls, device: str) -> Tally:
        loss = torch.zeros((), dtype=torch.float64, device=device)
        return cls(loss, torch.zeros((), dtype=torch.int64, device=device))

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a batch: the sum of its losses and its wrong answers; label -1 does not count."""
        self.loss.add_(loss)
        self.wrong.add_(((logits.argmax(1) != labels) & (labels >= 0)).sum())

    def mean(self, images: int) -> tuple[float, float]:
        """Mean loss (nats) and error (%) over some images."""
        return self.loss.item() / images, 100 * self.wrong.item() / images

    def reset(self) -> None:
        self.loss.zero_()
        self.wrong.zero_()


@dataclass(frozen=True)
class LearnerState:
    """All that training has changed in a learner, as tensors on the CPU."""

    weights: dict[str, Tensor]  # the network's state dict
    momentum: list[Tensor]  # in the order of the network's parameters
    tally: list[Tensor]  # of the iterations since the last measurement


def in_context(method: Work) -> Work:
    """A Learner's method in its `context`."""

    @functools.wraps(method)
    def wrapped(self: Learner, *arguments: Any) -> Any:
        with self.context():
            return method(self, *arguments)

    return cast(Work, wrapped)


class Learner:
    """A network, its optimiser, and the three pieces of work that training consists of.

    They are an iteration, an evaluation of a batch, and a batch's BN statistics. Each reads and
    writes tensors that stay where they are on the device, so that on CUDA each is captured once in
    a graph and replayed; `backend.captured` is the only place where CPU and GPU part. Nothing waits
    for the device until a loss or an error is read.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, train: Images, backend: Backend) -> None:
        backend.activate()
        device = backend.device
        self.recipe, self.backend = recipe, backend
        self.stream = backend.stream()
        self.enqueued: deque[torch.cuda.Event] = deque()  # an event at the end of each `advance`
        self.network = backend.prepare(network, recipe)
        self.compiled = backend.compiles(network, recipe)
        self.train = train.to(device)
        self.normalise = Normalisation.of(self.train, recipe.normalisation)
        self.rate = torch.zeros((), device=device)
        self.optimizer = torch.optim.SGD(
            self.network.parameters(),
            lr=self.rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        self.momentum = [torch.zeros_like(p) for p in self.network.parameters()]
        for parameter, buffer in zip(self.network.parameters(), self.momentum, strict=True):
            self.optimizer.state[parameter]["momentum_buffer"] = buffer

        capacity = max(
            recipe.measure_every,
            recipe.measure_every_in_warmup,
            recipe.statistics_batches,
            3 * CAPTURE_WARMUPS,
        )
        self.plan = BatchPlan.empty(capacity, recipe.batch_size, device)
        self.rates = torch.zeros(capacity, device=device)
        self.position = torch.zeros(1, dtype=torch.int64, device=device)  # in plan and rates
        at_once, shape = self.train.evaluation_batch, self.train.pixels.shape[1:]
        self.pixels = torch.zeros(at_once, *shape, dtype=torch.uint8, device=device)
        self.labels = torch.zeros(at_once, dtype=torch.int64, device=device)
        self.trained, self.evaluated = Tally.zero(device), Tally.zero(device)
        self.statistics = bn_statistics(self.network)
        self.statistics_sums = [torch.zeros_like(b) for b in self.statistics]
        if self.stream:  # the tensors above were made on another stream
            self.stream.wait_stream(torch.cuda.current_stream())
        self.capture()

    @in_context
    def capture(self) -> None:
        """Prepare the three pieces of work for execution; the network stays as it was."""
        before = self.state()
        self.execute_iteration = self.backend.captured(self.iteration)
        self.execute_evaluation = self.backend.captured(self.evaluate_loaded)
        if self.statistics:  # not every network has BN
            self.execute_statistics = self.backend.captured(self.add_statistics)
        if self.compiled and self.statistics:  # now, not hours later when it measures
            for work in (self.iteration, self.evaluate_loaded, self.add_statistics):
                work()
        self.restore(before)

    def iteration(self) -> None:
        """One update of the weights, by the batch and the learning rate at `position`."""
        self.network.train()
        images, labels = self.batch()
        self.rate.copy_(self.rates[self.position].squeeze())
        logits = self.backend.logits(self.network, images)
        loss = F.cross_entropy(logits, labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.trained.add(loss.detach() * len(labels), logits.detach(), labels)
        self.position += 1

    @torch.no_grad()
    def evaluate_loaded(self) -> None:
        """Loss and errors of the images in `pixels` and `labels`, but for those labelled -1."""
        self.network.eval()
        logits = self.backend.logits(self.network, self.normalise(self.pixels))
        loss = F.cross_entropy(logits, self.labels, ignore_index=-1, reduction="sum")
        self.evaluated.add(loss, logits, self.labels)

    @torch.no_grad()
    def add_statistics(self) -> None:
        """Add the BN statistics of the batch at `position` to their sums, times BN's momentum.

        BN's update is running = (1 - momentum) running + momentum batch, so that from zero a
        single batch leaves momentum times its statistics.
        """
        self.network.train()
        torch._foreach_zero_(self.statistics)
        images, _ = self.batch()
        self.backend.logits(self.network, images)
        torch._foreach_add_(self.statistics_sums, self.statistics)
        self.position += 1

    def batch(self) -> tuple[Tensor, Tensor]:
        """The augmented images and the labels of the batch at `position`."""
        padding = self.recipe.padding
        if self.stream and self.backend.fuses(self.network, self.recipe):
            from resnet_paper.training.fused.batches import augmented

            return augmented(self.train, self.plan, self.position, self.normalise, padding)
        indices, top, left, flip = self.plan.batch(self.position)
        images = self.normalise(self.train.pixels[indices])
        images = augment(images, top, left, flip, padding)
        return images, self.train.labels[indices]

    @in_context
    def load(self, plan: BatchPlan, rates: list[float]) -> None:
        """Take the next iterations: their batches and learning rates."""
        self.plan.copy_(plan)
        self.rates[: len(rates)].copy_(torch.tensor(rates))
        self.position.zero_()

    @in_context
    def advance(self, count: int) -> None:
        """Execute the next `count` of the loaded iterations."""
        for _ in range(count):
            self.execute_iteration()
        if self.stream:
            self.enqueued.append(self.stream.record_event())

    @property
    def ahead(self) -> int:
        """How many calls of `advance` the device has not finished; none on a CPU."""
        while self.enqueued and self.enqueued[0].query():
            self.enqueued.popleft()
        return len(self.enqueued)

    @property
    def busy(self) -> bool:
        """True while the device has work left; a CPU never has."""
        return self.stream is not None and not self.stream.query()

    @contextmanager
    def context(self) -> Iterator[None]:
        """Context manager: the backend is active, work goes to the CUDA stream if there is one."""
        self.backend.activate()
        with torch.cuda.stream(self.stream) if self.stream else nullcontext():
            yield

    @in_context
    def training_errors(self, images: int) -> tuple[float, float]:
        """Mean loss (nats) and error (%) over the images trained on since the last reset."""
        return self.trained.mean(images)

    @in_context
    def reset_training_errors(self) -> None:
        self.trained.reset()

    def evaluate(self, images: Images) -> Iterator[None]:
        """Add images to `evaluated`, unaugmented and in test mode; yields after each batch."""
        with self.context():
            self.evaluated.reset()
        for start in range(0, len(images), at_once := len(self.labels)):
            self.evaluate_batch(images[start : start + at_once])
            yield

    @in_context
    def evaluate_batch(self, batch: Images) -> None:
        """Add at most an evaluation batch of images to `evaluated`."""
        self.pixels[: len(batch)].copy_(batch.pixels)
        self.labels.fill_(-1)
        self.labels[: len(batch)].copy_(batch.labels)
        self.execute_evaluation()

    @in_context
    def evaluation_errors(self, images: int) -> tuple[float, float]:
        """Mean loss (nats) and error (%) over the images that were evaluated."""
        return self.evaluated.mean(images)

    @contextmanager
    def buffers_kept(self) -> Iterator[None]:
        """Context manager: the network's buffers, BN's statistics among them, are restored."""
        with self.context():
            saved = [buffer.clone() for buffer in self.network.buffers()]
        try:
            yield
        finally:
            with self.context():
                for buffer, value in zip(self.network.buffers(), saved, strict=True):
                    buffer.copy_(value)

    def recompute_statistics(self, plan: BatchPlan) -> Iterator[None]:
        """Set BN's statistics to the mean over a plan's batches of their means and variances.

        Yields after each batch. The plan replaces the loaded iterations, and other buffers change
        too, so `buffers_kept` stands around. Without BN it does nothing.
        """
        if not self.statistics:
            return
        self.load(plan, [])
        with self.context():
            torch._foreach_zero_(self.statistics_sums)
        for _ in range(len(plan)):
            with self.context():
                self.execute_statistics()
            yield
        with self.context():
            for buffer, total in zip(self.statistics, self.statistics_sums, strict=True):
                buffer.copy_(total / (BN_MOMENTUM * len(plan)))

    @in_context
    def state(self) -> LearnerState:
        """All that training has changed, as copies on the CPU."""
        network = {name: value.cpu().clone() for name, value in self.network.state_dict().items()}
        momentum = [buffer.cpu().clone() for buffer in self.momentum]
        return LearnerState(network, momentum, [value.cpu().clone() for value in self.trained])

    @in_context
    def restore(self, state: LearnerState) -> None:
        """Put a state back, in place."""
        self.network.load_state_dict(state.weights)
        self.position.zero_()
        self.evaluated.reset()
        here, stored = [*self.momentum, *self.trained], [*state.momentum, *state.tally]
        for value, kept in zip(here, stored, strict=True):
            value.copy_(kept)

"""Train a run from its last checkpoint to its end."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from resnet_paper import models
from resnet_paper.compute import Computing, revision
from resnet_paper.data import BatchStream, Dataset, Images, Normalisation, Plan, augment
from resnet_paper.errors import UserError
from resnet_paper.recipe import Recipe, learning_rate
from resnet_paper.runs import MOVE_AWAY, Run, write

EVALUATION_BATCH = 250
BN_MOMENTUM = 0.1  # torch's default
ITERATIONS_AT_ONCE = {"cpu": 1, "cuda": 100}  # between two looks at the clock and the keyboard


@dataclass
class State:
    """Where a run stands, besides its network and optimiser: all that a checkpoint adds to them."""

    warmup_end: int | None  # the iteration at which warming up ended; None while it goes on
    iteration: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0  # of training and measuring, over all sittings

    @property
    def warming_up(self) -> bool:
        return self.warmup_end is None

    @property
    def measured(self) -> int:
        """The iteration of the last measurement."""
        return self.rows[-1]["iteration"] if self.rows else 0


@dataclass(frozen=True)
class Progress:
    """How far a run has come; `row` is there where it has just been measured."""

    iteration: int
    images_per_second: float
    seconds_left: float
    row: dict[str, Any] | None = None


class Learner:
    """A network in training: executes planned iterations and evaluates.

    `advance` is the only place where a training iteration is executed. Everything it reads or
    writes lives in tensors on the device: nothing waits for the device until errors are read.
    """

    def __init__(
        self, network: models.Network, recipe: Recipe, train: Images, computing: Computing
    ) -> None:
        device = computing.device
        self.recipe, self.computing = recipe, computing
        self.network = computing.prepare(network)
        self.normalise = Normalisation.of(train).to(device)
        self.train = train.to(device)
        self.optimizer = torch.optim.SGD(
            self.network.parameters(),
            lr=torch.zeros((), device=device),
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.wrong = torch.zeros((), dtype=torch.int64, device=device)
        self.position = torch.zeros(1, dtype=torch.int64, device=device)
        self.plan: Plan
        self.rates: Tensor

    def load(self, plan: Plan, rates: list[float]) -> None:
        """Take up the next iterations: their batches and learning rates."""
        self.plan = plan.to(self.computing.device)
        self.rates = torch.tensor(rates, device=self.computing.device)
        self.position.zero_()

    def advance(self, count: int) -> None:
        """Execute the next `count` of the loaded iterations."""
        self.network.train()
        for _ in range(count):
            self.iteration()

    def iteration(self) -> None:
        """One update of the weights, by the batch and the learning rate at `position`."""
        images, labels = self.batch(self.plan, self.position)
        self.optimizer.param_groups[0]["lr"].copy_(self.rates[self.position].squeeze())
        logits = self.computing.logits(self.network, images)
        loss = F.cross_entropy(logits, labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.loss_sum += loss.detach() * len(labels)
        self.wrong += (logits.detach().argmax(1) != labels).sum()
        self.position += 1

    def batch(self, plan: Plan, position: Tensor) -> tuple[Tensor, Tensor]:
        """The augmented images and the labels of a batch of a plan."""
        indices, top, left, flip = plan.batch(position)
        images = self.normalise(self.train.pixels[indices])
        images = augment(images, top, left, flip, self.recipe.padding)
        return images, self.train.labels[indices]

    def training_errors(self, images: int) -> tuple[float, float]:
        """Mean loss (nats) and error (%) over the images trained on since the last call."""
        loss, error = self.loss_sum.item() / images, 100 * self.wrong.item() / images
        self.loss_sum.zero_()
        self.wrong.zero_()
        return loss, error

    @torch.no_grad()
    def evaluate(self, images: Images) -> tuple[float, float]:
        """Mean loss (nats) and error (%) in test mode, without augmentation."""
        self.network.eval()
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.computing.device)
        wrong = torch.zeros((), dtype=torch.int64, device=self.computing.device)
        for start in range(0, len(images), EVALUATION_BATCH):
            batch = images[start : start + EVALUATION_BATCH].to(self.computing.device)
            logits = self.computing.logits(self.network, self.normalise(batch.pixels))
            loss_sum += F.cross_entropy(logits, batch.labels, reduction="sum")
            wrong += (logits.argmax(1) != batch.labels).sum()
        return loss_sum.item() / len(images), 100 * wrong.item() / len(images)

    @contextmanager
    def precise_statistics(self, plan: Plan) -> Iterator[None]:
        """Within, BN uses the mean over a plan's batches of their means and variances.

        BN's update is running = (1 - momentum) running + momentum batch, so that from zero a
        single batch leaves momentum times its statistics.
        """
        saved = [buffer.clone() for buffer in self.network.buffers()]
        running = [b for b in self.network.buffers() if b.is_floating_point()]
        sums = [torch.zeros_like(buffer) for buffer in running]
        plan = plan.to(self.computing.device)
        self.network.train()
        with torch.no_grad():
            for position in range(len(plan)):
                torch._foreach_zero_(running)
                images, _ = self.batch(plan, torch.tensor([position], device=self.position.device))
                self.computing.logits(self.network, images)
                torch._foreach_add_(sums, running)
            for buffer, total in zip(running, sums, strict=True):
                buffer.copy_(total / (BN_MOMENTUM * len(plan)))
        try:
            yield
        finally:
            for buffer, value in zip(self.network.buffers(), saved, strict=True):
                buffer.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "loss_sum": self.loss_sum,
            "wrong": self.wrong,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.loss_sum.copy_(state["loss_sum"])
        self.wrong.copy_(state["wrong"])


def train(
    run: Run, recipe: Recipe, dataset: Dataset, computing: Computing
) -> Generator[Progress, None, None]:
    """Train a run to its end, from its last checkpoint if it has one.

    A generator that yields between iterations; closing it leaves a checkpoint of that iteration.
    Raises UserError if the run's directory holds another run, is damaged, or is in use.
    """
    with run.locked():
        learner = Learner(models.build(run.network, run.seed), recipe, dataset.train, computing)
        stream = BatchStream(len(dataset.train), recipe.batch_size, run.seed, recipe.padding)
        state = State(None if models.depth(run.network) >= recipe.warmup_depth else 0)
        record = begin(run, recipe, learner, state)
        clock = Clock(state, recipe)
        try:
            while state.iteration < recipe.iterations:
                target = recipe.next_measurement(state.iteration, state.warming_up)
                rates = [
                    learning_rate(recipe, iteration, state.warming_up)
                    for iteration in range(state.iteration, target)
                ]
                learner.load(stream.plan(state.iteration, len(rates)), rates)
                while state.iteration < target:
                    count = min(ITERATIONS_AT_ONCE[computing.device], target - state.iteration)
                    learner.advance(count)
                    state.iteration += count
                    if state.iteration < target:
                        yield clock.progress()
                measure(learner, state, stream, dataset, rates[-1])
                clock.tick()
                save_checkpoint(run, record, learner, state)
                yield clock.progress(state.rows[-1])
        except GeneratorExit:
            clock.tick()
            save_checkpoint(run, record, learner, state)
            raise
        finish(run, record, learner, state, stream, dataset)


class Clock:
    """The seconds of a run, over all its sittings, and what they say of the time left."""

    def __init__(self, state: State, recipe: Recipe) -> None:
        self.state, self.recipe = state, recipe
        self.first_iteration, self.seconds_before = state.iteration, state.seconds
        self.began = time.monotonic()

    def tick(self) -> None:
        self.state.seconds = self.seconds_before + time.monotonic() - self.began
        if self.state.measured == self.state.iteration:
            self.state.rows[-1]["seconds"] = round(self.state.seconds, 1)

    def progress(self, row: dict[str, Any] | None = None) -> Progress:
        done = self.state.iteration - self.first_iteration
        per_iteration = (time.monotonic() - self.began) / done
        return Progress(
            self.state.iteration,
            self.recipe.batch_size / per_iteration,
            per_iteration * (self.recipe.iterations - self.state.iteration),
            row,
        )


def measure(
    learner: Learner, state: State, stream: BatchStream, dataset: Dataset, rate: float
) -> None:
    """Append a row of curve.csv; end the warm-up if the training error allows."""
    recipe = learner.recipe
    trained_on = (state.iteration - state.measured) * recipe.batch_size
    train_loss, train_error = learner.training_errors(trained_on)
    test_loss, test_error = learner.evaluate(dataset.test)
    val_error = learner.evaluate(dataset.held_out)[1] if len(dataset.held_out) else None
    with learner.precise_statistics(stream.plan(0, recipe.statistics_batches)):
        test_error_precise = learner.evaluate(dataset.test)[1]
        train_error_clean = learner.evaluate(dataset.train[: recipe.clean_images])[1]
    state.rows.append(
        {
            "iteration": state.iteration,
            "learning_rate": rate,
            "train_loss": round(train_loss, 6),
            "train_error": round(train_error, 4),
            "train_error_clean": round(train_error_clean, 4),
            "val_error": None if val_error is None else round(val_error, 4),
            "test_loss": round(test_loss, 6),
            "test_error": round(test_error, 4),
            "test_error_precise": round(test_error_precise, 4),
            "seconds": 0.0,
        }
    )
    if state.warming_up and train_error < recipe.warmup_error:
        state.warmup_end = state.iteration


def begin(run: Run, recipe: Recipe, learner: Learner, state: State) -> dict[str, Any]:
    """Write a new run's run.json, or take up an old run where its checkpoint left it."""
    record = {
        "network": run.network,
        "parameters": models.parameters(learner.network),
        "seed": run.seed,
        "settings": run.settings,
        "recipe": json.loads(json.dumps(asdict(recipe))),
        "computed": learner.computing.record(),
        "revision": revision(),
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "resumed": [],
        "finished": False,
    }
    checkpoint = load_checkpoint(run)
    before = run.record() if checkpoint is None else checkpoint["record"]
    if before is not None:
        refuse_another(run, before, record)
    if checkpoint is not None:
        here = {key: record[key] for key in ("computed", "revision", "started")}
        record = {**checkpoint["record"]}
        record["resumed"] = [*record["resumed"], {"iteration": checkpoint["iteration"], **here}]
        torch.set_num_threads(record["computed"]["threads"])
        learner.load_state_dict(checkpoint)
        state.iteration, state.warmup_end = checkpoint["iteration"], checkpoint["warmup_end"]
        state.rows, state.seconds = checkpoint["rows"], checkpoint["seconds"]
        run.write_curve(state.rows)
    run.write_record(record)
    return record


def seconds_per_iteration(
    network: str, recipe: Recipe, dataset: Dataset, computing: Computing
) -> float:
    """The time of a training iteration here: the best of a few."""
    learner = Learner(models.build(network), recipe, dataset.train, computing)
    repeats = 4
    stream = BatchStream(len(dataset.train), recipe.batch_size, seed=0, padding=recipe.padding)
    learner.load(stream.plan(0, repeats), [recipe.warmup_learning_rate] * repeats)
    seconds = []
    for _ in range(repeats):
        start = time.monotonic()
        learner.advance(1)
        learner.loss_sum.item()  # wait for the device
        seconds.append(time.monotonic() - start)
    return min(seconds)


def refuse_another(run: Run, before: dict[str, Any], now: dict[str, Any]) -> None:
    """UserError, naming the first difference, unless both records are of one and the same run."""

    def identity(record: dict[str, Any]) -> dict[str, Any]:
        computed = {key: record["computed"][key] for key in ("device", "precision", "compiled")}
        fixed = {key: record[key] for key in ("network", "parameters", "seed", "settings")}
        return {**fixed, **record["recipe"], **computed}

    try:
        old, new = identity(before), identity(now)
    except (KeyError, TypeError) as error:
        raise UserError(f"{run.directory} holds no run that is known here: {MOVE_AWAY}") from error
    for key in {**old, **new}:
        if old.get(key) != new.get(key):
            raise UserError(
                f"{run.directory} holds a run begun with {key} {old.get(key)}, not "
                f"{new.get(key)}: go on as it began, or choose another directory by RUNS (--runs)"
            )


def save_checkpoint(run: Run, record: dict[str, Any], learner: Learner, state: State) -> None:
    """The one commit point of a run: all that it needs to go on, followed by its SHA-256."""
    buffer = io.BytesIO()
    torch.save({"record": record, **asdict(state), **learner.state_dict()}, buffer)
    content = buffer.getvalue()
    write(run.checkpoint_file, content + hashlib.sha256(content).digest())
    run.write_curve(state.rows)


def load_checkpoint(run: Run) -> dict[str, Any] | None:
    """A run's checkpoint, or None where there is none. Raises UserError if it is damaged."""
    path = run.checkpoint_file
    if not path.exists():
        return None
    try:
        stored = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): {MOVE_AWAY}") from error
    content, digest = stored[:-32], stored[-32:]
    if hashlib.sha256(content).digest() != digest:
        raise UserError(f"{path} is damaged: {MOVE_AWAY}, or put back a copy")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def finish(
    run: Run,
    record: dict[str, Any],
    learner: Learner,
    state: State,
    stream: BatchStream,
    dataset: Dataset,
) -> None:
    """Write the weights, then run.json with the final errors; then the checkpoint is not needed."""
    recipe, last = learner.recipe, state.rows[-1]
    with learner.precise_statistics(stream.plan(0, recipe.statistics_batches)):
        train_error_clean = learner.evaluate(dataset.train)[1]
    buffer = io.BytesIO()
    torch.save(learner.network.state_dict(), buffer)
    digests = {
        "weights.pt": write(run.weights_file, buffer.getvalue()),
        "curve.csv": run.write_curve(state.rows),
    }
    run.write_record(
        {
            **record,
            "seconds": round(state.seconds, 1),
            "images_per_second": round(state.iteration * recipe.batch_size / state.seconds, 1),
            "warmup_end": state.warmup_end,
            "test_error": last["test_error"],
            "test_error_precise": last["test_error_precise"],
            "test_loss": last["test_loss"],
            "val_error": last["val_error"],
            "train_error_clean": round(train_error_clean, 4),
            "sha256": digests,
            "finished": True,
        }
    )
    run.checkpoint_file.unlink(missing_ok=True)

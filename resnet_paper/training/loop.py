"""Train a run from its last checkpoint to its end."""

from __future__ import annotations

import functools
import hashlib
import io
import math
import time
from collections import ChainMap
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any, NamedTuple, TypeVar, cast

import click
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_paper.errors import UserError
from resnet_paper.networks import counts
from resnet_paper.networks.build import build
from resnet_paper.runs.recipe import Recipe, learning_rate
from resnet_paper.runs.run import MOVE_AWAY, Run, as_json, recorded_recipe, write
from resnet_paper.training.backend import CAPTURE_REHEARSALS, Computing, revision
from resnet_paper.training.data import (
    EVALUATION_BATCH,
    BatchStream,
    Dataset,
    Images,
    Normalisation,
    Plan,
    augment,
)

BN_MOMENTUM = 0.1  # torch's default
CHECKPOINT_KEYS = (
    "record",
    "iteration",
    "warmup_end",
    "rows",
    "seconds",
    "weights",
    "momentum",
    "tally",
)
Method = TypeVar("Method", bound=Callable[..., Any])
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
    def diverged(self) -> bool:
        """Whether the training loss has become infinite or no number."""
        return bool(self.rows) and not math.isfinite(self.rows[-1]["train_loss"])

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


def on_stream(method: Method) -> Method:
    """Have a Learner's method enqueue its work on the learner's own CUDA stream, if it has one."""

    @functools.wraps(method)
    def wrapped(self: Learner, *arguments: Any) -> Any:
        with torch.cuda.stream(self.stream) if self.stream else nullcontext():
            return method(self, *arguments)

    return cast(Method, wrapped)


class Learner:
    """A network in training: executes planned iterations and evaluates.

    Three pieces of work make up all its computing: an iteration, an evaluation of a batch, and a
    batch's BN statistics. Each reads and writes tensors that stay where they are on the device, so
    that on CUDA each is captured once in a graph and replayed; `computing.captured` is the only
    place where CPU and GPU part. Nothing waits for the device until a loss or an error is read.
    """

    def __init__(
        self, network: nn.Module, recipe: Recipe, train: Images, computing: Computing
    ) -> None:
        device = computing.device
        self.recipe, self.computing = recipe, computing
        self.stream = computing.stream()
        self.network = computing.prepare(network)
        self.train = train.to(device)
        self.normalise = Normalisation.of(self.train, recipe)
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

        room = max(recipe.measure_every, recipe.statistics_batches, 3 * CAPTURE_REHEARSALS)
        self.plan = Plan.empty(room, recipe.batch_size, device)
        self.rates = torch.zeros(room, device=device)
        self.position = torch.zeros(1, dtype=torch.int64, device=device)  # in plan and rates
        self.pixels = torch.zeros(EVALUATION_BATCH, *train.pixels.shape[1:], device=device).byte()
        self.labels = torch.zeros(EVALUATION_BATCH, dtype=torch.int64, device=device)
        self.training, self.evaluation = Tally.zero(device), Tally.zero(device)
        self.statistics = [b for b in self.network.buffers() if b.is_floating_point()]
        self.statistics_sums = [torch.zeros_like(b) for b in self.statistics]
        if self.stream:  # the tensors above were made on another stream
            self.stream.wait_stream(torch.cuda.current_stream())
        self.capture()

    @on_stream
    def capture(self) -> None:
        """Make the three pieces of work ready to be executed, and leave the network as it was."""
        before = self.state_dict()
        self.execute_iteration = self.computing.captured(self.iteration)
        self.execute_evaluation = self.computing.captured(self.evaluate_batch)
        if self.statistics:  # not every network has BN
            self.execute_statistics = self.computing.captured(self.add_statistics)
        self.load_state_dict(before)

    def iteration(self) -> None:
        """One update of the weights, by the batch and the learning rate at `position`."""
        self.network.train()
        images, labels = self.batch()
        self.rate.copy_(self.rates[self.position].squeeze())
        logits = self.computing.logits(self.network, images)
        loss = F.cross_entropy(logits, labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.training.add(loss.detach() * len(labels), logits.detach(), labels)
        self.position += 1

    @torch.no_grad()
    def evaluate_batch(self) -> None:
        """Loss and errors of the images in `pixels` and `labels`, but for those labelled -1."""
        self.network.eval()
        logits = self.computing.logits(self.network, self.normalise(self.pixels))
        loss = F.cross_entropy(logits, self.labels, ignore_index=-1, reduction="sum")
        self.evaluation.add(loss, logits, self.labels)

    @torch.no_grad()
    def add_statistics(self) -> None:
        """Add the BN statistics of the batch at `position` to their sums, times BN's momentum.

        BN's update is running = (1 - momentum) running + momentum batch, so that from zero a
        single batch leaves momentum times its statistics.
        """
        self.network.train()
        torch._foreach_zero_(self.statistics)
        images, _ = self.batch()
        self.computing.logits(self.network, images)
        torch._foreach_add_(self.statistics_sums, self.statistics)
        self.position += 1

    def batch(self) -> tuple[Tensor, Tensor]:
        """The augmented images and the labels of the batch at `position`."""
        indices, top, left, flip = self.plan.batch(self.position)
        images = self.normalise(self.train.pixels[indices])
        images = augment(images, top, left, flip, self.recipe.padding)
        return images, self.train.labels[indices]

    @on_stream
    def load(self, plan: Plan, rates: list[float]) -> None:
        """Take up the next iterations: their batches and learning rates."""
        self.plan.copy_(plan)
        self.rates[: len(rates)].copy_(torch.tensor(rates))
        self.position.zero_()

    @on_stream
    def advance(self, count: int) -> None:
        """Execute the next `count` of the loaded iterations."""
        for _ in range(count):
            self.execute_iteration()

    @property
    def busy(self) -> bool:
        """Whether the device has not done yet what it was given; a CPU always has."""
        return self.stream is not None and not self.stream.query()

    @on_stream
    def training_errors(self, images: int) -> tuple[float, float]:
        """Mean loss (nats) and error (%) over the images trained on since the last call."""
        return self.training.read(images)

    @on_stream
    def evaluate(self, images: Images) -> tuple[float, float]:
        """Mean loss (nats) and error (%) in test mode, without augmentation."""
        for start in range(0, len(images), EVALUATION_BATCH):
            batch = images[start : start + EVALUATION_BATCH]
            self.pixels[: len(batch)].copy_(batch.pixels)
            self.labels.fill_(-1)
            self.labels[: len(batch)].copy_(batch.labels)
            self.execute_evaluation()
        return self.evaluation.read(len(images))

    @contextmanager
    def precise_statistics(self, plan: Plan) -> Iterator[None]:
        """Within, BN uses the mean over a plan's batches of their means and variances.

        It takes the place of the loaded iterations. Without BN it changes nothing.
        """
        if not self.statistics:
            yield
            return
        saved = self.average_statistics(plan)
        try:
            yield
        finally:
            self.restore_statistics(saved)

    @on_stream
    def average_statistics(self, plan: Plan) -> list[Tensor]:
        saved = [buffer.clone() for buffer in self.network.buffers()]
        self.load(plan, [])
        torch._foreach_zero_(self.statistics_sums)
        for _ in range(len(plan)):
            self.execute_statistics()
        for buffer, total in zip(self.statistics, self.statistics_sums, strict=True):
            buffer.copy_(total / (BN_MOMENTUM * len(plan)))
        return saved

    @on_stream
    def restore_statistics(self, saved: list[Tensor]) -> None:
        for buffer, value in zip(self.network.buffers(), saved, strict=True):
            buffer.copy_(value)

    @on_stream
    def state_dict(self) -> dict[str, Any]:
        """All that training has changed, as copies on the CPU."""
        network = {name: value.cpu().clone() for name, value in self.network.state_dict().items()}
        momentum = [buffer.cpu().clone() for buffer in self.momentum]
        tally = [value.cpu().clone() for value in self.training]
        return {"weights": network, "momentum": momentum, "tally": tally}

    @on_stream
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what `state_dict` gave, in place."""
        self.network.load_state_dict(state["weights"])
        self.position.zero_()
        here = [*self.momentum, *self.training, *self.evaluation]
        zeros = [torch.zeros_like(value) for value in self.evaluation]
        for value, stored in zip(here, [*state["momentum"], *state["tally"], *zeros], strict=True):
            value.copy_(stored)


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

    def read(self, images: int) -> tuple[float, float]:
        """Mean loss (nats) and error (%) over some images; begin anew."""
        loss, error = self.loss.item() / images, 100 * self.wrong.item() / images
        self.loss.zero_()
        self.wrong.zero_()
        return loss, error


def train(
    run: Run, recipe: Recipe, dataset: Dataset, computing: Computing
) -> Generator[Progress, None, None]:
    """Train a run to its end, from its last checkpoint if it has one.

    A generator that yields between iterations; closing it leaves a checkpoint of that iteration.
    Raises UserError if the run's directory holds another run, is damaged, or is in use.
    """
    with run.locked():
        if run.finished_by(recipe):  # by another process, while this one was busy
            return
        learner = Learner(build(run.network, run.seed), recipe, dataset.train, computing)
        stream = BatchStream(len(dataset.train), recipe.batch_size, run.seed, recipe.padding)
        state = State(None if counts.depth(learner.network) >= recipe.warmup_depth else 0)
        record = begin(run, recipe, learner, state)
        clock = Clock(state, recipe)
        try:
            while state.measured < recipe.iterations and not state.diverged:
                target = recipe.next_measurement(state.measured, state.warming_up)
                yield from advance(learner, state, stream, target, clock)
                measure(learner, state, stream, dataset)
                clock.tick()
                save_checkpoint(run, record, learner, state)
                yield clock.progress(state.rows[-1])
        except GeneratorExit:
            clock.tick()
            save_checkpoint(run, record, learner, state)
            raise
        finish(run, record, learner, state, stream, dataset)


def advance(
    learner: Learner, state: State, stream: BatchStream, target: int, clock: Clock
) -> Iterator[Progress]:
    """Train up to an iteration, a few iterations at a time; yield between them."""
    if state.iteration < target:
        rates = [
            learning_rate(learner.recipe, iteration, state.warming_up)
            for iteration in range(state.iteration, target)
        ]
        learner.load(stream.plan(state.iteration, len(rates)), rates)
    while state.iteration < target:
        count = min(ITERATIONS_AT_ONCE[learner.computing.device], target - state.iteration)
        learner.advance(count)
        state.iteration += count
        yield clock.progress()
    while learner.busy:
        time.sleep(1e-4)
        yield clock.progress()


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
        per_iteration = (time.monotonic() - self.began) / max(done, 1)
        return Progress(
            self.state.iteration,
            self.recipe.batch_size / per_iteration,
            per_iteration * (self.recipe.iterations - self.state.iteration),
            row,
        )


def measure(learner: Learner, state: State, stream: BatchStream, dataset: Dataset) -> None:
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
            "learning_rate": learning_rate(recipe, state.iteration - 1, state.warming_up),
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


def new_record(
    run: Run, recipe: Recipe, network: nn.Module, computing: Computing
) -> dict[str, Any]:
    """What run.json says of a run that begins here and now."""
    return {
        "network": run.network,
        "parameters": counts.parameters(network),
        "seed": run.seed,
        "settings": run.settings,
        "recipe": as_json(recipe),
        "computed": computing.record(network),
        "revision": revision(),
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "resumed": [],
        "finished": False,
    }


def own_checkpoint(run: Run, record: dict[str, Any]) -> dict[str, Any] | None:
    """The checkpoint that a run with this new record goes on from, or None where it has none.

    Raises UserError if its directory holds another run, or what is left of it is damaged.
    """
    checkpoint = load_checkpoint(run)
    before = run.record() if checkpoint is None else checkpoint["record"]
    if before is not None:
        refuse_another(run, before, record, trained=checkpoint is not None)
    if checkpoint is None and (run.directory / "curve.csv").exists():
        raise UserError(f"{run.directory} has a curve but no checkpoint to go on from: {MOVE_AWAY}")
    return checkpoint


def refuse_what_cannot_go_on(run: Run, recipe: Recipe, computing: Computing) -> None:
    """UserError, as `train` would raise it, unless another process has just finished the run."""
    record = new_record(run, recipe, build(run.network), computing)
    try:
        own_checkpoint(run, record)
    except UserError:
        if not run.finished_by(recipe):
            raise


def begin(run: Run, recipe: Recipe, learner: Learner, state: State) -> dict[str, Any]:
    """Write a new run's run.json, or take up an old run where its checkpoint left it."""
    record = new_record(run, recipe, learner.network, learner.computing)
    checkpoint = own_checkpoint(run, record)
    if checkpoint is not None:
        here = {key: record[key] for key in ("computed", "revision", "started")}
        record = {**checkpoint["record"]}
        record["resumed"] = [*record["resumed"], {"iteration": checkpoint["iteration"], **here}]
        sittings = [checkpoint["record"], *checkpoint["record"]["resumed"]]
        earliest_known = ChainMap(*(sitting["computed"] for sitting in sittings))
        warn_of_another_environment(run, earliest_known, here["computed"])
        learner.load_state_dict(checkpoint)
        state.iteration, state.warmup_end = checkpoint["iteration"], checkpoint["warmup_end"]
        state.rows, state.seconds = checkpoint["rows"], checkpoint["seconds"]
        run.write_curve(state.rows)
    torch.set_num_threads(record["computed"]["threads"])
    run.write_record(record)
    return record


def seconds_per_iteration(
    network: str, recipe: Recipe, dataset: Dataset, computing: Computing
) -> float:
    """The time of a training iteration here: the best of a few.

    On CUDA of a few times 20 iterations, which wake up the GPU and are not waited for singly.
    """
    count = min(20, recipe.measure_every) if computing.device == "cuda" else 1
    learner = Learner(build(network), recipe, dataset.train, computing)
    stream = BatchStream(len(dataset.train), recipe.batch_size, seed=0, padding=recipe.padding)
    seconds = []
    for _ in range(4):
        learner.load(stream.plan(0, count), [recipe.warmup_learning_rate] * count)
        start = time.monotonic()
        learner.advance(count)
        learner.training_errors(count * recipe.batch_size)  # waits for the device
        seconds.append((time.monotonic() - start) / count)
    if learner.stream:  # nothing may be pending when the learner's memory is given back
        learner.stream.synchronize()
    return min(seconds)


def refuse_another(run: Run, before: dict[str, Any], now: dict[str, Any], trained: bool) -> None:
    """UserError, naming the first difference, unless both records are of one and the same run."""

    def identity(record: dict[str, Any]) -> dict[str, Any]:
        fixed = {key: record.get(key) for key in ("network", "parameters", "seed", "settings")}
        path = ("device", "precision", "compiled") if trained else ()
        return {
            **fixed,
            **recorded_recipe(record),
            **{key: record["computed"].get(key) for key in path},
        }

    old, new = identity(before), identity(now)
    for key in {**old, **new}:
        if old.get(key) != new.get(key):
            raise UserError(
                f"{run.directory} holds a run begun with {key} {old.get(key)}, not "
                f"{new.get(key)}: go on as it began, or choose another directory by RUNS (--runs)"
            )


def warn_of_another_environment(run: Run, before: Mapping[str, Any], now: dict[str, Any]) -> None:
    """Say that a run goes on where its bits may come out differently; run.json says so too."""
    for key in ("torch", "numpy", "device_name"):
        if before.get(key, now[key]) != now[key]:
            click.echo(
                f"{run} was begun with {key} {before[key]} and goes on with {now[key]}: from here "
                "on it may differ in its last bits from a run that was not interrupted",
                err=True,
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
    checkpoint = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if not all(key in checkpoint for key in CHECKPOINT_KEYS):
        raise UserError(f"{path} is of another version of this program: {MOVE_AWAY}")
    return checkpoint


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
    torch.save(learner.state_dict()["weights"], buffer)
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
            "diverged": state.iteration if state.diverged else None,
            "test_error": last["test_error"],
            "test_error_precise": last["test_error_precise"],
            "test_loss": last["test_loss"] if math.isfinite(last["test_loss"]) else None,
            "val_error": last["val_error"],
            "train_error_clean": round(train_error_clean, 4),
            "sha256": digests,
            "finished": True,
        }
    )
    run.checkpoint_file.unlink(missing_ok=True)

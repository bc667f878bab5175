"""Train a run from its last checkpoint to its end."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

import torch

from resnet_paper.networks import counts
from resnet_paper.networks.build import build
from resnet_paper.runs.files import write
from resnet_paper.runs.recipe import Recipe, learning_rate
from resnet_paper.runs.record import JSON, Measurement
from resnet_paper.runs.run import Run
from resnet_paper.training import checkpoint
from resnet_paper.training.backend import Backend
from resnet_paper.training.batches import BatchStream
from resnet_paper.training.checkpoint import State
from resnet_paper.training.clock import clock
from resnet_paper.training.images import Dataset, Images
from resnet_paper.training.learner import Learner

CHECKPOINT_EVERY = 300.0  # seconds: the most that a killed run loses, besides a measurement
# Between two looks at the clock and the keyboard: iterations, and batches of an evaluation.
ITERATIONS_AT_ONCE = {"cpu": 1, "cuda": 3}
BATCHES_AT_ONCE = {"cpu": 1, "cuda": 20}
# Of those, how many a GPU is given before it has finished the first. A launch waits while its
# stream has some 80 ms of work, 13 iterations of ResNet-56 on an H200, and so do the other runs;
# beside a deeper network they still wait at times.
MOST_AHEAD = 4


@dataclass(frozen=True)
class Progress:
    """How far a run has come; `row` is there where it has just been measured."""

    iteration: int
    images_per_second: float
    seconds_left: float
    row: Measurement | None = None


Steps = Generator[Progress, None, None]


def train(
    run: Run, recipe: Recipe, dataset: Dataset, backend: Backend, concurrent: int = 1
) -> Steps:
    """Train a run to its end, from its last checkpoint if it has one.

    A generator that yields between iterations and between the batches of an evaluation; closing it
    leaves a checkpoint of the iteration that it has reached. concurrent: how many runs share the
    device, for the record. Raises UserError if the run's directory holds another run, is damaged,
    or is in use.
    """
    with run.locked():
        if run.is_finished_with(recipe):  # by another process, while this one was busy
            return
        recipe = recipe.for_network(run.network)
        training = begin(run, recipe, dataset, backend, concurrent)
        try:
            while not training.ended:
                yield from training.advance()
                yield from training.measure()
            yield from training.finish()
        except GeneratorExit:
            training.save()
            raise


def begin(
    run: Run, recipe: Recipe, dataset: Dataset, backend: Backend, concurrent: int
) -> Training:
    """A run's training at its first iteration or where its checkpoint left it; writes run.json.

    A resumed run computes with as many threads as it was begun with.
    """
    point = checkpoint.resume_point(run, recipe, backend)
    if point is not None:
        backend = replace(backend, threads=point.record.environment.threads)
    network = build(run.network, run.seed, recipe.classes, recipe.channels)
    learner = Learner(network, recipe, dataset.train, backend)
    content = checkpoint.new_record(run, recipe, learner.network, backend, concurrent)
    if point is not None:
        content, state = checkpoint.resumed(run, point, content), point.state
        learner.restore(point.learner)
        run.write_curve(state.rows)
    else:
        state = State(None if counts.depth(learner.network) >= recipe.warmup_depth else 0)
    run.write_record(content)
    return Training(run, recipe, content, learner, state, dataset)


class Training:
    """One sitting of a run: its learner, its state, and the time that it takes."""

    def __init__(
        self,
        run: Run,
        recipe: Recipe,
        content: JSON,
        learner: Learner,
        state: State,
        dataset: Dataset,
    ) -> None:
        self.run, self.recipe, self.content = run, recipe, content
        self.learner, self.state, self.dataset = learner, state, dataset
        self.stream = BatchStream.of(recipe, len(dataset.train), run.seed)
        self.first_iteration, self.seconds_before = state.iteration, state.seconds
        self.began = self.saved = clock.now()

    @property
    def ended(self) -> bool:
        return self.state.measured >= self.recipe.iterations or self.state.diverged

    def advance(self) -> Iterator[Progress]:
        """Train up to the next measurement."""
        state, learner = self.state, self.learner
        target = self.recipe.next_measurement(state.measured, state.warming_up)
        rates = [
            learning_rate(self.recipe, iteration, state.warming_up)
            for iteration in range(state.iteration, target)
        ]
        if rates:
            learner.load(self.stream.plan(state.iteration, len(rates)), rates)
        while state.iteration < target:
            count = min(ITERATIONS_AT_ONCE[learner.backend.device], target - state.iteration)
            learner.advance(count)
            state.iteration += count
            if clock.now() - self.saved > CHECKPOINT_EVERY:
                self.save()
            yield self.progress()
            while learner.ahead >= MOST_AHEAD:
                time.sleep(1e-4)
                yield self.progress()
        yield from self.wait()

    def wait(self) -> Iterator[Progress]:
        """Until the device has done what it was given, while other runs have their turns."""
        while self.learner.busy:
            time.sleep(1e-4)
            yield self.progress()

    def measure(self) -> Iterator[Progress]:
        """Append a row of curve.csv and save it; end the warm-up if the training error allows.

        What training has summed up is reset only when the row is there, so that a stop in between
        loses nothing.
        """
        state, recipe, dataset = self.state, self.recipe, self.dataset
        trained_on = (state.iteration - state.measured) * recipe.batch_size
        train_loss, train_error = self.learner.training_errors(trained_on)
        test_loss, test_error = yield from self.evaluate(dataset.test)
        val_error = None
        if len(dataset.validation):
            val_error = (yield from self.evaluate(dataset.validation))[1]
        with self.learner.buffers_kept():
            yield from self.use_precise_statistics()
            test_error_precise = (yield from self.evaluate(dataset.test))[1]
            unaugmented = dataset.train[: recipe.unaugmented_images]
            train_error_clean = (yield from self.evaluate(unaugmented))[1]
        state.seconds = self.seconds
        row = Measurement(
            iteration=state.iteration,
            learning_rate=learning_rate(recipe, state.iteration - 1, state.warming_up),
            train_loss=round(train_loss, 6),
            train_error=round(train_error, 4),
            train_error_clean=round(train_error_clean, 4),
            val_error=None if val_error is None else round(val_error, 4),
            test_loss=round(test_loss, 6),
            test_error=round(test_error, 4),
            test_error_precise=round(test_error_precise, 4),
            seconds=round(state.seconds, 1),
        )
        state.rows.append(row)
        self.learner.reset_training_errors()
        if state.warming_up and train_error < recipe.warmup_error:
            state.warmup_end = state.iteration
        self.save()
        yield self.progress(row)

    def evaluate(self, images: Images) -> Generator[Progress, None, tuple[float, float]]:
        """Mean loss (nats) and error (%) in test mode, unaugmented."""
        at_once = BATCHES_AT_ONCE[self.learner.backend.device]
        for count, _ in enumerate(self.learner.evaluate(images), start=1):
            if count % at_once == 0:
                yield self.progress()
        yield from self.wait()
        return self.learner.evaluation_errors(len(images))

    def use_precise_statistics(self) -> Iterator[Progress]:
        """Recompute BN's statistics over the run's first batches."""
        plan = self.stream.plan(0, self.recipe.statistics_batches)
        at_once = BATCHES_AT_ONCE[self.learner.backend.device]
        for count, _ in enumerate(self.learner.recompute_statistics(plan), start=1):
            if count % at_once == 0:
                yield self.progress()

    def finish(self) -> Iterator[Progress]:
        """Write the weights, then run.json with the final errors; then remove the checkpoint."""
        state, last = self.state, self.state.rows[-1]
        with self.learner.buffers_kept():
            yield from self.use_precise_statistics()
            train_error_clean = (yield from self.evaluate(self.dataset.train))[1]
        buffer = io.BytesIO()
        torch.save(self.learner.state().weights, buffer)
        images = state.iteration * self.recipe.batch_size
        digests = {
            "weights.pt": write(self.run.weights_file, buffer.getvalue()),
            "curve.csv": self.run.write_curve(state.rows),
        }
        self.run.write_record(
            {
                **self.content,
                "seconds": round(state.seconds, 1),
                "images_per_second": round(images / state.seconds, 1),
                "warmup_end": state.warmup_end,
                "diverged": state.iteration if state.diverged else None,
                "test_error": last.test_error,
                "test_error_precise": last.test_error_precise,
                "test_loss": last.test_loss if math.isfinite(last.test_loss) else None,
                "val_error": last.val_error,
                "train_error_clean": round(train_error_clean, 4),
                "sha256": digests,
                "finished": True,
            }
        )
        self.run.checkpoint_file.unlink(missing_ok=True)

    def save(self) -> None:
        """Write a checkpoint of where the run stands; its seconds end with the last measurement."""
        if not self.ended:
            self.state.seconds = self.seconds
        checkpoint.save(self.run, self.content, self.state, self.learner.state())
        self.saved = clock.now()

    @property
    def seconds(self) -> float:
        """The run's seconds so far, over all sittings."""
        return self.seconds_before + clock.now() - self.began

    def progress(self, row: Measurement | None = None) -> Progress:
        done = self.state.iteration - self.first_iteration
        if done > 0:
            per_iteration = (clock.now() - self.began) / done
        else:  # resumed inside a measurement: the pace so far
            per_iteration = self.seconds / max(self.state.iteration, 1)
        return Progress(
            self.state.iteration,
            self.recipe.batch_size / per_iteration,
            per_iteration * (self.recipe.iterations - self.state.iteration),
            row,
        )

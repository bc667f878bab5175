"""Training many runs: by turns, with their progress, until done or Ctrl-C."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import NoReturn

import click
import torch
from tqdm import tqdm

from resnet_paper.console import duration, say
from resnet_paper.errors import UserError
from resnet_paper.runs.recipe import Recipe
from resnet_paper.runs.run import InUseError, Run
from resnet_paper.study.plan import Plan
from resnet_paper.study.tracking import Tracker
from resnet_paper.training import checkpoint, data
from resnet_paper.training.backend import Backend
from resnet_paper.training.checkpoint import Checkpoint
from resnet_paper.training.clock import clock
from resnet_paper.training.engine import Engine
from resnet_paper.training.loop import Progress, Steps

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def train_all(
    runs: Sequence[Run],
    recipe: Recipe,
    data_dir: Path,
    engine: Engine,
    concurrent: int,
    yes: bool = False,
    track: str = "",
    dry_run: bool = False,
) -> None:
    """Train unfinished runs to their ends, some at once, after printing what that will take.

    concurrent: how many at once; 0: as many as suits the device. yes: never ask. track: one
    of TRACKERS, or none. dry_run: print the plan alone. Raises UserError before anything is
    trained if one cannot be resumed, where the GPU's memory is full, and at the end if another
    process is still training one.
    """
    points = {run: resume_point(run, recipe, engine.backend) for run in runs}
    threads = torch.get_num_threads()
    try:
        engine.take(data.load(recipe, data_dir))
        plan = Plan.of(runs, points, recipe, engine, concurrent)
        points.clear()
        if dry_run:
            return
        if not yes:
            plan.confirm()
        with Tracker(track, runs[0].root, recipe) if track else nullcontext() as tracker:
            held = train_by_turns(list(plan.seconds), plan.at_once, recipe, engine, tracker)
            if held:
                held = train_by_turns(held, plan.at_once, recipe, engine, tracker)
    except torch.OutOfMemoryError as error:
        raise UserError(
            "the GPU's memory is full: free it or train fewer runs at once (CONCURRENT=1); the "
            "same command resumes from the last checkpoints"
        ) from error
    finally:
        torch.set_num_threads(threads)
    if held := [run for run in held if not run.is_finished_with(recipe)]:
        raise UserError(
            f"{', '.join(map(str, held))}: still being trained by another process; "
            "run the same command again when it has finished"
        )


def resume_point(run: Run, recipe: Recipe, backend: Backend) -> Checkpoint | None:
    """The checkpoint that a run will be resumed from; UserError if it cannot be.

    Training reads it again under the run's lock, since another process may train it meanwhile.
    """
    try:
        return checkpoint.resume_point(run, recipe, backend)
    except UserError:
        if run.is_finished_with(recipe):  # by another process, just now
            return None
        raise


def train_by_turns(
    runs: Sequence[Run],
    at_once: int,
    recipe: Recipe,
    engine: Engine,
    tracker: Tracker | None = None,
) -> list[Run]:
    """Train runs to their ends, some at once by turns; return those left to other processes.

    Ctrl-C leaves a checkpoint of each run that is being trained, and exits with 130.
    """
    waiting, held = list(runs), []
    active: dict[Run, Steps] = {}
    failed: dict[Run, Exception] = {}  # while stopping
    with (
        stop_request() as stop,
        clock.without_pauses(),
        ExitStack() as opened,
        Bars(recipe) as bars,
    ):
        while (waiting or active) and not stop.is_set():
            while waiting and len(active) < at_once:
                run = waiting.pop(0)
                active[run] = opened.enter_context(closing(engine.train(run, at_once)))
            for run, steps in list(active.items()):
                try:
                    bars.show(run, progress := next(steps))
                    while progress.row is not None:
                        report(run, recipe, progress)
                        if tracker:
                            tracker.measured(run, progress.row)
                        bars.show(run, progress := next(steps))  # no run is left without work
                    continue
                except StopIteration:
                    pass
                except InUseError as error:
                    say(f"{error.message}: left to that process")
                    held.append(run)
                except Exception as error:
                    if not stop.is_set():
                        raise
                    failed[run] = error
                bars.close(run)
                del active[run]
        if stop.is_set():
            failed |= close(active)
    if stop.is_set():
        with suppress(OSError):  # the terminal is gone
            for run in {**failed, **active}:
                if run in failed:
                    click.echo(f"{run}: {in_one_line(failed[run])}", err=True)
                click.echo(stopped(run, bars.reached.get(run, 0)))
        raise click.exceptions.Exit(130)
    return held


def close(active: Mapping[Run, Steps]) -> dict[Run, Exception]:
    """Leave a checkpoint of each run; the errors of those that cannot."""
    failed: dict[Run, Exception] = {}
    for run, steps in active.items():
        try:
            steps.close()
        except Exception as error:
            failed[run] = error
    return failed


def in_one_line(error: Exception) -> str:
    """An error while stopping: of the user's, or of a compiler that Ctrl-C has ended too."""
    if isinstance(error, UserError):
        return error.message
    return f"{type(error).__name__} ({next(iter(str(error).splitlines()), '')})"


def stopped(run: Run, reached: int) -> str:
    """One line for a run that was stopped: where the same command resumes it, and what is lost."""
    try:
        kept = checkpoint.load(run)
    except UserError as error:
        return f"Stopped {run} at iteration {reached:,}: {error.message}"
    if kept is None:
        return f"Stopped {run} before its first checkpoint: the same command begins it again."
    lost = reached - kept.state.iteration
    return (
        f"Stopped {run} at iteration {max(reached, kept.state.iteration):,}, with a checkpoint"
        f"{f' {lost:,} iterations before' if lost > 0 else ''} in {run.directory}: the same "
        "command resumes it."
    )


class Bars:
    """A line of progress for each run in training, on a terminal; nothing elsewhere."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.bars: dict[Run, tqdm[NoReturn]] = {}
        self.reached: dict[Run, int] = {}

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        for bar in self.bars.values():
            bar.close()

    def show(self, run: Run, progress: Progress) -> None:
        """A run has reached an iteration; the first one seen is where this sitting began."""
        self.reached[run] = iteration = progress.iteration
        if run not in self.bars:
            self.bars[run] = tqdm(
                total=self.recipe.iterations, initial=iteration, desc=str(run), disable=None
            )
        bar = self.bars[run]
        bar.update(iteration - bar.n)

    def close(self, run: Run) -> None:
        """A run is done with: its bar stays where the run has come."""
        if bar := self.bars.pop(run, None):
            bar.close()


def report(run: Run, recipe: Recipe, progress: Progress) -> None:
    """One line for a measurement."""
    row = progress.row
    assert row is not None
    if not math.isfinite(row.train_loss):
        say(f"{run}: diverged: the loss at iteration {progress.iteration:,} is infinite or NaN")
        return
    say(
        f"{run}: iteration {progress.iteration:,} of {recipe.iterations:,}, "
        f"training error {row.train_error:.2f}%, test error {row.test_error:.2f}%, "
        f"{progress.images_per_second:,.0f} images/s, {duration(progress.seconds_left)} left"
    )


@contextmanager
def stop_request() -> Iterator[threading.Event]:
    """An event that Ctrl-C, SIGTERM or SIGHUP sets; a second one acts at once, as usual.

    SIGHUP is left ignored under nohup.
    """
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in STOPPING}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]

    def request(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])
        with suppress(OSError):
            click.echo("\nStopping ...", err=True)

    for number in before:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""A study: a set of runs, those that are missing, what they will cost, and training them.

Drawing needs the runs but no torch, so training's modules are imported where training begins.
"""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resnet_paper.errors import UserError
from resnet_paper.recipe import SETTINGS, Recipe
from resnet_paper.runs import InUseError, Run, recorded

if TYPE_CHECKING:
    from resnet_paper.compute import Computing
    from resnet_paper.data import Dataset
    from resnet_paper.train import Progress


@dataclass(frozen=True)
class Study:
    """Runs of some settings: where they are kept, what they are trained on, and how."""

    settings: str = "paper"
    root: Path = Path("experiments/runs")
    data_dir: Path = Path("data")
    device: str = "auto"
    precision: str = "auto"
    seeds: int = 1
    draw_only: bool = False

    @property
    def recipe(self) -> Recipe:
        return SETTINGS[self.settings]

    @property
    def caveat(self) -> str:
        """What a table must say of itself if it is not by the paper's settings."""
        if self.recipe.dataset == "synthetic":
            return "Synthetic images: a demonstration, not CIFAR-10."
        return "" if self.settings == "paper" else f"Settings {self.settings!r}, not the paper's."

    @property
    def output(self) -> Path:
        """Where tables and figures go: figures/, or figures/<settings>/ but for the paper's."""
        return Path("figures") if self.settings == "paper" else Path("figures") / self.settings

    def run(self, network: str, seed: int) -> Run:
        return Run(self.root, self.settings, network, seed)

    def recorded(self, networks: Sequence[str] | None = None) -> list[Run]:
        """The finished runs, of all networks or of these."""
        runs = recorded(self.root, self.settings)
        return runs if networks is None else [run for run in runs if run.network in networks]

    def runs_of(self, networks: Sequence[str]) -> list[Run]:
        """The runs that the study wants of these networks: seeds 0, 1, 2, ..."""
        return [self.run(network, seed) for seed in range(self.seeds) for network in networks]

    def complete(self, runs: Sequence[Run]) -> None:
        """Train those that have not finished, after printing the plan and its cost.

        Raises UserError if a run was made by another recipe, and at the end if another process is
        still training one of the runs.
        """
        missing = [run for run in runs if not run.finished_by(self.recipe)]
        if self.draw_only or not missing:
            return
        from resnet_paper import compute, data, models

        for run in missing:
            try:
                models.parse(run.network)
            except ValueError as error:
                raise UserError(str(error)) from error
        computing = compute.choose(self.device, self.precision, self.recipe.iterations)
        dataset = data.load(self.recipe, self.data_dir)
        click.echo(f"To train by the settings {self.settings!r}, on {describe(computing)}:")
        total = 0.0
        for run in missing:
            total += (seconds := self.cost(run, computing, dataset))
            done = run.measured_until()
            begun = f", from iteration {done:,}" if done else ""
            click.echo(f"  {run}: about {duration(seconds)}{begun}")
        if len(missing) > 1:
            click.echo(f"  together: about {duration(total)}")
        held = [run for run in missing if not self.train_run(run, computing, dataset)]
        if held:
            raise UserError(
                f"{', '.join(map(str, held))}: still being trained by another process; "
                "run the same command again when it has finished"
            )

    def train_run(self, run: Run, computing: Computing, dataset: Dataset) -> bool:
        """Train one run to its end, showing progress; False if another process is at it."""
        from resnet_paper.train import train

        try:
            with (
                stop_request() as stop,
                closing(train(run, self.recipe, dataset, computing)) as steps,
                click.progressbar(length=self.recipe.iterations, label=str(run)) as bar,
            ):
                for progress in steps:
                    bar.update(progress.iteration - bar.pos)
                    if progress.row is not None:
                        report(run, self.recipe, progress)
                    if stop.is_set():
                        break
        except InUseError as held:
            click.echo(f"{held.message}: leaving it to that process")
            return False
        if not run.finished:
            click.echo(
                f"\nStopped at iteration {progress.iteration:,}, with a checkpoint in "
                f"{run.directory}: the same command goes on from there."
            )
            raise click.exceptions.Exit(130)
        return True

    def cost(self, run: Run, computing: Computing, dataset: Dataset) -> float:
        """Seconds that a run will take here, by timing a few of its iterations.

        Images only evaluated count a third: they go forward but not backward.
        """
        from resnet_paper.train import seconds_per_iteration

        recipe = self.recipe
        iterations = recipe.iterations - run.measured_until()
        evaluated = 2 * recipe.test_images + recipe.clean_images + recipe.held_out
        evaluated += recipe.statistics_batches * recipe.batch_size
        batches = evaluated / recipe.measure_every / recipe.batch_size
        one = seconds_per_iteration(run.network, recipe, dataset, computing)
        return one * iterations * (1 + batches / 3)


def report(run: Run, recipe: Recipe, progress: Progress) -> None:
    """One line for a measurement."""
    row: dict[str, Any] = progress.row or {}
    click.echo(
        f"\r{run}: iteration {progress.iteration:,} of {recipe.iterations:,}, "
        f"training error {row['train_error']:.2f}%, test error {row['test_error']:.2f}%, "
        f"{progress.images_per_second:,.0f} images/s, {duration(progress.seconds_left)} left"
    )


def describe(computing: Computing) -> str:
    compiled = ", compiled" if computing.compiled else ""
    threads = f" with {computing.threads} threads" if computing.device == "cpu" else ""
    return f"{computing.device}{threads} in {computing.precision}{compiled}"


def duration(seconds: float) -> str:
    """Seconds in words: "50 s", "12 min", "1 h 52 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


@contextmanager
def stop_request() -> Iterator[threading.Event]:
    """An event that Ctrl-C (or a SIGTERM) sets; a second one acts at once, as usual."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def request(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])
        click.echo("\nStopping after this iteration ...", err=True)

    for number in before:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that every command shares, handed to it as a Study."""

    @click.option("--settings", type=click.Choice(list(SETTINGS)), default="paper")
    @click.option("--runs", type=click.Path(path_type=Path), default=Study.root, show_default=True)
    @click.option(
        "--data-dir", type=click.Path(path_type=Path), default=Study.data_dir, show_default=True
    )
    @click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto")
    @click.option("--precision", type=click.Choice(["auto", "bfloat16", "float32"]), default="auto")
    @click.option("--seeds", type=click.IntRange(min=1), default=1, help="How many of each.")
    @click.option("--draw-only", is_flag=True, help="Train nothing.")
    @functools.wraps(command)
    def with_study(
        settings: str,
        runs: Path,
        data_dir: Path,
        device: str,
        precision: str,
        seeds: int,
        draw_only: bool,
        **others: Any,
    ) -> None:
        command(Study(settings, runs, data_dir, device, precision, seeds, draw_only), **others)

    return with_study


def depths(kind: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """An option's callback: the networks of a kind by their depths, "20 32" or "20,32"."""

    def networks(_: click.Context, __: click.Parameter, text: str) -> list[str]:
        words = text.replace(",", " ").split()
        if not all(word.isdecimal() for word in words):
            raise click.BadParameter(f"{text!r} is not a list of depths like '20 32'")
        return [f"{kind}-{int(word)}" for word in words]

    return networks

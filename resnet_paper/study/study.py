"""A study: a set of runs, those that are missing, what they will cost, and training them.

Drawing needs the runs but no torch, so training's modules are imported where training begins.
"""

from __future__ import annotations

import functools
import math
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resnet_paper.errors import UserError
from resnet_paper.networks import names
from resnet_paper.runs.recipe import SETTINGS, Recipe
from resnet_paper.runs.run import InUseError, Run, recorded

if TYPE_CHECKING:
    from resnet_paper.training.backend import Computing
    from resnet_paper.training.data import Dataset
    from resnet_paper.training.loop import Progress


DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "bfloat16", "tf32", "float32")


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
    concurrent: int = 0  # how many runs at once; 0: as many as suits the device

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

    @property
    def in_make(self) -> str:
        """This study as variables of make."""
        return f"SETTINGS={self.settings} RUNS={self.root} DATA_DIR={self.data_dir}"

    def run(self, network: str, seed: int) -> Run:
        return Run(self.root, self.settings, network, seed)

    def recorded(self, networks: Sequence[str] | None = None) -> list[Run]:
        """The finished runs, of all networks or of these."""
        runs = recorded(self.root, self.settings)
        wanted = [run for run in runs if networks is None or run.network in networks]
        return [run for run in wanted if run.finished_by(self.recipe)]

    def to_draw(self, networks: Sequence[str] | None = None) -> list[Run]:
        """`recorded`, for tables and figures, which take the place of older ones.

        Raises UserError if a root that was chosen has no finished run at all: a mistake, likely.
        """
        if self.root != Study.root and not recorded(self.root, self.settings):
            raise UserError(
                f"no finished run in {self.root / self.settings}: is RUNS (--runs) or SETTINGS "
                "(--settings) mistyped, or has none finished yet?"
            )
        return self.recorded(networks)

    def has_begun(self, network: str) -> bool:
        """Whether a run of this network is recorded or was begun."""
        return bool(network) and (self.root / self.settings / network).is_dir()

    def runs_of(self, networks: Sequence[str]) -> list[Run]:
        """The runs that the study wants of these networks: seeds 0, 1, 2, ..."""
        return [self.run(network, seed) for seed in range(self.seeds) for network in networks]

    def complete(self, runs: Sequence[Run]) -> None:
        """Train those that have not finished, after printing the plan and its cost.

        Raises UserError before anything is trained if a run was made by another recipe or cannot go
        on, where the GPU's memory is full, and at the end if another process is still training one.
        """
        missing = [run for run in runs if not run.finished_by(self.recipe)]
        if self.draw_only or not missing:
            return
        import torch

        from resnet_paper.networks.build import require_cifar10
        from resnet_paper.training import backend, data
        from resnet_paper.training.loop import refuse_what_cannot_go_on

        for run in missing:
            require_cifar10(run.network)
        computing = backend.choose(self.device, self.precision, self.recipe.iterations)
        for run in missing:
            refuse_what_cannot_go_on(run, self.recipe, computing)
        dataset = data.load(self.recipe, self.data_dir)
        try:
            dataset = dataset.to(computing.device)
            at_once = min(self.concurrent or computing.concurrent_runs(), len(missing))
            self.print_plan(missing, at_once, computing, dataset)
            held = self.train(missing, at_once, computing, dataset)
        except torch.OutOfMemoryError as error:
            raise UserError(
                "the GPU's memory is full: free it or train fewer runs at once (CONCURRENT=1); the "
                "same command goes on from the last checkpoints"
            ) from error
        if held := [run for run in held if not run.finished_by(self.recipe)]:
            raise UserError(
                f"{', '.join(map(str, held))}: still being trained by another process; "
                "run the same command again when it has finished"
            )

    def print_plan(
        self, runs: Sequence[Run], at_once: int, computing: Computing, dataset: Dataset
    ) -> None:
        """Say which runs are to be trained, and how long that will take on this machine."""
        together = f", {at_once} at once" if at_once > 1 else ""
        settings = f"the settings {self.settings!r}"
        click.echo(f"To train by {settings}, on {describe(computing)}{together}:")
        total = 0.0
        costs = {
            network: self.cost(network, computing, dataset)
            for network in dict.fromkeys(run.network for run in runs)
        }
        for run in runs:
            total += costs[run.network]
            begun = ", less what is done already" if run.checkpoint_file.exists() else ""
            click.echo(f"  {run}: about {duration(costs[run.network])}{begun}")
        if len(runs) > 1:
            after_one_another = " if one after another" if at_once > 1 else ""
            click.echo(f"  together: about {duration(total)}{after_one_another}")

    def train(
        self, runs: Sequence[Run], at_once: int, computing: Computing, dataset: Dataset
    ) -> list[Run]:
        """Train runs to their ends, some at once by turns; return those left to other processes.

        Ctrl-C leaves a checkpoint of each run that is being trained, and exits with 130.
        """
        from resnet_paper.training.loop import train

        waiting, held = list(runs), []
        active: dict[Run, Generator[Progress, None, None]] = {}
        iterations = dict.fromkeys(runs, 0)
        length = self.recipe.iterations * len(runs)
        label = str(runs[0]) if len(runs) == 1 else f"{len(runs)} runs"
        with (
            stop_request() as stop,
            ExitStack() as opened,
            click.progressbar(length=length, label=label) as bar,
        ):
            while (waiting or active) and not stop.is_set():
                while waiting and len(active) < at_once:
                    run = waiting.pop(0)
                    steps = train(run, self.recipe, dataset, computing)
                    active[run] = opened.enter_context(closing(steps))
                for run, steps in list(active.items()):
                    try:
                        progress = next(steps)
                        if progress.row is not None:
                            report(run, self.recipe, progress)
                            progress = next(steps)  # no run is left without work
                    except StopIteration:
                        del active[run]
                        continue
                    except InUseError as error:
                        click.echo(f"\r{error.message}: leaving it to that process")
                        held.append(run)
                        del active[run]
                        continue
                    iterations[run] = progress.iteration
                    bar.update(sum(iterations.values()) - bar.pos)
        if stop.is_set():
            click.echo("")
            for run in active:
                click.echo(
                    f"Stopped {run} at iteration {iterations[run]:,}, with a checkpoint in "
                    f"{run.directory}: the same command goes on from there."
                )
            raise click.exceptions.Exit(130)
        return held

    def cost(self, network: str, computing: Computing, dataset: Dataset) -> float:
        """Seconds that a run will take here, by timing a few of its iterations.

        Images only evaluated count a third: they go forward but not backward.
        """
        from resnet_paper.training.loop import seconds_per_iteration

        recipe = self.recipe
        evaluated = 2 * recipe.test_images + recipe.clean_images + recipe.held_out
        evaluated += recipe.statistics_batches * recipe.batch_size
        batches = evaluated / recipe.measure_every / recipe.batch_size
        one = seconds_per_iteration(network, recipe, dataset, computing)
        return one * recipe.iterations * (1 + batches / 3)


def report(run: Run, recipe: Recipe, progress: Progress) -> None:
    """One line for a measurement."""
    row: dict[str, Any] = progress.row or {}
    if not math.isfinite(row["train_loss"]):
        click.echo(f"\r{run}: diverged: the loss at iteration {progress.iteration:,} is no number")
        return
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
    """The options that say which runs, where and how; the command gets them as a Study."""

    @click.option("--settings", type=click.Choice(list(SETTINGS)), default="paper")
    @click.option(
        "--runs", "root", type=click.Path(path_type=Path), default=Study.root, show_default=True
    )
    @click.option(
        "--data-dir", type=click.Path(path_type=Path), default=Study.data_dir, show_default=True
    )
    @click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
    @click.option("--precision", type=click.Choice(PRECISIONS), default="auto", show_default=True)
    @functools.wraps(command)
    def with_study(**arguments: Any) -> None:
        of_study = [field.name for field in fields(Study) if field.name in arguments]
        study = Study(**{name: arguments.pop(name) for name in of_study})
        command(study, **arguments)

    return with_study


def set_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a set of runs, to stand above `options`."""
    for option in (
        click.option("--seeds", type=click.IntRange(min=1), default=1, help="How many of each."),
        click.option("--draw-only", is_flag=True, help="Train nothing; draw all that is recorded."),
        click.option(
            "--concurrent", type=click.IntRange(min=0), default=0, help="At once; 0: automatic."
        ),
    ):
        command = option(command)
    return command


def checked_depth(layers: int) -> int:
    """The same number if it is a depth of section 4.2's nets, 6n+2; click.BadParameter if not."""
    nearest = names.nearest_depths(layers)
    if layers not in nearest:
        near = " or ".join(map(str, nearest))
        raise click.BadParameter(f"{layers} is not 6n+2: the nearest are {near}")
    return layers


def depth(_: click.Context, __: click.Parameter, layers: int) -> int:
    """An option's callback: one depth of section 4.2's nets."""
    return checked_depth(layers)


def depths(kind: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """An option's callback: the networks of a kind by their depths, "20 32" or "20,32"."""

    def networks(_: click.Context, __: click.Parameter, text: str) -> list[str]:
        words = text.replace(",", " ").split()
        if not all(word.isdecimal() for word in words):
            raise click.BadParameter(f"{text!r} is not a list of depths like '20 32'")
        return list(dict.fromkeys(f"{kind}-{checked_depth(int(word))}" for word in words))

    return networks

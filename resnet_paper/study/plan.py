"""The time that training takes here, and how many runs at once."""

from __future__ import annotations

import heapq
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import click

from resnet_paper import names
from resnet_paper.console import answers, duration
from resnet_paper.networks import counts
from resnet_paper.networks.build import blueprint
from resnet_paper.runs.recipe import Recipe
from resnet_paper.runs.run import Run
from resnet_paper.training.backend import Backend
from resnet_paper.training.checkpoint import Checkpoint
from resnet_paper.training.engine import Cost, Engine

LONG = 2 * 3600.0  # seconds of training that are asked about on a terminal
MEMORY_MARGIN = 1.25  # of what a run is measured to need


@dataclass(frozen=True)
class Plan:
    """Runs in the order in which they begin, and the seconds that each takes by itself."""

    seconds: dict[Run, float]
    at_once: int
    devices: int = 1  # how many of those at once have a device of their own

    @classmethod
    def of(
        cls,
        runs: Sequence[Run],
        points: dict[Run, Checkpoint | None],
        recipe: Recipe,
        engine: Engine,
        concurrent: int,
    ) -> Plan:
        """Time a few iterations of each network and print what each run will take."""
        click.echo(f"To train by the settings {runs[0].settings!r}, on {engine}:")
        keys = {run: (run.network, as_begun(engine.backend, points[run])) for run in runs}
        costs = timed(list(dict.fromkeys(keys.values())), engine)
        of_an_iteration = by_depth({key: cost.seconds for key, cost in costs.items()})
        seconds: dict[Run, float] = {}
        for run, key in keys.items():
            point = points[run]
            done = point.state.iteration if point else 0
            left = recipe.iterations - done
            seconds[run] = of_an_iteration[key] * left * with_measuring(recipe)
            begun = f", from iteration {done:,}" if done else ""
            click.echo(f"  {describe(run, recipe)}: about {duration(seconds[run])}{begun}")
        memory = int(MEMORY_MARGIN * max(cost.memory for cost in costs.values()))
        at_once, devices = engine.runs_at_once(len(runs), memory, concurrent)
        if devices > 1:  # the longest first, so that none of them is left for the end
            runs = sorted(runs, key=lambda run: -seconds[run])
        plan = cls({run: seconds[run] for run in runs}, at_once, devices)
        if len(runs) > 1:
            one_by_one = " one after another" if devices == 1 and at_once > 1 else ""
            together = f"; {at_once} at once" if at_once > 1 else ""
            click.echo(f"  together: about {duration(plan.forecast)}{one_by_one}{together}")
        return plan

    @property
    def forecast(self) -> float:
        """Seconds until all have ended, each device taking the next run when it is free."""
        ends = [0.0] * self.devices
        for seconds in self.seconds.values():
            heapq.heapreplace(ends, ends[0] + seconds)
        return max(ends)

    def confirm(self) -> None:
        """Ask before more than LONG of training; click.Abort if told no.

        Where nobody can answer, say how to stop it.
        """
        if self.forecast <= LONG:
            return
        total = duration(self.forecast)
        if answers():
            click.confirm(f"Train for about {total}? (YES=1 does not ask)", abort=True)
        else:
            click.echo(
                f"Training for about {total}, without a terminal to ask on: `kill {os.getpid()}` "
                "stops it with checkpoints, from which the same command resumes"
            )


def timed(
    networks: Sequence[tuple[str, Backend]], engine: Engine
) -> dict[tuple[str, Backend], Cost]:
    """What an iteration of each network costs; each is named while it is being timed."""
    costs: dict[tuple[str, Backend], Cost] = {}
    measured = engine.costs(networks)
    click.echo("  timing", nl=False)
    try:
        for network in networks:
            click.echo(f" {network[0]}", nl=False)
            costs[network] = next(measured)
    finally:
        click.echo()
    return costs


def by_depth(seconds: Mapping[tuple[str, Backend], float]) -> dict[tuple[str, Backend], float]:
    """Seconds in which no deeper net of a kind is quicker than a shallower one.

    Whatever else the machine does only lengthens a timing, so the shallower one's is too long.
    """

    def no_shallower(other: tuple[str, Backend], one: tuple[str, Backend]) -> bool:
        deep, shallow = names.parse(other[0]), names.parse(one[0])
        alike = deep._replace(depth=0) == shallow._replace(depth=0) and other[1] == one[1]
        return alike and deep.depth >= shallow.depth

    return {
        one: min(value for other, value in seconds.items() if no_shallower(other, one))
        for one in seconds
    }


def describe(run: Run, recipe: Recipe) -> str:
    """A run and its network: "resnet-20 seed 0 (6n+2, n = 3, 0.27M parameters)"."""
    name = names.parse(run.network)
    form = f"6n+2, n = {(name.depth - 2) // 6}, " if name.kind in ("plain", "resnet") else ""
    parameters = counts.parameters(blueprint(run.network, recipe.classes, recipe.channels))
    return f"{run} ({form}{parameters / 1e6:.2f}M parameters)"


def as_begun(backend: Backend, point: Checkpoint | None) -> Backend:
    """A backend with the threads of the run that it resumes, if it resumes one."""
    return replace(backend, threads=point.record.environment.threads) if point else backend


def with_measuring(recipe: Recipe) -> float:
    """The factor by which measuring lengthens training.

    Images only evaluated count a third: they go forward but not backward.
    """
    evaluated = 2 * recipe.test_images + recipe.unaugmented_images + recipe.validation_images
    evaluated += recipe.statistics_batches * recipe.batch_size
    return 1 + evaluated / recipe.measure_every / recipe.batch_size / 3

"""A study: a set of runs by one of the settings, those that have finished and those missing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from resnet_paper import names
from resnet_paper.errors import UserError
from resnet_paper.runs.datasets import DATA_SETS
from resnet_paper.runs.files import require_writable
from resnet_paper.runs.recipe import SETTINGS, Recipe
from resnet_paper.runs.run import Result, Run, begun_runs, finished_runs

if TYPE_CHECKING:
    from resnet_paper.training.engine import Engine

ROOT = Path(__file__).parents[2]
# The clone, from where the command was started; the current directory where there is no clone.
CLONE = Path(os.path.relpath(ROOT) if (ROOT / "experiments").is_dir() else ".")
PUBLISHED = CLONE / "experiments" / "runs"
FIGURES = CLONE / "figures"


@dataclass(frozen=True)
class Study:
    """Runs of some settings: where they are kept, what they are trained on, and how."""

    settings: str = "paper"
    root: Path = PUBLISHED
    data_dir: Path = CLONE / "data"
    device: str = "auto"
    precision: str = "auto"
    seeds: int = 1
    draw_only: bool = False
    concurrent: int = 0  # how many runs at once; 0: as many as suits the device
    yes: bool = False  # train for hours without asking
    engine: str = "local"  # or "ray": on all cores, GPUs and nodes
    track: str = ""  # "tensorboard" or "wandb": live curves

    @property
    def recipe(self) -> Recipe:
        return SETTINGS[self.settings]

    @property
    def note(self) -> str:
        """The note of tables that are not by the paper's settings; else ""."""
        if self.settings == "paper":
            return ""
        recipe = self.recipe
        length = f"{recipe.train_images:,} training images, {recipe.iterations:,} iterations"
        other = f"Settings {self.settings!r}, not the paper's: {length}."
        return f"{DATA_SETS[recipe.dataset].note} {other}".strip()

    @property
    def output(self) -> Path:
        """Where tables and figures go: figures/, or figures/<settings>/ but for the paper's."""
        return FIGURES if self.settings == "paper" else FIGURES / self.settings

    @property
    def in_make(self) -> str:
        """This study as variables of make."""
        return f"SETTINGS={self.settings} RUNS={self.root} DATA_DIR={self.data_dir}"

    def run(self, network: str, seed: int) -> Run:
        return Run(self.root, self.settings, network, seed)

    def runs_of(self, networks: Sequence[str]) -> list[Run]:
        """The runs that the study wants of these networks: `seeds` of each.

        Those that have finished, whatever their seeds, then those of seeds 0, 1, 2, ...
        """
        seeds = {network: self.seeds_of(network) for network in networks}
        return [
            self.run(network, seeds[network][number])
            for number in range(self.seeds)
            for network in networks
        ]

    def seeds_of(self, network: str) -> list[int]:
        """The seeds of the runs that the study wants of a network, from the lowest.

        A damaged run counts as finished, so that it is not passed over in silence.
        """
        finished = []
        for run in begun_runs(self.root, self.settings, [network]):
            try:
                counts = run.finished
            except UserError:
                counts = True
            if counts:
                finished.append(run.seed)
        others = (seed for seed in count() if seed not in finished)
        return sorted([*finished, *islice(others, self.seeds)][: self.seeds])

    def results(self, networks: Sequence[str] | None = None) -> list[Result]:
        """The finished runs, of all networks or of these; UserError if of another recipe."""
        results = finished_runs(self.root, self.settings, networks)
        for result in results:
            result.run.require_recipe(result.content, self.recipe)
        return results

    def results_to_draw(self, networks: Sequence[str] | None = None) -> list[Result]:
        """`results`, for tables and figures, which replace older ones.

        Raises UserError if a root that was chosen has no finished run at all: a mistake, likely.
        """
        results = self.results(networks)
        if self.root != PUBLISHED and not (results or self.results()):
            raise UserError(
                f"no finished run in {self.root / self.settings}: is RUNS (--runs) or SETTINGS "
                "(--settings) mistyped, or has none finished yet?"
            )
        self.check_precision([each.run for each in results], refuse=False)
        return results

    def has_begun(self, network: str) -> bool:
        """True if a run of this network is recorded or was begun."""
        return bool(network) and (self.root / self.settings / network).is_dir()

    def check_precision(self, finished: Sequence[Run], refuse: bool) -> None:
        """Say which finished runs are in another precision than was asked for, or refuse them."""
        if self.precision == "auto":
            return
        for run in finished:
            record = run.record()
            assert record is not None, "finished"
            if record.environment.precision != self.precision:
                said = f"{run} is finished already, in {record.environment.precision}"
                if refuse:
                    raise UserError(
                        f"{said}: to train it in {self.precision}, choose another directory by "
                        "RUNS (--runs)"
                    )
                click.echo(said, err=True)

    def missing(self, runs: Sequence[Run]) -> list[Run]:
        """Those of some runs that have not finished; UserError if one is of another recipe."""
        return [run for run in runs if not run.is_finished_with(self.recipe)]

    def complete(self, runs: Sequence[Run]) -> None:
        """Train those that have not finished, after printing the plan and its cost.

        Raises UserError before anything is trained if a run was made by another recipe or in
        another precision than is asked for, or cannot be resumed, or if there is no place to write
        to; where the GPU's memory is full; and at the end if another process is still training one.
        """
        if self.draw_only:
            return
        missing = self.missing(runs)
        self.check_precision([run for run in runs if run not in missing], refuse=True)
        if not missing:
            return
        for run in missing:
            names.require_image_size(run.network, self.recipe.image_size)
        from resnet_paper.study import scheduler  # loads torch, which drawing does not need

        with opened_engine(self.engine, self.device, self.precision, self.recipe) as engine:
            for folder in (self.root / self.settings, self.output):
                require_writable(folder)
            scheduler.train_all(
                missing,
                self.recipe,
                self.data_dir,
                engine,
                concurrent=self.concurrent,
                yes=self.yes,
                track=self.track,
            )


def opened_engine(
    name: str, device: str, precision: str, recipe: Recipe
) -> AbstractContextManager[Engine]:
    """Context manager: where runs are computed, "local" or "ray"; UserError if it cannot be had."""
    if name == "ray":
        try:
            from resnet_paper.cluster import connection
        except ImportError as error:
            raise UserError(
                f"ENGINE=ray needs the package {error.name}: pip install 'resnet_paper[ray]', "
                "or make with ENGINE=ray, which installs it"
            ) from error
        return connection.connected(device, precision, recipe)
    from resnet_paper.training import backend
    from resnet_paper.training.engine import Local

    return nullcontext(Local(recipe, backend.choose(device, precision, recipe.iterations)))

"""How the missing runs of a study are trained."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from resnet_paper import names
from resnet_paper.errors import UserError
from resnet_paper.runs.files import require_writable
from resnet_paper.runs.recipe import Recipe
from resnet_paper.runs.run import Run
from resnet_paper.study.study import Study

if TYPE_CHECKING:
    from resnet_paper.training.engine import Engine


@dataclass(frozen=True)
class Trainer:
    """On what runs are trained and how many at once, and what is asked and shown."""

    device: str = "auto"
    precision: str = "auto"
    kernels: str = "auto"  # "fused" or "pytorch"
    engine: str = "local"  # or "ray": on all cores, GPUs and nodes
    concurrent: int = 0  # how many runs at once; 0: as many as suits the device
    track: str = ""  # "tensorboard" or "wandb": live curves
    yes: bool = False  # train for hours without asking
    dry_run: bool = False  # print the plan and end
    draw_only: bool = False  # train nothing

    def complete(self, study: Study, runs: Sequence[Run], output: Path | None = None) -> None:
        """Train those runs that have not finished, after printing the plan and its cost.

        output: where the command will draw. Raises UserError before anything is trained if a run
        was made by another recipe or method than is asked for, or cannot be resumed,
        or if there is no place to write to; where the GPU's memory is full; and at the end if
        another process is still training one. A dry run ends the command after the plan.
        """
        if self.draw_only:
            return
        recipe = study.recipe
        missing = [run for run in runs if not run.is_finished_with(recipe)]
        self.check_method([run for run in runs if run not in missing])
        for run in missing:
            names.require_image_size(run.network, recipe.image_size)
        if missing:
            from resnet_paper.study import scheduler  # loads torch, which drawing does not need

            with opened_engine(
                self.engine, self.device, self.precision, recipe, self.kernels
            ) as engine:
                for folder in (study.root / study.settings, *([output] if output else [])):
                    require_writable(folder)
                scheduler.train_all(
                    missing,
                    recipe,
                    study.data_dir,
                    engine,
                    concurrent=self.concurrent,
                    yes=self.yes,
                    track=self.track,
                    dry_run=self.dry_run,
                )
        elif self.dry_run:
            click.echo("Nothing to train: every run has finished")
        if self.dry_run:
            raise click.exceptions.Exit(0)

    def check_method(self, finished: Sequence[Run]) -> None:
        """UserError if a finished run is in another precision, or by other kernels, than asked for.

        Networks that are not section 4.2's may have none that are fused.
        """
        for run in finished:
            record = run.record()
            assert record is not None, "finished"
            found = record.environment
            if self.precision not in ("auto", found.precision):
                has, asked = f"in {found.precision}", f"in {self.precision}"
            elif self.kernels not in ("auto", found.kernels) and (
                found.kernels == "fused" or names.parse(run.network).in_study
            ):
                has, asked = f"by {found.kernels} kernels", f"by {self.kernels} kernels"
            else:
                continue
            raise UserError(
                f"{run} is finished already, {has}: to train it {asked}, choose another directory "
                "by RUNS (--runs)"
            )


def opened_engine(
    name: str, device: str, precision: str, recipe: Recipe, kernels: str = "auto"
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
        return connection.connected(device, precision, recipe, kernels)
    from resnet_paper.training import backend
    from resnet_paper.training.engine import Local

    chosen = backend.choose(device, precision, recipe.iterations, kernels)
    return nullcontext(Local(recipe, chosen))

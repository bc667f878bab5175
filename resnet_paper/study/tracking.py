"""Live curves of the runs in training, for TensorBoard or, through its own sync, W&B."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from resnet_paper.errors import UserError
from resnet_paper.runs.recipe import Recipe
from resnet_paper.runs.record import Measurement
from resnet_paper.runs.run import Run

TRACKERS = ("tensorboard", "wandb")
FOLDER = "tensorboard"  # in the directory of the runs
SCALARS = {  # a column of curve.csv: its curve
    "train_loss": "loss/training",
    "test_loss": "loss/test",
    "train_error": "error (%)/training",
    "train_error_clean": "error (%)/training, precise BN, unaugmented",
    "val_error": "error (%)/validation",
    "test_error": "error (%)/test",
    "test_error_precise": "error (%)/test, precise BN",
    "learning_rate": "learning rate",
}
SPEED = "images a second"


class Writer(Protocol):
    """The used part of torch.utils.tensorboard.SummaryWriter."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class Tracker:
    """Writes a curve a run as event files; what was measured before is written first.

    A run's event files are begun again with each sitting, from its curve.csv, so that no step
    appears twice and finished runs are there too.
    """

    def __init__(self, kind: str, root: Path, recipe: Recipe) -> None:
        self.kind, self.root, self.recipe = kind, root, recipe
        self.writers: dict[Run, Writer] = {}
        self.seconds: dict[Run, tuple[int, float]] = {}  # of the last row: iteration, seconds
        self.make_writer = summary_writer(kind, root)

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for writer in self.writers.values():
            writer.close()

    def begin(self, run: Run) -> None:
        """Write the curve of a run as far as it is recorded."""
        folder = self.root / FOLDER / run.settings / run.network / f"seed-{run.seed}"
        shutil.rmtree(folder, ignore_errors=True)
        self.writers[run] = self.make_writer(folder)
        for row in recorded_rows(run):
            self.add(run, row)

    def measured(self, run: Run, row: Measurement) -> None:
        """Add a measurement of a run."""
        if run not in self.writers:
            self.begin(run)
        else:
            self.add(run, {name: getattr(row, name) for name in Measurement.__struct_fields__})

    def add(self, run: Run, row: Mapping[str, Any]) -> None:
        """Write a row of curve.csv, and the images a second since the row before."""
        writer, iteration, seconds = self.writers[run], int(row["iteration"]), float(row["seconds"])
        for column, tag in SCALARS.items():
            if row[column] not in (None, ""):
                writer.add_scalar(tag, float(row[column]), iteration)
        before, began = self.seconds.get(run, (0, 0.0))
        if seconds > began:
            speed = (iteration - before) * self.recipe.batch_size / (seconds - began)
            writer.add_scalar(SPEED, speed, iteration)
        self.seconds[run] = iteration, seconds
        writer.flush()


def recorded_rows(run: Run) -> list[dict[str, str]]:
    """The rows of a run's curve.csv, none where there is none."""
    try:
        with (run.directory / "curve.csv").open(newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        return []


def summary_writer(kind: str, root: Path) -> Any:
    """The class of a tracker's writers; UserError if its package is missing or has no account."""
    try:
        if kind == "wandb":
            sync_to_wandb(root)
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError(
            f"TRACK={kind} needs the package {error.name or kind}: pip install "
            f"'resnet_paper[{kind}]', or make with TRACK={kind}, which installs it"
        ) from error
    return lambda folder: SummaryWriter(str(folder))


def sync_to_wandb(root: Path) -> None:
    """Let W&B read the event files of the runs under a root as they are written."""
    import wandb
    from wandb.integration import tensorboard

    tensorboard.patch(root_logdir=str(root / FOLDER))
    root.mkdir(parents=True, exist_ok=True)
    try:
        wandb.init(project="resnet_paper", dir=str(root))
    except wandb.Error as error:
        raise UserError(
            f"W&B: {error} WANDB_MODE=offline needs no account; TRACK=tensorboard needs no W&B"
        ) from error
    wandb.define_metric("*", step_metric="global_step")  # the iteration

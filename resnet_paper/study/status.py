"""Where each run of a study stands."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from resnet_paper.console import duration
from resnet_paper.errors import UnreadableError, UserError
from resnet_paper.runs.run import Run, begun_runs
from resnet_paper.study.study import Study

FINISHED, UNDER_WAY, STOPPED, MISSING = "finished", "under way", "stopped", "missing"
DIVERGED = "diverged"
DAMAGED = "damaged (drawing or training it says how)"
UNREADABLE = "permission denied"


@dataclass(frozen=True)
class Status:
    """How far a run has come by its last measurement, and which process trains it.

    seconds_left: at its pace so far.
    """

    run: Run
    state: str
    iteration: int = 0
    iterations: int = 0
    test_error: float | None = None
    seconds_left: float | None = None
    holder: str | None = None

    def __str__(self) -> str:
        said = f"{self.run}: {self.state}"
        if self.state == DIVERGED:
            said += f" at iteration {self.iteration:,}"
        if self.state in (UNDER_WAY, STOPPED):
            said += f" at {100 * self.iteration / self.iterations:.0f}%"
        if self.holder:
            said += f" in {self.holder}"
        if self.test_error is not None:
            said += f", test error {self.test_error:.2f}%"
        if self.seconds_left is not None:
            said += f", about {duration(self.seconds_left)} left"
        return said


def status(study: Study, runs: Sequence[Run]) -> list[Status]:
    """The wanted runs of a study and whatever else is recorded or was begun, in this order.

    UserError if the directory of runs does not exist.
    """
    if not study.root.is_dir():
        raise UserError(f"{study.root} does not exist: is RUNS (--runs) mistyped?")
    others = [run for run in begun_runs(study.root, study.settings) if run not in runs]
    return [status_of(run, study) for run in [*runs, *others]]


def how_to_drop(statuses: Sequence[Status]) -> str:
    """How to drop the runs that were begun by mistake; "" where none has stopped."""
    stopped = [each.run for each in statuses if each.state == STOPPED]
    if not stopped:
        return ""
    return (
        "Training resumes a stopped run. One that was begun by mistake is dropped with its "
        f"directory, as in: rm -r {shlex.quote(str(stopped[0].directory))}"
    )


def status_of(run: Run, study: Study) -> Status:
    """Where a run stands, read from its run.json and curve.csv alone."""
    total = study.recipe.iterations
    try:
        record, row = run.record(), last_row(run)
    except UnreadableError:
        return Status(run, UNREADABLE)
    except UserError:
        return Status(run, DAMAGED)
    if record is not None and record.diverged is not None:
        return Status(run, DIVERGED, record.diverged, total)
    if record is not None and record.finished:
        return Status(run, FINISHED, total, total, record.test_error)
    holder = run.holder
    state = UNDER_WAY if holder is not None else STOPPED if record else MISSING
    if record is None or row is None:
        return Status(run, state, 0, total, holder=holder)
    left = row["seconds"] * (total - row["iteration"]) / row["iteration"]
    return Status(run, state, int(row["iteration"]), total, row["test_error"], left, holder)


def last_row(run: Run) -> dict[str, float] | None:
    """The last row of an unfinished run's curve.csv; UserError if that is no curve."""
    path = run.directory / "curve.csv"
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        columns = ("iteration", "seconds", "test_error")
        return {name: float(rows[-1][name]) for name in columns} if rows else None
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise UnreadableError.of(path) from error
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} is not the curve that a run left") from error

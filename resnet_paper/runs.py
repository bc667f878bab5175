"""A run and its directory: run.json, curve.csv, responses.csv, and the bytes of its weights.

A run is finished when its run.json says so, and nothing else is ever taken for a result.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from resnet_paper.errors import UserError
from resnet_paper.recipe import Recipe

COLUMNS = (
    "iteration",
    "learning_rate",
    "train_loss",
    "train_error",
    "train_error_clean",
    "val_error",
    "test_loss",
    "test_error",
    "test_error_precise",
    "seconds",
)


@dataclass(frozen=True, order=True)
class Run:
    """One network trained from one seed by one of the settings, in its directory under root."""

    root: Path
    settings: str
    network: str
    seed: int

    @property
    def directory(self) -> Path:
        return self.root / self.settings / self.network / f"seed-{self.seed}"

    @property
    def weights_file(self) -> Path:
        return self.directory / "weights.pt"

    @property
    def checkpoint_file(self) -> Path:
        return self.directory / "checkpoint.pt"

    def __str__(self) -> str:
        return f"{self.network} seed {self.seed}"

    def record(self) -> dict[str, Any] | None:
        """What run.json says, or None where there is none. Raises UserError if it is damaged."""
        path = self.directory / "run.json"
        try:
            record = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read ({error}): {MOVE_AWAY}") from error
        if not isinstance(record, dict) or not isinstance(record.get("finished"), bool):
            raise UserError(f"{path} is not the record of a run: {MOVE_AWAY}")
        return record

    @property
    def finished(self) -> bool:
        record = self.record()
        return record is not None and record["finished"]

    def finished_by(self, recipe: Recipe) -> bool:
        """Whether the run has finished; UserError if that was by another recipe."""
        record = self.record()
        if record is None or not record["finished"]:
            return False
        expected = json.loads(json.dumps(asdict(recipe)))
        found = record.get("recipe", {})
        for key in {**expected, **found}:
            if found.get(key) != expected.get(key):
                raise UserError(
                    f"{self.directory} was trained with {key} {found.get(key)}, not "
                    f"{expected.get(key)}: choose another directory by RUNS (--runs)"
                )
        return True

    def measured_until(self) -> int:
        """The iteration of the last measurement in curve.csv; 0 where there is none."""
        if not (self.directory / "curve.csv").exists() or not len(curve := self.curve()):
            return 0
        return int(curve["iteration"].iloc[-1])

    def curve(self) -> pd.DataFrame:
        """The rows of curve.csv, a row a measurement; the columns are COLUMNS."""
        return read_table(self.directory / "curve.csv", COLUMNS)

    def responses(self) -> pd.DataFrame | None:
        """The rows of responses.csv (layer, name, std), or None where there is none."""
        path = self.directory / "responses.csv"
        return read_table(path, ("layer", "name", "std")) if path.exists() else None

    def write_record(self, record: dict[str, Any]) -> None:
        text = json.dumps(record, indent=2) + "\n"
        write(self.directory / "run.json", text.encode())

    def write_curve(self, rows: list[dict[str, float]]) -> str:
        """Write curve.csv and return its SHA-256."""
        return write_table(self.directory / "curve.csv", pd.DataFrame(rows, columns=list(COLUMNS)))

    def write_responses(self, table: pd.DataFrame) -> str:
        return write_table(self.directory / "responses.csv", table)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold this run against other processes; UserError, naming the holder, if one has it.

        The lock is the operating system's, so that of a dead process is gone with it.
        """
        path = self.directory / "lock"
        with writing(path):
            self.directory.mkdir(parents=True, exist_ok=True)
            lock = path.open("a+")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise InUseError(f"{self} is being trained by {lock.read().strip()}") from None
            lock.truncate(0)
            lock.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            lock.flush()
            yield


class InUseError(UserError):
    """Another process is training this run."""


MOVE_AWAY = "move its directory away to train this run anew"


def recorded(root: Path, settings: str) -> list[Run]:
    """The finished runs of some settings, by network and seed."""
    runs = []
    for path in sorted((root / settings).glob("*/seed-*/run.json")):
        seed = path.parent.name.removeprefix("seed-")
        if seed.isdecimal():
            run = Run(root, settings, path.parent.parent.name, int(seed))
            if run.finished:
                runs.append(run)
    return runs


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write (disk full, no permission) into one line for the user."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path} ({error.strerror or error}): what was recorded before is intact; "
            "make room or choose another place, then run the same command again"
        ) from error


def write(path: Path, content: bytes) -> str:
    """Put content into a file, all of it or nothing, and return its SHA-256."""
    temporary = path.with_name(path.name + ".tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
    return hashlib.sha256(content).hexdigest()


def write_table(path: Path, table: pd.DataFrame) -> str:
    return write(path, table.to_csv(index=False, lineterminator="\n").encode())


def read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A CSV file that has these columns; UserError where it does not."""
    try:
        table = pd.read_csv(io.BytesIO(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): {MOVE_AWAY}") from error
    if tuple(table.columns) != columns:
        raise UserError(f"{path} has other columns than {','.join(columns)}: {MOVE_AWAY}")
    return table

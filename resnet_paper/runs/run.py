"""A run's directory, and a finished run read from it.

A run is finished when its run.json says so, and nothing else is ever taken for a result.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from resnet_paper.errors import UnreadableError, UserError
from resnet_paper.runs import record as records
from resnet_paper.runs.files import (
    make_directory,
    remove_temporaries,
    write,
    write_csv,
    writing,
)
from resnet_paper.runs.provenance import this_process
from resnet_paper.runs.recipe import Recipe
from resnet_paper.runs.record import COLUMNS, JSON, Measurement, Record, Stored, as_json

MOVE_AWAY = "move its directory away to train this run from scratch"
PUT_BACK = f"put the file back (git has those of published runs), or {MOVE_AWAY}"


class InUseError(UserError):
    """Another process has this run."""


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
    def record_file(self) -> Path:
        return self.directory / "run.json"

    @property
    def weights_file(self) -> Path:
        return self.directory / "weights.pt"

    @property
    def checkpoint_file(self) -> Path:
        return self.directory / "checkpoint.pt"

    def __str__(self) -> str:
        return f"{self.network} seed {self.seed}"

    def read(self) -> Stored | None:
        """The content of run.json, None where there is none; UserError if it is damaged."""
        path = self.record_file
        try:
            stored = records.decode(path.read_bytes())
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise UnreadableError.of(path) from error
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}): {PUT_BACK}") from error
        except ValueError as error:
            raise UserError(
                f"{path} is not the record that a run left ({error}): {PUT_BACK}"
            ) from None
        if (stored.record.network, stored.record.seed) != (self.network, self.seed):
            named = f"{stored.record.network} seed {stored.record.seed}"
            raise UserError(f"{path} is the record of {named}, not of {self}: {MOVE_AWAY}")
        return stored

    def record(self) -> Record | None:
        """`read`, as a Record."""
        stored = self.read()
        return stored and stored.record

    @property
    def finished(self) -> bool:
        record = self.record()
        return record is not None and record.finished

    def is_finished_with(self, recipe: Recipe) -> bool:
        """True if the run has finished; UserError if that was with another recipe."""
        stored = self.read()
        if stored is None or not stored.record.finished:
            return False
        self.require_recipe(stored.content, recipe)
        return True

    def require_recipe(self, content: JSON, recipe: Recipe) -> None:
        """UserError unless a record's JSON is of this recipe."""
        expected = as_json(recipe.for_network(self.network))
        if differs := records.difference(records.recipe_of(content), expected):
            raise UserError(
                f"{self.directory} was trained with {differs}: choose another directory by RUNS "
                "(--runs)"
            )

    def result(self) -> Result:
        """The finished run; UserError where there is none, or if one of its files is damaged."""
        stored = self.read()
        if stored is None or not stored.record.finished:
            raise UserError(f"{self} has not finished in {self.root / self.settings}")
        return Result.read(self, *stored)

    def write_record(self, content: Mapping[str, Any]) -> None:
        """Write run.json, and into it the SHA-256 of all else that it says."""
        write(self.record_file, records.encode(content))

    def write_curve(self, rows: Sequence[Measurement]) -> str:
        """Write curve.csv and return its SHA-256."""
        table = pd.DataFrame([msgspec.structs.asdict(row) for row in rows], columns=list(COLUMNS))
        return write_csv(self.directory / "curve.csv", table)

    @property
    def holder(self) -> str | None:
        """The process that trains this run, "process 123 on some-host"; None while none does."""
        try:
            lock = os.open(self.directory / "lock", os.O_RDONLY)
        except OSError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.read(lock, 1_000).decode(errors="replace").strip()
        except OSError:  # a file system without locks
            return None
        finally:
            os.close(lock)
        return None

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Hold this run against other processes; InUseError, naming the holder, if one has it.

        The lock, given for `name_holder`, is the operating system's, so that of a dead process is
        gone with it.
        """
        path = self.directory / "lock"
        with writing(path):
            make_directory(self.directory)
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            with writing(path):
                try:
                    acquire(lock)
                except BlockingIOError:
                    holder = os.read(lock, 1_000).decode(errors="replace").strip()
                    raise InUseError(f"{self} is in use by {holder}") from None
                name_holder(lock, this_process())
                remove_temporaries(self.directory)
            yield lock
        finally:
            os.close(lock)


def record_beside(file: Path) -> Record | None:
    """The record of the run that a file lies beside; None where there is none."""
    try:
        return records.decode(file.resolve().with_name("run.json").read_bytes()).record
    except (OSError, ValueError):
        return None


def name_holder(lock: int, process: str) -> None:
    """Write into a lock that is held which process trains the run."""
    os.ftruncate(lock, os.pwrite(lock, f"{process}\n".encode(), 0))


def acquire(lock: int) -> None:
    """Lock an open file; BlockingIOError if another process keeps it.

    Tried for a fifth of a second, since `holder` holds it for a moment.
    """
    for _ in range(9):
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.025)
    return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@dataclass(frozen=True, eq=False)
class Result:
    """A finished run, its files read once and verified by the SHA-256s that its record has.

    curve: a row a measurement, with the columns COLUMNS; responses: the rows of responses.csv
    (layer, name, std), None until Figure 7 has been computed.
    """

    run: Run
    content: JSON
    record: Record
    curve: pd.DataFrame
    responses: pd.DataFrame | None

    @classmethod
    def read(cls, run: Run, content: JSON, record: Record) -> Result:
        """Read the files of a finished run; UserError if one is not as the run left it."""
        curve = verified(run, record, "curve.csv")
        responses = verified(run, record, "responses.csv")
        assert curve is not None, "Record"
        return cls(
            run,
            content,
            record,
            pd.read_csv(io.BytesIO(curve)),
            None if responses is None else pd.read_csv(io.BytesIO(responses)),
        )

    @property
    def network(self) -> str:
        return self.run.network

    @property
    def seed(self) -> int:
        return self.run.seed

    @property
    def diverged(self) -> bool:
        """True if the run ended because its loss had become infinite or NaN."""
        return self.record.diverged is not None

    @property
    def mean_response(self) -> float | None:
        """The mean of Figure 7's stds over the layers."""
        return None if self.responses is None else float(self.responses["std"].mean())

    def __str__(self) -> str:
        return str(self.run)

    def file(self, name: str) -> bytes | None:
        """A file of the run; None where its record has none; UserError if it is damaged."""
        return verified(self.run, self.record, name)

    def weights(self) -> bytes | None:
        """The bytes of weights.pt, a state dict; None where the record or the disk has none."""
        return self.file("weights.pt") if self.run.weights_file.exists() else None

    def write_responses(self, table: pd.DataFrame) -> Result:
        """Add responses.csv, whose rows are (layer, name, std), to the run, whose lock is held.

        Raises UserError if another run has taken its place since it was read.
        """
        stored = self.run.read()
        curve = self.record.sha256["curve.csv"]
        if stored is None or stored.record.sha256.get("curve.csv") != curve:
            raise UserError(f"{self} has changed meanwhile: run the same command again")
        sha256 = write_csv(self.run.directory / "responses.csv", table)
        digests = {**stored.content["sha256"], "responses.csv": sha256}
        self.run.write_record({**stored.content, "sha256": digests})
        return self.run.result()


def verified(run: Run, record: Record, name: str) -> bytes | None:
    """A file of a run if its SHA-256 is the recorded one; None where none is recorded."""
    digest = record.sha256.get(name)
    if digest is None:
        return None
    path = run.directory / name
    try:
        content = path.read_bytes()
    except PermissionError as error:
        raise UnreadableError.of(path) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): {PUT_BACK}") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise UserError(f"{path} is not the file that the run left (SHA-256): {PUT_BACK}")
    return content


def finished_runs(
    root: Path, settings: str, networks: Collection[str] | None = None
) -> list[Result]:
    """The results of some settings, of all networks or of these, by network and seed.

    Raises UserError if one is damaged.
    """
    results = []
    for run in begun_runs(root, settings, networks):
        stored = run.read()
        if stored and stored.record.finished:
            results.append(Result.read(run, *stored))
    return results


def begun_runs(root: Path, settings: str, networks: Collection[str] | None = None) -> list[Run]:
    """The runs that have a directory, of all networks or of these, by network and seed.

    Raises UnreadableError if a directory above them may not be read.
    """
    runs = []
    for network in entries(root / settings):
        if networks is not None and network not in networks:
            continue
        for name in entries(root / settings / network):
            seed = name.removeprefix("seed-")
            if name != seed and seed.isdecimal() and str(int(seed)) == seed:
                runs.append(Run(root, settings, network, int(seed)))
    return sorted(runs)


def entries(directory: Path) -> list[str]:
    """The names in a directory; none where there is no directory."""
    try:
        return [path.name for path in directory.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError as error:
        raise UnreadableError.of(directory) from error

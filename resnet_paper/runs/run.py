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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from resnet_paper.errors import UserError
from resnet_paper.runs.recipe import Recipe

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
            raise UserError(f"{path} cannot be read ({error}): {PUT_BACK}") from error
        if not is_record(record) or record["sha256"].get("run.json") != record_digest(record):
            raise UserError(f"{path} is not the record that a run left: {PUT_BACK}")
        if (record["network"], record["seed"]) != (self.network, self.seed):
            named = f"{record['network']} seed {record['seed']}"
            raise UserError(f"{path} is the record of {named}, not of {self}: {MOVE_AWAY}")
        return record

    def finished_record(self) -> dict[str, Any]:
        """What run.json says of a finished run; UserError where there is none."""
        record = self.record()
        if record is None or not record["finished"]:
            raise UserError(f"{self} has not finished in {self.root / self.settings}")
        return record

    @property
    def diverged(self) -> bool:
        """Whether a finished run ended because its loss was no number."""
        return self.finished_record().get("diverged") is not None

    @property
    def finished(self) -> bool:
        record = self.record()
        return record is not None and record["finished"]

    def finished_by(self, recipe: Recipe) -> bool:
        """Whether the run has finished; UserError if that was by another recipe."""
        record = self.record()
        if record is None or not record["finished"]:
            return False
        expected, found = as_json(recipe), recorded_recipe(record)
        for key in {**expected, **found}:
            if found.get(key) != expected.get(key):
                raise UserError(
                    f"{self.directory} was trained with {key} {found.get(key)}, not "
                    f"{expected.get(key)}: choose another directory by RUNS (--runs)"
                )
        return True

    def content(self, name: str) -> bytes | None:
        """A file of a finished run, as its record knows it; None where the record knows none.

        Raises UserError if the file is not the one whose SHA-256 the record has.
        """
        digest = self.finished_record()["sha256"].get(name)
        if digest is None:
            return None
        path = self.directory / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}): {PUT_BACK}") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise UserError(f"{path} is not the file that the run left (SHA-256): {PUT_BACK}")
        return content

    def curve(self) -> pd.DataFrame:
        """The rows of a finished run's curve.csv, a row a measurement; columns: COLUMNS."""
        content = self.content("curve.csv")
        assert content is not None, "is_record"
        return pd.read_csv(io.BytesIO(content))

    def responses(self) -> pd.DataFrame | None:
        """The rows of responses.csv (layer, name, std), or None where there is none."""
        content = self.content("responses.csv")
        return None if content is None else pd.read_csv(io.BytesIO(content))

    def write_record(self, record: dict[str, Any]) -> None:
        """Write run.json, and into it the SHA-256 of all else that it says."""
        digests = {**record.get("sha256", {}), "run.json": record_digest(record)}
        text = json.dumps({**record, "sha256": digests}, indent=2, allow_nan=False) + "\n"
        write(self.directory / "run.json", text.encode())

    def write_curve(self, rows: list[dict[str, float]]) -> str:
        """Write curve.csv and return its SHA-256."""
        return write_table(self.directory / "curve.csv", pd.DataFrame(rows, columns=list(COLUMNS)))

    def write_responses(self, table: pd.DataFrame) -> None:
        """Add responses.csv to a finished run."""
        record = self.finished_record()
        record["sha256"]["responses.csv"] = write_table(self.directory / "responses.csv", table)
        self.write_record(record)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold this run against other processes; UserError, naming the holder, if one has it.

        The lock is the operating system's, so that of a dead process is gone with it.
        """
        path = self.directory / "lock"
        with writing(path):
            self.directory.mkdir(parents=True, exist_ok=True)
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            with writing(path):
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    holder = os.read(lock, 1_000).decode(errors="replace").strip()
                    raise InUseError(f"{self} is in use by {holder}") from None
                os.ftruncate(lock, 0)
                os.write(lock, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            yield
        finally:
            os.close(lock)


class InUseError(UserError):
    """Another process has this run."""


MOVE_AWAY = "move its directory away to train this run anew"
PUT_BACK = (
    "put the file back (git has those of published runs), "
    "or move its directory away to train this run anew"
)


def is_record(record: Any) -> bool:
    """Whether what a run.json holds has what is read of every run, and of finished ones."""

    def has(where: Any, **kinds: type | tuple[type, ...]) -> bool:
        return isinstance(where, dict) and all(
            isinstance(where.get(key), kind) for key, kind in kinds.items()
        )

    always = {"network": str, "seed": int, "recipe": dict, "computed": dict, "finished": bool}
    if not has(record, sha256=dict, **always):
        return False
    if not record["finished"]:
        return True
    return has(record, test_error=(int, float)) and has(record["sha256"], **{"curve.csv": str})


def record_digest(record: dict[str, Any]) -> str:
    """The SHA-256 of a record, but for the digest itself."""
    digests = {k: v for k, v in record.get("sha256", {}).items() if k != "run.json"}
    text = json.dumps({**record, "sha256": digests}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def recorded_recipe(record: dict[str, Any]) -> dict[str, Any]:
    """The recipe in a record; a field that is newer than the record has its default."""
    return {**as_json(Recipe()), **record["recipe"]}


def as_json(recipe: Recipe) -> dict[str, Any]:
    """A recipe as run.json has it."""
    return json.loads(json.dumps(asdict(recipe)))


def recorded(root: Path, settings: str) -> list[Run]:
    """The finished runs of some settings, by network and seed."""
    runs = []
    for path in sorted((root / settings).glob("*/seed-*/run.json")):
        seed = path.parent.name.removeprefix("seed-")
        if seed.isdecimal() and str(int(seed)) == seed:
            run = Run(root, settings, path.parent.parent.name, int(seed))
            if run.finished:
                runs.append(run)
    return runs


SUMMARY = ("test_error", "test_error_precise", "train_error_clean", "val_error", "test_loss")


def summary(runs: Iterable[Run]) -> pd.DataFrame:
    """A row for each finished run: network, seed, parameters, SUMMARY, mean_response, diverged.

    Errors (%) and loss (nats) are those at the last iteration; mean_response is the mean of Figure
    7's stds over the layers, NaN where there are none. All are NaN where the run diverged.
    """
    rows = []
    for run in runs:
        record = run.finished_record()
        row = {"network": run.network, "seed": run.seed, "parameters": record.get("parameters")}
        if not run.diverged:
            row |= {name: record.get(name) for name in SUMMARY}
            responses = run.responses()
            row["mean_response"] = None if responses is None else responses["std"].mean()
        rows.append({**row, "diverged": run.diverged})
    columns = ["network", "seed", "parameters", *SUMMARY, "mean_response", "diverged"]
    numbers = dict.fromkeys([*SUMMARY, "mean_response"], float)
    return pd.DataFrame(rows, columns=columns).astype({**numbers, "diverged": bool})


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

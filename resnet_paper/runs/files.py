"""Files are written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from resnet_paper.errors import UserError

TEMPORARY = ".tmp"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Context manager: a failure to write (disk full, no permission) is one line for the user."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path} ({error.strerror or error}): what was recorded before is intact; "
            "make room or choose another place, then run the same command again"
        ) from error


def write(path: Path, content: bytes) -> str:
    """Write a file, all of it or nothing, and return its SHA-256.

    Each writer has a temporary file of its own, so that of two processes the last one wins.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}{TEMPORARY}")
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    return hashlib.sha256(content).hexdigest()


def require_writable(folder: Path) -> None:
    """UserError if nothing can be written to a folder, or above it as far as it is missing."""
    existing = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    probe = existing / f"probe.{os.getpid()}{TEMPORARY}"
    with writing(folder):
        probe.touch()
        probe.unlink()


def write_csv(path: Path, table: pd.DataFrame) -> str:
    """Write a table as CSV and return its SHA-256."""
    return write(path, table.to_csv(index=False, lineterminator="\n").encode())


def remove_temporaries(directory: Path) -> None:
    """Remove what killed writers left in a directory that nobody else writes to."""
    for path in directory.glob(f"*{TEMPORARY}"):
        path.unlink(missing_ok=True)

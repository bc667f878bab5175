"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
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

    When it returns, a power failure loses neither the content nor the name. Each writer has a
    temporary file of its own, so that of two processes the last one wins.
    """
    with writing(path):
        make_directory(path.parent)
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
        sync(path.parent)
    return hashlib.sha256(content).hexdigest()


def make_directory(folder: Path) -> None:
    """Create a directory and those above it, as far as they are missing."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in reversed(missing):
        sync(each.parent)


def sync(folder: Path) -> None:
    """Have the names in a directory on the disk, where its file system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EACCES):
            raise


def require_writable(folder: Path) -> None:
    """UserError if nothing can be written to a folder, or above it as far as it is missing."""
    existing = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    probe = existing / f"probe.{os.getpid()}{TEMPORARY}"
    with writing(folder):
        probe.touch()
        probe.unlink()


@contextmanager
def locked(path: Path, waiting: str) -> Iterator[None]:
    """Context manager: one process at a time; others say that they are waiting.

    The lock is the operating system's, so that of a dead process is gone. Its file is removed at
    the end: a process that waited for a removed one locks the next.
    """
    while True:
        make_directory(path.parent)
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                click.echo(waiting, err=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
            if is_at(path, lock):
                try:
                    yield
                finally:
                    path.unlink(missing_ok=True)
                return
        finally:
            os.close(lock)


def is_at(path: Path, file: int) -> bool:
    """Whether an open file still lies at a path: others may remove it at any moment."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def scratch_directory(path: Path) -> Iterator[Path]:
    """Context manager: an empty directory, removed at the end; that of a killed process first."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def move(source: Path, target: Path) -> None:
    """Move what is in a directory into another one, links aside; files there are replaced."""
    for path in source.iterdir():
        there = target / path.name
        if path.is_symlink():
            continue
        if path.is_dir() and there.is_dir():
            move(path, there)
        else:
            path.replace(there)


def write_csv(path: Path, table: pd.DataFrame) -> str:
    """Write a table as CSV and return its SHA-256."""
    return write(path, table.to_csv(index=False, lineterminator="\n").encode())


def remove_temporaries(directory: Path) -> None:
    """Remove what killed writers left in a directory that nobody else writes to."""
    for path in directory.glob(f"*{TEMPORARY}"):
        path.unlink(missing_ok=True)

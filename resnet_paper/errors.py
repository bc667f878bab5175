"""Errors that a user can fix."""

from __future__ import annotations

from pathlib import Path

import click


class UserError(click.ClickException):
    """One line that says what is wrong and what to do; a command prints it and exits with 1."""


class UnreadableError(UserError):
    """A file or a directory that this user may not read."""

    @classmethod
    def of(cls, path: str | Path) -> UnreadableError:
        return cls(
            f"{path}: permission denied: ask its owner for read access, or choose another "
            "directory by RUNS (--runs)"
        )


class UnknownNetworkError(UserError, ValueError):
    """No network has this name; the line says which names are nearest."""

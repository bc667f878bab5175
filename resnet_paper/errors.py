"""Errors that a user can fix."""

import click


class UserError(click.ClickException):
    """One line that says what is wrong and what to do; a command prints it and exits with 1."""


class UnknownNetworkError(UserError, ValueError):
    """No network has this name; the line says which names are nearest."""

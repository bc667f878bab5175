"""Make's variables as options of commands: `make table6 DEPTHS="20 32"` is `--depths "20 32"`.

Make passes its variables to what it runs: all in the environment, those of its command line in
MAKEFLAGS too, as they were typed. Each option of a command is a variable, and no other is.
"""

from __future__ import annotations

import difflib
import os
import re
import textwrap
from collections.abc import Iterator, Mapping

import click

from resnet_paper.errors import UserError

# Read by the Makefile for any target.
SETUP = {"PYTHON", "TORCH"}


def variable(option: str) -> str:
    """The variable of an option: "--data-dir" -> "DATA_DIR"."""
    return option.removeprefix("--").upper().replace("-", "_")


def options_of(command: click.Command) -> dict[str, click.Option]:
    """The options of a command by their variables."""
    options = [param for param in command.params if isinstance(param, click.Option)]
    return {variable(option.opts[-1]): option for option in options}


def typed(makeflags: str) -> dict[str, str]:
    r"""The variables of make's command line, from MAKEFLAGS.

    "k -- DEPTHS=20\ 32 RUNS=a$$b" -> {"DEPTHS": "20 32", "RUNS": "a$b"}.
    """
    _, dashes, words = f" {makeflags}".partition(" -- ")
    found = {}
    for word in re.findall(r"(?:\\.|\S)+", words if dashes else makeflags):
        name, equals, value = re.sub(r"\\(.)", r"\1", word).replace("$$", "$").partition("=")
        if equals and not name.startswith("-"):
            found[name.rstrip(":+?!")] = value
    return found


def check(used: Mapping[str, Mapping[str, click.Option | None]], given: Mapping[str, str]) -> None:
    """Refuse slips on make's command line; UserError.

    used: by target, the variables that it uses, with their options where a command has them.
    given: `typed`.
    """
    options = {name: option for of in used.values() for name, option in of.items()}
    if empty := [name for name, value in given.items() if not value.strip()]:
        raise UserError(f"{' '.join(empty)} is empty: leave it out for its default")
    if other := sorted(given.keys() - options.keys() - SETUP):
        near = [difflib.get_close_matches(name.upper(), options, n=1) for name in other]
        meant = " ".join(match for matches in near for match in matches)
        question = f" (did you mean {meant}?)" if meant else ""
        uses = " ".join(sorted(options)) or "no variables"
        raise UserError(
            f"make {' '.join(used)} does not use {' '.join(other)}{question}: it uses {uses}"
        )
    for name, option in options.items():
        if option is not None and name in given:
            check_flag(name, option, given[name])


def check_flag(name: str, option: click.Option, value: str) -> None:
    if option.is_flag and value != "1":
        raise UserError(f"{name}={value} means nothing: {name}=1 {option.help}")


def arguments(
    command: click.Command, given: Mapping[str, str], environment: Mapping[str, str] = os.environ
) -> list[str]:
    """The command's arguments from the variables that it uses.

    Those of the environment count where make's command line has none, and are said; an empty one is
    none.
    """
    found = []
    for name, option in options_of(command).items():
        value = given.get(name) or environment.get(name, "")
        if not value.strip():
            continue
        if name not in given:
            click.echo(f"{name}={value} is set in the environment", err=True)
        check_flag(name, option, value)
        found.append(option.opts[-1] if option.is_flag else f"{option.opts[-1]}={value}")
    return found


def described(options: Mapping[str, list[click.Option]]) -> Iterator[str]:
    """A line or more for each variable, from the help, words and default of its options."""
    for name, same in sorted(options.items()):
        said = dict.fromkeys(filter(None, map(describe, same)))
        yield from textwrap.wrap(
            "; ".join(said),
            width=100,
            initial_indent=f"  {name:<13} ",
            subsequent_indent=16 * " ",
            break_on_hyphens=False,
        )


def describe(option: click.Option) -> str:
    """An option's help, the words that it takes, and its default."""
    if option.is_flag:
        return f"1: {option.help}"
    if not option.help:
        return ""
    words = ", ".join(filter(None, getattr(option.type, "words", ())))
    default = f" ({option.default})" if option.show_default else ""
    return option.help.rstrip(".") + (words and f": {words}") + default

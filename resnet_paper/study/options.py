"""The click options that the commands share; their defaults are Study's."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from resnet_paper import names
from resnet_paper.runs.datasets import DATA_SETS
from resnet_paper.runs.recipe import SETTINGS
from resnet_paper.study.study import Study
from resnet_paper.study.tracking import TRACKERS

DEVICES = ("auto", "cpu", "cuda")
ENGINES = ("local", "ray")
PRECISIONS = ("auto", "bfloat16", "tf32", "float32")
MAKE_VARIABLES = {
    *("SETTINGS", "RUNS", "DATA_DIR", "DEVICE", "PRECISION", "ENGINE", "TRACK", "YES", "SEEDS"),
    *("CONCURRENT", "DEPTHS", "PLAIN_DEPTHS", "NETWORK", "SEED", "DEPTH", "WEIGHTS"),
    *("NORMALISATION", "AGAINST"),
}
ALIASES = {"gpu": "cuda", "bf16": "bfloat16", "fp32": "float32"}


class Command(click.Command):
    """A command that answers a mistake with one line, which names make's variable too."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        try:
            return super().make_context(*args, **extra)
        except click.UsageError as error:
            raise click.UsageError(of_make(error.format_message())) from error


def of_make(message: str) -> str:
    """A message of click's in which '--data-dir' reads DATA_DIR (--data-dir)."""

    def both(option: re.Match[str]) -> str:
        variable = option[1].upper().replace("-", "_")
        return f"{variable} (--{option[1]})" if variable in MAKE_VARIABLES else option[0]

    return re.sub(r"'--([a-z-]+)'", both, message)


class Word(click.ParamType):
    """One of some words, in any case, or an alias of one; a near miss is answered with it."""

    name = "word"

    def __init__(self, words: Collection[str], aliases: Mapping[str, str] = ALIASES) -> None:
        self.words, self.aliases = words, aliases

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return f"[{'|'.join(filter(None, self.words))}]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        word = self.aliases.get(value.lower(), value.lower())
        if word in self.words:
            return word
        near = difflib.get_close_matches(word, self.words, n=1)
        question = f": did you mean {near[0]!r}?" if near else ""
        known = ", ".join(filter(None, self.words))
        return self.fail(f"{value!r} is none of {known}{question}", param, ctx)


class Count(click.ParamType):
    """A positive number: how many seeds, not which."""

    name = "count"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if str(value).isdecimal() and int(value) > 0:
            return int(value)
        return self.fail(
            f"{value!r} is not a number of seeds: SEEDS=3 asks for three runs of each network",
            param,
            ctx,
        )


class Seed(click.ParamType):
    """A whole number from 0 that fits 63 bits."""

    name = "seed"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if str(value).isdecimal() and int(value) < 2**63:
            return int(value)
        return self.fail(f"{value!r} is no seed: use a whole number from 0", param, ctx)


class NetworkName(click.ParamType):
    """A network's name in any spelling: "resnet-20", "ResNet20"; "" is none."""

    name = "network"

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        return "Say which, as in NETWORK=resnet-20."

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        network = names.canonical(value)
        if network:
            names.parse(network)
        return network


FOLDER = click.Path(path_type=Path)
DEFAULTS = {field.name: field.default for field in fields(Study)}


def root_of_runs(_: click.Context, __: click.Parameter, root: Path) -> Path:
    """An option's callback: a directory of runs, which need not exist."""
    if root.exists() and not root.is_dir():
        raise click.BadParameter(f"{root} is a file, not a directory of runs")
    if next(root.glob("seed-*"), None) or next(root.glob("*/seed-*/run.json"), None):
        raise click.BadParameter(
            f"{root} is inside a directory of runs (RUNS/settings/network/seed-0): name the "
            "directory that has the settings' names in it"
        )
    return root


def data_directory(_: click.Context, __: click.Parameter, folder: Path) -> Path:
    """An option's callback: the directory that the data sets' own are in."""
    titles = {data_set.folder: data_set.title for data_set in DATA_SETS.values() if data_set.folder}
    for inside in (folder, *folder.parents):
        if inside.name in titles and folder.is_dir():
            raise click.BadParameter(
                f"{inside} is {titles[inside.name]} itself: name the directory that it is in"
            )
    return folder


def options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which runs, where and how; the command gets them as a Study."""

    @click.option("--settings", type=Word(SETTINGS), default=Study.settings)
    @click.option(
        "--runs",
        "root",
        type=FOLDER,
        default=Study.root,
        callback=root_of_runs,
        show_default=True,
    )
    @click.option(
        "--data-dir",
        type=FOLDER,
        default=Study.data_dir,
        callback=data_directory,
        show_default=True,
    )
    @click.option("--device", type=Word(DEVICES), default=Study.device, show_default=True)
    @click.option("--precision", type=Word(PRECISIONS), default=Study.precision, show_default=True)
    @click.option("--engine", type=Word(ENGINES), default=Study.engine, show_default=True)
    @click.option("--track", type=Word(("", *TRACKERS)), default=Study.track, help="Live curves.")
    @click.option("--yes", is_flag=True, help="Train for hours without asking.")
    @functools.wraps(command)
    def with_study(**arguments: Any) -> None:
        study = Study(**{name: arguments.pop(name) for name in DEFAULTS if name in arguments})
        command(study, **arguments)

    return with_study


def set_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a set of runs, to stand above `options`."""
    for option in (
        click.option("--seeds", type=Count(), default=Study.seeds, help="How many of each."),
        click.option("--draw-only", is_flag=True, help="Train nothing; draw all that is recorded."),
        click.option(
            "--concurrent",
            type=click.IntRange(min=0),
            default=Study.concurrent,
            help="At once; 0: automatic.",
        ),
    ):
        command = option(command)
    return command


def checked_depth(layers: int) -> int:
    """The same number if it is a depth of section 4.2's nets, 6n+2; click.BadParameter if not."""
    nearest = names.nearest_depths(layers)
    if layers not in nearest:
        near = " or ".join(map(str, nearest))
        raise click.BadParameter(f"{layers} is not 6n+2: the nearest are {near}")
    return layers


def depth(_: click.Context, __: click.Parameter, layers: int) -> int:
    """An option's callback: one depth of section 4.2's nets."""
    return checked_depth(layers)


def depths(kind: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """An option's callback: the networks of a kind by their depths, "20 32" or "20,32"."""

    def networks(_: click.Context, __: click.Parameter, text: str) -> list[str]:
        words = text.replace(",", " ").split()
        if not all(word.isdecimal() for word in words):
            raise click.BadParameter(f"{text!r} is not a list of depths like '20 32'")
        return list(dict.fromkeys(f"{kind}-{checked_depth(int(word))}" for word in words))

    return networks

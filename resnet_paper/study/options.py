"""The click options that the commands share; their defaults are Study's and Trainer's.

Each option is also a variable of make, so its help is a line of `make help`.
"""

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
from resnet_paper.errors import UnreadableError
from resnet_paper.paper import facts
from resnet_paper.runs.datasets import DATA_SETS
from resnet_paper.runs.recipe import SETTINGS
from resnet_paper.study.make_variables import variable
from resnet_paper.study.study import Study
from resnet_paper.study.tracking import TRACKERS
from resnet_paper.study.trainer import Trainer

DEVICES = ("auto", "cpu", "cuda")
ENGINES = ("local", "ray")
PRECISIONS = ("auto", "bfloat16", "tf32", "float32")
KERNELS = ("auto", "fused", "pytorch")
ALIASES = {"gpu": "cuda", "bf16": "bfloat16", "fp32": "float32"}


class Command(click.Command):
    """A command that answers a mistake with one line, which names make's variable too."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        try:
            return super().make_context(*args, **extra)
        except click.UsageError as error:
            raise click.UsageError(of_make(error.format_message())) from error
        except PermissionError as error:
            raise UnreadableError.of(error.filename) from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PermissionError as error:
            raise UnreadableError.of(error.filename) from error


def of_make(message: str) -> str:
    """A message of click's in which '--data-dir' reads DATA_DIR (--data-dir)."""
    return re.sub(r"'(--[a-z-]+)'", lambda option: f"{variable(option[1])} ({option[1]})", message)


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


class PathInHome(click.Path):
    """A path, in which a leading ~ is the home directory: make passes it on as it is typed."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            expanded = Path(value).expanduser()
        except RuntimeError:
            self.fail(f"{value}: there is no such home directory", param, ctx)
        if self.exists:
            try:
                expanded.stat()
            except PermissionError:  # of which click says that it does not exist
                self.fail(f"{value}: permission denied", param, ctx)
            except OSError:
                pass
        return super().convert(expanded, param, ctx)


FOLDER = PathInHome(path_type=Path)
FILE = PathInHome(exists=True, dir_okay=False, path_type=Path)


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
    """An option's callback: the directory that the data sets' own are in, which need not exist."""
    try:
        next(folder.iterdir(), None)
    except FileNotFoundError:
        return folder
    except OSError as error:
        raise click.BadParameter(f"{folder}: {error.strerror}") from error
    titles = {data_set.folder: data_set.title for data_set in DATA_SETS.values() if data_set.folder}
    for inside in (folder, *folder.parents):
        if inside.name in titles:
            raise click.BadParameter(
                f"{inside} is {titles[inside.name]} itself: name the directory that it is in"
            )
    return folder


runs_option = click.option(
    "--runs",
    "root",
    type=FOLDER,
    default=Study.root,
    callback=root_of_runs,
    show_default=True,
    help="Where runs are recorded.",
)
seeds_option = click.option(
    "--seeds",
    type=Count(),
    default=Study.seeds,
    show_default=True,
    help="How many runs of each network: those that have finished count.",
)
concurrent_option = click.option(
    "--concurrent",
    type=click.IntRange(min=0),
    default=Trainer.concurrent,
    show_default=True,
    help="Runs at once, with ENGINE=ray on each GPU; 0: automatic.",
)
draw_only_option = click.option("--draw-only", is_flag=True, help="draws and trains nothing")


def options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which runs; the command gets them as `study`, a Study.

    `seeds_option`, to stand above this, is one of them.
    """

    @click.option(
        "--settings",
        type=Word(SETTINGS),
        default=Study.settings,
        show_default=True,
        help="The recipe.",
    )
    @runs_option
    @click.option(
        "--data-dir",
        type=FOLDER,
        default=Study.data_dir,
        callback=data_directory,
        show_default=True,
        help="Where the data sets are, or are downloaded to.",
    )
    @functools.wraps(command)
    def with_study(**arguments: Any) -> None:
        command(study=Study(**taken(Study, arguments)), **arguments)

    return with_study


def trainer_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say how runs are trained; the command gets them as `trainer`, a Trainer.

    `concurrent_option` and `draw_only_option`, to stand above this, are two of them.
    """

    @click.option(
        "--device",
        type=Word(DEVICES),
        default=Trainer.device,
        show_default=True,
        help="Where it is trained.",
    )
    @click.option(
        "--precision",
        type=Word(PRECISIONS),
        default=Trainer.precision,
        show_default=True,
        help="Of convolutions; tf32 on CUDA alone.",
    )
    @click.option(
        "--kernels",
        type=Word(KERNELS),
        default=Trainer.kernels,
        show_default=True,
        help="fused: made for the paper's networks; on a GPU in bfloat16.",
    )
    @click.option(
        "--engine",
        type=Word(ENGINES),
        default=Trainer.engine,
        show_default=True,
        help="ray: on all cores, GPUs and nodes at once.",
    )
    @click.option(
        "--track",
        type=Word(("", *TRACKERS)),
        default=Trainer.track,
        help="Live curves of the runs in training.",
    )
    @click.option("--yes", is_flag=True, help="trains for hours without asking")
    @click.option("--dry-run", is_flag=True, help="prints the plan and ends")
    @functools.wraps(command)
    def with_trainer(**arguments: Any) -> None:
        command(trainer=Trainer(**taken(Trainer, arguments)), **arguments)

    return with_trainer


def set_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a command that trains a set of runs and draws them: `study`, `trainer`."""
    command = trainer_options(options(command))
    return seeds_option(concurrent_option(draw_only_option(command)))


def taken(fields_of: type[Study | Trainer], arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments that are fields of a dataclass, removed from the others."""
    names_of = [field.name for field in fields(fields_of) if field.name in arguments]
    return {name: arguments.pop(name) for name in names_of}


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


def networks_of(kind: str, text: str) -> list[str]:
    """The networks of a kind by their depths, "20 32" or "20,32"; click.BadParameter if not."""
    words = text.replace(",", " ").split()
    if not all(word.isdecimal() for word in words):
        raise click.BadParameter(f"{text!r} is not a list of depths like '20 32'")
    return list(dict.fromkeys(f"{kind}-{checked_depth(int(word))}" for word in words))


def resnets(_: click.Context, __: click.Parameter, text: str) -> list[str]:
    """An option's callback: residual nets by their depths."""
    return networks_of("resnet", text)


def plain_nets(ctx: click.Context, _: click.Parameter, text: str | None) -> list[str]:
    """An option's callback: plain nets by their depths, by default the paper's of those asked for.

    The residual nets' option stands above this one, so that it is known here.
    """
    if text is not None:
        return networks_of("plain", text)
    depths = [names.parse(network).depth for network in ctx.params["resnets"]]
    return [f"plain-{depth}" for depth in depths if str(depth) in facts.PLAIN_DEPTHS.split()]


depths_option = click.option(
    "--depths",
    "resnets",
    default=facts.RESNET_DEPTHS,
    callback=resnets,
    show_default=True,
    help="Residual nets, 6n+2.",
)
plain_depths_option = click.option(
    "--plain-depths",
    "plain",
    callback=plain_nets,
    help="Plain nets; by default the paper's of DEPTHS.",
)

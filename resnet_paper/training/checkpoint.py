"""A run's checkpoint: the file that it is resumed from, and whether that is the same run."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import click
import msgspec
import torch
from torch import nn

from resnet_paper.errors import UnreadableError, UserError
from resnet_paper.networks import counts
from resnet_paper.networks.build import blueprint
from resnet_paper.runs.files import write
from resnet_paper.runs.provenance import revision
from resnet_paper.runs.recipe import Recipe
from resnet_paper.runs.record import (
    JSON,
    Environment,
    Measurement,
    Record,
    Resumption,
    as_json,
    difference,
    recipe_of,
)
from resnet_paper.runs.run import MOVE_AWAY, Run
from resnet_paper.training.backend import COMPILER, Backend, can_compile
from resnet_paper.training.learner import LearnerState

FORMAT = 1  # of the file; one without a number is of format 1
SHA256_BYTES = 32


@dataclass
class State:
    """Where a run stands, besides its network and optimiser."""

    warmup_end: int | None  # the iteration at which warming up ended; None while it lasts
    iteration: int = 0
    rows: list[Measurement] = field(default_factory=list)
    seconds: float = 0.0  # of training and measuring, over all sittings

    @property
    def warming_up(self) -> bool:
        return self.warmup_end is None

    @property
    def diverged(self) -> bool:
        """True once the training loss is infinite or NaN."""
        return bool(self.rows) and not math.isfinite(self.rows[-1].train_loss)

    @property
    def measured(self) -> int:
        """The iteration of the last measurement."""
        return self.rows[-1].iteration if self.rows else 0


@dataclass(frozen=True)
class Checkpoint:
    """All that a run is resumed from. content: its run.json."""

    content: JSON
    record: Record
    state: State
    learner: LearnerState


def save(run: Run, content: JSON, state: State, learner: LearnerState) -> None:
    """Write checkpoint.pt, a run's one commit point, followed by its SHA-256; then curve.csv."""
    rows = [msgspec.structs.asdict(row) for row in state.rows]
    stored = {"format": FORMAT, "record": content, **vars(state), "rows": rows, **vars(learner)}
    buffer = io.BytesIO()
    torch.save(stored, buffer)
    data = buffer.getvalue()
    write(run.checkpoint_file, data + hashlib.sha256(data).digest())
    run.write_curve(state.rows)


def load(run: Run) -> Checkpoint | None:
    """A run's checkpoint, None where there is none; UserError if it is damaged."""
    path = run.checkpoint_file
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise UnreadableError.of(path) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): {MOVE_AWAY}") from error
    if not intact(data):
        raise UserError(f"{path} is damaged: {MOVE_AWAY}, or put back a copy")
    content = io.BytesIO(data[:-SHA256_BYTES])
    stored = torch.load(content, map_location="cpu", weights_only=True)
    if stored.get("format", 1) != FORMAT:
        raise UserError(
            f"{path} has format {stored['format']}, this version reads format {FORMAT}: resume "
            "the run with the version that began it"
        )
    try:
        return decode(stored)
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} is of another version ({error}): {MOVE_AWAY}") from error


def intact(data: bytes) -> bool:
    """True if a checkpoint's bytes end with the SHA-256 of the others."""
    return hashlib.sha256(data[:-SHA256_BYTES]).digest() == data[-SHA256_BYTES:]


def decode(stored: Mapping[str, Any]) -> Checkpoint:
    """A checkpoint from what its file holds; KeyError or ValueError where it does not fit."""
    return Checkpoint(
        content=stored["record"],
        record=msgspec.convert(stored["record"], Record),
        state=State(
            warmup_end=stored["warmup_end"],
            iteration=stored["iteration"],
            rows=msgspec.convert(stored["rows"], list[Measurement]),
            seconds=stored["seconds"],
        ),
        learner=LearnerState(stored["weights"], stored["momentum"], stored["tally"]),
    )


def new_record(
    run: Run, recipe: Recipe, network: nn.Module, backend: Backend, concurrent: int
) -> JSON:
    """The run.json of a run that begins here and now."""
    record = Record(
        network=run.network,
        parameters=counts.parameters(network),
        seed=run.seed,
        settings=run.settings,
        recipe=recipe,
        environment=backend.environment(network, recipe, concurrent),
        revision=revision(),
        started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        finished=False,
    )
    return {**as_json(record), "resumed": []}


def resume_point(run: Run, recipe: Recipe, backend: Backend) -> Checkpoint | None:
    """The checkpoint that a run is resumed from, None where it has none.

    Raises UserError if its directory holds another run, or what is left of it is damaged. If some
    of it has been trained, device, precision, kernels and compilation must be the same: they decide
    its numbers.
    """
    checkpoint = load(run)
    if checkpoint is not None:
        method = backend.method(blueprint(run.network, recipe.classes, recipe.channels), recipe)
        check_same_run(run, checkpoint.content, recipe, method)
    elif (stored := run.read()) is not None:
        check_same_run(run, stored.content, recipe)
    if checkpoint is None and (run.directory / "curve.csv").exists():
        raise UserError(f"{run.directory} has a curve but no checkpoint to resume: {MOVE_AWAY}")
    return checkpoint


def check_same_run(run: Run, content: JSON, recipe: Recipe, method: Mapping[str, Any] = {}) -> None:
    """UserError unless a run.json is of this run, by this recipe and, if given, this method."""
    identity = {
        "network": run.network,
        "parameters": counts.parameters(blueprint(run.network, recipe.classes, recipe.channels)),
        "seed": run.seed,
        "settings": run.settings,
    }
    computed = as_json(msgspec.convert(content["computed"], Environment))
    differs = (
        difference({key: content.get(key) for key in identity}, identity)
        or difference(recipe_of(content), as_json(recipe.for_network(run.network)))
        or difference({key: computed[key] for key in method}, method)
    )
    if differs:
        key = differs.partition(" ")[0]
        raise UserError(
            f"{run.directory} holds a run begun with {differs}: "
            f"{way_back(key, computed, method)}, or choose another directory by RUNS (--runs)"
        )


def way_back(key: str, computed: JSON, method: Mapping[str, Any]) -> str:
    """What to do to resume a run as it began, where its record and the method differ in key."""
    compiled = computed["compiled"] and not method.get("compiled")
    if key in ("kernels", "compiled") and compiled and not can_compile():
        return f"torch.compile does not work here, install {COMPILER}"
    if key in ("device", "precision", "kernels"):
        return f"resume it with {key.upper()}={computed[key]} (--{key} {computed[key]})"
    return "resume it as it began"


def resumed(run: Run, checkpoint: Checkpoint, now: JSON) -> JSON:
    """The record of a run that is resumed here and now; says where its bits may differ."""
    here = {key: now[key] for key in ("computed", "revision", "started")}
    record = checkpoint.record
    sittings: list[Record | Resumption] = [record, *record.resumed]
    warn_of_another_environment(
        run,
        record.recipe.dataset,
        [sitting.environment for sitting in sittings],
        msgspec.convert(now["computed"], Environment),
    )
    entry = {"iteration": checkpoint.state.iteration, **here}
    return {**checkpoint.content, "resumed": [*checkpoint.content["resumed"], entry]}


def warn_of_another_environment(
    run: Run, dataset: str, before: list[Environment], now: Environment
) -> None:
    """Say that a run is resumed where its bits may come out differently; run.json says so too."""
    decoder = ["pillow"] if dataset == "imagenette" else []
    for key in ["torch", "triton", "numpy", *decoder, "device_name"]:
        known = [value for each in before if (value := getattr(each, key)) is not None]
        if known and known[0] != getattr(now, key):
            click.echo(
                f"{run} was begun with {key} {known[0]} and resumes with {getattr(now, key)}: from "
                "here on it may differ in its last bits from a run that was not interrupted",
                err=True,
            )

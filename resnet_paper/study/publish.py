"""Publishing a run: its numbers as they are, its weights in float16 where that costs nothing."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from resnet_paper import names
from resnet_paper.errors import UserError
from resnet_paper.networks.weights import load_weights
from resnet_paper.runs.files import write
from resnet_paper.runs.record import Published, as_json
from resnet_paper.runs.run import Result, Run, begun_runs
from resnet_paper.study.evaluate import evaluate
from resnet_paper.training.images import Images, Normalisation

DEEPEST_WITH_WEIGHTS = 110
FLOAT16_MAY_COST = 0.02  # points of test error


def publish(result: Result, root: Path, test: Images, normalise: Normalisation) -> Result:
    """Copy a finished run to a root of published ones; the run stays as it is.

    The weights, where they are copied, are in float16, BN's moving averages in float32, unless that
    changes the test error by more than FLOAT16_MAY_COST. The record of the copy says under
    "published" in which precision they are, and their test error (%), computed in float32.
    The record is written last: what an interrupted copy left is no run, and is written again.
    Raises UserError if there is such a run already, or this one is damaged.
    """
    published = replace(result.run, root=root)
    require_absent(published)
    with published.locked():
        require_absent(published)
        content = dict(result.content)
        files = {name: result.file(name) for name in ("curve.csv", "responses.csv")}
        weights = result.weights() if publishes_weights(result, root) else None
        if weights is not None:
            recipe, name = result.record.recipe, str(result.run.weights_file)
            network = load_weights(result.network, weights, name, recipe.classes, recipe.channels)
            files["weights.pt"], said = compact(network.eval(), test, normalise)
            content["published"] = as_json(said)
        else:
            published.weights_file.unlink(missing_ok=True)  # of an interrupted copy
        content["sha256"] = {
            name: write(published.directory / name, data)
            for name, data in files.items()
            if data is not None
        }
        published.write_record(content)
    return published.result()


def require_absent(run: Run) -> None:
    """UserError if there is such a run already."""
    if run.record() is not None:
        raise UserError(f"{run.directory} has a run already: it is not overwritten")


def publishes_weights(result: Result, root: Path) -> bool:
    """The first run of each of section 4.2's nets up to DEEPEST_WITH_WEIGHTS layers.

    False if it diverged, or if the root has published weights of the network.
    """
    layers = names.study_depth(result.network)
    if layers is None or layers > DEEPEST_WITH_WEIGHTS or result.diverged:
        return False
    others = begun_runs(root, result.run.settings, [result.network])
    records = [run.record() for run in others]
    return not any(record and record.published for record in records)


def compact(network: nn.Module, test: Images, normalise: Normalisation) -> tuple[bytes, Published]:
    """A network's state dict as a file, in float16 if it may be, and its precision and error."""
    whole = {name: value.clone() for name, value in network.state_dict().items()}
    halved = {name: value.detach().half() for name, value in network.named_parameters()}
    errors = {}
    states = {"float32": whole}
    if all(value.isfinite().all() for value in halved.values()):
        states["float16"] = {**whole, **halved}
    for precision, state in states.items():
        network.load_state_dict(state)
        errors[precision] = evaluate(network, test, normalise)[1]
    cost = round(abs(errors.get("float16", 100.0) - errors["float32"]), 4)
    precision = "float16" if cost <= FLOAT16_MAY_COST else "float32"
    buffer = io.BytesIO()
    torch.save(states[precision], buffer)
    return buffer.getvalue(), Published(weights=precision, test_error=errors[precision])

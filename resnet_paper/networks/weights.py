"""A network by its name with the weights of a file, in the layouts that people have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import click
import torch
from torch import Tensor, nn

from resnet_paper import names
from resnet_paper.errors import UserError
from resnet_paper.networks.build import blueprint, build
from resnet_paper.networks.foreign_keys import UnmatchedError, match
from resnet_paper.networks.weights_file import read_state

State = dict[str, Tensor]

# Counts of batches and passes, which some layouts lack and no result needs.
COUNTS = (".num_batches_tracked", ".passes")
# What wrappers have beside the network: torch's AveragedModel, and a normalisation.
BESIDE = ("n_averaged", "mean", "std")


def load_weights(
    network: str, content: bytes, name: str, classes: int | None = None, channels: int | None = None
) -> nn.Module:
    """A network with its weights from the bytes of a file of that name.

    The file is a state dict by torch.save or safetensors, maybe inside a checkpoint, as under
    "state_dict", "model" or "net", and maybe with a prefix, as DataParallel's "module.". Keys of
    another scheme are matched by what they say, which is noted on standard error.
    Raises UserError if the weights do not fit, are not floats, or are NaN or infinite. A plain and
    a residual net of the same depth have the same weights by name and shape: which of the two they
    are of, only their owner knows.
    """
    built = build(network, classes=classes, channels=channels)
    own = built.state_dict()
    needed = without_counts(own)
    state = without_prefix(read_state(content, name), own)
    found = without_counts(state)
    keys = dict(zip(needed, needed, strict=True))
    if found.keys() != needed.keys():
        try:
            keys = match(found, needed)
        except UnmatchedError as error:
            known = 2 * len(found.keys() & needed.keys()) > len(needed)
            said = difference(found, needed) if known else str(error)
            raise UserError(misfit(name, network, said, found, classes, channels)) from error
        click.echo(f"{name}: the keys are of another scheme, matched to {network}'s", err=True)
    for key, theirs in keys.items():
        value, expected = found[theirs], tuple(needed[key].shape)
        if tuple(value.shape) != expected:
            said = f"{theirs} is {tuple(value.shape)}, not {expected}"
            raise UserError(misfit(name, network, said, found, classes, channels))
        require_numbers(value, needed[key].dtype, f"{name}: {theirs}")
        if key.endswith("running_var") and (value < 0).any():
            raise UserError(f"{name}: {theirs} has negative variances: is it a BN's running_var?")
    counts = {
        key: state[key]
        for key in own.keys() - needed.keys()
        if key in state and state[key].shape == own[key].shape
    }
    values = {key: found[theirs] for key, theirs in keys.items()}
    built.load_state_dict({**own, **counts, **values})
    return built


def without_counts(state: Mapping[str, Tensor]) -> State:
    """A state dict without COUNTS."""
    return {key: value for key, value in state.items() if not key.endswith(COUNTS)}


def without_prefix(state: State, own: Mapping[str, Tensor]) -> State:
    """A state dict without the prefix that all keys share, as "module.", and what is BESIDE it."""
    while not state.keys() & own.keys():
        inside = {key: value for key, value in state.items() if key not in BESIDE}
        prefixes = {key.partition(".")[0] for key in inside}
        if len(prefixes) != 1 or not all("." in key for key in inside):
            break
        state = {key.partition(".")[2]: value for key, value in inside.items()}
    return state


def require_numbers(value: Tensor, dtype: torch.dtype, name: str) -> None:
    """UserError unless a tensor is of floats, all of them finite numbers of a dtype."""
    if value.is_meta or value.layout != torch.strided:
        kind = "on the meta device" if value.is_meta else "sparse"
        raise UserError(f"{name} is {kind}: save dense weights")
    if not value.is_floating_point():
        kind = str(value.dtype).removeprefix("torch.")
        raise UserError(f"{name} is of {kind}, not of floats: save weights that are not quantised")
    if not value.to(dtype).isfinite().all():
        raise UserError(f"{name} has NaN or infinite weights, as of a network that diverged")


def misfit(
    name: str, network: str, said: str, found: State, classes: int | None, channels: int | None
) -> str:
    """What to say of weights that are not a network's, with the name of the one that they fit."""
    others = fitting(found, classes, channels)
    remedy = f": try NETWORK={' or '.join(others)}" if others and network not in others else ""
    return f"{name} does not hold the weights of a {network} ({said}){remedy}"


def fitting(found: State, classes: int | None, channels: int | None) -> list[str]:
    """The networks with weights of these shapes."""
    shapes = Counter(tuple(value.shape) for value in found.values())
    layers = sum(len(shape) > 1 for shape in shapes.elements())  # projections among them
    depth = 1 + sum(shape[2:] == (3, 3) for shape in shapes.elements())
    candidates = [each for each, name in names.OTHERS.items() if 0 <= layers - name.depth <= 4]
    if names.nearest_depths(depth) == [depth]:
        candidates += [f"plain-{depth}", *names.shortcut_networks(depth).values()]
    fits = []
    for other in candidates:
        own = without_counts(blueprint(other, classes, channels).state_dict())
        if Counter(tuple(value.shape) for value in own.values()) == shapes:
            fits.append(other)
    return fits


def difference(found: State, own: State) -> str:
    """Which keys a state dict lacks and which are foreign."""

    def some(keys: list[str]) -> str:
        return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")

    missing = [key for key in own if key not in found]
    foreign = [key for key in found if key not in own]
    said = [f"missing: {some(missing)}"] * bool(missing)
    said += [f"unexpected: {some(foreign)}"] * bool(foreign)
    return "; ".join(said)

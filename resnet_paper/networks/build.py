"""A network by its name, with new weights or with those of a file."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable

import click
import torch
from torch import Tensor, nn

from resnet_paper import names
from resnet_paper.errors import UserError
from resnet_paper.names import Name
from resnet_paper.networks.baselines import simple_cnn, vgg19
from resnet_paper.networks.resnets import (
    Projection,
    Shortcut,
    cifar_net,
    four_stage_net,
    imagenet_net,
    no_shortcut,
    option_a,
    option_b,
)

SHORTCUTS: dict[str, Shortcut] = {"A": option_a, "B": option_b, "C": Projection}
CIFAR10_CLASSES = 10
IMAGENET_CLASSES = 1_000

# By the kind of a name: the network that it is, of a number of classes.
CONSTRUCTORS: dict[str, Callable[[Name, int], nn.Module]] = {
    "plain": lambda name, classes: cifar_net(name.depth, no_shortcut, classes),
    "resnet": lambda name, classes: cifar_net(name.depth, SHORTCUTS[name.option], classes),
    "four-stage": lambda name, classes: four_stage_net(name.depth, classes),
    "imagenet-resnet": lambda name, classes: imagenet_net(name.depth, classes=classes),
    "vgg": lambda _, classes: vgg19(classes),
    "simple-cnn": lambda _, classes: simple_cnn(classes),
}


def build(network: str, seed: int = 0, classes: int | None = None) -> nn.Module:
    """A new network by its name, its weights drawn from the seed: images -> logits.

    Images are (N, 3, 32, 32), ImageNet nets' (N, 3, H, H) with H from 64; logits (N, classes), by
    default 10, ImageNet nets' 1,000. Raises UnknownNetworkError, a ValueError, for a name that
    names.parse does not know.
    """
    name = names.parse(network)
    default = IMAGENET_CLASSES if name.kind == "imagenet-resnet" else CIFAR10_CLASSES
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CONSTRUCTORS[name.kind](name, classes or default)


def load_weights(network: str, content: bytes, name: str, classes: int | None = None) -> nn.Module:
    """A network with its weights from the bytes of a state dict's file of that name.

    A state dict under "state_dict" is unwrapped, and so are keys that begin with "module.". Keys of
    another scheme are taken in their order if all shapes agree, which is said on standard error.
    Raises UserError if the weights do not fit. A plain and a residual net of the same depth have
    the same weights by name and shape: which of the two they are of, only their owner knows.
    """
    built = build(network, classes=classes)
    state = read_state(content, name)
    own = built.state_dict()
    if state.keys() != own.keys() and (ordered := in_order(state, own)) is not None:
        click.echo(f"{name}: the keys are of another scheme, their order fits {network}", err=True)
        state = ordered
    try:
        built.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(
            f"{name} does not hold the weights of a {network}{difference(state, own)}"
        ) from error
    return built


def read_state(content: bytes, name: str) -> dict[str, Tensor]:
    """The state dict in a file's bytes; UserError if there is none."""
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{name} holds no weights that can be read: it is damaged, or a pickled model (save "
            "model.state_dict() instead)"
        ) from error
    except Exception as error:  # torch raises many kinds for a damaged file
        raise UserError(f"{name} holds no weights that can be read: it is damaged") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{name} holds no state dict: save model.state_dict()")
    return {key.removeprefix("module."): value for key, value in state.items()}


def in_order(state: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """A state dict under a network's own keys, by order; None if a shape does not fit.

    BN's counts of batches, which some layouts lack and no result needs, stay as they are.
    """
    counts = {key: value for key, value in own.items() if key.endswith("num_batches_tracked")}
    keys = [key for key in own if key not in counts]
    values = [v for key, v in state.items() if not key.endswith("num_batches_tracked")]
    if [own[key].shape for key in keys] != [value.shape for value in values]:
        return None
    return {**counts, **dict(zip(keys, values, strict=True))}


def difference(state: dict[str, Tensor], own: dict[str, Tensor]) -> str:
    """Which keys a state dict lacks and which are foreign, as the end of a sentence."""

    def some(keys: list[str]) -> str:
        return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")

    missing = [key for key in own if key not in state]
    foreign = [key for key in state if key not in own]
    said = [f"missing: {some(missing)}"] * bool(missing)
    said += [f"unexpected: {some(foreign)}"] * bool(foreign)
    return f" ({'; '.join(said)})" if said else " (its shapes differ)"

"""A network by its name, with new weights or with those of a file."""

from __future__ import annotations

import io
from collections.abc import Callable

import torch
from torch import nn

from resnet_paper.errors import UserError
from resnet_paper.networks import names
from resnet_paper.networks.baselines import simple_cnn, vgg19
from resnet_paper.networks.names import Name
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

    Images are (N, 3, 32, 32), ImageNet nets' (N, 3, 224, 224); logits (N, classes), by default 10,
    ImageNet nets' 1,000. Raises UnknownNetworkError, a ValueError, for a name that names.parse does
    not know.
    """
    name = names.parse(network)
    default = IMAGENET_CLASSES if name.kind == "imagenet-resnet" else CIFAR10_CLASSES
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CONSTRUCTORS[name.kind](name, classes or default)


def require_cifar10(network: str) -> None:
    """UserError unless this is the name of a network for 32x32 images of 10 classes."""
    if names.parse(network).kind == "imagenet-resnet":
        raise UserError(f"{network} is not for CIFAR-10's images: make table1 counts its layers")


def load_weights(network: str, content: bytes, name: str) -> nn.Module:
    """A network with its weights from the bytes of a state dict's file of that name.

    Raises UserError if they do not fit. A plain and a residual net of the same depth have the same
    weights by name and shape: which of the two they are of, only their owner knows.
    """
    loaded = build(network)
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise UserError(f"{name} holds no weights that can be read: it is damaged") from error
    try:
        loaded.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise UserError(f"{name} does not hold the weights of a {network}") from error
    return loaded

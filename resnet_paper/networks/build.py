"""A new network by its name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import nn

from resnet_paper import names
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


@cache
def blueprint(network: str, classes: int | None = None) -> nn.Module:
    """A network without numbers, on the meta device: its layers and their shapes."""
    with torch.device("meta"):
        return build(network, classes=classes)

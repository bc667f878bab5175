"""A new network by its name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import nn

from resnet_paper import names
from resnet_paper.names import Name
from resnet_paper.networks import baselines
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


def cifar(name: Name, classes: int, channels: int) -> nn.Module:
    """Section 4.2's net of a name: plain, or residual with its shortcut option."""
    shortcut = SHORTCUTS[name.option] if name.option else no_shortcut
    return cifar_net(name.depth, shortcut, classes, channels, name.width)


# The families of names: the network of a number of classes, for images of a number of channels.
CONSTRUCTORS: dict[str, Callable[[Name, int, int], nn.Module]] = {
    "plain": cifar,
    "resnet": cifar,
    "four-stage": lambda name, *of: four_stage_net(name.depth, *of),
    "imagenet-resnet": lambda name, *of: imagenet_net(name.depth, False, *of),
}


def build(
    network: str, seed: int = 0, classes: int | None = None, channels: int | None = None
) -> nn.Module:
    """A new network by its name, its weights drawn from the seed: images -> logits.

    Images are (N, channels, H, H), logits (N, classes); `names.Name` has sizes and defaults.
    A network outside CONSTRUCTORS is a function of its name in `baselines`. Raises
    UnknownNetworkError, a ValueError, for a name that `names.parse` refuses.
    """
    name = names.parse(network)
    classes, channels = classes or name.classes, channels or name.channels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name.kind in CONSTRUCTORS:
            return CONSTRUCTORS[name.kind](name, classes, channels)
        return getattr(baselines, network.replace("-", "_"))(classes, channels)


@cache
def blueprint(network: str, classes: int | None = None, channels: int | None = None) -> nn.Module:
    """A network without numbers, on the meta device: its layers and their shapes."""
    with torch.device("meta"):
        return build(network, classes=classes, channels=channels)

"""The layers, parameters and multiply-adds of a network."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


def depth(network: nn.Module) -> int:
    """How many weighted layers a network has: as in the paper, projections do not count."""
    return sum(
        isinstance(module, nn.Conv2d | nn.Linear) and "shortcut" not in name
        for name, module in network.named_modules()
    )


def parameters(network: nn.Module) -> int:
    """How many trainable parameters a network has."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


@torch.no_grad()
def multiply_adds(
    network: nn.Module,
    images: Tensor,
    kinds: tuple[type[nn.Module], ...] = (nn.Conv2d, nn.Linear),
) -> int:
    """Multiply-adds of all layers of these kinds for one of some images.

    Each number that a layer gives takes as many as one output has weights.
    """
    total = 0

    def add(layer: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal total
        assert isinstance(layer.weight, Tensor)
        total += output[0].numel() * layer.weight[0].numel()

    layers = [m for m in network.modules() if isinstance(m, kinds)]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    network(images)
    for hook in hooks:
        hook.remove()
    return total


class Counts(NamedTuple):
    """A network in numbers; convolution_multiply_adds: those without fully connected layers."""

    layers: int
    parameters: int
    multiply_adds: int
    convolution_multiply_adds: int


def count(network: nn.Module, images: Tensor) -> Counts:
    """All counts of a network, for one of some images."""
    return Counts(
        depth(network),
        parameters(network),
        multiply_adds(network, images),
        multiply_adds(network, images, (nn.Conv2d,)),
    )

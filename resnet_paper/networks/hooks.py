"""Layer responses as images pass through a network, by forward hooks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


class RunningStd:
    """The standard deviation of all numbers seen so far, of which only three sums are kept."""

    def __init__(self) -> None:
        self.count, self.total, self.squares = 0, 0.0, 0.0

    def add(self, values: Tensor) -> None:
        values = values.double()
        self.count += values.numel()
        self.total += values.sum().item()
        self.squares += values.square().sum().item()

    @property
    def std(self) -> float:
        mean = self.total / self.count
        return math.sqrt(max(self.squares / self.count - mean**2, 0.0))


def response_layers(network: nn.Module) -> dict[str, nn.BatchNorm2d]:
    """By name and in the order of the layers: each BN that follows a 3x3 convolution."""
    layers, convolution = {}, None
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d) and convolution == (3, 3):
            layers[name] = module
        convolution = module.kernel_size if isinstance(module, nn.Conv2d) else None
    return layers


@contextmanager
def hooked(network: nn.Module) -> Iterator[dict[str, RunningStd]]:
    """Context manager: each layer's responses are added up as images pass through the network."""
    stds, hooks = {}, []
    for name, layer in response_layers(network).items():
        std = stds[name] = RunningStd()
        hooks.append(layer.register_forward_hook(lambda _, __, out, to=std: to.add(out)))
    try:
        yield stds
    finally:
        for hook in hooks:
            hook.remove()

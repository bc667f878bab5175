"""Layer responses and gradients as images pass through a network, by forward hooks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
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


class Signals(NamedTuple):
    """The signals at a 3x3 layer in one pass forward and back."""

    output_std: float  # of the convolution's output, over images, positions and channels
    gradient_norm: float  # of the mean loss with respect to this output, Euclidean
    relative_weight_gradient: float  # norm of the gradient of its weights over their own


def convolutions(network: nn.Module) -> dict[str, nn.Conv2d]:
    """By name and in the order of the layers: each 3x3 convolution."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)
    }


def signals(network: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Signals]:
    """By name and in order: `Signals` of each 3x3 convolution on a batch of normalised images.

    The network computes in the mode that it is in. Gradients that it holds stay as they are; in
    training mode BN's moving averages change.
    """
    layers = convolutions(network)
    stds: dict[str, float] = {}
    norms: dict[str, float] = {}

    def measure(name: str, output: Tensor) -> None:
        stds[name] = std(output.detach())
        output.register_hook(lambda gradient: norms.update({name: norm(gradient)}))

    hooks = [
        layer.register_forward_hook(lambda _, __, out, name=name: measure(name, out))
        for name, layer in layers.items()
    ]
    try:
        loss = F.cross_entropy(network(images), labels)
    finally:
        for hook in hooks:
            hook.remove()
    weights = [layer.weight for layer in layers.values()]
    gradients = torch.autograd.grad(loss, weights)
    return {
        name: Signals(stds[name], norms[name], norm(gradient) / norm(weight.detach()))
        for name, weight, gradient in zip(layers, weights, gradients, strict=True)
    }


def std(values: Tensor) -> float:
    """The standard deviation of a tensor of two dimensions or more."""
    others = tuple(range(1, values.dim()))
    mean = values.sum(others).double().sum().item() / values.numel()
    return norm(values - mean) / math.sqrt(values.numel())


def norm(values: Tensor) -> float:
    """The Euclidean norm of a tensor of two dimensions or more.

    Sums are in float32 along all dimensions but the first, in float64 where squares may underflow.
    """
    others = tuple(range(1, values.dim()))
    total = torch.linalg.vector_norm(values, dim=others).double().norm().item()
    if 1e-10 < total < 1e10:
        return total
    return torch.linalg.vector_norm(values, dtype=torch.float64).item()

"""A network's gradient in float64, float32, and in bfloat16 as mixed-precision training has it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PRECISIONS = ("float64", "float32", "bfloat16")


class Rounded(torch.autograd.Function):
    """x rounded to bfloat16 and kept in its own type; its gradient likewise."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return x.bfloat16().to(x.dtype)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return gradient.bfloat16().to(gradient.dtype)


@contextmanager
def rounded(network: nn.Module) -> Iterator[None]:
    """Context manager: each module's inputs and output are rounded to bfloat16."""
    hooks = []
    for module in network.modules():
        hooks.append(module.register_forward_pre_hook(lambda _, x: tuple(map(Rounded.apply, x))))
        hooks.append(module.register_forward_hook(lambda _, __, out: Rounded.apply(out)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def gradient(network: nn.Module, images: Tensor, labels: Tensor, precision: str) -> Tensor:
    """The gradient of the mean loss with respect to all parameters, flat, in float64.

    Computed in training mode on a copy of the network. precision: one of PRECISIONS; "bfloat16"
    rounds as autocast does on hardware with bfloat16: activations, their gradients, and the weights
    of convolutions and of the classifier are bfloat16, sums within an operation float32.
    """
    network = copy.deepcopy(network).train()
    if precision == "float64":
        network, images = network.double(), images.double()
    parameters = dict(network.named_parameters())
    if precision != "bfloat16":
        logits = network(images)
    else:
        matrices = {name: Rounded.apply(p) for name, p in parameters.items() if p.dim() > 1}
        with rounded(network):
            logits = torch.func.functional_call(network, matrices, images)
    loss = F.cross_entropy(logits, labels)
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    return torch.cat([each.flatten().double() for each in gradients])

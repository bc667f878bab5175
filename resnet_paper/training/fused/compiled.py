"""BN, shortcut and ReLU as one function, in networks that are compiled for a CPU; needs no Triton.

As PyTorch's own functions, but for fewer passes over memory and less rounding: channels last,
PyTorch adds up a channel's pixels one after the other, and compiled in bfloat16 it keeps the mean
and 1 / std for the backward pass in bfloat16.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from resnet_paper.networks.resnets import Block, Stem, relu


class FusedStem(Stem):
    """Stem, with BN and ReLU as one function."""

    def forward(self, x: Tensor) -> Tensor:
        return bn_relu(self.bn, self.conv(x))


class FusedBlock(Block):
    """Block, with BN, shortcut and ReLU as one function."""

    def forward(self, x: Tensor) -> Tensor:
        y = bn_relu(self.bn1, self.conv1(x))
        shortcut = None if self.shortcut is None else self.shortcut(x)
        return bn_relu(self.bn2, self.conv2(y), shortcut)


def fusible(network: nn.Module) -> bool:
    """True for networks of a 3x3 stem: their blocks are pairs of 3x3 layers."""
    return any(isinstance(module, Stem) for module in network.modules())


def fuse(network: nn.Module) -> None:
    """Have a network's stem and blocks compute in their fused form."""
    for module in network.modules():
        if isinstance(module, Stem | Block):
            module.__class__ = FusedStem if isinstance(module, Stem) else FusedBlock


def bn_relu(bn: nn.BatchNorm2d, y: Tensor, shortcut: Tensor | None = None) -> Tensor:
    """ReLU(BN(y) [+ shortcut]); in training by one function."""
    if bn.training:
        z, mean, variance = NormaliseAddReLU.apply(y, bn.weight, bn.bias, shortcut, bn.eps)
        update_statistics(bn, mean, variance, y.numel() // y.shape[1])
        return z
    y = bn(y)
    return relu(y if shortcut is None else y + shortcut)


class NormaliseAddReLU(torch.autograd.Function):
    """ReLU(BN(y) [+ shortcut]), and the batch's mean and (biased) variance, (C,) float32.

    Of y (N, C, H, W), gamma and beta (C,), the shortcut like y or None, and eps.
    """

    @staticmethod
    def forward(
        ctx: Any, y: Tensor, gamma: Tensor, beta: Tensor, shortcut: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        pixels = y.numel() // y.shape[1]
        wide = widened(y)
        mean = channel_sums(wide) / pixels
        variance = channel_sums((wide - per_channel(mean)).square()) / pixels
        rstd = torch.rsqrt(variance + eps)
        scale = gamma * rstd
        # stacked, they stay out of the compiled inner loop
        affine = torch.stack((scale, beta - mean * scale))
        u = wide * per_channel(affine[0]) + per_channel(affine[1])
        if shortcut is not None:
            u = u + widened(shortcut)
        z = u.clamp(min=0).to(y.dtype)
        ctx.save_for_backward(y, z, mean, rstd, gamma)
        ctx.has_shortcut = shortcut is not None
        ctx.mark_non_differentiable(mean, variance)
        return z, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        y, z, mean, rstd, gamma = ctx.saved_tensors
        pixels = y.numel() // y.shape[1]
        du = widened(gradients[0]) * widened(z.sign())
        wide = widened(y)
        dbeta = channel_sums(du)
        dgamma = channel_sums(du * (wide - per_channel(mean))) * rstd
        scale = gamma * rstd
        slope = -scale * rstd * dgamma / pixels
        affine = torch.stack((scale, slope, -scale * dbeta / pixels - slope * mean))
        dy = du * per_channel(affine[0]) + wide * per_channel(affine[1]) + per_channel(affine[2])
        dshortcut = du.to(y.dtype) if ctx.has_shortcut else None
        return dy.to(y.dtype), dgamma, dbeta, dshortcut, None


def update_statistics(bn: nn.BatchNorm2d, mean: Tensor, variance: Tensor, pixels: int) -> None:
    """Move a BN's averages towards a batch's mean and (biased) variance over so many pixels."""
    assert bn.running_mean is not None
    assert bn.running_var is not None
    assert bn.num_batches_tracked is not None
    assert bn.momentum is not None
    with torch.no_grad():
        bn.num_batches_tracked.add_(1)
        bn.running_mean.mul_(1 - bn.momentum).add_(mean, alpha=bn.momentum)
        unbiased = bn.momentum * pixels / (pixels - 1)
        bn.running_var.mul_(1 - bn.momentum).add_(variance, alpha=unbiased)


def channel_sums(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (C,), by rows, which is more exact than pixel after pixel."""
    return x.sum(3).sum(2).sum(0)


def widened(x: Tensor) -> Tensor:
    """In float32, where it is of fewer bits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def per_channel(values: Tensor) -> Tensor:
    """(C,) -> (1, C, 1, 1)."""
    return values[None, :, None, None]

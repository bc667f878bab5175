"""A 3x3 convolution with its BN, shortcut and ReLU: the kernels' launches and tile sizes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from resnet_paper.training.fused.batch_norm import bn_backward, bn_forward
from resnet_paper.training.fused.convolutions import (
    conv_data_gradient,
    conv_forward,
    conv_weight_gradient,
)
from resnet_paper.training.fused.pairs import (
    pair_data_gradient,
    pair_forward,
    pair_weight_gradient,
)

LEAST_CHANNELS = 16  # of a tensor core's operand; an image's 3 are padded with zeros
# Fixed, never timed: tile sizes decide the order of sums, and so a result's bits.
# By the channels of a result, pixels of a tile, warps of a program, and stages of its loads.
TILES = {16: (256, 4, 3), 32: (128, 4, 3), 64: (64, 8, 4)}
MOST_PARTS = 256  # programs that leave partial sums: all of the next kernel's add them up
VALUES = 4096  # of a tile where nothing is multiplied
CHUNKS = {16: 128, 32: 64, 64: 32}  # of the weight gradient's pixels, by channels
ROWS = 64  # of a step of the weight gradient
LEAST_STEPS = 4
NONE, IDENTITY, OPTION_A = range(3)  # shortcuts


class Response(NamedTuple):
    """The tensors of a layer that its backward pass needs, contiguous, channels last."""

    x: Tensor  # its input, (N, stride H, stride H, C_in)
    y: Tensor  # conv(x), (N, H, H, C)
    statistics: Tensor  # (2, C) float32: the mean of y and 1 / std
    z: Tensor  # ReLU(BN(y) + shortcut), (N, H, H, C)


class Gradient(NamedTuple):
    """The gradient of u = BN(y) + shortcut, (N, H, H, C), and partial sums of it and of du y'.

    y' = (y - mean) / std; the sums are (parts, C) float32.
    """

    du: Tensor
    sums: Tensor
    dots: Tensor


class Layer:
    """ReLU(BN(conv(x)) + shortcut); size: the side of its output."""

    def __init__(self, conv: nn.Conv2d, bn: nn.BatchNorm2d, size: int, shortcut: int) -> None:
        self.conv, self.bn, self.size, self.shortcut = conv, bn, size, shortcut
        self.stride = conv.stride[0]
        self.channels_in = max(LEAST_CHANNELS, conv.in_channels)
        self.channels = conv.out_channels
        self.pairs = self.channels == 16 and self.stride == 1  # see `pairs`
        self.weights = (24 if self.pairs else 9) * self.channels_in * self.channels  # as packed

    @property
    def shape(self) -> dict[str, int]:
        """What the convolution's kernels have to know."""
        sides = {"height": self.size, "width": self.size, "channels": self.channels}
        if self.pairs:
            return sides
        return {**sides, "channels_in": self.channels_in, "stride": self.stride}

    def forward(self, x: Tensor, w: Tensor, shortcut_from: Tensor | None = None) -> Response:
        """The layer's response; w: its packed weights; BN's running statistics are updated."""
        batch, size, channels = len(x), self.size, self.channels
        y = x.new_empty(batch, size, size, channels)
        block, tiles, parts, warps, stages = tiling(batch * size**2, channels)
        means, deviations = x.new_empty(2, parts, channels, dtype=torch.float32)
        (pair_forward if self.pairs else conv_forward)[(parts,)](
            x,
            w,
            y,
            means,
            deviations,
            **self.shape,
            block=block // 2 if self.pairs else block,
            tiles=tiles,
            stages=stages,
            **launch(warps),
        )
        bn, z = self.bn, torch.empty_like(y)
        statistics = x.new_empty(2, channels, dtype=torch.float32)
        part_size, (block, tiles, programs) = block * tiles, pointwise_tiling(y)
        bn_forward[(programs,)](
            y,
            y if shortcut_from is None else shortcut_from,
            means,
            deviations,
            bn.weight,
            bn.bias,
            bn.running_mean,
            bn.running_var,
            statistics,
            z,
            height=size,
            width=size,
            channels=channels,
            shortcut=NONE if shortcut_from is None else self.shortcut,
            eps=bn.eps,
            momentum=bn.momentum,
            parts=parts,
            part_size=part_size,
            block=block,
            tiles=tiles,
            **launch(8),
        )
        return Response(x, y, statistics, z)

    def bn_backward(self, response: Response, gradient: Gradient) -> tuple[Tensor, Tensor, Tensor]:
        """dy, and BN's dgamma and dbeta, (C,) float32."""
        y, parts = response.y, len(gradient.sums)
        dy = torch.empty_like(y)
        dgamma, dbeta = gradient.sums.new_empty(2, self.channels)
        block, tiles, programs = pointwise_tiling(y)
        bn_backward[(programs,)](
            gradient.du,
            y,
            gradient.sums,
            gradient.dots,
            self.bn.weight,
            response.statistics,
            dgamma,
            dbeta,
            dy,
            channels=self.channels,
            parts=parts,
            part_size=y.numel() // self.channels // parts,
            block=block,
            tiles=tiles,
            **launch(8),
        )
        return dy, dgamma, dbeta

    def weight_gradient(self, x: Tensor, dy: Tensor, dw: Tensor) -> None:
        """The packed weights' gradient of each chunk of pixels; dw: (chunks, weights), strided."""
        rows = self.rows(len(x))
        block = min(ROWS, rows)
        (pair_weight_gradient if self.pairs else conv_weight_gradient)[(len(dw), 3)](
            x,
            dy,
            dw,
            dw.stride(0),
            **self.shape,
            block=block,
            steps=rows // block // len(dw),
            stages=3,
            **launch(4),
        )

    def chunks(self, batch: int) -> int:
        """How many chunks the weight gradient of so many images is computed in."""
        return min(CHUNKS[self.channels], max(1, self.rows(batch) // (ROWS * LEAST_STEPS)))

    def rows(self, batch: int) -> int:
        """Pixels, or pairs of them, of the output."""
        return batch * self.size**2 // (2 if self.pairs else 1)

    def data_gradient(
        self, dy: Tensor, w: Tensor, below: Response, du_shortcut: Tensor | None = None
    ) -> Gradient:
        """The gradient of the layer below, whose z is this one's input.

        w: the packed weights, of a layer in pairs those of the transposed convolution. du_shortcut:
        the gradient of the sum that the shortcut from z leads to, None: there is no shortcut.
        """
        z, channels = below.z, self.channels_in
        block, tiles, parts, warps, stages = tiling(z.numel() // channels, channels)
        du = torch.empty_like(z)
        sums, dots = dy.new_empty(2, parts, channels, dtype=torch.float32)
        (pair_data_gradient if self.pairs else conv_data_gradient)[(parts,)](
            dy,
            w,
            dy if du_shortcut is None else du_shortcut,
            z,
            below.y,
            below.statistics,
            du,
            sums,
            dots,
            **{**self.shape, "height": z.shape[1], "width": z.shape[2]},
            has_shortcut=du_shortcut is not None,
            block=block // 2 if self.pairs else block,
            tiles=tiles,
            stages=stages,
            **launch(warps),
        )
        return Gradient(du, sums, dots)


def launch(warps: int) -> dict[str, int | bool]:
    """How a kernel is launched: by programs of so many warps, products and sums fused."""
    return {"num_warps": warps, "enable_fp_fusion": True}


def tiling(pixels: int, channels: int) -> tuple[int, int, int, int, int]:
    """Pixels of a tile, tiles of a program, programs, warps and stages of a convolution."""
    block, warps, stages = TILES[channels]
    block = min(block, pixels // 2)
    tiles = max(1, pixels // block // MOST_PARTS)
    return block, tiles, pixels // block // tiles, warps, stages


def pointwise_tiling(y: Tensor) -> tuple[int, int, int]:
    """Pixels of a tile, tiles of a program and programs where nothing is multiplied."""
    channels = y.shape[-1]
    pixels = y.numel() // channels
    block = min(VALUES // channels, pixels // 2)
    tiles = 2 if channels == LEAST_CHANNELS and pixels // block % 2 == 0 else 1
    return block, tiles, pixels // block // tiles

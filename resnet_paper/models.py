"""The paper's networks: 6n+2-layer plain and residual nets, and 4-stage ResNets.

Images are (N, 3, 32, 32), logits (N, 10).
"""

from __future__ import annotations

import re
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 10
FOUR_STAGE_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


def conv3x3(channels_in: int, channels_out: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution without bias: the bias is in the BN that follows."""
    return nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)


class SignedReLU(torch.autograd.Function):
    """max(x, 0), with the gradient taken from the sign of the output.

    The same numbers as F.relu. Compiled for a CPU, F.relu keeps a mask of booleans for its
    gradient, and packing and unpacking that takes longer than the convolutions.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.clamp(min=0)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * ctx.saved_tensors[0].sign()


def relu(x: Tensor) -> Tensor:
    """max(x, 0), by whichever way is faster."""
    return SignedReLU.apply(x) if torch.compiler.is_compiling() else F.relu(x)


class ZeroPad(nn.Module):
    """Option A shortcut (section 4.2): every stride-th pixel, new channels zero.

    (N, C_in, H, W) -> (N, C_out, H / stride, W / stride), without parameters.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.new_channels = channels_out - channels_in
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, 0, self.new_channels))


class Projection(nn.Sequential):
    """Projection shortcut (option B, section 3.3): 1x1 convolution, BN."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
            nn.BatchNorm2d(channels_out),
        )


class Stem(nn.Module):
    """The first layer: ReLU(BN(conv(x))), (N, 3, 32, 32) -> (N, C, 32, 32)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv3x3(3, channels)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.bn(self.conv(x)))


class Block(nn.Module):
    """A pair of 3x3 layers (section 3.1): ReLU(F(x) + shortcut(x)), or ReLU(F(x)) if plain.

    F is conv, BN, ReLU, conv, BN; (N, C_in, H, W) -> (N, C_out, H / stride, W / stride).
    """

    def __init__(
        self, channels_in: int, channels_out: int, stride: int, shortcut: nn.Module | None
    ) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels_in, channels_out, stride)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = conv3x3(channels_out, channels_out)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return relu(y if self.shortcut is None else y + self.shortcut(x))


class Network(nn.Module):
    """Stem, stages of blocks, global average pooling, classifier: images -> logits.

    Stage k has blocks[k] blocks of widths[k] filters; all but the first halve the feature map.
    shortcut: how dimensions grow across a stage (other shortcuts are identities); None: plain.
    """

    def __init__(
        self,
        blocks: tuple[int, ...],
        widths: tuple[int, ...],
        shortcut: type[ZeroPad] | type[Projection] | None,
    ) -> None:
        super().__init__()
        self.stem = Stem(widths[0])
        self.stages = nn.Sequential()
        channels = widths[0]
        for stage, (count, width) in enumerate(zip(blocks, widths, strict=True)):
            layers = nn.Sequential()
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                grows = width != channels
                across = (
                    None
                    if shortcut is None
                    else shortcut(channels, width, stride)
                    if grows
                    else nn.Identity()
                )
                layers.append(Block(channels, width, stride, across))
                channels = width
            self.stages.append(layers)
        self.classifier = nn.Linear(channels, CLASSES)
        self.initialise()

    def initialise(self) -> None:
        """He normal, fan-out, for convolutions; torch's default and bias 0 for the classifier."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.classifier.bias)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stages(self.stem(images))
        return self.classifier(features.mean((2, 3)))


def parse(network: str) -> tuple[str, int]:
    """The kind and depth in a name: "plain-20" -> ("plain", 20).

    Raises ValueError, naming the nearest valid depths, where there is no such network.
    """
    match = re.fullmatch(r"(plain|resnet)-([1-9]\d*)", network)
    if match is None:
        raise ValueError(
            f"no network is called {network!r}: names are plain-DEPTH and resnet-DEPTH, "
            "as in resnet-20"
        )
    kind, depth = match[1], int(match[2])
    if kind == "resnet" and depth in FOUR_STAGE_BLOCKS:
        return kind, depth
    if depth % 6 != 2 or depth < 8:
        below = max(8, depth - (depth - 2) % 6)
        nearest = f"{kind}-{below}" + (f" or {kind}-{below + 6}" if depth > 8 else "")
        raise ValueError(
            f"no network is called {network!r}: depths are 6n+2 (the nearest: {nearest}), "
            "or resnet-18 and resnet-34"
        )
    return kind, depth


def depth(network: str) -> int:
    """The number of weighted layers in a network's name; ValueError as `build`."""
    return parse(network)[1]


def build(network: str, seed: int = 0) -> Network:
    """A new network by its name, its weights drawn from the seed.

    "plain-D", "resnet-D": the CIFAR-10 nets of section 4.2 with D = 6n+2 layers: a 3x3 layer, then
    2n layers each of 16, 32 and 64 filters on maps of 32, 16 and 8 pixels; identity shortcuts,
    option A where dimensions grow. "resnet-18", "resnet-34": table 1's four stages behind a 3x3
    stem without pooling, projection shortcuts. Raises ValueError for any other name.
    """
    kind, depth = parse(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if depth in FOUR_STAGE_BLOCKS:
            return Network(FOUR_STAGE_BLOCKS[depth], (64, 128, 256, 512), Projection)
        n = (depth - 2) // 6
        return Network((n, n, n), (16, 32, 64), ZeroPad if kind == "resnet" else None)


def parameters(network: Network) -> int:
    """How many trainable parameters a network has."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)

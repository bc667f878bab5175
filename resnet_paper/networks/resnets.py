"""The paper's networks: section 4.2's of 6n+2 layers, 4-stage nets, Table 1's ImageNet nets."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv3x3(channels_in: int, channels_out: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution without bias: the bias is in the BN that follows."""
    return nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)


def conv1x1(channels_in: int, channels_out: int, stride: int = 1) -> nn.Conv2d:
    """A 1x1 convolution without bias."""
    return nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)


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
    if torch.jit.is_scripting():  # compiles this branch alone: it knows no autograd.Function
        return F.relu(x)
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
    """Projection shortcut (equation 2): 1x1 convolution, BN."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__(conv1x1(channels_in, channels_out, stride), nn.BatchNorm2d(channels_out))


class Stem(nn.Module):
    """The first layer: ReLU(BN(conv(x))), (N, 3, 32, 32) -> (N, C, 32, 32)."""

    def __init__(self, width: int, channels: int = 3) -> None:
        super().__init__()
        self.conv = conv3x3(channels, width)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.bn(self.conv(x)))


class ImageNetStem(nn.Module):
    """Table 1's first layers: 7x7 convolution, BN, ReLU, 3x3 max-pooling, both of stride 2.

    (N, 3, 224, 224) -> (N, C, 56, 56).
    """

    def __init__(self, width: int, channels: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 7, 2, padding=3, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(relu(self.bn(self.conv(x))), 3, 2, padding=1)


class Block(nn.Module):
    """A pair of 3x3 layers (section 3.1): ReLU(F(x) + shortcut(x)), or ReLU(F(x)) if plain.

    F is conv, BN, ReLU, conv, BN; (N, C_in, H, W) -> (N, C, H / stride, W / stride).
    """

    expansion = 1

    def __init__(
        self, channels_in: int, width: int, stride: int, shortcut: nn.Module | None
    ) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels_in, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return relu(y if self.shortcut is None else y + self.shortcut(x))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 layers (section 4.1, figure 5): ReLU(F(x) + shortcut(x)).

    (N, C_in, H, W) -> (N, 4 width, H / stride, W / stride). The first 1x1 has the stride, as in the
    paper; stride_in_3x3: the 3x3 has it, as in torchvision.
    """

    expansion = 4

    def __init__(
        self,
        channels_in: int,
        width: int,
        stride: int,
        shortcut: nn.Module | None,
        stride_in_3x3: bool = False,
    ) -> None:
        super().__init__()
        strides = (1, stride) if stride_in_3x3 else (stride, 1)
        self.conv1 = conv1x1(channels_in, width, strides[0])
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, strides[1])
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv1x1(width, self.expansion * width)
        self.bn3 = nn.BatchNorm2d(self.expansion * width)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.bn1(self.conv1(x)))
        y = relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return relu(y if self.shortcut is None else y + self.shortcut(x))


Shortcut = Callable[[int, int, int], nn.Module | None]  # channels in and out, stride


def no_shortcut(channels_in: int, channels_out: int, stride: int) -> None:
    """Plain nets have none."""


def option_a(channels_in: int, channels_out: int, stride: int) -> nn.Module:
    """Identity; where dimensions grow, zero channels. No parameters."""
    if channels_in == channels_out:
        return nn.Identity()
    return ZeroPad(channels_in, channels_out, stride)


def option_b(channels_in: int, channels_out: int, stride: int) -> nn.Module:
    """Identity; where dimensions grow, a projection."""
    if channels_in == channels_out:
        return nn.Identity()
    return Projection(channels_in, channels_out, stride)


class Network(nn.Module):
    """Stem, stages of blocks, global average pooling, classifier: images -> logits.

    Stage k has blocks[k] blocks of widths[k] filters; all but the first halve the feature map.
    shortcut: the paper's option A, B or C (Projection), or `no_shortcut` for a plain net. fused:
    another way to its logits in training, which `Backend.logits` takes if it is set.
    """

    fused: Callable[[Tensor], Tensor] | None = None

    def __init__(
        self,
        blocks: tuple[int, ...],
        widths: tuple[int, ...],
        shortcut: Shortcut,
        stem: type[Stem] | type[ImageNetStem] = Stem,
        block: Callable[..., nn.Module] = Block,
        expansion: int = Block.expansion,
        classes: int = 10,
        channels: int = 3,
    ) -> None:
        super().__init__()
        self.stem = stem(widths[0], channels)
        self.stages = nn.Sequential()
        channels = widths[0]
        for stage, (count, width) in enumerate(zip(blocks, widths, strict=True)):
            layers = nn.Sequential()
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                across = shortcut(channels, expansion * width, stride)
                layers.append(block(channels, width, stride, across))
                channels = expansion * width
            self.stages.append(layers)
        self.classifier = nn.Linear(channels, classes)
        initialise_convolutions(self)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stages(self.stem(images))
        return self.classifier(features.mean((2, 3)))


def initialise_convolutions(network: nn.Module) -> None:
    """He normal, fan-out; biases, where there are any, zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def cifar_net(
    depth: int, shortcut: Shortcut, classes: int = 10, channels: int = 3, width: int = 1
) -> Network:
    """Section 4.2's net of 6n+2 layers: 16, 32 and 64 filters on maps of 32, 16 and 8 pixels.

    width: multiplies the numbers of filters.
    """
    n = (depth - 2) // 6
    widths = (16 * width, 32 * width, 64 * width)
    return Network((n, n, n), widths, shortcut, classes=classes, channels=channels)


FOUR_STAGES = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
FOUR_WIDTHS = (64, 128, 256, 512)


def four_stage_net(depth: int, classes: int = 10, channels: int = 3) -> Network:
    """Table 1's stages for 32x32 images: a 3x3 stem without pooling, projection shortcuts."""
    stages = FOUR_STAGES[depth]
    return Network(stages, FOUR_WIDTHS, option_b, classes=classes, channels=channels)


def imagenet_net(
    depth: int, as_torchvision: bool = False, classes: int = 1_000, channels: int = 3
) -> Network:
    """A net of table 1: pairs of layers and option A, from 50 layers on bottlenecks and option B.

    as_torchvision: the bottleneck's stride in its 3x3 convolution, and option B at all depths.
    """
    deep = depth >= 50
    shortcut = option_b if deep or as_torchvision else option_a
    block = partial(Bottleneck, stride_in_3x3=as_torchvision) if deep else Block
    expansion = Bottleneck.expansion if deep else Block.expansion
    stages = FOUR_STAGES[depth]
    return Network(stages, FOUR_WIDTHS, shortcut, ImageNetStem, block, expansion, classes, channels)

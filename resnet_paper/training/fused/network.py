"""A network of 6n+2 layers in training, by this package's kernels."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_paper.networks.resnets import Block, Network
from resnet_paper.training.fused.batch_norm import pooling_backward
from resnet_paper.training.fused.layer import (
    IDENTITY,
    LEAST_CHANNELS,
    NONE,
    OPTION_A,
    ROWS,
    Gradient,
    Layer,
    Response,
    launch,
)
from resnet_paper.training.fused.support import SIZE, blocks
from resnet_paper.training.fused.weights import Weights


class FusedNetwork:
    """The logits of a network in training mode, (N, classes) float32, of images (N, 3, 32, 32).

    The module keeps its parameters, buffers and state dict: its convolutions' weights become views
    of one tensor, in place, and BN's running statistics are updated as by PyTorch. The classifier
    is the module's, in float32. All but the rounding of activations to `dtype` is in float32. Every
    sum has a fixed order, so that a batch gives the same bits each time.

    network: one that `support.fits`, with a `batch` that does.
    """

    def __init__(self, network: Network, batch: int, dtype: torch.dtype = torch.bfloat16) -> None:
        self.batch, self.dtype = batch, dtype
        self.classifier = network.classifier
        self.stem = Layer(network.stem.conv, network.stem.bn, SIZE, NONE)
        self.blocks: list[tuple[Layer, Layer]] = []
        size = SIZE
        for block in blocks(network):
            size //= block.conv1.stride[0]
            first = Layer(block.conv1, block.bn1, size, NONE)
            self.blocks.append((first, Layer(block.conv2, block.bn2, size, shortcut_of(block))))
        self.layers = [self.stem, *(layer for block in self.blocks for layer in block)]
        self.weights = Weights(self.layers, batch, dtype)

    def __call__(self, images: Tensor) -> Tensor:
        weights = [layer.conv.weight for layer in self.layers]
        affine = [p for layer in self.layers for p in (layer.bn.weight, layer.bn.bias)]
        return self.classifier(Features.apply(self, images, *weights, *affine))

    def forward(self, images: Tensor) -> tuple[Tensor, list[tuple[Response, Tensor]]]:
        """The features (N, C) float32; of each layer its response and the weights to go back by."""
        packed = self.weights.packed()
        responses: list[tuple[Response, Tensor]] = []

        def respond(layer: Layer, x: Tensor, shortcut_from: Tensor | None = None) -> Tensor:
            w, transposed = next(packed)
            responses.append((layer.forward(x, w, shortcut_from), transposed))
            return responses[-1][0].z

        x = images.permute(0, 2, 3, 1).to(self.dtype)
        z = respond(self.stem, F.pad(x, (0, LEAST_CHANNELS - x.shape[3])))
        for first, second in self.blocks:
            y = respond(first, z)
            z = respond(second, y, None if second.shortcut == NONE else z)
        counters = [layer.bn.num_batches_tracked for layer in self.layers]
        torch._foreach_add_(cast(list[Tensor], counters), 1)
        return z.mean((1, 2), dtype=torch.float32), responses

    def backward(
        self, responses: list[tuple[Response, Tensor]], dfeatures: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The gradients of the weights, and of each layer's gamma and beta."""
        partials = self.weights.empty_partials()
        dw = self.weights.by_layer(partials)
        affine: list[Tensor] = []

        def backward_of(index: int, gradient: Gradient) -> Tensor:
            """dy of a layer; its weights' partial gradients and BN's gradients are kept."""
            layer, (response, _) = self.layers[index], responses[index]
            dy, *daffine = layer.bn_backward(response, gradient)
            layer.weight_gradient(response.x, dy, dw[layer])
            affine[:0] = daffine
            return dy

        gradient = gradient_of_pooling(responses[-1][0], dfeatures)
        for index in range(len(self.layers) - 1, 0, -2):
            first, second = self.layers[index - 1 : index + 1]
            dy = backward_of(index, gradient)
            (below, _), (_, transposed) = responses[index - 1 : index + 1]
            inner = second.data_gradient(dy, transposed, below)
            dy = backward_of(index - 1, inner)
            (below, _), (_, transposed) = responses[index - 2 : index]
            du = None if second.shortcut == NONE else gradient.du
            gradient = first.data_gradient(dy, transposed, below, du)
        backward_of(0, gradient)
        return self.weights.gradients(partials), affine


class Features(torch.autograd.Function):
    """The mean over pixels of the last layer's response, with the gradients of all parameters."""

    @staticmethod
    def forward(ctx: Any, network: FusedNetwork, images: Tensor, *parameters: Tensor) -> Tensor:
        features, responses = network.forward(images)
        ctx.network, ctx.responses = network, responses
        return features

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        weights, affine = ctx.network.backward(ctx.responses, gradients[0].contiguous())
        return None, None, *weights, *affine


def gradient_of_pooling(last: Response, dfeatures: Tensor) -> Gradient:
    """The gradient of the last layer's u, from that of its z's mean over pixels, (N, C)."""
    batch, size, _, channels = last.z.shape
    parts = batch * size**2 // ROWS
    du = torch.empty_like(last.z)
    sums, dots = dfeatures.new_empty(2, parts, channels)
    pooling_backward[(parts,)](
        dfeatures,
        last.z,
        last.y,
        last.statistics,
        du,
        sums,
        dots,
        pixels=size**2,
        channels=channels,
        block=ROWS,
        **launch(4),
    )
    return Gradient(du, sums, dots)


def shortcut_of(block: Block) -> int:
    """The kind of a block's shortcut."""
    if block.shortcut is None:
        return NONE
    return IDENTITY if isinstance(block.shortcut, nn.Identity) else OPTION_A

"""The weights of all layers as the kernels read them, and their gradients as PyTorch does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

import torch
from torch import Tensor

from resnet_paper.training.fused.layer import Layer


class Weights:
    """The layers' weights, packed by one gather, and their gradients, unpacked by another.

    A layer's packed weights are (9, C_in, C): kernel position, input and output channels. Those of
    a layer in pairs are (3, 4, C, 2, C): kernel row, which of the 4 pixels that a pair depends on,
    its channels, which of the pair, its channels. Output pixel s has kernel column k at input pixel
    s + k; the rest, a quarter, is zero. Those of the transposed convolution follow.

    The modules' parameters become views of one tensor, channels last, whose last element is zero.
    Partial gradients of layers with as many chunks lie side by side, to be summed up at once.
    """

    def __init__(self, layers: Sequence[Layer], batch: int, dtype: torch.dtype) -> None:
        self.layers, self.dtype = layers, dtype
        weights = [layer.conv.weight for layer in layers]
        self.sizes = [weight.numel() for weight in weights]
        self.flat = torch.zeros(sum(self.sizes) + 1, device=weights[0].device)
        for weight, view in zip(weights, self.split(self.flat[:-1]), strict=True):
            view.copy_(weight.data)
            weight.data = view
        starts = accumulate(self.sizes, initial=0)
        self.index = torch.cat([self.packing(*each) for each in zip(layers, starts, strict=False)])
        self.groups: dict[int, list[Layer]] = {}
        for layer in layers:
            self.groups.setdefault(layer.chunks(batch), []).append(layer)
        self.sources = self.unpacking()

    def split(self, flat: Tensor) -> list[Tensor]:
        """A flat tensor of all weights as one of each layer, (C, C_in, 3, 3), channels last."""
        views = []
        for layer, part in zip(self.layers, flat.split(self.sizes), strict=True):
            conv = layer.conv
            views.append(part.view(conv.out_channels, 3, 3, conv.in_channels).permute(0, 3, 1, 2))
        return views

    def packing(self, layer: Layer, start: int) -> Tensor:
        """Where in `flat` each of a layer's packed weights is found; its own begin at `start`."""
        zero, conv = sum(self.sizes), layer.conv
        index = torch.arange(start, start + conv.weight.numel(), device=self.flat.device)
        index = index.view(conv.out_channels, 3, 3, conv.in_channels).permute(1, 2, 3, 0)
        missing = layer.channels_in - conv.in_channels
        padding = index.new_full((3, 3, missing, conv.out_channels), zero)
        index = torch.cat([index, padding], 2)
        if not layer.pairs:
            return index.flatten()
        transposed = index.flip(0, 1).transpose(2, 3)
        return torch.cat([in_pairs(index, zero).flatten(), in_pairs(transposed, zero).flatten()])

    def packed(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Of each layer the packed weights for `forward` and for `data_gradient`."""
        packed = self.flat.index_select(0, self.index).to(self.dtype)
        sizes = [(2 if layer.pairs else 1) * layer.weights for layer in self.layers]
        for layer, part in zip(self.layers, packed.split(sizes), strict=True):
            yield part[: layer.weights], part[-layer.weights :]

    def empty_partials(self) -> list[Tensor]:
        """Room for the partial gradients of each group, (chunks, packed weights)."""
        return [
            self.flat.new_empty(chunks, sum(layer.weights for layer in group))
            for chunks, group in self.groups.items()
        ]

    def by_layer(self, partials: Sequence[Tensor]) -> dict[Layer, Tensor]:
        """The partial gradients of each layer, (chunks, packed weights)."""
        layers: dict[Layer, Tensor] = {}
        for group, together in zip(self.groups.values(), partials, strict=True):
            parts = together.split([layer.weights for layer in group], 1)
            layers.update(zip(group, parts, strict=True))
        return layers

    def gradients(self, partials: Sequence[Tensor]) -> list[Tensor]:
        """The gradients of the modules' weights."""
        zero = self.flat.new_zeros(1)
        packed = torch.cat([*(together.sum(0) for together in partials), zero])
        first, second = (packed.index_select(0, source) for source in self.sources)
        return self.split(first + second)

    def unpacking(self) -> tuple[Tensor, Tensor]:
        """The two packed gradients, the last of which is zero, that make up that of each weight."""
        order = [layer for group in self.groups.values() for layer in group]
        zero = sum(layer.weights for layer in order)
        start, sources = 0, {}
        for layer in order:
            index = torch.arange(start, start + layer.weights, device=self.flat.device)
            if layer.pairs:
                index = index.view(3, 4, layer.channels_in, 2, layer.channels)
                both = index[:, 0:3, :, 0], index[:, 1:4, :, 1]
            else:
                index = index.view(3, 3, layer.channels_in, layer.channels)
                both = index, torch.full_like(index, zero)
            channels = layer.conv.in_channels
            sources[layer] = [x[:, :, :channels].permute(3, 0, 1, 2).flatten() for x in both]
            start += layer.weights
        first, second = (torch.cat([sources[layer][k] for layer in self.layers]) for k in (0, 1))
        return first, second


def in_pairs(w: Tensor, zero: int) -> Tensor:
    """(3, 3, C, C) -> (3, 4, C, 2, C): row, place, input channel, which of the pair, output."""
    pairs = w.new_full((3, 4, w.shape[2], 2, w.shape[3]), zero)
    pairs[:, 0:3, :, 0] = w
    pairs[:, 1:4, :, 1] = w
    return pairs

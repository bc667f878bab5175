"""Which networks, batches and machines the fused kernels are for; needs no Triton."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from resnet_paper.networks.resnets import Block, Network, Stem, ZeroPad

CHANNELS = (16, 32, 64)
SIZE = 32  # pixels of an image's side
LEAST_CAPABILITY = (8, 0)  # of a GPU: bfloat16 in tensor cores
MOST_IMAGES = 512


def fits(network: nn.Module, batch: int, image_size: int) -> bool:
    """True if a network of 6n+2 layers, plain or with option A, in batches that are powers of 2."""
    return (
        isinstance(network, Network)
        and image_size == SIZE
        and 2 <= batch <= MOST_IMAGES
        and batch & (batch - 1) == 0
        and isinstance(network.stem, Stem)
        and network.stem.conv.in_channels == 3
        and network.stem.conv.out_channels in CHANNELS
        and len(network.stages) <= len(CHANNELS)
        and all(isinstance(block, Block) and block_fits(block) for block in blocks(network))
    )


def blocks(network: Network) -> list[Any]:
    """The blocks of all stages."""
    return [block for stage in network.stages.children() for block in stage.children()]


def block_fits(block: Block) -> bool:
    """True if a block keeps its size and channels, or halves the one and doubles the other."""
    conv, stride = block.conv1, block.conv1.stride[0]
    if conv.out_channels not in CHANNELS or conv.out_channels != stride * conv.in_channels:
        return False
    return stride in (1, 2) and isinstance(block.shortcut, nn.Identity | ZeroPad | None)


def missing() -> str:
    """What this machine lacks for fused kernels on a GPU, or ""."""
    if not torch.cuda.is_available():
        return "a CUDA device"
    if torch.cuda.get_device_capability() < LEAST_CAPABILITY:
        return "a GPU of compute capability 8.0 or more"
    return "" if find_spec("triton") else "the package triton"

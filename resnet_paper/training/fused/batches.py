"""A batch of a plan in one kernel: gather, crop, flip and normalise."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from resnet_paper.training.batches import BatchPlan
from resnet_paper.training.fused.layer import launch
from resnet_paper.training.images import Images, Normalisation

BLOCK = 1024  # pixels of a channel


@triton.jit
def gather_batch(
    pixels,
    all_labels,
    indices,
    top,
    left,
    flip,
    position,
    mean,
    std,
    images,
    labels,
    size: tl.constexpr,
    padding: tl.constexpr,
    mean_pixels: tl.constexpr,
    std_pixels: tl.constexpr,
    block: tl.constexpr,
):
    """images, (N, 3, H, H) float32, and labels, (N,), of batch `position` of a plan.

    Grid (N, 3, blocks): a program has some pixels of a channel of an image. Of mean and std a
    channel has so many pixels, size^2 or 1.
    """
    n = tl.program_id(0)
    channel = tl.program_id(1)
    part = tl.program_id(2)
    at = tl.load(position) * tl.num_programs(0) + n
    index = tl.load(indices + at)
    p = part * block + tl.arange(0, block)
    column = p % size
    column = tl.where(tl.load(flip + at) != 0, size - 1 - column, column)
    row = p // size + tl.load(top + at) - padding
    column = column + tl.load(left + at) - padding
    inside = (row >= 0) & (row < size) & (column >= 0) & (column < size) & (p < size * size)
    source = row * size + column
    value = tl.load(pixels + (index * 3 + channel) * (size * size) + source, mask=inside, other=0)
    a = tl.load(mean + channel * mean_pixels + source % mean_pixels, mask=inside, other=0.0)
    b = tl.load(std + channel * std_pixels + source % std_pixels, mask=inside, other=1.0)
    normalised = tl.div_rn(tl.div_rn(value.to(tl.float32), 255.0) - a, b)
    target = images + (n * 3 + channel) * (size * size) + p
    tl.store(target, tl.where(inside, normalised, 0.0), mask=p < size * size)
    if (channel == 0) & (part == 0):
        tl.store(labels + n, tl.load(all_labels + index))


def augmented(
    train: Images, plan: BatchPlan, position: Tensor, normalise: Normalisation, padding: int
) -> tuple[Tensor, Tensor]:
    """The augmented, normalised images and the labels of a plan's batch at `position`, (1,)."""
    batch, size = plan.indices.shape[1], train.pixels.shape[-1]
    images = torch.empty(batch, 3, size, size, device=train.pixels.device)
    labels = torch.empty_like(plan.indices[0])
    gather_batch[(batch, 3, triton.cdiv(size**2, BLOCK))](
        train.pixels,
        train.labels,
        *plan.columns(),
        position,
        normalise.mean,
        normalise.std,
        images,
        labels,
        size=size,
        padding=padding,
        mean_pixels=normalise.mean[0].numel(),
        std_pixels=normalise.std[0].numel(),
        block=BLOCK,
        **launch(4),
    )
    return images, labels

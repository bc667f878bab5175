"""The batch stream: which images make up batch i of a seed, and how each is augmented."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from resnet_paper.runs.recipe import Recipe


@dataclass(frozen=True)
class BatchPlan:
    """Which images make up a number of batches, and how each is augmented: all (count, batch)."""

    indices: Tensor  # int64, of the training images
    top: Tensor  # int64 in 0..2*padding, the crop's corner in the padded image
    left: Tensor
    flip: Tensor  # bool

    def __len__(self) -> int:
        return len(self.indices)

    @classmethod
    def empty(cls, count: int, batch_size: int, device: torch.device | str) -> BatchPlan:
        """An empty plan of a capacity of batches, on a device."""
        indices, top, left = torch.zeros(3, count, batch_size, dtype=torch.int64, device=device)
        return cls(indices, top, left, torch.zeros_like(indices, dtype=torch.bool))

    def copy_(self, plan: BatchPlan) -> None:
        """Put a plan of as many batches or fewer into the first places of this one."""
        for column, values in zip(self.columns(), plan.columns(), strict=True):
            column[: len(plan)].copy_(values)

    def columns(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.indices, self.top, self.left, self.flip

    def batch(self, position: Tensor) -> tuple[Tensor, ...]:
        """Indices, top, left and flip of one batch, each (batch,); position: (1,) int64."""
        return tuple(column.index_select(0, position).squeeze(0) for column in self.columns())


@dataclass(frozen=True)
class BatchStream:
    """The batches of a run, as a pure function of its seed: batch i is plan(i, 1).

    Epoch e is a permutation of the images drawn from (seed, e), with a crop offset and a flip for
    each image. Batches are always full and run on across epochs. There is no state, so a run can
    be resumed at any iteration, and sees the same images in the same order on any device.
    """

    images: int
    batch_size: int
    seed: int
    padding: int = 4
    flips: bool = True

    @classmethod
    def of(cls, recipe: Recipe, images: int, seed: int) -> BatchStream:
        """The batches of a recipe, of a number of images."""
        return cls(images, recipe.batch_size, seed, recipe.padding, recipe.flips)

    def plan(self, start: int, count: int) -> BatchPlan:
        """The batches start, ..., start + count - 1."""
        first, last = start * self.batch_size, (start + count) * self.batch_size
        epochs = range(first // self.images, (last - 1) // self.images + 1)
        columns = np.concatenate([self.epoch(number) for number in epochs], axis=1)
        skipped = first - epochs.start * self.images
        window = columns[:, skipped : skipped + last - first]
        rows = torch.from_numpy(window).view(4, count, self.batch_size)
        return BatchPlan(rows[0], rows[1], rows[2], rows[3].bool())

    def epoch(self, number: int) -> np.ndarray:
        """The epoch's permutation, crop offsets and flips: index, top, left, flip, (4, images)."""
        rng = np.random.default_rng((self.seed, number))
        order = rng.permutation(self.images)
        corners = rng.integers(0, 2 * self.padding + 1, (2, self.images))
        flips = rng.integers(0, 2, self.images) * self.flips
        return np.stack([order, *corners, flips])


def augment(images: Tensor, top: Tensor, left: Tensor, flip: Tensor, padding: int = 4) -> Tensor:
    """Pad normalised images (N, C, H, W) with zeros, cut an (H, W) window from each, flip some.

    top, left: (N,) the windows' corners in the padded images; flip: (N,) bool, left to right.
    """
    padded = F.pad(images, (padding,) * 4)
    return crop(padded, top, left, images.shape[-1], flip)


def crop(
    images: Tensor, top: Tensor, left: Tensor, size: int, flip: Tensor | None = None
) -> Tensor:
    """A (size, size) window of each image, each at its own corner, by one gather."""
    steps = torch.arange(size, device=images.device)
    rows = top[:, None] + steps
    columns = steps.expand(len(images), size)
    if flip is not None:
        columns = torch.where(flip[:, None], size - 1 - columns, columns)
    columns = left[:, None] + columns
    pixel = (rows[:, :, None] * images.shape[-1] + columns[:, None, :]).flatten(1)
    windows = images.flatten(2).gather(2, pixel[:, None, :].expand(-1, images.shape[1], -1))
    return windows.unflatten(2, (size, size))

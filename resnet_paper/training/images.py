"""Images in memory: a data set's parts, and the normalisation of their pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from resnet_paper.runs.recipe import CHANNELS, PAPER, Channels


@dataclass(frozen=True)
class Images:
    """Images as bytes, (N, C, H, H) in 0..255, and their labels, (N,) in 0..classes-1."""

    pixels: Tensor
    labels: Tensor

    @property
    def evaluation_batch(self) -> int:
        """How many at a time where nothing is trained, by their size and their device.

        Of 32x32 pixels 250, on CUDA 1,000, which keep a GPU busy; of more pixels 64.
        """
        if self.pixels.shape[-1] > 32:
            return 64
        return 1_000 if self.pixels.device.type == "cuda" else 250

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, which: slice | Tensor) -> Images:
        return Images(self.pixels[which], self.labels[which])

    def to(self, device: torch.device | str) -> Images:
        return Images(self.pixels.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """The images that a network is trained, validated (maybe none) and tested on.

    normalisation: the name of that of its pixels.
    """

    train: Images
    validation: Images
    test: Images
    normalisation: str = PAPER.normalisation

    @property
    def normalise(self) -> Normalisation:
        """The normalisation of pixels, on the device of the training images."""
        return Normalisation.of(self.train, self.normalisation)

    def to(self, device: torch.device | str) -> Dataset:
        train, validation, test = (
            part.to(device) for part in (self.train, self.validation, self.test)
        )
        return Dataset(train, validation, test, self.normalisation)


@dataclass(frozen=True)
class Normalisation:
    """(pixels / 255 - mean) / std; mean and std are (C, H, H) or (C, 1, 1)."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, train: Images, name: str = PAPER.normalisation) -> Normalisation:
        """By the mean image of the training images ("per-pixel mean"), or by some CHANNELS."""
        device = train.pixels.device
        if name in CHANNELS:
            return cls.of_channels(*CHANNELS[name], device)
        total = torch.zeros_like(train.pixels[0], dtype=torch.int64)
        for part in train.pixels.split(1_000):  # of 50,000 at once, the sum takes 1.2 GB
            total += part.long().sum(0)
        mean = (total.double() / (255 * len(train))).float()
        return cls(mean, torch.ones(len(mean), 1, 1, device=device))

    @classmethod
    def of_channels(
        cls, means: Channels, stds: Channels, device: torch.device | str = "cpu"
    ) -> Normalisation:
        """By a mean and a standard deviation for each channel."""
        mean, std = torch.tensor((means, stds), device=device)[:, :, None, None]
        return cls(mean, std)

    def __call__(self, pixels: Tensor) -> Tensor:
        """Bytes (N, C, H, H) -> floats of the same shape."""
        return (pixels.float() / 255 - self.mean) / self.std

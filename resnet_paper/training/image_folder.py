"""Image files, in a folder for each class, as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import default_loader
from torchvision.transforms.functional import center_crop, pil_to_tensor, resize
from tqdm import tqdm

from resnet_paper.errors import UserError

ORDER_SEED = 0
RESTORE = "restore it, or move the data set away, and the next start downloads it again"


def read(folder: Path, count: int, size: int, classes: Sequence[str]) -> tuple[Tensor, Tensor]:
    """So many images of a folder as bytes, (count, 3, size, size), and their labels, (count,).

    classes: the names of their folders, sorted; a label is an index of these. The images are drawn
    by a fixed seed, in an order that mixes the classes. Raises UserError where classes or images
    are missing, or one is damaged, or a folder is none of these.
    """
    try:
        files = ImageFolder(str(folder))
    except OSError as error:
        raise UserError(f"{folder} is not complete ({error}): {RESTORE}") from error
    if wrong := sorted({*files.classes} ^ {*classes}):
        raise UserError(f"{folder} is not as published (see {', '.join(wrong)}): {RESTORE}")
    if len(files) < count:
        raise UserError(f"{folder} has {len(files):,} images, not {count:,}: {RESTORE}")
    pixels = torch.empty(count, 3, size, size, dtype=torch.uint8)
    labels = torch.empty(count, dtype=torch.int64)
    order = np.random.default_rng(ORDER_SEED).permutation(len(files))[:count]
    for place, index in enumerate(tqdm(order, desc=str(folder), disable=None)):
        path, label = files.samples[index]
        pixels[place], labels[place] = read_square(path, size), label
    return pixels, labels


def read_square(path: str, size: int) -> Tensor:
    """An image in colour, its shorter side resized and its centre cut out: (3, size, size)."""
    try:
        image = default_loader(path)
    except Exception as error:  # PIL raises many kinds for a damaged file
        reason = getattr(error, "strerror", None) or "it is damaged"
        raise UserError(f"{path} cannot be read as an image ({reason}): {RESTORE}") from error
    return pil_to_tensor(center_crop(resize(image, size), size))

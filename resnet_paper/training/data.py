"""Data sets as tensors, their normalisation, and the batch stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.datasets import CIFAR10, Imagenette
from torchvision.datasets.utils import check_integrity

from resnet_paper.errors import UserError
from resnet_paper.runs.datasets import DATA_SETS
from resnet_paper.runs.recipe import CHANNELS, PAPER, Channels, Recipe
from resnet_paper.training import image_folder

SPLIT_SEED = 45_000
# Imagenette's folders of classes, in the order of their labels.
WNIDS = (
    *("n01440764", "n02102040", "n02979186", "n03000684", "n03028079"),
    *("n03394916", "n03417042", "n03425413", "n03445777", "n03888257"),
)


@dataclass(frozen=True)
class Images:
    """Images as bytes, (N, 3, H, H) in 0..255, and their labels, (N,) in 0..classes-1."""

    pixels: Tensor
    labels: Tensor

    @property
    def evaluation_batch(self) -> int:
        """How many at a time where nothing is trained: 250 of 32x32 pixels, 64 of more."""
        return 250 if self.pixels.shape[-1] <= 32 else 64

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, which: slice | Tensor) -> Images:
        return Images(self.pixels[which], self.labels[which])

    def to(self, device: torch.device | str) -> Images:
        return Images(self.pixels.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """The images that a network is trained, validated (maybe none) and tested on."""

    train: Images
    validation: Images
    test: Images

    def to(self, device: torch.device | str) -> Dataset:
        return Dataset(self.train.to(device), self.validation.to(device), self.test.to(device))


def load(recipe: Recipe, data_dir: Path) -> Dataset:
    """The data set that a recipe names, cut to the recipe's sizes.

    It is looked for where torchvision puts it, as in data_dir/cifar-10-batches-py, and downloaded
    if it is missing. Validation images are drawn from the training images by a fixed seed.
    Raises UserError where files are damaged, or are missing and cannot be downloaded.
    """
    train, test = LOADERS[recipe.dataset](recipe, data_dir)
    if recipe.validation_images:
        train = train[torch.from_numpy(np.random.default_rng(SPLIT_SEED).permutation(len(train)))]
    return Dataset(
        train=train[: recipe.train_images],
        validation=train[recipe.train_images : recipe.train_images + recipe.validation_images],
        test=test[: recipe.test_images],
    )


def cifar10(_: Recipe, data_dir: Path) -> tuple[Images, Images]:
    """CIFAR-10's 50,000 training and 10,000 test images; UserError as `load`."""
    folder = data_dir / CIFAR10.base_folder
    official = [*CIFAR10.train_list, *CIFAR10.test_list, list(CIFAR10.meta.values())[::2]]
    files = {folder / name: md5 for name, md5 in official}
    for path, md5 in files.items():
        try:
            damaged = path.exists() and not check_integrity(str(path), md5)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from error
        if damaged:
            raise UserError(
                f"{path} is damaged (its MD5 is not CIFAR-10's): remove it, and the next start "
                "downloads it again"
            )
    if not all(path.exists() for path in files):
        with downloading("CIFAR-10", "cifar-10-python.tar.gz", data_dir):
            CIFAR10(str(data_dir), download=True)
    return tuple(  # type: ignore[return-value]
        Images(
            torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(),
            torch.tensor(part.targets),
        )
        for part in (CIFAR10(str(data_dir), train=True), CIFAR10(str(data_dir), train=False))
    )


def imagenette(recipe: Recipe, data_dir: Path) -> tuple[Images, Images]:
    """Imagenette's training images, and as test images its validation images; UserError as `load`.

    Those that the recipe needs, in an order that mixes the classes.
    """
    folder = data_dir / DATA_SETS["imagenette"].folder
    try:
        missing = not folder.exists()
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}") from error
    if missing:
        with downloading("Imagenette", "imagenette2-160.tgz", data_dir):
            Imagenette(str(data_dir), size="160px", download=True)
    needed = {"train": recipe.train_images + recipe.validation_images, "val": recipe.test_images}
    train, test = (
        Images(*image_folder.read(folder / part, count, recipe.image_size, WNIDS))
        for part, count in needed.items()
    )
    return train, test


@contextmanager
def downloading(name: str, archive: str, data_dir: Path) -> Iterator[None]:
    """Context manager: torchvision fetches a data set's archive and checks its MD5.

    A data_dir that was made for it and is empty is removed if it fails.
    """
    missing = not data_dir.exists()
    try:
        yield
    except (OSError, RuntimeError) as error:
        if missing:
            with suppress(OSError):
                data_dir.rmdir()
        raise UserError(
            f"{name} is not in {data_dir} and could not be downloaded ({error}): unpack "
            f"{archive} there, or name its place by DATA_DIR (--data-dir)"
        ) from error


def synthetic(count: int, seed: int) -> Images:
    """Images of 10 classes that a network can learn, made by the program; not a benchmark.

    Each class is a smooth colour pattern, the same for every seed; an image is its class's pattern,
    shifted by up to 4 pixels, mixed with another class's, under noise.
    """
    patterns = F.interpolate(
        torch.randn(10, 3, 6, 6, generator=torch.Generator().manual_seed(10)),
        size=(40, 40),
        mode="bicubic",
    )
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(rng.integers(0, 10, count))
    others = torch.from_numpy(rng.integers(0, 10, count))
    top, left = torch.from_numpy(rng.integers(0, 9, (2, count)))
    own = crop(patterns[labels], top, left, 32)
    other = crop(patterns[others], left, top, 32)
    noise = torch.from_numpy(rng.standard_normal((count, 3, 32, 32), dtype=np.float32))
    pixels = 128 + 40 * (own + 0.3 * other + 0.4 * noise)
    return Images(pixels.clamp(0, 255).to(torch.uint8), labels)


def synthetic_cifar10(recipe: Recipe, _: Path) -> tuple[Images, Images]:
    """Synthetic training and test images, as many as a recipe needs."""
    needed = recipe.train_images + recipe.validation_images
    return synthetic(needed, seed=0), synthetic(recipe.test_images, seed=1)


# By the name of a data set: its training and its test images, at least as many as a recipe needs.
LOADERS: dict[str, Callable[[Recipe, Path], tuple[Images, Images]]] = {
    "cifar10": cifar10,
    "imagenette": imagenette,
    "synthetic": synthetic_cifar10,
}


@dataclass(frozen=True)
class Normalisation:
    """(pixels / 255 - mean) / std; mean and std are (3, H, H) or (3, 1, 1)."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, train: Images, name: str = PAPER.normalisation) -> Normalisation:
        """By the mean image of the training images ("per-pixel mean"), or by some CHANNELS."""
        device = train.pixels.device
        if name in CHANNELS:
            return cls.of_channels(*CHANNELS[name], device)
        total = train.pixels.sum(0, dtype=torch.int64)
        mean = (total.double() / (255 * len(train))).float()
        return cls(mean, torch.ones(3, 1, 1, device=device))

    @classmethod
    def of_channels(
        cls, means: Channels, stds: Channels, device: torch.device | str = "cpu"
    ) -> Normalisation:
        """By a mean and a standard deviation for each channel."""
        mean, std = torch.tensor((means, stds), device=device)[:, :, None, None]
        return cls(mean, std)

    def __call__(self, pixels: Tensor) -> Tensor:
        """Bytes (N, 3, H, H) -> floats of the same shape."""
        return (pixels.float() / 255 - self.mean) / self.std


@dataclass(frozen=True)
class Plan:
    """Which images make up a number of batches, and how each is augmented: all (count, batch)."""

    indices: Tensor  # int64, of the training images
    top: Tensor  # int64 in 0..2*padding, the crop's corner in the padded image
    left: Tensor
    flip: Tensor  # bool

    def __len__(self) -> int:
        return len(self.indices)

    @classmethod
    def empty(cls, count: int, batch_size: int, device: torch.device | str) -> Plan:
        """An empty plan of a capacity of batches, on a device."""
        indices, top, left = torch.zeros(3, count, batch_size, dtype=torch.int64, device=device)
        return cls(indices, top, left, torch.zeros_like(indices, dtype=torch.bool))

    def copy_(self, plan: Plan) -> None:
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

    def plan(self, start: int, count: int) -> Plan:
        """The batches start, ..., start + count - 1."""
        first, last = start * self.batch_size, (start + count) * self.batch_size
        epochs = range(first // self.images, (last - 1) // self.images + 1)
        columns = np.concatenate([self.epoch(number) for number in epochs], axis=1)
        skipped = first - epochs.start * self.images
        window = columns[:, skipped : skipped + last - first]
        rows = torch.from_numpy(window).view(4, count, self.batch_size)
        return Plan(rows[0], rows[1], rows[2], rows[3].bool())

    def epoch(self, number: int) -> np.ndarray:
        """The epoch's permutation, crop offsets and flips: index, top, left, flip, (4, images)."""
        rng = np.random.default_rng((self.seed, number))
        order = rng.permutation(self.images)
        corners = rng.integers(0, 2 * self.padding + 1, (2, self.images))
        flips = rng.integers(0, 2, self.images)
        return np.stack([order, *corners, flips])


def augment(images: Tensor, top: Tensor, left: Tensor, flip: Tensor, padding: int = 4) -> Tensor:
    """Pad normalised images (N, 3, H, W) with zeros, cut an (H, W) window from each, flip some.

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

"""The data sets: where each is found, and how it is read.

torchvision, which takes seconds to import, is imported by the loaders that need it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from resnet_paper.errors import UserError
from resnet_paper.runs.datasets import DATA_SETS
from resnet_paper.runs.files import locked, move, scratch_directory
from resnet_paper.runs.recipe import Recipe
from resnet_paper.training.batches import crop
from resnet_paper.training.images import Dataset, Images

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10

SPLIT_SEED = 45_000
# Imagenette's folders of classes, in the order of their labels.
WNIDS = (
    *("n01440764", "n02102040", "n02979186", "n03000684", "n03028079"),
    *("n03394916", "n03417042", "n03425413", "n03445777", "n03888257"),
)


def load(recipe: Recipe, data_dir: Path) -> Dataset:
    """The data set that a recipe names, cut to the recipe's sizes.

    It is looked for where torchvision puts it, as in data_dir/cifar-10-batches-py, and downloaded
    if it is missing. Validation images are drawn from the training images by a fixed seed.
    Raises UserError where files are damaged, or are missing and cannot be downloaded, and where the
    images are not those that the recipe says.
    """
    train, test = LOADERS[recipe.dataset](recipe, data_dir)
    if recipe.validation_images:
        train = train[torch.from_numpy(np.random.default_rng(SPLIT_SEED).permutation(len(train)))]
    needed = recipe.train_images + recipe.validation_images
    require_images(train, needed, recipe)
    require_images(test, recipe.test_images, recipe)
    return Dataset(
        train=train[: recipe.train_images],
        validation=train[recipe.train_images : needed],
        test=test[: recipe.test_images],
        normalisation=recipe.normalisation,
    )


def require_images(images: Images, count: int, recipe: Recipe) -> None:
    """UserError unless images are as many, as large and of as many classes as a recipe says."""
    channels, size = images.pixels.shape[1:3]
    classes = int(images.labels.max()) + 1
    if len(images) < count:
        said = f"has {len(images)} images where the recipe asks for {count}"
    elif size != recipe.image_size:
        said = f"has images of {size} pixels a side, and the recipe of {recipe.image_size}"
    elif channels != recipe.channels:
        said = f"has images of {channels} channels, and the recipe of {recipe.channels}"
    elif classes > recipe.classes:
        said = f"has {classes} classes, and the recipe {recipe.classes}"
    else:
        return
    raise UserError(f"the data set {recipe.dataset!r} {said}: change the recipe")


def cifar(of: type[CIFAR10], recipe: Recipe, data_dir: Path) -> tuple[Images, Images]:
    """50,000 training and 10,000 test images as torchvision reads them; UserError as `load`."""
    title, folder = DATA_SETS[recipe.dataset].title, data_dir / of.base_folder
    files = [*of.train_list, *of.test_list, (of.meta["filename"], of.meta["md5"])]

    def missing() -> list[str]:
        return [name for name, md5 in files if not is_there(folder / name, md5)]

    download(title, folder, of.filename, missing, lambda root: of(root, download=True))
    return tuple(  # type: ignore[return-value]
        Images(
            torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(),
            torch.tensor(part.targets),
        )
        for part in (of(str(data_dir), train=True), of(str(data_dir), train=False))
    )


def cifar10(recipe: Recipe, data_dir: Path) -> tuple[Images, Images]:
    """CIFAR-10's 50,000 training and 10,000 test images; UserError as `load`."""
    from torchvision.datasets import CIFAR10

    return cifar(CIFAR10, recipe, data_dir)


def cifar100(recipe: Recipe, data_dir: Path) -> tuple[Images, Images]:
    """CIFAR-100's 50,000 training and 10,000 test images; UserError as `load`."""
    from torchvision.datasets import CIFAR100

    return cifar(CIFAR100, recipe, data_dir)


def imagenette(recipe: Recipe, data_dir: Path) -> tuple[Images, Images]:
    """Imagenette's training images, and as test images its validation images; UserError as `load`.

    Those that the recipe needs, in an order that mixes the classes.
    """
    from torchvision.datasets import Imagenette

    from resnet_paper.training import image_folder

    folder = data_dir / DATA_SETS["imagenette"].folder
    download(
        "Imagenette",
        folder,
        "imagenette2-160.tgz",
        lambda: [] if is_there(folder) else [folder.name],
        lambda root: Imagenette(root, size="160px", download=True),
    )
    needed = {"train": recipe.train_images + recipe.validation_images, "val": recipe.test_images}
    train, test = (
        Images(*image_folder.read(folder / part, count, recipe.image_size, WNIDS))
        for part, count in needed.items()
    )
    return train, test


def mnist(_: Recipe, data_dir: Path) -> tuple[Images, Images]:
    """MNIST's 60,000 training and 10,000 test images, of one channel; UserError as `load`."""
    from torchvision.datasets import MNIST

    folder = data_dir / DATA_SETS["mnist"].folder
    files = [f"raw/{archive.removesuffix('.gz')}" for archive, _ in MNIST.resources]
    download(
        "MNIST",
        folder,
        "MNIST's four files, as MNIST/raw/train-images-idx3-ubyte,",
        lambda: [name for name in files if not is_there(folder / name)],
        lambda root: MNIST(root, download=True),
    )
    try:
        parts = [MNIST(str(data_dir), train=train) for train in (True, False)]
    except (OSError, AssertionError, KeyError, RuntimeError, ValueError) as error:
        raise UserError(
            f"{folder} has no images that can be read: move it away, and the next start downloads "
            "them again"
        ) from error
    train, test = (Images(part.data[:, None], part.targets) for part in parts)
    return train, test


def is_there(path: Path, md5: str | None = None) -> bool:
    """False if a file or folder is missing; UserError if it is unreadable or has another MD5."""
    from torchvision.datasets.utils import check_integrity

    try:
        there = path.exists()
        intact = md5 is None or not there or check_integrity(str(path), md5)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    if not intact:
        raise UserError(
            f"{path} is damaged (its MD5 is not the official one): remove it, and the next start "
            "downloads it again"
        )
    return there


def download(
    title: str,
    folder: Path,
    archive: str,
    missing: Callable[[], list[str]],
    fetch: Callable[[str], object],
) -> None:
    """Download a data set if files of it are missing in its folder: one process, others wait.

    fetch: has torchvision download the archive into a directory, check its MD5 and unpack it. What
    it leaves is moved to where the folder is, so that others see whole files only. An archive that
    lies there is not downloaded again.
    """
    if not missing():
        return
    data_dir = folder.parent
    made = not data_dir.exists()
    try:
        with locked(data_dir / "download.lock", f"waiting for the process that downloads {title}"):
            if missing():  # not downloaded by another process meanwhile
                with scratch_directory(data_dir / "download") as directory:
                    if (data_dir / archive).exists():
                        (directory / archive).symlink_to((data_dir / archive).absolute())
                    fetch(str(directory))
                    move(directory, data_dir)
    except (OSError, RuntimeError, EOFError, HTTPException) as error:
        if made:
            with suppress(OSError):
                data_dir.rmdir()
        found = f"{title} is not in {data_dir}"
        if folder.exists():
            found = f"{folder} lacks {', '.join(missing())}: {title} is incomplete"
        raise UserError(
            f"{found} and could not be downloaded ({error}): unpack {archive} in {data_dir}, or "
            "name its place by DATA_DIR (--data-dir)"
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
    "cifar100": cifar100,
    "imagenette": imagenette,
    "mnist": mnist,
    "synthetic": synthetic_cifar10,
}

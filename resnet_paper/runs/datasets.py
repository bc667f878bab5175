"""The data sets, by the names that recipes give them: what their images are, and their words."""

from __future__ import annotations

from typing import NamedTuple


class DataSet(NamedTuple):
    """What a data set consists of, and how it is described.

    title: its name in prose. train, test: how many training images, validation images among them,
    and test images there are; None: as many as a recipe asks for. image_size: pixels, a side.
    normalisation: of its pixels, "per-pixel mean" or a name of `recipe.CHANNELS`. images: what a
    figure's title calls them. folder: its own in the data directory. tested_on: what test errors
    are of. note: below tables. subject: what is shown of the paper. class_names: by label; () where
    classes have numbers only.
    """

    title: str
    train: int | None = None
    test: int | None = None
    image_size: int = 32
    channels: int = 3
    classes: int = 10
    normalisation: str = "per-pixel mean"
    images: str = "images"
    folder: str = ""
    tested_on: str = "test images"
    note: str = ""
    subject: str = "A reproduction of section 4.2"
    class_names: tuple[str, ...] = ()

    def names_of_classes(self, count: int) -> tuple[str, ...]:
        """The names of the classes, or "0", "1", ... where they have none."""
        return self.class_names or tuple(map(str, range(count)))


DATA_SETS = {
    "cifar10": DataSet(
        "CIFAR-10",
        train=50_000,
        test=10_000,
        folder="cifar-10-batches-py",
        class_names=(
            *("airplane", "automobile", "bird", "cat", "deer"),
            *("dog", "frog", "horse", "ship", "truck"),
        ),
    ),
    "cifar100": DataSet(
        "CIFAR-100",
        train=50_000,
        test=10_000,
        classes=100,
        images="CIFAR-100 images",
        folder="cifar-100-python",
        note="CIFAR-100, which the paper does not train on.",
        subject="The networks of section 4.2",
    ),
    "imagenette": DataSet(
        "Imagenette",
        train=9_469,
        test=3_925,  # its validation images: it has no others
        image_size=160,
        normalisation="imagenet channels",
        images="Imagenette images",
        folder="imagenette2-160",
        tested_on="validation images",
        note="Imagenette, not ImageNet; its validation images stand in for test images.",
        subject="Networks of Table 1",
        class_names=(
            *("tench", "English springer", "cassette player", "chain saw", "church"),
            *("French horn", "garbage truck", "gas pump", "golf ball", "parachute"),
        ),
    ),
    "mnist": DataSet(
        "MNIST",
        train=60_000,
        test=10_000,
        image_size=28,
        channels=1,
        normalisation="mnist channel",
        images="MNIST images",
        folder="MNIST",
        note="MNIST, which the paper does not train on.",
        subject="Networks beside those",
    ),
    "synthetic": DataSet(
        "CIFAR-10",
        images="synthetic images",
        note="Synthetic images: a demonstration, not CIFAR-10.",
    ),
}

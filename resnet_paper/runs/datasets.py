"""How the data sets are named and described, by the names that recipes give them."""

from __future__ import annotations

from typing import NamedTuple


class DataSet(NamedTuple):
    """A data set in words.

    title: its name in prose. train, test: how many training images, validation images among them,
    and test images there are; None: as many as a recipe asks for. images: what a figure's title
    calls them. folder: its own in the data directory. tested_on: what test errors are of. note:
    below tables. subject: what is shown of the paper. class_names: by label; () where classes have
    numbers only.
    """

    title: str
    train: int | None = None
    test: int | None = None
    images: str = "images"
    folder: str = ""
    tested_on: str = "test images"
    note: str = ""
    subject: str = "A reproduction of section 4.2"
    class_names: tuple[str, ...] = ()

    def classes(self, count: int) -> tuple[str, ...]:
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
    "imagenette": DataSet(
        "Imagenette",
        train=9_469,
        test=3_925,
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
    "synthetic": DataSet(
        "CIFAR-10",
        images="synthetic images",
        note="Synthetic images: a demonstration, not CIFAR-10.",
    ),
}

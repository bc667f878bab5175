"""Imagenette: a folder of image files of any size becomes tensors, and trains as CIFAR-10 does."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from msgspec.structs import replace
from PIL import Image
from torchvision import datasets

from experiments import eval as evaluate
from experiments import figures as all_figures
from experiments import report, train
from resnet_paper.errors import UserError
from resnet_paper.networks import baselines
from resnet_paper.networks.build import blueprint
from resnet_paper.runs.datasets import DATA_SETS
from resnet_paper.runs.recipe import SETTINGS, Recipe
from resnet_paper.runs.run import Run
from resnet_paper.training import data, image_folder
from resnet_paper.training.data import WNIDS
from resnet_paper.training.images import Dataset, Images
from tests.training.trained import assert_same_result, complete, interrupted

SIZES = ((64, 64), (90, 70), (70, 130), (40, 50))  # width, height
FIRST = Path("imagenette2-160/train/n01440764/0.JPEG")


def write_images(data_dir: Path) -> None:
    """Four training and two validation images a class; class k is of brightness 25 k.

    The images differ in size, and the first of each class is grey.
    """
    for part, count in (("train", 4), ("val", 2)):
        for label, wnid in enumerate(WNIDS):
            folder = data_dir / "imagenette2-160" / part / wnid
            folder.mkdir(parents=True)
            for number, size in enumerate(SIZES[:count]):
                image = Image.new("RGB", size, (25 * label,) * 3)
                (image.convert("L") if number == 0 else image).save(folder / f"{number}.JPEG")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    write_images(tmp_path)
    return tmp_path


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """The settings tiny-imagenette at a quarter of their length."""
    recipe = replace(
        SETTINGS["tiny-imagenette"], iterations=3, milestones=(2,), batch_size=4, measure_every=2
    )
    monkeypatch.setitem(SETTINGS, "tiny-imagenette", recipe)
    monkeypatch.setattr(Images, "evaluation_batch", 20)  # it is padded, which takes time
    return recipe


def brightness(dataset: Dataset) -> list[float]:
    return dataset.train.pixels.double().mean((1, 2, 3)).tolist()


def test_images_of_any_size_become_squares_with_the_label_of_their_folder(
    data_dir: Path, tiny: Recipe
) -> None:
    dataset = data.load(tiny, data_dir)
    assert dataset.train.pixels.shape == (40, 3, 64, 64)
    assert dataset.train.pixels.dtype == torch.uint8
    assert dataset.train.labels.bincount().tolist() == [4] * 10
    assert dataset.test.labels.bincount().tolist() == [2] * 10
    expected = (25 * dataset.train.labels).tolist()
    assert brightness(dataset) == pytest.approx(expected, abs=2)


def test_the_first_images_are_of_all_classes_and_the_same_each_time(
    data_dir: Path, tiny: Recipe
) -> None:
    """Few images of a sorted folder would be of one class."""
    everything = data.load(tiny, data_dir).train
    assert len(everything.labels[:20].unique()) >= 8
    assert everything.labels[:6].tolist() == [2, 6, 1, 6, 5, 0]  # by ORDER_SEED
    fewer = replace(tiny, train_images=20, validation_images=20)
    dataset, again = (data.load(fewer, data_dir) for _ in range(2))
    assert torch.equal(dataset.train.pixels, again.train.pixels)
    assert sorted([*dataset.train.labels.tolist(), *dataset.validation.labels.tolist()]) == [
        label for label in range(10) for _ in range(4)
    ]


def test_the_shorter_side_is_resized_and_the_centre_cut_out(tmp_path: Path) -> None:
    """A wide picture of a black, a coloured and a white square, twice as large as asked for."""
    pixels = np.zeros((80, 240, 3), np.uint8)
    pixels[:, 80:160], pixels[:, 160:] = (200, 100, 50), 255
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    square = image_folder.read_square(str(tmp_path / "wide.png"), 40)
    assert square.shape == (3, 40, 40)
    for channel, value in zip(square[:, :, 4:36], (200, 100, 50), strict=True):
        assert channel.unique().tolist() == [value]


def test_grey_pictures_get_three_equal_channels(data_dir: Path) -> None:
    assert Image.open(data_dir / FIRST).mode == "L"
    square = image_folder.read_square(str(data_dir / FIRST), 64)
    assert torch.equal(square[0], square[1])
    assert torch.equal(square[0], square[2])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-200]), f"{FIRST} cannot be read as an"),
        (lambda path: path.write_bytes(b""), f"{FIRST} cannot be read as an image (it is damaged)"),
        (lambda path: path.write_text("text"), f"{FIRST} cannot be read as an image"),
        (lambda path: (path.unlink(), path.symlink_to("gone")), f"{FIRST} cannot be read as an"),
        (lambda path: path.unlink(), "imagenette2-160/train has 39 images, not 40: restore it"),
        (lambda path: [each.unlink() for each in path.parent.iterdir()], "n01440764"),
        (
            lambda path: path.parent.rename(path.parents[2] / "x"),
            "not as published (see n01440764)",
        ),
        (lambda path: path.parent.rename(path.parent.with_name("n1")), "(see n01440764, n1)"),
        (lambda path: path.parents[1].rename(path.parents[2] / "x"), "train is not complete"),
    ],
    ids=[
        "cut",
        "empty",
        "text",
        "link",
        "missing",
        "class-empty",
        "class-missing",
        "renamed",
        "no-train",
    ],
)
def test_a_missing_or_broken_image_is_one_line(
    data_dir: Path, tiny: Recipe, damage: Callable[[Path], object], says: str
) -> None:
    damage(data_dir / FIRST)
    with pytest.raises(UserError) as caught:
        data.load(tiny, data_dir)
    assert says in caught.value.message
    assert "\n" not in caught.value.message


def test_what_is_missing_is_downloaded_at_160_pixels(
    tmp_path: Path, tiny: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(root: str, size: str, download: bool) -> None:
        assert (size, download) == ("160px", True)
        write_images(Path(root))

    monkeypatch.setattr(datasets, "Imagenette", download)
    assert len(data.load(tiny, tmp_path).train) == 40
    monkeypatch.setattr(datasets, "Imagenette", lambda *_, **__: pytest.fail("downloaded again"))
    assert len(data.load(tiny, tmp_path).test) == 20


def test_each_data_set_has_a_loader_and_words() -> None:
    assert data.LOADERS.keys() == DATA_SETS.keys() == {one.dataset for one in SETTINGS.values()}


def test_without_a_network_a_missing_folder_is_one_line(
    tmp_path: Path, tiny: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(datasets.Imagenette, "_download", refuse)
    with pytest.raises(UserError, match=r"unpack imagenette2-160\.tgz in") as caught:
        data.load(tiny, tmp_path)
    assert "\n" not in caught.value.message


@pytest.mark.slow
def test_interrupted_equals_uninterrupted(tmp_path: Path, data_dir: Path, tiny: Recipe) -> None:
    dataset = data.load(tiny, data_dir)
    cut, whole = (
        Run(tmp_path / name, "tiny-imagenette", "imagenet-resnet-18", 0)
        for name in ("cut", "whole")
    )
    interrupted(cut, tiny, dataset, at=1)
    assert_same_result(complete(cut, tiny, dataset), complete(whole, tiny, dataset))
    record = cut.result().record
    assert [sitting.iteration for sitting in record.resumed] == [1]
    assert record.parameters == 11_515_688 - 990 * 513, "10 classes, not 1,000"
    assert (record.recipe.dataset, record.recipe.image_size) == ("imagenette", 64)
    assert cut.result().curve["iteration"].tolist() == [2, 3]


@pytest.mark.parametrize("network", ["alexnet", pytest.param("vgg-16", marks=pytest.mark.slow)])
def test_networks_without_bn_train_at_their_own_rate_and_resume(
    network: str, tmp_path: Path, data_dir: Path, tiny: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With few hidden units and images, so that it is quick."""
    monkeypatch.setattr(baselines, "HIDDEN", 8)
    monkeypatch.setattr(Images, "evaluation_batch", 4)
    blueprint.cache_clear()
    few = {"train_images": 8, "test_images": 4, "unaugmented_images": 4, "batch_size": 2}
    tiny = replace(tiny, iterations=2, milestones=(1,), **few)
    recipe = replace(tiny, learning_rate_without_bn=0.001)
    dataset = data.load(recipe, data_dir)
    cut, whole = (Run(tmp_path / name, "tiny-imagenette", network, 0) for name in ("cut", "whole"))
    interrupted(cut, recipe, dataset, at=1)
    assert_same_result(complete(cut, recipe, dataset), complete(whole, recipe, dataset))
    record = cut.result().record
    assert record.recipe == replace(tiny, learning_rate=0.001)
    assert cut.result().curve["learning_rate"].tolist() == [0.0001]
    assert cut.is_finished_with(recipe)
    blueprint.cache_clear()


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_imagenette_end_to_end(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data_dir)
    settings = ["--settings", "tiny-imagenette"]
    for command, arguments, says in (
        (train, ["--network", "imagenet-resnet-18"], "imagenet-resnet-18 seed 0 (11.01M param"),
        (all_figures, [], "| ImageNet ResNet-18, seed 0 | 11.01M |"),
        (evaluate, [], "weights.pt: test error"),
        (report, [], "figures/tiny-imagenette/report.html"),
    ):
        result = CliRunner().invoke(command.main, [*settings, "--data-dir", ".", *arguments])
        assert result.exit_code == 0, result.output
        assert says in result.output
    assert Path("figures/tiny-imagenette/comparison.png").exists()
    assert "validation images stand in" in Path("figures/tiny-imagenette/comparison.md").read_text()
    page = Path("figures/tiny-imagenette/report.html").read_text()
    assert "<h1>Deep residual networks on Imagenette</h1>" in page
    assert "40 Imagenette images, 3 iterations" in page

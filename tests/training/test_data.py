"""The batch stream is a pure function, and augmentation is the paper's."""

import hashlib
import multiprocessing
import os
import pickle
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from msgspec.structs import replace
from torchvision import datasets

from resnet_paper.errors import UserError
from resnet_paper.runs.recipe import PAPER, SETTINGS
from resnet_paper.training import batches, data
from resnet_paper.training.batches import BatchStream
from resnet_paper.training.images import Images, Normalisation
from tests.conftest import REAL_DATA, needs_cifar10

STREAM = BatchStream(images=50, batch_size=16, seed=3)


def test_each_pass_sees_every_image_once() -> None:
    indices = STREAM.plan(0, 25).indices.flatten()  # 400 images: 8 passes
    for epoch in indices.view(8, 50):
        assert sorted(epoch.tolist()) == list(range(50))
    assert not torch.equal(indices[:50], indices[50:100])


def test_batches_do_not_depend_on_how_they_are_asked_for() -> None:
    whole = STREAM.plan(0, 20)
    for start, count in ((0, 1), (3, 1), (3, 9), (19, 1)):
        part = STREAM.plan(start, count)
        for column, expected in zip(part.columns(), whole.columns(), strict=True):
            assert torch.equal(column, expected[start : start + count])


def test_seeds_differ() -> None:
    other = BatchStream(images=50, batch_size=16, seed=4)
    assert not torch.equal(STREAM.plan(0, 3).indices, other.plan(0, 3).indices)


def test_all_81_crop_offsets_are_drawn_alike_and_half_the_images_flipped() -> None:
    plan = BatchStream(images=50_000, batch_size=100, seed=0).plan(0, 500)
    offsets = (9 * plan.top + plan.left).flatten()
    counts = torch.bincount(offsets)
    assert len(counts) == 81
    assert counts.min() > 500  # 617 expected
    assert plan.flip.double().mean().item() == pytest.approx(0.5, abs=0.01)
    assert (plan.top[0] != plan.top[0, 0]).any(), "offsets differ within a batch"


def test_augment_pads_crops_and_flips() -> None:
    images = torch.randn(6, 3, 32, 32)
    top, left = torch.tensor([0, 8, 4, 4, 1, 7]), torch.tensor([0, 8, 4, 4, 6, 2])
    flip = torch.tensor([False, False, False, True, True, False])
    augmented = batches.augment(images, top, left, flip)
    for image, result, y, x, mirrored in zip(
        images, augmented, top.tolist(), left.tolist(), flip.tolist(), strict=True
    ):
        expected = F.pad(image, (4, 4, 4, 4))[:, y : y + 32, x : x + 32]
        assert torch.equal(result, expected.flip(-1) if mirrored else expected)
    assert torch.equal(augmented[2], images[2])


def test_per_pixel_mean_is_taken_off() -> None:
    pixels = torch.randint(0, 256, (40, 3, 32, 32), dtype=torch.uint8)
    normalise = Normalisation.of(Images(pixels, torch.zeros(40)))
    assert normalise.mean.shape == (3, 32, 32)
    assert normalise(pixels).mean(0).abs().max() < 1e-6
    assert torch.allclose(normalise(pixels) + normalise.mean, pixels / 255, atol=1e-6)


def test_channel_normalisation_is_a_field_of_the_recipe() -> None:
    pixels = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    normalise = Normalisation.of(
        Images(pixels, torch.zeros(4)), SETTINGS["100-epochs"].normalisation
    )
    green = normalise(pixels)[:, 1]
    assert torch.allclose(green, (pixels[:, 1] / 255 - 0.4822) / 0.2435, atol=1e-6)


def test_synthetic_images_are_the_same_each_time_and_differ_between_train_and_test() -> None:
    one, again, other = (data.synthetic(100, seed) for seed in (0, 0, 1))
    assert torch.equal(one.pixels, again.pixels)
    assert not torch.equal(one.pixels, other.pixels)
    assert set(one.labels.tolist()) == set(range(10))


def test_missing_cifar10_without_a_network_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: datasets.CIFAR10) -> None:
        Path(self.root).mkdir(exist_ok=True)  # as torchvision does before it downloads
        raise OSError("no network")

    monkeypatch.setattr(datasets.CIFAR10, "download", refuse)
    with pytest.raises(UserError, match="could not be downloaded") as caught:
        data.load(PAPER, tmp_path / "mistyped")
    assert "\n" not in caught.value.message
    assert not (tmp_path / "mistyped").exists()
    with pytest.raises(UserError, match="could not be downloaded"):
        data.load(PAPER, tmp_path)
    assert tmp_path.exists()


def test_damaged_cifar10_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    path.parent.mkdir()
    path.write_bytes(b"half a download")
    with pytest.raises(UserError, match="data_batch_3 is damaged"):
        data.load(PAPER, tmp_path)
    assert path.read_bytes() == b"half a download"


def write_cifar100(data_dir: Path, images: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Made files of CIFAR-100's layout, whose MD5s are taken for the official ones."""
    folder = data_dir / "cifar-100-python"
    folder.mkdir(parents=True)
    labels = [number % 100 for number in range(images)]
    pixels = np.random.default_rng(0).integers(0, 256, (images, 3_072), np.uint8)
    contents = {name: {"data": pixels, "fine_labels": labels} for name in ("train", "test")}
    contents["meta"] = {"fine_label_names": list(map(str, range(100)))}
    md5 = {}
    for name, content in contents.items():
        (folder / name).write_bytes(pickle.dumps(content))
        md5[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    monkeypatch.setattr(datasets.CIFAR100, "train_list", [["train", md5["train"]]])
    monkeypatch.setattr(datasets.CIFAR100, "test_list", [["test", md5["test"]]])
    monkeypatch.setattr(datasets.CIFAR100, "meta", {**datasets.CIFAR100.meta, "md5": md5["meta"]})
    return folder


def test_cifar100_has_100_classes_and_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_cifar100(tmp_path, 200, monkeypatch)
    whole = SETTINGS["cifar100"]
    assert (whole.train_images, whole.test_images, whole.classes) == (50_000, 10_000, 100)
    recipe = replace(whole, train_images=200, test_images=200, unaugmented_images=200)
    dataset = data.load(recipe, tmp_path)
    assert dataset.train.pixels.shape == (200, 3, 32, 32)
    assert dataset.test.labels.bincount().tolist() == [2] * 100
    (folder / "test").write_bytes(b"half a download")
    with pytest.raises(UserError, match=r"test is damaged \(its MD5 is not the official one\)"):
        data.load(recipe, tmp_path)


def write_mnist(data_dir: Path, images: int) -> Path:
    """Made files of MNIST's layout: image k is of brightness k, and of class k modulo 10."""
    folder = data_dir / "MNIST" / "raw"
    folder.mkdir(parents=True)
    labels = np.arange(images, dtype=np.uint8)
    pixels = np.broadcast_to(labels[:, None, None], (images, 28, 28))
    for part in ("train", "t10k"):
        header = struct.pack(">4i", 2051, images, 28, 28)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        header = struct.pack(">2i", 2049, images)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(header + (labels % 10).tobytes())
    return folder


def test_mnist_has_one_channel_of_28_pixels(tmp_path: Path) -> None:
    folder = write_mnist(tmp_path, 30)
    recipe = replace(SETTINGS["mnist"], train_images=30, test_images=30, unaugmented_images=30)
    dataset = data.load(recipe, tmp_path)
    assert dataset.train.pixels.shape == (30, 1, 28, 28)
    assert dataset.train.pixels[:, 0, 5, 7].tolist() == list(range(30))
    assert dataset.test.labels.tolist() == [*range(10)] * 3
    assert dataset.normalise(dataset.train.pixels)[0].mean().item() == pytest.approx(-0.4242, 1e-3)
    images = folder / "t10k-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-100])
    with pytest.raises(UserError, match="MNIST has no images that can be read"):
        data.load(recipe, tmp_path)


def test_a_recipe_may_neither_crop_nor_flip() -> None:
    stream = BatchStream.of(SETTINGS["mnist"], images=50, seed=3)
    plan = stream.plan(0, 2)
    assert not plan.flip.any()
    assert not plan.top.any()
    whole = BatchStream(50, 128, seed=3, padding=0)
    assert torch.equal(plan.indices, whole.plan(0, 2).indices)


@needs_cifar10
def test_cifar10_is_whole() -> None:
    dataset = data.load(PAPER, REAL_DATA)
    assert dataset.train.pixels.shape == (50_000, 3, 32, 32)
    assert dataset.test.labels.bincount().tolist() == [1_000] * 10
    channel_means = Normalisation.of(dataset.train).mean.mean((1, 2)).tolist()
    assert channel_means == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)


@needs_cifar10
def test_validation_images_are_not_trained_on() -> None:
    dataset = data.load(SETTINGS["paper-45k"], REAL_DATA)
    assert (len(dataset.train), len(dataset.validation)) == (45_000, 5_000)
    trained_on = {image.numpy().tobytes() for image in dataset.train.pixels}
    whole = {image.numpy().tobytes() for image in data.load(PAPER, REAL_DATA).train.pixels}
    validation = {image.numpy().tobytes() for image in dataset.validation.pixels}
    assert not trained_on & validation
    assert trained_on | validation == whole


@needs_cifar10
def test_a_flipped_bit_in_cifar10_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    shutil.copytree(REAL_DATA / folder.name, folder)
    content = np.fromfile(folder / "test_batch", np.uint8)
    content[1_000_000] ^= 1
    content.tofile(folder / "test_batch")
    with pytest.raises(UserError, match="test_batch is damaged"):
        data.load(PAPER, tmp_path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"train_images": 45, "validation_images": 10},
            "has 50 images where the recipe asks for 55",
        ),
        ({"test_images": 60}, "has 50 images where the recipe asks for 60"),
        ({"image_size": 64}, "has images of 32 pixels a side, and the recipe of 64"),
    ],
)
def test_a_data_set_that_is_not_the_recipes_is_refused(
    changes: dict[str, int], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """45 training and 10 validation images of 50 would be 45 and 5."""
    images = data.synthetic(50, seed=0)
    monkeypatch.setitem(data.LOADERS, "synthetic", lambda *_: (images, images))
    fits = replace(
        SETTINGS["demo"],
        train_images=45,
        validation_images=5,
        test_images=50,
        unaugmented_images=45,
    )
    dataset = data.load(fits, Path("nowhere"))
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [45, 5, 50]
    with pytest.raises(UserError, match=says):
        data.load(replace(fits, **changes), Path("nowhere"))


CIFAR10_BATCHES = "cifar-10-batches-py"


def fake_cifar10(monkeypatch: pytest.MonkeyPatch, download: Callable[[Path], None]) -> None:
    """CIFAR-10 of two small files, and what downloads it into a directory."""
    md5 = {name: hashlib.md5(name.encode()).hexdigest() for name in ("batch", "batches.meta")}
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [["batch", md5["batch"]]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": md5["batches.meta"]}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)

    def construct(self: Any, root: str, train: bool = True, download: bool = False) -> None:
        self.data, self.targets = np.zeros((1, 32, 32, 3), np.uint8), [0]
        if download:
            fetch(Path(root))

    fetch = download
    monkeypatch.setattr(datasets.CIFAR10, "__init__", construct)


def unpack(root: Path) -> None:
    (root / CIFAR10_BATCHES).mkdir(exist_ok=True)
    for name in ("batch", "batches.meta"):
        (root / CIFAR10_BATCHES / name).write_bytes(name.encode())


def load_with_others(data_dir: Path, log: Path, together: Any) -> None:
    """What a process of a job array does; it writes a line where it has downloaded."""

    def download(root: Path) -> None:
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        (root / CIFAR10_BATCHES).mkdir()
        for name in ("batch", "batches.meta"):
            path = root / CIFAR10_BATCHES / name
            path.write_bytes(b"half")  # what the others must never see
            time.sleep(0.2)
            path.write_bytes(name.encode())

    with pytest.MonkeyPatch.context() as patch:
        fake_cifar10(patch, download)
        together.wait()
        data.cifar10(PAPER, data_dir)


def test_of_several_processes_one_downloads_and_the_others_wait(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    together, log = context.Barrier(6, timeout=60), tmp_path / "log"
    data_dir = tmp_path / "data"
    others = [
        context.Process(target=load_with_others, args=(data_dir, log, together)) for _ in range(6)
    ]
    for each in others:
        each.start()
    for each in others:
        each.join()
    assert [each.exitcode for each in others] == [0] * 6
    assert len(log.read_text().splitlines()) == 1
    assert [path.name for path in data_dir.iterdir()] == [CIFAR10_BATCHES]


def test_a_missing_file_of_cifar10_is_downloaded_else_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(_: Path) -> None:
        raise OSError("no network")

    unpack(tmp_path)
    (tmp_path / CIFAR10_BATCHES / "batches.meta").unlink()
    fake_cifar10(monkeypatch, offline)
    with pytest.raises(UserError, match=r"cifar-10-batches-py lacks batches\.meta.*\(no network\)"):
        data.cifar10(PAPER, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [CIFAR10_BATCHES]
    fake_cifar10(monkeypatch, unpack)
    data.cifar10(PAPER, tmp_path)
    assert (tmp_path / CIFAR10_BATCHES / "batches.meta").read_bytes() == b"batches.meta"


def test_an_archive_that_lies_there_is_unpacked_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "cifar-10-python.tar.gz"
    archive.write_bytes(b"an archive")

    def download(root: Path) -> None:
        assert (root / archive.name).read_bytes() == b"an archive"
        unpack(root)

    fake_cifar10(monkeypatch, download)
    data.cifar10(PAPER, tmp_path)
    assert archive.read_bytes() == b"an archive"
    assert sorted(path.name for path in tmp_path.iterdir()) == [CIFAR10_BATCHES, archive.name]


def test_what_a_killed_download_left_is_neither_seen_nor_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "download").mkdir()
    (tmp_path / "download" / "half").touch()
    (tmp_path / "download.lock").touch()
    fake_cifar10(monkeypatch, unpack)
    data.cifar10(PAPER, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [CIFAR10_BATCHES]

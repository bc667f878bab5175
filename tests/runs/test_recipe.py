"""The schedule is the paper's, to the iteration."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from resnet_paper.runs.recipe import (
    PAPER,
    SETTINGS,
    Recipe,
    differences,
    follows_paper,
    iterations,
    learning_rate,
)
from resnet_paper.runs.record import as_json

ROOT = Path(__file__).parents[2]
IMAGENETTES = ("imagenette", "tiny-imagenette")


@pytest.mark.parametrize(
    ("iteration", "rate"),
    [(0, 0.1), (31_999, 0.1), (32_000, 0.01), (47_999, 0.01), (48_000, 0.001), (63_999, 0.001)],
)
def test_rate_on_both_sides_of_each_milestone(iteration: int, rate: float) -> None:
    assert learning_rate(PAPER, iteration) == rate


def test_warming_up_lowers_the_rate_and_moves_no_milestone() -> None:
    assert learning_rate(PAPER, 399, warming_up=True) == 0.01
    assert learning_rate(PAPER, 400) == 0.1
    assert learning_rate(PAPER, 48_000, warming_up=True) == 0.001


def test_measurements_every_1000_iterations_and_every_100_in_warm_up() -> None:
    assert PAPER.next_measurement(0, warming_up=False) == 1_000
    assert PAPER.next_measurement(400, warming_up=True) == 500
    assert PAPER.next_measurement(400, warming_up=False) == 1_000
    assert PAPER.next_measurement(1_000, warming_up=False) == 2_000
    assert PAPER.next_measurement(63_950, warming_up=False) == 64_000


def test_the_paper_sees_8192000_images() -> None:
    assert PAPER.iterations * PAPER.batch_size == 8_192_000


def test_paper_45k_validates_on_5000_of_the_training_images() -> None:
    recipe = SETTINGS["paper-45k"]
    assert (recipe.train_images, recipe.validation_images) == (45_000, 5_000)
    assert replace(recipe, train_images=50_000, validation_images=0) == PAPER


def test_demo_is_tiny_on_synthetic_images() -> None:
    assert SETTINGS["demo"] == replace(SETTINGS["tiny"], dataset="synthetic")


def test_files_keep_the_names_of_the_first_published_runs() -> None:
    recorded = as_json(SETTINGS["paper-45k"])
    assert (recorded["held_out"], recorded["clean_images"]) == (5_000, 10_000)
    assert msgspec.convert(recorded, Recipe) == SETTINGS["paper-45k"]


@pytest.mark.parametrize(
    "settings",
    [*("paper", "paper-45k", "overnight", "tiny", "demo", "100-epochs"), *IMAGENETTES],
)
def test_milestones_are_in_the_papers_proportion(settings: str) -> None:
    recipe = SETTINGS[settings]
    proportions = [m / recipe.iterations for m in recipe.milestones]
    assert proportions == pytest.approx([1 / 2, 3 / 4], abs=1e-4)


@pytest.mark.parametrize(
    ("epochs", "expected"), [(1, 391), (10, 3_907), (50, 19_532), (75, 29_297), (100, 39_063)]
)
def test_epochs_in_iterations_of_128_of_50000_images(epochs: int, expected: int) -> None:
    assert iterations(epochs) == expected
    assert 0 <= expected * 128 - epochs * 50_000 < 128


def test_imagenette_is_10_epochs_of_9469_images_measured_each_epoch() -> None:
    recipe = SETTINGS["imagenette"]
    assert (recipe.iterations, recipe.milestones) == (1_480, (740, 1_110))
    assert [learning_rate(recipe, i) for i in (739, 740, 1_110)] == [0.1, 0.01, 0.001]
    assert 0 <= 1_480 * 64 - 10 * 9_469 < 64
    assert recipe.measure_every == 148
    assert (recipe.momentum, recipe.weight_decay) == (0.9, 1e-4)
    assert recipe.padding / recipe.image_size == PAPER.padding / PAPER.image_size
    assert (recipe.train_images, recipe.test_images) == (9_469, 3_925)
    assert recipe.normalisation == "imagenet channels"


def test_a_cosine_falls_from_the_rate_to_0() -> None:
    recipe = SETTINGS["cosine"]
    assert learning_rate(recipe, 0) == 0.1
    assert learning_rate(recipe, 16_000) == pytest.approx(0.1 * (1 + 0.5**0.5) / 2)
    assert learning_rate(recipe, 32_000) == pytest.approx(0.05)
    assert learning_rate(recipe, 63_999) == pytest.approx(0.1 * (3.14159 / 128_000) ** 2, rel=1e-3)
    assert learning_rate(recipe, 399, warming_up=True) == 0.01
    assert differences(recipe) == "schedule cosine, milestones none"
    assert not follows_paper(recipe)


@pytest.mark.parametrize("changes", [{"schedule": "linear"}, {"schedule": "cosine"}])
def test_a_schedule_that_cannot_be_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"one of step, cosine|a cosine schedule has none"):
        replace(PAPER, **changes)


def test_networks_without_bn_may_have_a_rate_of_their_own() -> None:
    recipe = SETTINGS["imagenette"]
    rates = {name: recipe.for_network(name).learning_rate for name in ("alexnet", "vgg-16")}
    assert rates == {"alexnet": 0.01, "vgg-16": 0.01}
    with_bn = replace(recipe, learning_rate_without_bn=None)
    assert recipe.for_network("imagenet-resnet-18") == with_bn, "as it was before there were others"
    assert PAPER.for_network("simple-cnn") == PAPER


def test_each_difference_from_the_paper_is_named() -> None:
    assert differences(PAPER) == ""
    said = "iterations 8,000, milestones 4,000 and 6,000, measure every 400"
    assert differences(SETTINGS["overnight"]) == said
    other = replace(PAPER, milestones=(), momentum=0.5, flips=False)
    assert differences(other) == "milestones none, momentum 0.5, flips none"
    assert follows_paper(SETTINGS["paper-45k"])
    for recipe in (other, SETTINGS["overnight"], replace(PAPER, dataset="synthetic")):
        assert not follows_paper(recipe)


def test_overnight_is_the_papers_recipe_at_an_eighth_of_its_length() -> None:
    recipe = SETTINGS["overnight"]
    assert (recipe.iterations, recipe.milestones) == (8_000, (4_000, 6_000))
    assert (recipe.measure_every, recipe.measure_every_in_warmup) == (400, 100)
    schedule = {"iterations": 64_000, "milestones": (32_000, 48_000), "measure_every": 1_000}
    assert replace(recipe, **schedule) == PAPER


def test_the_epochs_settings() -> None:
    recipe = SETTINGS["100-epochs"]
    assert (recipe.iterations, recipe.milestones) == (39_063, (19_532, 29_297))
    assert learning_rate(recipe, 19_531) == 0.1
    assert learning_rate(recipe, 19_532) == 0.01
    assert learning_rate(SETTINGS["10-epochs"], 3_906) == 0.1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train_images": 45_000, "validation_images": 5_001}, "CIFAR-10 has 50,000 training"),
        (
            {"train_images": 50_001},
            "CIFAR-10 has 50,000 training and validation images, not 50,001",
        ),
        ({"test_images": 10_001}, "CIFAR-10 has 10,000 test images, not 10,001"),
        ({"dataset": "imagenette"}, "Imagenette has 9,469 training"),
        ({"dataset": "cifar-10"}, "dataset is 'cifar-10', not one of cifar10, "),
        ({"normalisation": "mean"}, "normalisation is 'mean', not one of per-pixel mean, "),
        ({"unaugmented_images": 50_001}, "unaugmented_images is 50,001, more than the 50,000"),
        ({"unaugmented_images": 0}, "unaugmented_images is 0"),
        ({"statistics_batches": 0}, "statistics_batches is 0"),
        ({"train_images": 0}, "train_images is 0"),
        ({"test_images": 0}, "test_images is 0"),
        ({"validation_images": -1}, "validation_images is -1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"iterations": 64e3}, "iterations is 64000.0, not a whole number"),
        ({"measure_every": 0}, "measure_every is 0"),
        ({"measure_every_in_warmup": 0}, "measure_every_in_warmup is 0"),
        ({"padding": -1}, "padding is -1"),
        ({"milestones": (48_000, 32_000)}, "milestones are (48000, 32000)"),
        ({"milestones": (32_000, 32_000)}, "milestones are (32000, 32000)"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"warmup_learning_rate": -0.01}, "warmup_learning_rate is -0.01"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"weight_decay": -1e-4}, "weight_decay is -0.0001"),
        ({"classes": 11}, "CIFAR-10 has 10 classes, not 11"),
        ({"channels": 1}, "CIFAR-10 has 3 channels, not 1"),
        ({"normalisation": "mnist channel"}, "for 1 channels, and CIFAR-10 has 3"),
        ({"flips": "no"}, "flips is 'no', not True or False"),
        ({"flips": 1}, "flips is 1, not True or False"),
        ({"learning_rate": "0.1"}, "learning_rate is '0.1', not a number"),
        ({"learning_rate_without_bn": "0.1"}, "is '0.1', not a number or None"),
        ({"learning_rate": float("inf")}, "learning_rate is inf, not above 0 and finite"),
        ({"momentum": None}, "momentum is None, not a number"),
        ({"weight_decay": True}, "weight_decay is True, not a number"),
        ({"iterations": True}, "iterations is True, not a whole number"),
        ({"iterations": "64000"}, "iterations is '64000', not a whole number"),
        ({"milestones": 5}, "milestones is 5, not a tuple of whole numbers"),
        ({"milestones": [32_000]}, "milestones is [32000], not a tuple of whole numbers"),
        ({"milestones": (32e3, 48e3)}, "milestones is (32000.0, 48000.0), not a tuple of whole"),
        ({"dataset": ["cifar10"]}, "dataset is ['cifar10'], not a string"),
        ({"schedule": None}, "schedule is None, not a string"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_when_it_is_made(
    changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        replace(PAPER, **changes)
    with pytest.raises(ValueError, match=re.escape(says)):
        Recipe(**changes)


def test_a_recipe_may_use_all_images_of_its_data_set() -> None:
    assert replace(PAPER, train_images=45_000, validation_images=5_000, test_images=10_000)
    assert replace(PAPER, dataset="synthetic", train_images=60_000, test_images=20_000)


RECORDED = sorted(
    path
    for folder in ("experiments/runs", "tests/fixtures")
    for path in (ROOT / folder).rglob("run.json")
)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: "/".join(path.parts[-4:-1]))
def test_recorded_recipes_stay_readable(path: Path) -> None:
    recorded = json.loads(path.read_text())["recipe"]
    assert recorded.items() <= as_json(msgspec.convert(recorded, Recipe)).items()


def test_a_record_of_a_recipe_that_cannot_be_is_damaged() -> None:
    with pytest.raises(msgspec.ValidationError, match="batch_size is 0"):
        msgspec.convert({"batch_size": 0}, Recipe)

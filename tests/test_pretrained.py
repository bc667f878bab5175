"""Published weights classify as their runs say, from pixels in [0, 1]."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec.structs import replace

import hubconf
from resnet_paper import names, pretrained
from resnet_paper.errors import UnknownNetworkError, UserError
from resnet_paper.networks.build import build
from resnet_paper.runs.recipe import PAPER
from resnet_paper.runs.record import as_json
from resnet_paper.runs.run import Result, Run, finished_runs
from resnet_paper.study.evaluate import evaluate
from resnet_paper.training import data
from resnet_paper.training.images import Normalisation
from tests.conftest import REAL_DATA, needs_cifar10


def test_a_recorded_network_with_its_normalisation(record_run: Callable[..., Result]) -> None:
    network = build("resnet-8", seed=5)
    result = record_run("resnet-8", seed=3, weights=network)
    pixels = torch.rand(4, 3, 32, 32)
    loaded = pretrained.load("ResNet8", seed=3, runs=result.run.root)
    with torch.no_grad():
        assert torch.equal(loaded(pixels), network.eval()(pixels - loaded.mean))


def test_weights_trained_with_another_normalisation_are_refused(
    record_run: Callable[..., Result],
) -> None:
    """The classifier subtracts the mean image of all training images."""
    result = record_run("resnet-8", settings="tiny-epochs", weights=build("resnet-8"))
    with pytest.raises(UserError, match="normalised in another way"):
        pretrained.load("resnet-8", runs=result.run.root, settings="tiny-epochs")


def test_pixels_as_bytes_are_refused() -> None:
    with pytest.raises(TypeError, match=r"floats in .* divide by 255"):
        pretrained.Classifier(torch.nn.Identity())(torch.zeros(1, 3, 32, 32).byte())


@pytest.mark.parametrize("name", ["plain20", "resnet110"])
def test_torch_hub_finds_the_networks(name: str) -> None:
    here = str(Path(__file__).parent.parent)
    network = torch.hub.load(here, name, source="local")
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_torch_hub_shows_a_signature() -> None:
    """torch.hub.help prints the documentation of what torch.hub.load calls."""
    entry = torch.hub._load_entry_from_hubconf(hubconf, "resnet20")
    assert str(inspect.signature(entry)).startswith(
        "(pretrained: bool = False, *, settings: str = 'paper') -> "
    )
    first, title = entry.__doc__.split("\n\n")[:2]
    assert first == 'resnet20(pretrained: bool = False, *, settings: str = "paper")'
    assert title.startswith("    ResNet-20 for CIFAR-10: ")


def test_torch_hub_refuses_settings_of_a_new_network() -> None:
    with pytest.raises(UserError, match="settings='overnight' is of published weights"):
        hubconf.resnet20(settings="overnight")


@pytest.mark.parametrize("shape", [(1, 1, 32, 32), (1, 3, 28, 28), (3, 32, 32)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    network = pretrained.Classifier(build("resnet-8"))
    with pytest.raises(ValueError, match=r"pixels are of shape \(N, 3, 32, 32\), not .*"):
        network(torch.zeros(shape))


def test_torch_hub_lists_the_networks_and_nothing_else() -> None:
    depths = {"plain": (20, 32, 44, 56), "resnet": (20, 32, 44, 56, 110)}
    expected = {f"{kind}{depth}" for kind in depths for depth in depths[kind]}
    functions = {name for name in dir(hubconf) if callable(getattr(hubconf, name))}
    assert {name for name in functions if not name.startswith("_")} == expected


def test_torch_hub_takes_pretrained_as_true_or_false() -> None:
    with pytest.raises(UserError, match="pretrained is True or False, not 'overnight'"):
        hubconf.resnet20("overnight")


def test_torch_hub_has_the_published_weights_of_each_training() -> None:
    here = str(Path(__file__).parent.parent)
    trained = torch.hub.load(
        here, "resnet56", source="local", pretrained=True, settings="overnight"
    )
    expected = pretrained.load("resnet-56", settings="overnight")
    assert all(map(torch.equal, trained.parameters(), expected.parameters()))


@needs_cifar10
def test_the_mean_image_is_that_of_the_training_images() -> None:
    images = data.load(PAPER, REAL_DATA).train
    mean = pretrained.Classifier(torch.nn.Identity()).mean
    assert torch.equal(mean, Normalisation.of(images).mean)


def test_without_a_seed_the_published_weights_else_those_of_the_lowest(
    record_run: Callable[..., Result],
) -> None:
    """Runs without weights or not finished do not count."""

    def loads(seed: int) -> bool:
        loaded = pretrained.load("resnet-8", runs=root).network
        return all(map(torch.equal, loaded.parameters(), build("resnet-8", seed).parameters()))

    for seed in (2, 10, 5):
        run = record_run("resnet-8", seed, weights=build("resnet-8", seed)).run
    root = run.root
    record_run("resnet-8", 0)
    unfinished = Run(root, "paper", "resnet-8", 1)
    unfinished.directory.mkdir()
    unfinished.weights_file.write_bytes(run.weights_file.read_bytes())
    Run(root, "paper", "resnet-8", 0).weights_file.write_bytes(b"not of the record")
    damaged = Run(root, "paper", "resnet-8", 3)
    damaged.directory.mkdir()
    damaged.record_file.write_text("{")
    assert loads(2)
    found = run.read()
    assert found
    run.write_record({**found[0], "published": {"weights": "float32", "test_error": 8.5}})
    assert loads(5)


@pytest.mark.published
def test_each_published_network_has_weights() -> None:
    """One run of each of the study's nets up to 110 layers, and its weights are there."""
    results = [
        result
        for settings in ("paper", "overnight")
        for result in finished_runs(pretrained.PUBLISHED, settings)
    ]
    with_weights = [each for each in results if each.record.published]
    networks = [(each.record.settings, each.network) for each in with_weights]
    assert len(networks) == len(set(networks)) > 0
    assert set(networks) == {
        (each.record.settings, each.network)
        for each in results
        if (names.study_depth(each.network) or 1202) <= 110 and not each.diverged
    }
    assert all(each.weights() for each in with_weights)


@pytest.mark.parametrize("seed", [0, 7], ids=["without weights", "no run"])
def test_what_is_not_there_is_one_line_that_says_what_is(
    seed: int, record_run: Callable[..., Result]
) -> None:
    result = record_run("resnet-20")
    record_run("resnet-8", 3, weights=build("resnet-8"))
    root = result.run.root
    with pytest.raises(UserError) as caught:
        pretrained.load("resnet-20", seed=seed, runs=root)
    assert caught.value.message == (
        f"{root} has no weights of resnet-20 seed {seed} by the settings 'paper'; "
        "it has: resnet-8 seed 3 (paper)"
    )
    with pytest.raises(UnknownNetworkError, match="resnet-21"):
        pretrained.load("resnet21", seed=0, runs=root)


@pytest.mark.parametrize(
    ("arguments", "asked", "remedy"),
    [
        ({}, "resnet-8 by the settings 'paper'", "try settings='overnight'"),
        ({"seed": 3}, "resnet-8 seed 3 by the settings 'paper'", "try settings='overnight'"),
        ({"seed": 4}, "resnet-8 seed 4 by", "try seed=3, settings='overnight'"),
        ({"seed": 4, "settings": "Overnight"}, "by the settings 'overnight'", "try seed=3"),
        ({"settings": "ovrnight"}, "by the settings 'ovrnight'", "try settings='overnight'"),
    ],
)
def test_weights_of_other_settings_or_seeds_are_suggested(
    arguments: dict[str, Any], asked: str, remedy: str, record_run: Callable[..., Result]
) -> None:
    record_run("resnet-20", weights=build("resnet-20"))
    run = record_run("resnet-8", 3, settings="overnight", weights=build("resnet-8")).run
    with pytest.raises(UserError) as caught:
        pretrained.load("resnet-8", runs=run.root, **arguments)
    assert asked in caught.value.message
    assert caught.value.message.endswith(f"; it has: resnet-8 seed 3 (overnight): {remedy}")


@pytest.mark.parametrize(
    ("typed", "nearest"), [("papr", "paper"), ("papre", "paper"), ("nigth", "overnight")]
)
def test_of_several_settings_the_nearest_name_is_suggested(typed: str, nearest: str) -> None:
    with pytest.raises(UserError, match=f"try settings='{nearest}'$"):
        pretrained.load("resnet-20", settings=typed)


def test_resnet_110_is_published_by_other_settings() -> None:
    with pytest.raises(UserError, match=r"try settings='overnight'$"):
        pretrained.load("resnet-110")


@pytest.mark.parametrize(
    ("arguments", "named", "says"),
    [
        (["resnet-8", "overnight"], {}, "'overnight' has no name: .* settings='overnight'"),
        (["resnet-8", 3, "runs"], {}, "3, 'runs' has no name"),
        ([20], {}, "the network is a name, as 'resnet-20', not 20"),
        (["resnet-8"], {"seed": "0"}, "seed is a whole number, as 0, or None, not '0'"),
        (["resnet-8"], {"seed": 0.0}, r"seed is a whole number, as 0, or None, not 0\.0"),
        (["resnet-8"], {"seed": True}, "seed is a whole number, as 0, or None, not True"),
        (["resnet-8"], {"runs": 3}, "runs is a directory of runs, as 'my-runs', not 3"),
        (["resnet-8"], {"settings": None}, "settings is a name, as 'paper' or 'overnight'"),
        (["resnet-8"], {"settings": "x" * 5_000}, "x cannot be read: File name too long"),
        (["resnet-8"], {"runs": Path(__file__) / "runs"}, "runs cannot be read: Not a directory"),
        (["resnet-" + "9" * 5_000], {}, "no network is called 'resnet-9+': names are"),
        (
            ["resnet-\N{ARABIC-INDIC DIGIT TWO}\N{ARABIC-INDIC DIGIT ZERO}"],
            {},
            "no network is called",
        ),
        (["resnet-8"], {"settings": "pa\0per"}, "'pa.x00per' contains a NUL character"),
        (["resnet-8"], {"runs": Path("my\0runs")}, "'my.x00runs' contains a NUL character"),
    ],
)
def test_a_stray_or_wrong_argument_is_a_plain_sentence(
    arguments: list[Any], named: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        pretrained.load(*arguments, **named)


def test_runs_and_seed_may_be_a_string_and_a_number_of_numpy(
    record_run: Callable[..., Result],
) -> None:
    run = record_run("resnet-8", 3, weights=build("resnet-8")).run
    assert pretrained.load("resnet-8", seed=np.int64(3), runs=str(run.root))


def test_a_run_by_another_recipe_than_its_settings_is_refused(
    record_run: Callable[..., Result],
) -> None:
    recipe = as_json(replace(PAPER, iterations=100))
    run = record_run("resnet-8", weights=build("resnet-8"), recipe=recipe).run
    with pytest.raises(UserError, match="was trained with iterations 100, not 64000"):
        pretrained.load("resnet-8", runs=run.root)


def test_a_diverged_network_is_refused(record_run: Callable[..., Result]) -> None:
    network = build("resnet-8")
    network.stem.conv.weight.data.fill_(float("nan"))
    run = record_run("resnet-8", weights=network, diverged=9).run
    with pytest.raises(UserError, match="NaN or infinite weights, as of a network that diverged"):
        pretrained.load("resnet-8", runs=run.root)


@needs_cifar10
@pytest.mark.published
def test_published_weights_have_the_errors_that_their_runs_state() -> None:
    images = data.load(PAPER, REAL_DATA).test
    found = [
        result
        for settings in ("paper", "overnight")
        for result in finished_runs(pretrained.PUBLISHED, settings)
    ]
    for result in found:
        record = result.record
        if not record.published:
            continue
        network = pretrained.load(result.network, settings=record.settings)
        error = evaluate(network, images, lambda pixels: pixels / 255)[1]
        assert error == pytest.approx(record.published.test_error, abs=0.02), result
        # The run tested itself in bfloat16, where more errors also mean more undecided images.
        assert error == pytest.approx(record.test_error, abs=0.1, rel=0.01), result


def test_runs_that_are_no_directory_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "runs.zip"
    file.touch()
    with pytest.raises(UserError, match=r"runs\.zip is a file, not a directory of runs"):
        pretrained.load("resnet-20", runs=file)
    with pytest.raises(UserError, match="no such home directory"):
        pretrained.load("resnet-20", runs="~nobody-of-this-name/runs")
    with pytest.raises(UserError):
        pretrained.load("resnet-20", runs="no-file-system-has-names-as-long" * 100)

"""Published weights classify as their runs say, from pixels in [0, 1]."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from resnet_paper import names, pretrained
from resnet_paper.errors import UnknownNetworkError, UserError
from resnet_paper.networks.build import build
from resnet_paper.runs.recipe import PAPER
from resnet_paper.runs.run import Result, Run, finished_runs
from resnet_paper.study.evaluate import evaluate
from resnet_paper.training import data
from resnet_paper.training.images import Normalisation
from tests.conftest import REAL_DATA, needs_cifar10


def test_a_recorded_network_with_its_normalisation(record_run: Callable[..., Result]) -> None:
    network = build("resnet-8", seed=5)
    result = record_run("resnet-8", seed=3, weights=network)
    pixels = torch.rand(4, 3, 32, 32)
    loaded = pretrained.load("ResNet8", 3, result.run.root)
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
    there = r"it has: resnet-8 seed 3 \(paper\)"
    with pytest.raises(UserError, match=f"resnet-20 seed {seed} .*'paper'; .* {there}$"):
        pretrained.load("resnet-20", seed, result.run.root)
    with pytest.raises(UserError, match=f"'ovrnight'; .* {there}$"):
        pretrained.load("resnet-8", 3, result.run.root, settings="ovrnight")
    with pytest.raises(UnknownNetworkError, match="resnet-21"):
        pretrained.load("resnet21", 0, result.run.root)


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

"""Published weights classify as their runs say, from pixels in [0, 1]."""

import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

from resnet_paper import data, models, pretrained
from resnet_paper.data import Images, Normalisation
from resnet_paper.errors import UserError
from resnet_paper.recipe import PAPER
from resnet_paper.runs import Run, recorded, write
from tests.conftest import REAL_DATA, needs_cifar10

WITH_WEIGHTS = [run for run in recorded(pretrained.PUBLISHED, "paper") if run.weights_file.exists()]


def add_weights(run: Run, network: nn.Module) -> None:
    """Give a recorded run the weights of a network."""
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    record = run.finished_record()
    record["sha256"]["weights.pt"] = write(run.weights_file, buffer.getvalue())
    run.write_record(record)


def test_a_recorded_network_with_its_normalisation(record_run: Callable[..., Run]) -> None:
    run, network = record_run("resnet-8", seed=3), models.build("resnet-8", seed=5)
    add_weights(run, network)
    pixels = torch.rand(4, 3, 32, 32)
    loaded = pretrained.load("resnet-8", 3, run.root)
    with torch.no_grad():
        assert torch.equal(loaded(pixels), network.eval()(pixels - loaded.mean))


@pytest.fixture
def images() -> Images:
    return data.synthetic(60, seed=1)


def test_publishing_keeps_the_numbers_and_halves_the_weights(
    record_run: Callable[..., Run],
    images: Images,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pretrained, "FLOAT16_MAY_COST", 5)  # 3 of 60 images
    run, network = record_run("resnet-8", error=8.5), models.build("resnet-8", seed=5)
    network(torch.rand(8, 3, 32, 32))  # moves BN's averages to numbers that float16 lacks
    add_weights(run, network)
    run.write_responses(pd.DataFrame({"layer": [1], "name": ["bn"], "std": [0.7]}))
    before, weights = run.finished_record(), run.content("weights.pt")

    published = pretrained.publish(run, tmp_path / "to", images, Normalisation.of(images))
    assert (run.finished_record(), run.content("weights.pt")) == (before, weights)
    assert published.curve().equals(run.curve())
    assert published.responses().equals(run.responses())
    state = torch.load(published.weights_file, weights_only=True)
    assert state["classifier.weight"].dtype == torch.float16
    for name, value in network.state_dict().items():
        exact = "running" in name or "tracked" in name
        assert torch.equal(state[name], value if exact else value.half()), name
    record = published.finished_record()
    loaded = pretrained.load("resnet-8", 0, tmp_path / "to").network
    normalise = Normalisation.of(images)
    rate = pretrained.error_rate(lambda pixels: loaded(normalise(pixels)), images)
    assert record.pop("published") == {"weights": "float16", "test_error": rate}
    assert {**record, "sha256": None} == {**before, "sha256": None}


def test_weights_that_float16_would_change_stay_as_they_are(images: Images) -> None:
    network = models.build("resnet-8").eval()
    with torch.no_grad():
        network.classifier.weight.mul_(1e-9)  # zero in float16, and class 0 all that it says
        classes = network(Normalisation.of(images)(images.pixels)).argmax(1)
    images = Images(images.pixels, classes)
    content, said = pretrained.compact(network, images, Normalisation.of(images))
    state = torch.load(io.BytesIO(content), weights_only=True)
    assert said["weights"] == "float32"
    assert {value.dtype for value in state.values()} == {torch.float32, torch.int64}


@pytest.mark.parametrize(("network", "seed"), [("resnet-8", 1), ("resnet-1202", 0)])
def test_other_seeds_and_deeper_nets_are_published_without_weights(
    network: str, seed: int, record_run: Callable[..., Run], images: Images, tmp_path: Path
) -> None:
    run = record_run(network, seed)
    add_weights(run, nn.Linear(1, 1))
    published = pretrained.publish(run, tmp_path / "to", images, Normalisation.of(images))
    assert not published.weights_file.exists()
    assert "published" not in published.finished_record()
    with pytest.raises(UserError, match="without its weights: seed 0 has them"):
        pretrained.load(network, seed, tmp_path / "to")


def test_a_published_run_is_not_overwritten(record_run: Callable[..., Run], images: Images) -> None:
    run = record_run("resnet-1202")
    with pytest.raises(UserError, match="has a run already: it is not overwritten"):
        pretrained.publish(run, run.root, images, Normalisation.of(images))


def test_what_is_not_recorded_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="resnet-20 seed 7 has not finished"):
        pretrained.load("resnet-20", 7, tmp_path)


@pytest.mark.parametrize("name", ["plain20", "resnet110"])
def test_torch_hub_finds_the_networks(name: str) -> None:
    here = str(Path(__file__).parent.parent)
    network = torch.hub.load(here, name, source="local")
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@needs_cifar10
def test_the_mean_image_is_that_of_the_training_images() -> None:
    images = data.load(PAPER, REAL_DATA).train
    mean = pretrained.Classifier(torch.nn.Identity()).mean
    assert torch.equal(mean, Normalisation.of(images).mean)


@needs_cifar10
@pytest.mark.skipif(not WITH_WEIGHTS, reason="no weights are published yet")
@pytest.mark.parametrize("run", WITH_WEIGHTS[:2] or [None], ids=str)
def test_published_weights_have_the_error_that_their_run_states(run: Run) -> None:
    images = data.load(PAPER, REAL_DATA).test
    network, record = pretrained.load(run.network, run.seed), run.finished_record()
    error = pretrained.error_rate(lambda pixels: network(pixels / 255), images)
    assert error == pytest.approx(record["published"]["test_error"], abs=0.02)
    assert error == pytest.approx(record["test_error"], abs=0.1)  # measured in bfloat16

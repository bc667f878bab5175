"""Published weights classify as their runs say, from pixels in [0, 1]."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from resnet_paper import data, models, pretrained
from resnet_paper.data import Normalisation
from resnet_paper.errors import UserError
from resnet_paper.recipe import PAPER
from resnet_paper.runs import Run, recorded
from tests.conftest import REAL_DATA, needs_cifar10

WITH_WEIGHTS = [run for run in recorded(pretrained.PUBLISHED, "paper") if run.weights_file.exists()]


def test_a_recorded_network_with_its_normalisation(record_run: Callable[..., Run]) -> None:
    run = record_run("resnet-8", seed=3)
    network = models.build("resnet-8", seed=5)
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    run.weights_file.write_bytes(buffer.getvalue())
    record = run.record()
    record["sha256"]["weights.pt"] = hashlib.sha256(buffer.getvalue()).hexdigest()
    run.write_record(record)

    pixels = torch.rand(4, 3, 32, 32)
    loaded = pretrained.load("resnet-8", 3, run.root)
    with torch.no_grad():
        assert torch.equal(loaded(pixels), network.eval()(pixels - loaded.mean))


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
    network, wrong = pretrained.load(run.network, run.seed), 0
    with torch.no_grad():
        for pixels, labels in zip(images.pixels.split(500), images.labels.split(500), strict=True):
            wrong += (network(pixels / 255).argmax(1) != labels).sum().item()
    assert 100 * wrong / len(images) == pytest.approx(run.finished_record()["test_error"], abs=0.1)

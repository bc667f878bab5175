"""Weights are evaluated on images normalised as those that they were trained on."""

import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner

from experiments import eval as script
from resnet_paper import pretrained
from resnet_paper.errors import UserError
from resnet_paper.networks.build import build
from resnet_paper.networks.weights import load_weights
from resnet_paper.runs.recipe import TINY
from resnet_paper.runs.run import Result, record_beside
from resnet_paper.study.evaluate import (
    confusion_counts,
    evaluate,
    normalisation,
)
from resnet_paper.study.responses import response_stds
from resnet_paper.training import data
from resnet_paper.training.images import Normalisation
from tests.conftest import REAL_DATA, needs_cifar10


def test_loss_and_error_are_means_over_all_images() -> None:
    network, images = build("resnet-8", seed=1), data.synthetic(260, seed=0)  # two batches
    normalise = Normalisation.of(images)
    loss, error = evaluate(network, images, normalise)
    with torch.no_grad():
        logits = network.eval()(normalise(images.pixels))
    assert loss == pytest.approx(F.cross_entropy(logits, images.labels).item(), rel=1e-5)
    assert error == pytest.approx(100 * (logits.argmax(1) != images.labels).float().mean().item())


@pytest.mark.parametrize(
    ("text", "mean", "std"),
    [
        ("channels", 0.4914, 0.2470),
        ("imagenet channels", 0.485, 0.229),
        ("0.1,0.2,0.3/0.4,0.5,0.6", 0.1, 0.4),
    ],
)
def test_normalisations_by_name_and_by_numbers(text: str, mean: float, std: float) -> None:
    found = normalisation(text)(data.synthetic(4, seed=0))
    assert found.mean.shape == found.std.shape == (3, 1, 1)
    assert (found.mean[0].item(), found.std[0].item()) == pytest.approx((mean, std))


@pytest.mark.parametrize("text", ["imagenet", "0.1/0.2", "1,2,3", "a,b,c/1,2,3"])
def test_another_normalisation_is_one_line(text: str) -> None:
    with pytest.raises(UserError, match="is no normalisation: use 'per-pixel mean'"):
        normalisation(text)


@pytest.mark.parametrize(
    "text",
    [
        "125.3,123.0,113.9/63.0,62.1,66.7",
        "0.49,0.48,0.45/63.0,62.1,66.7",
        "0.49,0.48,0.45/0.25,0,0.26",
        "0.49,0.48,0.45/0.25,-0.24,0.26",
        "0.49,0.48,0.45/0.25,nan,0.26",
        "nan,0.48,0.45/0.25,0.24,0.26",
        "-0.1,0.48,0.45/0.25,0.24,0.26",
        "0.49,0.48,0.45/inf,0.24,0.26",
    ],
)
def test_numbers_that_no_pixels_in_0_to_1_have_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"cannot be the normalisation of pixels in \[0, 1\]"):
        normalisation(text)


@pytest.mark.parametrize("text", ["0,0,0/1,1,1", "0.5,0.5,0.5/0.5,0.5,0.5"])
def test_plain_scalings_are_normalisations(text: str) -> None:
    pixels = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    low, high = normalisation(text)(data.synthetic(4, seed=0))(pixels)[:, 0].flatten().tolist()
    assert (low, high) == {"0": (0.0, 1.0), "0.5": (-1.0, 1.0)}[text.partition(",")[0]]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_an_error(value: float) -> None:
    """The error would be that of the first class, 90%."""
    network, images = build("resnet-8"), data.synthetic(10, seed=0)
    network.stem.conv.weight.data[0] = value
    with pytest.raises(UserError, match="the loss is nan"):
        evaluate(network, images, Normalisation.of(images))


def test_the_normalisation_of_a_runs_weights_is_the_runs(
    record_run: Callable[..., Result], tmp_path: Path
) -> None:
    of_epochs = record_run("resnet-18", settings="10-epochs")
    record = record_beside(of_epochs.run.weights_file)
    assert record is not None
    assert record.recipe.normalisation == "channels"
    assert record_beside(tmp_path / "weights.pt") is None


def test_confusion_counts_images_by_class_and_prediction() -> None:
    logits = torch.eye(3)[torch.tensor([0, 0, 2, 2, 2])]
    counts = confusion_counts(logits, torch.tensor([0, 1, 1, 2, 2]))
    assert counts.tolist() == [[1, 0, 0], [1, 0, 1], [0, 0, 2]]


@needs_cifar10
def test_published_weights_have_their_numbers_under_other_keys_too() -> None:
    """Those of ResNet-20, BN's bias before its weight: swapped, 91.20% and 2.985."""
    published = pretrained.PUBLISHED / "paper" / "resnet-20" / "seed-0" / "weights.pt"
    state = torch.load(published, weights_only=True)
    by_layer = sorted(state, key=lambda key: (key.rsplit(".", 1)[0], key))  # bias, running_..., ...
    others = {f"net/{key}".replace("stages", "group"): state[key] for key in by_layer}
    buffer = io.BytesIO()
    torch.save(others, buffer)
    network = load_weights("resnet-20", buffer.getvalue(), "others.pt")
    dataset = data.load(TINY, REAL_DATA)
    normalise = Normalisation.of(dataset.train)
    assert evaluate(network, dataset.test, normalise)[1] == 10.0
    assert response_stds(network, dataset.test, normalise)["std"].mean() == pytest.approx(
        0.77, abs=1e-3
    )


def test_weights_of_ones_own_are_evaluated_and_the_normalisation_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnet_paper.study.study.FIGURES", tmp_path / "figures")
    weights = tmp_path / "mine.pt"
    network = build("resnet-8")
    torch.save({"state_dict": network.state_dict()}, weights)
    arguments = ["--settings", "demo", "--weights", str(weights)]
    asked = CliRunner().invoke(script.main, arguments)
    assert (asked.exit_code, "of which network" in asked.stderr) == (1, True)
    arguments += ["--network", "ResNet8"]
    asked = CliRunner().invoke(script.main, arguments)
    assert (asked.exit_code, "how were the images normalised" in asked.stderr) == (1, True)
    wrong = CliRunner().invoke(script.main, [*arguments, "--normalisation", "channel"])
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert "'channel' is no normalisation" in wrong.stderr
    answer = CliRunner().invoke(script.main, [*arguments, "--normalisation", "channels"])
    assert answer.exit_code == 0, answer.output
    test = data.synthetic(250, seed=1)  # as the settings "demo" have it
    with torch.no_grad():
        logits = network.eval()(Normalisation.of(test, "channels")(test.pixels))
    error = 100 * (logits.argmax(1) != test.labels).double().mean()
    loss = F.cross_entropy(logits, test.labels)
    said = f"resnet-8, {weights}: test error {error:.2f}%, loss {loss:.4f} (normalised by channels)"
    assert answer.output.splitlines()[0] == said
    counts = pd.read_csv(tmp_path / "figures" / "demo" / "confusion-resnet-8-own.csv")
    assert counts[list("0123456789")].to_numpy().sum() == 250
    assert (tmp_path / "figures" / "demo" / "confusion-resnet-8-own.png").stat().st_size

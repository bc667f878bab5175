"""A published run has the numbers of the run, and weights that classify as they did."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from resnet_paper import pretrained
from resnet_paper.errors import UserError
from resnet_paper.networks.build import build
from resnet_paper.runs.run import Result, Run
from resnet_paper.study.evaluate import evaluate
from resnet_paper.study.publish import compact, publish, publishes_weights
from resnet_paper.training import data
from resnet_paper.training.images import Images, Normalisation

RecordRun = Callable[..., Result]
IMAGES = data.synthetic(60, seed=1)
NORMALISE = Normalisation.of(IMAGES)


def test_the_numbers_stay_and_the_weights_are_halved(
    record_run: RecordRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnet_paper.study.publish.FLOAT16_MAY_COST", 5)  # 3 of 60 images
    network = build("resnet-8", seed=5)
    network(torch.rand(8, 3, 32, 32))  # moves BN's averages to numbers that float16 lacks
    result = record_run("resnet-8", error=8.5, weights=network, responses=[0.7], newer="kept")
    before, weights = result.run.read(), result.weights()

    published = publish(result, tmp_path / "to", IMAGES, NORMALISE)
    assert (result.run.read(), result.run.result().weights()) == (before, weights)
    assert published.curve.equals(result.curve)
    assert published.responses.equals(result.responses)
    state = torch.load(published.run.weights_file, weights_only=True)
    for name, value in network.state_dict().items():
        exact = "running" in name or "tracked" in name
        assert torch.equal(state[name], value if exact else value.half()), name
    loaded = pretrained.load("resnet-8", runs=tmp_path / "to").network
    error = evaluate(loaded, IMAGES, NORMALISE)[1]
    content = dict(published.content)
    assert content.pop("published") == {"weights": "float16", "test_error": error}
    assert {**content, "sha256": None} == {**result.content, "sha256": None}


@pytest.mark.parametrize("better", ["float32", "float16"])
def test_weights_that_float16_would_change_stay_as_they_are(better: str) -> None:
    network = build("resnet-8").eval()
    with torch.no_grad():
        network.classifier.weight.mul_(1e-9)  # zero in float16, and class 0 all that it says
        classes = network(NORMALISE(IMAGES.pixels)).argmax(1)
    labels = classes if better == "float32" else torch.zeros_like(classes)
    content, said = compact(network, Images(IMAGES.pixels, labels), NORMALISE)
    state = torch.load(io.BytesIO(content), weights_only=True)
    assert said.weights == "float32"
    assert (said.test_error == 0) == (better == "float32")
    assert {value.dtype for value in state.values()} == {torch.float32, torch.int64}


@pytest.mark.parametrize(
    ("float32", "float16", "chosen"),
    [
        (8.48, 8.46, "float16"),
        (2.01, 2.03, "float16"),  # 2.03 - 2.01 > 0.02 in binary
        (8.48, 8.51, "float32"),
        (8.51, 8.48, "float32"),
    ],
)
def test_two_images_in_ten_thousand_may_change(
    float32: float, float16: float, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = iter([float32, float16])
    monkeypatch.setattr("resnet_paper.study.publish.evaluate", lambda *_: (0.0, next(errors)))
    _, said = compact(build("resnet-8"), IMAGES, NORMALISE)
    assert said.weights == chosen


def test_weights_beyond_float16_stay_as_they_are() -> None:
    """Its largest number is 65,504."""
    network = build("resnet-8", seed=1)
    network.stem.conv.weight.data.mul_(1e6)  # BN makes up for it
    content, said = compact(network, IMAGES, NORMALISE)
    state = torch.load(io.BytesIO(content), weights_only=True)
    assert said.weights == "float32"
    assert torch.equal(state["stem.conv.weight"], network.stem.conv.weight)


def test_weights_go_along_up_to_110_layers(record_run: RecordRun, tmp_path: Path) -> None:
    depths = [
        layers
        for layers in (8, 110, 116)
        if publishes_weights(record_run(f"plain-{layers}"), tmp_path / "to")
    ]
    assert depths == [8, 110]


@pytest.mark.parametrize(
    ("network", "seed", "diverged"),
    [("resnet-8", 0, 9), ("resnet-1202", 0, None), ("resnet-18", 0, None)],
)
def test_what_goes_without_weights(
    network: str, seed: int, diverged: int | None, record_run: RecordRun, tmp_path: Path
) -> None:
    result = record_run(network, seed, weights=nn.Linear(1, 1), diverged=diverged)
    published = publish(result, tmp_path / "to", IMAGES, NORMALISE)
    assert not published.run.weights_file.exists()
    assert published.record.sha256.keys() == {"curve.csv", "run.json"}


def test_one_run_of_each_network_has_weights(record_run: RecordRun, tmp_path: Path) -> None:
    """The first that is published, whatever its seed; an interrupted copy does not count."""
    stray = Run(tmp_path / "to", "paper", "resnet-8", 0).weights_file
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"of an interrupted copy")
    for network, seed, there in (
        ("resnet-8", 2, True),
        ("resnet-8", 1, False),
        ("resnet-8", 0, False),
        ("plain-8", 1, True),
    ):
        result = record_run(network, seed, weights=build(network))
        published = publish(result, tmp_path / "to", IMAGES, NORMALISE)
        assert published.run.weights_file.exists() == there


def test_a_published_run_is_not_overwritten(record_run: RecordRun) -> None:
    result = record_run("resnet-1202")
    with pytest.raises(UserError, match="has a run already: it is not overwritten"):
        publish(result, result.run.root, IMAGES, NORMALISE)


def test_an_interrupted_copy_is_no_run_and_is_written_again(
    record_run: RecordRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = record_run("resnet-8", weights=build("resnet-8"))
    with monkeypatch.context() as patch:
        patch.setattr(Run, "write_record", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            publish(result, tmp_path / "to", IMAGES, NORMALISE)
    published = publish(result, tmp_path / "to", IMAGES, NORMALISE)
    assert published.record.finished
    assert published.weights()

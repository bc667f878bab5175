"""Layer responses: which layers, and how their numbers are pooled."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from resnet_paper import responses as command
from resnet_paper.errors import UserError
from resnet_paper.networks.build import build
from resnet_paper.networks.hooks import response_layers
from resnet_paper.runs.run import Result
from resnet_paper.study import responses
from resnet_paper.study.study import Study
from resnet_paper.training.data import synthetic
from resnet_paper.training.images import Images, Normalisation


@pytest.fixture
def images() -> Images:
    return synthetic(260, seed=0)  # more than a batch


@pytest.mark.parametrize(
    ("network", "layers"), [("plain-20", 19), ("resnet-56", 55), ("resnet-18", 17)]
)
def test_every_3x3_layer_counts_and_no_other(network: str, layers: int) -> None:
    assert len(response_layers(build(network))) == layers


def test_std_is_pooled_over_images_positions_and_channels(images: Images) -> None:
    network, normalise = build("resnet-8"), Normalisation.of(images)
    with torch.no_grad():
        for norm in response_layers(network).values():
            norm.running_mean.uniform_(-1, 1)
            norm.weight.uniform_(0.5, 2)
    table = responses.response_stds(network, images, normalise)
    assert table["layer"].tolist() == list(range(1, 8))

    block = network.stages[0][0]
    with torch.no_grad():
        x = network.stem(normalise(images.pixels))
        first = block.bn1(block.conv1(x))
        second = block.bn2(block.conv2(first.relu()))
    std = table.set_index("name")["std"]
    assert std["stages.0.0.bn1"] == pytest.approx(first.double().std().item(), rel=1e-4)
    assert std["stages.0.0.bn2"] == pytest.approx(second.double().std().item(), rel=1e-4), (
        "before addition and ReLU"
    )


def test_hooks_are_gone_afterwards(images: Images) -> None:
    network = build("resnet-8")
    responses.response_stds(network, images[:10], Normalisation.of(images))
    assert not any(module._forward_hooks for module in network.modules())


def test_weights_of_a_run_are_of_its_network(
    record_run: Callable[..., Result], tmp_path: Path
) -> None:
    weights = record_run("resnet-20").run.weights_file
    responses.refuse_weights_of_another("resnet-20", weights)
    with pytest.raises(UserError, match="weights of a resnet-20, not of a plain-20"):
        responses.refuse_weights_of_another("plain-20", weights)
    (tmp_path / "run.json").write_text('{"network": "somebody\'s own"}')
    responses.refuse_weights_of_another("plain-20", tmp_path / "weights.pt")


def test_responses_that_are_not_finite_are_an_error(images: Images) -> None:
    network = build("resnet-8")
    network.stages[0][0].conv2.weight.data.fill_(3e38)
    with pytest.raises(UserError, match=r"responses of stages\.0\.0\.bn2 are not finite"):
        responses.response_stds(network, images, Normalisation.of(images))


@pytest.fixture
def recorded(
    record_run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Plain-20 with responses, of the settings "tiny", in an empty directory."""
    record_run("plain-20", settings="tiny", responses=[0.5, 1.0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Study, "output", tmp_path / "figures")
    return tmp_path


def test_the_command_prints_the_means_and_where_they_are_drawn(recorded: Path) -> None:
    answer = CliRunner().invoke(command.main, ["--settings", "tiny", "--runs", str(recorded)])
    assert answer.exit_code == 0, answer.output
    assert "| plain-20 | 0.750 | 1 |" in answer.output
    for suffix in ("pdf", "png", "md", "csv"):
        path = recorded / "figures" / f"figure7.{suffix}"
        assert str(path) in answer.output
        assert path.exists()
    assert f"resnet-20 is not recorded: make train SETTINGS=tiny RUNS={recorded}" in answer.output


def test_with_weights_of_ones_own_the_mean_and_the_picture_are_named(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (recorded / "mine.pt").touch()
    table = pd.DataFrame({"layer": [1, 2], "name": ["a", "b"], "std": [0.25, 0.75]})
    monkeypatch.setattr(responses, "own_responses", lambda *_: table)
    own = ["--weights", "mine.pt", "--network", "resnet-8"]
    answer = CliRunner().invoke(command.main, ["--settings", "tiny", "--runs", str(recorded), *own])
    assert answer.exit_code == 0, answer.output
    assert "resnet-8: mean over 2 layers 0.500" in answer.output
    assert f"{recorded}/figures/figure7_own.png" in answer.output


def test_an_installed_package_finds_the_published_runs_that_it_carries(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "PUBLISHED", Path("experiments/runs"))
    monkeypatch.setattr(command.pretrained, "PUBLISHED", recorded)
    answer = CliRunner().invoke(command.main, ["--settings", "tiny", "--runs", "experiments/runs"])
    assert answer.exit_code == 0, answer.output
    assert "| plain-20 | 0.750 | 1 |" in answer.output
    assert (
        "resnet-20 is not recorded: python -m resnet_paper.train --settings tiny" in answer.output
    )

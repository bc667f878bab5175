"""Layer responses: which layers, and how their numbers are pooled."""

from pathlib import Path

import pytest
import torch

from resnet_paper.errors import UserError
from resnet_paper.networks.build import build
from resnet_paper.networks.hooks import response_layers
from resnet_paper.study import responses
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


def test_weights_of_a_run_are_of_its_network(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"network": "resnet-20"}')
    responses.refuse_weights_of_another("resnet-20", tmp_path / "weights.pt")
    with pytest.raises(UserError, match="weights of a resnet-20, not of a plain-20"):
        responses.refuse_weights_of_another("plain-20", tmp_path / "weights.pt")


def test_responses_that_are_not_finite_are_an_error(images: Images) -> None:
    network = build("resnet-8")
    network.stages[0][0].conv2.weight.data.fill_(3e38)
    with pytest.raises(UserError, match=r"responses of stages\.0\.0\.bn2 are not finite"):
        responses.response_stds(network, images, Normalisation.of(images))

"""The networks are the paper's: sizes, shortcuts, initialisation, names."""

import math

import pytest
import torch

from resnet_paper import models

PARAMETERS = {
    "resnet-20": 269_722,
    "resnet-32": 464_154,
    "resnet-44": 658_586,
    "resnet-56": 853_018,
    "resnet-110": 1_727_962,
    "resnet-1202": 19_421_274,
    "plain-20": 269_722,
    "plain-56": 853_018,
    "resnet-18": 11_173_962,
}


@pytest.mark.parametrize(("network", "expected"), PARAMETERS.items())
def test_parameter_counts(network: str, expected: int) -> None:
    assert models.parameters(models.build(network)) == expected


@pytest.mark.parametrize("network", ["plain-8", "resnet-8", "resnet-20", "resnet-18", "resnet-34"])
def test_logits_are_one_row_an_image(network: str) -> None:
    assert models.build(network)(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("network", ["plain-20", "resnet-20", "resnet-56", "resnet-18"])
def test_depth_counts_weighted_layers(network: str) -> None:
    modules = models.build(network).modules()
    layers = [
        m
        for m in modules
        if isinstance(m, torch.nn.Linear)
        or (isinstance(m, torch.nn.Conv2d) and m.kernel_size == (3, 3))
    ]
    assert len(layers) == models.depth(network)


def test_feature_maps_halve_as_filters_double() -> None:
    network = models.build("resnet-20")
    x, shapes = network.stem(torch.zeros(1, 3, 32, 32)), []
    for stage in network.stages:
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]


def test_option_a_subsamples_and_pads_with_zero_channels() -> None:
    x = torch.randn(2, 16, 8, 8)
    y = models.ZeroPad(16, 32, stride=2)(x)
    assert torch.equal(y[:, :16], x[:, :, ::2, ::2])
    assert y.shape == (2, 32, 4, 4)
    assert not y[:, 16:].any()


def test_residual_block_adds_its_input_and_plain_block_does_not() -> None:
    x = torch.rand(2, 16, 8, 8)
    for network, expected in (("resnet-8", x), ("plain-8", torch.zeros_like(x))):
        block = models.build(network).stages[0][0]
        torch.nn.init.zeros_(block.bn2.weight)  # F(x) = 0
        assert torch.equal(block(x), expected)


def test_he_initialisation_fan_out() -> None:
    network = models.build("resnet-110")
    convolution = network.stages[2][5].conv1
    assert convolution.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.02)
    assert not network.classifier.bias.any()


def test_weights_are_a_function_of_the_seed() -> None:
    first, again, other = (models.build("resnet-8", seed) for seed in (1, 1, 2))
    assert torch.equal(first.stem.conv.weight, again.stem.conv.weight)
    assert not torch.equal(first.stem.conv.weight, other.stem.conv.weight)


def test_state_dict_follows_the_data() -> None:
    keys = [key for key in models.build("resnet-8").state_dict() if key.endswith("weight")]
    assert keys[:4] == [
        "stem.conv.weight",
        "stem.bn.weight",
        "stages.0.0.conv1.weight",
        "stages.0.0.bn1.weight",
    ]
    assert keys[-1] == "classifier.weight"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet-21", "resnet-20 or resnet-26"),
        ("plain-18", "plain-14 or plain-20"),
        ("resnet-2", "resnet-8"),
        ("resnet20", "resnet-20"),
        ("vgg-19", "resnet-20"),
        ("resnet-020", "resnet-20"),
    ],
)
def test_other_names_are_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        models.build(name)

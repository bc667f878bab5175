"""The networks are the paper's: sizes, shortcuts, initialisation, names."""

import math
from pathlib import Path

import pytest
import torch
import torchvision

from resnet_paper import names
from resnet_paper.errors import UserError
from resnet_paper.networks import baselines, counts, resnets
from resnet_paper.networks.build import blueprint, build
from resnet_paper.networks.weights import load_weights
from resnet_paper.paper import facts
from resnet_paper.pretrained import Classifier

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
    "resnet-20-b": 272_474,
    "resnet-20-c": 283_962,
    "imagenet-resnet-18": 11_515_688,
    "imagenet-resnet-50": 25_557_032,
    "vgg-19": 38_958_922,
    "simple-cnn": 620_362,
}


@pytest.mark.parametrize(("network", "expected"), PARAMETERS.items())
def test_parameter_counts(network: str, expected: int) -> None:
    assert counts.parameters(build(network)) == expected


@pytest.mark.parametrize(
    "network", ["plain-8", "resnet-8-b", "resnet-8-c", "resnet-34", "vgg-19", "simple-cnn"]
)
def test_logits_are_one_row_an_image(network: str) -> None:
    assert build(network)(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize(
    ("network", "depth"),
    [
        ("plain-20", 20),
        ("resnet-110", 110),
        ("resnet-20-b", 20),
        ("resnet-20-c", 20),
        ("resnet-18", 18),
        ("imagenet-resnet-101", 101),
        ("vgg-19", 19),
        ("simple-cnn", 5),
    ],
)
def test_depth_counts_weighted_layers(network: str, depth: int) -> None:
    assert counts.depth(build(network)) == depth


@pytest.mark.parametrize(("network", "n"), [("resnet-20", 3), ("plain-56", 9), ("resnet-110", 18)])
def test_multiply_adds_of_the_cifar_nets(network: str, n: int) -> None:
    """The stem's 32x32 positions, the classifier's, and the 6n layers', of which two reduce."""
    expected = 442_368 + 640 + 2_359_296 * (6 * n - 1)
    assert counts.multiply_adds(build(network), torch.zeros(1, 3, 32, 32)) == expected


@pytest.mark.parametrize(("depth", "expected"), facts.TABLE1_MULTIPLY_ADDS.items())
def test_multiply_adds_of_the_imagenet_nets_are_table_1s(depth: int, expected: float) -> None:
    """To the paper's two digits, but for ResNet-50: 3.86e9 where the paper has 3.8e9."""
    with torch.device("meta"):
        network = resnets.imagenet_net(depth)
        counted = counts.multiply_adds(network, torch.zeros(1, 3, 224, 224))
    assert counted == pytest.approx(expected, abs=0.06e9 if depth == 50 else 0.05e9)


def test_alexnet_counted_by_hand() -> None:
    """Each layer: its outputs' places, filters and weights a filter; biases are parameters too."""
    convolutions = [
        *((55 * 55, 96, 3 * 11 * 11), (27 * 27, 256, 96 * 5 * 5)),
        *((13 * 13, 384, 256 * 9), (13 * 13, 384, 384 * 9), (13 * 13, 256, 384 * 9)),
    ]
    connected = [(1, 4096, 256 * 6 * 6), (1, 4096, 4096), (1, 1000, 4096)]
    adds = [places * filters * weights for places, filters, weights in convolutions + connected]
    with torch.device("meta"):
        counted = counts.count(baselines.alexnet(), torch.zeros(1, 3, 224, 224))
    assert counted.layers == 8
    assert counted.parameters == sum(
        n * (weights + 1) for _, n, weights in convolutions + connected
    )
    assert counted.parameters == 62_378_344
    assert counted.multiply_adds == sum(adds) == 1_135_256_096
    assert counted.convolution_multiply_adds == sum(adds[:5])


@pytest.mark.parametrize(("layers", "paper"), facts.VGG_MULTIPLY_ADDS.items())
def test_no_one_count_gives_both_of_the_papers_numbers_of_vgg(layers: int, paper: float) -> None:
    """VGG-16's is that of the convolutions, VGG-19's that of all layers."""
    with torch.device("meta"):
        network = getattr(torchvision.models, f"vgg{layers}")()
        counted = counts.count(network, torch.zeros(1, 3, 224, 224))
    fits = [round(adds / 1e9, 1) == paper / 1e9 for adds in counted[2:]]
    assert fits == {16: [False, True], 19: [True, False]}[layers]
    assert counted.layers == layers


@pytest.mark.parametrize("depth", [18, 50])
def test_with_the_stride_moved_an_imagenet_net_is_torchvisions(depth: int) -> None:
    theirs = getattr(torchvision.models, f"resnet{depth}")()
    images = torch.randn(8, 3, 64, 64)
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # so that one pass gives statistics that suit the weights
    with torch.no_grad():
        theirs.train()(images)
        expected = theirs.eval()(images)
    assert expected.std(0).mean() > 0.1, "the answers depend on the images"

    ours = resnets.imagenet_net(depth, as_torchvision=True)
    pairs = zip(ours.state_dict(), theirs.state_dict().values(), strict=True)
    ours.load_state_dict(dict(pairs))
    with torch.no_grad():
        assert torch.allclose(ours.eval()(images), expected, rtol=1e-3, atol=1e-4)
        if depth >= 50:
            papers = resnets.imagenet_net(depth)
            papers.load_state_dict(ours.state_dict())
            assert not torch.allclose(papers.eval()(images), expected, rtol=0.1, atol=0.1)


def test_options_b_and_c_project_where_the_paper_says() -> None:
    for network, projections in (("resnet-20", 0), ("resnet-20-b", 2), ("resnet-20-c", 9)):
        modules = build(network).modules()
        assert sum(isinstance(module, resnets.Projection) for module in modules) == projections


def test_vgg_is_torchvisions_but_for_its_classifier() -> None:
    theirs = torchvision.models.vgg19_bn().features.state_dict()
    assert {
        k: v.shape for k, v in baselines.vgg_19().get_submodule("features").state_dict().items()
    } == {k: v.shape for k, v in theirs.items()}


def test_dropout_is_a_function_of_place_and_pass() -> None:
    dropout = baselines.HashDropout()
    x = torch.ones(400, 250)
    state = dropout.state_dict()["passes"].clone()
    first, second = dropout(x), dropout(x)
    assert set(first.unique().tolist()) == {0.0, 2.0}
    for drawn in (first, second):
        assert drawn.mean().item() == pytest.approx(1, abs=0.02)
        assert drawn.mean(0).std().item() == pytest.approx(1 / 20, rel=0.2), "columns differ"
    assert (first != second).float().mean().item() == pytest.approx(0.5, abs=0.01)
    dropout.load_state_dict({"passes": state})
    assert torch.equal(dropout(x), first)
    assert torch.equal(dropout.eval()(x), x)


def test_feature_maps_halve_as_filters_double() -> None:
    network = build("resnet-20")
    x, shapes = network.stem(torch.zeros(1, 3, 32, 32)), []
    for stage in network.stages:
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]


def test_option_a_subsamples_and_pads_with_zero_channels() -> None:
    x = torch.randn(2, 16, 8, 8)
    y = resnets.ZeroPad(16, 32, stride=2)(x)
    assert torch.equal(y[:, :16], x[:, :, ::2, ::2])
    assert y.shape == (2, 32, 4, 4)
    assert not y[:, 16:].any()


def test_residual_block_adds_its_input_and_plain_block_does_not() -> None:
    x = torch.rand(2, 16, 8, 8)
    for network, expected in (("resnet-8", x), ("plain-8", torch.zeros_like(x))):
        block = build(network).stages[0][0]
        torch.nn.init.zeros_(block.bn2.weight)  # F(x) = 0
        assert torch.equal(block(x), expected)


def test_he_initialisation_fan_out() -> None:
    network = build("resnet-110")
    convolution = network.stages[2][5].conv1
    assert convolution.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.02)
    assert not network.classifier.bias.any()


def test_weights_are_a_function_of_the_seed() -> None:
    first, again, other = (build("resnet-8", seed) for seed in (1, 1, 2))
    assert torch.equal(first.stem.conv.weight, again.stem.conv.weight)
    assert not torch.equal(first.stem.conv.weight, other.stem.conv.weight)


def test_state_dict_follows_the_data() -> None:
    keys = [key for key in build("resnet-8").state_dict() if key.endswith("weight")]
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
        ("vgg-18", "vgg-19"),
        ("resnet-21-b", "resnet-20-b or resnet-26-b"),
        ("plain-20-b", "resnet-20-b"),
        ("resnet-18-c", "resnet-20-c"),
        ("resnet-020", "resnet-20"),
    ],
)
def test_other_names_are_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        build(name)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save(build("resnet-8").state_dict(), path)
    content = path.read_bytes()
    assert load_weights("resnet-8", content, "a file")
    with pytest.raises(UserError, match="a file does not hold the weights of a resnet-14"):
        load_weights("resnet-14", content, "a file")
    for damaged in (b"", b"not weights", content[:5_000]):
        with pytest.raises(
            UserError, match=r"a file (is empty|is a text file|holds no weights that can be read)"
        ):
            load_weights("resnet-8", damaged, "a file")


@pytest.mark.parametrize("name", ["resnet-8", "plain-8", "resnet-8-b", "simple-cnn", "vgg-19"])
def test_networks_are_scripted_by_torch_jit(name: str) -> None:
    network, images = Classifier(build(name)).eval(), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(torch.jit.script(network)(images), network(images))


def test_a_scripted_network_trains() -> None:
    network = build("resnet-8")
    scripted = torch.jit.script(build("resnet-8"))
    for each in (network, scripted):
        each(torch.ones(2, 3, 32, 32)).sum().backward()
    for own, other in zip(network.parameters(), scripted.parameters(), strict=True):
        assert torch.allclose(own.grad, other.grad, atol=1e-5)


@pytest.mark.parametrize("network", ["resnet-8", "resnet-18", "imagenet-resnet-18", "vgg-19"])
def test_images_may_have_one_channel_and_other_classes(network: str) -> None:
    size = max(28, names.parse(network).sizes[0])
    built = build(network, classes=7, channels=1).eval()
    assert built(torch.zeros(2, 1, size, size)).shape == (2, 7)


@pytest.mark.parametrize("kind", ["plain", "resnet"])
def test_a_net_twice_as_wide_has_32_64_and_128_filters(kind: str) -> None:
    """Counted by hand: 9 times channels in times out of each convolution, two numbers each BN."""
    wide = 9 * (3 * 32 + 6 * 32 * 32 + 32 * 64 + 5 * 64 * 64 + 64 * 128 + 5 * 128 * 128)
    wide += 2 * (7 * 32 + 6 * 64 + 6 * 128) + 128 * 10 + 10
    assert counts.parameters(blueprint(f"{kind}-20x2")) == wide
    assert counts.depth(blueprint(f"{kind}-20x2")) == 20


def test_vgg_16_is_torchvisions() -> None:
    with torch.device("meta"):
        theirs = sum(each.numel() for each in torchvision.models.vgg16().parameters())
    assert counts.parameters(blueprint("vgg-16")) == theirs == 138_357_544


def test_averages_are_those_of_adaptive_pooling() -> None:
    for side in (3, 5, 6, 14):
        maps = torch.randn(2, 3, side, side)
        expected = torch.nn.functional.adaptive_avg_pool2d(maps, 6)
        assert torch.allclose(baselines.AveragePool(6)(maps), expected, atol=1e-6)
    assert torch.equal(baselines.AveragePool(6)(maps[..., :6, :6]), maps[..., :6, :6])


def test_mnist_cnn_counted_by_hand() -> None:
    """3x3 convolutions of 32 and 64 filters, then 3136-128-10, all with biases."""
    by_hand = (9 * 32 + 32) + (9 * 32 * 64 + 64) + (3136 * 128 + 128) + (128 * 10 + 10)
    assert counts.parameters(blueprint("mnist-cnn")) == by_hand == 421_642
    assert build("mnist-cnn")(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_every_name_has_a_constructor() -> None:
    for network in names.OTHERS:
        assert blueprint(network, classes=7) is blueprint(network, classes=7)

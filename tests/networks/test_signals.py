"""Signals and gradients at 3x3 layers: their values, by hand where they can be."""

from math import exp, sqrt

import pytest
import torch
from torch import Tensor, nn

from resnet_paper.networks.batch_norm import without_bn
from resnet_paper.networks.build import build
from resnet_paper.networks.hooks import signals
from resnet_paper.networks.precision import gradient


class TwoLayers(nn.Module):
    """Of an image of one pixel x: logits (w2 max(w1 x, 0), 0); all entries of a kernel are w."""

    def __init__(self, w1: float, w2: float) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(2))
        nn.init.constant_(self.first.weight, w1)
        nn.init.constant_(self.second.weight, w2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(x).relu()).flatten(1)
        return torch.cat([y, torch.zeros_like(y)], 1)


def test_two_layers_without_bn_as_by_hand() -> None:
    w1, w2, pixels = 0.5, 2.0, (1.0, 2.0)
    network = TwoLayers(w1, w2)
    images = torch.tensor(pixels).view(2, 1, 1, 1)
    found = signals(network, images, torch.tensor([0, 0]))

    y1 = [w1 * x for x in pixels]
    y2 = [w2 * y for y in y1]
    g2 = [(1 / (1 + exp(-y)) - 1) / 2 for y in y2]  # of the mean over two images
    g1 = [w2 * g for g in g2]
    by_weight1 = abs(sum(g * x for g, x in zip(g1, pixels, strict=True)))  # the kernel's centre
    by_weight2 = abs(sum(g * y for g, y in zip(g2, y1, strict=True)))
    assert list(found) == ["first", "second"]
    first = (abs(y1[1] - y1[0]) / 2, sqrt(sum(g * g for g in g1)), by_weight1 / (3 * w1))
    second = (abs(y2[1] - y2[0]) / 2, sqrt(sum(g * g for g in g2)), by_weight2 / (3 * w2))
    assert found["first"] == pytest.approx(first, rel=1e-5)
    assert found["second"] == pytest.approx(second, rel=1e-5)


def test_norms_below_the_square_root_of_the_smallest_float_are_kept() -> None:
    network = TwoLayers(1.0, 1e-30)
    found = signals(network, torch.ones(2, 1, 1, 1), torch.tensor([0, 0]))
    assert found["first"].gradient_norm == pytest.approx(1e-30 * found["second"].gradient_norm)


def test_measuring_leaves_no_hook_and_no_gradient() -> None:
    network = build("resnet-8")
    found = signals(network, torch.randn(4, 3, 32, 32), torch.arange(4))
    assert len(found) == 7
    assert not any(module._forward_hooks for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_no_hook_is_left_where_the_network_fails() -> None:
    network = build("resnet-8")
    with pytest.raises(RuntimeError):
        signals(network, torch.randn(4, 5, 32, 32), torch.arange(4))
    assert not any(module._forward_hooks for module in network.modules())


def test_without_bn_only_bn_is_gone() -> None:
    network, images = build("resnet-20-b"), torch.randn(2, 3, 32, 32)
    convolutions = [m.weight.clone() for m in network.modules() if isinstance(m, nn.Conv2d)]
    bare = without_bn(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in bare.modules())
    kept = [m.weight for m in bare.modules() if isinstance(m, nn.Conv2d)]
    assert all(torch.equal(a, b) for a, b in zip(convolutions, kept, strict=True))
    stem = torch.conv2d(images, convolutions[0], padding=1).relu()
    assert torch.equal(bare.stem(images), stem)


@pytest.fixture(params=["plain-8", "resnet-8"])
def network(request: pytest.FixtureRequest) -> nn.Module:
    return build(request.param)


def test_bfloat16_is_rounded_as_autocast_does(network: nn.Module) -> None:
    """To about the last bit of bfloat16: autocast adds in another order."""
    images, labels = torch.randn(8, 3, 8, 8), torch.arange(8)
    rounded = gradient(network, images, labels, "bfloat16")
    with torch.autocast("cpu", torch.bfloat16):
        logits = network.train()(images).float()
    parameters = list(network.parameters())
    gradients = torch.autograd.grad(nn.functional.cross_entropy(logits, labels), parameters)
    autocast = torch.cat([each.flatten().double() for each in gradients])
    exact = gradient(network, images, labels, "float64")
    cosine = nn.functional.cosine_similarity
    assert cosine(rounded, autocast, 0) > 0.999
    error, of_autocast = ((each - exact).norm() for each in (rounded, autocast))
    assert error == pytest.approx(of_autocast.item(), rel=0.3)


def test_gradients_are_those_of_a_network_that_stays_as_it_was(network: nn.Module) -> None:
    before = {name: value.clone() for name, value in network.eval().state_dict().items()}
    images, labels = torch.randn(8, 3, 8, 8), torch.arange(8)
    found = [gradient(network, images, labels, each) for each in ("float64", "float32", "bfloat16")]
    assert torch.allclose(found[0], found[1], rtol=1e-3, atol=1e-6)
    assert not torch.allclose(found[0], found[2], rtol=1e-3, atol=1e-6)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not network.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())

"""Fused kernels beside PyTorch in float64; run as a program, in Triton's interpreter.

    python -m tests.training.fused_cases CASE ...

prints a JSON object: of each case its relative errors by what was computed.
"""

from __future__ import annotations

import copy
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_paper.networks.resnets import cifar_net, conv3x3, no_shortcut, option_a

Errors = dict[str, float]
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
SHORTCUTS = {"plain": no_shortcut, "resnet": option_a}
SCALES = {torch.float16: 64.0}  # of the loss: float16's smallest numbers are not that small


def error(value: Tensor, expected: Tensor) -> float:
    """||value - expected|| / ||expected||."""
    value = value.detach().double().cpu()
    return ((value - expected.detach().cpu()).norm() / expected.norm().cpu()).item()


def randomised(network: nn.Module) -> nn.Module:
    """A network whose BN layers have gammas and betas that differ."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return network


def whole_network(
    kind: str, depth: int, dtype: torch.dtype, batch: int = 2, device: str = "cpu"
) -> Errors:
    """A network's training step, and its logits without gradients."""
    from resnet_paper.training.fused.network import FusedNetwork

    torch.manual_seed(0)
    network = randomised(cifar_net(depth, SHORTCUTS[kind])).to(device)
    exact = copy.deepcopy(network).double()
    images = torch.randn(batch, 3, 32, 32, device=device)
    labels = torch.randint(10, (batch,), device=device)
    fused = FusedNetwork(network, batch, dtype)
    logits, expected = fused(images), exact(images.double())
    scale = SCALES.get(dtype, 1.0)
    (F.cross_entropy(logits, labels) * scale).backward()
    F.cross_entropy(expected, labels).backward()
    errors = {"logits": error(logits, expected)}
    for (name, p), q in zip(network.named_parameters(), exact.parameters(), strict=True):
        errors[f"gradient of {name}"] = error(p.grad / scale, q.grad)
    for (name, b), c in zip(network.named_buffers(), exact.buffers(), strict=True):
        errors[name] = error(b, c.double())
    return errors


def no_grad(dtype: torch.dtype) -> Errors:
    """Logits and BN's statistics of a network in training mode, under no_grad."""
    from resnet_paper.training.fused.network import FusedNetwork

    network = randomised(cifar_net(8, option_a))
    exact = copy.deepcopy(network).double()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        errors = {"logits": error(FusedNetwork(network, 2, dtype)(images), exact(images.double()))}
    for (name, b), c in zip(network.named_buffers(), exact.buffers(), strict=True):
        errors[name] = error(b, c.double())
    return errors


def nhwc(x: Tensor, dtype: torch.dtype) -> Tensor:
    """(N, C, H, W) -> (N, H, W, C), with at least 16 channels."""
    x = x.detach().permute(0, 2, 3, 1).to(dtype)
    return F.pad(x, (0, max(0, 16 - x.shape[3]))).contiguous()


def nchw(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def zero_pad(x: Tensor, channels: int) -> Tensor:
    """Option A: every second pixel, new channels zero."""
    return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, channels - x.shape[1]))


class ExactLayer:
    """A layer of 4 images of 8x8 pixels in float64, on numbers that a type represents.

    Its input is z = ReLU(u), u = BN(y), of a layer below.
    """

    def __init__(self, channels_in: int, channels: int, stride: int, dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        self.dtype = dtype
        conv, bn = conv3x3(channels_in, channels, stride), nn.BatchNorm2d(channels)
        conv.weight.data = conv.weight.data.to(dtype).float()
        self.given = conv, randomised(bn)
        self.conv, self.bn = copy.deepcopy(conv).double(), copy.deepcopy(bn).double()
        self.y_below = self.random(channels_in, 8 * stride)
        normalised, self.statistics_below = normalise(self.y_below)
        self.u = normalised.to(dtype).double().requires_grad_()
        self.z = self.u.relu()
        self.y = self.conv(self.z)
        self.du = self.random(channels, 8)

    def random(self, channels: int, size: int) -> Tensor:
        return torch.randn(4, channels, size, size).to(self.dtype).double()

    def gradient_of_u(self, result: Tensor, gradient: Tensor) -> Tensor:
        (du,) = torch.autograd.grad(result, self.u, gradient, retain_graph=True)
        return du


def normalise(y: Tensor) -> tuple[Tensor, Tensor]:
    """(y - mean) / std, and (2, C) the mean and 1 / std."""
    y = y.detach()
    mean, rstd = y.mean((0, 2, 3)), (y.var((0, 2, 3), correction=0) + 1e-5).rsqrt()
    return (y - mean[:, None, None]) * rstd[:, None, None], torch.stack([mean, rstd])


def layer(
    channels_in: int, channels: int, stride: int, shortcut: str, dtype: torch.dtype
) -> Errors:
    """Each kernel of a layer, given exact inputs."""
    from resnet_paper.training.fused.layer import IDENTITY, NONE, OPTION_A, Layer
    from resnet_paper.training.fused.weights import Weights

    kind = {"none": NONE, "identity": IDENTITY, "zero padding": OPTION_A}[shortcut]
    exact = ExactLayer(channels_in, channels, stride, dtype)
    fused = Layer(*exact.given, 8, kind)
    weights = Weights([fused], 4, dtype)
    ((packed, transposed),) = weights.packed()
    errors = forward(exact, fused, packed)
    errors |= weight_gradients(exact, fused, weights)
    if channels_in >= 16:  # an image has no layer below
        errors |= data_gradients(exact, fused, transposed)
    return errors


def forward(exact: ExactLayer, fused: Any, packed: Tensor) -> Errors:
    from resnet_paper.training.fused.layer import NONE, OPTION_A

    channels, across, added = fused.channels, None, 0
    if fused.shortcut == OPTION_A:
        across = exact.random(channels // 2, 16)
        added = zero_pad(across, channels)
    elif fused.shortcut != NONE:
        across = added = exact.random(channels, 8)
    given = None if across is None else nhwc(across, exact.dtype)
    response = fused.forward(nhwc(exact.z, exact.dtype), packed, given)
    _, statistics = normalise(exact.y)
    return {
        "y": error(nchw(response.y), exact.y),
        "z": error(nchw(response.z), (exact.bn(exact.y) + added).relu()),
        "statistics": error(response.statistics, statistics),
        "running mean": error(fused.bn.running_mean, exact.bn.running_mean),
        "running variance": error(fused.bn.running_var, exact.bn.running_var),
    }


def weight_gradients(exact: ExactLayer, fused: Any, weights: Any) -> Errors:
    """Of BN and of the convolution; BN's partial sums are of two images each."""
    from resnet_paper.training.fused.layer import Gradient, Response

    dtype, bn = exact.dtype, exact.bn
    y = exact.y.detach().to(dtype).double().requires_grad_()
    normalised, statistics = normalise(y)
    parts = [x.unflatten(0, (2, 2)).sum((1, 3, 4)) for x in (exact.du, exact.du * normalised)]
    gradient = Gradient(nhwc(exact.du, dtype), *(part.float().contiguous() for part in parts))
    x = nhwc(exact.z, dtype)
    response = Response(x, nhwc(y, dtype), statistics.float(), nhwc(y, dtype))
    dy, dgamma, dbeta = fused.bn_backward(response, gradient)
    expected = torch.autograd.grad(bn(y), [y, bn.weight, bn.bias], exact.du)
    exact_dy = expected[0].to(dtype).double()
    (partial,) = weights.empty_partials()
    fused.weight_gradient(x, nhwc(exact_dy, dtype), partial)
    (dw,) = weights.gradients([partial])
    (expected_dw,) = torch.autograd.grad(exact.y, exact.conv.weight, exact_dy, retain_graph=True)
    return {
        "dy": error(nchw(dy), expected[0]),
        "dgamma": error(dgamma, expected[1]),
        "dbeta": error(dbeta, expected[2]),
        "dw": error(dw, expected_dw),
    }


def data_gradients(exact: ExactLayer, fused: Any, transposed: Tensor) -> Errors:
    """Without and with a shortcut around the layer and the one above it."""
    from resnet_paper.training.fused.layer import Response

    dtype, errors = exact.dtype, {}
    dy = exact.random(fused.channels, 8)
    z, y = nhwc(exact.z, dtype), nhwc(exact.y_below, dtype)
    below = Response(z, y, exact.statistics_below.float(), z)
    around = exact.z if fused.stride == 1 else zero_pad(exact.z, fused.channels)
    alone = exact.gradient_of_u(exact.y, dy)
    both = alone + exact.gradient_of_u(around, exact.du)
    normalised, _ = normalise(exact.y_below)
    for name, expected, du_shortcut in (
        ("alone", alone, None),
        ("with a shortcut", both, nhwc(exact.du, dtype)),
    ):
        found = fused.data_gradient(nhwc(dy, dtype), transposed, below, du_shortcut)
        errors |= {
            f"du {name}": error(nchw(found.du), expected),
            f"sums {name}": error(found.sums.sum(0), expected.sum((0, 2, 3))),
            f"dots {name}": error(found.dots.sum(0), (expected * normalised).sum((0, 2, 3))),
        }
    return errors


def pooling(dtype: torch.dtype) -> Errors:
    """The gradient of the last layer's response from that of its mean."""
    from resnet_paper.training.fused.layer import Response
    from resnet_paper.training.fused.network import gradient_of_pooling

    u = torch.randn(2, 8, 8, 64).to(dtype).double().requires_grad_()
    y = torch.randn(2, 8, 8, 64).to(dtype)
    statistics, dmean = torch.rand(2, 64), torch.randn(2, 64)
    u.relu().mean((1, 2)).backward(dmean.double())
    response = Response(y, y, statistics, u.detach().relu().to(dtype))
    du, sums, dots = gradient_of_pooling(response, dmean)
    normalised = (y.double() - statistics[0]) * statistics[1]
    return {
        "du": error(du, u.grad),
        "sums": error(sums.sum(0), u.grad.sum((0, 1, 2))),
        "dots": error(dots.sum(0), (u.grad * normalised).sum((0, 1, 2))),
    }


def batch(normalisation: str) -> Errors:
    """0 if a batch is the one that PyTorch gathers, crops, flips and normalises, bit for bit."""
    from resnet_paper.training import data
    from resnet_paper.training.batches import BatchPlan, BatchStream, augment
    from resnet_paper.training.fused.batches import augmented
    from resnet_paper.training.images import Normalisation

    train = data.synthetic(20, seed=0)
    normalise = Normalisation.of(train, normalisation)
    plan = BatchPlan.empty(5, 4, "cpu")
    plan.copy_(BatchStream(20, 4, seed=0).plan(7, 5))
    position = torch.tensor([3])
    indices, top, left, flip = plan.batch(position)
    expected = augment(normalise(train.pixels[indices]), top, left, flip, 4)
    images, labels = augmented(train, plan, position, normalise, 4)
    return {
        "images": float(not torch.equal(images, expected)),
        "labels": float(not torch.equal(labels, train.labels[indices])),
    }


LAYERS = {
    "stem": (3, 16, 1, "none"),
    "pairs": (16, 16, 1, "identity"),
    "stride 2": (16, 32, 2, "none"),
    "32 channels": (32, 32, 1, "zero padding"),
    "64 channels": (64, 64, 1, "identity"),
}
CASES: dict[str, Callable[[], Errors]] = {}
for name, dtype in list(DTYPES.items())[:2]:
    CASES[f"pooling {name}"] = lambda dtype=dtype: pooling(dtype)
    for title, shape in LAYERS.items():
        CASES[f"{title} {name}"] = lambda shape=shape, dtype=dtype: layer(*shape, dtype)
    for kind in SHORTCUTS:
        for depth in (8, 14):
            CASES[f"{kind}-{depth} {name}"] = lambda kind=kind, depth=depth, dtype=dtype: (
                whole_network(kind, depth, dtype)
            )
for name in ("per-pixel mean", "channels"):
    CASES[f"batch {name}"] = lambda name=name: batch(name)
CASES["no_grad float32"] = lambda: no_grad(torch.float32)


if __name__ == "__main__":
    assert os.environ["TRITON_INTERPRET"] == "1"
    torch.set_num_threads(1)
    from resnet_paper.training.fused import layer as tiles

    tiles.MOST_PARTS = 2  # so that a program has several tiles, as of large batches
    print(json.dumps({name: CASES[name]() for name in sys.argv[1:]}))

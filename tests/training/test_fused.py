"""The fused kernels compute what PyTorch does in float64; no GPU is needed.

In Triton's interpreter, which multiplies no bfloat16: in float32 and float16. What they are
compiled to is in test_fused_compiled.py.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

from resnet_paper.networks.build import build
from resnet_paper.networks.resnets import Network, cifar_net, option_a
from resnet_paper.training.fused import support

ROOT = Path(__file__).parents[2]
needs_triton = pytest.mark.skipif(not find_spec("triton"), reason="Triton is not installed")
LAYERS = {
    "float32": ("stem", "pairs", "stride 2", "32 channels", "64 channels", "pooling"),
    "float16": ("pairs", "stride 2", "pooling"),
}


def errors_of(*cases: str) -> dict[str, dict[str, float]]:
    """The relative errors of some of fused_cases.py's cases, computed by a process of its own."""
    command = [sys.executable, "-m", "tests.training.fused_cases", *cases]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def assert_below(errors: dict[str, float], limit: float) -> None:
    assert errors
    wrong = {name: error for name, error in errors.items() if not error <= limit}
    assert not wrong


@needs_triton
def test_each_kernel_and_a_batch() -> None:
    """In one process, as one takes seconds to start.

    Kernels: shortcuts, strides, padding at the borders, and sums over several programs among them.
    Batches are PyTorch's own, bit for bit. Precise BN runs a network in training mode under
    no_grad.
    """
    limits = {"float32": 1e-5, "float16": 2e-3}
    cases = [f"{layer} {dtype}" for dtype in limits for layer in LAYERS[dtype]]
    found = errors_of(*cases, "batch channels", "batch per-pixel mean", "no_grad float32")
    for case, errors in found.items():
        assert_below(errors, limits.get(case.split()[-1], 0.0))


@pytest.mark.slow
@needs_triton
@pytest.mark.parametrize("network", ["plain-8", "plain-14", "resnet-8", "resnet-14"])
def test_a_training_step(network: str) -> None:
    """Logits, all gradients, BN's running statistics and its count of batches.

    Gradients in float16 are as far off as those of autocast, which rounds activations too; the
    errors grow with depth.
    """
    single, half = errors_of(f"{network} float32", f"{network} float16").values()
    assert_below(single, 1e-5)
    gradients = {name: e for name, e in half.items() if name.startswith("gradient")}
    assert_below(gradients, 0.1 if network.endswith("8") else 0.3)
    assert_below({name: half[name] for name in half.keys() - gradients.keys()}, 5e-3)


@pytest.mark.parametrize("name", ["plain-20", "resnet-20", "resnet-110"])
def test_networks_that_fit(name: str) -> None:
    assert support.fits(build(name), 128, 32)


@pytest.mark.parametrize("name", ["resnet-18", "vgg-19", "imagenet-resnet-18"])
def test_networks_that_do_not(name: str) -> None:
    assert not support.fits(build(name), 128, 32)


@pytest.mark.parametrize(("batch", "size"), [(100, 32), (1, 32), (1024, 32), (128, 64)])
def test_batches_that_do_not(batch: int, size: int) -> None:
    assert not support.fits(build("resnet-8"), batch, size)


def test_other_widths_and_channels_do_not() -> None:
    assert not support.fits(Network((1, 1, 1), (16, 64, 256), option_a), 128, 32)
    grey = cifar_net(8, option_a)
    grey.stem.conv = nn.Conv2d(1, 16, 3, padding=1, bias=False)
    assert not support.fits(grey, 128, 32)


@needs_triton
def test_the_module_keeps_its_state() -> None:
    """Weights become views of one tensor, of which a state dict shows nothing."""
    from resnet_paper.training.fused.network import FusedNetwork

    network = build("resnet-8")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fused = FusedNetwork(network, 2)
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    network.load_state_dict({name: value + 1 for name, value in before.items()})
    assert torch.equal(fused.layers[0].conv.weight, before["stem.conv.weight"] + 1)
    weights = [layer.conv.weight for layer in fused.layers]
    flat = torch.cat([w.permute(0, 2, 3, 1).flatten() for w in weights])
    assert torch.equal(fused.weights.flat[:-1], flat)

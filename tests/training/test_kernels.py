"""KERNELS: which are chosen, that a run keeps its own, and those of a CPU."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from resnet_paper.errors import UserError
from resnet_paper.networks.build import blueprint, build
from resnet_paper.networks.resnets import Network, option_a
from resnet_paper.runs.recipe import PAPER, Recipe
from resnet_paper.runs.run import Run
from resnet_paper.training import backend, checkpoint
from resnet_paper.training.backend import Backend, compile_network
from resnet_paper.training.fused import support
from resnet_paper.training.fused.compiled import bn_relu
from resnet_paper.training.images import Dataset
from resnet_paper.training.loop import train
from tests.training.fused_cases import error, randomised
from tests.training.trained import CPU, interrupted

GPU = Backend("cuda", "bfloat16", compiled=False, threads=1, kernels="fused")


@pytest.fixture
def fast_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU that has bfloat16 and a compiler."""
    monkeypatch.setattr(backend, "has_bfloat16", lambda device: True)
    monkeypatch.setattr(backend, "can_compile", lambda: True)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """An H100."""
    monkeypatch.setattr(backend, "has_bfloat16", lambda device: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(support, "find_spec", lambda name: name)


@pytest.mark.usefixtures("fast_cpu")
def test_a_compiled_network_on_a_cpu_is_fused_where_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert backend.choose("cpu", iterations=64_000, kernels="fused").kernels == "fused"
    assert backend.choose("cpu", iterations=64_000).kernels == "pytorch"
    monkeypatch.setattr(backend, "FUSED_BY_DEFAULT", {("cpu", "bfloat16")})
    assert backend.choose("cpu", iterations=64_000).kernels == "fused"
    assert backend.choose("cpu", iterations=64_000, kernels="pytorch").kernels == "pytorch"
    assert backend.choose("cpu", iterations=100).kernels == "pytorch"


@pytest.mark.usefixtures("fast_cpu")
def test_on_a_cpu_float32_is_compiled_where_it_is_fused() -> None:
    chosen = backend.choose("cpu", "float32", iterations=64_000)
    assert (chosen.kernels, chosen.compiled) == ("fused", True)
    for network, fused in (("plain-20", True), ("vgg-19", False), ("imagenet-resnet-18", False)):
        method = chosen.method(blueprint(network), PAPER)
        assert (method["kernels"] == "fused", method["compiled"]) == (fused, fused), network
    for older in ({"iterations": 100}, {"iterations": 64_000, "kernels": "pytorch"}):
        plain = backend.choose("cpu", "float32", **older)
        assert (plain.kernels, plain.compiled) == ("pytorch", False)


@pytest.mark.usefixtures("gpu")
def test_a_gpus_are_chosen_by_default_once_they_are_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    assert backend.choose("cuda", kernels="fused") == replace(GPU, threads=1)
    for default, kernels in ((set(), "pytorch"), ({("cuda", "bfloat16")}, "fused")):
        monkeypatch.setattr(backend, "FUSED_BY_DEFAULT", default)
        assert backend.choose("cuda").kernels == kernels
        assert backend.choose("cuda", "float32").kernels == "pytorch"


def test_what_fused_kernels_lack_is_said(monkeypatch: pytest.MonkeyPatch, gpu: None) -> None:
    with pytest.raises(UserError, match="PRECISION=bfloat16: use KERNELS=pytorch"):
        backend.choose("cuda", "float32", kernels="fused")
    with pytest.raises(UserError, match="a run of at least 2,000 iterations"):
        backend.choose("cpu", kernels="fused")
    monkeypatch.setattr(support, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="the package triton"):
        backend.choose("cuda", kernels="fused")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    with pytest.raises(UserError, match=r"capability 8\.0"):
        backend.choose("cuda", kernels="fused")
    monkeypatch.setattr(backend, "has_bfloat16", lambda device: False)
    with pytest.raises(UserError, match="bfloat16 arithmetic in hardware"):
        backend.choose("cuda", kernels="fused")


@pytest.mark.parametrize(("network", "kernels"), [("resnet-20", "fused"), ("resnet-18", "pytorch")])
def test_the_method_names_the_kernels_that_a_network_is_trained_by(
    network: str, kernels: str
) -> None:
    assert GPU.method(build(network), PAPER)["kernels"] == kernels


def test_a_run_keeps_its_kernels(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nn.Module, "compile", lambda *_, **__: None)  # it takes a while
    run = interrupted(Run(tmp_path, "tiny", "resnet-8", 0), recipe, dataset, at=3)
    other = replace(CPU, compiled=True, kernels="fused")
    with pytest.raises(
        UserError, match="kernels pytorch, not fused: resume it with KERNELS=pytorch"
    ):
        next(train(run, recipe, dataset, other))
    fused = interrupted(Run(tmp_path, "tiny", "resnet-8", 1), recipe, dataset, 3, other)
    with pytest.raises(UserError, match="kernels fused, not pytorch: resume it with KERNELS=fused"):
        next(train(fused, recipe, dataset, CPU))


def test_a_record_without_kernels_is_of_pytorchs(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    run = interrupted(Run(tmp_path, "tiny", "resnet-8", 0), recipe, dataset, at=3)
    point = checkpoint.load(run)
    assert point is not None
    computed = dict(point.content["computed"])
    del computed["kernels"], computed["triton"]
    older = {**point.content, "computed": computed}
    checkpoint.check_same_run(run, older, recipe, {"kernels": "pytorch"})
    with pytest.raises(UserError, match="begun with kernels pytorch, not fused"):
        checkpoint.check_same_run(run, older, recipe, {"kernels": "fused"})


@pytest.mark.parametrize("shortcut", [None, torch.randn(4, 3, 5, 5, dtype=torch.float64)])
def test_bn_shortcut_and_relu_as_one_function(shortcut: torch.Tensor | None) -> None:
    y = torch.randn(4, 3, 5, 5, dtype=torch.float64)
    results = []
    for fused in (False, True):
        torch.manual_seed(1)
        bn = randomised(nn.BatchNorm2d(3)).double()
        leaves = [x.clone().requires_grad_() for x in (y, shortcut) if x is not None]
        z = bn_relu(bn, *leaves) if fused else F.relu(bn(leaves[0]) + sum(leaves[1:]))
        z.pow(3).sum().backward()
        gradients = [leaf.grad for leaf in [*leaves, *bn.parameters()]]
        results.append([z, *gradients, *bn.buffers()])
    for expected, found in zip(*results, strict=True):
        assert torch.allclose(found.double(), expected.double(), rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_compiled_gradients_are_as_exact_as_plain_pytorchs(precision: str) -> None:
    network = randomised(Network((1,), (16,), option_a))
    assert isinstance(network, Network)
    network = network.to(memory_format=torch.channels_last)
    exact, compiled = copy.deepcopy(network).double(), copy.deepcopy(network)
    images, labels = torch.randn(4, 3, 32, 32), torch.randint(10, (4,))
    compile_network(compiled, fused=True)
    F.cross_entropy(exact(images.double()), labels).backward()
    expected = torch.cat([p.grad.flatten() for p in exact.parameters()])
    errors = []
    for each in (network, compiled):
        logits = Backend("cpu", precision, compiled=True, threads=1).logits(each, images)
        F.cross_entropy(logits, labels).backward()
        errors.append(error(torch.cat([p.grad.flatten() for p in each.parameters()]), expected))
    # by rows, sums round less; in bfloat16 products round more
    assert errors[1] <= {"float32": 0.2, "bfloat16": 1.05}[precision] * errors[0]
    for (name, b), c in zip(compiled.named_buffers(), exact.buffers(), strict=True):
        assert error(b, c.double()) < {"float32": 1e-5, "bfloat16": 1e-2}[precision], name
    assert list(compiled.state_dict()) == list(exact.state_dict())

"""Fused kernels on a GPU: as exact as autocast, the same bits each time, and trainable.

While they have not passed on one, KERNELS=auto means PyTorch's own: FUSED_BY_DEFAULT in
resnet_paper/training/backend.py.
"""

import copy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from msgspec.structs import replace
from torch import Tensor, nn

from resnet_paper.networks.build import build
from resnet_paper.runs.recipe import PAPER, Recipe
from resnet_paper.runs.run import Run
from resnet_paper.training import backend, data
from resnet_paper.training.backend import Backend
from resnet_paper.training.batches import BatchPlan, BatchStream
from resnet_paper.training.fused import support
from resnet_paper.training.images import Dataset
from resnet_paper.training.learner import Learner
from resnet_paper.training.loop import ITERATIONS_AT_ONCE, train
from tests.training.fused_cases import error, randomised
from tests.training.trained import assert_same_result

pytestmark = pytest.mark.skipif(
    bool(support.missing()), reason=f"fused kernels need {support.missing()}"
)
BATCH = 128


def prepared(network: nn.Module, kernels: str) -> tuple[nn.Module, Backend]:
    chosen = backend.choose("cuda", "bfloat16", kernels=kernels)
    chosen.activate()
    return chosen.prepare(network, PAPER), chosen


def batch() -> tuple[Tensor, Tensor]:
    images = torch.randn(BATCH, 3, 32, 32, device="cuda")
    return images, torch.randint(10, (BATCH,), device="cuda")


def whole_gradient(network: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


@pytest.mark.parametrize("name", ["plain-8", "resnet-8", "plain-20", "resnet-20", "resnet-56"])
def test_gradients_are_as_exact_as_autocasts(name: str) -> None:
    images, labels = batch()
    fresh = randomised(build(name))
    exact = copy.deepcopy(fresh).double().cuda()
    F.cross_entropy(exact(images.double()), labels).backward()
    errors = {}
    for kernels in ("pytorch", "fused"):
        network, chosen = prepared(copy.deepcopy(fresh), kernels)
        F.cross_entropy(chosen.logits(network, images), labels).backward()
        errors[kernels] = error(whole_gradient(network), whole_gradient(exact))
        for (buffer, b), c in zip(network.named_buffers(), exact.buffers(), strict=True):
            assert error(b, c.double()) < 2e-2, buffer
    print(name, errors)
    assert errors["fused"] <= 1.2 * errors["pytorch"]


def test_ten_times_the_same_bits() -> None:
    images, labels = batch()
    network, chosen = prepared(randomised(build("resnet-20")), "fused")
    gradients = []
    for _ in range(10):
        network.zero_grad()
        F.cross_entropy(chosen.logits(network, images), labels).backward()
        gradients.append(whole_gradient(network))
    for other in gradients[1:]:
        assert torch.equal(other, gradients[0])


def test_a_batch_is_pytorchs_own(recipe: Recipe, dataset: Dataset) -> None:
    """Up to the last bit of a division."""
    plan = BatchStream(len(dataset.train), recipe.batch_size, seed=0).plan(0, 4)
    learners = [
        Learner(build("resnet-8"), recipe, dataset.train, backend.choose("cuda", kernels=kernels))
        for kernels in ("pytorch", "fused")
    ]
    for learner in learners:
        learner.load(plan, [0.0] * 4)
    (expected, labels), (images, found) = (learner.batch() for learner in learners)
    assert torch.allclose(images, expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(found, labels)


def test_twenty_graph_steps_equal_plain_ones(
    recipe: Recipe, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(recipe, measure_every=20)
    plan = BatchStream(len(dataset.train), recipe.batch_size, seed=0).plan(0, 20)
    states = []
    for captured in (Backend.captured, lambda _, work: work):
        monkeypatch.setattr(Backend, "captured", captured)
        states.append(trained(recipe, dataset, plan).state().weights)
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def trained(recipe: Recipe, dataset: Dataset, plan: BatchPlan, kernels: str = "fused") -> Learner:
    chosen = backend.choose("cuda", kernels=kernels)
    learner = Learner(build("resnet-8"), recipe, dataset.train, chosen)
    learner.load(plan, [0.01] * len(plan))
    learner.advance(len(plan))
    return learner


@pytest.mark.parametrize("cut", [1, 4, 11])
def test_interrupted_equals_uninterrupted(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ITERATIONS_AT_ONCE, "cuda", 1)
    chosen = backend.choose("cuda", kernels="fused")
    runs = [Run(tmp_path / name, "tiny", "resnet-8", 0) for name in ("cut", "whole")]
    steps = train(runs[0], recipe, dataset, chosen)
    while next(steps).iteration < cut:
        pass
    steps.close()
    for run in runs:
        for _ in train(run, recipe, dataset, chosen):
            pass
    assert_same_result(*runs)
    record = runs[0].record()
    assert record is not None
    assert (record.environment.kernels, bool(record.environment.triton)) == ("fused", True)


def test_alone_equals_side_by_side(tmp_path: Path, recipe: Recipe, dataset: Dataset) -> None:
    chosen = backend.choose("cuda", kernels="fused")
    networks = ["resnet-8", "plain-8", "resnet-14"]
    alone, beside = (
        [Run(tmp_path / folder, "tiny", network, 0) for network in networks]
        for folder in ("alone", "beside")
    )
    for run in alone:
        for _ in train(run, recipe, dataset, chosen):
            pass
    steps = [train(run, recipe, dataset, chosen, concurrent=3) for run in beside]
    while steps:
        steps = [each for each in steps if next(each, None) is not None]
    for runs in zip(alone, beside, strict=True):
        assert_same_result(*runs)


def test_the_loss_of_the_first_iterations_is_as_by_cudnn() -> None:
    """Mean losses of four times 50 iterations of ResNet-20 at the paper's settings."""
    recipe = replace(PAPER, dataset="synthetic", train_images=5_000, unaugmented_images=5_000)
    train_images = data.synthetic(5_000, seed=0)
    stream = BatchStream(5_000, BATCH, seed=0)
    losses: list[list[float]] = []
    for kernels in ("pytorch", "fused"):
        chosen = backend.choose("cuda", "bfloat16", kernels=kernels)
        learner = Learner(build("resnet-20"), recipe, train_images, chosen)
        losses.append([])
        for start in range(0, 200, 50):
            learner.load(stream.plan(start, 50), [0.1] * 50)
            learner.advance(50)
            losses[-1].append(learner.training_errors(50 * BATCH)[0])
            learner.reset_training_errors()
    print(losses)
    assert losses[1] == pytest.approx(losses[0], rel=0.1, abs=0.05)

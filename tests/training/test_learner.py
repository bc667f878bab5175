"""A learner's iteration, evaluation and statistics, each against the same computed by hand."""

from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from resnet_paper.networks import resnets
from resnet_paper.networks.build import build
from resnet_paper.runs.recipe import Recipe
from resnet_paper.training import backend, data
from resnet_paper.training.batches import BatchStream
from resnet_paper.training.images import Dataset, Images
from resnet_paper.training.learner import Learner
from tests.training.trained import CPU


def exhaust(steps: Iterator[None]) -> None:
    deque(steps, maxlen=0)


def test_first_update_is_sgd_with_momentum_and_weight_decay(
    recipe: Recipe, dataset: Dataset
) -> None:
    """Two updates by hand: v <- 0.9 v + (gradient + 1e-4 w), w <- w - rate v."""
    plan = BatchStream(len(dataset.train), 4, seed=0).plan(0, 2)
    learner = Learner(build("resnet-8"), recipe, dataset.train, CPU)
    learner.load(plan, [0.1, 0.05])
    learner.advance(2)

    network = build("resnet-8")
    velocity = [torch.zeros_like(p) for p in network.parameters()]
    for position, rate in enumerate((0.1, 0.05)):
        learner.position.fill_(position)
        images, labels = learner.batch()
        loss = F.cross_entropy(network(images), labels)
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        for p, v, gradient in zip(network.parameters(), velocity, gradients, strict=True):
            v.mul_(0.9).add_(gradient + 1e-4 * p.data)
            p.data.sub_(rate * v)
    for p, expected in zip(learner.network.parameters(), network.parameters(), strict=True):
        assert torch.allclose(p, expected, rtol=1e-4, atol=1e-6)


def test_precise_statistics_are_the_mean_over_batches(recipe: Recipe, dataset: Dataset) -> None:
    plan = BatchStream(len(dataset.train), 4, seed=0).plan(0, 3)
    learner = Learner(build("resnet-8"), recipe, dataset.train, CPU)
    before = {name: value.clone() for name, value in learner.network.state_dict().items()}
    means, variances = [], []
    learner.load(plan, [])
    with torch.no_grad():
        for position in range(3):
            learner.position.fill_(position)
            images, _ = learner.batch()
            responses = learner.network.stem.conv(images)
            means.append(responses.mean((0, 2, 3)))
            variances.append(responses.var((0, 2, 3)))
    with learner.buffers_kept():
        exhaust(learner.recompute_statistics(plan))
        bn = learner.network.stem.bn
        assert torch.allclose(bn.running_mean, sum(means) / 3, atol=1e-5)
        assert torch.allclose(bn.running_var, sum(variances) / 3, rtol=1e-4)
    for name, value in learner.network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_signed_relu_is_relu() -> None:
    x = torch.randn(1_000).round(decimals=1).requires_grad_()
    y = x.detach().clone().requires_grad_()
    resnets.SignedReLU.apply(x).pow(2).sum().backward()
    F.relu(y).pow(2).sum().backward()
    assert torch.equal(resnets.SignedReLU.apply(x), F.relu(y))
    assert torch.equal(x.grad, y.grad)


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize(
    "parts",
    [
        (resnets.Stem, resnets.Block),
        pytest.param((resnets.ImageNetStem, resnets.Bottleneck), marks=pytest.mark.slow),
    ],
    ids=["cifar", "imagenet"],
)
def test_compiled_blocks_compute_what_eager_ones_do(parts: tuple[Any, Any]) -> None:
    # in float64, so that no response changes its sign by rounding
    stem, block = parts
    eager, compiled = (
        resnets.Network((1,), (16,), resnets.option_b, stem, block, block.expansion).double()
        for _ in range(2)
    )
    assert len(backend.compilable(eager)) == 2
    compiled.load_state_dict(eager.state_dict())
    backend.compile_network(compiled)
    images = torch.randn(8, 3, 32, 32, dtype=torch.float64)
    for network in (eager, compiled):
        network(images).square().sum().backward()
    for one, other in zip(eager.parameters(), compiled.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-9, atol=1e-9)
    assert list(compiled.state_dict()) == list(eager.state_dict())


def test_work_to_be_captured_moves_no_tensor(recipe: Recipe, dataset: Dataset) -> None:
    """What a graph replays reads and writes fixed addresses."""
    learner = Learner(build("resnet-8"), recipe, dataset.train, CPU)

    def addresses() -> list[int]:
        fixed = [*learner.network.parameters(), *learner.network.buffers(), *learner.momentum]
        fixed += [*learner.plan.columns(), learner.rates, learner.rate, learner.position]
        fixed += [*learner.trained, *learner.evaluated, learner.pixels, learner.labels]
        fixed += [g["lr"] for g in learner.optimizer.param_groups]
        fixed += [s["momentum_buffer"] for s in learner.optimizer.state.values()]
        return [tensor.data_ptr() for tensor in fixed]

    before = addresses()
    plan = BatchStream(len(dataset.train), 4, seed=0).plan(0, 2)
    learner.load(plan, [0.1, 0.1])
    learner.advance(2)
    with learner.buffers_kept():
        exhaust(learner.recompute_statistics(plan))
        exhaust(learner.evaluate(dataset.test))
    learner.restore(learner.state())
    assert addresses() == before


@pytest.mark.parametrize("size", [1, 249, 250, 251])
def test_evaluation_counts_each_image_once(recipe: Recipe, dataset: Dataset, size: int) -> None:
    learner = Learner(build("resnet-8"), recipe, dataset.train, CPU)
    images = data.synthetic(size, seed=2)
    exhaust(learner.evaluate(data.synthetic(300, seed=3)))  # leaves its images in the buffers
    exhaust(learner.evaluate(images))
    loss, error = learner.evaluation_errors(size)
    with torch.no_grad():
        logits = learner.network.eval()(learner.normalise(images.pixels))
    assert loss == pytest.approx(F.cross_entropy(logits, images.labels).item(), rel=1e-5)
    wrong = (logits.argmax(1) != images.labels).sum().item()
    assert error == pytest.approx(100 * wrong / size)


@pytest.mark.parametrize(("size", "at_once"), [(32, 250), (64, 64), (160, 64)])
def test_evaluation_takes_as_many_images_at_a_time_as_suits_their_size(
    size: int, at_once: int
) -> None:
    pixels = torch.zeros(1, 3, size, size, dtype=torch.uint8)
    assert Images(pixels, torch.zeros(1)).evaluation_batch == at_once


def test_a_plan_holds_as_many_batches_as_any_interval(recipe: Recipe, dataset: Dataset) -> None:
    """In warm-up too, where networks may be measured more seldom than after it."""
    from msgspec.structs import replace

    seldom = replace(recipe, measure_every=1, statistics_batches=1, measure_every_in_warmup=30)
    learner = Learner(build("plain-8"), seldom, dataset.train, CPU)
    learner.load(BatchStream(len(dataset.train), 4, seed=0).plan(0, 30), [0.1] * 30)
    learner.advance(30)
    assert learner.position.item() == 30

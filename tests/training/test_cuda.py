"""On a GPU: graphs compute what plain steps do, and a run does not depend on its company."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace

from resnet_paper.networks.build import build
from resnet_paper.runs.recipe import SETTINGS, Recipe
from resnet_paper.runs.run import Run
from resnet_paper.study.study import Study
from resnet_paper.study.trainer import Trainer
from resnet_paper.training import backend
from resnet_paper.training.backend import Backend
from resnet_paper.training.batches import BatchStream
from resnet_paper.training.engine import measure_cost
from resnet_paper.training.images import Dataset
from resnet_paper.training.learner import Learner
from resnet_paper.training.loop import ITERATIONS_AT_ONCE, train
from tests.training.trained import assert_same_result

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")


def plain(_: Backend, work: Callable[[], None]) -> Callable[[], None]:
    return work


def test_twenty_graph_steps_equal_plain_ones(
    recipe: Recipe, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a change of the learning rate half way, inside the graph."""
    recipe = replace(recipe, measure_every=20)
    rates = [0.01] * 10 + [0.001] * 10
    plan = BatchStream(len(dataset.train), recipe.batch_size, seed=0).plan(0, 20)
    results = []
    for captured in (Backend.captured, plain):
        monkeypatch.setattr(Backend, "captured", captured)
        chosen = backend.choose("cuda", "float32")
        learner = Learner(build("resnet-8"), recipe, dataset.train, chosen)
        learner.load(plan, rates)
        learner.advance(20)
        results.append((learner.training_errors(20 * recipe.batch_size), learner.state()))
    (errors, state), (expected_errors, expected) = results
    assert errors == pytest.approx(expected_errors, rel=1e-4)
    for name, value in state.weights.items():
        assert torch.allclose(value, expected.weights[name], rtol=1e-3, atol=1e-4), name


def test_the_rate_inside_the_graph_is_the_plans(recipe: Recipe, dataset: Dataset) -> None:
    chosen = backend.choose("cuda", "float32")
    learner = Learner(build("resnet-8"), recipe, dataset.train, chosen)
    before = learner.state().weights
    learner.load(BatchStream(len(dataset.train), 16, seed=0).plan(0, 3), [0.0, 0.0, 0.1])
    for count, moves in ((2, False), (1, True)):
        learner.advance(count)
        weights = learner.state().weights
        assert torch.equal(weights["stem.conv.weight"], before["stem.conv.weight"]) != moves


def test_what_the_device_has_finished_is_no_longer_ahead(recipe: Recipe, dataset: Dataset) -> None:
    chosen = backend.choose("cuda", "float32")
    learner = Learner(build("resnet-8"), recipe, dataset.train, chosen)
    learner.load(BatchStream(len(dataset.train), 16, seed=0).plan(0, 4), [0.01] * 4)
    for number in range(1, 5):
        learner.advance(1)
        assert 0 <= learner.ahead <= number
    learner.training_errors(1)  # waits for the device
    assert learner.ahead == 0


@pytest.mark.parametrize("precision", ["bfloat16", "tf32", "float32"])
@pytest.mark.parametrize("cut", [1, 4, 11])
def test_interrupted_equals_uninterrupted(
    tmp_path: Path,
    recipe: Recipe,
    dataset: Dataset,
    cut: int,
    precision: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cut before, at and after an iteration at which it is measured."""
    monkeypatch.setitem(ITERATIONS_AT_ONCE, "cuda", 1)
    chosen = backend.choose("cuda", precision)
    runs = [Run(tmp_path / name, "tiny", "resnet-8", 0) for name in ("cut", "whole")]
    steps = train(runs[0], recipe, dataset, chosen)
    while next(steps).iteration < cut:
        pass
    steps.close()
    for run in runs:
        for _ in train(run, recipe, dataset, chosen):
            pass
    assert_same_result(*runs)


def test_alone_equals_in_company(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SETTINGS, "small", recipe)
    networks = ["resnet-8", "plain-8", "resnet-14"]
    for name, at_once in (("alone", 1), ("company", 3)):
        study = Study("small", tmp_path / name, seeds=2)
        Trainer("cuda", concurrent=at_once).complete(study, study.runs_of(networks))
    for network in networks:
        runs = [Run(tmp_path / name, "small", network, 1) for name in ("alone", "company")]
        assert_same_result(*runs)


@pytest.mark.parametrize(
    ("precision", "apart"), [("float32", 1e-3), ("tf32", 1e-2), ("bfloat16", 3e-2)]
)
def test_the_gpu_computes_what_the_cpu_does_in_float32(
    recipe: Recipe, dataset: Dataset, precision: str, apart: float
) -> None:
    """Losses in training, in test and with precise BN, and the gradients that momentum sums up."""
    plan = BatchStream(len(dataset.train), recipe.batch_size, seed=0).plan(0, 4)
    losses, momenta = [], []
    for chosen in (backend.choose("cpu", "float32"), backend.choose("cuda", precision)):
        learner = Learner(build("resnet-8"), recipe, dataset.train, chosen)
        learner.load(plan, [0.01] * 4)
        learner.advance(4)
        of_training = learner.training_errors(4 * recipe.batch_size)[0]
        of_test = loss_in_test(learner, dataset)
        with learner.buffers_kept():
            for _ in learner.recompute_statistics(plan):
                pass
            losses.append((of_training, of_test, loss_in_test(learner, dataset)))
        momenta.append(torch.cat([m.flatten() for m in learner.state().momentum]))
    assert losses[1] == pytest.approx(losses[0], rel=apart)
    assert (momenta[1] - momenta[0]).norm() < 3 * apart * momenta[0].norm()


def loss_in_test(learner: Learner, dataset: Dataset) -> float:
    for _ in learner.evaluate(dataset.test):
        pass
    return learner.evaluation_errors(len(dataset.test))[0]


def test_a_run_at_once_is_counted_by_the_memory_that_it_takes(
    recipe: Recipe, dataset: Dataset
) -> None:
    chosen = backend.choose("cuda", "float32")
    costs = [
        measure_cost(network, recipe, dataset, chosen) for network in ("resnet-8", "resnet-56")
    ]
    assert 0 < costs[0].memory < costs[1].memory < 3 * 2**30

"""Training tiny runs, whole or interrupted, and comparing what they leave."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import torch

from resnet_paper.runs.recipe import Recipe
from resnet_paper.runs.run import Result, Run
from resnet_paper.training import backend
from resnet_paper.training.backend import Backend
from resnet_paper.training.images import Dataset
from resnet_paper.training.loop import Progress, train

CPU = backend.choose("cpu", "float32")


def complete(run: Run, recipe: Recipe, dataset: Dataset, backend: Backend = CPU) -> Run:
    """Train a run to its end."""
    for _ in train(run, recipe, dataset, backend):
        pass
    return run


def stopped(
    run: Run,
    recipe: Recipe,
    dataset: Dataset,
    when: Callable[[int, Progress], bool],
    backend: Backend = CPU,
) -> Run:
    """Train a run until a condition on the number of steps and the progress holds; then stop it."""
    steps = train(run, recipe, dataset, backend)
    for count, progress in enumerate(steps, start=1):
        if when(count, progress):
            steps.close()
            break
    return run


def interrupted(run: Run, recipe: Recipe, dataset: Dataset, at: int, backend: Backend = CPU) -> Run:
    """Train a run up to an iteration."""
    return stopped(run, recipe, dataset, lambda _, progress: progress.iteration == at, backend)


def weights_of(result: Result) -> dict[str, torch.Tensor]:
    return torch.load(result.run.weights_file, weights_only=True)


def assert_same_result(one: Run, other: Run) -> None:
    """Two runs have the same curve, seconds aside, and the same weights, bit for bit."""
    results = [run.result() for run in (one, other)]
    curves = [result.curve.drop(columns="seconds") for result in results]
    pd.testing.assert_frame_equal(*curves, check_exact=True)
    weights, expected = map(weights_of, results)
    assert weights.keys() == expected.keys()
    for name, value in weights.items():
        assert torch.equal(value, expected[name]), name

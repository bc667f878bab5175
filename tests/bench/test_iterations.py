"""What is timed, and that runs at once are timed by turns, as training gives them."""

from typing import Any

import pytest
import torch

from resnet_paper.bench import iterations
from resnet_paper.runs.recipe import PAPER
from resnet_paper.training import backend
from resnet_paper.training.fused import support
from resnet_paper.training.loop import ITERATIONS_AT_ONCE, MOST_AHEAD


class SlowLearner:
    """A learner whose device ends one call of `advance` each time that it is looked at."""

    def __init__(self, *_: Any) -> None:
        self.iterations = self.pending = self.most = 0

    def load(self, *_: Any) -> None:
        self.iterations = 0

    def advance(self, count: int) -> None:
        self.iterations += count
        self.pending += 2
        self.most = max(self.most, self.pending)

    @property
    def ahead(self) -> int:
        self.pending = max(self.pending - 1, 0)
        return self.pending

    def training_errors(self, _: int) -> None:
        self.pending = 0


def test_each_run_gets_its_iterations_and_none_runs_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    learners = [SlowLearner(), SlowLearner()]
    made = iter(learners)
    monkeypatch.setattr(iterations, "Learner", lambda *_: next(made))
    monkeypatch.setattr(backend, "can_compile", lambda: False)  # finding out takes seconds
    assert iterations.runs_an_hour("resnet-8", "cpu", at_once=2) > 0
    for learner in learners:
        assert learner.iterations == PAPER.measure_every // ITERATIONS_AT_ONCE["cpu"]
        assert learner.most < 2 * MOST_AHEAD, "of some thousand calls"


def test_what_is_timed_follows_from_the_kernels_that_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backend, "can_compile", lambda: False)
    assert list(iterations.loops("cpu")) == ["ours", "plain PyTorch"]
    monkeypatch.setattr(backend, "can_compile", lambda: True)
    monkeypatch.setattr(backend, "has_bfloat16", lambda device: False)
    assert list(iterations.loops("cpu")) == ["ours", "ours, KERNELS=pytorch", "plain PyTorch"]
    monkeypatch.setattr(backend, "has_bfloat16", lambda device: True)
    assert list(iterations.loops("cpu")) == ["ours", "ours, KERNELS=fused", "plain PyTorch"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(support, "missing", lambda: "")
    assert list(iterations.loops("cuda")) == [
        "ours",
        "ours, KERNELS=fused",
        "compiled blocks in a CUDA graph",
        "plain PyTorch with resident data",
        "plain PyTorch",
    ]


def test_figure_6_has_nine_networks() -> None:
    assert len(set(iterations.FIGURE6)) == 9

"""A set of runs: trained by turns or one after another, the same; none trained twice."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import click
import pandas as pd
import pytest
import torch

from resnet_paper.errors import UserError
from resnet_paper.runs.recipe import SETTINGS, Recipe
from resnet_paper.runs.run import Run
from resnet_paper.study import study
from resnet_paper.study.study import Study


@pytest.fixture
def small(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings called "small"."""
    monkeypatch.setitem(SETTINGS, "small", recipe)


def small_study(root: Path, **options: int) -> Study:
    return replace(Study("small", root, precision="float32", device="cpu"), **options)


def weights(run: Run) -> list[torch.Tensor]:
    return list(torch.load(run.weights_file, weights_only=True).values())


@pytest.mark.usefixtures("small")
def test_runs_by_turns_equal_runs_one_after_another(tmp_path: Path) -> None:
    networks = ["resnet-8", "plain-8"]
    alone, together = small_study(tmp_path / "a"), small_study(tmp_path / "b", concurrent=3)
    for one in (alone, together):
        one.complete(replace(one, seeds=2).runs_of(networks))
    assert len(alone.recorded()) == 4
    for run, other in zip(alone.recorded(), together.recorded(), strict=True):
        assert (run.network, run.seed) == (other.network, other.seed)
        curves = [r.curve().drop(columns="seconds") for r in (run, other)]
        pd.testing.assert_frame_equal(*curves, check_exact=True)
        assert all(map(torch.equal, weights(run), weights(other)))


@pytest.mark.usefixtures("small")
def test_a_run_held_by_another_process_is_left_to_it_and_the_others_are_trained(
    tmp_path: Path,
) -> None:
    one = small_study(tmp_path)
    runs = one.runs_of(["resnet-8", "plain-8"])
    with (
        runs[0].locked(),
        pytest.raises(UserError, match="resnet-8 seed 0: still being trained"),
    ):
        one.complete(runs)
    assert one.recorded() == [runs[1]]


@pytest.mark.usefixtures("small")
def test_a_run_that_cannot_go_on_is_said_before_any_is_trained(tmp_path: Path) -> None:
    one = small_study(tmp_path)
    runs = one.runs_of(["resnet-8", "plain-8"])
    runs[1].directory.mkdir(parents=True)
    runs[1].checkpoint_file.write_bytes(b"damaged")
    with pytest.raises(UserError, match="is damaged"):
        one.complete(runs)
    assert not runs[0].directory.exists()


@pytest.mark.usefixtures("small")
def test_a_run_that_another_process_has_finished_meanwhile_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = small_study(tmp_path)
    runs = one.runs_of(["resnet-8"])
    one.complete(runs)
    finished = iter([False, True, True])
    monkeypatch.setattr(Run, "finished_by", lambda *_: next(finished))
    monkeypatch.setattr(Study, "train", lambda *_: runs)
    one.complete(runs)


@pytest.mark.usefixtures("small")
def test_a_full_gpu_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Study, "train", full)
    one = small_study(tmp_path)
    with pytest.raises(UserError, match="memory is full"):
        one.complete(one.runs_of(["resnet-8"]))


@pytest.mark.usefixtures("small")
def test_a_stop_leaves_checkpoints_of_all_that_were_in_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop:
        looks = 0

        def is_set(self) -> bool:
            self.looks += 1
            return self.looks > 4

    monkeypatch.setattr(study, "stop_request", lambda: nullcontext(Stop()))
    one = small_study(tmp_path, concurrent=2)
    runs = one.runs_of(["resnet-8", "plain-8"])
    with pytest.raises(click.exceptions.Exit) as caught:
        one.complete(runs)
    assert caught.value.exit_code == 130
    assert all(run.checkpoint_file.exists() and not run.finished for run in runs)


def test_what_is_recorded_by_another_recipe_is_not_drawn(
    record_run: Callable[..., Run],
) -> None:
    run = record_run("resnet-20", settings="tiny")
    record = run.record()
    record["recipe"]["momentum"] = 0.5
    run.write_record(record)
    with pytest.raises(UserError, match=r"momentum 0\.5, not 0\.9"):
        Study("tiny", run.root).recorded()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3.4, "3 s"), (89, "89 s"), (100, "2 min"), (3_590, "1 h 00 min"), (6_720, "1 h 52 min")],
)
def test_duration_in_words(seconds: float, words: str) -> None:
    assert study.duration(seconds) == words


def test_cost_counts_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tests, a training error and 64 batches of statistics every 1,000 iterations."""
    monkeypatch.setattr("resnet_paper.training.loop.seconds_per_iteration", lambda *_: 0.1)
    seconds = Study().cost("resnet-20", None, None)
    evaluated = 10_000 + 10_000 + 10_000 + 64 * 128
    assert seconds == pytest.approx(6_400 * (1 + evaluated / (3 * 128_000)))

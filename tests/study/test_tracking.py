"""Live curves hold each measurement once, also after a run was resumed."""

from pathlib import Path

import pytest

from resnet_paper.errors import UserError
from resnet_paper.runs.recipe import Recipe
from resnet_paper.runs.run import Run
from resnet_paper.study import scheduler, tracking
from resnet_paper.study.study import Study
from resnet_paper.study.tracking import FOLDER, SCALARS, SPEED, Tracker
from resnet_paper.training.data import Dataset
from tests.training.trained import CPU, complete, interrupted

accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="no tensorboard"
)


def curves(root: Path, run: Run) -> dict[str, list[tuple[int, float]]]:
    """The scalars that TensorBoard reads of a run: tag -> (step, value)."""
    folder = root / FOLDER / run.settings / run.network / f"seed-{run.seed}"
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


@pytest.mark.usefixtures("small")
def test_a_resumed_run_has_each_step_once(tmp_path: Path, recipe: Recipe, dataset: Dataset) -> None:
    study = Study("small", tmp_path, device="cpu", precision="float32", track="tensorboard")
    run = study.run("resnet-8", 0)
    interrupted(run, recipe, dataset, at=5)
    study.complete([run])
    found, curve = curves(tmp_path, run), run.result().curve
    assert found.keys() == {*SCALARS.values(), SPEED} - {SCALARS["val_error"]}
    for column, tag in SCALARS.items():
        if column != "val_error":
            expected = list(zip(curve["iteration"], curve[column], strict=True))
            assert [step for step, _ in found[tag]] == [step for step, _ in expected]
            assert [v for _, v in found[tag]] == pytest.approx([v for _, v in expected], rel=1e-5)


@pytest.mark.usefixtures("small")
def test_a_stop_and_another_sitting_double_no_step(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    run = Run(tmp_path, "small", "resnet-8", 0)
    for iteration in (9, 10):
        with Tracker("tensorboard", tmp_path, recipe) as tracker:
            tracker.begin(interrupted(run, recipe, dataset, at=iteration))
    assert [step for step, _ in curves(tmp_path, run)["error (%)/test"]] == [4, 8]


def test_a_finished_run_is_exported(tmp_path: Path, recipe: Recipe, dataset: Dataset) -> None:
    run = complete(Run(tmp_path, "small", "plain-8", 0), recipe, dataset)
    with Tracker("tensorboard", tmp_path, recipe) as tracker:
        tracker.begin(run)
    seconds = run.result().curve["seconds"].tolist()
    speeds = dict(curves(tmp_path, run)[SPEED])
    if seconds[0] > 0:
        assert speeds[4] == pytest.approx(4 * 16 / seconds[0], rel=1e-3)


def test_a_missing_package_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(UserError, match="TRACK=wandb needs the package wandb"):
        tracking.summary_writer("wandb", tmp_path)


def test_without_a_tracker_nothing_is_written(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "summary_writer", lambda *_: pytest.fail("tracked"))
    run = Run(tmp_path, "small", "plain-8", 0)
    assert scheduler.train_by_turns([run], 1, recipe, dataset, CPU) == []
    assert not (tmp_path / FOLDER).exists()

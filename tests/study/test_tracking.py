"""Live curves hold each measurement once, also after a run was resumed."""

import os
import shutil
import struct
import subprocess
import sys
from json import loads
from pathlib import Path
from typing import Any

import pytest

from resnet_paper.errors import UserError
from resnet_paper.runs.recipe import Recipe
from resnet_paper.runs.run import Run
from resnet_paper.study import scheduler, tracking
from resnet_paper.study.study import Study
from resnet_paper.study.tracking import FOLDER, SCALARS, SPEED, Tracker
from resnet_paper.study.trainer import Trainer
from resnet_paper.training.engine import Local
from resnet_paper.training.images import Dataset
from tests.training.trained import CPU, complete, interrupted

ROOT = Path(__file__).parents[2]

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
    study = Study("small", tmp_path)
    run = study.run("resnet-8", 0)
    interrupted(run, recipe, dataset, at=5)
    Trainer("cpu", "float32", track="tensorboard").complete(study, [run])
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
        assert speeds[4] == pytest.approx(4 * recipe.batch_size / seconds[0], rel=1e-3)


def test_a_missing_package_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(UserError, match="TRACK=wandb needs the package wandb"):
        tracking.summary_writer("wandb", tmp_path)


# Exports a published run to a W&B run that stays on the disk.
OFFLINE = """
import sys
from pathlib import Path
from resnet_paper.runs.recipe import PAPER
from resnet_paper.runs.run import Run
from resnet_paper.study.tracking import Tracker

root = Path(sys.argv[1])
with Tracker("wandb", root, PAPER) as tracker:
    tracker.begin(Run(root, "paper", "resnet-20", 0))
"""


def history(file: Path) -> list[dict[str, Any]]:
    """The rows that a W&B run logged, read from its file: records of protocol buffers in a
    LevelDB log, whose blocks of 32 KiB hold chunks (checksum, length, type) of records."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, chunks, rows = file.read_bytes(), 7, b"", []
    while place + 7 <= len(content):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack("<HB", content[place + 4 : place + 7])
        chunks += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or its last part
            record, chunks = Record.FromString(chunks), b""
            if record.history.item:
                rows.append(
                    {"/".join(i.nested_key): loads(i.value_json) for i in record.history.item}
                )
    return rows


def wandb_offline(root: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("wandb", reason="no wandb")
    shutil.copytree(ROOT / "experiments" / "runs" / "paper", root / "paper")
    return subprocess.run(
        [sys.executable, "-c", OFFLINE, root],
        cwd=ROOT,
        env={**os.environ, "HOME": str(root), "WANDB_ERROR_REPORTING": "false", **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_wandb_has_each_measurement_at_its_iteration(tmp_path: Path) -> None:
    answer = wandb_offline(tmp_path, WANDB_MODE="offline")
    assert answer.returncode == 0, answer.stderr
    (file,) = tmp_path.glob("wandb/offline-*/*.wandb")
    rows, curve = history(file), Run(tmp_path, "paper", "resnet-20", 0).result().curve
    assert [row["global_step"] for row in rows] == curve["iteration"].tolist()
    errors = [row["paper/resnet-20/seed-0/error (%)/test"] for row in rows]
    assert errors == pytest.approx(curve["test_error"].tolist(), rel=1e-5)


@pytest.mark.slow
def test_wandb_without_an_account_is_refused(tmp_path: Path) -> None:
    answer = wandb_offline(tmp_path)
    assert answer.returncode == 1
    last = answer.stderr.splitlines()[-1]
    assert "UserError: W&B: " in last
    assert "WANDB_MODE=offline" in last


def test_without_a_tracker_nothing_is_written(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "summary_writer", lambda *_: pytest.fail("tracked"))
    run, engine = Run(tmp_path, "small", "plain-8", 0), Local(recipe, CPU)
    engine.take(dataset)
    assert scheduler.train_by_turns([run], 1, recipe, engine) == []
    assert not (tmp_path / FOLDER).exists()

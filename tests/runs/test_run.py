"""Files are written whole or not at all, and only finished runs are results."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from resnet_paper.errors import UserError
from resnet_paper.runs.recipe import PAPER
from resnet_paper.runs.run import Run, recorded, write

RecordRun = Callable[..., Run]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.json"
    write(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"cannot write .*run\.json \(No space left on device\)"):
        write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_only_finished_runs_are_recorded(record_run: RecordRun, tmp_path: Path) -> None:
    finished = record_run("resnet-20", 1)
    record_run("resnet-20", 0)
    cut_off = record_run("resnet-32")
    cut_off.write_record(cut_off.record() | {"finished": False})
    record_run("resnet-20", 0, settings="tiny")
    assert recorded(tmp_path, "paper") == [replace(finished, seed=0), finished]


def test_a_run_by_another_recipe_does_not_count(record_run: RecordRun) -> None:
    run = record_run("resnet-20")
    assert run.finished_by(PAPER)
    with pytest.raises(UserError, match=r"batch_size 128, not 64"):
        run.finished_by(replace(PAPER, batch_size=64))


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"finished": "yes"}', "\x00\xff"])
def test_a_damaged_record_is_named_and_kept(record_run: RecordRun, content: str) -> None:
    run = record_run("resnet-20")
    path = run.directory / "run.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match=r"run\.json") as caught:
        recorded(run.root, "paper")
    assert "\n" not in caught.value.message
    assert path.read_text(encoding="latin-1") == content


@pytest.mark.parametrize(
    "change",
    [
        {"network": "plain-20"},
        {"seed": 1},
        {"recipe": None},
        {"test_error": None},
        {"sha256": {}},
    ],
)
def test_a_record_that_does_not_fit_is_refused(
    record_run: RecordRun, change: dict[str, object]
) -> None:
    run = record_run("resnet-20")
    run.write_record({**run.record(), **change})
    with pytest.raises(UserError, match=r"run\.json is"):
        recorded(run.root, "paper")


def test_a_record_changed_by_hand_is_refused(record_run: RecordRun) -> None:
    run = record_run("resnet-20", error=8.5)
    path = run.directory / "run.json"
    path.write_text(path.read_text().replace("8.5", "7.5"))
    with pytest.raises(UserError, match="not the record that a run left"):
        recorded(run.root, "paper")


def test_a_changed_curve_gives_no_numbers(record_run: RecordRun) -> None:
    run = record_run("resnet-20")
    path = run.directory / "curve.csv"
    whole = path.read_text()
    for damaged in ("", "\x00", whole[: len(whole) // 2], whole.replace("8.0", "7.0")):
        path.write_text(damaged)
        with pytest.raises(UserError, match=r"curve\.csv is not the file that the run left"):
            run.curve()
    path.unlink()
    with pytest.raises(UserError, match=r"curve\.csv cannot be read"):
        run.curve()


def test_responses_count_only_if_recorded(record_run: RecordRun) -> None:
    run = record_run("resnet-20")
    stale = run.directory / "responses.csv"
    stale.write_text("layer,name,std\n1,a,0.5\n")
    assert run.responses() is None
    run.write_responses(pd.DataFrame({"layer": [1], "name": ["a"], "std": [0.7]}))
    assert run.responses()["std"].tolist() == [0.7]


def test_a_full_disk_is_one_line_when_locking(tmp_path: Path) -> None:
    run = Run(tmp_path, "tiny", "resnet-8", 0)
    run.directory.mkdir(parents=True)
    (run.directory / "lock").symlink_to("/dev/full")
    with pytest.raises(UserError, match="cannot write"), run.locked():
        pass


def test_a_lock_holds_against_others_and_ends_with_its_holder(tmp_path: Path) -> None:
    run = Run(tmp_path, "tiny", "resnet-8", 0)
    named = f"process {os.getpid()} on "
    with run.locked(), pytest.raises(UserError, match=named), run.locked():
        pass
    with run.locked():
        pass


def test_a_directory_that_is_no_seed_is_no_run(record_run: Callable[..., Run]) -> None:
    run = record_run("resnet-20")
    shutil.copytree(run.directory, run.directory.with_name("seed-00"))
    assert recorded(run.root, "paper") == [run]

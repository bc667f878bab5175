"""Only finished runs are results, and each result is what the run left."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from msgspec.structs import replace

from resnet_paper.errors import UserError
from resnet_paper.results.summary import summary
from resnet_paper.runs.provenance import this_process
from resnet_paper.runs.recipe import PAPER
from resnet_paper.runs.run import Result, Run, finished_runs

RecordRun = Callable[..., Result]


def test_only_finished_runs_are_results(record_run: RecordRun, tmp_path: Path) -> None:
    for seed in (1, 0):
        record_run("resnet-20", seed)
    record_run("resnet-20", 0, settings="tiny")
    unfinished = record_run("resnet-32")
    unfinished.run.write_record({**unfinished.content, "finished": False})
    results = finished_runs(tmp_path, "paper")
    assert [result.run for result in results] == [
        Run(tmp_path, "paper", "resnet-20", seed) for seed in (0, 1)
    ]
    assert not unfinished.run.finished
    with pytest.raises(UserError, match=r"resnet-32 seed 0 has not finished in .*paper"):
        unfinished.run.result()


def test_a_run_without_a_record(tmp_path: Path) -> None:
    run = Run(tmp_path, "paper", "resnet-20", 0)
    assert run.record() is None
    assert not run.finished
    assert not run.is_finished_with(PAPER)
    assert finished_runs(tmp_path, "paper") == []


def test_a_run_by_another_recipe_does_not_count(record_run: RecordRun) -> None:
    run = record_run("resnet-20").run
    assert run.is_finished_with(PAPER)
    with pytest.raises(UserError, match=r"batch_size 128, not 64"):
        run.is_finished_with(replace(PAPER, batch_size=64))
    with pytest.raises(UserError, match=r"train_images 50000, not 45000"):
        run.is_finished_with(replace(PAPER, train_images=45_000, validation_images=5_000))


def test_a_field_newer_than_the_record_has_its_default(record_run: RecordRun) -> None:
    result = record_run("resnet-20")
    older = {k: v for k, v in result.content["recipe"].items() if k != "normalisation"}
    result.run.write_record({**result.content, "recipe": older})
    assert result.run.is_finished_with(PAPER)
    with pytest.raises(UserError, match=r"normalisation per-pixel mean, not channels"):
        result.run.is_finished_with(replace(PAPER, normalisation="channels"))


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"finished": "yes"}', "\x00\xff"])
def test_a_damaged_record_is_named_and_kept(record_run: RecordRun, content: str) -> None:
    run = record_run("resnet-20").run
    run.record_file.write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match=r"run\.json") as caught:
        finished_runs(run.root, "paper")
    assert "\n" not in caught.value.message
    assert run.record_file.read_text(encoding="latin-1") == content


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
    result = record_run("resnet-20")
    result.run.write_record({**result.content, **change})
    with pytest.raises(UserError, match=r"run\.json is"):
        finished_runs(result.run.root, "paper")


def test_a_record_changed_by_hand_is_refused(record_run: RecordRun) -> None:
    run = record_run("resnet-20", error=8.5).run
    run.record_file.write_text(run.record_file.read_text().replace("8.5", "7.5"))
    with pytest.raises(UserError, match="not the record that a run left"):
        finished_runs(run.root, "paper")


def test_a_changed_curve_gives_no_numbers(record_run: RecordRun) -> None:
    run = record_run("resnet-20").run
    path = run.directory / "curve.csv"
    whole = path.read_text()
    for damaged in ("", "\x00", whole[: len(whole) // 2], whole.replace("8.0", "7.0")):
        path.write_text(damaged)
        with pytest.raises(UserError, match=r"curve\.csv is not the file that the run left"):
            run.result()
    path.unlink()
    with pytest.raises(UserError, match=r"curve\.csv cannot be read"):
        run.result()


def test_responses_count_only_if_recorded(record_run: RecordRun) -> None:
    run = record_run("resnet-20").run
    (run.directory / "responses.csv").write_text("layer,name,std\n1,a,0.5\n")
    result = run.result()
    assert (result.responses, result.mean_response) == (None, None)
    table = pd.DataFrame({"layer": [1, 2], "name": ["a", "b"], "std": [0.7, 0.9]})
    result = result.write_responses(table)
    pd.testing.assert_frame_equal(result.responses, table)
    assert result.mean_response == pytest.approx(0.8)


def test_summary_is_a_row_a_result(record_run: RecordRun) -> None:
    whole = record_run("resnet-20", error=8.5, responses=[0.5, 0.7], train_error_clean=0.5)
    diverged = record_run("plain-110", error=90.0, responses=[1.0], diverged=3_000)
    table = summary([whole, diverged]).set_index("network")
    assert table["test_error"].tolist() == pytest.approx([8.5, float("nan")], nan_ok=True)
    assert table["mean_response"].tolist() == pytest.approx([0.6, float("nan")], nan_ok=True)
    assert table["train_error_clean"]["resnet-20"] == 0.5
    assert table["diverged"].tolist() == [False, True]
    assert summary([]).columns.tolist() == summary([whole]).columns.tolist()


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


def test_a_directory_that_is_no_seed_is_no_run(record_run: RecordRun) -> None:
    run = record_run("resnet-20").run
    shutil.copytree(run.directory, run.directory.with_name("seed-00"))
    assert [result.run for result in finished_runs(run.root, "paper")] == [run]


def test_responses_are_not_written_to_a_run_that_has_taken_the_place(
    record_run: RecordRun,
) -> None:
    old = record_run("resnet-20", error=8.0)
    new = record_run("resnet-20", error=9.0)
    with pytest.raises(UserError, match="resnet-20 seed 0 has changed meanwhile"):
        old.write_responses(pd.DataFrame({"layer": [1], "name": ["a"], "std": [0.7]}))
    assert new.run.result().record == new.record


def test_looking_whether_a_run_is_in_use_keeps_nobody_from_it(tmp_path: Path) -> None:
    run = Run(tmp_path, "tiny", "resnet-8", 0)
    with run.locked():
        assert run.holder == this_process()
    looking = True

    def look() -> None:
        while looking:
            assert run.holder in (None, this_process())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(300):
            with run.locked():
                pass
    finally:
        looking = False
        thread.join()
    assert run.holder is None


def test_only_the_networks_that_are_asked_for_are_read(record_run: RecordRun) -> None:
    wanted, other = record_run("resnet-20"), record_run("vgg-19")
    (other.run.directory / "curve.csv").write_text("damaged")
    (found,) = finished_runs(wanted.run.root, "paper", ["resnet-20"])
    assert found.record == wanted.record
    with pytest.raises(UserError, match="vgg-19"):
        finished_runs(wanted.run.root, "paper")

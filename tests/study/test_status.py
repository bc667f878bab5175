"""The status of a study is read from its files, and says what is held by a process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from resnet_paper.runs.provenance import this_process
from resnet_paper.runs.recipe import Recipe
from resnet_paper.runs.run import Result
from resnet_paper.study.status import (
    DAMAGED,
    FINISHED,
    MISSING,
    STOPPED,
    UNDER_WAY,
    how_to_drop,
    status,
)
from resnet_paper.study.study import Study
from resnet_paper.training.images import Dataset
from tests.training.trained import interrupted


@pytest.mark.usefixtures("small")
def test_a_run_is_missing_stopped_under_way_or_finished(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    study = Study("small", tmp_path)
    wanted = study.runs_of(["plain-8", "resnet-8"])
    assert [each.state for each in status(study, wanted)] == [MISSING, MISSING]
    interrupted(wanted[0], recipe, dataset, at=7)
    stopped, _ = status(study, wanted)
    assert (stopped.state, stopped.iteration, stopped.iterations) == (STOPPED, 4, 12)
    assert stopped.seconds_left is not None
    assert str(stopped).startswith("plain-8 seed 0: stopped at 33%, test error ")
    assert how_to_drop([stopped]).endswith(f"rm -r {wanted[0].directory}")
    with wanted[0].locked():
        under_way = status(study, wanted)[0]
    assert under_way.state == UNDER_WAY
    assert how_to_drop([under_way]) == ""
    assert str(under_way).startswith(f"plain-8 seed 0: under way at 33% in {this_process()}, test")


def test_a_damaged_run_hides_no_other(record_run: Callable[..., Result]) -> None:
    damaged, intact = record_run("resnet-20"), record_run("resnet-32")
    damaged.run.record_file.write_text("{")
    states = [each.state for each in status(Study(root=intact.run.root), [])]
    assert states == [DAMAGED, FINISHED]


def test_finished_runs_that_were_not_asked_for_are_named_too(
    record_run: Callable[..., Result],
) -> None:
    result = record_run("resnet-26", seed=3, error=7.5)
    study = Study(root=result.run.root)
    asked, found = status(study, study.runs_of(["resnet-20"]))
    assert (asked.state, found.run, found.state) == (MISSING, result.run, FINISHED)
    assert str(found) == "resnet-26 seed 3: finished, test error 7.50%"


def test_a_diverged_run_is_said_to_have_diverged_and_has_no_error(
    record_run: Callable[..., Result],
) -> None:
    result = record_run("plain-110", error=90.0, diverged=3_000)
    (found,) = status(Study(root=result.run.root), [])
    assert str(found) == "plain-110 seed 0: diverged at iteration 3,000"

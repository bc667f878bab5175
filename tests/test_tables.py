"""Table 6 holds the paper's numbers and ours, and a dash where nothing was measured."""

from collections.abc import Callable
from pathlib import Path

import pytest

from resnet_paper import paper, tables
from resnet_paper.runs import Run

RecordRun = Callable[..., Run]


def test_without_runs_the_table_is_the_papers() -> None:
    table = tables.table6([])
    assert table["error"].tolist() == [result.error for result in paper.TABLE6]
    assert table["ours_best"].isna().all()
    lines = tables.table6_markdown(table).splitlines()
    assert lines[-2] == "| ResNet | 110 | 1.7M | 6.43 (6.61 ± 0.16) | – | – |"
    assert lines[2] == "| Maxout | – | – | 9.38 | – | – |"


def test_one_run_is_its_error_and_several_are_best_mean_and_sample_std(
    record_run: RecordRun,
) -> None:
    runs = [record_run("resnet-20", 0, 8.50)]
    runs += [record_run("resnet-110", k, error) for k, error in enumerate((6.5, 6.6, 7.0))]
    table = tables.table6(runs)
    lines = tables.table6_markdown(table).splitlines()
    assert "| ResNet | 20 | 0.27M | 8.75 | 8.50 | -0.25 |" in lines
    deepest = "| ResNet | 110 | 1.7M | 6.43 (6.61 ± 0.16) | 6.50 (6.70 ± 0.26, n = 3) | +0.09 |"
    assert deepest in lines, "the difference is between means"


def test_plain_nets_and_other_methods_take_no_number_of_a_resnet(record_run: RecordRun) -> None:
    table = tables.table6([record_run("plain-20", 0, 9.0), record_run("resnet-32", 0, 7.0)])
    assert table["ours_runs"].sum() == 1
    assert table.loc[table["layers"] == 32, "ours_runs"].tolist() == [0, 1], "Highway has 32 too"


def test_a_diverged_run_is_marked_and_its_error_does_not_count(record_run: RecordRun) -> None:
    runs = [record_run("resnet-20", 0, 8.5), record_run("resnet-20", 1, 90.0, diverged=2_000)]
    text = tables.table6_markdown(tables.table6(runs))
    assert "| ResNet | 20 | 0.27M | 8.75 | 8.50, 1 diverged | -0.25 |" in text
    assert "| 8.75 | –, 1 diverged | – |" in tables.table6_markdown(tables.table6(runs[1:]))


def test_files_are_written_whole(record_run: RecordRun, tmp_path: Path) -> None:
    text = tables.save_table6([record_run("resnet-20")], tmp_path / "figures", "A note.")
    assert (tmp_path / "figures" / "table6.md").read_text() == text
    assert text.endswith("\nA note.\n")
    header = (tmp_path / "figures" / "table6.csv").read_text().splitlines()[0]
    assert header.startswith("method,layers,parameters,error,mean,std,ours_best")


@pytest.mark.parametrize(("best", "words"), [(float("nan"), "–"), (7.1, "7.10")])
def test_words_for_no_run_and_one(best: float, words: str) -> None:
    assert tables.in_words(best, best, float("nan"), 1) == words

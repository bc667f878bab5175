"""Tables hold the paper's numbers and ours, and a dash where nothing was measured."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from resnet_paper.paper import facts, reproductions
from resnet_paper.results import tables
from resnet_paper.runs.recipe import PAPER
from resnet_paper.runs.run import Run

RecordRun = Callable[..., Run]


def table6(runs: list[Run]) -> pd.DataFrame:
    return tables.beside(facts.TABLE6, runs)


def table6_lines(runs: list[Run]) -> list[str]:
    return tables.markdown(tables.beside_in_words(table6(runs))).splitlines()


def test_without_runs_the_table_is_the_papers() -> None:
    table = table6([])
    assert table["error"].tolist() == [result.error for result in facts.TABLE6]
    assert table["ours_best"].isna().all()
    lines = table6_lines([])
    assert lines[-2] == "| ResNet | 110 | 1.7M | 6.43 (6.61 ± 0.16) | – | – |"
    assert lines[2] == "| Maxout | – | – | 9.38 | – | – |"


def test_one_run_is_its_error_and_several_are_best_mean_and_sample_std(
    record_run: RecordRun,
) -> None:
    runs = [record_run("resnet-20", 0, 8.50)]
    runs += [record_run("resnet-110", k, error) for k, error in enumerate((6.5, 6.6, 7.0))]
    lines = table6_lines(runs)
    assert "| ResNet | 20 | 0.27M | 8.75 | 8.50 | – | -0.25 |" in lines
    paper, ours = "6.43 (6.61 ± 0.16)", "6.50 (6.70 ± 0.26, n = 3) | 6.04 to 7.36"
    deepest = f"| ResNet | 110 | 1.7M | {paper} | {ours} | +0.09 |"
    assert deepest in lines, "the difference is between means"


def test_the_interval_is_students() -> None:
    """t(0.975, 4) = 2.776, from any table of the distribution."""
    of = tables.statistics(pd.Series([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert of["high"] - of["mean"] == pytest.approx(2.776 * of["std"] / 5**0.5, rel=1e-3)
    assert pd.isna(tables.statistics(pd.Series([1.0]))["low"])


def test_validation_errors_are_shown_where_there_are_any(record_run: RecordRun) -> None:
    runs = [record_run("resnet-20", seed, val_error=7.0 + seed) for seed in (0, 1)]
    assert any("| 7.50 ± 0.71 |" in line for line in table6_lines(runs))
    assert "validation" not in table6_lines([record_run("resnet-32")])[0]


def test_plain_nets_and_other_methods_take_no_number_of_a_resnet(record_run: RecordRun) -> None:
    table = table6([record_run("plain-20", 0, 9.0), record_run("resnet-32", 0, 7.0)])
    assert table["ours_runs"].sum() == 1
    assert table.loc[table["layers"] == 32, "ours_runs"].tolist() == [0, 1], "Highway has 32 too"


def test_a_diverged_run_is_marked_and_its_error_does_not_count(record_run: RecordRun) -> None:
    runs = [record_run("resnet-20", 0, 8.5), record_run("resnet-20", 1, 90.0, diverged=2_000)]
    line = "| ResNet | 20 | 0.27M | 8.75 | 8.50, 1 diverged | -0.25 |"
    assert line in table6_lines(runs)
    assert any("| 8.75 | –, 1 diverged | – |" in line for line in table6_lines(runs[1:]))


def test_files_are_written_whole(record_run: RecordRun, tmp_path: Path) -> None:
    text = tables.save_table6([record_run("resnet-20")], tmp_path / "figures", "A note.")
    assert (tmp_path / "figures" / "table6.md").read_text() == text
    assert text.endswith("\nA note.\n")
    header = (tmp_path / "figures" / "table6.csv").read_text().splitlines()[0]
    assert header.startswith("method,layers,parameters,error,mean,std,ours_best")


@pytest.mark.parametrize(("best", "words"), [(float("nan"), "–"), (7.1, "7.10")])
def test_words_for_no_run_and_one(best: float, words: str) -> None:
    assert tables.in_words(best, best, float("nan"), 1) == words


def test_plain_nets_stand_beside_what_is_read_off_figure_6(
    record_run: RecordRun, tmp_path: Path
) -> None:
    text = tables.save_plain([record_run("plain-20", error=9.0), record_run("plain-110")], tmp_path)
    assert "| Plain | 20 | 0.27M | 9.68 | 9.00 | -0.68 |" in text
    assert "| Plain | 56 | 0.85M | 13.25 | – | – |" in text
    assert "| Plain | 110 | 1.7M | above 60 | 8.00 | – |" in text


def test_reproductions_stand_beside_the_paper_and_ours(
    record_run: RecordRun, tmp_path: Path
) -> None:
    runs = [record_run("resnet-20", seed, error) for seed, error in enumerate((8.0, 9.0))]
    runs.append(record_run("resnet-20", 2, 90.0, diverged=1_000))
    text = tables.save_reproductions(runs, PAPER, tmp_path)
    header, _, *rows = (
        line.strip("| ").split(" | ") for line in text.split("\n\n")[0].splitlines()
    )
    others = [reproduction.who.split("/")[0] for reproduction in reproductions.REPRODUCTIONS]
    errors = {who: dict(zip(header[1:], cells, strict=True)) for who, *cells in rows}
    assert list(errors) == ["paper", "ours", *others]
    assert errors["paper"]["ResNet-20"] == "8.75"
    assert errors["ours"]["ResNet-20"] == "8.00 (8.50 ± 0.71, n = 2), 1 diverged"
    assert errors["akamaster"]["ResNet-20"] == "8.27"
    assert errors["paper"]["ResNet-110"] == "6.43 (6.61 ± 0.16)"
    assert errors["ours"]["ResNet-110"] == "–"
    assert errors["a-martyn"]["plain-20"] == "9.69"
    assert (
        "- ours: 50,000 images, 64,000 iterations, error at the last; of several runs the best"
        in text
    )
    assert "- [akamaster/pytorch_resnet_cifar10](https://github.com/akamaster/" in text


def test_distance_to_the_papers_curves_is_a_mean_of_absolute_differences(
    record_run: RecordRun,
) -> None:
    """Two made-up runs, 2 points above and 1 point below the paper wherever it can be read."""
    curve = facts.figure6_curves().query("network == 'resnet-20'").set_index("iteration")
    runs = []
    for seed, shift in enumerate((2.0, -1.0)):
        run = record_run("resnet-20", seed)
        rows = run.curve().set_index("iteration")
        rows["test_error"] = curve["test_error"] + shift
        record = run.record()
        record["sha256"]["curve.csv"] = run.write_curve(rows.reset_index().to_dict("records"))
        run.write_record(record)
        runs.append(run)
    table = tables.distances(runs).set_index("error")
    assert table.loc["test_error", ["until_32k", "after_32k"]].tolist() == [1.5, 1.5]
    assert table.loc["train_error", "after_32k"] > 5
    assert table["runs"].tolist() == [2] * 4
    assert table.loc["test_error", "points_after"] == curve["test_error"].loc[33_000:].count()
    assert tables.distances([record_run("resnet-26")]).empty, "the paper has no curve of it"


def test_mean_responses(record_run: RecordRun, tmp_path: Path) -> None:
    run = record_run("resnet-20")
    run.write_responses(pd.DataFrame({"layer": [1, 2], "name": "ab", "std": [0.5, 0.8]}))
    text = tables.save_responses([run, record_run("plain-20")], tmp_path)
    assert "| ResNet-20 | 0.650 | 1 |" in text
    assert "| plain-20 | – | 0 |" in text


def test_shortcut_options_in_the_papers_form(record_run: RecordRun, tmp_path: Path) -> None:
    runs = [record_run("resnet-20-b", error=8.25, parameters=272_474), record_run("resnet-20")]
    runs.append(record_run("resnet-20-b", 1, diverged=500, parameters=272_474))
    lines = tables.save_shortcuts(runs, 20, tmp_path).splitlines()
    assert lines[3] == "| ResNet-20 B | 272,474 | 8.25, 1 diverged | 24.52 |"
    assert lines[4] == "| ResNet-20 C | – | – | 24.19 |"


def test_a_comparison_reports_the_end_and_names_the_best_as_such(
    record_run: RecordRun, tmp_path: Path
) -> None:
    run = record_run("vgg-19", settings="100-epochs", error=9.0, parameters=38_958_922, test_loss=1)
    rows = run.curve().to_dict("records")
    rows[5]["test_error"] = 6.5
    record = run.record()
    record["sha256"]["curve.csv"] = run.write_curve(rows)
    run.write_record(record)
    header, _, line = tables.save_comparison([run], "100-epochs", tmp_path).splitlines()
    assert line == "| VGG-19, seed 0 | 38.96M | 1.0000 | 91.00 | 93.50 | 0.3345 | 92.87 |"
    assert "best on the test images" in header

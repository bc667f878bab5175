"""Tables hold the paper's numbers and ours, and a dash where nothing was measured."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from resnet_paper.paper import facts, reproductions
from resnet_paper.results import curves, tables, verdicts
from resnet_paper.results.formats import format_best
from resnet_paper.results.statistics import TEST_ERROR_SPREAD, statistics
from resnet_paper.runs.recipe import PAPER, SETTINGS
from resnet_paper.runs.run import Result

RecordRun = Callable[..., Result]


def lines(table: tables.Table) -> list[str]:
    return table.markdown().splitlines()


def test_what_was_trained_has_a_row(record_run: RecordRun) -> None:
    results = [record_run("resnet-8", error=20.0, parameters=78_042), record_run("plain-14")]
    table = lines(tables.table6(results, SETTINGS["tiny"]))
    assert "| ResNet | 8 | 0.08M | – | 20.00 |" in table
    assert table.index("| ResNet | 8 | 0.08M | – | 20.00 |") == 8, "before ResNet-20"
    assert "| Plain | 14 | 0.00M | – | 8.00 |" in lines(tables.plain(results, SETTINGS["tiny"]))


def test_without_runs_the_table_is_the_papers() -> None:
    table = tables.table6([], PAPER)
    assert table.numbers["error"].tolist() == [result.error for result in facts.TABLE6]
    assert table.numbers["ours_best"].isna().all()
    assert lines(table)[-2] == "| ResNet | 110 | 1.7M | 6.43 (6.61 ± 0.16) | – | – |"
    assert lines(table)[2] == "| Maxout | – | – | 9.38 | – | – |"


def test_one_run_is_its_error_and_several_are_best_mean_and_sample_std(
    record_run: RecordRun,
) -> None:
    results = [record_run("resnet-20", 0, 8.50)]
    results += [record_run("resnet-110", k, error) for k, error in enumerate((6.5, 6.6, 7.0))]
    table = lines(tables.table6(results, PAPER))
    assert "| ResNet | 20 | 0.27M | 8.75 | 8.50 | – | -0.25 |" in table
    paper, ours = "6.43 (6.61 ± 0.16)", "6.50 (6.70 ± 0.26, n = 3) | 6.04 to 7.36"
    deepest = f"| ResNet | 110 | 1.7M | {paper} | {ours} | +0.09 |"
    assert deepest in table, "the difference is between means"


def test_the_interval_is_students() -> None:
    """t(0.975, 4) = 2.776, from any table of the distribution."""
    of = statistics(pd.Series([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert of["high"] - of["mean"] == pytest.approx(2.776 * of["std"] / 5**0.5, rel=1e-3)
    assert pd.isna(statistics(pd.Series([1.0, 2.0]))["low"]), "two runs say too little"


def test_a_mean_between_two_hundredths_is_shown_alike_everywhere(record_run: RecordRun) -> None:
    """48.29 and 50.92 have 49.605 between them, in binary a little more or less."""
    runs = [record_run("plain-56", seed, error) for seed, error in enumerate((48.29, 50.92))]
    shown = "49.61 ± 1.86"
    assert shown in tables.plain(runs, PAPER).markdown()
    assert shown in tables.training(runs, PAPER).markdown()
    assert shown in verdicts.claims_table([record_run("plain-20"), *runs], PAPER).markdown()


def test_an_interval_is_shown_from_three_runs_on(record_run: RecordRun) -> None:
    two = [record_run("plain-20", seed, error) for seed, error in enumerate((9.0, 9.5))]
    assert "95% interval of the mean" not in tables.plain(two, PAPER).text
    three = [*two, record_run("plain-20", 2, 10.0)]
    interval = tables.plain(three, PAPER).text["95% interval of the mean"].iloc[0]
    assert interval == "8.26 to 10.74", "9.5 ± 4.303 · 0.5 / √3"


@pytest.mark.parametrize("settings", sorted(SETTINGS))
def test_the_difference_to_the_paper_is_a_column_of_its_own_recipe_alone(settings: str) -> None:
    for make in (tables.table6, tables.plain):
        table = make([], SETTINGS[settings])
        shown = {"difference" in table.numbers, "difference" in table.text}
        assert shown == {settings == "paper"}


def test_validation_errors_are_shown_where_there_are_any(record_run: RecordRun) -> None:
    results = [record_run("resnet-20", seed, val_error=7.0 + seed) for seed in (0, 1)]
    assert any("| 7.50 ± 0.71 |" in line for line in lines(tables.table6(results, PAPER)))
    without = tables.table6([record_run("resnet-32")], PAPER)
    assert "ours, validation (%)" not in without.text


def test_plain_nets_and_other_methods_take_no_number_of_a_resnet(record_run: RecordRun) -> None:
    results = [record_run("plain-20", 0, 9.0), record_run("resnet-32", 0, 7.0)]
    numbers = tables.table6(results, PAPER).numbers
    assert numbers["ours_runs"].sum() == 1
    assert numbers.loc[numbers["layers"] == 32, "ours_runs"].tolist() == [0, 1], "Highway, ResNet"


def test_a_diverged_run_is_marked_and_its_error_does_not_count(record_run: RecordRun) -> None:
    results = [record_run("resnet-20", 0, 8.5), record_run("resnet-20", 1, 90.0, diverged=2_000)]
    line = "| ResNet | 20 | 0.27M | 8.75 | 8.50, 1 diverged | -0.25 |"
    assert line in lines(tables.table6(results, PAPER))
    alone = lines(tables.table6(results[1:], PAPER))
    assert any("| 8.75 | –, 1 diverged | – |" in line for line in alone)


def test_a_table_is_saved_as_markdown_and_csv(tmp_path: Path) -> None:
    numbers, text = pd.DataFrame({"error": [8.5]}), pd.DataFrame({"error (%)": ["8.50"]})
    table = tables.Table("errors", numbers, text, "A note.")
    paths = tables.save(table, tmp_path / "figures")
    assert [path.name for path in paths] == ["errors.md", "errors.csv"]
    markdown, csv = (path.read_text() for path in paths)
    assert markdown == table.markdown() == "| error (%) |\n| --- |\n| 8.50 |\n\nA note.\n"
    assert csv == "error\n8.5\n"


@pytest.mark.parametrize(("best", "text"), [(float("nan"), "–"), (7.1, "7.10")])
def test_no_run_and_one(best: float, text: str) -> None:
    assert format_best(best, best, float("nan"), 1) == text


def test_plain_nets_and_what_is_read_off_figure_6(record_run: RecordRun) -> None:
    results = [record_run("plain-20", error=9.0), record_run("plain-110")]
    table = lines(tables.plain(results, PAPER))
    assert "| Plain | 20 | 0.27M | 9.68 | 9.00 | -0.68 |" in table
    assert "| Plain | 56 | 0.85M | 13.25 | – | – |" in table
    assert "| Plain | 110 | 1.7M | above 60 | 8.00 | – |" in table


def test_training_errors_beside_test_errors(record_run: RecordRun) -> None:
    results = [
        record_run("resnet-20", 0, 8.0, train_error_clean=1.0),
        record_run("resnet-20", 1, 9.0, train_error_clean=3.0),
        record_run("resnet-20", 2, 90.0, train_error_clean=90.0, diverged=1_000),
        record_run("plain-56", error=13.25, train_error_clean=5.5),
        record_run("plain-8", error=20.0, train_error_clean=19.0),
        record_run("resnet-20-b"),
    ]
    table = lines(tables.training(results, PAPER))
    assert [line.split(" | ")[0] for line in table[2:-2]] == [
        *(f"| plain-{depth}" for depth in (8, 20, 32, 44, 56)),
        *(f"| ResNet-{depth}" for depth in (20, 32, 44, 56, 110)),
    ]
    assert "| ResNet-20 | 2.00 ± 1.41 | 8.50 ± 0.71 | 2, 1 diverged |" in table
    assert "| plain-56 | 5.50 | 13.25 | 1 |" in table
    assert "| ResNet-110 | – | – | 0 |" in table


def test_reproductions_the_paper_and_ours(record_run: RecordRun) -> None:
    results = [record_run("resnet-20", seed, error) for seed, error in enumerate((8.0, 9.0))]
    results.append(record_run("resnet-20", 2, 90.0, diverged=1_000))
    table = tables.reproductions(results, PAPER)
    errors = table.text.set_index("error (%)")
    others = [reproduction.who.split("/")[0] for reproduction in reproductions.REPRODUCTIONS]
    assert errors.index.tolist() == ["paper", "ours", *others]
    assert errors.loc["paper", "ResNet-20"] == "8.75"
    assert errors.loc["ours", "ResNet-20"] == "8.00 (8.50 ± 0.71, n = 2), 1 diverged"
    assert errors.loc["akamaster", "ResNet-20"] == "8.27"
    assert errors.loc["paper", "ResNet-110"] == "6.43 (6.61 ± 0.16)"
    assert errors.loc["ours", "ResNet-110"] == "–"
    assert errors.loc["a-martyn", "plain-20"] == "9.69"
    assert (
        "- ours: 50,000 images, 64,000 iterations, error at the last; of several runs the best"
        in table.note
    )
    assert "- [akamaster/pytorch_resnet_cifar10](https://github.com/akamaster/" in table.note


def test_distance_to_the_papers_curves_is_a_mean_of_absolute_differences(
    record_run: RecordRun,
) -> None:
    """Two made-up runs, 2 points above and 1 point below the paper wherever it can be read."""
    paper = facts.figure6_curves().query("network == 'resnet-20'").set_index("iteration")

    def shifted(by: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
        def curve(table: pd.DataFrame) -> pd.DataFrame:
            test, train = (
                paper[error].reindex(table["iteration"]).to_numpy()
                for error in ("test_error", "train_error")
            )
            return table.assign(
                test_error=test + by,
                test_error_precise=test + 2 * by,
                train_error_clean=train + 3 * by,
                train_error=train + 4 * by,
            )

        return curve

    results = [record_run("resnet-20", seed, curve=shifted(by)) for seed, by in ((0, 2), (1, -1))]
    numbers = curves.distances(results).set_index("error")
    expected = {
        "test_error": 1.5,
        "test_error_precise": 3,
        "train_error_clean": 4.5,
        "train_error": 6,
    }
    for error, distance in expected.items():
        found = numbers.loc[error, ["until_32k", "after_32k"]].tolist()
        assert found == pytest.approx([distance, distance]), error
    assert numbers["runs"].tolist() == [2] * 4
    assert numbers.loc["test_error", "points_after"] == paper["test_error"].loc[33_000:].count()
    assert "| ResNet-20 | 2 | 1.50 / 1.50 |" in tables.distances(results).markdown()
    assert tables.distances([record_run("resnet-26")]).numbers.empty, "the paper has no curve of it"


@pytest.mark.parametrize(
    ("points", "text"), [(9, "0.37*"), (10, "0.37"), (0, "0.37"), (1, "0.37*")]
)
def test_a_distance_over_few_points_is_marked(points: int, text: str) -> None:
    assert tables.format_distance(0.37, points) == text


def test_every_number_of_others_names_its_source() -> None:
    """A file of a public repository, a page, or that it is not on record."""
    for who, protocol, _ in reproductions.REPRODUCTIONS:
        assert who.count("/") == 1
        assert re.search(r"README|logs|\.(csv|md|json)\b", protocol), who
    compared = [of for each in reproductions.COMPARISONS.values() for of in each.values()]
    for number in (*reproductions.MEAN_RESPONSES.values(), *compared):
        assert re.search(r"\]\(https://|not on record", number.source), number
    assert TEST_ERROR_SPREAD.source.startswith("the paper (Table 6), nabla0001")


def test_the_source_of_responses_stands_below_them() -> None:
    assert "whose they were is not on record" in tables.responses([], PAPER).note


def test_mean_responses(record_run: RecordRun) -> None:
    results = [record_run("resnet-20", responses=[0.5, 0.8]), record_run("plain-20")]
    table = lines(tables.responses(results, PAPER))
    assert "| ResNet-20 | 0.650 | 1 | 0.73 to 0.77 |" in table
    assert "| plain-20 | – | 0 | 0.84 |" in table

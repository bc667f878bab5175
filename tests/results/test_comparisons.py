"""Tables of the experiments beside section 4.2's: our numbers, and others' with their source."""

from collections.abc import Callable

import pandas as pd

from resnet_paper.results import comparisons
from resnet_paper.runs.recipe import PAPER
from resnet_paper.runs.run import Result

RecordRun = Callable[..., Result]


def test_others_numbers_have_their_source_below(record_run: RecordRun) -> None:
    for settings, source in (("100-epochs", "cat-b0.tistory.com"), ("10-epochs", "not on record")):
        result = record_run("resnet-18", settings=settings)
        assert source in comparisons.comparison([result], settings).note


def test_shortcut_options_in_the_papers_form(record_run: RecordRun) -> None:
    results = [record_run("resnet-20-b", error=8.25, parameters=272_474), record_run("resnet-20")]
    results.append(record_run("resnet-20-b", 1, diverged=500, parameters=272_474))
    (table,) = comparisons.shortcuts(results, PAPER)
    assert table.name == "shortcuts-20"
    assert (
        table.markdown().splitlines()[3] == "| ResNet-20 B | 272,474 | 8.25, 1 diverged | 24.52 |"
    )
    assert table.markdown().splitlines()[4] == "| ResNet-20 C | – | – | 24.19 |"


def test_a_comparison_reports_the_end_and_names_the_best_as_such(record_run: RecordRun) -> None:
    def better_in_between(curve: pd.DataFrame) -> pd.DataFrame:
        curve.loc[5, "test_error"] = 6.5
        return curve

    result = record_run(
        *("vgg-19", 0, 9.0, "100-epochs"),
        curve=better_in_between,
        parameters=38_958_922,
        test_loss=1.0,
    )
    table = comparisons.comparison([result], "100-epochs")
    assert table.text["best on the test images (%)"].tolist() == ["93.50"]
    line = "| VGG-19, seed 0 | 38.96M | 1.0000 | 91.00 | 93.50 | 0.3345 | 92.87 |"
    assert table.markdown().splitlines()[2] == line

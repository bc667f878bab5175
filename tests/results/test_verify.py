"""One's own runs beside the published ones: what is within noise, what differs, and why."""

import math
from collections.abc import Callable

import pandas as pd
import pytest
from msgspec.structs import replace

from resnet_paper.results import verify
from resnet_paper.results.statistics import TEST_ERROR_SPREAD, student_t
from resnet_paper.results.tables import Table
from resnet_paper.runs.recipe import PAPER, SETTINGS
from resnet_paper.runs.record import as_json
from resnet_paper.runs.run import Result

Record = Callable[..., Result]
NOISE = (
    student_t(TEST_ERROR_SPREAD.degrees_of_freedom) * TEST_ERROR_SPREAD.std * math.sqrt(2)
)  # of two runs


def verdicts(mine: list[Result], published: list[Result], settings: str = "paper") -> pd.DataFrame:
    """The comparisons by quantity; the paper's apart, as "paper"."""
    rows = table(mine, published, settings).numbers
    is_papers = rows["beside"] == "paper"
    return rows.assign(quantity=rows["quantity"].mask(is_papers, "paper")).set_index("quantity")


def table(mine: list[Result], published: list[Result], settings: str = "paper") -> Table:
    recipe = SETTINGS[settings]
    return verify.table(verify.pairs(mine, published, recipe), published, recipe)


def test_a_copy_of_a_published_run_is_within_noise_and_named(record_run: Record) -> None:
    run = record_run("resnet-20", error=8.4, train_error_clean=0.3)
    found = table([run], [run])
    assert set(found.numbers["verdict"]) == {"within noise"}
    assert "Copies of published runs: ResNet-20 seed 0." in found.note


@pytest.mark.parametrize(("apart", "verdict"), [(-0.01, "within noise"), (0.01, "differs")])
def test_single_runs_differ_beyond_the_published_spread(
    record_run: Record, apart: float, verdict: str
) -> None:
    published = record_run("resnet-20", 0, error=8.0)
    mine = record_run("resnet-20", 1, error=8.0 + NOISE + apart)
    row = verdicts([mine], [published]).loc["test error"]
    assert row["noise"] == pytest.approx(NOISE, abs=1e-4)
    assert row["verdict"] == verdict


def test_the_paper_is_compared_where_nothing_is_published(record_run: Record) -> None:
    found = verdicts([record_run("resnet-32", error=7.61)], [])
    assert list(found.index) == ["paper"]
    row = found.loc["paper"]
    assert (row["theirs"], row["difference"], row["verdict"]) == (7.51, 0.1, "within noise")


def test_the_papers_mean_of_five_runs_is_what_resnet_110_is_compared_with(
    record_run: Record,
) -> None:
    row = verdicts([record_run("resnet-110", error=7.0)], []).loc["paper"]
    assert (row["theirs"], row["theirs_runs"]) == (6.61, 5)


def test_runs_by_other_settings_are_not_compared_with_the_paper(record_run: Record) -> None:
    run = record_run("resnet-20", settings="overnight")
    assert "paper" not in verdicts([run], [run], "overnight").index


def test_another_recipe_is_compared_and_its_fields_are_named(record_run: Record) -> None:
    published = record_run("resnet-20", 0)
    other = as_json(replace(PAPER, weight_decay=5e-4, padding=2))
    mine = record_run("resnet-20", 1, error=11.0, recipe=other)
    found = table([mine, record_run("resnet-20", 2)], [published])
    names = found.numbers.groupby("network", sort=False)["verdict"].agg(set)
    assert list(names.index) == ["ResNet-20", "ResNet-20, weight_decay 0.0005, padding 2"]
    assert "differs" in names.iloc[1]
    assert "weight_decay 0.0005 (published: 0.0001); padding 2 (published: 4)" in found.note


def test_spreads_that_no_run_has_shown_leave_training_errors_open(record_run: Record) -> None:
    published = record_run("resnet-20", 0, train_error_clean=0.3)
    mine = record_run("resnet-20", 1, train_error_clean=0.5)
    found = verdicts([mine], [published])
    assert found.loc["training error", "verdict"] == "spread not measured yet"
    assert math.isnan(found.loc["training error", "noise"])


def test_training_errors_and_losses_differ_beyond_the_spread_of_the_runs(
    record_run: Record,
) -> None:
    def run(seed: int, error: float) -> Result:
        def curve(rows: pd.DataFrame) -> pd.DataFrame:
            return rows.assign(train_loss=error / 10)

        return record_run("resnet-20", seed, train_error_clean=error, curve=curve)

    published = [run(seed, 0.3 + 0.01 * seed) for seed in range(5)]
    for error, verdict in ((0.32, "within noise"), (0.5, "differs")):
        found = verdicts([run(9, error)], published)
        assert found.loc["training error", "verdict"] == verdict
        assert found.loc["final training loss", "verdict"] == verdict


def test_the_distance_of_curves_is_a_root_mean_square(record_run: Record) -> None:
    def run(seed: int, errors: tuple[float, float]) -> Result:
        def curve(rows: pd.DataFrame) -> pd.DataFrame:
            early = rows["iteration"] <= PAPER.iterations / 2
            return rows.assign(test_error_precise=early.map({True: errors[0], False: errors[1]}))

        return record_run("resnet-20", seed, curve=curve)

    published = [run(seed, (20 + seed, 8.0)) for seed in range(-2, 3)]
    row = verdicts([run(9, (23, 12.0))], published).loc[verify.CURVE]
    assert row["difference"] == pytest.approx(math.sqrt((9 + 16) / 2), abs=1e-4)
    # s = sqrt((2.5 + 0) / 2), t(0.975, 4) = 2.776
    assert row["noise"] == pytest.approx(2.7764 * math.sqrt(1.25 * (1 + 1 / 5)), abs=1e-3)
    assert row["verdict"] == "differs"


@pytest.mark.parametrize(
    ("mine", "published", "verdict"),
    [
        ((1, 2), (0, 2), "spread not measured yet"),
        ((2, 2), (0, 2), "spread not measured yet"),
        ((1, 4), (0, 4), "within noise"),
        ((3, 3), (0, 3), "within noise"),
        ((4, 4), (0, 4), "differs"),
        ((0, 4), (4, 4), "differs"),
        ((1, 2), (2, 4), "within noise"),
    ],
)
def test_shares_of_diverged_runs_differ_beyond_their_noise(
    mine: tuple[int, int], published: tuple[int, int], verdict: str, record_run: Record
) -> None:
    groups = [
        [
            record_run(
                "resnet-20", first + seed, 8 + first + seed, diverged=9 if seed < diverged else None
            )
            for seed in range(runs)
        ]
        for first, (diverged, runs) in ((10, mine), (0, published))
    ]
    found = verdicts(*groups).loc["share of diverged runs"]
    assert (found["mine"], found["theirs"]) == (mine[0] / mine[1], published[0] / published[1])
    assert found["verdict"] == verdict


def test_a_network_whose_runs_all_diverged_has_no_errors_to_compare(record_run: Record) -> None:
    published = record_run("resnet-20", 0)
    found = verdicts([record_run("resnet-20", 1, diverged=5_000)], [published])
    assert found.loc["share of diverged runs", "verdict"] == "spread not measured yet"
    assert math.isnan(found.loc["test error", "mine"])
    others = found["verdict"].drop("share of diverged runs")
    assert set(others) == {"diverged"}


def test_a_copy_counts_once_in_the_spread(record_run: Record) -> None:
    published = [record_run("resnet-20", seed, train_error_clean=seed) for seed in range(3)]
    found = verdicts([published[0]], published)
    assert found.loc["training error", "verdict"] == "spread not measured yet"  # 2 of 4 degrees


def test_the_picture_has_a_panel_for_each_of_my_networks(record_run: Record) -> None:
    mine = [record_run("resnet-20", 0), record_run("plain-20", 0)]
    pairs = verify.pairs([*mine, record_run("resnet-56", diverged=9)], mine[:1], PAPER)
    picture = verify.figure(pairs, PAPER)
    assert picture is not None
    assert [axes.get_title() for axes in picture.axes] == ["plain-20", "ResNet-20"]
    assert verify.figure(pairs[-1:], PAPER) is None

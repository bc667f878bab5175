"""Figures show what was recorded, without torch, and come out the same each time."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from resnet_paper.results import figures
from resnet_paper.runs.run import Run

RecordRun = Callable[..., Run]


def test_figure6_has_a_panel_for_each_kind_and_both_errors_of_each_net(
    record_run: RecordRun,
) -> None:
    runs = [record_run("plain-20"), record_run("plain-56"), record_run("resnet-20", error=7.25)]
    figure = figures.figure6(runs, "paper")
    plain, residual = figure.axes
    assert [axes.get_title() for axes in (plain, residual)] == ["plain nets", "residual nets"]
    curves = [line for line in plain.lines if len(line.get_xdata()) == 64]
    assert len(curves) == 4
    assert plain.get_ylim() == (0, 20)
    assert plain.get_xlim() == (0, 6.4)
    assert [text.get_text() for text in residual.texts] == ["ResNet-20  7.25"]


def test_figure6_sets_110_beside_1202_when_both_are_there(record_run: RecordRun) -> None:
    runs = [record_run("resnet-110"), record_run("resnet-1202")]
    assert [axes.get_title() for axes in figures.figure6(runs, "paper").axes] == [
        "residual nets",
        "110 and 1202 layers",
    ]


def test_1202_alone_is_drawn_among_the_residual_nets(record_run: RecordRun) -> None:
    (axes,) = figures.figure6([record_run("resnet-1202")], "paper").axes
    assert [text.get_text() for text in axes.texts] == ["ResNet-1202  8.00"]


def test_figure6_draws_the_mean_and_the_range_of_seeds(record_run: RecordRun) -> None:
    runs = [record_run("resnet-20", seed, error) for seed, error in enumerate((8.0, 9.0))]
    table = figures.curves(runs)[figures.TEST]
    assert table.iloc[-1].tolist() == [8.5, 8.0, 9.0]
    (axes,) = figures.figure6(runs, "paper").axes
    _, band = axes.collections
    assert [text.get_text() for text in axes.texts] == ["ResNet-20  8.50, n = 2"]
    ends = [y for x, y in band.get_paths()[0].vertices if x == 6.4]
    assert (min(ends), max(ends)) == (8.0, 9.0)


def test_figure6_marks_where_the_rate_falls(record_run: RecordRun) -> None:
    figure = figures.figure6([record_run("resnet-20")], "paper")
    (axes,) = figure.axes
    upright = [line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1]
    assert upright == [3.2, 4.8]
    assert figures.FALLS in " ".join(figure.get_supxlabel().split())


@pytest.mark.parametrize("networks", [["resnet-20"], ["resnet-20", "plain-20"]])
def test_what_stands_below_a_figure_is_no_wider_than_it(
    networks: list[str], record_run: RecordRun
) -> None:
    runs = [record_run(network) for network in networks]
    runs += [record_run("resnet-56", seed, diverged=9) for seed in range(9)]
    figure = figures.figure6(runs, "paper", "Synthetic images.", beside_paper=True)
    figure.savefig(io.BytesIO())
    (below,) = figure.texts
    assert "Synthetic images. Diverged and not drawn: resnet-56" in below.get_text()
    assert below.get_window_extent().width < figure.bbox.width


@pytest.mark.parametrize(
    ("heights", "places"),
    [
        ([1.0, 5.0], [1.0, 5.0]),
        ([4.0, 4.0], [3.5, 4.5]),
        ([1.0, 1.0, 1.2, 9.0], [0.07, 1.07, 2.07, 9.0]),
    ],
)
def test_labels_stand_apart_and_near_their_heights(
    heights: list[float], places: list[float]
) -> None:
    assert figures.spread(heights, gap=1.0) == pytest.approx(places, abs=0.01)


def test_figure7_in_the_layers_order_and_ranked(record_run: RecordRun) -> None:
    run = record_run("resnet-20")
    run.write_responses(pd.DataFrame({"layer": [1, 2, 3], "name": "abc", "std": [0.5, 0.7, 0.6]}))
    original, ranked = figures.figure7([run]).axes
    assert list(original.lines[0].get_ydata()) == [0.5, 0.7, 0.6]
    assert list(ranked.lines[0].get_ydata()) == [0.7, 0.6, 0.5]


def test_figure7_draws_one_run_of_each_net_and_says_so(record_run: RecordRun) -> None:
    first, second = (record_run("resnet-20", seed) for seed in (0, 1))
    for run, std in ((first, 0.5), (second, 0.7)):
        run.write_responses(pd.DataFrame({"layer": [1], "name": ["a"], "std": [std]}))
    figure = figures.figure7([second, first], "A caveat.")
    assert [list(line.get_ydata()) for line in figure.axes[0].lines] == [[0.5]]
    assert figure.get_supxlabel().splitlines() == [
        "of several runs the one of the lowest seed that has responses",
        "A caveat.",
    ]
    assert figures.figure7([first]).get_supxlabel() == ""


@pytest.mark.parametrize(("layers", "step"), [(19, 5), (109, 20)])
def test_figure7_counts_layers_in_whole_numbers(
    layers: int, step: int, record_run: RecordRun
) -> None:
    run = record_run("resnet-20")
    run.write_responses(pd.DataFrame({"layer": range(layers), "name": "a", "std": 0.5}))
    original, _ = figures.figure7([run]).axes
    assert list(original.get_xticks())[:3] == [0, step, 2 * step]


def test_figure7_takes_weights_of_ones_own(record_run: RecordRun) -> None:
    own = {"mine": pd.DataFrame({"layer": [1, 2], "name": "ab", "std": [0.1, 0.2]})}
    original, _ = figures.figure7([record_run("resnet-20")], own=own).axes
    assert [line.get_label() for line in original.lines] == ["mine"]


def test_other_networks_than_section_4_2s_are_not_in_its_figures(record_run: RecordRun) -> None:
    runs = [record_run(name) for name in ("vgg-19", "resnet-18", "resnet-20-b", "simple-cnn")]
    assert figures.figure6(runs, "paper") is None
    assert figures.figure7(runs) is None


def test_a_diverged_run_is_named_and_not_drawn(record_run: RecordRun) -> None:
    runs = [record_run("resnet-20", 0, 7.5), record_run("resnet-20", 1, 90.0, diverged=3_000)]
    runs.append(record_run("plain-20", diverged=1_000))
    figure = figures.figure6(runs, "paper")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["ResNet-20  7.50"]
    assert "not drawn: resnet-20 seed 1, plain-20 seed 0." in figure.get_supxlabel()
    runs[1].write_responses(pd.DataFrame({"layer": [1], "name": "a", "std": [float("nan")]}))
    assert figures.figure7(runs) is None


def test_the_papers_curves_stand_behind_ours(record_run: RecordRun) -> None:
    runs = [record_run("resnet-20")]
    figure = figures.figure6(runs, "paper", beside_paper=True)
    (axes,) = figure.axes
    (alone,) = figures.figure6(runs, "paper").axes
    assert "grey: the paper's" in figure.get_supxlabel()
    assert len(axes.lines) == len(alone.lines) + 2
    papers = [line for line in axes.lines if line.get_color() == "0.55"]
    assert papers[0].get_ydata()[-1] == 8.80, "the last point of ResNet-20 in Figure 6"
    assert all(line.get_zorder() < 2 for line in papers)


def test_figure6_with_precise_bn_draws_that_error(record_run: RecordRun) -> None:
    run = record_run("resnet-20", error=7.0)  # its precise error is 8.0
    (axes,) = figures.figure6([run], "paper", test=figures.PRECISE, beside_paper=True).axes
    assert [text.get_text() for text in axes.texts] == ["ResNet-20  8.00"]
    assert "0.55" in {line.get_color() for line in axes.lines}, "the paper's, in grey"


def test_both_test_errors_of_one_net_over_each_other(record_run: RecordRun) -> None:
    runs = [record_run("resnet-20", error=7.0), record_run("resnet-56")]
    (axes,) = figures.precise_bn(runs, "resnet-20", "paper").axes
    ends = {line.get_label(): line.get_ydata()[-1] for line in axes.lines if len(line.get_ydata())}
    assert (ends["moving averages"], ends["precise BN"]) == (7.0, 8.0)
    assert "the paper" in ends
    assert figures.precise_bn(runs, "resnet-32", "paper") is None
    (axes,) = figures.precise_bn(
        [record_run("resnet-20", settings="tiny")], "resnet-20", "tiny"
    ).axes
    assert "the paper" not in {line.get_label() for line in axes.lines}, "of another length"


def test_a_comparison_draws_loss_and_accuracy_by_epoch(record_run: RecordRun) -> None:
    runs = [record_run(name, settings="10-epochs", error=25.0) for name in ("resnet-18", "vgg-19")]
    loss, accuracy = figures.comparison(runs, "10-epochs").axes
    assert len(loss.lines) == len(accuracy.lines) == 4
    test = accuracy.lines[1]
    assert test.get_ydata()[-1] == 75.0
    assert test.get_xdata()[-1] == pytest.approx(10, abs=0.1)
    assert figures.comparison([], "10-epochs") is None


def test_nothing_recorded_is_nothing_drawn(tmp_path: Path, record_run: RecordRun) -> None:
    assert figures.figure6([], "paper") is None
    assert figures.figure7([record_run("resnet-20")]) is None
    figures.save(None, tmp_path / "figure6")
    assert not list(tmp_path.glob("figure6*"))


def test_the_same_runs_give_the_same_bytes(record_run: RecordRun, tmp_path: Path) -> None:
    runs = [record_run("resnet-20")]
    for name in ("one", "two"):
        figures.save(figures.figure6(runs, "paper", "a caveat"), tmp_path / name)
    for suffix in ("png", "pdf"):
        one, two = (tmp_path / f"{name}.{suffix}" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_drawing_imports_no_torch() -> None:
    code = "import sys, experiments.figures; "
    subprocess.run([sys.executable, "-c", code + "sys.exit('torch' in sys.modules)"], check=True)

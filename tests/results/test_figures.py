"""Figures show what was recorded, without torch, and come out the same each time."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from msgspec.structs import replace

from resnet_paper.paper import facts
from resnet_paper.results import figures
from resnet_paper.results.curves import PRECISE, TEST, mean_curves
from resnet_paper.results.panels import conditions, error_ticks
from resnet_paper.results.style import Label, label_right, set_apart
from resnet_paper.runs.recipe import OVERNIGHT, PAPER, SETTINGS, TINY
from resnet_paper.runs.run import Result
from tests.conftest import of_any_settings

RecordRun = Callable[..., Result]


def legend(figure: Figure) -> list[str]:
    """The entries of a figure's legend, each on one line."""
    return [text.get_text().replace("\n", " ") for of in figure.legends for text in of.get_texts()]


def labels(axes: Axes) -> list[str]:
    """The labels beside the curves' ends."""
    return [text.get_text() for text in axes.texts]


def curves(axes: Axes) -> list[Line2D]:
    """The lines that are neither grid nor milestone."""
    return [line for line in axes.lines if len(line.get_xdata()) > 2]


def test_figure6_has_a_panel_for_each_kind_and_both_errors_of_each_net(
    record_run: RecordRun,
) -> None:
    results = [record_run("plain-20"), record_run("plain-56"), record_run("resnet-20", error=7.25)]
    figure = figures.figure6(results, PAPER)
    plain, residual = figure.axes
    assert [axes.get_title() for axes in (plain, residual)] == ["plain nets", "residual nets"]
    assert len(curves(plain)) == 4
    assert len(curves(residual)) == 2
    assert labels(residual) == ["ResNet-20  7.25"]
    assert "test error, moving averages" in legend(figure)
    last = [round(line.get_ydata()[-1], 2) for line in curves(residual)]
    assert last == [8.29, 7.25], "dashed: training error, unaugmented; bold: test error"


def test_figure6_has_the_papers_axes_at_the_papers_length(record_run: RecordRun) -> None:
    results = [record_run("plain-20"), record_run("resnet-20")]
    figure = figures.figure6(results, PAPER)
    for axes in figure.axes:
        assert axes.get_xlim() == (0, 6.4)
        assert axes.get_ylim() == (0, 20)
        assert axes.get_xlabel() == "iterations (×10⁴)"
        assert tuple(axes.get_yticks()) == (0, 5, 10, 15, 20)
    left, right = figure.axes
    assert left.get_shared_y_axes().joined(left, right)
    assert figure.get_suptitle() == ""


def test_the_axes_are_filled_by_the_curves_after_the_first_drop() -> None:
    """Errors fall from 80% to 30% before the drop, and are 18% after it."""
    iterations = np.arange(400, 8_001, 400)
    errors = np.where(iterations <= 4_000, np.linspace(80, -20, len(iterations)), 18.0)
    columns = pd.MultiIndex.from_product([[TEST], ["mean"]])
    table = pd.DataFrame(errors, index=iterations, columns=columns)
    assert list(error_ticks(OVERNIGHT, [table])) == [0, 10, 20, 30]
    assert list(error_ticks(OVERNIGHT, [table * 0])) == [0, 1, 2, 3, 4, 5]
    assert list(error_ticks(OVERNIGHT, [table, table * 5])) == [0, 20, 40, 60, 80, 100]
    assert list(error_ticks(OVERNIGHT, [table], since=3_600)) == [0, 10, 20, 30, 40, 50]
    assert tuple(error_ticks(PAPER, [table])) == (0, 5, 10, 15, 20)


@of_any_settings
def test_runs_of_any_settings_can_be_drawn(settings: str, record_run: RecordRun) -> None:
    recipe = SETTINGS[settings]
    results = [record_run(network, settings=settings) for network in ("plain-20", "resnet-20")]
    for figure in (
        figures.figure6(results, recipe, with_paper=True),
        figures.precise_bn(results, "plain-20", recipe),
        figures.comparison(results, recipe),
    ):
        figure.draw_without_rendering()
        assert figure.get_suptitle().startswith(conditions(recipe, with_paper=False))


def test_a_title_says_how_the_training_differs_from_the_papers() -> None:
    assert conditions(PAPER) == ""
    assert conditions(SETTINGS["demo"]) == "2,000 synthetic images, 96 iterations"
    assert conditions(SETTINGS["paper-45k"]) == "45,000 images"
    assert conditions(OVERNIGHT) == "8,000 iterations (paper: 64,000)"
    assert conditions(SETTINGS["10-epochs"], with_paper=False) == "3,907 iterations"
    assert "synthetic images" in conditions(replace(PAPER, dataset="synthetic"))
    assert conditions(SETTINGS["imagenette"]) == "9,469 Imagenette images, 1,480 iterations"


def test_labels_stand_apart_and_their_lines_begin_where_the_curves_end() -> None:
    axes = Figure().subplots()
    axes.set_ylim(0, 18)  # a text is one unit high
    label_right(axes, [Label("b", 4.2, (0, 0, 0)), Label("a", 4.0, (1, 0, 0))])
    assert [text.get_text() for text in axes.texts] == ["a", "b"]
    assert [text.xy for text in axes.texts] == [(1, 4.0), (1, 4.2)]
    places = [text.xyann[1] for text in axes.texts]
    assert places == pytest.approx([3.6, 4.6])


def test_the_papers_curve_is_broken_where_it_was_not_read(record_run: RecordRun) -> None:
    axes, _ = figures.figure6([record_run("plain-20")], PAPER, with_paper=True).axes
    paper = next(line for line in axes.lines if np.isnan(np.asarray(line.get_ydata(), float)).any())
    read = dict(zip(np.round(paper.get_xdata(), 1), paper.get_ydata(), strict=True))
    assert np.isnan(read[3.2])
    assert not np.isnan(read[3.1] + read[3.3])


def test_figure6_sets_110_beside_1202_when_both_are_there(record_run: RecordRun) -> None:
    results = [record_run("resnet-110"), record_run("resnet-1202")]
    assert [axes.get_title() for axes in figures.figure6(results, PAPER).axes] == [
        "residual nets",
        "110 and 1202 layers",
    ]


def test_1202_alone_is_drawn_among_the_residual_nets(record_run: RecordRun) -> None:
    (axes,) = figures.figure6([record_run("resnet-1202")], PAPER).axes
    assert labels(axes) == ["ResNet-1202  8.00"]


def test_figure6_draws_the_mean_and_the_range_of_seeds(record_run: RecordRun) -> None:
    results = [record_run("resnet-20", seed, error) for seed, error in enumerate((8.0, 9.0))]
    assert mean_curves(results)[TEST].iloc[-1].tolist() == [8.5, 8.0, 9.0]
    figure = figures.figure6(results, PAPER)
    (axes,) = figure.axes
    _, band = axes.collections
    assert labels(axes) == ["ResNet-20  8.50, n = 2"]
    ends = [y for x, y in band.get_paths()[0].vertices if x == 6.4]
    assert (min(ends), max(ends)) == (8.0, 9.0)
    assert "mean of n runs, band: min to max" in legend(figure)
    assert "mean of n runs, band: min to max" not in legend(figures.figure6(results[:1], PAPER))


def test_a_mean_is_over_all_runs_or_there_is_none(record_run: RecordRun) -> None:
    """Seed 1 left its warm-up at iteration 200, seed 0 at 100: only one has a row at 200."""

    def measured_in_warmup(*iterations: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
        def curve(table: pd.DataFrame) -> pd.DataFrame:
            rows = [table.head(1).assign(iteration=iteration) for iteration in iterations]
            return pd.concat([*rows, table])

        return curve

    results = [
        record_run("resnet-110", 0, curve=measured_in_warmup(100)),
        record_run("resnet-110", 1, curve=measured_in_warmup(100, 200)),
    ]
    assert list(mean_curves(results).index[:3]) == [100, 1_000, 2_000]


def test_figure6_marks_where_the_learning_rate_drops(record_run: RecordRun) -> None:
    figure = figures.figure6([record_run("resnet-20")], PAPER)
    (axes,) = figure.axes
    vertical = [line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1]
    assert vertical == [3.2, 4.8]
    assert "learning rate ÷ 10" in legend(figure)
    constant = replace(TINY, milestones=())
    figure = figures.figure6([record_run("resnet-20", settings="tiny")], constant)
    assert "learning rate ÷ 10" not in legend(figure)


@pytest.mark.parametrize("networks", [["resnet-20"], ["resnet-20", "plain-20", "resnet-1202"]])
def test_a_legend_is_no_wider_than_its_figure(networks: list[str], record_run: RecordRun) -> None:
    results = [record_run(network, seed) for network in networks for seed in (0, 1)]
    results += [record_run("resnet-110", seed, diverged=9) for seed in range(20)]
    figure = figures.figure6(results, PAPER, test=PRECISE, with_paper=True)
    figure.draw_without_rendering()
    (below,) = figure.legends
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
    assert set_apart(heights, gap=1.0) == pytest.approx(places, abs=0.01)


def test_figure7_in_the_layers_order_and_ranked(record_run: RecordRun) -> None:
    figure = figures.figure7([record_run("resnet-20", responses=[0.5, 0.7, 0.6])], PAPER)
    original, ranked, means = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["in order", "sorted", "mean"]
    assert list(means.lines[0].get_xydata()[0]) == pytest.approx([4, 0.6]), "depth, mean"
    assert list(original.lines[0].get_ydata()) == [0.5, 0.7, 0.6]
    assert list(ranked.lines[0].get_ydata()) == [0.7, 0.6, 0.5]
    assert original.get_shared_y_axes().joined(original, ranked)
    assert legend(figure) == ["ResNet-20, seed 0: mean 0.600"]


def test_figure7_draws_the_lowest_seed_that_has_responses(record_run: RecordRun) -> None:
    without = record_run("resnet-20", 0)
    first, second = (record_run("resnet-20", seed, responses=[seed / 10]) for seed in (1, 2))
    figure = figures.figure7([second, first, without], PAPER)
    assert [list(line.get_ydata()) for line in figure.axes[0].lines] == [[0.1]]
    assert legend(figure) == ["ResNet-20, seed 1: mean 0.100"]


def test_figure7_tells_depths_by_colour_and_kinds_by_dashes(record_run: RecordRun) -> None:
    results = [record_run(name, responses=[0.5]) for name in facts.FIGURE7_NETWORKS]
    original, *_ = figures.figure7(results, PAPER).axes
    looks = {line.get_label().split(",")[0]: line for line in original.lines}
    assert list(looks) == ["plain-20", "plain-56", "ResNet-20", "ResNet-56", "ResNet-110"]
    assert looks["plain-20"].get_color() == looks["ResNet-20"].get_color()
    assert len({looks[f"ResNet-{depth}"].get_color() for depth in (20, 56, 110)}) == 3
    assert looks["ResNet-56"].get_linestyle() == "-"
    assert looks["plain-56"].get_linestyle() == "--"


@pytest.mark.parametrize(("layers", "step"), [(19, 5), (109, 20)])
def test_figure7_counts_layers_in_whole_numbers(
    layers: int, step: int, record_run: RecordRun
) -> None:
    results = [record_run("resnet-20", responses=[0.5] * layers)]
    figure = figures.figure7(results, PAPER)
    figure.draw_without_rendering()
    original, *_ = figure.axes
    assert list(original.get_xticks())[:3] == [0, step, 2 * step]


@pytest.mark.parametrize(("greatest", "scale"), [(2.4, "linear"), (2.6, "log")])
def test_figure7_is_logarithmic_where_one_net_dwarfs_the_others(
    greatest: float, scale: str, record_run: RecordRun
) -> None:
    tops = {"plain-20": 1.0, "resnet-20": 1.0, "plain-56": greatest}
    results = [record_run(name, responses=[0.5, top]) for name, top in tops.items()]
    original, ranked, means = figures.figure7(results, PAPER).axes
    assert (original.get_yscale(), ranked.get_yscale()) == (scale, scale)
    assert means.get_yscale() == "linear"


def test_figure6_enlarges_what_the_curves_before_the_first_drop_would_flatten(
    record_run: RecordRun,
) -> None:
    def falling(table: pd.DataFrame) -> pd.DataFrame:
        high = np.where(table["iteration"] <= 3_600, 80.0, 12.0)
        return table.assign(test_error=high, train_error_clean=high - 2)

    def steady(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(test_error=50.0, train_error_clean=50.0)

    names = ("plain-20", "plain-56", "resnet-20", "resnet-56")
    looks = (steady, steady, falling, falling)
    results = [
        record_run(name, settings="overnight", curve=curve)
        for name, curve in zip(names, looks, strict=True)
    ]
    plain, residual = figures.figure6(results, OVERNIGHT).axes
    assert not plain.child_axes
    (inset,) = residual.child_axes
    assert inset.get_xlim() == (4.4, 8.0), "after the first drop"
    assert inset.get_ylim() == pytest.approx((9.9, 12.1))


def test_the_zigzag_of_a_warm_up_is_named(record_run: RecordRun) -> None:
    def early(table: pd.DataFrame) -> pd.DataFrame:
        rows = [table.head(1).assign(iteration=iteration) for iteration in (100, 200)]
        return pd.concat([*rows, table])

    def words(curve: Callable[[pd.DataFrame], pd.DataFrame], network: str) -> list[str]:
        (axes,) = figures.figure6([record_run(network, curve=curve)], PAPER).axes
        return [text.get_text() for text in axes.texts if text.get_text() == "warm-up"]

    assert words(early, "resnet-110") == ["warm-up"]
    assert words(lambda table: table, "resnet-20") == []


def test_figure7_takes_weights_of_ones_own(record_run: RecordRun) -> None:
    own = {"mine": pd.DataFrame({"layer": [1, 2], "name": "ab", "std": [0.1, 0.2]})}
    figure = figures.figure7([record_run("resnet-20")], PAPER, own=own)
    assert legend(figure) == ["mine: mean 0.150"]


def test_other_networks_than_section_4_2s_are_not_in_its_figures(record_run: RecordRun) -> None:
    names = ("vgg-19", "resnet-18", "resnet-20-b", "simple-cnn")
    results = [record_run(name, responses=[0.5]) for name in names]
    assert figures.figure6(results, PAPER) is None
    assert figures.figure7(results, PAPER) is None


def test_a_diverged_run_is_named_and_not_drawn(record_run: RecordRun) -> None:
    results = [record_run("resnet-20", 0, 7.5, responses=[0.5])]
    diverged = [record_run("resnet-20", seed, 90.0, diverged=3_000) for seed in (1, 2)]
    diverged.append(record_run("plain-20", diverged=1_000, responses=[float("nan")]))
    results += diverged
    named = "diverged, not drawn: ResNet-20 seed 1, 2; plain-20 seed 0"
    for figure in (
        figures.figure6(results, PAPER),
        figures.figure7(results, PAPER),
        figures.comparison(results, PAPER),
    ):
        assert named in legend(figure)
    (axes,) = figures.figure6(results, PAPER).axes
    assert labels(axes) == ["ResNet-20  7.50"]
    assert "diverged, not drawn: ResNet-20 seed 1, 2" in legend(
        figures.precise_bn(results, "resnet-20", PAPER)
    )
    for draw in (figures.figure6, figures.figure7, figures.comparison):
        assert draw(diverged, PAPER) is None


def test_the_papers_curves_stand_behind_ours(record_run: RecordRun) -> None:
    results = [record_run("resnet-20")]
    figure = figures.figure6(results, PAPER, with_paper=True)
    test, training = figure.axes
    for axes, ours, papers in ((test, 8.00, 8.80), (training, 9.04, 0.75)):
        behind, front = sorted(curves(axes), key=lambda line: line.get_zorder())
        assert behind.get_zorder() < front.get_zorder()
        assert behind.get_linewidth() < front.get_linewidth()
        assert [line.get_ydata()[-1] for line in (front, behind)] == [ours, papers]
        assert set(labels(axes)) == {f"ResNet-20  {ours:.2f}", f"paper {papers:.2f}"}
    assert any(entry.startswith("paper: test error") for entry in legend(figure))


@pytest.mark.parametrize("settings", ["tiny", "overnight"])
def test_the_papers_curves_do_not_stand_behind_those_of_another_length(
    settings: str, record_run: RecordRun
) -> None:
    results = [record_run("resnet-20", settings=settings)]
    figure = figures.figure6(results, SETTINGS[settings], with_paper=True)
    assert len(curves(figure.axes[0])) == 2
    assert not any(entry.startswith("paper") for entry in legend(figure))
    panel = figures.precise_bn(results, "resnet-20", SETTINGS[settings])
    assert len(curves(panel.axes[0])) == 2


def test_precise_bn_shows_the_part_before_the_first_drop(record_run: RecordRun) -> None:
    def falling(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(test_error=np.where(table["iteration"] < 4_000, 40.0, 10.0))

    results = [record_run("resnet-20", settings="overnight", curve=falling)]
    (axes,) = figures.precise_bn(results, "resnet-20", OVERNIGHT).axes
    assert axes.get_ylim() == (0, 60)


def test_figure6_with_precise_bn_draws_that_error(record_run: RecordRun) -> None:
    result = record_run("resnet-20", error=7.0)  # its precise error is 8.0
    figure = figures.figure6([result], PAPER, test=PRECISE)
    assert labels(figure.axes[0]) == ["ResNet-20  8.08"]
    assert "test error, precise BN" in legend(figure)


def test_both_test_errors_of_one_net_over_each_other(record_run: RecordRun) -> None:
    results = [record_run("resnet-20", error=7.0), record_run("resnet-56")]
    figure = figures.precise_bn(results, "resnet-20", PAPER)
    (axes,) = figure.axes
    assert axes.get_ylim() == (0, 20)
    assert len({line.get_linestyle() for line in curves(axes)[-2:]}) == 2, "without colour too"
    assert not figure.legends
    assert labels(axes)[1:] == ["moving averages 7.00", "precise BN 8.08", "paper 8.80"]
    assert figures.precise_bn(results, "resnet-32", PAPER) is None


def test_a_comparison_draws_loss_and_accuracy_by_epoch(record_run: RecordRun) -> None:
    results = [
        record_run(name, settings="10-epochs", error=25.0) for name in ("resnet-18", "vgg-19")
    ]
    figure = figures.comparison(results, SETTINGS["10-epochs"])
    loss, accuracy = figure.axes
    assert len(loss.lines) == len(accuracy.lines) == 4
    test = accuracy.lines[1]
    assert test.get_ydata()[-1] == 75.0
    assert test.get_xdata()[-1] == pytest.approx(10, abs=0.1)
    assert legend(figure)[:3] == ["ResNet-18, seed 0", "VGG-19, seed 0", "test images"]


def test_imagenette_is_tested_on_its_validation_images(record_run: RecordRun) -> None:
    result = record_run("imagenet-resnet-34", settings="imagenette", error=25.0)
    figure = figures.comparison([result], SETTINGS["imagenette"])
    assert legend(figure)[:2] == ["ImageNet ResNet-34, seed 0", "validation images"]
    assert figure.axes[0].lines[0].get_xdata()[-1] == pytest.approx(10, abs=0.1)


def test_nothing_recorded_is_nothing_drawn(tmp_path: Path, record_run: RecordRun) -> None:
    assert figures.figure6([], PAPER) is None
    assert figures.figure7([record_run("resnet-20")], PAPER) is None
    assert figures.comparison([], SETTINGS["10-epochs"]) is None
    assert figures.save(None, tmp_path / "figure6") == []
    assert not list(tmp_path.glob("figure6*"))


def test_the_same_runs_give_the_same_bytes(record_run: RecordRun, tmp_path: Path) -> None:
    results = [record_run("resnet-20"), record_run("plain-20", diverged=9)]
    one, two = (
        figures.save(figures.figure6(results, PAPER), tmp_path / name) for name in ("one", "two")
    )
    assert [path.name for path in one] == ["one.pdf", "one.png"]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


@pytest.mark.parametrize("module", ["experiments.figures", "resnet_paper.names"])
def test_drawing_imports_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_files_are_drawn_whatever_the_backend_and_the_users_matplotlibrc(
    record_run: RecordRun, tmp_path: Path
) -> None:
    """To the same bytes, without pyplot; notebooks export a backend that .venv does not have."""
    record_run("resnet-20", settings="tiny")
    (tmp_path / "matplotlibrc").write_text(
        "text.usetex: True\nbackend: TkAgg\nsavefig.bbox: tight\nlines.linewidth: 7\n"
        "font.family: serif\nsavefig.transparent: True\n"
    )
    program = f"""
import sys
from pathlib import Path
from resnet_paper.results import figures
from resnet_paper.runs.recipe import TINY
from resnet_paper.runs.run import finished_runs
figure = figures.figure6(finished_runs(Path({str(tmp_path)!r}), "tiny"), TINY)
figures.save(figure, Path(sys.argv[1]))
assert "matplotlib.pyplot" not in sys.modules
"""
    root = Path(__file__).parents[2]
    theirs = {
        "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"),
        "MPLBACKEND": "module://no_such_inline.backend_inline",
    }
    plain = {name: value for name, value in os.environ.items() if name not in theirs}
    for name, environment in (("plain", plain), ("theirs", {**plain, **theirs})):
        command = [sys.executable, "-c", program, str(tmp_path / name)]
        subprocess.run(command, cwd=root, env=environment, check=True)
    for suffix in ("png", "pdf"):
        drawn, expected = (tmp_path / f"{name}.{suffix}" for name in ("theirs", "plain"))
        assert drawn.read_bytes() == expected.read_bytes()

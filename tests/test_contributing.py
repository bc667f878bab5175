"""What CONTRIBUTING.md says: each addition is an entry, and works from training to the report."""

from pathlib import Path

import click
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from matplotlib.figure import Figure
from msgspec.structs import replace
from torch import nn

from experiments import eval as evaluate
from experiments import fig7, publish, report, train
from experiments import figures as all_figures
from resnet_paper import names
from resnet_paper.names import Name
from resnet_paper.networks import baselines
from resnet_paper.results.artefacts import ARTEFACTS, Artefact, FigureOf, Recorded, TableOf
from resnet_paper.results.tables import Table
from resnet_paper.runs.datasets import DATA_SETS, DataSet
from resnet_paper.runs.recipe import SETTINGS, Recipe, on
from resnet_paper.runs.run import Run
from resnet_paper.training import data
from resnet_paper.training.images import Images

CLASSES, SIZE = 7, 24


def small_net(classes: int, channels: int) -> nn.Module:
    """A network: images -> logits."""
    return nn.Sequential(
        *(nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)),
    )


def shades(recipe: Recipe, _: Path) -> tuple[Images, Images]:
    """A loader: class k is a shade of grey."""

    def images(count: int) -> Images:
        labels = torch.arange(count) % CLASSES
        pixels = (30 * labels)[:, None, None, None].expand(-1, 3, SIZE, SIZE)
        return Images(pixels.to(torch.uint8), labels)

    return images(recipe.train_images), images(recipe.test_images)


def counted(recorded: Recorded) -> list[Table]:
    """A table: how many runs there are of each network."""
    of = pd.Series([result.network for result in recorded.results]).value_counts().sort_index()
    numbers = of.rename_axis("network").reset_index(name="runs")
    return [Table("counts", numbers, numbers.astype(str), recorded.note)]


def bars(recorded: Recorded) -> Figure | None:
    """A figure: the test error of each run."""
    if not recorded.results:
        return None
    figure = Figure()
    errors = [result.record.test_error for result in recorded.results]
    figure.subplots().bar(range(len(errors)), errors)
    return figure


@pytest.fixture
def _additions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entries that CONTRIBUTING.md names."""
    monkeypatch.setattr(baselines, "small_net", small_net, raising=False)
    monkeypatch.setitem(names.OTHERS, "small-net", Name("small-net", 2, title="SmallNet"))
    shade = DataSet("Shades", train=56, test=14, image_size=SIZE, classes=CLASSES, images="shades")
    monkeypatch.setitem(DATA_SETS, "shades", shade)
    monkeypatch.setitem(data.LOADERS, "shades", shades)
    recipe = replace(
        on("shades"),
        batch_size=8,
        iterations=6,
        milestones=(3,),
        measure_every=3,
        unaugmented_images=14,
        statistics_batches=2,
    )
    monkeypatch.setitem(SETTINGS, "shades", recipe)
    counts = Artefact(
        "Counts",
        tables=(TableOf("counts", counted, printed=Table.markdown),),
        figures=(FigureOf("bars", bars, title="Bars", alt="Test error of each run."),),
    )
    monkeypatch.setitem(ARTEFACTS, "counts", counts)


def run(command: click.Command, *arguments: str) -> str:
    """What a command prints for the new settings."""
    given = ["--settings", "shades", "--runs", "runs", *arguments]
    result = CliRunner().invoke(command, given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.usefixtures("_additions")
@pytest.mark.slow
def test_a_network_a_recipe_a_data_set_a_table_and_a_figure_are_an_entry_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("resnet_paper.study.study.FIGURES", Path("figures"))
    monkeypatch.setattr("resnet_paper.paper.facts.FIGURE7_NETWORKS", ("resnet-8",))
    for network in ("SmallNet", "resnet-8"):
        said = run(train.main, "--network", network, "--precision", "float32")
        assert "seed 0: test error" in said
    record = Run(Path("runs"), "shades", "small-net", 0).result().record
    assert (record.recipe.dataset, record.recipe.classes) == ("shades", CLASSES)
    assert record.parameters == 9 * 3 * 4 + 4 + 2 * 4 + 4 * CLASSES + CLASSES

    assert "resnet-8, runs/shades/resnet-8/seed-0/weights.pt: test error" in run(evaluate.main)
    assert "| ResNet-8 |" in run(fig7.main)
    published = run(publish.main, "--to", "published")
    assert "resnet-8 seed 0: published" in published
    assert "with weights in float" in published

    assert "| SmallNet | 155 |" in run(all_figures.main)
    folder = Path("figures/shades")
    for name in ("networks", "counts", "table6", "figure7"):
        assert (folder / f"{name}.md").exists(), name
    for name in ("networks", "bars", "figure6", "figure7"):
        assert (folder / f"{name}.png").exists(), name
    assert "| small-net | 1 |" in (folder / "counts.md").read_text()
    assert "paper, error" not in (folder / "table6.md").read_text()
    run(report.main)
    page = (folder / "report.html").read_text()
    assert "Deep residual networks on Shades" in page
    for title in ("Counts", "Bars", "Other networks", "Table 6: test error"):
        assert f"{title}</h2>" in page

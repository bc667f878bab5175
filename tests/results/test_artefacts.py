"""Commands, report and tests read one list of artefacts; none outlives its numbers."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from resnet_paper.paper import facts
from resnet_paper.results import artefacts, figures, report
from resnet_paper.results.artefacts import ARTEFACTS, Artefact, FigureOf, Recorded, TableOf, Wanted
from resnet_paper.results.tables import Table
from resnet_paper.runs.datasets import DATA_SETS, DataSet
from resnet_paper.runs.recipe import SETTINGS, on
from resnet_paper.runs.run import Result

RecordRun = Callable[..., Result]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made but not rendered, which takes most of the time."""

    def save(figure: Figure | None, stem: Path) -> list[Path]:
        stem.parent.mkdir(parents=True, exist_ok=True)
        paths = [stem.with_name(f"{stem.name}.{end}") for end in ("pdf", "png") if figure]
        for path in paths:
            path.touch()
        return paths

    monkeypatch.setattr(figures, "save", save)


def draw_all(results: Sequence[Result], settings: str, folder: Path) -> set[str]:
    """The names of the files that are there after everything has been drawn."""
    recorded = Recorded(results, settings)
    for name in artefacts.artefacts_of(settings):
        artefacts.draw(name, recorded, folder)
    return {path.name for path in folder.iterdir()}


def test_what_each_artefact_needs_trained() -> None:
    wanted = Wanted("tiny-epochs", ["resnet-8"], ["plain-14"], depth=26)
    assert {name: list(each.networks(wanted)) for name, each in ARTEFACTS.items()} == {
        "fig6": ["plain-14", "resnet-8"],
        "table6": ["resnet-8"],
        "claims": [],
        "fig7": list(facts.FIGURE7_NETWORKS),
        "shortcuts": ["resnet-26", "resnet-26-b", "resnet-26-c"],
        "comparison": ["simple-cnn", "resnet-18", "vgg-19"],
        "networks": [],
        "gradients": [],
    }
    assert list(ARTEFACTS["table6"].networks(Wanted())) == [
        f"resnet-{depth}" for depth in (20, 32, 44, 56, 110)
    ]


def test_figures_and_tables_with_nothing_to_show_are_removed(
    record_run: RecordRun, tmp_path: Path
) -> None:
    """As where plain-32 alone is drawn over the published figures."""
    folder = tmp_path / "figures"
    whole = [record_run("resnet-20", responses=[0.5]), record_run("resnet-8-b")]
    of_figure7 = {f"figure7.{suffix}" for suffix in ("md", "csv", "pdf", "png")}
    gone = {*of_figure7, "precise_bn.pdf", "precise_bn.png", "shortcuts-8.md", "shortcuts-8.csv"}
    before = draw_all(whole, "paper", folder)
    assert gone <= before
    after = draw_all([record_run("plain-32")], "paper", folder)
    assert after == before - gone


def test_a_file_that_is_no_artefact_stays(record_run: RecordRun, tmp_path: Path) -> None:
    for name in ("figure7_own.png", "table1.md", "report.html"):
        (tmp_path / name).touch()
    draw_all([record_run("plain-32")], "paper", tmp_path)
    assert (tmp_path / "figure7_own.png").exists()
    assert (tmp_path / "table1.md").exists()
    assert (tmp_path / "report.html").exists()


def test_an_artefact_without_anything_to_show_says_so(tmp_path: Path) -> None:
    for name in ("fig7", "shortcuts"):
        said = artefacts.draw(name, Recorded([], "paper"), tmp_path)
        assert said == f"{name}: nothing to draw from what is recorded"


def test_a_comparison_is_the_same_in_the_report_and_in_its_files(
    record_run: RecordRun, tmp_path: Path
) -> None:
    """In the order of the settings, without networks that they do not compare."""
    networks = ("vgg-19", "resnet-20", "resnet-18")
    results = [record_run(network, settings="100-epochs") for network in networks]
    draw_all(results, "100-epochs", tmp_path / "drawn")
    lines = (tmp_path / "drawn/comparison.md").read_text().splitlines()[2:4]
    sections = {each.title: each for each in report.sections(Recorded(results, "100-epochs"))}
    table = sections["Comparison"].table
    assert table is not None
    assert table.markdown().splitlines()[2:4] == lines
    assert [line.split(",")[0] for line in lines] == ["| ResNet-18", "| VGG-19"]


@pytest.mark.parametrize(
    ("settings", "network", "shown"),
    [
        ("tiny", "vgg-19", True),
        ("tiny", "resnet-18", True),
        ("tiny", "resnet-8", False),
        ("tiny", "resnet-8-b", False),
        ("tiny-epochs", "vgg-19", False),
        ("tiny-epochs", "resnet-8", True),
    ],
)
def test_a_network_that_no_other_table_shows_has_one(
    settings: str, network: str, shown: bool, record_run: RecordRun, tmp_path: Path
) -> None:
    results = [record_run(network, settings=settings, parameters=1_234, train_error_clean=9.0)]
    files = draw_all(results, settings, tmp_path / "drawn")
    assert ({"networks.md", "networks.png"} <= files) == shown
    titles = [each.title for each in report.sections(Recorded(results, settings))]
    assert ("Other networks" in titles) == shown
    if shown:
        line = (tmp_path / "drawn/networks.md").read_text().splitlines()[2]
        assert line.endswith("| 1,234 | 8.00 | 9.00 | 1 |")


def test_other_images_are_not_set_beside_the_papers(
    record_run: RecordRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors of 100 classes, in a training as long as the paper's."""
    monkeypatch.setitem(DATA_SETS, "other", DataSet("Another", classes=100))
    monkeypatch.setitem(SETTINGS, "other", on("other"))
    results = [
        record_run("resnet-20", 0, 30.0, "other", responses=[0.5]),
        record_run("resnet-20-b", 0, 30.0, "other"),
    ]
    files = draw_all(results, "other", tmp_path / "drawn")
    assert not {"claims.md", "reproductions.md", "figure6.md", "figure6_paper.png"} & files
    assert (tmp_path / "drawn/table6.md").read_text().splitlines()[:3] == [
        "| method | layers | params | ours, error (%) |",
        "| --- | --- | --- | --- |",
        "| ResNet | 20 | 0.00M | 30.00 |",
    ]
    assert (tmp_path / "drawn/figure7.md").read_text().splitlines()[0].endswith("| n |")
    assert "paper:" not in (tmp_path / "drawn/shortcuts-20.md").read_text()
    drawn = ARTEFACTS["fig6"].figures[1].make(Recorded(results, "other"))
    assert drawn is not None
    assert not [text for text in drawn.legends[0].get_texts() if "paper" in text.get_text()]


def test_a_new_table_and_a_new_figure_are_one_entry(
    record_run: RecordRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counted(recorded: Recorded) -> list[Table]:
        text = pd.DataFrame({"runs": [str(len(recorded.results))]})
        return [Table("counts", text, text)]

    entry = Artefact(
        "Counts",
        tables=(TableOf("counts", counted, printed=Table.markdown),),
        figures=(
            FigureOf(
                "mine",
                lambda of: ARTEFACTS["fig6"].figures[0].make(of),
                title="Mine",
                alt="Errors.",
            ),
        ),
    )
    monkeypatch.setitem(ARTEFACTS, "counts", entry)
    results = [record_run("resnet-20"), record_run("plain-20")]
    assert {"counts.md", "counts.csv", "mine.png", "mine.pdf"} <= draw_all(
        results, "paper", tmp_path / "drawn"
    )
    titles = [each.title for each in report.sections(Recorded(results, "paper"))]
    assert {"Counts", "Mine"} <= set(titles)

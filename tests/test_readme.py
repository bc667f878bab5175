"""The README shows what is recorded."""

import re
from pathlib import Path
from statistics import mean, stdev

import pytest

from resnet_paper import paper
from resnet_paper.pretrained import PUBLISHED
from resnet_paper.reproductions import REPRODUCTIONS
from resnet_paper.runs import Run, recorded

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
ABOUT_RUNS = ROOT / "experiments" / "runs" / "README.md"


def prose() -> str:
    """The README on one line, without its tables."""
    return " ".join(re.sub(r"^\|.*$", "", README.read_text(), flags=re.MULTILINE).split())


def published(network: str) -> list[Run]:
    """The published runs of a network by the paper's settings."""
    return [run for run in recorded(PUBLISHED, "paper") if run.network == network]


def others_of(network: str, protocol: str = "") -> list[str]:
    """Others' errors of a network, by protocols that match a regular expression."""
    found = [other for other in REPRODUCTIONS if re.match(protocol, other.protocol)]
    return [other.errors[network] for other in found if network in other.errors]


@pytest.mark.published
def test_its_table_of_results_is_the_one_that_the_published_runs_draw() -> None:
    assert (ROOT / "figures" / "reproductions.md").read_text() in README.read_text(), (
        "paste figures/reproductions.md into README.md"
    )


@pytest.mark.published
@pytest.mark.parametrize("network", ["resnet-20", "plain-20"])
def test_its_numbers_on_precise_bn_are_those_of_the_runs(network: str) -> None:
    papers = paper.figure6_curves().query("network == @network").set_index("iteration")
    change, distance = [], []
    for run in published(network):
        ours = run.curve().set_index("iteration")
        curves = ours[["test_error", "test_error_precise"]].assign(paper=papers["test_error"])
        change.append(curves.diff().dropna().loc[10_000:31_000].abs())
        apart = curves.sub(curves["paper"], axis=0).abs()
        distance.append(apart.drop(columns="paper").dropna())
    changes = sum(change) / len(change)
    distances = sum(distance) / len(distance)
    until, after = distances.loc[:32_000].mean(), distances.loc[33_000:].mean()
    name = paper.title(network)
    for row in (
        "| change from one test to the next | {} | {:.2f} | {:.2f} | {:.2f} |".format(
            name, *changes.mean()
        ),
        "| distance to the paper until 32,000 | {} | {:.2f} | {:.2f} | |".format(name, *until),
        "| distance to the paper after 32,000 | {} | {:.2f} | {:.2f} | |".format(name, *after),
    ):
        assert row in README.read_text()
    for points in (len(changes), len(distances.loc[:32_000])):
        assert re.search(rf"\b{points}( \S+)? of {name}'s", prose())


@pytest.mark.published
def test_every_published_run_is_told_of() -> None:
    for run in recorded(PUBLISHED, "paper"):
        record = run.finished_record()
        row = rf"\| `{run.directory.relative_to(PUBLISHED)}` \|.*\| {record['revision'][:7]} \|"
        assert re.search(row, ABOUT_RUNS.read_text()), run


@pytest.mark.published
@pytest.mark.parametrize("network", ["resnet-20", "plain-20"])
def test_its_prose_has_the_numbers_of_the_runs(network: str) -> None:
    name, records = paper.title(network), [run.finished_record() for run in published(network)]
    errors = [record["test_error"] for record in records]
    assert f"{name} {' and '.join(f'{error:.2f}' for error in errors)}%" in prose()
    assert len(errors) == 1 or f"%, mean {mean(errors):.2f}, where" in prose()
    by_both = [f"{r['test_error']:.2f} and {r['test_error_precise']:.2f}%" for r in records]
    assert f"{', '.join(by_both)} ({name})" in prose()
    assert f"{records[0]['published']['test_error']:.2f}% ({name})" in prose()
    responses = [run.responses()["std"].mean() for run in published(network)]
    assert f"{name}'s is {mean(responses):.3f}" in prose()


@pytest.mark.parametrize("network", ["resnet-20", "plain-20"])
def test_its_prose_has_the_range_of_others_errors(network: str) -> None:
    errors = [float(error.split()[0]) for error in others_of(network)]
    assert f"others listed below {min(errors):.2f} to {max(errors):.2f}%" in prose()


def test_its_prose_has_the_spread_of_others_single_runs_of_plain_20() -> None:
    as_the_paper = "50,000 images, (64,000 iterations|164 epochs), one run"
    errors = sorted(map(float, others_of("plain-20", as_the_paper)))
    *first, last = (f"{error:.2f}" for error in errors)
    assert f"{', '.join(first)} and {last}%" in prose()
    assert f"mean {mean(errors):.2f}, standard deviation {stdev(errors):.2f}" in prose()


@pytest.mark.parametrize("page", [README, ABOUT_RUNS], ids=str)
def test_links_and_pictures_lead_to_files(page: Path) -> None:
    linked = re.findall(r"""(?:\]\(|src=")(?!https?:|#)([^)#"]+)""", page.read_text())
    assert [name for name in linked if not (page.parent / name).is_file()] == []

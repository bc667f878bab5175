"""The README shows what is recorded."""

import re
from collections.abc import Iterable
from pathlib import Path
from statistics import mean, stdev

import pandas as pd
import pytest

from resnet_paper.networks import names
from resnet_paper.paper import facts
from resnet_paper.paper.reproductions import REPRODUCTIONS
from resnet_paper.pretrained import PUBLISHED
from resnet_paper.results import tables
from resnet_paper.runs.run import Run, recorded, summary

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
ABOUT_RUNS = ROOT / "experiments" / "runs" / "README.md"


def prose() -> str:
    """The README on one line, without its tables."""
    return " ".join(re.sub(r"^\|.*$", "", README.read_text(), flags=re.MULTILINE).split())


def published(network: str) -> list[Run]:
    """The published runs of a network by the paper's settings."""
    return [run for run in recorded(PUBLISHED, "paper") if run.network == network]


def errors_of(run: Run) -> pd.DataFrame:
    """A run's test errors by either statistics, and the paper's, by iteration."""
    papers = facts.figure6_curves().query("network == @run.network").set_index("iteration")
    ours = run.curve().set_index("iteration")[["test_error", "test_error_precise"]]
    return ours.assign(paper=papers["test_error"])


def lower_than_the_paper(run: Run) -> float:
    """By how much a run's test error is below the paper's after 32,000, on average in points."""
    errors = errors_of(run).loc[33_000:]
    return (errors["paper"] - errors["test_error"]).mean()


def joined(numbers: Iterable[float], digits: int = 2) -> str:
    return " and ".join(f"{number:.{digits}f}" for number in numbers)


def in_table(begins: str) -> list[float]:
    """The numbers in the README's table row that begins with these words."""
    (row,) = re.findall(rf"^\| {re.escape(begins)} \|(.*)$", README.read_text(), re.MULTILINE)
    return [float(number) for number in re.findall(r"\d+\.\d+", row)]


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
    name, runs = names.title(network), published(network)
    changes = [errors_of(run).diff().dropna().loc[10_000:31_000].abs() for run in runs]
    distances = tables.distances(runs).set_index("error").loc[["test_error", "test_error_precise"]]
    for begins, expected in (
        ("change from one test to the next", sum(each.mean() for each in changes) / len(runs)),
        ("distance to the paper until 32,000", distances["until_32k"]),
        ("distance to the paper after 32,000", distances["after_32k"]),
    ):
        assert in_table(f"{begins} | {name}") == pytest.approx(expected.tolist(), abs=0.0051)
    for points in (len(changes[0]), distances["points_until"].iloc[0]):
        assert re.search(rf"\b{points}( \S+)? of {name}'s", prose())
    assert re.search(rf"after it (\d+ and )?{distances['points_after'].iloc[0]}\b", prose())


@pytest.mark.published
def test_every_published_run_is_told_of() -> None:
    for run in recorded(PUBLISHED, "paper"):
        record = run.finished_record()
        row = rf"\| `{run.directory.relative_to(PUBLISHED)}` \|.*\| {record['revision'][:7]} \|"
        assert re.search(row, ABOUT_RUNS.read_text()), run


@pytest.mark.published
@pytest.mark.parametrize("network", ["resnet-20", "plain-20"])
def test_its_prose_has_the_numbers_of_the_runs(network: str) -> None:
    name, runs = names.title(network), published(network)
    measured, records = summary(runs), [run.finished_record() for run in runs]
    errors, seeds = measured["test_error"], "seeds" if len(runs) > 1 else "seed"
    of_several = f", mean {errors.mean():.2f}" if len(runs) > 1 else ""
    by_both = zip(errors, measured["test_error_precise"], strict=True)
    for words in (
        f"{name} from {seeds} {' and '.join(map(str, measured['seed']))}",
        f"{name} {joined(errors)}%{of_several}, where the paper has",
        f"{', '.join(f'{joined(both)}%' for both in by_both)} ({name})",
        f"{joined(lower_than_the_paper(run) for run in runs)} ({name})",
        f"{joined((record['seconds'] / 3600 for record in records), digits=1)} h ({name})",
        f"{records[0]['published']['test_error']:.2f}% ({name})",
        f"{name}'s is {measured['mean_response'].mean():.3f}",
    ):
        assert words in prose()


@pytest.mark.published
def test_its_prose_has_what_two_runs_of_plain_20_tell() -> None:
    runs = published("plain-20")
    errors = summary(runs)["test_error"]
    of = tables.statistics(errors)
    below = facts.plain_results()[0].error - of["mean"]
    last = [run.curve()["train_error"].iloc[-1] for run in runs]
    for words in (
        f"are {errors.max() - errors.min():.2f} apart. Their mean is {below:.2f} below",
        f"95% interval {of['low']:.1f} to {of['high']:.1f}",
        f"their last errors are {joined(last)}%",
    ):
        assert words in prose()


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

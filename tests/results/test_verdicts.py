"""A claim holds, does not hold or is not measured yet, and the numbers say why."""

from collections.abc import Callable

import pandas as pd
import pytest

from resnet_paper.networks import names
from resnet_paper.paper import claims
from resnet_paper.results import verdicts
from resnet_paper.results.verdicts import FAILS, HOLDS, UNMEASURED
from resnet_paper.runs.run import Run

RecordRun = Callable[..., Run]


def verdicts_of(runs: list[Run]) -> dict[str, tuple[str, str]]:
    table = verdicts.check(runs)
    pairs = zip(table["verdict"], table["numbers"], strict=True)
    return dict(zip(table["claim"], pairs, strict=True))


DEEPER_PLAIN = "plain-56 has a higher test error than plain-20"
RESPONSES = "Deeper ResNets have smaller responses"


@pytest.mark.parametrize(
    ("deeper", "verdict", "numbers"),
    [
        ((13.0,), HOLDS, "test error plain-20 9.50 ± 0.71 (n = 2) < plain-56 13.00"),
        ((9.0,), FAILS, "test error plain-20 9.50 ± 0.71 (n = 2) ≥ plain-56 9.00"),
        ((), UNMEASURED, "plain-56 not recorded"),
    ],
)
def test_by_the_means_over_the_runs(
    record_run: RecordRun, deeper: tuple[float, ...], verdict: str, numbers: str
) -> None:
    runs = [record_run("plain-20", seed, error) for seed, error in enumerate((9.0, 10.0))]
    runs += [record_run("plain-56", 0, error) for error in deeper]
    assert verdicts_of(runs)[DEEPER_PLAIN] == (verdict, numbers)


def test_one_comparison_that_fails_decides_and_one_that_lacks_leaves_open(
    record_run: RecordRun,
) -> None:
    name = "Deeper ResNets have lower test error"
    runs = [record_run(f"resnet-{depth}", error=10 - depth / 100) for depth in (20, 32, 44, 56)]
    assert verdicts_of(runs)[name][0] == UNMEASURED
    assert verdicts_of([*runs, record_run("resnet-110", error=7.0)])[name][0] == HOLDS
    assert verdicts_of([runs[0], record_run("resnet-32", error=9.9)])[name][0] == FAILS


def test_bounds_of_the_paper(record_run: RecordRun) -> None:
    fits = "ResNet-1202 has a training error below 0.1%"
    for error, verdict in ((0.05, HOLDS), (0.1, FAILS)):
        said = verdicts_of([record_run("resnet-1202", train_error_clean=error)])[fits]
        assert said[0] == verdict
    stays = "The error of plain-110 is above 60%"
    run = record_run("plain-110", error=65.0, train_error_clean=61.0)
    assert verdicts_of([run])[stays] == (
        HOLDS,
        "training error 60 < plain-110 61.00; test error 60 < plain-110 65.00",
    )


def test_numbers_near_a_bound_are_told_from_it(record_run: RecordRun) -> None:
    run = record_run("resnet-1202", train_error_clean=0.098)
    said = verdicts_of([run])["ResNet-1202 has a training error below 0.1%"]
    assert said == (HOLDS, "training error ResNet-1202 0.098 < 0.1")


@pytest.mark.parametrize(("diverged", "verdict"), [(None, HOLDS), (3_000, FAILS)])
def test_a_net_of_which_a_run_diverged_does_not_converge(
    record_run: RecordRun, diverged: int | None, verdict: str
) -> None:
    runs = [record_run("resnet-110", train_error_clean=0.1)]
    runs.append(record_run("resnet-110", 1, train_error_clean=0.1, diverged=diverged))
    runs.append(record_run("resnet-20", train_error_clean=0.3))
    said = next(said for claim, said in verdicts_of(runs).items() if "converges" in claim)
    assert said[0] == verdict


def test_a_diverged_run_measures_nothing(record_run: RecordRun) -> None:
    runs = [record_run("plain-20"), record_run("plain-56", error=90.0, diverged=1_000)]
    assert verdicts_of(runs)[DEEPER_PLAIN] == (
        UNMEASURED,
        "plain-56 has no test error, 1 diverged",
    )


def test_responses_are_means_over_the_layers(record_run: RecordRun) -> None:
    runs = []
    for network, stds in (("resnet-20", [0.9, 0.7]), ("resnet-56", [0.5]), ("resnet-110", [0.6])):
        runs.append(record_run(network))
        table = {"layer": range(len(stds)), "name": "x", "std": stds}
        runs[-1].write_responses(pd.DataFrame(table))
    verdict, numbers = verdicts_of(runs)[RESPONSES]
    assert verdict == FAILS
    assert "ResNet-56 0.500 < ResNet-20 0.800" in numbers
    assert "ResNet-110 0.600 ≥ ResNet-56 0.500" in numbers


def test_every_claim_names_quantities_and_networks_that_there_are() -> None:
    for claim in claims.CLAIMS:
        for quantity, smaller, greater in claim.comparisons:
            assert quantity in verdicts.QUANTITIES
            assert smaller != greater
            for network in (smaller, greater):
                assert not isinstance(network, str) or names.study_depth(network)

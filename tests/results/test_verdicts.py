"""A claim is decided where the difference of the means is above the noise, and nowhere else."""

from collections.abc import Callable
from math import nan, sqrt

import pandas as pd
import pytest
from msgspec.structs import replace

from resnet_paper import names
from resnet_paper.paper import facts
from resnet_paper.paper.claims import CLAIMS, LessThan
from resnet_paper.paper.reproductions import REPRODUCTIONS
from resnet_paper.results import verdicts
from resnet_paper.results.statistics import TEST_ERROR_SPREAD, Spread, pooled
from resnet_paper.results.verdicts import Verdict, claims_table
from resnet_paper.runs.recipe import PAPER, SETTINGS, Recipe
from resnet_paper.runs.run import Result

RecordRun = Callable[..., Result]
T_4 = 2.7764  # Student's t(0.975, 4)
T_28 = 2.0484

DEEPER_PLAIN = "plain-56 has a higher test error than plain-20"
DEEPER_PLAIN_TRAINING = "plain-56 has a higher training error than plain-20"
DEEPER_RESNETS = "Deeper ResNets have lower test error"
CONVERGES = next(claim.words for claim in CLAIMS if "converges" in claim.words)
RESPONSES = "Deeper ResNets have smaller responses"


def verdict_of(claim: str, results: list[Result], recipe: Recipe = PAPER) -> str:
    text = claims_table(results, recipe).text.set_index("claim")
    return text.loc[claim, "verdict"]


def numbers_of(claim: str, results: list[Result]) -> str:
    return claims_table(results, PAPER).text.set_index("claim").loc[claim, "numbers"]


def noise_of(claim: str, results: list[Result], recipe: Recipe = PAPER) -> float:
    """The noise of a claim of one comparison."""
    return claims_table(results, recipe).numbers.set_index("claim").loc[claim, "noise"]


def runs_of(record_run: RecordRun, network: str, *errors: float) -> list[Result]:
    """Runs of one network with these test errors and training errors."""
    return [
        record_run(network, seed, error, train_error_clean=error)
        for seed, error in enumerate(errors)
    ]


def test_pooled_by_degrees_of_freedom() -> None:
    s = pooled([(1.0, 2), (2.0, 4), (nan, 1)], "here")
    assert s == Spread(sqrt((1 * 1 + 3 * 4) / 4), 4, "here")
    assert pooled([(nan, 1)], "here").degrees_of_freedom == 0


def test_the_prior_is_pooled_over_what_is_published() -> None:
    """Seven networks: the paper's ResNet-110, nabla0001's five, AmroAbujabal's two."""
    fives = 4 * (0.16**2 + 0.22**2 + 0.27**2 + 0.20**2 + 0.13**2 + 0.22**2)
    threes = 2 * (0.31**2 + 0.69**2)
    assert TEST_ERROR_SPREAD.std == pytest.approx(sqrt((fives + threes) / 28))
    assert TEST_ERROR_SPREAD.std == pytest.approx(0.2773, abs=1e-4)
    assert TEST_ERROR_SPREAD.degrees_of_freedom == 28
    assert facts.RESNET_110_RUNS == 5
    for source in ("the paper (Table 6)", "nabla0001/resnet", "AmroAbujabal/resnet-cifar-repro"):
        assert source in TEST_ERROR_SPREAD.source
    of_several = {who for who, _, errors in REPRODUCTIONS if any(e.std for e in errors.values())}
    assert of_several == {"nabla0001/resnet", "AmroAbujabal/resnet-cifar-repro"}


def test_single_runs_are_compared_by_the_prior(record_run: RecordRun) -> None:
    noise = T_28 * 0.27731 * sqrt(2)  # 0.80
    low = runs_of(record_run, "plain-20", 9.0)
    for difference, verdict in (
        (noise + 0.001, "holds"),
        (noise - 0.001, "within noise"),
        (-noise + 0.001, "within noise"),
        (-noise - 0.001, "does not hold"),
    ):
        high = runs_of(record_run, "plain-56", 9.0 + difference)
        assert verdict_of(DEEPER_PLAIN, low + high) == verdict
        assert noise_of(DEEPER_PLAIN, low + high) == pytest.approx(noise, abs=1e-4)


def test_more_runs_have_less_noise(record_run: RecordRun) -> None:
    results = runs_of(record_run, "plain-20", 9.0, 9.2) + runs_of(record_run, "plain-56", 12.0)
    assert noise_of(DEEPER_PLAIN, results) == pytest.approx(
        T_28 * 0.27731 * sqrt(1 / 2 + 1), abs=1e-4
    )


def test_the_runs_own_spread_from_four_degrees_of_freedom_on(record_run: RecordRun) -> None:
    """plain-20: variance 1 of 3 runs, plain-56: variance 4 of 3 runs, s = sqrt((2 + 8) / 4)."""
    low = runs_of(record_run, "plain-20", 9.0, 10.0, 11.0)
    three = low + runs_of(record_run, "plain-56", 11.0, 13.0)
    prior = T_28 * 0.27731 * sqrt(1 / 3 + 1 / 2)
    assert noise_of(DEEPER_PLAIN, three) == pytest.approx(prior, abs=1e-4)
    assert verdict_of(DEEPER_PLAIN, three) == "holds"
    four = low + runs_of(record_run, "plain-56", 11.0, 13.0, 15.0)
    own = T_4 * sqrt(2.5) * sqrt(1 / 3 + 1 / 3)
    assert noise_of(DEEPER_PLAIN, four) == pytest.approx(own, abs=1e-4)
    assert verdict_of(DEEPER_PLAIN, four) == "within noise"  # 3.00, noise 3.58


def test_two_networks_with_runs_enough_have_a_spread_of_their_own(record_run: RecordRun) -> None:
    """The others, which vary much, decide only where the two have too few runs."""
    low = runs_of(record_run, "plain-20", 9.0, 10.0, 11.0)
    high = runs_of(record_run, "plain-56", 14.0, 15.0, 16.0)
    others = runs_of(record_run, "plain-32", 10.0, 20.0) + runs_of(record_run, "resnet-20", 8.0)
    own = T_4 * sqrt(1 / 3 + 1 / 3)
    assert noise_of(DEEPER_PLAIN, low + high + others) == pytest.approx(own, abs=1e-4)
    pooled_over_all = T_4 * sqrt((2 * 1 + 1 * 0.5 + 1 * 50) / 4) * sqrt(1 / 3 + 1 / 2)
    assert noise_of(DEEPER_PLAIN, low + high[:2] + others) == pytest.approx(
        pooled_over_all, rel=1e-4
    )


def test_the_spread_is_that_of_compared_networks_alone(record_run: RecordRun) -> None:
    results = runs_of(record_run, "plain-110", 60.0, 70.0, 80.0, 90.0, 61.0)
    results += runs_of(record_run, "resnet-20-b", 1.0, 20.0)
    results += runs_of(record_run, "plain-20", 9.0) + runs_of(record_run, "plain-56", 13.0)
    assert noise_of(DEEPER_PLAIN, results) == pytest.approx(T_28 * 0.27731 * sqrt(2), abs=1e-4)


def test_training_errors_have_no_prior(record_run: RecordRun) -> None:
    results = runs_of(record_run, "plain-20", 1.0, 1.1, 1.2) + runs_of(record_run, "plain-56", 6.0)
    assert verdict_of(DEEPER_PLAIN_TRAINING, results) == "spread not measured yet"
    assert numbers_of(DEEPER_PLAIN_TRAINING, results) == (
        "training error plain-20 1.10 ± 0.10 (n = 3) < plain-56 6.00, noise not known"
    )
    more = results + [
        record_run("plain-56", seed, 6.0, train_error_clean=6.1 + seed / 10) for seed in (1, 2)
    ]
    assert verdict_of(DEEPER_PLAIN_TRAINING, more) == "holds"


def test_the_prior_is_of_errors_on_all_test_images(record_run: RecordRun) -> None:
    results = runs_of(record_run, "plain-20", 9.0) + runs_of(record_run, "plain-56", 13.0)
    few = replace(PAPER, test_images=250)
    assert verdict_of(DEEPER_PLAIN, results, few) == "spread not measured yet"


def test_numbers_name_the_means_and_the_noise(record_run: RecordRun) -> None:
    results = runs_of(record_run, "plain-20", 9.0, 10.0) + runs_of(record_run, "plain-56", 13.0)
    assert numbers_of(DEEPER_PLAIN, results) == (
        "test error plain-20 9.50 ± 0.71 (n = 2) < plain-56 13.00, noise 0.70"
    )


def test_a_claims_verdict_is_the_first_of_its_comparisons() -> None:
    fails, unmeasured, diverged, no_spread, within, holds = Verdict
    assert verdicts.verdict([holds, within, no_spread, unmeasured, fails]) == "does not hold"
    assert verdicts.verdict([holds, within, no_spread, unmeasured]) == "not measured yet"
    assert verdicts.verdict([holds, within, no_spread, diverged]) == "diverged"
    assert verdicts.verdict([holds, within, no_spread]) == "spread not measured yet"
    assert verdicts.verdict([holds, within]) == "within noise"
    assert verdicts.verdict([holds, holds]) == "holds"


def test_one_comparison_decides_for_all(record_run: RecordRun) -> None:
    four = [record_run(f"resnet-{depth}", error=12 - depth / 10) for depth in (20, 32, 44, 56)]
    assert verdict_of(DEEPER_RESNETS, four) == "not measured yet"
    assert verdict_of(DEEPER_RESNETS, [*four, record_run("resnet-110", error=5.0)]) == "holds"
    assert (
        verdict_of(DEEPER_RESNETS, [*four, record_run("resnet-110", error=6.2)]) == "within noise"
    )
    failing = [four[0], record_run("resnet-32", error=11.0)]
    assert verdict_of(DEEPER_RESNETS, failing) == "does not hold"
    close = [four[0], record_run("resnet-32", error=10.1)]
    assert verdict_of(DEEPER_RESNETS, close) == "not measured yet"


@pytest.mark.parametrize(("error", "verdict"), [(0.098, "holds"), (0.1, "does not hold")])
def test_a_bound_has_no_noise(record_run: RecordRun, error: float, verdict: str) -> None:
    fits = "ResNet-1202 has a training error below 0.1%"
    results = [record_run("resnet-1202", train_error_clean=error)]
    assert verdict_of(fits, results) == verdict
    sign = "<" if verdict == "holds" else "≥"
    assert numbers_of(fits, results) == f"training error ResNet-1202 {error:.3f} {sign} 0.1"


def test_both_errors_are_above_a_bound(record_run: RecordRun) -> None:
    results = [record_run("plain-110", error=65.0, train_error_clean=61.0)]
    claim = "The error of plain-110 is above 60%"
    assert verdict_of(claim, results) == "holds"
    assert numbers_of(claim, results) == (
        "training error 60 < plain-110 61.00; test error 60 < plain-110 65.00"
    )


@pytest.mark.parametrize(
    ("diverged", "verdict"), [(None, "spread not measured yet"), (3_000, "does not hold")]
)
def test_a_run_that_diverged_is_counted(
    record_run: RecordRun, diverged: int | None, verdict: str
) -> None:
    results = [
        record_run("resnet-110", train_error_clean=0.1),
        record_run("resnet-110", 1, train_error_clean=0.1, diverged=diverged),
        record_run("resnet-20", train_error_clean=0.3),
    ]
    assert verdict_of(CONVERGES, results) == verdict
    assert f"{int(diverged is not None)} of 2 runs of ResNet-110" in numbers_of(CONVERGES, results)


def test_a_network_that_diverged_has_no_error_to_compare(record_run: RecordRun) -> None:
    diverged = record_run("plain-56", error=90.0, diverged=1_000)
    assert verdict_of(DEEPER_PLAIN, [record_run("plain-20"), diverged]) == "diverged"
    assert numbers_of(DEEPER_PLAIN, [diverged]) == "plain-20 not recorded"
    assert verdict_of(DEEPER_PLAIN, [diverged]) == "not measured yet"
    assert numbers_of(DEEPER_PLAIN, [record_run("plain-20"), diverged]) == "plain-56 diverged"
    other = record_run("plain-56", 1, error=14.0)
    assert verdict_of(DEEPER_PLAIN, [record_run("plain-20"), diverged, other]) == "holds"
    assert "plain-56 14.00, 1 diverged" in numbers_of(
        DEEPER_PLAIN, [record_run("plain-20"), diverged, other]
    )


def test_a_diverged_error_is_above_any_bound(record_run: RecordRun) -> None:
    """plain-110's above 60%, as the paper says of it; ResNet-1202's is not below 0.1%."""
    results = [record_run("plain-110", seed, 90.0, diverged=1_000) for seed in (0, 1)]
    claim = "The error of plain-110 is above 60%"
    assert verdict_of(claim, results) == "holds"
    assert numbers_of(claim, results) == (
        "training error 60 < plain-110 diverged (n = 2); test error 60 < plain-110 diverged (n = 2)"
    )
    fits = "ResNet-1202 has a training error below 0.1%"
    results = [record_run("resnet-1202", diverged=1_000)]
    assert verdict_of(fits, results) == "does not hold"
    assert numbers_of(fits, results) == "training error ResNet-1202 diverged ≥ 0.1"


def test_responses_are_means_over_the_layers(record_run: RecordRun) -> None:
    stds = {"resnet-20": [0.9, 0.7], "resnet-56": [0.5], "resnet-110": [0.6]}
    results = [record_run(network, responses=each) for network, each in stds.items()]
    assert verdict_of(RESPONSES, results) == "spread not measured yet"
    assert "ResNet-56 0.500 < ResNet-20 0.800" in numbers_of(RESPONSES, results)
    assert "ResNet-110 0.600 ≥ ResNet-56 0.500" in numbers_of(RESPONSES, results)


def test_the_note_says_what_the_verdicts_rest_on(record_run: RecordRun) -> None:
    results = runs_of(record_run, "plain-20", 9.0, 10.0)
    note = claims_table(results, PAPER, "A note.").note
    assert "test error: s = 0.277 (28 degrees of freedom), t = 2.05, a prior" in note
    assert "nabla0001/resnet" in note
    assert "training error: s not known, 1 of 4 degrees of freedom measured here" in note
    assert "mean response: s not known, 0 of 4" in note
    assert "borrowed" not in note
    assert note.endswith("\n\nA note.")
    several = runs_of(record_run, "plain-20", 8.0, 9.0, 10.0, 9.0, 9.0)
    own = claims_table(several, PAPER).note
    assert "test error: s = 0.707 (4 degrees of freedom), t = 2.78, measured here" in own
    assert "prior" not in own


def test_a_prior_of_other_settings_is_called_borrowed() -> None:
    note = claims_table([], SETTINGS["overnight"]).note
    assert "borrowed: the runs here are of 8,000 iterations on 50,000 images" in note


def test_synthetic_images_get_no_verdicts(record_run: RecordRun) -> None:
    results = [record_run("plain-20"), record_run("plain-56", error=90.0)]
    table = claims_table(results, replace(PAPER, dataset="synthetic"), "A demonstration.")
    assert set(table.text["verdict"]) == {"no verdict"}
    assert set(table.text["numbers"]) == {"–"}
    assert table.numbers.empty
    assert table.note == (
        "No verdicts: the claims are about networks trained on CIFAR-10.\n\nA demonstration."
    )


def test_the_numbers_are_a_row_a_comparison(record_run: RecordRun) -> None:
    numbers = claims_table(runs_of(record_run, "resnet-20", 8.0, 9.0), PAPER).numbers
    assert len(numbers) == sum(len(claim.comparisons) for claim in CLAIMS)
    row = numbers[(numbers["right"] == "resnet-20") & (numbers["left"] == "resnet-32")].iloc[0]
    assert (row["right_value"], row["right_runs"]) == (8.5, 2)
    assert pd.isna(row["left_value"])
    assert row["verdict"] == "not measured yet"


def test_every_claim_names_quantities_and_networks_that_there_are() -> None:
    for claim in CLAIMS:
        for quantity, left, right in claim.comparisons:
            assert quantity in verdicts.QUANTITIES
            assert left != right
            for network in (left, right):
                assert not isinstance(network, str) or names.study_depth(network)


def test_the_boundary_itself_is_within_noise() -> None:
    claimed = LessThan("test error", "plain-20", "plain-56")
    assert verdicts.decide(claimed, 1.0, 1.5, 0.5) is Verdict.WITHIN_NOISE
    assert verdicts.decide(claimed, 1.5, 1.0, 0.5) is Verdict.WITHIN_NOISE
    assert verdicts.decide(claimed, 1.0, 1.5, 0.4) is Verdict.HOLDS


def test_what_is_missing_is_said_once(record_run: RecordRun) -> None:
    assert numbers_of(RESPONSES, [record_run("resnet-20", responses=[0.9])]) == (
        "ResNet-56 not recorded; ResNet-110 not recorded"
    )

"""Verdicts on the paper's claims: differences of measured means, decided against their noise."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import chain

import pandas as pd

from resnet_paper import names
from resnet_paper.paper.claims import CLAIMS, Claim, LessThan
from resnet_paper.results import gradients
from resnet_paper.results.statistics import TEST_ERROR_SPREAD, Spread, pooled, student_t
from resnet_paper.results.summary import summary
from resnet_paper.results.tables import Table
from resnet_paper.runs.gradients import Gradients
from resnet_paper.runs.recipe import PAPER, Recipe
from resnet_paper.runs.run import Result

QUANTITIES = {
    "test error": "test_error",
    "training error": "train_error_clean",
    "mean response": "mean_response",
    "diverged": "diverged",
    "gradient factor, new": "new_factor",
    "gradient factor, trained": "trained_factor",
    "least signal, new": "new_least",
    "least signal, trained": "trained_least",
}
OF_GRADIENTS = tuple(quantity for quantity in QUANTITIES if quantity.endswith(("new", "trained")))
# Those of which claims compare the means of two networks.
NOISY = ("test error", "training error", "mean response", "gradient factor, new")
ENOUGH = 4  # degrees of freedom at which a spread measured here is used


# Of the table's numbers, a row a comparison. *_runs: empty of bounds and counts.
COLUMNS = (
    *("claim", "quantity", "left", "left_value", "left_runs"),
    *("right", "right_value", "right_runs", "noise", "verdict"),
)


class Verdict(Enum):
    """Of a comparison; of a claim, the first of these that one of its comparisons has."""

    FAILS = "does not hold"
    UNMEASURED = "not measured yet"
    DIVERGED = "diverged"  # all runs of a network that is compared with another one
    NO_SPREAD = "spread not measured yet"  # both means, but no standard deviation over runs
    WITHIN_NOISE = "within noise"
    HOLDS = "holds"


NO_VERDICT = "no verdict"
OPEN = (Verdict.UNMEASURED.value, NO_VERDICT)  # verdicts on claims that are folded


@dataclass(frozen=True)
class Side:
    """A side of a comparison: the mean over a network's runs, or a bound.

    value: NaN where nothing is measured. runs: how many have a value; None of bounds and counts,
    which have no noise. diverged: all runs of the network did, so that they have no value.
    """

    text: str
    value: float
    runs: int | None = None
    diverged: bool = False

    @property
    def missing(self) -> bool:
        return math.isnan(self.value) and not self.diverged


@dataclass(frozen=True)
class Comparison:
    """left < right, as measured.

    noise: the largest difference attributed to chance; 0 where a side is a bound or a count, NaN
    where it is not known.
    """

    claimed: LessThan
    left: Side
    right: Side
    noise: float
    verdict: Verdict

    @property
    def text(self) -> list[str]:
        """The numbers, or those that are missing."""
        if self.verdict is Verdict.UNMEASURED:
            return [side.text for side in (self.left, self.right) if side.missing]
        if self.verdict is Verdict.DIVERGED:
            return [side.text for side in (self.left, self.right) if side.diverged]
        less = self.left.value < self.right.value or self.right.diverged
        text = f"{self.claimed.quantity} {self.left.text} {'<' if less else '≥'} {self.right.text}"
        if self.verdict is Verdict.NO_SPREAD:
            return [f"{text}, noise not known"]
        digits = decimals(max(self.left.value, self.right.value))
        return [f"{text}, noise {self.noise:.{digits}f}" if is_noisy(self.claimed) else text]


def claims_table(
    results: Iterable[Result],
    recipe: Recipe,
    note: str = "",
    measured_gradients: Gradients | None = None,
) -> Table:
    """The verdict on each claim and its numbers, by the means over the results of one recipe.

    Of networks that were not trained on CIFAR-10 there are no verdicts.
    """
    if recipe.dataset != PAPER.dataset:
        basis = "No verdicts: the claims are about networks trained on CIFAR-10."
        compared: list[list[Comparison]] = [[] for _ in CLAIMS]
    else:
        runs, of_layers = summary(results), gradients.of_claims(measured_gradients)
        measured = {
            quantity: of_layers if quantity in OF_GRADIENTS else runs for quantity in QUANTITIES
        }
        own = {quantity: own_spread(quantity, measured[quantity]) for quantity in NOISY}
        spreads = {quantity: deciding_spread(quantity, own[quantity], recipe) for quantity in NOISY}
        basis = basis_of(own, spreads, recipe)
        compared = [
            [
                compare(each, measured[each.quantity], spreads.get(each.quantity))
                for each in claim.comparisons
            ]
            for claim in CLAIMS
        ]
    rows = [row(claim, each) for claim, of in zip(CLAIMS, compared, strict=True) for each in of]
    text = pd.DataFrame([cells(*pair) for pair in zip(CLAIMS, compared, strict=True)])
    open_ones = text["verdict"].isin(OPEN)
    numbers = pd.DataFrame(rows, columns=list(COLUMNS))
    return Table(
        "claims",
        numbers.astype({"left_runs": "Int64", "right_runs": "Int64"}).round(4),
        pd.concat([text[~open_ones], text[open_ones]], ignore_index=True),
        f"{basis}\n\n{note}".strip(),
        shown=int((~open_ones).sum()),
        folded=f"{open_ones.sum()} claims without all measurements",
    )


def in_lines(table: Table) -> str:
    """The verdict on each claim that is measured, a line each; the number of the others."""
    shown, rest = table.parts
    pairs = zip(shown["verdict"], shown["claim"], strict=True)
    lines = [f"{verdict}: {claim}" for verdict, claim in pairs]
    return "\n".join(lines + [f"{table.folded}: {table.name}.md"] * (len(rest) > 0))


def cells(claim: Claim, compared: list[Comparison]) -> dict[str, str]:
    """A claim as a row of text."""
    return {
        "claim": claim.words,
        "where": claim.where,
        "verdict": verdict(each.verdict for each in compared) if compared else NO_VERDICT,
        "numbers": "; ".join(dict.fromkeys(chain(*(each.text for each in compared)))) or "–",
    }


def row(claim: Claim, comparison: Comparison) -> dict[str, object]:
    """A comparison as numbers: COLUMNS."""
    quantity, left, right = comparison.claimed
    return {
        "claim": claim.words,
        "quantity": quantity,
        "left": left,
        "left_value": comparison.left.value,
        "left_runs": comparison.left.runs,
        "right": right,
        "right_value": comparison.right.value,
        "right_runs": comparison.right.runs,
        "noise": comparison.noise,
        "verdict": comparison.verdict.value,
    }


def verdict(comparisons: Iterable[Verdict]) -> str:
    """The verdict on a claim, by those on its comparisons."""
    given = set(comparisons)
    return next(each for each in Verdict if each in given).value


def compare(claimed: LessThan, measured: pd.DataFrame, of: Spread | None) -> Comparison:
    """A comparison by a summary of the runs.

    of: the spread of its quantity over all networks, None if not known; it is used where the two
    networks have too few runs for a spread of their own.
    """
    left = side(claimed.left, measured, claimed.quantity)
    right = side(claimed.right, measured, claimed.quantity)
    noise = 0.0
    if is_noisy(claimed):
        own = spread_over(sides(claimed), claimed.quantity, measured)
        noise = noise_of(own if is_enough(own) else of, left.runs, right.runs)
    if left.diverged or right.diverged:
        decided = decide_diverged(claimed, left, right)
    else:
        decided = decide(claimed, left.value, right.value, noise)
    return Comparison(claimed, left, right, noise, decided)


def is_noisy(claimed: LessThan) -> bool:
    """True if two means over runs are compared; not a mean with a bound, nor a count."""
    return claimed.quantity in NOISY and len(sides(claimed)) == 2


def sides(claimed: LessThan) -> set[str]:
    """The networks that are compared."""
    return {each for each in (claimed.left, claimed.right) if isinstance(each, str)}


def decide(claimed: LessThan, left: float, right: float, noise: float) -> Verdict:
    """The verdict on left < right, which noise up to a difference leaves open; NaN is unknown."""
    if math.isnan(left) or math.isnan(right):
        return Verdict.UNMEASURED
    if math.isnan(noise):
        return Verdict.NO_SPREAD
    if is_noisy(claimed) and abs(right - left) <= noise:
        return Verdict.WITHIN_NOISE
    return Verdict.HOLDS if left < right else Verdict.FAILS


def decide_diverged(claimed: LessThan, left: Side, right: Side) -> Verdict:
    """The verdict where all runs of a network diverged: its error is above any bound."""
    if left.missing or right.missing:
        return Verdict.UNMEASURED
    if len(sides(claimed)) == 2:
        return Verdict.DIVERGED
    return Verdict.HOLDS if right.diverged else Verdict.FAILS


def side(of: str | float, measured: pd.DataFrame, quantity: str) -> Side:
    """A bound, or a network's mean; of "diverged" the count, and why where there is no number."""
    if not isinstance(of, str):
        return Side(f"{of:g}", of)
    name, runs = names.title(of), measured[measured["network"] == of]
    values = runs[QUANTITIES[quantity]].dropna().astype(float)
    diverged = int(runs["diverged"].sum())
    if not len(runs):
        return Side(f"{name} not recorded", math.nan, 0)
    if quantity == "diverged":
        return Side(f"{diverged} of {len(runs)} runs of {name}", diverged)
    if diverged == len(runs):
        count = f" (n = {diverged})" if diverged > 1 else ""
        return Side(f"{name} diverged{count}", math.nan, 0, diverged=True)
    lost = f", {diverged} diverged" if diverged else ""
    if not len(values):
        return Side(f"{name} has no {quantity}{lost}", math.nan, 0)
    digits = decimals(values.mean())
    std = f" ± {values.std():.{digits}f} (n = {len(values)})" if len(values) > 1 else ""
    return Side(f"{name} {values.mean():.{digits}f}{std}{lost}", values.mean(), len(values))


def decimals(value: float) -> int:
    """How many are shown of a number: errors near 0 and responses have three."""
    return 2 if value >= 1 else 3


def noise_of(of: Spread | None, left_runs: int | None, right_runs: int | None) -> float:
    """t s sqrt(1/n1 + 1/n2), t = Student's t(0.975, degrees of freedom of s).

    NaN where s is not known or a side has no runs.
    """
    if of is None or not left_runs or not right_runs:
        return math.nan
    return student_t(of.degrees_of_freedom) * of.std * math.sqrt(1 / left_runs + 1 / right_runs)


def own_spread(quantity: str, measured: pd.DataFrame) -> Spread:
    """Pooled over those networks that the claims compare with each other by this quantity."""
    comparisons = chain(*(claim.comparisons for claim in CLAIMS))
    compared = [sides(each) for each in comparisons if each.quantity == quantity and is_noisy(each)]
    return spread_over(set().union(*compared), quantity, measured)


def spread_over(networks: set[str], quantity: str, measured: pd.DataFrame) -> Spread:
    """The standard deviation over runs, pooled over networks."""
    values = measured[measured["network"].isin(networks)].groupby("network")[QUANTITIES[quantity]]
    return pooled(zip(values.std(), values.count().tolist(), strict=True), "measured here")


def is_enough(of: Spread) -> bool:
    return of.degrees_of_freedom >= ENOUGH


def deciding_spread(quantity: str, own: Spread, recipe: Recipe) -> Spread | None:
    """The standard deviation over runs that decides comparisons of networks with few runs.

    That of the runs measured here if it has ENOUGH degrees of freedom; else, for errors on all test
    images, TEST_ERROR_SPREAD; else None.
    """
    if is_enough(own):
        return own
    on_all_images = recipe.test_images == PAPER.test_images
    return TEST_ERROR_SPREAD if quantity == "test error" and on_all_images else None


def basis_of(own: dict[str, Spread], spreads: dict[str, Spread | None], recipe: Recipe) -> str:
    """The spreads that the verdicts use, in Markdown."""
    lines = [
        "Two means differ if their difference is above the noise, t s √(1/n₁ + 1/n₂). s is the "
        "standard deviation over runs, pooled over the two networks; where they have fewer "
        f"than {ENOUGH} degrees of freedom, over all networks with n ≥ 2 that are so compared, as "
        "below. t is Student's t(0.975, degrees of freedom of s).\n"
    ]
    for quantity, of in spreads.items():
        freedom = own[quantity].degrees_of_freedom
        here = f"{freedom} of {ENOUGH} degrees of freedom measured here"
        if of is None:
            lines.append(f"- {quantity}: s not known, {here}")
        else:
            source = of.source if of is own[quantity] else f"{borrowed(of, recipe)}; {here}"
            s = f"s = {of.std:.{decimals(of.std)}f} ({of.degrees_of_freedom} degrees of freedom)"
            lines.append(f"- {quantity}: {s}, t = {student_t(of.degrees_of_freedom):.2f}, {source}")
    return "\n".join(lines)


def borrowed(of: Spread, recipe: Recipe) -> str:
    """Where a published spread comes from, and how the runs here differ from those."""
    text = f"a prior, pooled over runs of {PAPER.iterations:,} iterations by {of.source}"
    if recipe == PAPER:
        return text
    ours = f"{recipe.iterations:,} iterations on {recipe.train_images:,} images"
    return f"{text}, borrowed: the runs here are of {ours} and may spread more or less"

"""The figure, the table and the claims show the gradients that were measured."""

from math import exp, log, nan, pi, sqrt

import pandas as pd
import pytest
from matplotlib.figure import Figure

from resnet_paper.paper.claims import CLAIMS
from resnet_paper.paper.theory import gradient_factor
from resnet_paper.results import gradients
from resnet_paper.results.verdicts import claims_table
from resnet_paper.runs.gradients import COSINES, LAYERS, Gradients
from resnet_paper.runs.recipe import PAPER

LAYER_COUNT = 19


def case(
    network: str = "plain-20",
    factor: float = 1.2,
    batch_norm: str = "true",
    initialisation: str = "he",
    state: str = "new",
    seed: int = 0,
) -> list[tuple[object, ...]]:
    """Layers whose gradient norms grow by a factor a layer towards the first."""
    rows = range(1, LAYER_COUNT + 1)
    norms = [0.5 * factor ** (LAYER_COUNT - layer) for layer in rows]
    key = (network, batch_norm, initialisation, state, seed)
    return [(*key, layer, "conv", 1.0 + layer, norms[layer - 1], 0.1) for layer in rows]


def measured(*cases: list[tuple[object, ...]]) -> Gradients:
    layers = pd.DataFrame([row for rows in cases for row in rows], columns=list(LAYERS))
    cosine = ("plain-20", "true", "he", "new", 0, "bfloat16", 0.75)
    return Gradients(layers, pd.DataFrame([cosine], columns=list(COSINES)))


def cells(found: Gradients) -> dict[str, str]:
    (row,) = gradients.table(found).text.to_dict("records")
    return {str(column): cell for column, cell in row.items()}


def test_the_table_compares_the_first_layer_with_the_last_by_the_geometric_mean() -> None:
    row = cells(measured(case(factor=1.1), case(factor=1.3, seed=1)))
    mean = sqrt(1.1**18 * 1.3**18)
    assert row["gradient, first over last"] == f"{mean:.3g} ({1.1**18:.3g} to {1.3**18:.3g})"
    assert row["factor a layer"] == f"{sqrt(1.1 * 1.3):.3f}"
    assert row["scale-free factor"] == f"{(mean / 10) ** (1 / 18):.3f}"
    assert row["theory"] == "1.211"
    assert row["output std, last over first"] == "10 (10 to 10)"
    assert (row["cosine, bfloat16"], row["cosine, float32"]) == ("0.750", "–")
    assert row["n"] == "2"


@pytest.mark.parametrize(
    ("kind", "batch_norm", "initialisation", "factor"),
    [
        ("plain", True, "he", sqrt(pi / (pi - 1))),
        ("plain", False, "he", 1.0),
        ("plain", False, "pytorch", sqrt(1 / 6)),
        ("resnet", True, "he", nan),
    ],
)
def test_theory(kind: str, batch_norm: bool, initialisation: str, factor: float) -> None:
    assert gradient_factor(kind, batch_norm, initialisation) == pytest.approx(factor, nan_ok=True)


def test_theory_is_of_new_networks() -> None:
    assert cells(measured(case(state="trained")))["theory"] == "–"


def test_a_norm_that_underflows_is_said_and_not_drawn() -> None:
    zeros = [(*row[:8], 0.0, 0.0) for row in case(batch_norm="false", initialisation="pytorch")]
    found = measured(zeros)
    assert cells(found)["gradient, first over last"] == "0 in float32"
    assert [len(axes.lines) for axes in figure(found).axes] == [1, 1, 1, 1]


def figure(found: Gradients) -> Figure:
    return gradients.figure(found, PAPER)


def test_a_panel_shows_norms_over_the_last_layers() -> None:
    found = measured(case(factor=1.1), case(factor=1.3, seed=1), case(state="trained", factor=0.9))
    new, without, trained, iterations = figure(found).axes
    (line,) = new.lines[1:]
    x, y = line.get_data()
    assert (x[0], x[-1]) == (1, LAYER_COUNT)
    assert y[-1] == 1.0
    assert y[0] == pytest.approx(exp(18 * (log(1.1) + log(1.3)) / 2))
    assert not without.lines[1:]
    assert trained.lines[1].get_ydata()[0] == pytest.approx(0.9**18)
    assert all(axes.get_yscale() == "log" for axes in (new, without, trained, iterations))


def test_iterations_are_in_their_order_and_the_trained_net_is_last() -> None:
    states = ("100", "new", "3", "10", "trained")
    cases = [case(state=state, factor=1 + place / 10) for place, state in enumerate(states)]
    axes = figure(measured(*cases)).axes[-1]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [
        "0",
        "3",
        "10",
        "100",
        "trained",
    ]
    early, last = axes.lines[1:]
    assert early.get_ydata() == pytest.approx([1.1**18, 1.2**18, 1.3**18, 1.0])
    assert (last.get_xdata()[0], last.get_ydata()[0]) == (4, pytest.approx(1.4**18))


def verdict_of(words: str, found: Gradients | None) -> str:
    (claim,) = (each.words for each in CLAIMS if words in each.words)
    return claims_table([], PAPER, "", found).text.set_index("claim").loc[claim, "verdict"]


@pytest.mark.parametrize(("factor", "verdict"), [(1.2, "holds"), (0.9, "does not hold")])
def test_new_plain_nets_do_not_vanish_where_no_factor_is_below_one(
    factor: float, verdict: str
) -> None:
    nets = [case(network=f"plain-{depth}") for depth in (20, 56)]
    found = measured(*nets, case(network="plain-110", factor=factor))
    assert verdict_of("Gradients of new plain nets", found) == verdict
    assert verdict_of("Gradients of trained plain nets", found) == "not measured yet"


@pytest.mark.parametrize(("spread", "verdict"), [(0.001, "holds"), (0.2, "within noise")])
def test_plain_and_residual_nets_are_compared_by_the_spread_over_seeds(
    spread: float, verdict: str
) -> None:
    cases = [
        case(network=f"{kind}-{depth}", factor=factor + spread * (seed - 1), seed=seed)
        for kind, factor in (("plain", 1.2), ("resnet", 1.1))
        for depth in (20, 56, 110)
        for seed in range(3)
    ]
    assert verdict_of("faster than those of ResNets", measured(*cases)) == verdict


def test_controls_and_early_states_decide_no_claim() -> None:
    nets = [case(network=f"plain-{depth}") for depth in (20, 56, 110)]
    others = [case(batch_norm="false", factor=0.5), case(state="10", factor=0.5)]
    assert verdict_of("Gradients of new plain nets", measured(*nets, *others)) == "holds"
    assert verdict_of("Gradients of new plain nets", None) == "not measured yet"


@pytest.mark.parametrize(("std", "verdict"), [(0.1, "holds"), (0.001, "does not hold")])
def test_signals_vanish_where_a_layers_is_below_bns_epsilon(std: float, verdict: str) -> None:
    nets = [case(network=f"plain-{depth}", state="trained") for depth in (20, 56, 110)]
    nets[1][7] = (*nets[1][7][:7], std, *nets[1][7][8:])
    assert verdict_of("signals of trained plain nets", measured(*nets)) == verdict
    assert verdict_of("signals of new plain nets", measured(*nets)) == "not measured yet"

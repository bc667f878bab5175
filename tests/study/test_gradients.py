"""What is measured of gradients, of which networks, and that it repeats."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from msgspec.structs import replace
from torch import nn

from resnet_paper.errors import UserError
from resnet_paper.networks.build import build
from resnet_paper.runs import gradients as files
from resnet_paper.runs.datasets import DATA_SETS
from resnet_paper.runs.recipe import PAPER, SETTINGS, Recipe
from resnet_paper.study import gradients
from resnet_paper.study.gradients import Batches
from resnet_paper.study.study import Study
from resnet_paper.training import data
from resnet_paper.training.images import Dataset, Images
from tests.results.test_figures import RecordRun

CASE = list(files.CASE)


@pytest.fixture
def batches(recipe: Recipe, dataset: Dataset) -> Batches:
    return Batches(recipe, dataset.train)


@pytest.fixture
def study(small: None, tmp_path: Path) -> Study:
    return Study(settings="small", root=tmp_path)


def test_each_state_is_measured_and_has_the_same_numbers_in_any_process(
    study: Study, record_run: RecordRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_run("resnet-8", seed=3, settings="small", weights=build("resnet-8"))
    record_run("resnet-8", seed=4, settings="small")  # without weights
    with monkeypatch.context() as patched:
        patched.setattr(torch, "get_num_threads", lambda: 2)  # as many processes
        measured = gradients.measure(study, ["resnet-8"], seeds=2)
    cases = measured.layers[CASE].drop_duplicates().to_numpy().tolist()
    assert cases == [
        *(["resnet-8", "true", "he", "new", seed] for seed in (0, 1)),
        *(["resnet-8", "false", "he", "new", seed] for seed in (0, 1)),
        *(["resnet-8", "false", "pytorch", "new", seed] for seed in (0, 1)),
        *(["resnet-8", "true", "he", state, 0] for state in ("1", "3", "10")),  # of 12 iterations
        ["resnet-8", "true", "he", "trained", 3],
    ]
    assert measured.layers.groupby(CASE).size().eq(7).all()
    measured.write(study.root)
    read = files.read(study.root)
    assert read is not None
    for written, table in zip(measured, read, strict=True):
        pd.testing.assert_frame_equal(written, table)

    same = measured.layers[measured.layers["seed"].isin([0, 3])].reset_index(drop=True)
    again = [
        layers
        for part in gradients.parts_of(study, "resnet-8", seeds=1, full=False)
        for layers, _ in gradients.measure_part(study.recipe, Path(), part, lambda done: None)
    ]
    again = pd.concat(again, ignore_index=True)[list(files.LAYERS)]
    pd.testing.assert_frame_equal(again, same)


def test_images_of_one_channel_and_other_classes_are_measured_as_they_are_trained(
    recipe: Recipe, record_run: RecordRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New, trained, and of a file: as of digits, which are not flipped."""
    grey = DATA_SETS["synthetic"]._replace(channels=1, classes=12)
    monkeypatch.setitem(DATA_SETS, "synthetic", grey)
    recipe = replace(recipe, channels=1, classes=12, flips=False, normalisation="mnist channel")
    monkeypatch.setitem(SETTINGS, "small", recipe)
    images = Images(torch.randint(256, (25, 1, 32, 32), dtype=torch.uint8), torch.arange(25) % 12)
    monkeypatch.setitem(data.LOADERS, "synthetic", lambda *_: (images, images))
    study = Study("small", tmp_path)
    assert not Batches(recipe, images).stream(0).plan(0, 6).flip.any()
    network = build("resnet-8", 0, 12, 1)
    record_run("resnet-8", settings="small", weights=network)
    parts = list(gradients.parts_of(study, "resnet-8", seeds=1, full=False))
    found = [gradients.measure_part(recipe, Path(), part, lambda done: None) for part in parts]
    assert sum(len(layers) for part in found for layers, _ in part) == 7 * 7
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    for weights in (None, tmp_path / "weights.pt"):
        assert len(gradients.own_signals(study, "resnet-8", weights)) == 7


@pytest.mark.parametrize("full", [False, True])
def test_in_full_deep_networks_are_followed_as_far_as_shallow_ones(
    full: bool, tmp_path: Path
) -> None:
    study = Study(root=tmp_path)
    last = {}
    for network in ("plain-20", "plain-56", "plain-110"):
        parts = list(gradients.parts_of(study, network, seeds=1, full=full))
        last[network] = max(part.iterations for part in parts)
        assert {part.extent.batches for part in parts} == {10 if full else 1}
    assert list(last.values()) == ([100, 100, 100] if full else [100, 30, 10])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_all_processes_at_once(
    number: int, tmp_path: Path, record_run: RecordRun
) -> None:
    record_run("resnet-8", settings="demo")
    command = [sys.executable, "experiments/gradients.py", "--settings", "demo", "--depths", "110"]
    command += ["--runs", str(tmp_path)]
    process = subprocess.Popen(
        command, cwd=Path(__file__).parents[2], start_new_session=True, stderr=subprocess.PIPE
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while len(children.read_text().split()) < 3:  # a resource tracker, a manager, and workers
        assert process.poll() is None
        time.sleep(0.1)
    time.sleep(5)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    assert process.wait(60) != 0
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()  # which waits for all that may write to it
    until = time.monotonic() + 60
    while group_exists(process.pid):
        assert time.monotonic() < until
        time.sleep(0.1)


def group_exists(number: int) -> bool:
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_measuring_leaves_a_network_as_it_was(batches: Batches) -> None:
    network = build("resnet-8").eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    gradients.layer_signals(network, list(batches.take(0, 0, 2)))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not network.training


def test_numbers_are_means_over_batches(batches: Batches) -> None:
    both = list(batches.take(0, 0, 2))
    one, other = (gradients.layer_signals(build("plain-8"), [each]) for each in both)
    mean = gradients.layer_signals(build("plain-8"), both)
    columns = ["output_std", "gradient_norm", "relative_weight_gradient"]
    expected = (one[columns] + other[columns]) / 2
    pd.testing.assert_frame_equal(mean[columns], expected, rtol=1e-4)


@pytest.mark.parametrize("warmup_depth", [8, 110])
def test_the_first_iteration_is_that_of_the_recipe(
    batches: Batches, recipe: Recipe, warmup_depth: int
) -> None:
    batches.recipe = recipe = replace(recipe, warmup_depth=warmup_depth, warmup_learning_rate=0.03)
    ((_, trained),) = gradients.first_iterations("plain-8", batches, 1)
    network = build("plain-8").train()
    ((images, labels),) = batches.take(0, 0, 1)
    F.cross_entropy(network(images), labels).backward()
    start = network.stem.conv.weight
    step = start.grad + recipe.weight_decay * start
    expected = start - (0.03 if warmup_depth == 8 else recipe.learning_rate) * step
    torch.testing.assert_close(trained.stem.conv.weight, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("initialisation", gradients.INITIALISATIONS)
def test_controls_have_no_bn_and_their_initialisation(initialisation: str) -> None:
    network = gradients.control("plain-20", PAPER, initialisation, seed=1)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    weight = network.stages[0][0].conv1.weight
    fan = 16 * 9
    if initialisation == "pytorch":
        assert weight.abs().max() <= fan**-0.5
        assert weight.std().item() == pytest.approx((3 * fan) ** -0.5, rel=0.05)
    else:
        assert weight.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.05)
    same = gradients.control("plain-20", PAPER, initialisation, seed=1).stages[0][0].conv1.weight
    assert torch.equal(weight, same)


def test_weights_of_ones_own_are_measured(study: Study, tmp_path: Path) -> None:
    network = build("resnet-8", seed=5)
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    new = gradients.own_signals(study, "resnet-8", None)
    own = gradients.own_signals(study, "resnet-8", tmp_path / "weights.pt")
    assert len(new) == len(own) == 7
    assert new["gradient_norm"].tolist() != own["gradient_norm"].tolist()
    with pytest.raises(UserError, match="does not hold the weights of a resnet-14"):
        gradients.own_signals(study, "resnet-14", tmp_path / "weights.pt")
    with pytest.raises(UserError, match="64 pixels a side or more"):
        gradients.own_signals(study, "imagenet-resnet-18", None)


@pytest.mark.parametrize("content", ["", "network,layer\nplain-8,1\n", "\0"])
def test_a_damaged_file_is_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "gradients.csv").write_text(content)
    with pytest.raises(UserError, match="make gradients writes it"):
        files.read(tmp_path)

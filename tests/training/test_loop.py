"""Training: the same curve interrupted or not, and measuring that changes nothing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from resnet_paper.errors import UserError
from resnet_paper.networks import baselines, names, resnets
from resnet_paper.networks.build import CONSTRUCTORS, build
from resnet_paper.runs.recipe import SETTINGS, Recipe
from resnet_paper.runs.run import COLUMNS, Run
from resnet_paper.training import backend, data
from resnet_paper.training.backend import Computing
from resnet_paper.training.data import BatchStream, Dataset
from resnet_paper.training.loop import Learner, train, warn_of_another_environment

CPU = backend.choose("cpu", "float32")
PRECISIONS = ["float32"] + ["bfloat16"] * backend.has_bfloat16("cpu")


@pytest.fixture
def dataset(recipe: Recipe) -> Dataset:
    return data.load(recipe, Path("nowhere"))


def complete(run: Run, recipe: Recipe, dataset: Dataset, computing=CPU) -> Run:
    for _ in train(run, recipe, dataset, computing):
        pass
    return run


def interrupted(run: Run, recipe: Recipe, dataset: Dataset, at: int, computing=CPU) -> Run:
    steps = train(run, recipe, dataset, computing)
    for progress in steps:
        if progress.iteration == at:
            steps.close()
            break
    return run


def result(run: Run) -> tuple[pd.DataFrame, dict[str, torch.Tensor]]:
    return run.curve().drop(columns="seconds"), torch.load(run.weights_file, weights_only=True)


def assert_same_result(one: Run, other: Run) -> None:
    (curve, weights), (expected_curve, expected_weights) = result(one), result(other)
    pd.testing.assert_frame_equal(curve, expected_curve, check_exact=True)
    assert weights.keys() == expected_weights.keys()
    for name, value in weights.items():
        assert torch.equal(value, expected_weights[name]), name


def test_a_finished_run_leaves_its_files(tmp_path: Path, recipe: Recipe, dataset: Dataset) -> None:
    run = complete(Run(tmp_path, "tiny", "resnet-8", 0), recipe, dataset)
    record, curve = run.record(), run.curve()
    assert tuple(curve.columns) == COLUMNS
    assert curve["iteration"].tolist() == [4, 8, 12]
    assert curve["learning_rate"].tolist() == [0.1, 0.01, 0.001]
    assert curve["val_error"].isna().all()
    assert record["finished"] is True
    assert record["test_error"] == curve["test_error"].iloc[-1], "the last, not the best"
    assert record["parameters"] == 75_290
    assert record["test_error_precise"] == curve["test_error_precise"].iloc[-1]
    assert record["warmup_end"] == 0
    assert not run.checkpoint_file.exists()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("at", [1, 4, 11])
def test_interrupted_equals_uninterrupted(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, precision: str, at: int
) -> None:
    computing = backend.choose("cpu", precision)
    whole = complete(Run(tmp_path / "whole", "tiny", "resnet-8", 5), recipe, dataset, computing)
    cut = Run(tmp_path / "cut", "tiny", "resnet-8", 5)
    interrupted(cut, recipe, dataset, at, computing)
    assert not cut.finished
    complete(cut, recipe, dataset, computing)
    assert_same_result(cut, whole)
    assert [sitting["iteration"] for sitting in cut.record()["resumed"]] == [at]


@pytest.mark.slow
@pytest.mark.skipif("bfloat16" not in PRECISIONS, reason="no bfloat16 arithmetic in hardware")
def test_interrupted_equals_uninterrupted_compiled(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    """As full-length runs are computed on a CPU."""
    computing = backend.choose("cpu", "bfloat16", backend.WORTH_COMPILING)
    if not computing.compiled:
        pytest.skip("torch.compile does not work here")
    runs = [Run(tmp_path / name, "tiny", "resnet-8", 5) for name in ("cut", "whole")]
    interrupted(runs[0], recipe, dataset, 5, computing)
    assert_same_result(*(complete(run, recipe, dataset, computing) for run in runs))


def test_a_finished_run_is_left_as_it_is(tmp_path: Path, recipe: Recipe, dataset: Dataset) -> None:
    run = complete(Run(tmp_path, "tiny", "resnet-8", 0), recipe, dataset)
    before = (run.directory / "run.json").read_bytes()
    complete(run, recipe, dataset)
    assert (run.directory / "run.json").read_bytes() == before


def test_a_lost_checkpoint_is_not_begun_anew(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    run = interrupted(Run(tmp_path, "tiny", "resnet-8", 0), recipe, dataset, at=5)
    run.checkpoint_file.unlink()
    with pytest.raises(UserError, match="a curve but no checkpoint"):
        complete(run, recipe, dataset)


def test_interrupted_in_its_warm_up(tmp_path: Path, recipe: Recipe, dataset: Dataset) -> None:
    warming = replace(recipe, warmup_depth=8, warmup_error=101.0)
    whole = complete(Run(tmp_path / "whole", "tiny", "plain-8", 0), warming, dataset)
    cut = interrupted(Run(tmp_path / "cut", "tiny", "plain-8", 0), warming, dataset, at=1)
    assert_same_result(complete(cut, warming, dataset), whole)


def test_a_diverged_run_ends_and_says_so(tmp_path: Path, recipe: Recipe, dataset: Dataset) -> None:
    run = Run(tmp_path, "tiny", "plain-8", 0)
    complete(run, replace(recipe, learning_rate=1e30), dataset)
    assert run.finished
    assert run.record()["diverged"] == 4
    assert run.curve()["iteration"].tolist() == [4]
    assert not np.isfinite(run.curve()["train_loss"]).any()


def test_seeds_give_different_runs(tmp_path: Path, recipe: Recipe, dataset: Dataset) -> None:
    one, other = (complete(Run(tmp_path, "tiny", "resnet-8", k), recipe, dataset) for k in (0, 1))
    assert one.curve()["train_loss"].tolist() != other.curve()["train_loss"].tolist()


def test_measuring_more_often_changes_no_weights(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    seldom = complete(Run(tmp_path / "seldom", "tiny", "plain-8", 0), recipe, dataset)
    often = replace(recipe, measure_every=1)
    often_run = complete(Run(tmp_path / "often", "tiny", "plain-8", 0), often, dataset)
    for value, expected in zip(
        result(often_run)[1].values(), result(seldom)[1].values(), strict=True
    ):
        assert torch.equal(value, expected)


def test_warm_up_ends_when_the_training_error_allows(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    warming = replace(recipe, warmup_depth=8, warmup_error=101.0)
    run = complete(Run(tmp_path / "passes", "tiny", "plain-8", 0), warming, dataset)
    assert run.curve()["iteration"].tolist() == [2, 4, 8, 12]
    assert run.curve()["learning_rate"].tolist() == [0.01, 0.1, 0.01, 0.001]
    assert run.record()["warmup_end"] == 2

    never = replace(warming, warmup_error=0.0)
    run = complete(Run(tmp_path / "never", "tiny", "plain-8", 0), never, dataset)
    assert run.curve()["learning_rate"].max() == 0.01
    assert run.record()["warmup_end"] is None


def test_held_out_images_give_a_validation_error(tmp_path: Path, recipe: Recipe) -> None:
    recipe = replace(recipe, held_out=30)
    dataset = data.load(recipe, Path("nowhere"))
    run = complete(Run(tmp_path, "tiny", "resnet-8", 0), recipe, dataset)
    assert run.curve()["val_error"].between(0, 100).all()
    assert run.record()["val_error"] == run.curve()["val_error"].iloc[-1]


def test_first_update_is_sgd_with_momentum_and_weight_decay(
    recipe: Recipe, dataset: Dataset
) -> None:
    """Two updates by hand: v <- 0.9 v + (gradient + 1e-4 w), w <- w - rate v."""
    plan = BatchStream(len(dataset.train), 16, seed=0).plan(0, 2)
    learner = Learner(build("resnet-8"), recipe, dataset.train, CPU)
    learner.load(plan, [0.1, 0.05])
    learner.advance(2)

    network = build("resnet-8")
    velocity = [torch.zeros_like(p) for p in network.parameters()]
    for position, rate in enumerate((0.1, 0.05)):
        learner.position.fill_(position)
        images, labels = learner.batch()
        loss = F.cross_entropy(network(images), labels)
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        for p, v, gradient in zip(network.parameters(), velocity, gradients, strict=True):
            v.mul_(0.9).add_(gradient + 1e-4 * p.data)
            p.data.sub_(rate * v)
    for p, expected in zip(learner.network.parameters(), network.parameters(), strict=True):
        assert torch.allclose(p, expected, rtol=1e-4, atol=1e-6)


def test_precise_statistics_are_the_mean_over_batches(recipe: Recipe, dataset: Dataset) -> None:
    plan = BatchStream(len(dataset.train), 16, seed=0).plan(0, 3)
    learner = Learner(build("resnet-8"), recipe, dataset.train, CPU)
    before = {name: value.clone() for name, value in learner.network.state_dict().items()}
    means, variances = [], []
    learner.load(plan, [])
    with torch.no_grad():
        for position in range(3):
            learner.position.fill_(position)
            images, _ = learner.batch()
            responses = learner.network.stem.conv(images)
            means.append(responses.mean((0, 2, 3)))
            variances.append(responses.var((0, 2, 3)))
    with learner.precise_statistics(plan):
        bn = learner.network.stem.bn
        assert torch.allclose(bn.running_mean, sum(means) / 3, atol=1e-5)
        assert torch.allclose(bn.running_var, sum(variances) / 3, rtol=1e-4)
    for name, value in learner.network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_signed_relu_is_relu() -> None:
    x = torch.randn(1_000).round(decimals=1).requires_grad_()
    y = x.detach().clone().requires_grad_()
    resnets.SignedReLU.apply(x).pow(2).sum().backward()
    F.relu(y).pow(2).sum().backward()
    assert torch.equal(resnets.SignedReLU.apply(x), F.relu(y))
    assert torch.equal(x.grad, y.grad)


@pytest.mark.skipif(not backend.can_compile(), reason="torch.compile does not work here")
def test_compiled_blocks_compute_what_eager_ones_do() -> None:
    # in float64, so that no response changes its sign by rounding
    eager, compiled = (resnets.Network((1,), (16,), resnets.option_a).double() for _ in range(2))
    compiled.load_state_dict(eager.state_dict())
    backend.compile_blocks(compiled)
    images = torch.randn(8, 3, 32, 32, dtype=torch.float64)
    for network in (eager, compiled):
        network(images).square().sum().backward()
    for one, other in zip(eager.parameters(), compiled.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-9, atol=1e-9)
    assert list(compiled.state_dict()) == list(eager.state_dict())


def test_rehearsals_before_a_capture_leave_no_trace(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU each piece of work is executed a few times before its graph is captured."""
    cut = interrupted(Run(tmp_path / "cut", "tiny", "resnet-8", 0), recipe, dataset, at=5)
    expected = complete(Run(tmp_path / "expected", "tiny", "resnet-8", 0), recipe, dataset)

    def rehearsed(_: Computing, work: Callable[[], None]) -> Callable[[], None]:
        for _ in range(backend.CAPTURE_REHEARSALS):
            work()
        return work

    monkeypatch.setattr(Computing, "captured", rehearsed)
    whole = complete(Run(tmp_path / "whole", "tiny", "resnet-8", 0), recipe, dataset)
    assert_same_result(whole, expected)
    assert_same_result(complete(cut, recipe, dataset), expected)


def test_work_to_be_captured_moves_no_tensor(recipe: Recipe, dataset: Dataset) -> None:
    """What a graph replays reads and writes fixed addresses."""
    learner = Learner(build("resnet-8"), recipe, dataset.train, CPU)

    def addresses() -> list[int]:
        fixed = [*learner.network.parameters(), *learner.network.buffers(), *learner.momentum]
        fixed += [*learner.plan.columns(), learner.rates, learner.rate, learner.position]
        fixed += [*learner.training, *learner.evaluation, learner.pixels, learner.labels]
        fixed += [g["lr"] for g in learner.optimizer.param_groups]
        fixed += [s["momentum_buffer"] for s in learner.optimizer.state.values()]
        return [tensor.data_ptr() for tensor in fixed]

    before = addresses()
    plan = BatchStream(len(dataset.train), 16, seed=0).plan(0, 2)
    learner.load(plan, [0.1, 0.1])
    learner.advance(2)
    with learner.precise_statistics(plan):
        learner.evaluate(dataset.test)
    learner.load_state_dict(learner.state_dict())
    assert addresses() == before


@pytest.mark.parametrize("size", [1, 249, 250, 251])
def test_evaluation_counts_each_image_once(recipe: Recipe, dataset: Dataset, size: int) -> None:
    learner = Learner(build("resnet-8"), recipe, dataset.train, CPU)
    images = data.synthetic(size, seed=2)
    learner.evaluate(data.synthetic(300, seed=3))  # leaves its images in the buffers
    loss, error = learner.evaluate(images)
    with torch.no_grad():
        logits = learner.network.eval()(learner.normalise(images.pixels))
    assert loss == pytest.approx(F.cross_entropy(logits, images.labels).item(), rel=1e-5)
    wrong = (logits.argmax(1) != images.labels).sum().item()
    assert error == pytest.approx(100 * wrong / size)


def test_another_recipe_is_refused_and_nothing_is_overwritten(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    run = interrupted(Run(tmp_path, "tiny", "resnet-8", 0), recipe, dataset, at=5)
    before = run.checkpoint_file.read_bytes()
    with pytest.raises(UserError, match=r"momentum 0\.9, not 0\.5"):
        complete(run, replace(recipe, momentum=0.5), dataset)
    if backend.has_bfloat16("cpu"):
        with pytest.raises(UserError, match="precision float32, not bfloat16"):
            complete(run, recipe, dataset, backend.choose("cpu", "bfloat16"))
    assert run.checkpoint_file.read_bytes() == before


@pytest.mark.parametrize(
    "damage", [lambda c: c[:-100], lambda c: b"", lambda c: c[:999] + b"x" + c[1000:]]
)
def test_a_damaged_checkpoint_is_refused_and_kept(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, damage
) -> None:
    run = interrupted(Run(tmp_path, "tiny", "resnet-8", 0), recipe, dataset, at=5)
    damaged = damage(run.checkpoint_file.read_bytes())
    run.checkpoint_file.write_bytes(damaged)
    with pytest.raises(UserError, match=r"checkpoint\.pt is damaged"):
        complete(run, recipe, dataset)
    assert run.checkpoint_file.read_bytes() == damaged


def start(runs: Path) -> subprocess.Popen[str]:
    """The demo's ResNet-8, training in a process of its own, with a checkpoint written."""
    network = ["--network", "resnet-8", "--settings", "demo"]
    network += ["--device", "cpu", "--precision", "float32"]
    process = subprocess.Popen(
        [sys.executable, "experiments/train.py", *network, "--runs", str(runs)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while not Run(runs, "demo", "resnet-8", 0).checkpoint_file.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    return process


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The demo's ResNet-8, trained without interruption."""
    run, recipe = Run(tmp_path_factory.mktemp("runs"), "demo", "resnet-8", 0), SETTINGS["demo"]
    return complete(run, recipe, data.load(recipe, Path("nowhere")))


def resumed(runs: Path) -> Run:
    """What `start` began, brought to its end."""
    run, recipe = Run(runs, "demo", "resnet-8", 0), SETTINGS["demo"]
    assert not run.finished
    return complete(run, recipe, data.load(recipe, Path("nowhere")))


def test_killed_and_started_again_equals_left_alone(tmp_path: Path, left_alone: Run) -> None:
    process = start(tmp_path)
    process.kill()
    process.communicate()
    assert_same_result(resumed(tmp_path), left_alone)


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(tmp_path: Path, left_alone: Run) -> None:
    process = start(tmp_path)
    run = Run(tmp_path, "demo", "resnet-8", 0)
    with pytest.raises(UserError, match=f"process {process.pid} on "), run.locked():
        pass
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "the same command goes on from there" in output
    assert "Traceback" not in output
    assert_same_result(resumed(tmp_path), left_alone)


def test_a_new_network_is_one_entry_and_dropout_goes_on_as_if_not_interrupted(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(*_: object) -> torch.nn.Module:
        flat = torch.nn.Flatten()
        return torch.nn.Sequential(flat, baselines.HashDropout(), torch.nn.Linear(3 * 32 * 32, 10))

    monkeypatch.setitem(names.OTHERS, "small", names.Name("small", 1))
    monkeypatch.setitem(CONSTRUCTORS, "small", small)
    cut, whole = (Run(tmp_path / name, "tiny", "small", 0) for name in ("cut", "whole"))
    interrupted(cut, recipe, dataset, at=5)
    assert_same_result(complete(cut, recipe, dataset), complete(whole, recipe, dataset))


def test_a_field_newer_than_a_record_has_its_default(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    run = complete(Run(tmp_path, "tiny", "plain-8", 0), recipe, dataset)
    record = run.record()
    del record["recipe"]["normalisation"]
    run.write_record(record)
    assert run.finished_by(recipe)
    with pytest.raises(UserError, match="normalisation per-pixel mean, not channels"):
        run.finished_by(replace(recipe, normalisation="channels"))


def test_another_version_is_said_where_it_was_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(tmp_path, "tiny", "resnet-8", 0)
    before = {"torch": "2.11.0", "device_name": "a CPU"}
    now = {"torch": "2.11.0", "device_name": "a CPU", "numpy": "2.4.0"}
    warn_of_another_environment(run, before, now)
    assert capsys.readouterr().err == ""
    warn_of_another_environment(run, before | {"numpy": "2.3.0"}, now)
    assert "was begun with numpy 2.3.0 and goes on with 2.4.0" in capsys.readouterr().err


def test_a_network_without_bn_is_trained_and_goes_on(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    cut, whole = (Run(tmp_path / name, "tiny", "simple-cnn", 0) for name in ("cut", "whole"))
    interrupted(cut, recipe, dataset, at=5)
    assert_same_result(complete(cut, recipe, dataset), complete(whole, recipe, dataset))
    curve = whole.curve()
    assert curve["test_error"].tolist() == curve["test_error_precise"].tolist()

"""Training: the same curve interrupted or not, and measuring that changes nothing."""

import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace as replaced
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from msgspec.structs import replace
from torch import nn

from resnet_paper import names
from resnet_paper.errors import UserError
from resnet_paper.networks import baselines
from resnet_paper.networks.build import CONSTRUCTORS, build
from resnet_paper.runs.recipe import SETTINGS, Recipe
from resnet_paper.runs.record import COLUMNS, Environment
from resnet_paper.runs.run import Run
from resnet_paper.training import backend, batches, checkpoint, data, loop
from resnet_paper.training.backend import Backend
from resnet_paper.training.checkpoint import warn_of_another_environment
from resnet_paper.training.images import Dataset, Images
from resnet_paper.training.loop import train
from tests.conftest import ENVIRONMENT
from tests.training.trained import (
    CPU,
    assert_same_result,
    complete,
    interrupted,
    stopped,
    weights_of,
)

PRECISIONS = ["float32"] + ["bfloat16"] * backend.has_bfloat16("cpu")


def test_a_finished_run_leaves_its_files(tmp_path: Path, recipe: Recipe, dataset: Dataset) -> None:
    run = complete(Run(tmp_path, "tiny", "resnet-8", 0), recipe, dataset)
    record, curve = run.result().record, run.result().curve
    assert tuple(curve.columns) == COLUMNS
    assert curve["iteration"].tolist() == [4, 8, 12]
    assert curve["learning_rate"].tolist() == [0.1, 0.01, 0.001]
    assert curve["val_error"].isna().all()
    assert record.finished is True
    assert record.test_error == curve["test_error"].iloc[-1], "the last, not the best"
    assert record.parameters == 75_290
    assert record.test_error_precise == curve["test_error_precise"].iloc[-1]
    assert record.warmup_end == 0
    assert not run.checkpoint_file.exists()


def test_a_run_whose_device_is_behind_gives_way(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets no more iterations while too many are ahead, and nothing is read while it is busy."""
    ahead, busy = iter([loop.MOST_AHEAD, loop.MOST_AHEAD + 1]), iter([True, True, True])
    monkeypatch.setattr(loop.Learner, "ahead", property(lambda _: next(ahead, 0)))
    monkeypatch.setattr(loop.Learner, "busy", property(lambda _: next(busy, False)))
    read = []
    errors = loop.Learner.training_errors
    monkeypatch.setattr(
        loop.Learner,
        "training_errors",
        lambda *given: read.append(len(list(busy))) or errors(*given),
    )
    recipe = replace(recipe, measure_every=2)
    steps = loop.train(Run(tmp_path, "tiny", "resnet-8", 0), recipe, dataset, CPU)
    assert [next(steps).iteration for _ in range(7)] == [1, 1, 1, 2, 2, 2, 2]
    assert not read
    while next(steps).row is None:
        pass
    assert read == [0]
    steps.close()


def test_crops_move_as_far_as_the_recipe_pads(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def augment(images: torch.Tensor, top: torch.Tensor, *others: Any) -> torch.Tensor:
        seen.append((int(top.max()), others[-1]))
        return batches.augment(images, top, *others)

    monkeypatch.setattr("resnet_paper.training.learner.augment", augment)
    complete(Run(tmp_path, "tiny", "resnet-8", 0), replace(recipe, padding=1), dataset)
    assert max(seen) == (2, 1)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("at", [1, 4, 11])
def test_interrupted_equals_uninterrupted(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, precision: str, at: int
) -> None:
    chosen = backend.choose("cpu", precision)
    whole = complete(Run(tmp_path / "whole", "tiny", "resnet-8", 5), recipe, dataset, chosen)
    cut = Run(tmp_path / "cut", "tiny", "resnet-8", 5)
    interrupted(cut, recipe, dataset, at, chosen)
    assert not cut.finished
    complete(cut, recipe, dataset, chosen)
    assert_same_result(cut, whole)
    assert [sitting.iteration for sitting in cut.result().record.resumed] == [at]


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_interrupted_equals_uninterrupted_compiled(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, precision: str
) -> None:
    """As full-length runs are computed on a CPU."""
    chosen = backend.choose("cpu", precision, backend.WORTH_COMPILING)
    runs = [Run(tmp_path / name, "tiny", "resnet-8", 5) for name in ("cut", "whole")]
    interrupted(runs[0], recipe, dataset, 5, chosen)
    assert_same_result(*(complete(run, recipe, dataset, chosen) for run in runs))


def test_a_finished_run_is_left_as_it_is(tmp_path: Path, recipe: Recipe, dataset: Dataset) -> None:
    run = complete(Run(tmp_path, "tiny", "resnet-8", 0), recipe, dataset)
    before = (run.directory / "run.json").read_bytes()
    complete(run, recipe, dataset)
    assert (run.directory / "run.json").read_bytes() == before


def test_a_lost_checkpoint_is_not_begun_again(
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
    assert run.result().record.diverged == 4
    assert run.result().curve["iteration"].tolist() == [4]
    assert not np.isfinite(run.result().curve["train_loss"]).any()


def test_seeds_give_different_runs(tmp_path: Path, recipe: Recipe, dataset: Dataset) -> None:
    one, other = (complete(Run(tmp_path, "tiny", "resnet-8", k), recipe, dataset) for k in (0, 1))
    assert one.result().curve["train_loss"].tolist() != other.result().curve["train_loss"].tolist()


def test_measuring_more_often_changes_no_weights(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    seldom = complete(Run(tmp_path / "seldom", "tiny", "plain-8", 0), recipe, dataset)
    often = replace(recipe, measure_every=1)
    often_run = complete(Run(tmp_path / "often", "tiny", "plain-8", 0), often, dataset)
    weights, expected = (weights_of(run.result()) for run in (often_run, seldom))
    assert all(torch.equal(value, expected[name]) for name, value in weights.items())


def test_warm_up_ends_when_the_training_error_allows(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    warming = replace(recipe, warmup_depth=8, warmup_error=101.0)
    run = complete(Run(tmp_path / "passes", "tiny", "plain-8", 0), warming, dataset)
    assert run.result().curve["iteration"].tolist() == [2, 4, 8, 12]
    assert run.result().curve["learning_rate"].tolist() == [0.01, 0.1, 0.01, 0.001]
    assert run.result().record.warmup_end == 2

    never = replace(warming, warmup_error=0.0)
    run = complete(Run(tmp_path / "never", "tiny", "plain-8", 0), never, dataset)
    assert run.result().curve["learning_rate"].max() == 0.01
    assert run.result().record.warmup_end is None


def test_held_out_images_give_a_validation_error(tmp_path: Path, recipe: Recipe) -> None:
    recipe = replace(recipe, validation_images=30)
    dataset = data.load(recipe, Path("nowhere"))
    run = complete(Run(tmp_path, "tiny", "resnet-8", 0), recipe, dataset)
    assert run.result().curve["val_error"].between(0, 100).all()
    assert run.result().record.val_error == run.result().curve["val_error"].iloc[-1]


def test_rehearsals_before_a_capture_leave_no_trace(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU each piece of work is executed a few times before its graph is captured."""
    cut = interrupted(Run(tmp_path / "cut", "tiny", "resnet-8", 0), recipe, dataset, at=5)
    expected = complete(Run(tmp_path / "expected", "tiny", "resnet-8", 0), recipe, dataset)

    def rehearsed(_: Backend, work: Callable[[], None]) -> Callable[[], None]:
        for _ in range(backend.CAPTURE_WARMUPS):
            work()
        return work

    monkeypatch.setattr(Backend, "captured", rehearsed)
    whole = complete(Run(tmp_path / "whole", "tiny", "resnet-8", 0), recipe, dataset)
    assert_same_result(whole, expected)
    assert_same_result(complete(cut, recipe, dataset), expected)


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


@pytest.mark.slow
def test_killed_and_started_again_equals_left_alone(tmp_path: Path) -> None:
    runs = [Run(tmp_path / name, "demo", "resnet-8", 0) for name in ("killed", "left alone")]
    process = start(tmp_path / "killed")
    process.kill()
    process.communicate()
    assert not runs[0].finished
    dataset = data.load(SETTINGS["demo"], Path("nowhere"))
    assert_same_result(*(complete(run, SETTINGS["demo"], dataset) for run in runs))


@pytest.mark.slow
def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_resume(tmp_path: Path) -> None:
    process = start(tmp_path)
    run = Run(tmp_path, "demo", "resnet-8", 0)
    with pytest.raises(UserError, match=f"process {process.pid} on "), run.locked():
        pass
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "the same command resumes it" in output
    assert "Traceback" not in output
    assert checkpoint.load(run) is not None
    assert not run.finished


def test_a_new_network_is_one_entry_and_dropout_resumes_as_if_not_interrupted(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(*_: object) -> nn.Module:
        flat = nn.Flatten()
        return nn.Sequential(flat, baselines.HashDropout(), nn.Linear(3 * 32 * 32, 10))

    monkeypatch.setitem(names.OTHERS, "small", names.Name("small", 1))
    monkeypatch.setitem(CONSTRUCTORS, "small", small)
    cut, whole = (Run(tmp_path / name, "tiny", "small", 0) for name in ("cut", "whole"))
    interrupted(cut, recipe, dataset, at=5)
    assert_same_result(complete(cut, recipe, dataset), complete(whole, recipe, dataset))


@pytest.mark.slow
def test_vgg_19_resumes_as_if_not_interrupted(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its dropout and its 39 million weights; evaluated few images at a time to be quick."""
    monkeypatch.setattr(Images, "evaluation_batch", 10)
    short = replace(recipe, iterations=2, milestones=(1,), measure_every=2, unaugmented_images=10)
    few = Dataset(dataset.train[:20], dataset.validation, dataset.test[:10])
    cut, whole = (Run(tmp_path / name, "tiny", "vgg-19", 0) for name in ("cut", "whole"))
    interrupted(cut, short, few, at=1)
    assert_same_result(complete(cut, short, few), complete(whole, short, few))
    assert [sitting.iteration for sitting in cut.result().record.resumed] == [1]
    weights = weights_of(cut.result())
    assert weights["classifier.2.passes"] != build("vgg-19").state_dict()["classifier.2.passes"]


def test_a_field_newer_than_a_record_has_its_default(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    run = complete(Run(tmp_path, "tiny", "plain-8", 0), recipe, dataset)
    content = run.result().content
    del content["recipe"]["normalisation"]
    run.write_record(content)
    assert run.is_finished_with(recipe)
    with pytest.raises(UserError, match="normalisation per-pixel mean, not channels"):
        run.is_finished_with(replace(recipe, normalisation="channels"))


def test_another_version_is_said_where_it_was_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(tmp_path, "tiny", "resnet-8", 0)
    now = msgspec.convert(ENVIRONMENT, Environment)
    older = [replace(now, numpy=None, pillow=None), replace(now, numpy="2.3.0", pillow="11.0.0")]
    for dataset, before, said in (
        ("cifar10", older[:1], []),
        ("cifar10", older, ["numpy 2.3.0 and resumes with 2.4.6"]),
        ("imagenette", older, ["numpy 2.3.0", "pillow 11.0.0 and resumes with 12.0.0"]),
    ):
        warn_of_another_environment(run, dataset, before, now)
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == len(said)
        assert all(words in line for words, line in zip(said, lines, strict=True))


def test_a_network_without_bn_is_trained_and_resumed(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    cut, whole = (Run(tmp_path / name, "tiny", "simple-cnn", 0) for name in ("cut", "whole"))
    interrupted(cut, recipe, dataset, at=5)
    assert_same_result(complete(cut, recipe, dataset), complete(whole, recipe, dataset))
    curve = whole.result().curve
    assert curve["test_error"].tolist() == curve["test_error_precise"].tolist()


def one_layer(*_: object) -> nn.Module:
    """A convolution, BN, and a classifier: the least that a measurement has all its parts of."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 4), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 8 * 8, 10)
    )


@pytest.mark.slow
def test_a_stop_at_any_batch_of_a_measurement_loses_nothing(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also between the batches of the test, of the statistics, and of the final evaluation."""
    monkeypatch.setitem(names.OTHERS, "one-layer", names.Name("one-layer", 2))
    monkeypatch.setitem(CONSTRUCTORS, "one-layer", one_layer)
    whole = Run(tmp_path / "whole", "tiny", "one-layer", 0)
    steps = list(train(whole, recipe, dataset, CPU))
    iterations = [step.iteration for step in steps]
    in_measurements = [
        count for count, (before, now) in enumerate(pairwise(iterations), start=2) if now == before
    ]
    assert len(in_measurements) > 3 * (recipe.statistics_batches + 3)
    for count in in_measurements:
        run = Run(tmp_path / f"stopped-{count}", "tiny", "one-layer", 0)
        stopped(run, recipe, dataset, lambda number, _, count=count: number == count)
        assert not run.finished
        assert_same_result(complete(run, recipe, dataset), whole)


def test_a_checkpoint_is_written_between_measurements_as_well(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a SIGKILL costs no more than CHECKPOINT_EVERY."""
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 0.0)
    whole = complete(Run(tmp_path / "whole", "tiny", "resnet-8", 0), recipe, dataset)
    run = Run(tmp_path / "killed", "tiny", "resnet-8", 0)
    steps = train(run, recipe, dataset, CPU)
    while next(steps).iteration < 3:
        pass
    found = checkpoint.load(run)
    assert found is not None
    assert found.state.iteration == 3
    killed = tmp_path / "copy"
    shutil.copytree(tmp_path / "killed", killed)
    steps.close()
    assert_same_result(complete(Run(killed, "tiny", "resnet-8", 0), recipe, dataset), whole)


def test_a_resumed_run_computes_with_the_threads_that_it_was_begun_with(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    two, three = (replaced(CPU, threads=threads) for threads in (2, 3))
    run = interrupted(Run(tmp_path, "tiny", "resnet-8", 0), recipe, dataset, 5, two)
    steps = train(run, recipe, dataset, three)
    next(steps)
    assert torch.get_num_threads() == 2
    steps.close()
    record = run.record()
    assert record is not None
    assert [record.environment.threads, record.resumed[0].environment.threads] == [2, 2]


def test_runs_with_other_threads_by_turns_each_keep_their_own(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    backends = [replaced(CPU, threads=threads) for threads in (1, 2)]
    runs = [Run(tmp_path, "tiny", "resnet-8", seed) for seed in (0, 1)]
    turns = [train(run, recipe, dataset, one) for run, one in zip(runs, backends, strict=True)]
    for _ in range(3):
        for steps, one in zip(turns, backends, strict=True):
            next(steps)
            assert torch.get_num_threads() == one.threads


def test_the_record_says_how_many_runs_shared_the_device(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    run = Run(tmp_path, "tiny", "resnet-8", 0)
    list(train(run, recipe, dataset, CPU, concurrent=3))
    assert run.result().record.environment.concurrent == 3


def test_a_checkpoint_of_another_format_is_refused_and_one_without_a_number_is_read(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    run = interrupted(Run(tmp_path, "tiny", "resnet-8", 0), recipe, dataset, at=5)

    def rewrite(**changes: object) -> None:
        stored = torch.load(io.BytesIO(run.checkpoint_file.read_bytes()[:-32]), weights_only=True)
        stored.update(changes)
        buffer = io.BytesIO()
        torch.save({key: value for key, value in stored.items() if value is not None}, buffer)
        content = buffer.getvalue()
        run.checkpoint_file.write_bytes(content + hashlib.sha256(content).digest())

    rewrite(format=2)
    with pytest.raises(UserError, match="format 2, this version reads format 1"):
        complete(run, recipe, dataset)
    rewrite(format=None)
    assert complete(run, recipe, dataset).finished


def test_time_left_is_told_at_the_pace_so_far_until_this_sitting_has_one(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    """Resumed inside a measurement, after 4 of 12 iterations in 40,000 seconds."""
    run = Run(tmp_path, "tiny", "resnet-8", 0)
    interrupted(run, recipe, dataset, at=4)
    point = checkpoint.load(run)
    assert point is not None
    point.state.seconds = 40_000.0  # beside which those of the test are few
    checkpoint.save(run, point.content, point.state, point.learner)
    first = next(train(run, recipe, dataset, CPU))
    assert first.seconds_left == pytest.approx(80_000, rel=0.01)


def test_what_a_run_is_resumed_from_needs_no_device(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that plans a cluster's runs may be on a machine without their GPUs."""

    def missing() -> str:
        raise RuntimeError("Found no NVIDIA driver on your system")

    monkeypatch.setattr(torch.cuda, "get_device_name", missing)
    gpu = Backend("cuda", "float32", compiled=False, threads=1)
    assert checkpoint.resume_point(Run(tmp_path, "tiny", "resnet-8", 0), recipe, gpu) is None
    begun = interrupted(Run(tmp_path, "tiny", "resnet-8", 1), recipe, dataset, at=4)
    with pytest.raises(UserError, match="begun with device cpu, not cuda"):
        checkpoint.resume_point(begun, recipe, gpu)


def test_the_seconds_of_a_run_end_with_its_last_measurement(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is stopped while it finishes, long after."""
    run, now = Run(tmp_path, "tiny", "resnet-8", 0), time.monotonic
    steps = train(run, recipe, dataset, CPU)
    while (row := next(steps).row) is None or row.iteration < recipe.iterations:
        pass
    next(steps)
    monkeypatch.setattr(loop.time, "monotonic", lambda: now() + 1_000)
    steps.close()
    result = complete(run, recipe, dataset).result()
    assert result.record.seconds == result.curve["seconds"].iloc[-1] < 1_000
    images = recipe.iterations * recipe.batch_size
    assert result.record.images_per_second > images / 1_000


def test_a_run_that_was_begun_otherwise_is_refused_with_a_way_back(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "can_compile", lambda: False)
    run = interrupted(Run(tmp_path, "tiny", "resnet-8", 0), recipe, dataset, at=5)
    found = checkpoint.load(run)
    assert found is not None
    install = r"install a C\+\+ compiler and Python's headers .*apt install g"
    for recorded, differs, way in (
        ({"compiled": True}, "compiled True, not False", install),
        ({"compiled": True, "kernels": "fused"}, "kernels fused, not pytorch", install),
        ({"kernels": "fused"}, "kernels fused, not pytorch", "resume it with KERNELS=fused"),
        ({"device": "cuda"}, "device cuda, not cpu", r"with DEVICE=cuda \(--device cuda\)"),
        ({"precision": "bfloat16"}, "precision bfloat16, not float32", "PRECISION=bfloat16"),
    ):
        changed = {**found.content, "computed": {**found.content["computed"], **recorded}}
        checkpoint.save(run, changed, found.state, found.learner)
        with pytest.raises(UserError, match=rf"begun with {differs}: .*{way}"):
            complete(run, recipe, dataset)

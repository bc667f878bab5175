"""A set of runs: trained by turns or one after another, the same; none trained twice."""

import io
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import click
import pytest
import torch
from tqdm import tqdm

from resnet_paper.console import duration
from resnet_paper.errors import UserError
from resnet_paper.runs.recipe import IMAGENETTE, PAPER, Recipe
from resnet_paper.runs.record import COLUMNS, Measurement
from resnet_paper.runs.run import InUseError, Result, Run
from resnet_paper.study import plan as plans
from resnet_paper.study import scheduler
from resnet_paper.study.plan import Plan
from resnet_paper.study.study import Study
from resnet_paper.study.trainer import Trainer
from resnet_paper.training import checkpoint
from resnet_paper.training import engine as engines
from resnet_paper.training.backend import Backend
from resnet_paper.training.engine import Cost, Local
from resnet_paper.training.images import Dataset
from resnet_paper.training.loop import Progress, Steps
from tests.training.trained import CPU, assert_same_result, complete, interrupted

HERE = Trainer(device="cpu", precision="float32")


@pytest.mark.usefixtures("small")
def test_runs_by_turns_equal_runs_one_after_another(tmp_path: Path) -> None:
    """One of the three begins while another is in training."""
    networks = ["resnet-8", "plain-8"]
    alone, together = (Study("small", tmp_path / name, seeds=2) for name in ("a", "b"))
    HERE.complete(alone, alone.runs_of(networks)[:3])
    replace(HERE, concurrent=2).complete(together, together.runs_of(networks)[:3])
    assert len(alone.results()) == 3
    for one, other in zip(alone.results(), together.results(), strict=True):
        assert (one.network, one.seed) == (other.network, other.seed)
        assert_same_result(one.run, other.run)


def test_finished_runs_count_whatever_their_seeds(
    record_run: Callable[..., Result], tmp_path: Path
) -> None:
    for network, seed in (("resnet-8", 1), ("resnet-8", 3), ("plain-8", 0)):
        root = record_run(network, seed).run.root
    Run(root, "paper", "resnet-8", 0).directory.mkdir()  # was begun
    damaged = Run(root, "paper", "resnet-14", 2)
    damaged.directory.mkdir(parents=True)
    damaged.record_file.write_text("{")
    wanted = [
        [(run.network, run.seed) for run in Study(root=root, seeds=seeds).runs_of(networks)]
        for seeds, networks in (
            (1, ["resnet-8", "plain-8"]),
            (3, ["resnet-8"]),
            (2, ["plain-8"]),
            (1, ["resnet-14"]),
        )
    ]
    assert wanted == [
        [("resnet-8", 1), ("plain-8", 0)],
        [("resnet-8", 0), ("resnet-8", 1), ("resnet-8", 3)],
        [("plain-8", 0), ("plain-8", 1)],
        [("resnet-14", 2)],
    ]
    assert [run.seed for run in Study(root=tmp_path / "new", seeds=2).runs_of(["plain-8"])] == [
        0,
        1,
    ]


@pytest.mark.usefixtures("small")
def test_a_run_held_by_another_process_is_left_to_it_and_the_others_are_trained(
    tmp_path: Path,
) -> None:
    one = Study("small", tmp_path)
    runs = one.runs_of(["resnet-8", "plain-8"])
    with (
        runs[0].locked(),
        pytest.raises(UserError, match="resnet-8 seed 0: still being trained"),
    ):
        HERE.complete(one, runs)
    assert [result.run for result in one.results()] == [runs[1]]


@pytest.mark.usefixtures("small")
def test_a_run_that_cannot_be_resumed_is_said_before_any_is_trained(tmp_path: Path) -> None:
    one = Study("small", tmp_path)
    runs = one.runs_of(["resnet-8", "plain-8"])
    runs[1].directory.mkdir(parents=True)
    runs[1].checkpoint_file.write_bytes(b"damaged")
    with pytest.raises(UserError, match="is damaged"):
        HERE.complete(one, runs)
    assert not runs[0].directory.exists()


@pytest.mark.usefixtures("small")
def test_a_run_whose_holder_has_stopped_is_trained_after_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held when its turn comes, free when the others have been trained."""
    one = Study("small", tmp_path)
    runs = one.runs_of(["resnet-8", "plain-8"])
    holder = ExitStack()
    holder.enter_context(runs[0].locked())
    report = scheduler.report
    monkeypatch.setattr(
        scheduler, "report", lambda *arguments: (holder.close(), report(*arguments))
    )
    HERE.complete(one, runs)
    assert all(run.finished for run in runs)


@pytest.mark.usefixtures("small")
def test_a_run_that_another_process_has_finished_meanwhile_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: Recipe, dataset: Dataset
) -> None:
    one = Study("small", tmp_path)
    runs = one.runs_of(["resnet-8"])

    def finished_by_another(*_: object) -> list[Run]:
        complete(runs[0], recipe, dataset)
        return runs

    monkeypatch.setattr(scheduler, "train_by_turns", finished_by_another)
    HERE.complete(one, runs)


@pytest.mark.usefixtures("small")
def test_a_full_gpu_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(scheduler, "train_by_turns", full)
    one = Study("small", tmp_path)
    with pytest.raises(UserError, match="memory is full"):
        HERE.complete(one, one.runs_of(["resnet-8"]))


@pytest.mark.usefixtures("small")
def test_a_finished_run_in_another_precision_is_refused_before_anything_is_trained(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    one = Study("small", tmp_path)
    runs = one.runs_of(["resnet-8", "plain-8"])
    complete(runs[0], recipe, dataset)
    with pytest.raises(UserError, match="resnet-8 seed 0 is finished already, in float32: to"):
        Trainer("cpu", "bfloat16").complete(one, runs)
    assert not runs[1].directory.exists()


@pytest.mark.usefixtures("small")
def test_a_finished_run_by_other_kernels_is_refused(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    one = Study("small", tmp_path)
    runs = one.runs_of(["resnet-8", "simple-cnn"])
    for run in runs:
        complete(run, recipe, dataset)
    asked = Trainer(device="cpu", kernels="fused")
    with pytest.raises(UserError, match="resnet-8 seed 0 is finished already, by pytorch kernels"):
        asked.complete(one, runs)
    asked.complete(one, runs[1:])  # that network has no others
    Trainer(device="cpu", kernels="pytorch").complete(one, runs)


@pytest.mark.usefixtures("small")
def test_the_plan_counts_what_is_left_with_the_threads_of_the_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    recipe: Recipe,
    dataset: Dataset,
) -> None:
    two = replace(CPU, threads=2)
    runs = Study("small", tmp_path).runs_of(["resnet-8", "plain-8"])
    interrupted(runs[0], recipe, dataset, 9, two)
    seconds = {2: 1_000.0, 1: 3_000.0}
    monkeypatch.setattr(
        engines, "measure_cost", lambda _, __, ___, own: Cost(seconds[own.threads], 0)
    )
    monkeypatch.setattr(plans, "with_measuring", lambda _: 1.0)
    points = {run: scheduler.resume_point(run, recipe, CPU) for run in runs}
    engine = Local(recipe, CPU)
    engine.take(dataset)
    plan = Plan.of(runs, points, recipe, engine, 0)
    assert list(plan.seconds.items()) == [(runs[0], 3 * 1_000.0), (runs[1], 12 * 3_000.0)]
    assert "from iteration 9" in capsys.readouterr().out
    monkeypatch.setattr(engine, "runs_at_once", lambda *_: (2, 2))
    plan = Plan.of(runs, points, recipe, engine, 0)
    assert list(plan.seconds) == [runs[1], runs[0]], "on many devices the longest begins first"
    assert plan.forecast == 12 * 3_000.0


def test_a_bar_begins_where_the_run_is_resumed_and_ends_where_it_has_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Time left is then that of the iterations to come, at the pace of this sitting."""
    monkeypatch.setattr(
        scheduler, "tqdm", lambda **more: tqdm(**{**more, "file": io.StringIO(), "disable": False})
    )
    run = Run(Path("runs"), "paper", "resnet-20", 0)
    with scheduler.Bars(PAPER) as bars:
        bars.show(run, Progress(50_000, 0.0, 0.0))
        bar = bars.bars[run]
        assert (bar.initial, bar.n, bar.total) == (50_000, 50_000, 64_000)
        bars.show(run, Progress(50_100, 0.0, 0.0))
        bars.close(run)
        assert bar.n == 50_100


@pytest.mark.usefixtures("small")
def test_a_stop_leaves_checkpoints_of_all_that_were_in_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop:
        looks = 0

        def is_set(self) -> bool:
            self.looks += 1
            return self.looks > 4

    monkeypatch.setattr(scheduler, "stop_request", lambda: nullcontext(Stop()))
    one = Study("small", tmp_path)
    runs = one.runs_of(["resnet-8", "plain-8"])
    with pytest.raises(click.exceptions.Exit) as caught:
        replace(HERE, concurrent=2).complete(one, runs)
    assert caught.value.exit_code == 130
    assert all(run.checkpoint_file.exists() and not run.finished for run in runs)


def test_what_is_recorded_by_another_recipe_is_not_drawn(
    record_run: Callable[..., Result],
) -> None:
    result = record_run("resnet-20", settings="tiny")
    recipe = {**result.content["recipe"], "momentum": 0.5}
    result.run.write_record({**result.content, "recipe": recipe})
    with pytest.raises(UserError, match=r"momentum 0\.5, not 0\.9"):
        Study("tiny", result.run.root).results()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3.4, "3 s"), (89, "89 s"), (100, "2 min"), (3_590, "1 h 00 min"), (6_720, "1 h 52 min")],
)
def test_duration_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_measuring_counts_two_tests_a_training_error_and_the_statistics() -> None:
    evaluated = 10_000 + 10_000 + 10_000 + 64 * 128
    assert plans.with_measuring(PAPER) == pytest.approx(1 + evaluated / (3 * 128_000))


def test_measuring_is_a_quarter_of_a_run_on_imagenette() -> None:
    assert 1 - 1 / plans.with_measuring(IMAGENETTE) == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    ("hours", "devices", "long"),
    [
        ([3], 1, True),
        ([1.9], 1, False),
        ([1.5, 1.5], 1, True),
        ([1.5, 1.5], 2, False),
        ([1.5, 1.1, 1], 2, True),
    ],
)
def test_hours_of_training_are_asked_about_on_a_terminal(
    hours: list[float],
    devices: int,
    long: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The hours until the last run has ended, each device taking the next as it gets free."""
    runs = Study().runs_of(["resnet-20", "resnet-32", "resnet-44"])
    seconds = {run: 3600 * each for run, each in zip(runs, hours, strict=False)}
    plan = Plan(seconds, at_once=4, devices=devices)
    questions: list[str] = []
    monkeypatch.setattr(click, "confirm", lambda text, **_: questions.append(text))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True, closed=False))
    plan.confirm()
    assert bool(questions) == long
    for stdin in (None, io.StringIO()):  # as by <&-, and by cron
        monkeypatch.setattr("sys.stdin", stdin)
        plan.confirm()
        assert (f"`kill {os.getpid()}` stops it" in capsys.readouterr().out) == long
    assert len(questions) == long


def test_a_timing_that_a_busy_machine_has_lengthened_is_that_of_a_deeper_net() -> None:
    hours = {"resnet-20": 3, "resnet-32": 25, "resnet-44": 6, "plain-20": 4, "resnet-20-b": 9}
    hours["resnet-20x2"] = 12  # a net of another width says nothing
    found = plans.by_depth({(network, CPU): value for network, value in hours.items()})
    assert {network: value for (network, _), value in found.items()} == {**hours, "resnet-32": 6}


def test_each_network_is_named_while_it_is_timed(
    recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    class Slow(Local):
        def costs(self, networks: Sequence[tuple[str, Backend]]) -> Iterator[Cost]:
            for network, _ in networks:
                assert capsys.readouterr().out.endswith(f" {network}")
                yield Cost(1.0, 0)

    assert len(plans.timed([("resnet-8", CPU), ("plain-8", CPU)], Slow(recipe, CPU))) == 2


def test_a_place_that_cannot_be_written_is_said_before_anything_is_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "train_all", lambda *_: pytest.fail("trained"))
    root = tmp_path / "runs"
    root.symlink_to("/proc/no-such-place")
    one = Study("demo", root)
    with pytest.raises(UserError, match=r"cannot write .*runs/demo"):
        HERE.complete(one, one.runs_of(["resnet-8"]))


def test_the_plan_says_what_a_network_is() -> None:
    run = Run(Path("runs"), "paper", "resnet-50", 3)
    assert plans.describe(run, PAPER) == "resnet-50 seed 3 (6n+2, n = 8, 0.76M parameters)"
    assert plans.describe(Run(Path("runs"), "paper", "resnet-18", 0), PAPER) == (
        "resnet-18 seed 0 (11.17M parameters)"
    )
    assert plans.describe(Run(Path("runs"), "imagenette", "imagenet-resnet-34", 0), IMAGENETTE) == (
        "imagenet-resnet-34 seed 0 (21.12M parameters)"
    )


class Scripted:
    """An engine whose runs yield what a script says, and fail where it has an error."""

    def __init__(self, *script: Progress | Exception) -> None:
        self.script = script

    def train(self, run: Run, at_once: int) -> Steps:
        for each in self.script:
            if isinstance(each, Exception):
                raise each
            yield each


def measured(iteration: int) -> Progress:
    row = Measurement(
        **{**dict.fromkeys(COLUMNS, 1.0), "iteration": iteration}  # type: ignore[arg-type]
    )
    return Progress(iteration, 1.0, 0.0, row)


def test_each_row_is_reported_and_tracked_also_several_in_a_row(
    tmp_path: Path, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    """As from Ray, whose news may queue; the last one stands before the end."""
    tracked: list[int] = []
    tracker = SimpleNamespace(measured=lambda _, row: tracked.append(row.iteration))
    script = (measured(4), measured(8), Progress(9, 1.0, 0.0), measured(12))
    run = Run(tmp_path, "small", "resnet-8", 0)
    engine: Any = Scripted(*script)
    assert scheduler.train_by_turns([run], 1, recipe, engine, cast(Any, tracker)) == []
    assert tracked == [4, 8, 12]
    said = capsys.readouterr().out
    assert [f"iteration {at} of 12" in said for at in (4, 8, 9, 12)] == [True, True, False, True]


class StopAfter:
    """A stop request that is there from a number of looks on."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def is_set(self) -> bool:
        self.looks -= 1
        return self.looks < 0


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UserError("cannot write checkpoint.pt: make room"), "cannot write checkpoint.pt: make"),
        (RuntimeError("C++ compile error\nits log"), "RuntimeError (C++ compile error)"),
    ],
)
def test_an_error_of_a_run_while_stopping_is_said_and_each_run_has_its_line(
    tmp_path: Path,
    recipe: Recipe,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    said: str,
) -> None:
    monkeypatch.setattr(scheduler, "stop_request", lambda: nullcontext(StopAfter(1)))
    runs = [Run(tmp_path, "small", network, 0) for network in ("resnet-8", "plain-8")]
    engine: Any = Scripted(Progress(3, 1.0, 0.0), error)
    monkeypatch.setattr(
        engine,
        "train",
        lambda run, _: Scripted.train(
            engine if run == runs[0] else Scripted(measured(4), Progress(5, 1.0, 0.0)), run, 2
        ),
    )
    engine.script = (error,)
    with pytest.raises(click.exceptions.Exit) as caught:
        scheduler.train_by_turns(runs, 2, recipe, engine)
    assert caught.value.exit_code == 130
    output = capsys.readouterr()
    assert output.err == f"resnet-8 seed 0: {said}{' room' * isinstance(error, UserError)}\n"
    assert output.out.count("Stopped resnet-8 seed 0 before its first checkpoint") == 1
    assert output.out.count("Stopped plain-8 seed 0 before its first checkpoint") == 1


@pytest.mark.usefixtures("small")
def test_a_checkpoint_that_cannot_be_written_at_a_stop_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Stopped at iteration 5 with a full disk: the checkpoint of iteration 4 is what is left."""
    monkeypatch.setattr(scheduler, "stop_request", lambda: nullcontext(StopAfter(10_000)))
    report, write = scheduler.report, checkpoint.write

    def full(path: Path, content: bytes) -> str:
        raise UserError(f"cannot write {path.name} (No space left on device)")

    def then_full(*arguments: Any) -> None:
        report(*arguments)
        monkeypatch.setattr(checkpoint, "write", full)
        monkeypatch.setattr(StopAfter, "is_set", lambda _: True)

    monkeypatch.setattr(scheduler, "report", then_full)
    one = Study("small", tmp_path)
    with pytest.raises(click.exceptions.Exit):
        HERE.complete(one, one.runs_of(["resnet-8"]))
    monkeypatch.setattr(checkpoint, "write", write)
    output = capsys.readouterr()
    assert "resnet-8 seed 0: cannot write checkpoint.pt (No space left on device)" in output.err
    assert "iteration 5, with a checkpoint 1 iterations before" in output.out


def test_a_run_left_to_another_process_has_no_full_bar(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    def bar(**more: Any) -> Any:
        made.append(tqdm(**{**more, "file": io.StringIO(), "disable": False}))
        return made[-1]

    monkeypatch.setattr(scheduler, "tqdm", bar)
    engine: Any = Scripted(Progress(5, 1.0, 0.0), InUseError("is in use by process 1 on a host"))
    run = Run(tmp_path, "small", "resnet-8", 0)
    assert scheduler.train_by_turns([run], 1, recipe, engine) == [run]
    assert [(each.n, each.total) for each in made] == [(5, 12)]


def test_a_hangup_stops_as_sigterm_does_but_not_under_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with scheduler.stop_request() as stop:
                os.kill(os.getpid(), number)
                assert stop.wait(5)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with scheduler.stop_request() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert not stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)

"""Runs by Ray are those of the local engine: the same files, bit for bit, and the same errors."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace as replaced

from resnet_paper.cluster import worker
from resnet_paper.errors import UserError
from resnet_paper.runs.recipe import SETTINGS, Recipe
from resnet_paper.runs.run import Run
from resnet_paper.study.study import Study
from resnet_paper.study.trainer import Trainer
from resnet_paper.training import checkpoint, data
from resnet_paper.training.images import Dataset
from tests.kills import ROOT
from tests.training.trained import CPU, assert_same_result, complete, interrupted

ray = pytest.importorskip("ray", reason="ray is not installed: make .venv/ray")
cluster = pytest.importorskip("resnet_paper.cluster.engine", exc_type=ImportError)
connection = pytest.importorskip("resnet_paper.cluster.connection", exc_type=ImportError)
GB = 10**9


def engine_of(**fields: Any) -> Any:
    """A Cluster without a Ray."""
    engine = object.__new__(cluster.Cluster)
    vars(engine).update(backend=CPU, dataset=None, memory=0, on_gpus=False, on_each_gpu=1)
    vars(engine).update(asked=("auto", "auto", "auto"), folder=None)
    vars(engine).update(fields)
    return engine


def node(**resources: float) -> dict[str, Any]:
    return {"Resources": resources}


def test_what_a_worker_sends_makes_the_files_of_a_local_run(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    here, there = (Run(tmp_path / name, "small", "resnet-8", 0) for name in ("here", "there"))
    complete(here, recipe, dataset)
    for sitting in range(2):
        files = worker.files_of(there)
        for news in worker.train(there, recipe, dataset, CPU, 1, files):
            cluster.keep(there, news.files)
            if sitting == 0 and news.files:
                break  # the worker dies
        assert there.checkpoint_file.exists() == (sitting == 0)
    assert_same_result(here, there)
    assert [each.iteration for each in there.result().record.resumed] == [4]


def test_files_that_arrive_damaged_are_not_kept(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    run = interrupted(Run(tmp_path, "small", "resnet-8", 0), recipe, dataset, at=5)
    before = worker.files_of(run)
    finished = list(worker.train(run, recipe, dataset, CPU, 1, before))[-1].files
    for files, name, text in (
        (before, "checkpoint.pt", b"weights"),
        (finished, "weights.pt", b"weight"),
        (finished, "run.json", b"resnet"),
    ):
        damaged = {**files, name: files[name].replace(text, text.upper(), 1)}
        with pytest.raises(ValueError, match=r"arrived damaged|its SHA-256 is not"):
            cluster.keep(run, damaged)
        assert worker.files_of(run) == before
    cluster.keep(run, finished)
    assert run.result().record.finished
    assert not run.checkpoint_file.exists()


def test_a_run_is_given_up_when_its_tasks_die_without_a_checkpoint_between(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(tmp_path, "small", "resnet-8", 0)
    news = worker.train(run, recipe, dataset, CPU, 1, {})
    attempts = []

    def attempt(run: Run, lock: int, iteration: int, threads: int, at_once: int) -> Iterator[None]:
        attempts.append(iteration)
        if len(attempts) == 3:  # the third gets as far as a checkpoint
            cluster.keep(run, next(each.files for each in news if each.files))
        yield
        raise cluster.RayError("a node died")

    engine = engine_of(recipe=recipe, attempt=attempt)
    with pytest.raises(
        UserError, match=r"resnet-8 seed 0: its task died 3 times .* \(a node died\)"
    ):
        list(engine.train(run, 1))
    assert attempts == [0, 0, 0, 4, 4]
    assert capsys.readouterr().out.count("resumes from iteration 4 after RayError") == 2
    assert run.holder is None
    assert checkpoint.load(run) is not None


@pytest.mark.parametrize(
    ("nodes", "memory", "concurrent", "expected"),
    [
        ([node(CPU=4, memory=12 * GB)], 2 * GB, 0, (4, 4)),
        ([node(CPU=4, memory=12 * GB)], 5 * GB, 0, (2, 2)),
        ([node(CPU=4, memory=12 * GB), node(CPU=2, memory=3 * GB)], 5 * GB, 0, (2, 2)),
        ([node(CPU=4, memory=12 * GB), node(CPU=2, memory=12 * GB)], 2 * GB, 0, (6, 6)),
        ([node(CPU=4, memory=12 * GB)], 2 * GB, 3, (3, 3)),
        ([node(CPU=40, memory=120 * GB)], 2 * GB, 0, (20, 20)),
    ],
)
def test_on_cpus_cores_and_memory_limit_the_runs_at_once(
    nodes: list[Any], memory: int, concurrent: int, expected: tuple[int, int]
) -> None:
    assert engine_of(nodes=nodes).runs_at_once(20, memory, concurrent) == expected


def test_a_run_that_fits_no_node_is_one_line() -> None:
    with pytest.raises(UserError, match=r"a run needs 2\.7 GB of memory, and no node"):
        engine_of(nodes=[node(CPU=4, memory=2 * GB)]).runs_at_once(20, 27 * GB // 10, 0)


@pytest.mark.parametrize(
    ("runs", "memory", "concurrent", "expected", "on_each"),
    [
        (45, 2 * GB, 0, (45, 8), 6),
        (45, 30 * GB, 0, (16, 8), 2),
        (45, 2 * GB, 4, (32, 8), 4),
        (5, 2 * GB, 0, (5, 5), 1),
        (9, 2 * GB, 0, (9, 5), 2),
        (45, 200 * GB, 0, (8, 8), 1),
    ],
)
def test_on_gpus_each_takes_a_share_of_the_runs(
    runs: int, memory: int, concurrent: int, expected: tuple[int, int], on_each: int
) -> None:
    engine = engine_of(nodes=[node(GPU=4), node(GPU=4)], on_gpus=True, gpu_memory=80 * GB)
    assert engine.runs_at_once(runs, memory, concurrent) == expected
    assert engine.on_each_gpu == on_each


def test_a_run_begun_with_more_threads_holds_as_many_cores_as_a_living_node_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = [
        {**node(CPU=4.0, memory=9 * GB), "Alive": True},
        {**node(CPU=8.0, memory=2 * GB), "Alive": True},
        {**node(CPU=16.0, memory=9 * GB), "Alive": False},
    ]
    monkeypatch.setattr(ray, "nodes", lambda: there)
    engine = engine_of(memory=5 * GB)
    assert [engine.cores(threads) for threads in (1, 3, 16)] == [1, 3, 4]
    assert engine_of(memory=99 * GB).cores(3) == 1
    assert engine_of(on_gpus=True).cores(3) == 0


def test_gpus_that_pytorch_cannot_use_leave_the_cores(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed = [{**node(GPU=1.0, CPU=64.0), "Alive": True}, {**node(CPU=8.0), "Alive": True}]
    monkeypatch.setattr(ray, "nodes", lambda: mixed)
    surveyed = []

    def survey(engine: Any, device: str, precision: str, kernels: str) -> Any:
        found = cluster.nodes("GPU" if engine.on_gpus else "CPU")
        surveyed.append((device, precision, len(found)))
        return found, CPU, 0

    monkeypatch.setattr(cluster.Cluster, "survey", survey)
    engine = cluster.Cluster("auto", "float32", recipe)
    assert not engine.on_gpus
    assert surveyed == [("auto", "float32", 1), ("cpu", "float32", 2)]
    monkeypatch.setattr(ray, "nodes", lambda: mixed[1:])
    with pytest.raises(UserError, match="the Ray cluster has no GPU"):
        cluster.Cluster("cuda", "float32", recipe)


def test_a_node_that_cannot_train_a_run_counts_as_dead(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path, "small", "resnet-8", 0)
    other = replace(CPU, compiled=True)
    with pytest.raises(worker.NodeError, match=r"computes on .*, not on .*, compiled"):
        next(worker.train(run, recipe, dataset, other, 1, {}, None, ("cpu", "float32", "auto")))
    monkeypatch.setattr(worker.backends, "has_bfloat16", lambda _: False)
    fast = replace(CPU, precision="bfloat16")
    with pytest.raises(worker.NodeError, match=r"computes on .* in float32, not on .* bfloat16"):
        next(worker.train(run, recipe, dataset, fast, 1, {}, None, ("auto", "auto", "auto")))

    def full(*_: object) -> None:
        raise UserError("cannot write: make room") from OSError(28, "No space left on device")

    monkeypatch.setattr(worker.loop, "train", full)
    with pytest.raises(worker.NodeError, match=r"process \d+ on .*: cannot write: make room"):
        next(worker.train(run, recipe, dataset, CPU, 1, {}))
    with pytest.raises(worker.NodeError, match="No such file or directory"):
        next(worker.train(run, recipe, dataset, CPU, 1, {}, str(tmp_path / "missing")))


def test_a_node_is_gone_when_ray_says_so_or_when_it_is_no_more_among_the_living(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 0.0)
    one, other = {"NodeID": "one", "Alive": True}, {"NodeID": "other", "Alive": True}
    died = cluster.RayError("its worker died")
    monkeypatch.setattr(ray, "nodes", lambda: [one, other])
    assert cluster.is_gone(one, cluster.TaskUnschedulableError("doesn't exist any more"))
    assert not cluster.is_gone(one, died)
    monkeypatch.setattr(ray, "nodes", lambda: [{**one, "Alive": False}, other])
    assert cluster.is_gone(one, died)
    assert not cluster.is_gone(one, task_error(KeyError("bug")))


def test_a_cluster_whose_nodes_are_all_gone_is_asked_again_and_then_has_none(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    living = [[{**node(CPU=1.0), "Alive": True}], [{**node(CPU=2.0), "Alive": True}], []]
    monkeypatch.setattr(ray, "nodes", lambda: living[0])

    def answers(_: Any, asked: list[Any], *__: object) -> list[Any]:
        living.pop(0)
        return [(each, (CPU, 0)) for each in asked if each["Resources"]["CPU"] == 2]

    monkeypatch.setattr(cluster.Cluster, "answers", answers)
    found = cluster.Cluster("cpu", "float32", recipe).nodes
    assert [each["Resources"] for each in found] == [{"CPU": 2.0}]
    with pytest.raises(UserError, match="the Ray cluster has no node with a CPU"):
        cluster.Cluster("cpu", "float32", recipe)


@pytest.mark.parametrize("missing", ["run.json", "weights.pt", "curve.csv", "checkpoint.pt"])
def test_a_file_that_did_not_arrive_is_named_and_nothing_is_kept(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, missing: str
) -> None:
    run = Run(tmp_path / "there", "small", "resnet-8", 0)
    interrupted(run, recipe, dataset, at=5)
    files = worker.files_of(run)
    if missing in ("weights.pt", "curve.csv"):
        files = worker.files_of(complete(run, recipe, dataset))
    del files[missing]
    here = Run(tmp_path / "here", "small", "resnet-8", 0)
    with pytest.raises(ValueError, match=f"{missing} did not arrive"):
        cluster.keep(here, files)
    assert not here.directory.exists()


def test_what_to_do_about_a_node_that_cannot_train_fits_the_cause() -> None:
    without = task_error(ModuleNotFoundError("No module named 'msgspec'"))
    assert cluster.remedy(without) == "install this package's dependencies there"
    assert "Ray's logs" in cluster.remedy(task_error(RuntimeError("out of memory")))


def task_error(cause: Exception) -> Exception:
    return cluster.RayTaskError("train", "its traceback", cause)


def test_what_the_user_can_fix_is_raised_and_all_else_is_a_death() -> None:
    with pytest.raises(UserError, match="damaged"):
        cluster.reraise_mistake(task_error(UserError("damaged")))
    with pytest.raises(torch.OutOfMemoryError):
        cluster.reraise_mistake(task_error(torch.OutOfMemoryError()))
    for cause in (KeyError("bug"), worker.NodeError("disk"), cluster.RayError("argument")):
        cluster.reraise_mistake(task_error(cause))
    cluster.reraise_mistake(cluster.RayError("a node died"))


@pytest.mark.parametrize(
    ("error", "traceback"),
    [(task_error(KeyError("bug")), True), (task_error(worker.NodeError("disk")), False)],
)
def test_an_unexpected_error_is_printed_with_its_traceback(
    tmp_path: Path,
    recipe: Recipe,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    traceback: bool,
) -> None:
    def attempt(*_: object) -> Iterator[None]:
        yield
        raise error

    engine = engine_of(recipe=recipe, attempt=attempt)
    with pytest.raises(UserError, match="its task died 3 times"):
        list(engine.train(Run(tmp_path, "small", "resnet-8", 0), 1))
    assert ("its traceback\n" in capsys.readouterr().out) == traceback


def test_a_ray_client_address_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(UserError, match=r"RAY_ADDRESS=ray://head:10001: this must run on a mach"):
        connection.connected("cpu", "float32", recipe).__enter__()


@pytest.mark.parametrize("address", ["127.0.0.1:9", "127.0.0.1", "head:", "127.0.0.1:1234567"])
def test_an_address_where_no_cluster_is_is_one_line(
    address: str, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UserError, match=rf"RAY_ADDRESS={address} cannot be used \(") as caught:
        connection.connected("cpu", "float32", recipe).__enter__()
    assert "\n" not in caught.value.message


def test_a_ray_of_this_machine_has_the_cores_of_the_process_and_room_for_the_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 4, 5}, raising=False)
    options = connection.resources_here(SETTINGS["imagenette"])
    assert options["num_cpus"] == 3
    assert options["object_store_memory"] > 13_394 * 3 * 160 * 160
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert "num_cpus" not in connection.resources_here(SETTINGS["imagenette"])


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A Ray cluster of one node with two cores, where RAY_ADDRESS names it."""
    from ray.cluster_utils import Cluster

    here = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", here.address)
        yield here
    here.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("small", "nodes")
def test_a_study_by_ray_has_the_bits_of_the_local_one(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of its runs was begun here."""
    monkeypatch.setenv("RESNET_PAPER_REVISION", "shipped")
    local = Study("small", tmp_path / "local", seeds=2)
    remote = replace(local, root=tmp_path / "ray")
    networks = ["resnet-8", "plain-8"]
    interrupted(remote.run("resnet-8", 0), recipe, dataset, at=5)
    for study, engine in ((local, "local"), (remote, "ray")):
        Trainer("cpu", "float32", engine).complete(study, study.runs_of(networks))
    assert len(remote.results()) == 4
    for one, other in zip(local.results(), remote.results(), strict=True):
        assert_same_result(one.run, other.run)
        assert other.record.environment.threads == 1
    assert remote.run("plain-8", 0).result().record.revision == "shipped"
    assert not ray.is_initialized()


@pytest.mark.slow
@pytest.mark.usefixtures("nodes")
def test_a_mistake_that_a_worker_finds_is_said_and_not_tried_again(
    tmp_path: Path,
    recipe: Recipe,
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(worker, "files_of", lambda _: {"checkpoint.pt": b"damaged"})
    with connection.connected("cpu", "float32", recipe) as engine:
        engine.take(dataset)
        with pytest.raises(UserError, match=r"checkpoint\.pt is damaged"):
            list(engine.train(Run(tmp_path, "small", "resnet-8", 0), 1))
    assert "resumes" not in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("nodes")
def test_a_run_that_is_left_stops_on_its_node(
    tmp_path: Path, recipe: Recipe, dataset: Dataset
) -> None:
    """Ray stays; the task's process and directory go."""
    run = Run(tmp_path, "small", "resnet-8", 0)
    with connection.connected("cpu", "float32", replaced(recipe, iterations=10**6)) as engine:
        engine.take(dataset)
        steps = engine.train(run, 1)
        deadline = time.monotonic() + 300
        while "for process" not in (run.holder or ""):
            assert time.monotonic() < deadline
            next(steps)
        process = int((run.holder or "").split()[1])
        (directory,) = [Path(root) for root in directories_of(process)]
        steps.close()
        while alive(process):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert ray.is_initialized()
    assert not directory.exists()


@pytest.mark.slow
@pytest.mark.usefixtures("nodes")
def test_another_version_of_ray_is_one_line(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "__version__", "2.0.0")
    with pytest.raises(UserError, match=r"RAY_ADDRESS=.* cannot be used: .*2\.0\.0") as caught:
        connection.connected("cpu", "float32", recipe).__enter__()
    assert "\n" not in caught.value.message


@pytest.mark.slow
def test_a_node_without_the_dependencies_is_one_line(
    tmp_path: Path, recipe: Recipe, nodes: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "msgspec.py").write_text("raise ModuleNotFoundError(\"No module named 'msgspec'\")")
    without = nodes.add_node(num_cpus=1, env_vars={"PYTHONPATH": str(tmp_path)})
    try:
        with pytest.raises(UserError, match=r"cannot train .*msgspec.*: install") as caught:
            connection.connected("cpu", "float32", recipe).__enter__()
        assert "\n" not in caught.value.message
        assert "Traceback" not in capsys.readouterr().out
    finally:
        nodes.remove_node(without)


@pytest.mark.slow
def test_a_node_that_has_just_been_killed_is_left_out(
    recipe: Recipe, nodes: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes.remove_node(nodes.add_node(num_cpus=1), allow_graceful=False)
    with connection.connected("cpu", "float32", recipe) as engine:
        assert [each["Resources"]["CPU"] for each in engine.nodes] == [2]
        engine.take(data.load(recipe, Path("nowhere")))
        assert len(list(engine.costs([("resnet-8", CPU)]))) == 1
    assert "dependencies" not in capsys.readouterr().out


DRIVER = """
import sys
from msgspec.structs import replace
from pathlib import Path
from resnet_paper.runs.recipe import SETTINGS
from resnet_paper.study.options import options, trainer_options
import click
SETTINGS["demo"] = replace(SETTINGS["demo"], measure_every=8, iterations=2000, milestones=())
@click.command()
@trainer_options
@options
def main(study, trainer):
    trainer.complete(study, study.runs_of(["resnet-8", "plain-8"]))
main()
"""


def directories_of(process: int) -> set[str]:
    """The temporary directories of tasks in which a process has a file open."""
    opened = map(os.readlink, Path(f"/proc/{process}/fd").iterdir())
    return {found[0] for path in opened if (found := re.match(rf".*/{worker.PREFIX}[^/]+", path))}


def alive(process: int) -> bool:
    """True if a process is there, and no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def processes_of_session(leader: int) -> list[int]:
    """The processes of a session: Ray's own are in that of the process that started it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[3]) == leader:
                found.append(int(path.parent.name))
    return found


@pytest.mark.slow
def test_ctrl_c_stops_the_runs_and_the_ray_that_was_started_for_them(tmp_path: Path) -> None:
    """Pressed in a terminal, it reaches each process of the group, Ray's too."""
    command = [sys.executable, "-c", DRIVER, "--settings", "demo", "--runs", str(tmp_path)]
    command += ["--engine", "ray", "--device", "cpu", "--precision", "float32"]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
    environment |= {"RAY_TMPDIR": "/tmp"}  # the paths of its sockets must be short
    environment.pop("RAY_ADDRESS", None)
    driver = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    runs = [Run(tmp_path, "demo", network, 0) for network in ("resnet-8", "plain-8")]
    deadline = time.monotonic() + 300
    while not all(run.checkpoint_file.exists() for run in runs):
        assert driver.poll() is None, driver.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.2)
    workers = [int((run.holder or "").split()[1]) for run in runs]
    os.killpg(driver.pid, signal.SIGINT)
    output = driver.communicate(timeout=120)[0]
    assert driver.returncode == 130, output
    assert output.count("with a checkpoint") == 2
    assert "Traceback" not in output
    assert "resumes from" not in output
    deadline = time.monotonic() + 60
    while left := [pid for pid in workers + processes_of_session(driver.pid) if alive(pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
    assert not list(temporary.glob(f"{worker.PREFIX}*"))
    for run in runs:
        point = checkpoint.load(run)
        assert point is not None
        assert not run.finished

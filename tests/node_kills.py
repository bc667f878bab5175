"""Kill nodes, workers and drivers of a study by Ray, then compare its runs with one left alone.

`python -m tests.node_kills --kills 30` prints where each run was resumed and what was lost:
nothing, or it exits with 1. The nodes are those of a Ray cluster on this machine.
"""

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import click
import pandas as pd
import torch

from resnet_paper.errors import UserError
from resnet_paper.runs.run import Run
from resnet_paper.training import checkpoint
from tests.kills import ROOT, result

MOST = 30  # kills: each takes some 20 seconds
AFTER = 15  # checkpoints, at most, between the beginning of a training and its kill
PATIENCE = 300.0  # seconds
# A study of one run, with a checkpoint every 10 iterations of it.
DRIVER = """
import sys
from msgspec.structs import replace
from pathlib import Path
from resnet_paper.runs.recipe import SETTINGS
from resnet_paper.study.study import Study
from resnet_paper.study.trainer import Trainer
SETTINGS["kills"] = replace(SETTINGS["demo"], train_images=200, batch_size=8, iterations=800,
                            milestones=(400, 600), measure_every=10, test_images=20,
                            unaugmented_images=20)
study = Study("kills", Path(sys.argv[1]))
Trainer("cpu", "float32", engine=sys.argv[2]).complete(study, [study.run("resnet-8", 0)])
"""


class Study:
    """The study of DRIVER in a directory of its own, and the process that drives it."""

    def __init__(self, root: Path, engine: str, **variables: str) -> None:
        self.root, self.engine = root, engine
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
        self.run = Run(root, "kills", "resnet-8", 0)
        self.log = root / "log"
        root.mkdir()

    def start(self) -> None:
        command = [sys.executable, "-c", DRIVER, str(self.root), self.engine]
        with self.log.open("a") as log:
            self.driver = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )

    def said(self, pattern: str) -> list[str]:
        return re.findall(pattern, self.log.read_text())

    def stop(self) -> None:
        self.driver.kill()
        self.driver.wait()

    @property
    def ended(self) -> bool:
        """True if the driver has ended, its run finished; AssertionError if it failed."""
        status = self.driver.poll()
        assert status in (None, 0), self.log.read_text()[-2_000:]
        return status == 0

    def wait_for(self, condition: Callable[[], bool]) -> bool:
        """Wait until a condition holds; False if the driver ends before."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if self.ended:
                return False
            assert time.monotonic() < deadline, self.log.read_text()[-2_000:]
            time.sleep(0.1)
        return True

    @property
    def worker(self) -> int:
        """The living process that trains the run, by its lock; 0 if none does yet."""
        found = re.match(r"process (\d+) on \S+, for process (\d+)", self.run.holder or "")
        if not found or int(found[2]) != self.driver.pid or not Path(f"/proc/{found[1]}").exists():
            return 0
        return int(found[1])

    @property
    def iteration(self) -> int:
        """The iteration of the checkpoint that has arrived; 0 if none has."""
        kept = checkpoint.load(self.run)
        return kept.state.iteration if kept else 0


def kill_driver(study: Study, cluster: Any, worker: int) -> None:
    study.stop()
    study.start()


def kill_worker(study: Study, cluster: Any, worker: int) -> None:
    os.kill(worker, signal.SIGKILL)


def kill_node(study: Study, cluster: Any, worker: int) -> None:
    """Kill the node that the worker is on, its Ray processes too; another one joins."""
    raylet = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
    (node,) = [
        node
        for node in cluster.worker_nodes
        if raylet in [each.process.pid for each in node.all_processes["raylet"]]
    ]
    cluster.remove_node(node, allow_graceful=False)
    add_node(cluster, study.root.parent)


def add_node(cluster: Any, root: Path) -> None:
    """A node of one core, with a directory of its own as on a machine of its own.

    In a directory that nodes share, one that joins replaces the files that workers are starting
    from, which then die.
    """
    cluster.add_node(num_cpus=1, temp_dir=tempfile.mkdtemp(dir=root))


KINDS = {"node": kill_node, "worker": kill_worker, "driver": kill_driver}
TURNS = ("node", "worker", "driver", "node", "node", "node")


def kill_and_resume(study: Study, cluster: Any, kind: str, after: float, beyond: int) -> int | None:
    """Kill some seconds after training has begun; the iteration at which the run is resumed.

    beyond: the iteration that a checkpoint must have passed before. None if the run ended before.
    """
    if not study.wait_for(lambda: study.worker > 0 and study.iteration > beyond):
        return None
    time.sleep(after)
    worker, held = study.worker, study.iteration
    if study.ended or not worker:
        return None
    pattern = r"resnet-8 seed 0: resumes from iteration ([\d,]+) after"
    if kind == "driver":
        pattern = r"resnet-8 seed 0 \(.*parameters\): about .*?(?:, from iteration ([\d,]+))?\n"
    before = len(study.said(pattern))
    KINDS[kind](study, cluster, worker)
    if not study.wait_for(lambda: len(study.said(pattern)) > before):
        return None
    resumed = int(study.said(pattern)[-1].replace(",", "") or 0)
    assert resumed >= held, f"the checkpoint of iteration {held} is lost: resumed at {resumed}"
    return resumed


def kill_and_compare(kills: int, seed: int, root: Path) -> None:
    """Kill at random moments, starting again when a run has finished, and compare each run.

    Raises AssertionError if a run came out differently, or was not resumed from the last checkpoint
    that had arrived.
    """
    from ray.cluster_utils import Cluster

    rng = random.Random(seed)
    alone = Study(root / "alone", "local")
    alone.start()
    alone.wait_for(lambda: False)
    after = AFTER * alone.run.result().curve["seconds"].diff().median()
    curve, weights = result(alone.run)
    kinds = list(islice(cycle(TURNS), kills))
    killed = Counter(kinds)
    rng.shuffle(kinds)
    resumed: list[tuple[str, int]] = []
    with ExitStack() as stack:
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        stack.callback(cluster.shutdown)
        for _ in range(2):
            add_node(cluster, root)
        runs = 0
        while kinds or runs == 0:
            study = Study(root / f"killed-{runs}", "ray", RAY_ADDRESS=cluster.address)
            stack.callback(study.stop)
            study.start()
            reached: list[int] = []
            while kinds:
                twice = len(reached) > 1 and reached[-1] == reached[-2]
                beyond = reached[-1] if twice else -1  # after three deaths a run is given up
                iteration = kill_and_resume(
                    study, cluster, kinds[-1], rng.uniform(0, after), beyond
                )
                if iteration is None:
                    break
                reached.append(iteration)
                resumed.append((kinds.pop(), iteration))
                click.echo(
                    f"{resumed[-1][0]} killed: run {runs} resumes from iteration {iteration:,}"
                )
            study.wait_for(lambda: False)
            found, found_weights = result(study.run)
            pd.testing.assert_frame_equal(found, curve, check_exact=True)
            assert all(map(torch.equal, found_weights, weights))
            assert not study.run.checkpoint_file.exists()
            runs += 1
            click.echo(f"run {runs - 1} has the bits of the one left alone")
    late = sum(kind == "node" and iteration > 0 for kind, iteration in resumed)
    assert 4 * late >= 3 * killed["node"] or kills < len(TURNS), "too few after a checkpoint"
    click.echo(
        f"{killed['node']} kills of nodes, {late} after a checkpoint had arrived, "
        f"{killed['worker']} of workers and {killed['driver']} of drivers; "
        f"{runs} runs brought to their end: nothing lost"
    )


@click.command()
@click.option("--kills", type=click.IntRange(min=1), default=MOST, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(kills: int, seed: int) -> None:
    """Kill nodes, workers and drivers at random moments; the result must be that without kills."""
    os.environ.setdefault("RAY_TMPDIR", tempfile.gettempdir())
    os.environ.setdefault("RAY_raylet_start_wait_time_s", f"{PATIENCE:.0f}")
    try:
        import ray  # noqa: F401
    except ImportError:
        click.echo("ray is not installed (make .venv/ray): no node is killed")
        return
    with tempfile.TemporaryDirectory() as root:
        os.environ["TMPDIR"] = root  # the directories of tasks that are killed go with it
        try:
            kill_and_compare(min(kills, MOST), seed, Path(root))
        except (AssertionError, UserError) as error:
            raise click.ClickException(f"something was lost: {error}") from error


if __name__ == "__main__":
    main()

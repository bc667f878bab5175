"""Kills, full disks, two processes: by doing it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from resnet_paper.errors import UserError
from resnet_paper.runs.recipe import Recipe
from resnet_paper.runs.run import Run
from resnet_paper.training import data
from resnet_paper.training.loop import train
from tests.kills import ROOT
from tests.training.trained import CPU


@pytest.mark.slow
def test_two_processes_share_a_study(tmp_path: Path) -> None:
    """Started on the same two runs, they train each once, between them."""
    command = [
        sys.executable,
        str(ROOT / "experiments/fig6.py"),
        "--settings",
        "demo",
        "--depths",
        "8",
    ]
    command += ["--plain-depths", "8", "--device", "cpu", "--runs", str(tmp_path)]
    processes = [
        subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate()[0] for process in processes]
    for network in ("resnet-8", "plain-8"):
        run = Run(tmp_path, "demo", network, 0)
        trained = sum(f"{network} seed 0: iteration 96 of 96" in output for output in outputs)
        assert trained == 1, outputs
        assert run.finished
        assert run.result().record.resumed == ()
    assert "Traceback" not in "".join(outputs)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here: that takes root")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Leave no room on a disk; the file that takes it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4_096))
    return ballast


def test_a_disk_that_cannot_be_written(small_disk: Path, recipe: Recipe) -> None:
    run = Run(small_disk, "tiny", "resnet-8", 0)
    dataset = data.load(recipe, Path("none"))
    training = train(run, recipe, dataset, CPU)
    while next(training).iteration < 5:
        pass
    training.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(UserError, match=r"cannot write .*Read-only file system"):
        next(train(run, recipe, dataset, CPU))


def test_a_disk_that_fills_up(small_disk: Path, tmp_path: Path, recipe: Recipe) -> None:
    run, expected = (Run(root, "tiny", "resnet-8", 0) for root in (small_disk, tmp_path))
    dataset = data.load(recipe, Path("none"))
    training = train(run, recipe, dataset, CPU)
    while next(training).iteration < 5:
        pass
    checkpoint, ballast = run.checkpoint_file.read_bytes(), fill(small_disk)
    with pytest.raises(UserError, match=r"cannot write .*No space left on device"):
        list(training)
    assert run.checkpoint_file.read_bytes() == checkpoint
    assert not run.finished

    ballast.unlink()
    for one in (run, expected):
        list(train(one, recipe, dataset, CPU))
    curves = [one.result().curve.drop(columns="seconds") for one in (run, expected)]
    assert curves[0].equals(curves[1])

"""The package works where it is installed, outside the clone."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from resnet_paper.runs.run import finished_runs

ROOT = Path(__file__).parents[1]
SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")

# Loads the data files beside the modules, and published weights to classify an image.
PROGRAM = """
import torch
import resnet_paper.study.study
import resnet_paper.results.figures
from resnet_paper import pretrained
from resnet_paper.paper import facts

print(resnet_paper.__path__[0])
assert len(facts.figure6_curves()) > 100
network = pretrained.load("resnet-20")
print(*network(torch.rand(1, 3, 32, 32)).shape)
"""


def run(command: Sequence[str | Path], folder: Path, **variables: str) -> str:
    """What a command prints; its error output fails the test."""
    environment = {**os.environ, **variables}
    answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def files(package: Path) -> set[Path]:
    """The modules and data of a package, relative to it, but for the published runs."""
    return {
        path.relative_to(package)
        for path in package.rglob("*")
        if path.is_file()
        and not {"__pycache__", "published"} & set(path.relative_to(package).parts)
    }


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the project's wheel is installed, built from a copy of its sources."""
    pytest.importorskip("setuptools", minversion="77", reason="the build needs setuptools 77")
    folder = tmp_path_factory.mktemp("wheel")
    source, target = folder / "source", folder / "installed"
    ignore = shutil.ignore_patterns("__pycache__", "checkpoint.pt")
    for name in ("resnet_paper", "experiments"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignore)
    for name in SOURCES:
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "."], source)
    (wheel,) = source.glob("*.whl")
    run([*pip, "install", "--no-deps", "--no-index", "--target", target, wheel], folder)
    return target


def test_a_wheel_has_all_modules_and_data(installed: Path) -> None:
    assert files(installed / "resnet_paper") == files(ROOT / "resnet_paper")


def test_a_wheel_has_the_published_weights(installed: Path) -> None:
    folder = installed / "resnet_paper" / "published"
    runs = [result.run for result in finished_runs(ROOT / "experiments" / "runs", "paper")]
    weights = [run.weights_file for run in runs if run.weights_file.exists()]
    assert weights
    for file in weights:
        there = folder / file.relative_to(ROOT / "experiments" / "runs")
        assert there.read_bytes() == file.read_bytes()


def test_a_wheel_works_elsewhere(installed: Path, tmp_path: Path) -> None:
    answer = run([sys.executable, "-c", PROGRAM], tmp_path, PYTHONPATH=str(installed))
    assert answer.splitlines() == [str(installed / "resnet_paper"), "1 10"]

"""The package works where it is installed, outside the clone: from a ZIP or an sdist."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from resnet_paper import pretrained
from resnet_paper.runs.run import finished_runs

ROOT = Path(__file__).parents[1]
SOURCES = ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")

PIP = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]

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
print(pretrained.PUBLISHED)
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
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build needs."""
    pytest.importorskip("setuptools", minversion="77", reason="the build needs setuptools 77")
    folder = tmp_path_factory.mktemp("source") / "resnet_paper-main"
    ignore = shutil.ignore_patterns("__pycache__", "checkpoint.pt")
    for name in ("resnet_paper", "experiments"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignore)
    for name in SOURCES:
        shutil.copy(ROOT / name, folder)
    return folder


def zipped(source: Path, folder: Path) -> Path:
    """A ZIP of the sources, as GitHub makes them."""
    return Path(shutil.make_archive(str(folder / "main"), "zip", source.parent, source.name))


def sdist(source: Path, folder: Path) -> Path:
    program = f"from setuptools.build_meta import build_sdist; build_sdist({str(folder)!r})"
    run([sys.executable, "-c", program], source)
    return next(folder.glob("*.tar.gz"))


def wheel(archive: Path, folder: Path) -> Path:
    """The wheel that pip builds of an archive of the sources."""
    build = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder]
    run([*build, archive], folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the project is installed, from a ZIP of it."""
    folder = tmp_path_factory.mktemp("wheel")
    target = folder / "installed"
    built = wheel(zipped(source, folder), folder)
    run([*PIP, "install", "--no-deps", "--no-index", "--target", target, built], folder)
    return target


def published() -> dict[Path, bytes]:
    """The published weights, by their place in a directory of runs."""
    root = ROOT / "experiments" / "runs"
    weights = [
        result.run.weights_file
        for settings in ("paper", "overnight")
        for result in finished_runs(root, settings)
        if result.run.weights_file.exists()
    ]
    return {file.relative_to(root): file.read_bytes() for file in weights}


def test_no_file_is_a_symbolic_link() -> None:
    """A ZIP has none: pip unpacks one as a text file."""
    links = [path for path in (ROOT / "resnet_paper").rglob("*") if path.is_symlink()]
    assert links == []


@pytest.mark.slow
def test_a_wheel_of_an_sdist_has_the_files_of_one_of_a_zip(
    installed: Path, source: Path, tmp_path: Path
) -> None:
    names = zipfile.ZipFile(wheel(sdist(source, tmp_path), tmp_path)).namelist()
    here = {path.relative_to(installed) for path in installed.rglob("*") if path.is_file()}
    assert {name for name in names if name.startswith("resnet_paper/")} == {
        str(path) for path in here if path.parts[0] == "resnet_paper" and path.suffix != ".pyc"
    }


@pytest.mark.slow
def test_a_wheel_has_all_modules_and_data(installed: Path) -> None:
    assert files(installed / "resnet_paper") == files(ROOT / "resnet_paper")


@pytest.mark.slow
def test_a_wheel_has_the_published_weights(installed: Path) -> None:
    expected = published()
    assert {path.parts[0] for path in expected} == {"paper", "overnight"}
    for path, content in expected.items():
        assert (installed / "resnet_paper" / "published" / path).read_bytes() == content


@pytest.mark.slow
def test_a_wheel_works_elsewhere(installed: Path, tmp_path: Path) -> None:
    """Beside another package of the name of the folder that has the runs in a clone."""
    (installed / "experiments" / "runs").mkdir(parents=True)
    answer = run([sys.executable, "-c", PROGRAM], tmp_path, PYTHONPATH=str(installed))
    package = installed / "resnet_paper"
    assert answer.splitlines() == [str(package), str(package / "published"), "1 10"]


def test_a_clone_and_an_editable_install_have_the_runs_of_the_clone() -> None:
    assert pretrained.PUBLISHED == ROOT / "experiments" / "runs"

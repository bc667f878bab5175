"""Folders import downwards, and drawing loads no torch."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "resnet_paper"
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__init__.py"
}

# What each folder, or module at the top, imports of the others.
MAY_IMPORT = {
    "errors": set(),
    "console": set(),
    "names": {"errors"},
    "paper": set(),
    "networks": {"errors", "names", "paper"},
    "runs": {"errors", "names", "paper"},
    "training": {"errors", "names", "paper", "networks", "runs"},
    "cluster": {"errors", "console", "runs", "training"},
    "study": {"errors", "console", "names", "paper", "networks", "runs", "training", "cluster"},
    "bench": {"errors", "paper", "networks", "runs", "training", "cluster", "study"},
    "results": {"errors", "names", "paper", "runs"},
    "pretrained": {"errors", "names", "networks", "runs"},
    "train": {"study"},
    "responses": {"errors", "paper", "results", "study", "pretrained"},
    "gradients": {"study"},
}
WITHOUT_TORCH = ("errors", "console", "names", "paper", "runs", "results")


def imported(path: Path, at_its_top: bool = False) -> set[str]:
    """The full names that a file imports anywhere, inside functions too, or at its top alone."""
    found, tree = set(), ast.parse(path.read_text())
    for node in tree.body if at_its_top else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own_imports(path: Path) -> set[str]:
    """Of MODULES, those that a file imports, or imports something of."""
    names = {f"{name}." for name in imported(path)}
    return {
        module
        for module in MODULES
        if any(name.startswith(f"resnet_paper.{module}.") for name in names)
    }


def room(module: str) -> str:
    """The row of MAY_IMPORT that a module belongs to."""
    return module if module in MAY_IMPORT else module.partition(".")[0]


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downwards(module: str) -> None:
    of = room(module)
    assert {room(other) for other in own_imports(MODULES[module])} - {of} <= MAY_IMPORT[of]


def test_the_package_imports_neither_scripts_nor_tests() -> None:
    first = {name.partition(".")[0] for path in MODULES.values() for name in imported(path)}
    assert not first & {"experiments", "tests"}


def test_no_circles_between_modules() -> None:
    TopologicalSorter({name: own_imports(path) for name, path in MODULES.items()}).prepare()


def test_no_circles_between_folders() -> None:
    folders: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        folder = name.partition(".")[0]
        others = {other.partition(".")[0] for other in own_imports(path)}
        folders[folder] = folders.get(folder, set()) | others - {folder}
    TopologicalSorter(folders).prepare()


def test_init_files_are_empty() -> None:
    assert all(path.read_bytes() == b"" for path in PACKAGE.rglob("__init__.py"))


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) in WITHOUT_TORCH])
def test_modules_without_torch(module: str) -> None:
    first = {name.partition(".")[0] for name in imported(MODULES[module])}
    assert not first & {"torch", "torchvision"}


def test_torchvision_is_imported_where_it_is_used() -> None:
    """It takes seconds; image_folder, which is full of it, is itself imported by a loader."""
    heavy = ("torchvision.", "resnet_paper.training.image_folder")
    found = [
        name
        for name, path in MODULES.items()
        if any(each.startswith(heavy) for each in imported(path, at_its_top=True))
    ]
    assert found == ["training.image_folder"]


def test_drawing_loads_no_torch() -> None:
    """Nor do the options of any command, from which `make help` and make's check are made."""
    program = """
import sys
from importlib import import_module
import resnet_paper.results.tables
import resnet_paper.results.figures
from experiments.__main__ import COMMANDS
for name in COMMANDS:
    import_module(f"experiments.{name}")
print({"torch", "plotly", "jinja2"} & sys.modules.keys())
"""
    command = [sys.executable, "-c", program]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "set()\n"

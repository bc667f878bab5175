"""What is typed is what a command gets, and a slip on make's command line is refused before it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from experiments import __main__ as experiments
from resnet_paper.errors import UserError
from resnet_paper.runs.recipe import SETTINGS
from resnet_paper.study import make_variables
from resnet_paper.study.make_variables import arguments, check, options_of, typed
from resnet_paper.study.options import trainer_options

ROOT = Path(__file__).parents[1]
APART = ("MAKE", "MF", "DATA_DIR")  # of a make that runs the tests

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone whose .venv is this Python and what it has."""
    folder = tmp_path_factory.mktemp("clone")
    for name in (
        "Makefile",
        "experiments",
        "resnet_paper",
        "setup.cfg",
        "setup.py",
        "pyproject.toml",
    ):
        (folder / name).symlink_to(ROOT / name)
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (folder / ".venv" / "ready").touch()
    return folder


def make(clone: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    apart = {name: value for name, value in os.environ.items() if not name.startswith(APART)}
    return subprocess.run(
        ["make", *arguments],
        cwd=clone,
        env={**apart, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def refusal(answer: subprocess.CompletedProcess[str]) -> str:
    """The line by which make refused, before anything else."""
    assert (answer.returncode, answer.stdout) == (2, "")
    return answer.stderr.splitlines()[0]


@needs_make
@pytest.mark.parametrize(
    ("slip", "says"),
    [
        (
            "table6 DEPTH=20",
            "Error: make table6 does not use DEPTH (did you mean DEPTHS?): it uses",
        ),
        ("test KILLS=3", "Error: make test does not use KILLS: it uses DATA_DIR"),
        ("status figure6", "Error: there is no target figure6: make help lists them"),
        ("demo TORCH=gpu", "TORCH=gpu means nothing: TORCH=cpu installs a PyTorch without CUDA"),
    ],
)
def test_make_refuses_a_slip_before_anything_else(clone: Path, slip: str, says: str) -> None:
    assert says in refusal(make(clone, *slip.split()))


def check_of(slip: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The line by which make's check refuses "table6 fig6 NAME=VALUE"."""
    words = slip.split()
    targets = [word for word in words if "=" not in word]
    monkeypatch.setenv("MAKEFLAGS", " -- " + " ".join(words[len(targets) :]))
    with pytest.raises(SystemExit) as refused:
        experiments.main("check", *targets)
    return str(refused.value.code)


@pytest.mark.parametrize(
    ("slip", "meant", "uses"),
    [
        ("table6 DEPTH=20", "DEPTHS", "DEPTHS"),
        ("table6 SETTING=tiny", "SETTINGS", "SETTINGS"),
        ("table6 settings=tiny", "SETTINGS", "SETTINGS"),
        ("train SEEDS=3", "SEED", "SEED"),
        ("fig7 DEPTHS=20", "", "SEEDS"),
        ("demo SETTINGS=paper", "", "RUNS"),
        ("table6 fig7 KILLS=3", "", "DEPTHS"),
        ("table1 RUNS=mine", "", "no variables"),
        ("figures ENGINE=ray", "", "RUNS"),
        ("claims YES=1", "", "RUNS"),
        ("lint DATA_DIR=mine", "", "no variables"),
    ],
)
def test_a_variable_that_no_named_target_uses_is_refused(
    slip: str, meant: str, uses: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = check_of(slip, monkeypatch)
    *targets, wrong = slip.split("=")[0].split()
    suggestion = f" (did you mean {meant}?)" if meant else ""
    said = f"Error: make {' '.join(targets)} does not use {wrong}{suggestion}: it uses "
    assert line.startswith(said)
    assert re.search(rf"\b{uses}\b", line.removeprefix(said))


@pytest.mark.parametrize(
    ("slip", "says"),
    [
        ("figure6 SETTINGS=tiny", "there is no target figure6: make help lists them"),
        ("table6 DEPTHS=", "DEPTHS is empty: leave it out for its default"),
        ("table6 YES=yes", "YES=yes means nothing: YES=1 trains for hours without asking"),
        ("table6 DRY_RUN=0", "DRY_RUN=0 means nothing: DRY_RUN=1 prints the plan and ends"),
    ],
)
def test_other_slips_are_refused(slip: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert says in check_of(slip, monkeypatch)


@needs_make
def test_a_mistyped_target_sets_up_nothing(tmp_path: Path) -> None:
    for name in ("Makefile", "experiments", "setup.cfg", "setup.py", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    assert "no target figure6" in refusal(make(tmp_path, "figure6"))
    assert "  table6 " in make(tmp_path, "help").stdout
    assert not (tmp_path / ".venv").exists()


@needs_make
def test_a_command_gets_what_is_typed(clone: Path) -> None:
    """Spaces, quotes, "=", "$" and a home directory, from the command line or the environment."""
    runs = """exp lr=0.1 'wd' "$x" $(y) \\ """
    answer = make(clone, "status", f"RUNS={runs}", SETTINGS="tiny", NETWORK="", DEVICE="tpu")
    assert f"{runs} does not exist" in answer.stderr
    assert "SETTINGS=tiny is set in the environment" in answer.stderr
    assert not re.search("NETWORK|DEVICE|tpu", answer.stderr)
    answer = make(clone, "status", RUNS="~/mine", HOME=str(clone))
    assert f"{clone}/mine does not exist" in answer.stderr
    assert "'mine' is none of" in make(clone, "status", "SETTINGS=mine", SETTINGS="tiny").stderr


@needs_make
def test_targets_named_together_are_one_command(clone: Path) -> None:
    recipes = make(clone, "--dry-run", "table6", "fig6", "claims", "PLAIN_DEPTHS=20").stdout
    commands = re.findall(r"experiments (?!check)(.*)", recipes)
    assert commands == ["reproduce table6 fig6 claims"]
    answer = make(clone, "claims", "fig6", "DEPTHS=21")
    assert "DEPTHS (--depths): 21 is not 6n+2: the nearest are 20 or 26" in answer.stderr


@needs_make
def test_what_is_asked_for_first_is_installed_first(clone: Path) -> None:
    install = "pip install --extra-index-url https://download.pytorch.org/whl/cpu --editable"
    assert "pip" not in make(clone, "--dry-run", "demo").stdout
    for changed in ("setup.cfg", "setup.py", "pyproject.toml"):
        assert "pip install" in make(clone, "--dry-run", f"--assume-new={changed}", "demo").stdout
    fresh = ("--dry-run", "--assume-new=setup.cfg", "demo")
    steps = make(clone, *fresh, "TORCH=cpu").stdout
    assert install in steps
    assert "torch.version.cuda" in steps  # what pip took is checked
    assert not re.search("index|torch.version", make(clone, *fresh).stdout)
    extras = {"report": "report", "train ENGINE=ray": "ray", "fig7 TRACK=wandb": "wandb"}
    extras["eval WEIGHTS=mine.safetensors"] = "safetensors"
    for typed_line, extra in extras.items():
        steps = make(clone, "--dry-run", *typed_line.split()).stdout
        assert re.findall(r"'\.\[(\w+)\]'", steps) == [extra]


def test_help_lists_each_target_and_variable_and_the_settings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    experiments.main("help")
    text = capsys.readouterr().out
    for target in ("help", "table6", "clean", "report"):
        assert len(re.findall(rf"^  {target} +\S", text, re.M)) == 1
    for variable in ("SETTINGS", "DEPTHS", "DRY_RUN", "PYTHON", "TORCH", "KILLS"):
        assert len(re.findall(rf"^  {variable} +\S", text, re.M)) == 1
    assert set(SETTINGS) <= set(re.findall(r"[\w-]+", text))


@pytest.mark.parametrize(
    ("makeflags", "given"),
    [
        ("", {}),
        ("k -j2 --jobserver-auth=3,4", {}),
        (r"k --no-print-directory -- RUNS=a\ b=c DEPTHS=", {"RUNS": "a b=c", "DEPTHS": ""}),
        (r" -- RUNS=q'\"$$x\\b SEEDS:=3", {"RUNS": r"""q'"$x\b""", "SEEDS": "3"}),
    ],
)
def test_the_command_line_is_read_from_makeflags(makeflags: str, given: dict[str, str]) -> None:
    assert typed(makeflags) == given


@click.command()
@trainer_options
def train(**_: object) -> None:
    """A command."""


def test_the_command_line_comes_before_the_environment() -> None:
    environment = {"DEVICE": "cpu", "PRECISION": "tf32", "TRACK": " ", "OTHER": "1"}
    found = arguments(train, {"DEVICE": "cuda", "YES": "1"}, environment)
    assert found == ["--device=cuda", "--precision=tf32", "--yes"]
    with pytest.raises(UserError, match="YES=no means nothing"):
        arguments(train, {}, {"YES": "no"})


def test_any_option_is_a_variable() -> None:
    assert make_variables.variable("--data-dir") == "DATA_DIR"
    assert {"DEVICE", "DRY_RUN"} <= options_of(train).keys()
    with pytest.raises(UserError, match=r"does not use DRYRUN \(did you mean DRY_RUN\?\)"):
        check({"train": options_of(train)}, {"DRYRUN": "1"})

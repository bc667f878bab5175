"""A slip on make's command line is refused before anything is set up or trained."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from resnet_paper.study.options import MAKE_VARIABLES

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What make would do, apart from a make that runs the tests."""
    apart = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "MF")) and name != "DATA_DIR"
    }
    return subprocess.run(
        ["make", "--dry-run", *arguments],
        cwd=ROOT,
        env={**apart, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


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
    ],
)
def test_a_variable_that_no_named_target_uses_is_refused(slip: str, meant: str, uses: str) -> None:
    answer = make(*slip.split())
    assert answer.returncode == 2
    assert answer.stdout == ""
    wrong = slip.split()[-1].split("=")[0]
    suggestion = f" (did you mean {meant}?)" if meant else ""
    assert f"does not use {wrong}{suggestion}: it uses " in answer.stderr
    assert re.search(rf"\b{uses}\b", answer.stderr.split(": it uses ")[1])


def test_a_mistyped_target_is_refused_before_its_variables() -> None:
    answer = make("figure6", "SETTINGS=tiny")
    assert answer.returncode == 2
    assert "there is no target figure6: make help lists them" in answer.stderr


@pytest.mark.parametrize("name", ["DEPTHS", "DEPTH", "SETTINGS"])
def test_training_takes_no_variable_from_the_environment(name: str) -> None:
    answer = make("table6", **{name: "20"})
    assert answer.returncode == 2
    assert f"{name} is set in the environment" in answer.stderr
    assert make("table6", "DEPTHS=20", DEPTHS="32").returncode == 0
    assert make("figures", **{name: "tiny"}).returncode == 0


def test_an_empty_variable_is_refused() -> None:
    answer = make("table6", "DEPTHS=")
    assert answer.returncode == 2
    assert "DEPTHS is empty" in answer.stderr


def test_a_pytorch_without_cuda_is_asked_of_its_own_index() -> None:
    install = "pip install --extra-index-url https://download.pytorch.org/whl/cpu --editable"
    fresh = ("--assume-new=setup.cfg", "demo")
    steps = make(*fresh, "TORCH=cpu").stdout
    assert install in steps
    assert "import torch; sys.exit(torch.version.cuda and" in steps  # what pip took is checked
    assert not re.search("index|torch.version", make(*fresh).stdout)
    assert make("demo", "TORCH=gpu").returncode == 2


def test_only_what_is_given_is_passed_on() -> None:
    """The defaults are those of the commands."""
    assert make("train", "NETWORK=plain-56").stdout.splitlines()[-1] == (
        '.venv/bin/python experiments/train.py --network "plain-56"'
    )
    line = make("table6", "DEPTHS=20 32", "SEEDS=2").stdout.splitlines()[-1]
    assert line.endswith('reproduce.py table6 --depths "20 32" --seeds "2"')


def test_targets_named_together_are_one_command() -> None:
    lines = make("table6", "fig6", "claims", "PLAIN_DEPTHS=20").stdout.splitlines()
    commands = [line for line in lines if "experiments/" in line]
    assert len(commands) == 1
    assert commands[0].endswith('reproduce.py table6 fig6 claims --plain-depths "20"')


def test_messages_name_the_variables_that_make_has() -> None:
    """KILLS is of a command of the tests alone."""
    used = re.findall(
        r"^(?:WHERE|HOW|STUDY|USES_\w+) +:= (.*)$", (ROOT / "Makefile").read_text(), re.M
    )
    names = {name for line in used for name in line.split() if not name.startswith("$")}
    assert names - {"KILLS"} == MAKE_VARIABLES

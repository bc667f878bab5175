"""A slip on make's command line is refused before anything is set up or trained."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What make would do, apart from a make that runs the tests."""
    apart = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MF"))
    }
    return subprocess.run(
        ["make", "--dry-run", *arguments],
        cwd=ROOT,
        env=apart,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("slip", "uses"),
    [
        ("table6 DEPTH=20", "DEPTHS"),
        ("table6 SETTING=tiny", "SETTINGS"),
        ("table6 settings=tiny", "SETTINGS"),
        ("train SEEDS=3", "SEED"),
        ("fig7 DEPTHS=20", "SEEDS"),
        ("demo SETTINGS=paper", "RUNS"),
        ("table6 fig7 KILLS=3", "DEPTHS"),
        ("table1 RUNS=mine", "no variables"),
    ],
)
def test_a_variable_that_no_named_target_uses_is_refused(slip: str, uses: str) -> None:
    answer = make(*slip.split())
    assert answer.returncode == 2
    assert answer.stdout == ""
    wrong = slip.split()[-1].split("=")[0]
    assert f"does not use {wrong}: it uses " in answer.stderr
    assert re.search(rf"\b{uses}\b", answer.stderr.split(": it uses ")[1])


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

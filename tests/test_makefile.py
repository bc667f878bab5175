"""A slip on make's command line is refused before anything is set up or trained."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What make would do."""
    return subprocess.run(
        ["make", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
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
    assert make("fig7").stdout.splitlines()[-1].strip() == ".venv/bin/python experiments/fig7.py"
    line = make("table6", "DEPTHS=20 32", "SEEDS=2").stdout.splitlines()[-1]
    assert line == '.venv/bin/python experiments/table6.py --seeds "2" --depths "20 32"'


def test_a_variable_that_one_of_two_targets_uses_is_taken() -> None:
    table6, fig6 = make("table6", "fig6", "PLAIN_DEPTHS=20").stdout.splitlines()[-2:]
    assert "--plain-depths" not in table6
    assert '--plain-depths "20"' in fig6

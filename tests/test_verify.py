"""`make verify`: what it says, what it writes and with what status it ends."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from experiments import verify
from resnet_paper.runs.recipe import OVERNIGHT
from resnet_paper.runs.record import as_json
from resnet_paper.runs.run import Run

PUBLISHED = Path(__file__).parents[1] / "experiments" / "runs"
NIGHT = Path("overnight/resnet-20/seed-0")


@pytest.fixture(autouse=True)
def _in_a_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    published = tmp_path / "published"  # without runs of one's own, as those of make demo
    published.mkdir()
    (published / "overnight").symlink_to(PUBLISHED / "overnight")
    monkeypatch.setattr(verify, "PUBLISHED", published)
    monkeypatch.setattr("resnet_paper.study.study.FIGURES", Path("figures"))
    shutil.copytree(PUBLISHED / NIGHT, "mine" / NIGHT)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(verify.main, ["--runs", "mine", *arguments])


def test_a_published_run_copied_elsewhere_is_within_noise() -> None:
    answer = run("--settings", "overnight")
    assert answer.exit_code == 0, answer.output
    folder = Path("figures/overnight")
    assert set(pd.read_csv(folder / "verify.csv")["verdict"]) == {"within noise"}
    assert all((folder / f"verify.{suffix}").stat().st_size for suffix in ("md", "png", "pdf"))


def test_a_run_by_another_recipe_that_ends_elsewhere_differs() -> None:
    mine = Run(Path("mine"), "overnight", "resnet-20", 0)
    found = mine.read()
    assert found is not None
    recipe = as_json(replace(OVERNIGHT, weight_decay=1e-2))
    mine.write_record({**found[0], "recipe": recipe, "test_error": 40.0})
    answer = run("--settings", "overnight")
    assert answer.exit_code == 1
    assert "weight_decay 0.01 (published: 0.0001)" in answer.output
    assert "1 differs" in answer.output


def test_my_only_run_diverged_and_the_published_one_did_not() -> None:
    mine = Run(Path("mine"), "overnight", "resnet-20", 0)
    found = mine.read()
    assert found is not None
    mine.write_record({**found[0], "diverged": 5_000})
    answer = run("--settings", "overnight")
    assert answer.exit_code == 1
    assert "4 diverged, 1 spread not measured yet" in answer.output


def test_the_settings_of_the_published_runs_can_be_others() -> None:
    shutil.move("mine/overnight", "mine/tiny")
    assert run("--settings", "tiny", "--against", "overnight").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--settings", "overnight", "--runs", "published"], "name your own by RUNS"),
        (["--settings", "paper"], "no finished run in mine/paper"),
        (["--settings", "overnight", "--against", "demo"], "resnet-20 is published by the setti"),
    ],
)
def test_nothing_to_compare_is_one_line(arguments: list[str], says: str) -> None:
    answer = run(*arguments)
    assert answer.exit_code == 1
    (line,) = answer.stderr.splitlines()
    assert says in line
    assert not Path("figures").exists()

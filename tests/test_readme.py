"""The pages show what the published runs generate."""

import re
from pathlib import Path

import pytest
from torch.torch_version import TorchVersion

from resnet_paper.results import readme
from resnet_paper.runs.recipe import SETTINGS
from resnet_paper.runs.run import Result, finished_runs

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
ABOUT_RUNS = ROOT / readme.PUBLISHED / "README.md"


def published() -> list[Result]:
    """The runs under experiments/runs but those of make demo and of tiny settings, as in git."""
    root = ROOT / readme.PUBLISHED
    settings = [name for name in SETTINGS if not name.startswith(("demo", "tiny"))]
    return [result for name in settings for result in finished_runs(root, name)]


@pytest.mark.published
def test_the_readme_has_the_tables_that_the_published_runs_generate() -> None:
    blocks = readme.blocks(ROOT / readme.PUBLISHED)
    assert readme.fill(README.read_text(), blocks) == README.read_text(), "run make readme"


@pytest.mark.published
def test_every_published_run_is_listed_with_its_revision_and_hours() -> None:
    rows = ABOUT_RUNS.read_text().splitlines()
    for result in published():
        record = result.record
        assert record.seconds is not None
        name = f"| `{result.run.directory.relative_to(ROOT / readme.PUBLISHED)}` |"
        ends = f"| {record.revision[:7]} | {record.seconds / 3600:.1f} h |"
        (row,) = [row for row in rows if row.startswith(name)]
        assert row.endswith(ends)


@pytest.mark.published
def test_constraints_pin_the_newest_pytorch_of_the_full_length_runs() -> None:
    pinned = re.findall(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    results = finished_runs(ROOT / readme.PUBLISHED, "paper")
    newest = max(TorchVersion(result.record.environment.torch) for result in results)
    assert pinned == [newest.partition("+")[0]]

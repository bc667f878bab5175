"""The README shows what is recorded."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


@pytest.mark.published
def test_its_table_of_results_is_the_one_that_the_published_runs_draw() -> None:
    assert (ROOT / "figures" / "reproductions.md").read_text() in README.read_text(), (
        "paste figures/reproductions.md into README.md"
    )


@pytest.mark.parametrize("page", [README, ROOT / "experiments" / "runs" / "README.md"], ids=str)
def test_links_and_pictures_lead_to_files(page: Path) -> None:
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [name for name in linked if not (page.parent / name).is_file()] == []

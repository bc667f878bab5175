"""The README shows what is recorded."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.published
def test_its_table_of_results_is_the_one_that_the_published_runs_draw() -> None:
    assert (ROOT / "figures" / "reproductions.md").read_text() in README


def test_its_links_and_pictures_lead_to_files() -> None:
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert "figures/table6.md" in linked
    assert [name for name in linked if not (ROOT / name).is_file()] == []

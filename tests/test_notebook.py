"""The tour is committed as it was executed: whole, small, without errors, on the published runs."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOUR = ROOT / "docs" / "tour.ipynb"
CELLS = [cell for cell in json.loads(TOUR.read_text())["cells"] if cell["cell_type"] == "code"]


def test_every_cell_was_executed_in_order_without_an_error() -> None:
    assert [cell["execution_count"] for cell in CELLS] == list(range(1, len(CELLS) + 1))
    assert not [out for cell in CELLS for out in cell["outputs"] if out["output_type"] == "error"]


def test_it_has_pictures_and_is_small() -> None:
    data = [out.get("data", {}) for cell in CELLS for out in cell["outputs"]]
    assert sum("image/png" in each for each in data) == 5
    assert TOUR.stat().st_size < 300_000


def test_it_names_no_place_of_the_machine_that_ran_it() -> None:
    assert not re.search(r"/(home|root|tmp)/", TOUR.read_text())


def test_its_table_6_is_the_published_one() -> None:
    tables = [
        out["data"]["text/markdown"]
        for cell in CELLS
        for out in cell["outputs"]
        if "text/markdown" in out.get("data", {})
    ]
    assert ["".join(table).strip() for table in tables] == [
        (ROOT / "figures" / "table6.md").read_text().strip()
    ], "execute the tour again: CONTRIBUTING.md says how"

"""The README's generated tables: `make readme`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from resnet_paper.results import readme
from resnet_paper.runs.files import write

ROOT = Path(__file__).parents[1]


@click.command()
def main() -> None:
    """Rewrite the generated tables of README.md from the published runs."""
    page = ROOT / "README.md"
    filled = readme.fill(page.read_text(), readme.blocks(ROOT / readme.PUBLISHED))
    write(page, filled.encode())


if __name__ == "__main__":
    main()

"""The paper's claims as checks on the recorded runs: `make claims`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from experiments.reproduce import draw
from resnet_paper.study.options import Command, options
from resnet_paper.study.study import Study


@click.command(cls=Command)
@options
def main(study: Study) -> None:
    """Say of each claim of sections 4.1 and 4.2 whether it holds; trains nothing."""
    draw(["claims"], study)


if __name__ == "__main__":
    main()

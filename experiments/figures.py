"""Everything that can be drawn from what is recorded: `make figures`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from experiments.reproduce import check_network, draw, network_option
from resnet_paper.results.artefacts import artefacts_of, of_study
from resnet_paper.study.options import Command, options
from resnet_paper.study.study import Study


@click.command(cls=Command)
@options
@network_option
def main(study: Study, network: str) -> None:
    """Draw every table and figure of these settings; trains nothing."""
    if of_study(study.settings):
        check_network(study, network)
    draw(artefacts_of(study.settings), study, network)


if __name__ == "__main__":
    main()

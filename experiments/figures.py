"""Everything that can be drawn from what is recorded: `make figures`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from experiments import fig6
from resnet_paper.results import artefacts
from resnet_paper.results.artefacts import Recorded, of_study
from resnet_paper.study.options import Command, options
from resnet_paper.study.study import Study


@click.command(cls=Command)
@options
@fig6.network_option
def main(study: Study, network: str) -> None:
    """Draw every table and figure of these settings; trains nothing."""
    if of_study(study.settings):
        fig6.check_network(study, network, trained=[])
    recorded = Recorded(study.results_to_draw(), study.settings, study.note, network)
    for name in artefacts.artefacts_of(study.settings):
        click.echo(artefacts.draw(name, recorded, study.output))


if __name__ == "__main__":
    main()

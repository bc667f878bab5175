"""Everything that can be drawn from what is recorded: `make figures`."""

import sys
from dataclasses import replace
from pathlib import Path

import click

sys.path.append(str(Path(__file__).parents[1]))  # runs from any directory

from experiments import fig6
from resnet_paper.results import artefacts
from resnet_paper.results.artefacts import Recorded, of_study
from resnet_paper.study.options import Command, NetworkName, options
from resnet_paper.study.study import Study


@click.command(cls=Command)
@options
@click.option(
    "--network",
    type=NetworkName(),
    default=fig6.DEFAULT_NETWORK,
    help="The net whose moving and precise BN are compared.",
)
def main(study: Study, network: str) -> None:
    """Draw every table and figure of these settings; trains nothing."""
    study = replace(study, draw_only=True)
    if of_study(study.settings):
        fig6.check_network(study, network, trained=[])
    recorded = Recorded(study.results_to_draw(), study.settings, study.note, network)
    for name in artefacts.artefacts_of(study.settings):
        click.echo(artefacts.draw(name, recorded, study.output))


if __name__ == "__main__":
    main()

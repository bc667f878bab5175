"""Everything that can be drawn from what is recorded: `make figures`."""

import sys
from dataclasses import replace
from pathlib import Path

import click

sys.path.append(str(Path(__file__).parents[1]))  # runs from any directory

from experiments import claims, compare, fig6, fig7, gradients, shortcuts, table6
from resnet_paper import names
from resnet_paper.runs.recipe import COMPARED
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
    if study.settings in COMPARED:
        compare.draw(study)
        return
    fig6.check_network(study, network, trained=[])
    fig6.draw(study, network)
    table6.draw(study)
    fig7.draw(study)
    gradients.draw(study)
    claims.draw(study)
    for depth in names.shortcut_depths(result.network for result in study.results()):
        shortcuts.draw(study, depth)


if __name__ == "__main__":
    main()

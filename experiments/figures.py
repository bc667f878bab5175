"""Everything that can be drawn from what is recorded: `make figures`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from experiments import claims, compare, fig6, fig7, shortcuts, table6
from resnet_paper import names
from resnet_paper.runs.recipe import COMPARED
from resnet_paper.study.options import Command, options
from resnet_paper.study.study import Study


@click.command(cls=Command)
@options
@fig6.network_option
def main(study: Study, network: str) -> None:
    """Draw every table and figure of these settings; trains nothing."""
    if study.settings in COMPARED:
        compare.draw(study)
        return
    fig6.check_network(study, network, trained=[])
    fig6.draw(study, network)
    table6.draw(study)
    fig7.draw(study)
    claims.draw(study)
    for depth in names.shortcut_depths(result.network for result in study.results()):
        shortcuts.draw(study, depth)


if __name__ == "__main__":
    main()

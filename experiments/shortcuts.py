"""The shortcut options A, B and C at one depth: `make shortcuts DEPTH=20`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from resnet_paper import names
from resnet_paper.results import comparisons, tables
from resnet_paper.study.options import Command, depth, set_options
from resnet_paper.study.study import Study
from resnet_paper.study.trainer import Trainer


@click.command(cls=Command)
@set_options
@click.option(
    "--depth",
    "layers",
    type=int,
    default=20,
    callback=depth,
    show_default=True,
    help="Of the nets of shortcuts.",
)
def main(study: Study, trainer: Trainer, layers: int) -> None:
    """Train what is missing of the three options, then tabulate them as the paper's Table 3."""
    networks = list(names.shortcut_networks(layers).values())
    trainer.complete(study, study.runs_of(networks), study.output)
    draw(study, layers)


def draw(study: Study, layers: int) -> None:
    """The three options as the paper's Table 3."""
    networks = list(names.shortcut_networks(layers).values())
    table = comparisons.shortcuts(study.results_to_draw(networks), layers, study.note)
    click.echo(table.markdown())
    click.echo(" ".join(map(str, tables.save(table, study.output))))


if __name__ == "__main__":
    main()

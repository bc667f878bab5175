"""The shortcut options A, B and C at one depth: `make shortcuts DEPTH=20`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from experiments.reproduce import reproduce
from resnet_paper.results.artefacts import Wanted
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
    reproduce(["shortcuts"], study, trainer, Wanted(study.settings, depth=layers))


if __name__ == "__main__":
    main()

"""Figure 7: `make fig7`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from experiments.reproduce import reproduce
from resnet_paper.results.artefacts import Wanted
from resnet_paper.study.options import Command, set_options
from resnet_paper.study.study import Study
from resnet_paper.study.trainer import Trainer


@click.command(cls=Command)
@set_options
def main(study: Study, trainer: Trainer) -> None:
    """Train Figure 7's networks that are missing, measure their responses, draw the figure."""
    reproduce(["fig7"], study, trainer, Wanted(study.settings))


if __name__ == "__main__":
    main()

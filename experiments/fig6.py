"""Figure 6: `make fig6 DEPTHS="20 32 44 56 110"`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from experiments.reproduce import network_option, reproduce
from resnet_paper.results.artefacts import Wanted
from resnet_paper.study.options import Command, depths_option, plain_depths_option, set_options
from resnet_paper.study.study import Study
from resnet_paper.study.trainer import Trainer


@click.command(cls=Command)
@set_options
@depths_option
@plain_depths_option
@network_option
def main(
    study: Study, trainer: Trainer, resnets: list[str], plain: list[str], network: str
) -> None:
    """Train the plain and residual nets that are missing, then draw the paper's Figure 6."""
    reproduce(["fig6"], study, trainer, Wanted(study.settings, resnets, plain), network)


if __name__ == "__main__":
    main()

"""Table 6: `make table6`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from experiments.reproduce import reproduce
from resnet_paper.results.artefacts import Wanted
from resnet_paper.study.options import Command, depths_option, set_options
from resnet_paper.study.study import Study
from resnet_paper.study.trainer import Trainer


@click.command(cls=Command)
@set_options
@depths_option
def main(study: Study, trainer: Trainer, resnets: list[str]) -> None:
    """Train the ResNets that are missing, then write the paper's Table 6 and ours."""
    reproduce(["table6"], study, trainer, Wanted(study.settings, resnets))


if __name__ == "__main__":
    main()

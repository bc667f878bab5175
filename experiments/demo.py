"""The study at tiny settings on synthetic images: `make demo`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from experiments.reproduce import TARGETS, reproduce
from resnet_paper.results.artefacts import Wanted
from resnet_paper.study.options import (
    Command,
    concurrent_option,
    runs_option,
    trainer_options,
)
from resnet_paper.study.study import Study
from resnet_paper.study.trainer import Trainer


@click.command(cls=Command)
@concurrent_option
@trainer_options
@runs_option
def main(trainer: Trainer, root: Path) -> None:
    """The whole study in a few minutes, on synthetic images: figures/demo/."""
    reproduce(TARGETS, Study("demo", root), trainer, Wanted("demo"))


if __name__ == "__main__":
    main()
